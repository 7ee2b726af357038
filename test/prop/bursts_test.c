/* SPDX-License-Identifier: BSD-2-Clause */
/* bursts_test.c - what is lost once, in bursts of whatever length, and never again: it goes again
 * by a few timeouts at most, not by one for each segment, and soon.
 *
 *   ESTAB_SEEDS=N    how many seeds (default 1000)
 *   ESTAB_SEED=N     that one only, with all that happens on the terminal */
#include "lab/talk.h"

enum { BURSTS = 4 };

static struct talks talks; /* large */
static struct network {
    struct burst {
        uint32_t from, to; /* octets of the first side's stream */
    } burst[BURSTS];
    uint32_t n;
    bool begun;
    uint32_t origin; /* the number of the first octet */
    uint32_t end;    /* so much has been sent */
    uint32_t lost;   /* frames */
    uint64_t rto_fired;
    estab_dur took; /* until all had arrived */
} net;

/* Text that is new, and in a burst; which is over, however long it should have been, when what it
 * has lost begins to go again: or who sends two new segments after a timeout (RFC 5682) would lose
 * these as well, time after time. */
static bool is_lost(struct lab *l, struct lab_host *h, const struct estab_frame *f)
{
    const uint8_t *tcp = (const uint8_t *)f->iov[0].base + (l->conf.ip6 ? 40 : 20);
    uint32_t len = (uint32_t)(estab_frame_len(f) - (l->conf.ip6 ? 40 : 20)) - (tcp[12] >> 4) * 4u;
    uint32_t at = be32_at(tcp + 4);

    if (h != &l->host[0])
        return false;
    if (!net.begun) {
        net.begun = true;
        net.origin = at + 1;
    }
    at -= net.origin;
    if (len == 0)
        return false;
    for (uint32_t i = 0; i < net.n; i++) {
        struct burst *b = &net.burst[i];

        if (at + len <= net.end) {
            if (b->from < net.end && net.end < b->to)
                b->to = net.end;
        } else if (at < b->to && at + len > b->from) {
            net.end = at + len;
            net.lost++;
            return true;
        }
    }
    net.end = at + len > net.end ? at + len : net.end;
    return false;
}

static bool acts(struct lab *l, struct lab_host *h)
{
    struct talker *t = &talks.talk[0].t[0];
    struct estab_tcp_info i = {.size = sizeof i};
    bool acted = talks_act(l, h);

    if (t->open && estab_tcp_info(l->host[0].s, t->k, &i) == 0)
        net.rto_fired = i.rto_fired;
    if (net.took == 0 && talks.talk[0].t[1].heard == talks.talk[0].plan[0].say)
        net.took = l->now - l->conf.start;
    return acted;
}

static void network_of(struct lab *l, struct lab_conf *c, double acks_lost, bool sack)
{
    c->ip6 = lab_once_in(l, 2);
    c->fault[0].delay = c->fault[1].delay = ESTAB_US(PICK(l, 5, 100, 1000, 10000, 50000));
    for (int i = 0; i < 2; i++) {
        c->fault[i].jitter = lab_once_in(l, 2) ? 2 * c->fault[i].delay : 0;
        c->fault[i].in_order = true;
        c->fault[i].rate = lab_once_in(l, 2) ? PICK(l, 1250000, 12500000, 125000000) : 0;
        c->fault[i].queue = 100000;
        c->fault[1].loss = acks_lost;
        c->cfg[i].sndbuf = c->cfg[i].rcvbuf = 4 << 20;
        c->cfg[i].timestamps = lab_once_in(l, 2);
        c->cfg[i].sack = sack;
        c->cfg[i].initial_window = (uint8_t)PICK(l, 2, 10, 10);
        snprintf(c->cfg[i].cc, sizeof c->cfg[i].cc, "%s",
                 lab_once_in(l, 3)   ? "newreno"
                 : lab_once_in(l, 2) ? "bbr"
                                     : "cubic");
    }
}

