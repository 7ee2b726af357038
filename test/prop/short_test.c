/* SPDX-License-Identifier: BSD-2-Clause */
/* short_test.c - the short way and the long way: the same conversations over the same network, once
 * as ever, once with every segment going the long way and once with every batch looked at ahead,
 * send the same frames, octet by octet, and leave every connection in the same state, field by
 * field, after every turn.
 *
 *   ESTAB_SEEDS=N    how many seeds (default 150)
 *   ESTAB_SEED=N     that one only */
#include "lab/talk.h"

static struct talks talks; /* large */

static void mix_octets(struct lab *l, const void *p, size_t len)
{
    const uint8_t *from = p;

    for (size_t i = 0; i < len; i += 8) {
        uint64_t x = 0;

        memcpy(&x, from + i, len - i < 8 ? len - i : 8);
        lab_mix(l, x);
    }
    lab_mix(l, len);
}

static void mix_ring(struct lab *l, const struct ring *r)
{
    static uint8_t octets[1 << 20];

    lab_mix(l, r->len);
    ring_copy(r, 0, octets, r->len);
    mix_octets(l, octets, r->len);
}

/* All but the pointers, and what has never been written. */
static void mix_work(struct lab *l, const struct tcp_work *from)
{
    struct tcp_work w;

    mix_ring(l, &from->snd);
    mix_ring(l, &from->rcv);
    memcpy(&w, from, sizeof w);
    memset(&w.snd, 0, sizeof w.snd);
    memset(&w.rcv, 0, sizeof w.rcv);
    lab_mix(l, (w.ahead ? 1u : 0u) | (w.sums ? 2u : 0u));
    w.ahead = NULL;
    w.sums = NULL;
    w.lent.to = NULL;
    mix_octets(l, &w, offsetof(struct tcp_work, sent));
    lab_mix(l, (uint64_t)w.sent.n << 32 | w.sent.lo.n);
    lab_mix(l, (uint64_t)w.sent.sacked << 32 | w.sent.lost);
    lab_mix(l, w.sent.resent);
    for (uint32_t i = 0; i < from->sent.n; i++) {
        const struct run *r = sent_run(&from->sent, i);

        lab_mix(l, (uint64_t)r->end.n << 32 | r->sent_us);
        lab_mix(l, r->flags);
        mix_octets(l, &r->rate, sizeof r->rate);
    }
}

/* Half-open connections, and those in TIME-WAIT. */
static void mix_entries(struct lab *l, const struct slab *s, size_t size)
{
    for (uint32_t i = slab_next(s, 0); i != SLAB_NONE; i = slab_next(s, i + 1)) {
        lab_mix(l, i);
        mix_octets(l, slab_at(s, i), size);
    }
}

static void mix_connections(struct lab *l, const struct tcp_layer *layer)
{
    for (uint32_t i = slab_next(&layer->tcbs, 0); i != SLAB_NONE;
         i = slab_next(&layer->tcbs, i + 1)) {
        struct tcb t;

        memcpy(&t, tcb_at(layer, i), sizeof t);
        lab_mix(l, i);
        if (t.state != ESTAB_LISTEN && t.w)
            mix_work(l, t.w);
        t.layer = NULL;
        t.w = NULL;
        mix_octets(l, &t, sizeof t);
    }
    mix_entries(l, &layer->synqs, sizeof(struct tcp_synq));
    mix_entries(l, &layer->timewaits, sizeof(struct tcp_timewait));
}

static void mix_frames(struct lab *l, struct lab_host *h, const struct estab_frame *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < f[i].niov; k++)
            mix_octets(l, f[i].iov[k].base, f[i].iov[k].len);
        mix_octets(l, &f[i].off, sizeof f[i].off);
    }
    mix_connections(l, &h->s->tcp);
}

static bool act_and_mix(struct lab *l, struct lab_host *h)
{
    bool busy;

    mix_connections(l, &h->s->tcp);
    busy = talks_act(l, h);
    mix_connections(l, &h->s->tcp);
    return busy;
}

/* Messages, mostly, over a network that mostly works. */
static void network_of(struct lab *l, struct lab_conf *c)
{
    const bool offload = lab_once_in(l, 5), bad = lab_once_in(l, 2);

    c->caps.medium = lab_once_in(l, 3) ? ESTAB_MEDIUM_ETHERNET : ESTAB_MEDIUM_IP;
    c->caps.mtu = lab_once_in(l, 4) ? 1280 : 1500;
    memcpy(c->caps.mac, "\x02\0\0\0\0\x10", 6);
    if (offload) {
        c->caps.gso_max = 65535;
        c->caps.tx_csum = c->caps.rx_csum = true;
    }
    c->mark = lab_once_in(l, 4) ? 0.1 : 0;
    for (int i = 0; i < 2; i++) {
        c->fault[i].delay = ESTAB_US(lab_between(l, 0, 20000));
        c->fault[i].jitter = lab_once_in(l, 2) ? c->fault[i].delay / 2 : 0;
        c->fault[i].loss = bad ? 0.03 : 0;
        c->fault[i].duplicate = bad ? 0.03 : 0;
        c->fault[i].reorder = bad ? 0.03 : 0;
        c->fault[i].reorder_by = ESTAB_MS(5);
        c->fault[i].corrupt = bad && !offload && c->caps.medium == ESTAB_MEDIUM_IP ? 0.02 : 0;
    }
}

