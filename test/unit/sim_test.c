/* SPDX-License-Identifier: BSD-2-Clause */
/* sim_test.c - the simulator: its language, its determinism, what it must notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <estab/sim.h>

#include "cli/sim_show.h"

#define PAIR "host a b\nlink a b rate=10Mbit delay=5ms\n"

static estab_sim *open_text(const char *text, uint64_t seed)
{
    struct estab_sim_options opt = {.size = sizeof opt, .seed = seed, .text = text};
    char err[ESTAB_ERRLEN];
    estab_sim *s;

    if (estab_sim_new(&s, "test", &opt, err) || estab_sim_run(s, err))
        fail_msg("%s", err);
    return s;
}

static void assert_held(const estab_sim *s)
{
    const struct estab_sim_report *r = estab_sim_report(s);

    if (r->verdict != ESTAB_SIM_HELD)
        fail_msg("%s", r->text);
}

static estab_sim *run_ready(const char *name, const char *define, uint64_t seed)
{
    struct estab_sim_options opt = {
        .size = sizeof opt, .seed = seed, .defines = &define, .ndefines = define != NULL};
    char err[ESTAB_ERRLEN];
    estab_sim *s;

    if (estab_sim_new(&s, name, &opt, err) || estab_sim_run(s, err))
        fail_msg("%s: %s", name, err);
    return s;
}

/* The JSON of a run: all there is to know. */
static char *tell(const char *name, const char *define, uint64_t seed)
{
    estab_sim *s = run_ready(name, define, seed);
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    sim_show_json(s, seed, f);
    sim_show_table(s, f);
    fclose(f);
    estab_sim_free(s);
    return text;
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"hosts a", "test:1: 'hosts' begins no line"},
        {"\nhost a a", "test:2: there is a node 'a' already"},
        {"host a!", "test:1: 'a!' is no name"},
        {"host", "test:1: host wants a name"},
        {"host a b\nlink a c", "test:2: there is no node 'c'"},
        {"host a b\nlink a", "test:2: two nodes are missing"},
        {"host a b\nlink a b rate=10", "test:2: \"rate=10\""},
        {"host a b\nlink a b fast", "test:2: 'fast' is no setting of a link"},
        {"host a b\nlink a b\nlink b > a", "test:3: there is a link from 'b' to 'a' already"},
        {"host a b\nlink a a", "test:2: a link from 'a' to itself"},
        {"host a colour=red", "test:1: no setting 'colour'"},
        {"host a sndbuf=1", "test:1: '1' is not octets"},
        {"host a profile=vms", "test:1: no profile 'vms'"},
        {PAIR "flow f bulk a", "test:3: flow NAME"},
        {PAIR "flow f rain a b", "test:3: no kind of flow 'rain'"},
        {PAIR "flow f bulk a b", "test:3: flow 'f' has no end"},
        {PAIR "flow f bulk a b bytes=1kB size=3", "test:3: no setting 'size'"},
        {PAIR "flow f short a b arrivals=0", "test:3: arrivals= must be"},
        {PAIR "at 1s explode a b", "test:3: no event 'explode'"},
        {PAIR "at 1s down a > a", "test:3: there is no link from 'a' to 'a'"},
        {PAIR "at soon down a b", "test:3: 'soon' is not a time"},
        {PAIR "expect f time < 1s", "test:3: there is no flow 'f'"},
        {PAIR "flow f bulk a b bytes=1kB\nexpect f time 1s", "test:4: nothing is known as 'f'"},
        {PAIR "flow f bulk a b bytes=1kB\nexpect f luck < 1", "test:4: nothing is known as 'luck'"},
        {"host a b c\nlink a b\nlink a c\nflow f bulk b c bytes=1kB",
         "test:1: host 'a' has 2 links"},
        {"host a b\nflow f bulk a b bytes=1kB", "test:1: host 'a' has no link"},
        {"host a b\nlink a b rate=$r", "test:2: $r is nothing"},
        {"host a{1..2\n", "test:1: a range is written"},
        {"host a{1..2} b{1..3}", "test:1: ranges of one line must be equally long"},
        {"host a{3..1}", "test:1: a range is written"},
        {"host a{1..1000}\nhost b{1..1000}\nhost c{1..1000}\nhost d{1..1000}\nhost e",
         "test:5: more than 4000 nodes"},
        {PAIR, "test: no flow"},
    };
    struct estab_sim_options opt = {.size = sizeof opt};
    char err[ESTAB_ERRLEN];
    estab_sim *s;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        opt.text = bad[i].text;
        if (estab_sim_new(&s, "test", &opt, err) == 0)
            fail_msg("accepted: %s", bad[i].text);
        if (strncmp(err, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("'%s' instead of '%s'", err, bad[i].says);
    }
    opt.text = NULL;
    assert_int_equal(estab_sim_new(&s, "/no/such/file", &opt, err), -1);
}

