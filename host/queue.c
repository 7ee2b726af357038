/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.c - the queue in front of a wire: drop-tail, CoDel (RFC 8289), RED (Floyd and Jacobson,
 * "Random Early Detection Gateways for Congestion Avoidance", 1993).
 *
 * All have the bounds of drop-tail besides.  With `ecn`, CoDel and RED mark what is ECN-capable
 * where they would drop it; RED drops beyond its upper threshold all the same (RFC 3168
 * section 7). */
#include "queue.h"

#include <string.h>

void queue_init(struct queue *q, const struct estab_fault *f,
                void (*drop)(void *ctx, struct packet *k), void *ctx)
{
    struct estab_env env;

    *q = (struct queue){.drop = drop, .ctx = ctx, .red = {.count = -1}};
    q->tail = &q->head;
    estab_virtual_env(&env, &q->rng, f->seed + 1);
    queue_set(q, f);
}

void queue_set(struct queue *q, const struct estab_fault *f)
{
    struct estab_fault *c = &q->cfg;

    *c = *f;
    c->queue = f->queue ? f->queue : 1024;
    c->codel_target = f->codel_target ? f->codel_target : ESTAB_MS(5);
    c->codel_interval = f->codel_interval ? f->codel_interval : ESTAB_MS(100);
    c->red_min = f->red_min > 0 ? f->red_min : c->queue / 4.0;
    c->red_max = f->red_max > 0 ? f->red_max : c->queue * 3 / 4.0;
    c->red_p = f->red_p > 0 ? f->red_p : 0.1;
    c->red_weight = f->red_weight > 0 ? f->red_weight : 0.002;
    if (f->queue_time && f->rate) {
        double octets = (double)f->rate * (double)f->queue_time / 1e9;

        if (!f->queue)
            c->queue = UINT32_MAX;
        if (!f->queue_octets || octets < (double)f->queue_octets)
            c->queue_octets = octets < 1514 ? 1514 : (uint64_t)octets;
    } else if (f->queue_octets && !f->queue) {
        c->queue = UINT32_MAX;
    }
}

/* ---- ECN: RFC 3168 section 5 ---- */

enum { ECN_CE = 3, ETHERNET_HEADER = 14 };

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Where the IP packet begins whose lengths agree with the frame's, or NULL. */
static uint8_t *find_ip(struct packet *k)
{
    static const size_t starts[] = {0, ETHERNET_HEADER};

    for (size_t i = 0; i < 2; i++) {
        uint8_t *p = k->octets + starts[i];
        size_t len = k->len - starts[i];

        if (k->len < starts[i] + 20)
            continue;
        if (p[0] >> 4 == 4 && read16(p + 2) <= len && read16(p + 2) >= 20 &&
            (i == 1 || read16(p + 2) == len))
            return p;
        if (p[0] >> 4 == 6 && len >= 40 && read16(p + 4) + 40u <= len &&
            (i == 1 || read16(p + 4) + 40u == len))
            return p;
    }
    return NULL;
}

/* False: the packet is not ECN-capable, and must be dropped. */
static bool mark_congestion(struct packet *k)
{
    uint8_t *p = find_ip(k);
    uint32_t sum;

    if (!p)
        return false;
    if (p[0] >> 4 == 6) {
        if (!(p[1] & 0x30))
            return false;
        p[1] |= ECN_CE << 4;
        return true;
    }
    if (!(p[1] & ECN_CE))
        return false;
    /* RFC 1624 equation 3: HC' = ~(~HC + ~m + m') */
    sum = (uint16_t)~read16(p + 10) + (uint32_t)(uint16_t)~read16(p);
    p[1] |= ECN_CE;
    sum += read16(p);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    p[10] = (uint8_t)(~sum >> 8);
    p[11] = (uint8_t)~sum;
    return true;
}

static bool may_mark(struct queue *q, struct packet *k)
{
    if (!q->cfg.ecn || !mark_congestion(k))
        return false;
    q->marked++;
    return true;
}

/* ---- RED ---- */

static double draw(struct queue *q)
{
    return (double)(estab_virtual_random(&q->rng) >> 11) * 0x1p-53;
}

/* (1 - w_q)^m, by squaring: the same on every machine. */
static double decay(double base, uint64_t m)
{
    double v = 1;

    for (; m > 0; m >>= 1) {
        if (m & 1)
            v *= base;
        base *= base;
    }
    return v;
}

static void red_average(struct queue *q, size_t len, estab_time now)
{
    struct red *r = &q->red;
    double w = q->cfg.red_weight;
    uint32_t waiting = q->frames + q->on_wire;

    if (waiting > 0) {
        r->avg += w * (waiting - r->avg);
    } else {
        /* as many small packets as could have been sent while it was empty */
        double gap = (double)(now - r->q_time), s = (double)len * 1e9 / (double)q->cfg.rate;

        r->avg *= decay(1 - w, q->cfg.rate ? (uint64_t)(gap / s) : UINT32_MAX);
    }
}