static void host_of(struct lab *l, struct estab_config *c)
{
    static const char *const ccs[] = {"newreno", "cubic", "dctcp", "bbr"};

    c->timestamps = !lab_once_in(l, 3);
    c->sack = !lab_once_in(l, 3);
    c->ecn = (uint8_t)(lab_once_in(l, 4) ? ESTAB_ECN_ACTIVE : ESTAB_ECN_PASSIVE);
    snprintf(c->cc, sizeof c->cc, "%s", ccs[lab_once_in(l, 2) ? 1 : lab_below(l, 4)]);
    c->delack = ESTAB_MS(lab_once_in(l, 3) ? 0 : 40);
    c->initial_window = (uint8_t)lab_between(l, 1, 10);
    c->user_timeout = lab_once_in(l, 4) ? ESTAB_S(600) : 0;
    if (lab_once_in(l, 4))
        c->notsent = lab_between(l, 1, 10000);
    if (lab_once_in(l, 4))
        c->sndbuf = lab_between(l, 2048, 30000);
}

static void talks_of(struct lab *l, struct talks *a)
{
    uint32_t n = lab_between(l, 1, 4);

    a->fastopen = lab_once_in(l, 3) ? 8 : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct talk *w = talk_add(a);

        if (a->fastopen) { /* one connection asks for the cookie that others have */
            w->start_at += i * ESTAB_MS(lab_between(l, 50, 500));
        } else if (lab_once_in(l, 8)) {
            w->simultaneous = true;
            w->port[0] = (uint16_t)(6000 + i);
            w->port[1] = (uint16_t)(7000 + i);
        }
        for (int side = 0; side < 2; side++) {
            struct talk_plan *p = &w->plan[side];

            p->say = lab_between(l, 1, lab_once_in(l, 4) ? 100000 : 5000);
            p->chunk_max = lab_once_in(l, 4) ? TALK_CHUNK : lab_between(l, 20, 600);
            p->read_max = lab_once_in(l, 4) ? lab_between(l, 20, 600) : TALK_CHUNK;
            p->think_in = lab_once_in(l, 3) ? 0 : lab_between(l, 1, 3);
            p->think_max = ESTAB_MS(lab_once_in(l, 3) ? 800 : 20);
            p->nodelay = lab_once_in(l, 3);
            p->quickack = lab_once_in(l, 5);
            p->urgent = lab_once_in(l, 8);
            p->fastopen = side == 0 && a->fastopen;
            p->more = lab_once_in(l, 8);
            p->keepidle = lab_once_in(l, 8) ? ESTAB_S(5) : 0;
            p->end = i % 2 ? TALK_CLOSES : TALK_SHUTS;
        }
    }
}

enum way { AS_EVER, LONG, AHEAD };

static uint64_t run(uint64_t seed, enum way way)
{
    struct lab_conf c;
    struct lab l = {0}, choice = {0};

    lab_conf_init(&c, seed);
    c.batch_max = 32;
    lab_choose(&choice, seed);
    c.ip6 = lab_once_in(&choice, 2);
    network_of(&choice, &c);
    for (int i = 0; i < 2; i++)
        host_of(&choice, &c.cfg[i]);
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ESTAB_SEED=%llu short_test", (unsigned long long)seed);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lab_host_open(&l, i), 0);
        l.host[i].s->tcp.long_way = way == LONG;
        l.host[i].s->ahead.always = way == AHEAD;
    }
    talks_init(&talks, &l);
    l.act = act_and_mix;
    l.sends = mix_frames;
    talks_of(&l, &talks);
    assert_int_equal(talks_listen(&talks), 0);
    lab_run(&l);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_check_empty(&l);
    lab_close(&l);
    return l.hash;
}

static void all_ways_are_the_same(void **state)
{
    const struct lab_seeds of = lab_seeds(150);

    (void)state;
    for (uint64_t seed = of.first; seed < of.first + of.n; seed++) {
        uint64_t as_ever = run(seed, AS_EVER);

        if (run(seed, LONG) != as_ever)
            fail_msg("ESTAB_SEED=%llu: the short way is another", (unsigned long long)seed);
        if (run(seed, AHEAD) != as_ever)
            fail_msg("ESTAB_SEED=%llu: looking ahead changes something", (unsigned long long)seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ways_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