static void what_can_only_be_seen_when_all_is_read(void **state)
{
    struct estab_sim_options opt = {.size = sizeof opt};
    char err[ESTAB_ERRLEN];
    estab_sim *s;

    (void)state;
    opt.text = "host a b\nlink a > b\nlink b > a\nhost c\nlink c a\nflow f bulk b c bytes=1kB";
    assert_int_equal(estab_sim_new(&s, "test", &opt, err), -1);
    opt.text = "host a b cc=none\nlink a b\nflow f bulk a b bytes=1kB";
    assert_int_equal(estab_sim_new(&s, "test", &opt, err), 0);
    assert_int_equal(estab_sim_run(s, err), -1);
    assert_non_null(strstr(err, "cc is \"none\""));
    estab_sim_free(s);
    opt.text = PAIR "flow f bulk a b bytes=1kB cc=none";
    assert_int_equal(estab_sim_new(&s, "test", &opt, err), 0);
    assert_int_equal(estab_sim_run(s, err), -1);
    assert_string_equal(err, "test:3: flow 'f': no socket can have cc=none");
    estab_sim_free(s);
    opt.text = "host a b\nrouter r\nlink a r\nlink b > r\nlink r > a2\nhost a2";
    assert_int_equal(estab_sim_new(&s, "test", &opt, err), -1);
}

static void two_runs_are_one(void **state)
{
    static const char *const names[] = {"pair",      "dumbbell",  "wifi",      "mobile",
                                        "satellite", "wanderers", "datacentre"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *define = strcmp(names[i], "wanderers") == 0    ? NULL
                             : strcmp(names[i], "pair") == 0       ? "loss=1%"
                             : strcmp(names[i], "datacentre") == 0 ? "requests=3"
                                                                   : "time=5s";
        char *one = tell(names[i], define, 7), *two = tell(names[i], define, 7);

        assert_string_equal(one, two);
        free(one);
        free(two);
    }
}

static void another_seed_is_another_run(void **state)
{
    char *one = tell("pair", "loss=1%", 7), *two = tell("pair", "loss=1%", 8);

    (void)state;
    assert_string_not_equal(one, two);
    free(one);
    free(two);
}

static void every_topology_that_is_built_in_holds(void **state)
{
    struct estab_sim_options opt = {.size = sizeof opt, .seed = 3, .lasts = ESTAB_S(2)};
    const char *name, *text;
    char err[ESTAB_ERRLEN];
    estab_sim *s;

    (void)state;
    for (size_t i = 0; estab_sim_ready(i, &name, &text); i++) {
        const struct estab_sim_flow *f;
        size_t n;

        if (estab_sim_new(&s, name, &opt, err) || estab_sim_run(s, err))
            fail_msg("%s: %s", name, err);
        assert_held(s);
        f = estab_sim_flows(s, &n);
        assert_true(n > 0 && f[0].octets > 0);
        assert_true(estab_sim_about(s)[0] != '\0');
        estab_sim_free(s);
    }
}

static void a_transfer_takes_as_long_as_the_link_says(void **state)
{
    estab_sim *s = open_text(PAIR "flow f bulk a b bytes=1MB cc=newreno", 1);
    const struct estab_sim_flow *f;
    const struct estab_sim_link *l;
    size_t n;

    (void)state;
    assert_held(s);
    f = estab_sim_flows(s, &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->octets, 1000000);
    assert_int_equal(f->done, 1);
    /* 691 segments of 1500 octets at 10 Mbit/s are 829 ms; a handshake and slow start before. */
    assert_in_range(f->time_max, ESTAB_MS(839), ESTAB_MS(900));
    l = estab_sim_links(s, &n);
    assert_int_equal(n, 2);
    assert_string_equal(l[0].name, "a>b");
    assert_string_equal(l[1].name, "b>a");
    assert_int_equal(l[0].pipe.lost, 0);
    estab_sim_free(s);
}

static void requests_are_answered(void **state)
{
    estab_sim *s =
        open_text("ipv6\n" PAIR "flow f request a b requests=20 request=100B response=1kB", 1);
    const struct estab_sim_flow *f;
    size_t n;

    (void)state;
    assert_held(s);
    f = estab_sim_flows(s, &n);
    assert_int_equal(f->octets, 20 * 1100);
    assert_int_equal(f->ntimes, 20);
    assert_in_range(f->time_p50, ESTAB_MS(10), ESTAB_MS(12));
    estab_sim_free(s);
}

