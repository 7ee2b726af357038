/* SPDX-License-Identifier: BSD-2-Clause */
/* memory_test.c - memory that runs out, at every allocation of a whole conversation: no crash, no
 * leak, no connection lost or stuck, no FIN forgotten.
 *
 * A script of two stacks (open, transfer both ways with loss and reordering, close) runs once for
 * each allocation that either host makes: that one is refused; or it and some that follow; or all
 * for a while.  Calls that say E_NOMEM are made again later, as their comments ask. */
#include "lab/talk.h"

static struct talks talks; /* large */

struct script {
    const char *name;
    bool ip6, ethernet;
    uint32_t loss; /* percent */
    uint32_t refuse_n;
    estab_dur refuse_for;
    uint32_t lend_in; /* one in so many pieces of text is lent; 0: none */
};
static uint64_t lends, lends_refused; /* of all runs of a script */

static void conf_of(struct lab_conf *c, const struct script *s)
{
    lab_conf_init(c, 7);
    c->ip6 = s->ip6;
    c->caps.medium = s->ethernet ? ESTAB_MEDIUM_ETHERNET : ESTAB_MEDIUM_IP;
    memcpy(c->caps.mac, "\x02\0\0\0\0\x10", 6);
    for (int i = 0; i < 2; i++) {
        c->fault[i].delay = ESTAB_MS(5);
        c->fault[i].loss = s->loss / 100.;
        c->fault[i].reorder = s->loss / 100.;
        c->fault[i].reorder_by = ESTAB_MS(3);
        c->cfg[i].fin_wait_2 = 0;
    }
}

static void say_all(struct lab *l, const struct script *s)
{
    static const struct {
        uint32_t say[2];
        enum talk_end end[2];
    } plans[] = {
        {{40000, 40000}, {TALK_SHUTS, TALK_WAITS}},
        {{100000, 10}, {TALK_SHUTS, TALK_SHUTS}},
        {{0, 0}, {TALK_WAITS, TALK_CLOSES}},
    };

    talks_init(&talks, l);
    talks.uto =
        ESTAB_S(200); /* what few set wants memory of its own, and more when it is inherited */
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        struct talk *w = talk_add(&talks);

        w->start_at += ESTAB_MS(50 * i);
        w->plan[0].uto = i == 0 ? ESTAB_S(100) : 0;
        for (int side = 0; side < 2; side++) {
            w->plan[side].say = plans[i].say[side];
            w->plan[side].end = plans[i].end[side];
            w->plan[side].read_max = 3000;
            w->plan[side].lend_in = s->lend_in;
            if (s->lend_in)
                w->plan[side].chunk_max = 10000;
        }
    }
}

/* false: not even a stack could be had. */
static bool begins(struct lab *l, struct lab_host *refused)
{
    for (int i = 0; i < 2; i++) {
        int err = lab_host_open(l, i);

        if (!err)
            continue;
        assert_int_equal(err, ESTAB_E_NOMEM);
        assert_ptr_equal(refused, &l->host[i]);
        return false;
    }
    return true;
}

static bool listens(struct lab *l)
{
    for (int tries = 0; tries < 100; tries++) {
        int err = talks_listen(&talks);

        if (!err)
            return true;
        assert_int_equal(err, ESTAB_E_NOMEM);
        lab_set_time(l, l->now + ESTAB_MS(100));
    }
    lab_fail(l, "cannot listen");
    return false;
}

/* One run with the allocation number `at` of this host refused; how many were. */
static uint64_t run(const struct script *s, int host, uint64_t at)
{
    struct lab_conf c;
    struct lab l;
    struct lab_host *h = &l.host[host];
    uint64_t refused;

    conf_of(&c, s);
    c.dump = getenv("ESTAB_AT") ? stderr : NULL;
    lab_open(&l, &c);
    snprintf(l.what, sizeof l.what, "memory_test: %s, host %c, allocation %llu", s->name,
             'A' + host, (unsigned long long)at);
    h->refuse_at = at;
    h->refuse_n = s->refuse_n;
    h->refuse_for = s->refuse_for;
    if (begins(&l, h)) {
        say_all(&l, s);
        if (listens(&l)) {
            lab_run(&l);
            assert_int_equal(estab_close(l.host[1].s, talks.listener), 0);
            lab_check_empty(&l);
        }
        lends += talks.lends;
        lends_refused += talks.lends_refused;
    }
    refused = h->refused;
    lab_close(&l);
    return refused;
}

static void refuse_everywhere(const struct script *s)
{
    const char *only = getenv("ESTAB_AT"); /* "A5": the fifth of host A, shown */
    uint64_t total = 0;

    lends = lends_refused = 0;
    for (int host = 0; host < 2; host++) {
        uint64_t at = 1;

        if (only) {
            if (host == only[0] - 'A')
                (void)run(s, host, strtoull(only + 1, NULL, 10));
            continue;
        }
        while (run(s, host, at) > 0)
            at++;
        total += at - 1;
    }
    print_message("%s: %llu allocations refused\n", s->name, (unsigned long long)total);
}

static void one_at_a_time(void **state)
{
    (void)state;
    refuse_everywhere(&(struct script){.name = "one", .refuse_n = 1});
}

static void one_at_a_time_over_a_bad_network(void **state)
{
    (void)state;
    refuse_everywhere(
        &(struct script){.name = "one, loss", .ip6 = true, .loss = 10, .refuse_n = 1});
}

static void one_at_a_time_on_ethernet(void **state)
{
    (void)state;
    refuse_everywhere(&(struct script){.name = "one, Ethernet", .ethernet = true, .refuse_n = 1});
}

static void ten_in_a_row(void **state)
{
    (void)state;
    refuse_everywhere(&(struct script){.name = "ten", .loss = 10, .refuse_n = 10});
}

static void all_of_five_seconds(void **state)
{
    (void)state;
    refuse_everywhere(
        &(struct script){.name = "five seconds", .loss = 5, .refuse_for = ESTAB_S(5)});
}

/* Who could not lend has the text still, and lends it again. */
static void text_is_lent(void **state)
{
    static const struct script scripts[] = {
        {.name = "one, lent", .lend_in = 1, .refuse_n = 1},
        {.name = "one, lent and copied, loss", .lend_in = 2, .loss = 10, .refuse_n = 1},
        {.name = "ten, lent", .lend_in = 1, .loss = 10, .refuse_n = 10},
        {.name = "five seconds, lent", .lend_in = 3, .loss = 5, .refuse_for = ESTAB_S(5)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        refuse_everywhere(&scripts[i]);
        print_message("    lent %llu times, refused %llu\n", (unsigned long long)lends,
                      (unsigned long long)lends_refused);
        assert_true(getenv("ESTAB_AT") || lends_refused > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(one_at_a_time_over_a_bad_network),
        cmocka_unit_test(one_at_a_time_on_ethernet),
        cmocka_unit_test(ten_in_a_row),
        cmocka_unit_test(all_of_five_seconds),
        cmocka_unit_test(text_is_lent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