/* Figure 2.  True: k must not join.  Beyond the ramp everything is dropped; unless the ramp ends
 * with everything marked: then it goes on so, as a switch does that marks from a threshold on (RFC
 * 8257 section 3.1). */
static bool red_refuses(struct queue *q, struct packet *k, estab_time now)
{
    const struct estab_fault *c = &q->cfg;
    struct red *r = &q->red;
    double p_b, left;

    red_average(q, k->len, now);
    if (r->avg < c->red_min) {
        r->count = -1;
        return false;
    }
    if (r->avg >= c->red_max) {
        r->count = 0;
        return c->red_p < 1 || !may_mark(q, k);
    }
    r->count++;
    p_b = c->red_p * (r->avg - c->red_min) / (c->red_max - c->red_min);
    left = 1 - r->count * p_b;
    if (left > 0 && draw(q) * left >= p_b)
        return false;
    r->count = 0;
    return !may_mark(q, k);
}

/* ---- the queue ---- */

static bool has_room(const struct queue *q, size_t len)
{
    return q->frames + q->on_wire < q->cfg.queue &&
           (!q->cfg.queue_octets || q->octets + q->on_wire_octets + len <= q->cfg.queue_octets);
}

void queue_push(struct queue *q, struct packet *k, estab_time now)
{
    if (q->cfg.aqm == ESTAB_AQM_RED && red_refuses(q, k, now)) {
        q->dropped++;
        q->drop(q->ctx, k);
        return;
    }
    if (!has_room(q, k->len)) {
        q->full++;
        q->drop(q->ctx, k);
        return;
    }
    k->at = now;
    k->next = NULL;
    *q->tail = k;
    q->tail = &k->next;
    q->frames++;
    q->octets += k->len;
    if (k->len > q->packet_max)
        q->packet_max = k->len;
}

static struct packet *take_head(struct queue *q, estab_time now)
{
    struct packet *k = q->head;

    if (!k)
        return NULL;
    q->head = k->next;
    if (!q->head)
        q->tail = &q->head;
    q->frames--;
    q->octets -= k->len;
    if (q->frames == 0)
        q->red.q_time = now;
    return k;
}

/* RFC 8289 section 5.5. */
static struct packet *codel_dodequeue(struct queue *q, estab_time now, bool *ok_to_drop)
{
    struct packet *k = take_head(q, now);
    struct codel *c = &q->codel;

    *ok_to_drop = false;
    if (!k || now - k->at < q->cfg.codel_target || q->octets <= q->packet_max)
        c->first_above_time = 0;
    else if (c->first_above_time == 0)
        c->first_above_time = now + q->cfg.codel_interval;
    else
        *ok_to_drop = now >= c->first_above_time;
    return k;
}

/* By Newton, so that no library's rounding counts; x is at least 1. */
static double square_root(double x)
{
    double r = x, last = 0;

    for (int i = 0; i < 64 && r != last; i++) {
        last = r;
        r = (r + x / r) / 2;
    }
    return r;
}

/* RFC 8289 section 5.6. */
static estab_time codel_control_law(const struct queue *q, estab_time t, uint32_t count)
{
    return t + (estab_dur)((double)q->cfg.codel_interval / square_root(count));
}

/* True: k stays, with a mark. */
static bool codel_drop(struct queue *q, struct packet *k)
{
    if (may_mark(q, k))
        return true;
    q->dropped++;
    q->drop(q->ctx, k);
    return false;
}

/* RFC 8289 section 5.4. */
static struct packet *codel_deque(struct queue *q, estab_time now)
{
    struct codel *c = &q->codel;
    struct packet *k;
    bool ok_to_drop, marked = false;
    uint32_t delta;

    k = codel_dodequeue(q, now, &ok_to_drop);
    if (c->dropping) {
        c->dropping = ok_to_drop;
        while (c->dropping && now >= c->drop_next && !marked) {
            c->count++;
            marked = codel_drop(q, k);
            if (!marked) {
                k = codel_dodequeue(q, now, &ok_to_drop);
                c->dropping = ok_to_drop;
            }
            if (c->dropping)
                c->drop_next = codel_control_law(q, c->drop_next, c->count);
        }
    } else if (ok_to_drop) {
        if (!codel_drop(q, k))
            k = codel_dodequeue(q, now, &ok_to_drop);
        c->dropping = true;
        delta = c->count - c->lastcount;
        c->count = delta > 1 && now - c->drop_next < 16 * q->cfg.codel_interval ? delta : 1;
        c->drop_next = codel_control_law(q, now, c->count);
        c->lastcount = c->count;
    }
    return k;
}

struct packet *queue_pop(struct queue *q, estab_time now)
{
    return q->cfg.aqm == ESTAB_AQM_CODEL ? codel_deque(q, now) : take_head(q, now);
}