static void sizes_have_a_heavy_tail(void **state)
{
    estab_sim *s = open_text("host a b\nlink a b rate=1Gbit delay=1ms\n"
                             "flow f short a b arrivals=500 conns=2000 alpha=1.1 min=1kB max=1MB",
                             4);
    const struct estab_sim_flow *f;
    size_t n;

    (void)state;
    assert_held(s);
    f = estab_sim_flows(s, &n);
    assert_int_equal(f->done, 2000);
    assert_int_equal(f->failed, 0);
    /* The mean of that distribution is 5 516 octets, its median 1 878. */
    assert_in_range(f->octets / 2000, 4300, 6800);
    estab_sim_free(s);
}

static void an_outage_delays_and_breaks_nothing(void **state)
{
    estab_sim *s = open_text(PAIR "at 200ms down a b\nat 5s up a b\n"
                                  "flow f bulk a b bytes=1MB\nexpect f time > 5s\n"
                                  "expect f time < 10s",
                             1);
    const struct estab_sim_link *l;
    size_t n;

    (void)state;
    assert_held(s);
    l = estab_sim_links(s, &n);
    assert_true(l[0].pipe.outage > 0);
    estab_sim_free(s);
}

static void an_outage_without_end_leaves_no_state(void **state)
{
    estab_sim *s = open_text(PAIR "at 200ms down a b\nflow f bulk a b bytes=1MB\nfor 60s", 1);
    const struct estab_sim_flow *f;
    size_t n;

    (void)state;
    assert_held(s);
    f = estab_sim_flows(s, &n);
    assert_int_equal(f->done, 0);
    estab_sim_free(s);
}

/* Segments go round between two routers while their connection ends by another way, and arrive when
 * it is closed: nobody takes them for his. */
static void wanderers_of_a_loop_arrive_after_the_end(void **state)
{
    estab_sim *s = run_ready("wanderers", NULL, 1);
    const struct estab_sim_flow *f;
    const struct estab_sim_link *l;
    size_t n, i;

    (void)state;
    assert_held(s);
    f = estab_sim_flows(s, &n);
    assert_int_equal(f[0].done + f[1].done, 2);
    assert_true(f[0].time_max < ESTAB_S(5));
    l = estab_sim_links(s, &n);
    for (i = 0; i < n && strcmp(l[i].name, "x>r2") != 0; i++)
        ;
    assert_true(i < n && l[i].pipe.delivered > 10);
    for (i = 0; i < n && strcmp(l[i].name, "x>y") != 0; i++)
        ;
    assert_true(l[i].pipe.delivered > 100);
    estab_sim_free(s);
}

static void a_loop_is_ended_by_the_hop_limit(void **state)
{
    estab_sim *s = open_text("host a b\nrouter r q\nlink a r rate=10Mbit\nlink r q delay=1ms\n"
                             "link q b\nat 20ms route q to b via r\nat 2s route q to b via b\n"
                             "flow f bulk a b bytes=200kB",
                             1);
    const struct estab_sim_node *node;
    size_t n;

    (void)state;
    assert_held(s);
    node = estab_sim_nodes(s, &n);
    assert_int_equal(n, 4);
    assert_true(node[2].expired + node[3].expired > 0);
    estab_sim_free(s);
}

/* Four links that each lead one way only: what comes back takes another way than what went. */
static void a_ring_of_simplex_links_carries_both_directions(void **state)
{
    estab_sim *s = open_text("host a b\nrouter r q\nlink a > r rate=10Mbit delay=1ms\n"
                             "link r > b rate=10Mbit delay=1ms\nlink b > q rate=1Mbit delay=30ms\n"
                             "link q>a rate=1Mbit delay=30ms\nflow f bulk a b bytes=300kB",
                             1);
    const struct estab_sim_node *node;
    size_t n;

    (void)state;
    assert_held(s);
    node = estab_sim_nodes(s, &n);
    assert_true(node[2].forwarded > 200); /* text */
    assert_true(node[3].forwarded > 50 && node[3].forwarded < node[2].forwarded);
    estab_sim_free(s);
}

/* What the wire does to frames must not show above TCP. */
static void damage_of_every_kind_is_mended(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        estab_sim *s = open_text(
            "host a b\nlink a b rate=10Mbit delay=5ms jitter=3ms loss=2% dup=2% reorder=2% "
            "corrupt=2% late=1% late_by=3s\nflow f bulk a b bytes=300kB\n"
            "flow g request b a requests=20 response=5kB",
            seed);

        assert_held(s);
        estab_sim_free(s);
    }
}