static void losses_of(struct lab *l, uint32_t say)
{
    memset(&net, 0, sizeof net);
    net.n = lab_between(l, 1, BURSTS);
    for (uint32_t i = 0; i < net.n; i++) {
        struct burst *b = &net.burst[i];
        uint32_t tail = lab_below(l, 10) * 1000;

        b->from = lab_below(l, say);
        b->to = b->from + lab_between(l, 1, PICK(l, 1, 20000, 200000, 2000000));
        if (lab_once_in(l, 4))
            b->to = say > tail ? say - tail : say; /* all, but perhaps for the tail */
    }
}

static void run(uint64_t seed, double acks_lost, bool sack, FILE *dump)
{
    struct lab l = {0}, choice = {0};
    struct lab_conf c;
    struct talk *w;

    lab_conf_init(&c, seed);
    lab_choose(&choice, seed);
    c.dump = dump;
    c.batch_max = 32;
    network_of(&choice, &c, acks_lost, sack);
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ESTAB_SEED=%llu bursts_test", (unsigned long long)seed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(&l, i), 0);
    talks_init(&talks, &l);
    w = talk_add(&talks);
    w->plan[0].say = lab_between(&choice, 1, PICK(&choice, 20000, 200000, 4000000));
    w->plan[0].end = lab_once_in(&choice, 2) ? TALK_SHUTS : TALK_WAITS;
    w->plan[1].end = w->plan[0].end == TALK_SHUTS ? TALK_WAITS : TALK_SHUTS;
    losses_of(&choice, w->plan[0].say);
    assert_int_equal(talks_listen(&talks), 0);
    l.loses = is_lost;
    l.act = acts;
    lab_run(&l);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_check_empty(&l);
    lab_close(&l);
}

static void for_seeds(double acks_lost, bool sack, void (*check)(uint64_t seed))
{
    const struct lab_seeds of = lab_seeds(1000);
    uint64_t lost = 0, fired = 0;
    estab_dur most = 0;

    for (uint64_t i = 0; i < of.n; i++) {
        run(of.first + i, acks_lost, sack, of.dump);
        check(of.first + i);
        lost += net.lost;
        fired += net.rto_fired;
        most = net.took > most ? net.took : most;
    }
    print_message("%llu frames were lost, %llu timers fired, %.1f s at the most\n",
                  (unsigned long long)lost, (unsigned long long)fired, (double)most / 1e9);
}

static void check_time(uint64_t seed, estab_dur most)
{
    if (net.took > most)
        fail_msg("ESTAB_SEED=%llu: it took %.1f s", (unsigned long long)seed,
                 (double)net.took / 1e9);
}

/* And one more, where a round trip takes as long as the least RTO.  A path of 200 ms and three
 * bursts may take half a minute. */
static void check_timeouts(uint64_t seed)
{
    check_time(seed, ESTAB_S(30));
    if (net.rto_fired > net.n + 1)
        fail_msg("ESTAB_SEED=%llu: %llu timeouts for %u bursts in which %u frames were lost",
                 (unsigned long long)seed, (unsigned long long)net.rto_fired, net.n, net.lost);
}

static void a_burst_costs_a_timeout_at_the_most(void **state)
{
    (void)state;
    for_seeds(0, true, check_timeouts);
}

/* The handshake may be what is lost: 3 s (RFC 6298 section 5.7), which double with each ACK of what
 * goes again that is.  Five of these one after the other, as some seed of ten thousand has it, are
 * 107 s, and six would be 215. */
static void check_end(uint64_t seed)
{
    check_time(seed, ESTAB_S(220));
}

/* ... and no more than seconds where ACKs are lost, too. */
static void nothing_is_waited_for_without_end(void **state)
{
    (void)state;
    for_seeds(0.1, true, check_end);
}

static void check_half_a_minute(uint64_t seed)
{
    check_time(seed, ESTAB_S(30));
}

/* RFC 6582 section 4: a round trip for each hole would be minutes. */
static void nor_without_sack(void **state)
{
    (void)state;
    for_seeds(0, false, check_half_a_minute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_costs_a_timeout_at_the_most),
        cmocka_unit_test(nothing_is_waited_for_without_end),
        cmocka_unit_test(nor_without_sack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
