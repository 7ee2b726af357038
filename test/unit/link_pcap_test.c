/* SPDX-License-Identifier: BSD-2-Clause */
/* link_pcap_test.c - the recorder: which frame a comment lands on, and what tshark makes of the
 * file. */
#include "link_kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/rule.h"

struct tape {
    struct estab_virtual v;
    struct estab_env env;
    char path[64];
    estab_pcap *pcap;
    estab_link *near, *far; /* near is recorded */
};

static const struct estab_addr ours = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 2}, .port = 80};
static const struct estab_addr theirs = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = 5000};
static const struct estab_addr other = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}, .port = 5001};

static void tape_open(struct tape *t, const struct estab_port_caps *caps)
{
    estab_link *l[2];
    char err[ESTAB_ERRLEN];
    int fd;

    estab_virtual_env(&t->env, &t->v, 1);
    strcpy(t->path, "/tmp/estab-pcap-XXXXXX");
    fd = mkstemp(t->path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(estab_link_pair(l, caps, 0), 0);
    assert_int_equal(estab_pcap_open(&t->pcap, t->path, ESTAB_S(1700000000), err), 0);
    assert_int_equal(estab_link_pcap(&t->near, l[0], t->pcap, t->env.now, t->env.ctx, err), 0);
    t->far = l[1];
}

static void tape_end(struct tape *t)
{
    estab_link_close(t->near);
    estab_link_close(t->far);
    estab_pcap_close(t->pcap);
}

static void put_be(uint8_t *at, uint32_t v, size_t len)
{
    while (len-- > 0) {
        at[len] = (uint8_t)v;
        v >>= 8;
    }
}

/* A TCP segment of IPv4 or IPv6 (by src), with `link_len` octets of Ethernet in front. */
static struct estab_frame segment(uint8_t buf[80], size_t link_len, const struct estab_addr *src,
                                  const struct estab_addr *dst, uint32_t seq, uint8_t flags)
{
    bool v4 = src->ip[10] == 0xff;
    uint8_t *ip = buf + link_len, *tcp = ip + (v4 ? 20 : 40);

    memset(buf, 0, 80);
    if (link_len) {
        memcpy(buf, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
        put_be(buf + 12, v4 ? 0x0800 : 0x86dd, 2);
    }
    if (v4) {
        ip[0] = 0x45;
        ip[3] = 40;
        ip[8] = 64;
        ip[9] = 6;
        memcpy(ip + 12, src->ip + 12, 4);
        memcpy(ip + 16, dst->ip + 12, 4);
    } else {
        ip[0] = 0x60;
        ip[5] = 20;
        ip[6] = 6;
        ip[7] = 64;
        memcpy(ip + 8, src->ip, 16);
        memcpy(ip + 24, dst->ip, 16);
    }
    put_be(tcp, src->port, 2);
    put_be(tcp + 2, dst->port, 2);
    put_be(tcp + 4, seq, 4);
    tcp[12] = 0x50;
    tcp[13] = flags;
    return kit_frame(buf, link_len + (v4 ? 40u : 60u));
}

static void goes_out(struct tape *t, const struct estab_addr *to, uint32_t seq, uint8_t flags)
{
    uint8_t buf[80];
    struct estab_frame f = segment(buf, 0, &ours, to, seq, flags);

    t->v.now += ESTAB_MS(1);
    assert_int_equal(estab_link_send(t->near, &f, 1), 1);
}

static void comes_in(struct tape *t, const struct estab_addr *from, uint32_t seq, uint8_t flags)
{
    uint8_t buf[80];
    struct estab_frame f = segment(buf, 0, from, &ours, seq, flags), got[4];

    t->v.now += ESTAB_MS(1);
    assert_int_equal(estab_link_send(t->far, &f, 1), 1);
    assert_int_equal(estab_link_recv(t->near, got, 4), 1);
}

static void nothing_comes_in(struct tape *t)
{
    struct estab_frame got;

    assert_int_equal(estab_link_recv(t->near, &got, 1), 0);
}

static void trace_state(struct tape *t, const struct estab_addr *peer, enum estab_tcp_state from,
                        enum estab_tcp_state to, enum estab_cause cause)
{
    struct estab_trace r = {.at = t->v.now,
                            .kind = ESTAB_TR_STATE,
                            .cause = cause,
                            .from = from,
                            .to = to,
                            .local = ours};

    if (peer)
        r.peer = *peer;
    estab_pcap_trace(t->pcap, &r);
}

static void trace_rule(struct tape *t, enum estab_trace_kind kind, unsigned rule, uint32_t seq)
{
    struct estab_trace r = {.at = t->v.now,
                            .kind = kind,
                            .rule = (uint16_t)rule,
                            .seq = seq,
                            .len = 2920,
                            .timer = ESTAB_T_REXMT,
                            .local = ours,
                            .peer = theirs};

    estab_pcap_trace(t->pcap, &r);
}

static uint32_t le(const uint8_t *at, size_t len)
{
    uint32_t v = 0;

    while (len-- > 0)
        v = v << 8 | at[len];
    return v;
}

/* Renders the file: "<" or ">" for each packet in or out, its comments in brackets. */
static void render(struct tape *t, char *out, size_t room)
{
    static uint8_t file[262144];
    FILE *f = fopen(t->path, "rb");
    size_t len = fread(file, 1, sizeof file, f), at = 0, n = 0, block, opt, end, opt_len;

    fclose(f);
    unlink(t->path);
    out[0] = '\0';
    assert_int_equal(le(file, 4), 0x0a0d0d0a);
    assert_int_equal(le(file + 8, 4), 0x1a2b3c4d);
    for (; at < len; at += block) {
        block = le(file + at + 4, 4);
        assert_true(block % 4 == 0 && block >= 12 && at + block <= len);
        assert_int_equal(le(file + at + block - 4, 4), block);
        if (le(file + at, 4) != 6)
            continue;
        opt = at + 28 + (le(file + at + 20, 4) + 3) / 4 * 4;
        end = at + block - 4;
        for (; le(file + opt, 2) != 0; opt += 4 + (opt_len + 3) / 4 * 4) {
            opt_len = le(file + opt + 2, 2);
            assert_true(opt + 4 + opt_len <= end);
            if (le(file + opt, 2) == 2)
                n += (size_t)snprintf(out + n, room - n, "%c",
                                      le(file + opt + 4, 4) == 1 ? '<' : '>');
            if (le(file + opt, 2) == 1)
                n += (size_t)snprintf(out + n, room - n, "[%.*s]", (int)opt_len,
                                      (char *)file + opt + 4);
            assert_true(n < room);
        }
        assert_int_equal(opt + 4, end);
    }
}

static void assert_tape(struct tape *t, const char *want)
{
    static char got[16384];

    tape_end(t);
    render(t, got, sizeof got);
    assert_string_equal(got, want);
}

/* The words for an edge and for a rule are the library's. */
static const char *edge(enum estab_tcp_state from, enum estab_tcp_state to, enum estab_cause by)
{
    static char text[4][128];
    static unsigned i;
    char *t = text[i++ % 4];

    snprintf(t, 128, "%s -> %s (%s)", estab_state_name(from), estab_state_name(to),
             estab_edge_event(from, to, by));
    return t;
}

static void a_change_by_a_segment_is_the_segments(void **state)
{
    struct tape t;
    char want[512];

    (void)state;
    tape_open(&t, &kit_ip);
    trace_state(&t, &theirs, ESTAB_CLOSED, ESTAB_SYN_SENT, ESTAB_BY_USER);
    goes_out(&t, &theirs, 1, ESTAB_SYN);
    comes_in(&t, &theirs, 7, ESTAB_SYN | ESTAB_ACK);
    trace_state(&t, &theirs, ESTAB_SYN_SENT, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT);
    nothing_comes_in(&t);
    goes_out(&t, &theirs, 2, ESTAB_ACK);
    snprintf(want, sizeof want, ">[%s]<[%s]>", edge(ESTAB_CLOSED, ESTAB_SYN_SENT, ESTAB_BY_USER),
             edge(ESTAB_SYN_SENT, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT));
    assert_tape(&t, want);
}

static void what_a_user_does_is_on_the_next_frame_of_its_connection(void **state)
{
    struct tape t;
    char want[512];

    (void)state;
    tape_open(&t, &kit_ip);
    comes_in(&t, &theirs, 7, ESTAB_ACK);
    trace_state(&t, &theirs, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
    goes_out(&t, &other, 2, ESTAB_ACK);
    comes_in(&t, &theirs, 7, ESTAB_ACK);
    goes_out(&t, &theirs, 2, ESTAB_FIN);
    snprintf(want, sizeof want, "<><>[%s]",
             edge(ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER));
    assert_tape(&t, want);
}

static void a_refusal_names_its_rule(void **state)
{
    struct tape t;
    char want[512];

    (void)state;
    tape_open(&t, &kit_ip);
    comes_in(&t, &theirs, 7, ESTAB_RST);
    trace_rule(&t, ESTAB_TR_SEG_IN, 0, 7);
    trace_rule(&t, ESTAB_TR_DROP, RULE_BLIND_RST, 7);
    comes_in(&t, &theirs, 8, ESTAB_ACK);
    snprintf(want, sizeof want, "<[dropped: %s, %s]<", estab_rule_name(RULE_BLIND_RST),
             estab_rule_ref(RULE_BLIND_RST));
    assert_tape(&t, want);
}

static void a_timer_is_on_what_it_makes_the_connection_send(void **state)
{
    struct tape t;
    char want[1024], rule[128];

    (void)state;
    tape_open(&t, &kit_ip);
    snprintf(rule, sizeof rule, "%s, %s", estab_rule_name(RULE_BLIND_RST),
             estab_rule_ref(RULE_BLIND_RST));
    comes_in(&t, &theirs, 7, ESTAB_ACK);
    trace_rule(&t, ESTAB_TR_TIMER, 0, 0); /* the segment is still held back, but not its cause */
    trace_rule(&t, ESTAB_TR_CC, RULE_BLIND_RST, 0);
    trace_rule(&t, ESTAB_TR_SEG_OUT, RULE_BLIND_RST, 1000);
    trace_rule(&t, ESTAB_TR_SEG_OUT, 0, 2000);
    goes_out(&t, &theirs, 2000, ESTAB_ACK);
    goes_out(&t, &theirs, 1000, ESTAB_ACK);
    snprintf(want, sizeof want, "<>[timer: %s][cwnd is 2920: %s]>[sent again: %s]",
             estab_timer_name(ESTAB_T_REXMT), rule, rule);
    assert_tape(&t, want);
}

static void a_record_that_no_frame_follows_is_on_the_last_one(void **state)
{
    struct tape t;
    char want[1024];

    (void)state;
    tape_open(&t, &kit_ip);
    goes_out(&t, &theirs, 1, ESTAB_ACK);
    t.v.now = ESTAB_S(2);
    trace_state(&t, &theirs, ESTAB_TIME_WAIT, ESTAB_CLOSED, ESTAB_BY_TIMEOUT);
    trace_state(&t, NULL, ESTAB_CLOSED, ESTAB_LISTEN, ESTAB_BY_USER);
    comes_in(&t, &other, 8, ESTAB_ACK);
    trace_state(&t, &other, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
    snprintf(want, sizeof want,
             ">[at 2.000000000 s, 10.0.0.2:80 - 10.0.0.1:5000: %s]"
             "[at 2.000000000 s, 10.0.0.2:80 - [::]:0: %s]"
             "<[at 2.001000000 s, 10.0.0.2:80 - 10.0.0.1:5001: %s]",
             edge(ESTAB_TIME_WAIT, ESTAB_CLOSED, ESTAB_BY_TIMEOUT),
             edge(ESTAB_CLOSED, ESTAB_LISTEN, ESTAB_BY_USER),
             edge(ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER));
    assert_tape(&t, want);
}

static void what_waits_is_bounded_and_not_lost(void **state)
{
    struct tape t;
    static char got[16384];
    size_t comments = 0;

    (void)state;
    tape_open(&t, &kit_ip);
    goes_out(&t, &other, 1, ESTAB_ACK);
    for (int i = 0; i < 100; i++)
        trace_state(&t, &theirs, ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, ESTAB_BY_USER);
    tape_end(&t);
    render(&t, got, sizeof got);
    for (char *at = got; (at = strchr(at, '[')); at++)
        comments++;
    assert_int_equal(comments, 100);
}

static void comments_on_one_frame_are_bounded(void **state)
{
    struct tape t;
    static char got[131072];
    unsigned long long more;
    size_t comments = 0;
    char *last;

    (void)state;
    tape_open(&t, &kit_ip);
    goes_out(&t, &theirs, 1, ESTAB_ACK);
    for (int i = 0; i < 10000; i++)
        trace_state(&t, &theirs, ESTAB_TIME_WAIT, ESTAB_CLOSED, ESTAB_BY_TIMEOUT);
    goes_out(&t, &theirs, 2, ESTAB_ACK);
    tape_end(&t);
    render(&t, got, sizeof got);
    for (char *at = got; (at = strchr(at, '[')); at++)
        comments++;
    last = strrchr(got, '[');
    assert_int_equal(sscanf(last, "[and %llu more]>", &more), 1);
    assert_int_equal(comments - 1 + more, 10000);
}

static void one_frame_is_lent_at_a_time(void **state)
{
    struct tape t;
    struct estab_frame got[4];
    uint8_t a[80], b[80];
    struct estab_frame f[2] = {segment(a, 0, &theirs, &ours, 1, ESTAB_ACK),
                               segment(b, 0, &theirs, &ours, 2, ESTAB_ACK)};

    (void)state;
    tape_open(&t, &kit_ip);
    assert_int_equal(estab_link_send(t.far, f, 2), 2);
    assert_int_equal(estab_link_recv(t.near, got, 4), 1);
    assert_int_equal(estab_link_recv(t.near, got, 4), 1);
    assert_int_equal(estab_link_recv(t.near, got, 4), 0);
    assert_int_equal(t.near->frames_in, 2);
    assert_tape(&t, "<<");
}

static void a_lost_frame_is_marked(void **state)
{
    static const uint8_t big[2000] = {0x45};
    struct estab_frame f = kit_frame(big, sizeof big);
    struct tape t;

    (void)state;
    tape_open(&t, &kit_ip);
    assert_int_equal(estab_link_send(t.near, &f, 1), 0);
    assert_int_equal(t.near->lost_out, 1);
    assert_tape(&t, ">[lost here: the link did not take it]");
}

static void an_empty_recording_is_a_file(void **state)
{
    struct tape t;

    (void)state;
    tape_open(&t, &kit_ip);
    trace_state(&t, &theirs, ESTAB_CLOSED, ESTAB_SYN_SENT, ESTAB_BY_USER);
    assert_tape(&t, "");
}

static void a_path_that_cannot_be_written_is_named(void **state)
{
    estab_pcap *p = NULL;
    char err[ESTAB_ERRLEN];

    (void)state;
    assert_int_equal(estab_pcap_open(&p, "/no/such/dir/x.pcapng", 0, err), -1);
    assert_string_equal(err, "/no/such/dir/x.pcapng: cannot be written: No such file or directory");
    assert_null(p);
    estab_pcap_close(NULL);
}

static void a_full_disk_ends_the_recording_not_the_link(void **state)
{
    estab_link *l[2], *near;
    estab_pcap *p;
    uint8_t buf[80];
    struct estab_frame f = segment(buf, 0, &ours, &theirs, 1, ESTAB_ACK);
    char err[ESTAB_ERRLEN];

    (void)state;
    if (access("/dev/full", W_OK))
        skip();
    assert_int_equal(estab_link_pair(l, &kit_ip, 0), 0);
    assert_int_equal(estab_pcap_open(&p, "/dev/full", 0, err), 0);
    assert_int_equal(estab_link_pcap(&near, l[0], p, NULL, NULL, err), 0);
    for (int i = 0; i < 1000; i++) /* more than any buffer of stdio */
        assert_int_equal(estab_link_send(near, &f, 1), 1);
    assert_string_equal(near->error, "/dev/full: recording stopped: No space left on device; the "
                                     "file ends before this");
    assert_int_equal(estab_pcap_flush(p, err), -1);
    assert_string_equal(err, near->error);
    estab_link_close(near);
    estab_link_close(l[1]);
    estab_pcap_close(p);
}

/* ---- tshark ---- */

static void assert_tshark(struct tape *t, const char *fields, const char *want)
{
    char command[512], got[2048];
    size_t len;
    FILE *f;

    tape_end(t);
    snprintf(command, sizeof command, "tshark -n -r %s -T fields -E separator=/s %s 2>/dev/null",
             t->path, fields);
    f = popen(command, "r");
    assert_non_null(f);
    len = fread(got, 1, sizeof got - 1, f);
    got[len] = '\0';
    assert_int_equal(pclose(f), 0);
    unlink(t->path);
    assert_string_equal(got, want);
}

static bool has_tshark(void)
{
    return system("tshark --version >/dev/null 2>&1") == 0;
}

static void tshark_reads_time_direction_and_comments(void **state)
{
    struct tape t;
    char want[512];

    (void)state;
    if (!has_tshark())
        skip();
    tape_open(&t, &kit_ip);
    goes_out(&t, &theirs, 1, ESTAB_SYN);
    comes_in(&t, &theirs, 7, ESTAB_SYN | ESTAB_ACK);
    trace_state(&t, &theirs, ESTAB_SYN_SENT, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT);
    snprintf(want, sizeof want,
             "1700000000.001000000 0x00000002 80 5000 \n"
             "1700000000.002000000 0x00000001 5000 80 %s\n",
             edge(ESTAB_SYN_SENT, ESTAB_ESTABLISHED, ESTAB_BY_SEGMENT));
    assert_tshark(&t,
                  "-e frame.time_epoch -e frame.packet_flags_direction -e tcp.srcport "
                  "-e tcp.dstport -e frame.comment",
                  want);
}

static void tshark_reads_ethernet_and_ipv6(void **state)
{
    static const struct estab_port_caps caps = {.medium = ESTAB_MEDIUM_ETHERNET, .mtu = 1500};
    static const struct estab_addr a = {.ip = {0xfd, [15] = 2}, .port = 80};
    static const struct estab_addr b = {.ip = {0xfd, [15] = 1}, .port = 5000};
    struct estab_trace r = {
        .kind = ESTAB_TR_TIMER, .timer = ESTAB_T_REXMT, .local = a, .peer = b, .at = 5};
    struct tape t;
    uint8_t buf[80];
    struct estab_frame f = segment(buf, 14, &a, &b, 99, ESTAB_ACK);
    char want[256];

    (void)state;
    if (!has_tshark())
        skip();
    tape_open(&t, &caps);
    estab_pcap_trace(t.pcap, &r);
    assert_int_equal(estab_link_send(t.near, &f, 1), 1);
    snprintf(want, sizeof want, "02:00:00:00:00:02 fd00::2 fd00::1 99 pair:a timer: %s\n",
             estab_timer_name(ESTAB_T_REXMT));
    assert_tshark(&t,
                  "-e eth.src -e ipv6.src -e ipv6.dst -e tcp.seq_raw -e frame.interface_name "
                  "-e frame.comment",
                  want);
}

static void tshark_reads_how_long_a_cut_frame_was(void **state)
{
    struct tape t;

    (void)state;
    if (!has_tshark())
        skip();
    tape_open(&t, &kit_ip);
    goes_out(&t, &theirs, 1, ESTAB_SYN);
    estab_pcap_snap(t.pcap, 36);
    goes_out(&t, &theirs, 2, ESTAB_ACK);
    estab_pcap_snap(t.pcap, 0);
    goes_out(&t, &theirs, 3, ESTAB_ACK);
    assert_tshark(&t, "-e frame.len -e frame.cap_len -e tcp.dstport",
                  "40 40 5000\n40 36 5000\n40 40 5000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_by_a_segment_is_the_segments),
        cmocka_unit_test(what_a_user_does_is_on_the_next_frame_of_its_connection),
        cmocka_unit_test(a_refusal_names_its_rule),
        cmocka_unit_test(a_timer_is_on_what_it_makes_the_connection_send),
        cmocka_unit_test(a_record_that_no_frame_follows_is_on_the_last_one),
        cmocka_unit_test(what_waits_is_bounded_and_not_lost),
        cmocka_unit_test(comments_on_one_frame_are_bounded),
        cmocka_unit_test(one_frame_is_lent_at_a_time),
        cmocka_unit_test(a_lost_frame_is_marked),
        cmocka_unit_test(an_empty_recording_is_a_file),
        cmocka_unit_test(a_path_that_cannot_be_written_is_named),
        cmocka_unit_test(a_full_disk_ends_the_recording_not_the_link),
        cmocka_unit_test(tshark_reads_time_direction_and_comments),
        cmocka_unit_test(tshark_reads_ethernet_and_ipv6),
        cmocka_unit_test(tshark_reads_how_long_a_cut_frame_was),
    };

    return cmocka_run_group_tests_name("link_pcap", tests, NULL, NULL);
}