static void what_is_expected_is_checked(void **state)
{
    estab_sim *s = open_text(PAIR "flow f bulk a b bytes=1MB\nexpect f time < 500ms", 1);
    const struct estab_sim_report *r = estab_sim_report(s);

    (void)state;
    assert_int_equal(r->verdict, ESTAB_SIM_BROKEN);
    assert_int_equal(r->check, ESTAB_SIM_EXPECT);
    assert_int_equal(r->line, 4);
    assert_non_null(strstr(r->text, "f time < 500ms"));
    estab_sim_free(s);
}

/* Hosts that believe what the link says of checksums let damage through: whoever reads, notices. */
static void an_octet_that_is_not_the_one_sent_is_noticed(void **state)
{
    estab_sim *s = open_text("checksums no\nhost a b\nlink a b rate=10Mbit delay=5ms corrupt=1%\n"
                             "flow f bulk a b bytes=3MB",
                             1);

    (void)state;
    assert_int_equal(estab_sim_report(s)->verdict, ESTAB_SIM_BROKEN);
    assert_int_equal(estab_sim_report(s)->check, ESTAB_SIM_OCTETS);
    estab_sim_free(s);
}

static void a_ceiling_of_memory_is_checked(void **state)
{
    estab_sim *s = open_text(PAIR "memory 50kB\nflow f bulk a b bytes=1MB", 1);

    (void)state;
    assert_int_equal(estab_sim_report(s)->verdict, ESTAB_SIM_BROKEN);
    assert_int_equal(estab_sim_report(s)->check, ESTAB_SIM_MEMORY);
    estab_sim_free(s);
}

static void state_that_outlives_its_time_is_noticed(void **state)
{
    estab_sim *s = open_text(PAIR "drain 10s\nflow f bulk a b bytes=10kB", 1);

    (void)state; /* TIME-WAIT lasts a minute */
    assert_int_equal(estab_sim_report(s)->verdict, ESTAB_SIM_BROKEN);
    assert_int_equal(estab_sim_report(s)->check, ESTAB_SIM_STATE);
    estab_sim_free(s);
}

static const char lossy[] = "host a b\nlink a b rate=10Mbit delay=10ms loss=3% dup=1% jitter=1ms\n"
                            "flow f bulk a b bytes=100kB\nexpect f time < 1s\n";

/* A seed whose SYN is lost takes a second more for that alone. */
static uint64_t seed_that_loses_a_syn(void)
{
    for (uint64_t seed = 1; seed < 500; seed++) {
        estab_sim *s = open_text("host a b\nlink a b delay=10ms loss=3% dup=1% jitter=1ms\n"
                                 "flow f bulk a b bytes=1B\nexpect f time < 1s\n",
                                 seed);
        bool broken = estab_sim_report(s)->verdict == ESTAB_SIM_BROKEN;

        estab_sim_free(s);
        if (broken)
            return seed;
    }
    fail_msg("no seed loses the SYN");
    return 0;
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    size_t n;

    if (!f)
        fail_msg("%s is not there", path);
    assert_non_null(text);
    n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void captures_and_plots_are_written_and_change_nothing(void **state)
{
    char dir[] = "/tmp/estab_sim_XXXXXX", path[64], err[ESTAB_ERRLEN], *text;
    struct estab_sim_options opt = {
        .size = sizeof opt, .seed = 5, .pcap_dir = dir, .plot_dir = dir};
    const char *files[] = {"a-b.pcapng", "samples.tsv", "plot.svg"};
    estab_sim *s, *plain = run_ready("pair", NULL, 5);

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(estab_sim_new(&s, "pair", &opt, err), 0);
    if (estab_sim_run(s, err))
        fail_msg("%s", err);
    assert_held(s);
    assert_true(estab_sim_report(s)->traffic == estab_sim_report(plain)->traffic);
    assert_int_equal(estab_sim_report(s)->frames, estab_sim_report(plain)->frames);
    estab_sim_free(plain);
    estab_sim_free(s); /* closes the captures */
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        text = read_all(path);
        assert_true(text[0] != '\0');
        if (i == 1)
            assert_memory_equal(text, "# s\tbulk:cwnd\tbulk:srtt_ms\tbulk:Mbit/s\ta>b:queue", 48);
        if (i == 2)
            assert_non_null(strstr(text, "</svg>"));
        free(text);
        remove(path);
    }
    remove(dir);
}

/* ---- fates ---- */

