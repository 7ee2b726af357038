/* SPDX-License-Identifier: BSD-2-Clause */
/* gaps_test.c - on a network that loses nothing, nobody is ever silent for much longer than a round
 * trip and a delayed ACK (what is paced may be): whatever the settings, no timer has to help.
 *
 *   ESTAB_SEEDS=N    how many seeds (default 2000)
 *   ESTAB_SEED=N     that one only, with all that happens on the terminal */
#include "lab/talk.h"

static struct talks talks; /* large */
static struct {
    estab_time last, ended; /* when somebody last sent, and when the longest silence was over */
    estab_dur most;
} silence;

static void listens(struct lab *l, struct lab_host *h, const struct estab_frame *f, size_t n)
{
    (void)h, (void)f, (void)n;
    if (l->now - silence.last > silence.most) {
        silence.most = l->now - silence.last;
        silence.ended = l->now;
    }
    silence.last = l->now;
}

static void network_of(struct lab *l, struct lab_conf *c)
{
    c->batch_max = PICK(l, 1, 8, 32);
    c->ip6 = lab_once_in(l, 2);
    c->fault[0].delay = c->fault[1].delay = ESTAB_US(PICK(l, 5, 100, 1000, 10000));
    for (int i = 0; i < 2; i++) {
        c->fault[i].rate = PICK(l, 1250000, 12500000, 125000000, 1250000000);
        c->fault[i].queue = 100000;
    }
}

static void host_of(struct lab *l, struct estab_config *c)
{
    c->sndbuf = PICK(l, 2048, 4096, 16384, 65536, 512 << 10);
    c->rcvbuf = PICK(l, 2048, 4096, 16384, 65536, 512 << 10, 2 << 20);
    c->timestamps = lab_once_in(l, 2);
    c->sack = lab_once_in(l, 2);
    c->window_scale = lab_once_in(l, 2);
    c->pacing = lab_once_in(l, 4);
    c->initial_window = (uint8_t)PICK(l, 1, 2, 10, 10);
    c->ecn = (uint8_t)PICK(l, ESTAB_ECN_OFF, ESTAB_ECN_ACTIVE, ESTAB_ECN_ACCURATE);
    snprintf(c->cc, sizeof c->cc, "%s",
             lab_once_in(l, 3)   ? "newreno"
             : lab_once_in(l, 2) ? "bbr"
                                 : "cubic");
}

static void side_of(struct lab *l, struct talk_plan *p)
{
    p->say = lab_once_in(l, 3) ? 0 : lab_between(l, 1, PICK(l, 100, 20000, 300000));
    p->chunk_max = PICK(l, 100, 1000, 10000, TALK_CHUNK);
    p->read_max = PICK(l, 100, 1000, 10000, TALK_CHUNK);
    p->nodelay = lab_once_in(l, 2);
    p->lend_in = lab_once_in(l, 4) ? PICK(l, 1, 3, 20) : 0;
    p->maxseg = lab_once_in(l, 8) ? lab_between(l, 88, 1500) : 0;
}

static bool all_said(struct lab *l)
{
    (void)l;
    return talks.talk[0].over || (talks.talk[0].t[0].over && talks.talk[0].t[1].over);
}

static void run(uint64_t seed, FILE *dump)
{
    struct lab l = {0}, choice = {0};
    struct lab_conf c;
    struct talk *w;

    lab_conf_init(&c, seed);
    lab_choose(&choice, seed);
    c.dump = dump;
    network_of(&choice, &c);
    for (int i = 0; i < 2; i++)
        host_of(&choice, &c.cfg[i]);
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "ESTAB_SEED=%llu gaps_test", (unsigned long long)seed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lab_host_open(&l, i), 0);
    talks_init(&talks, &l);
    w = talk_add(&talks);
    for (int i = 0; i < 2; i++)
        side_of(&choice, &w->plan[i]);
    w->plan[0].end = lab_once_in(&choice, 2) ? TALK_SHUTS : TALK_WAITS;
    w->plan[1].end = w->plan[0].end == TALK_SHUTS ? TALK_WAITS : TALK_SHUTS;
    assert_int_equal(talks_listen(&talks), 0);
    memset(&silence, 0, sizeof silence);
    silence.last = l.now;
    l.sends = listens;
    l.done = all_said;
    lab_run(&l);
    if (silence.most > 2 * c.fault[0].delay + c.cfg[0].delack + ESTAB_MS(30))
        fail_msg("ESTAB_SEED=%llu: silent for %.1f ms until %.6f", (unsigned long long)seed,
                 (double)silence.most / 1e6, (double)silence.ended / 1e9);
    l.done = talks_done;
    lab_run(&l);
    assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
    lab_check_empty(&l);
    lab_close(&l);
}

static void nobody_is_silent_for_long(void **state)
{
    const struct lab_seeds of = lab_seeds(2000);

    (void)state;
    for (uint64_t i = 0; i < of.n; i++)
        run(of.first + i, of.dump);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_silent_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