static void a_failure_is_shrunk_to_the_frames_it_needs(void **state)
{
    char dir[] = "/tmp/estab_sim_XXXXXX", prefix[64], path[300], err[ESTAB_ERRLEN], *text;
    struct estab_sim_options opt = {
        .size = sizeof opt, .seed = seed_that_loses_a_syn(), .text = lossy};
    struct estab_sim_shrunk r = {.size = sizeof r};
    estab_sim *s;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(prefix, sizeof prefix, "%s/x", dir);
    if (estab_sim_shrink("test", &opt, 1000, prefix, &r, err))
        fail_msg("%s", err);
    assert_true(r.before > 20);
    assert_int_equal(r.after, 1);
    snprintf(path, sizeof path, "%s/x.fates", dir);
    assert_string_equal(r.fates, path);
    text = read_all(r.fates);
    assert_non_null(strstr(text, " 1 lost\n")); /* or the SYN,ACK */
    free(text);

    /* What it wrote fails alike, and each end alone does what it did. */
    opt.fates = r.fates;
    assert_int_equal(estab_sim_new(&s, "test", &opt, err), 0);
    assert_int_equal(estab_sim_run(s, err), 0);
    assert_int_equal(estab_sim_report(s)->check, ESTAB_SIM_EXPECT);
    estab_sim_free(s);
    for (int i = 0; i < 2; i++) {
        assert_true(r.replays[i]);
        text = read_all(r.scripts[i]);
        assert_non_null(strstr(text, i ? "accept(3, ..., ...) = 4" : "connect(3, ..., ...) = -1"));
        free(text);
        remove(r.scripts[i]);
    }
    remove(r.fates);
    remove(dir);
}

static void nothing_is_shrunk_where_nothing_fails(void **state)
{
    struct estab_sim_options opt = {.size = sizeof opt, .text = PAIR "flow f bulk a b bytes=1kB\n"};
    struct estab_sim_shrunk r = {.size = sizeof r};
    char err[ESTAB_ERRLEN];

    (void)state;
    assert_int_equal(estab_sim_shrink("test", &opt, 1000, "/tmp/x", &r, err), -1);
    assert_string_equal(err, "nothing fails");
}

static void mistakes_in_fates_are_told_with_their_line(void **state)
{
    static const char *const bad[] = {"a>c 1 lost",     "a>b lost",    "a>b 1",
                                      "a>b 1 eaten",    "a>b 1 delay", "a>b 1 delay 5",
                                      "a>b 1 corrupt x"};
    char path[] = "/tmp/estab_fates_XXXXXX", err[ESTAB_ERRLEN];
    struct estab_sim_options opt = {.size = sizeof opt, .text = lossy, .fates = path};
    int fd = mkstemp(path);
    estab_sim *s;

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");

        fprintf(f, "# these\na>b 1 lost # the SYN\n%s\n", bad[i]);
        fclose(f);
        if (estab_sim_new(&s, "test", &opt, err) == 0)
            fail_msg("accepted: %s", bad[i]);
        if (!strstr(err, ":3: '"))
            fail_msg("%s", err);
    }
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(what_can_only_be_seen_when_all_is_read),
        cmocka_unit_test(two_runs_are_one),
        cmocka_unit_test(another_seed_is_another_run),
        cmocka_unit_test(every_topology_that_is_built_in_holds),
        cmocka_unit_test(a_transfer_takes_as_long_as_the_link_says),
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(sizes_have_a_heavy_tail),
        cmocka_unit_test(an_outage_delays_and_breaks_nothing),
        cmocka_unit_test(an_outage_without_end_leaves_no_state),
        cmocka_unit_test(wanderers_of_a_loop_arrive_after_the_end),
        cmocka_unit_test(a_loop_is_ended_by_the_hop_limit),
        cmocka_unit_test(a_ring_of_simplex_links_carries_both_directions),
        cmocka_unit_test(damage_of_every_kind_is_mended),
        cmocka_unit_test(what_is_expected_is_checked),
        cmocka_unit_test(an_octet_that_is_not_the_one_sent_is_noticed),
        cmocka_unit_test(a_ceiling_of_memory_is_checked),
        cmocka_unit_test(state_that_outlives_its_time_is_noticed),
        cmocka_unit_test(captures_and_plots_are_written_and_change_nothing),
        cmocka_unit_test(a_failure_is_shrunk_to_the_frames_it_needs),
        cmocka_unit_test(nothing_is_shrunk_where_nothing_fails),
        cmocka_unit_test(mistakes_in_fates_are_told_with_their_line),
    };

    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
