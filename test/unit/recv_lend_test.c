/* SPDX-License-Identifier: BSD-2-Clause */
/* recv_lend_test.c - a buffer of the user's that text goes straight into: the same octets in the
 * same order, whichever way each of them came. */
#include "unit/peer.h"

static uint8_t buf[4096];

static void lends(struct peer *p, uint32_t len)
{
    memset(buf, 0, sizeof buf);
    assert_int_equal(estab_recv_lend(p->s, p->k, buf, len), 0);
}

/* n octets, which are the pattern's from `number` on. */
static void takes_back(struct peer *p, uint32_t number, uint32_t n)
{
    assert_int_equal(estab_recv_end(p->s, p->k), n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(buf[i], peer_octet(number + i));
}

static void text_arrives(struct peer *p, uint32_t seq, uint32_t len)
{
    sends(p, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = len));
}

static void what_comes_is_in_it(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    text_arrives(p, 1, 1000);
    text_arrives(p, 1001, 1000);
    text_arrives(p, 2001, 10);
    takes_back(p, 1, 2010);
    assert_int_equal(estab_recv_end(p->s, p->k), ESTAB_E_INVAL);
}

static void what_was_unread_is_in_front(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    text_arrives(p, 1, 300);
    lends(p, 4096);
    text_arrives(p, 301, 300);
    takes_back(p, 1, 600);
}

/* What finds no room waits as ever, and so does what comes behind it. */
static void what_does_not_fit_is_read_afterwards(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 1500);
    text_arrives(p, 1, 1000);
    text_arrives(p, 1001, 1000);
    text_arrives(p, 2001, 100);
    takes_back(p, 1, 1500);
    user_hears(p, 1501, 600);
}

static void what_came_out_of_order_has_its_place(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    text_arrives(p, 1, 100);
    text_arrives(p, 201, 100);
    text_arrives(p, 101, 100);
    text_arrives(p, 301, 100);
    takes_back(p, 1, 400);
}

static void a_wrong_checksum_counts_for_nothing(void **state)
{
    struct peer *p = *state;
    uint8_t frame[PEER_FRAME], *packet;
    struct estab_frame f = {.niov = 1};

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    text_arrives(p, 1, 100);
    f.iov[0].len =
        peer_build(p, SEG(.flags = ACK, .seq = 101, .ack = 1, .len = 100), frame, &packet);
    f.iov[0].base = packet;
    packet[f.iov[0].len - 1] ^= 1;
    assert_int_equal(estab_input(p->s, 0, &f, 1), 0);
    takes_back(p, 1, 100);
}

static void it_is_told_like_text_that_is_read(void **state)
{
    struct peer *p = *state;
    struct estab_iov v = {buf, 10};
    struct estab_event e;

    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(estab_watch(p->s, p->k, ESTAB_EV_IN | ESTAB_EV_RDHUP, NULL), 0);
    while (estab_events(p->s, &e, 1) == 1)
        ;
    lends(p, 4096);
    assert_int_equal(estab_recv_lend(p->s, p->k, buf, 1), ESTAB_E_INVAL);
    assert_int_equal(estab_recv(p->s, p->k, &v, 1, 0), ESTAB_E_INVAL);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_IN);
    text_arrives(p, 1, 100);
    assert_int_equal(estab_events(p->s, &e, 1), 1);
    assert_true(e.mask & ESTAB_EV_IN);
    assert_true(estab_ready(p->s, p->k) & ESTAB_EV_IN);
    takes_back(p, 1, 100);
    assert_false(estab_ready(p->s, p->k) & ESTAB_EV_IN);
}

/* Nothing came: what estab_recv() would say. */
static void without_text_it_ends_as_a_read_does(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 10);
    assert_int_equal(estab_recv_end(p->s, p->k), ESTAB_E_AGAIN);
    lends(p, 10);
    sends(p, SEG(.flags = FIN | ACK, .seq = 1, .ack = 1));
    takes_back(p, 1, 0);
    lends(p, 10);
    sends(p, SEG(.flags = RST, .seq = 2));
    assert_int_equal(estab_recv_end(p->s, p->k), ESTAB_E_RESET);
    assert_int_equal(estab_recv_lend(p->s, p->k, buf, 10), ESTAB_E_NOTCONN);
}

/* Nobody writes into it after the handle's end: AddressSanitizer would tell. */
static void the_handle_ends_the_loan(void **state)
{
    struct peer *p = *state;
    uint8_t *own = malloc(1000);

    assert_non_null(own);
    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(estab_recv_lend(p->s, p->k, own, 1000), 0);
    user_closes(p);
    free(own);
    text_arrives(p, 1, 100);
}

static void a_window_is_not_used_up_by_it(void **state)
{
    struct peer *p = *state;
    uint32_t seq = 1, wnd = 0;

    user_connects_with(p, SEG(.mss = 1460));
    for (int round = 0; round < 100; round++) {
        lends(p, 2000);
        text_arrives(p, seq, 1000);
        text_arrives(p, seq + 1000, 1000);
        takes_back(p, seq, 2000);
        seq += 2000;
        while (has_got(p))
            wnd = got(p)->wnd;
    }
    assert_int_equal(info_of(p).unread, 0);
    assert_true(wnd > 0);
}

/* ---- read to where it belongs, estab_input_place() ---- */

static struct estab_place place_of(struct peer *p)
{
    struct estab_place at = {0};

    assert_int_equal(estab_input_place(p->s, 0, &at), 1);
    return at;
}

/* A frame as a driver reads it that was told `at`: from `own`, but what belongs there; its last
 * octet changed, or not.  The next one's text goes behind this one's. */
static struct estab_frame read_to(struct peer *p, struct estab_place *at, const struct pkt *k,
                                  uint8_t own[PEER_FRAME], bool damaged)
{
    uint8_t frame[PEER_FRAME], *packet;
    size_t len = peer_build(p, k, frame, &packet);
    size_t head = len < at->head ? len : at->head, rest = len - head;
    size_t placed = rest < at->len ? rest : at->len;
    struct estab_frame f = {.iov = {{own, head}}, .niov = 1};

    packet[len - 1] ^= damaged;
    memcpy(own, packet, len);
    if (placed > 0) {
        memcpy(at->to, packet + head, placed);
        f.iov[f.niov++] = (struct estab_iov){at->to, placed};
        at->to = (uint8_t *)at->to + placed;
        at->len -= placed;
    }
    if (rest > placed)
        f.iov[f.niov++] = (struct estab_iov){own + head + placed, rest - placed};
    return f;
}

static void arrives_at(struct peer *p, const struct estab_place *at, const struct pkt *k,
                       bool damaged)
{
    static uint8_t own[PEER_FRAME];
    struct estab_place copy = *at;
    struct estab_frame f = read_to(p, &copy, k, own, damaged);

    assert_int_equal(estab_input(p->s, 0, &f, 1), 0);
}

static void text_arrives_at(struct peer *p, const struct estab_place *at, uint32_t seq,
                            uint32_t len)
{
    arrives_at(p, at, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = len), false);
}

static void what_is_read_to_its_place_stays_there(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    at = place_of(p);
    assert_ptr_equal(at.to, buf);
    assert_int_equal(at.len, 4096);
    assert_int_equal(at.head, 40);
    text_arrives_at(p, &at, 1, 1000);
    at = place_of(p);
    assert_ptr_equal(at.to, buf + 1000);
    assert_int_equal(at.len, 3096);
    text_arrives_at(p, &at, 1001, 1000);
    takes_back(p, 1, 2000);
}

static void timestamps_are_part_of_the_head(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460, .ts = true));
    lends(p, 4096);
    at = place_of(p);
    assert_int_equal(at.head, 52);
    text_arrives_at(p, &at, 1, 999);
    at = place_of(p);
    text_arrives_at(p, &at, 1000, 1001);
    takes_back(p, 1, 2000);
}

/* Two were read before the stack saw the first, which was not what was thought: the second lies too
 * far behind. */
static void swapped(struct peer *p, uint32_t seq, uint32_t n, uint32_t ahead)
{
    struct estab_place first = place_of(p), second = first;

    second.to = (uint8_t *)second.to + ahead;
    second.len -= ahead;
    text_arrives_at(p, &first, seq + n, ahead);
    text_arrives_at(p, &second, seq, n);
    takes_back(p, seq, n + ahead);
}

static void what_is_not_next_is_taken_from_its_place(void **state)
{
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    swapped(p, 1, 500, 100);
    lends(p, 4096);
    swapped(p, 601, 500, 1000);
    lends(p, 4096);
    swapped(p, 2101, 500, 500);
}

static void a_longer_head_is_no_harm(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    lends(p, 4096);
    at = place_of(p);
    arrives_at(p, &at,
               SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 700, .nsack = 1,
                   .sack = {{seq_of(1), seq_of(1)}}),
               false);
    at = place_of(p);
    assert_int_equal(at.len, 0); /* that lies in the queue */
    takes_back(p, 1, 700);
}

static void a_shorter_head_is_no_harm(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    at = place_of(p);
    at.head += 12;
    text_arrives_at(p, &at, 1, 700);
    takes_back(p, 1, 700);
}

static void more_than_fits_is_no_harm(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 1000);
    at = place_of(p);
    text_arrives_at(p, &at, 1, 1400);
    takes_back(p, 1, 1000);
    user_hears(p, 1001, 400);
}

static void damage_at_its_place_counts_for_nothing(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460));
    lends(p, 4096);
    at = place_of(p);
    arrives_at(p, &at, SEG(.flags = ACK, .seq = 1, .ack = 1, .len = 100), true);
    text_arrives(p, 1, 50);
    takes_back(p, 1, 50);
}

/* Of a full buffer that is said once: nobody waits for a user that does not come. */
static void there_is_no_place_without_room(void **state)
{
    struct peer *p = *state;
    struct estab_place at;

    user_connects_with(p, SEG(.mss = 1460));
    assert_int_equal(estab_input_place(p->s, 0, &at), 0);
    assert_int_equal(estab_input_place(p->s, 7, &at), ESTAB_E_INVAL);
    assert_int_equal(estab_input_place(p->s, -1, &at), ESTAB_E_INVAL);
    lends(p, 1000);
    text_arrives(p, 1, 1000);
    assert_int_equal(place_of(p).len, 0);
    assert_int_equal(estab_input_place(p->s, 0, &at), 0);
    takes_back(p, 1, 1000);
    lends(p, 1000);
    assert_int_equal(place_of(p).len, 1000);
    text_arrives(p, 1101, 100); /* behind a gap: what comes next may be any of two */
    assert_int_equal(estab_input_place(p->s, 0, &at), 0);
    user_closes(p);
    assert_int_equal(estab_input_place(p->s, 0, &at), 0);
}

enum { ALL = 60000, BATCH = 6 };
struct stream { /* what the peer sends, in any order */
    bool sent[ALL + 1];
    uint32_t edge; /* the first number that was not */
    uint32_t read;
    uint32_t seed;
};

static uint32_t any_of(struct stream *s, uint32_t n)
{
    s->seed = s->seed * 1664525 + 1013904223;
    return (s->seed >> 8) % n;
}

/* Mostly what comes next; verified by the device already, or not. */
static struct estab_frame any_text(struct peer *p, struct stream *s, struct estab_place *at,
                                   uint8_t own[PEER_FRAME], bool verified)
{
    struct estab_frame f;
    uint32_t seq = s->edge + (any_of(s, 3) ? 0 : any_of(s, 700)), len = 1 + any_of(s, 600);
    uint32_t back = any_of(s, 4) ? 0 : any_of(s, 400);
    bool damaged = any_of(s, 8) == 0;

    seq = seq > back ? seq - back : 1;
    if (seq >= ALL)
        seq = ALL - 1;
    if (len > ALL - seq)
        len = ALL - seq;
    for (uint32_t i = 0; i < len && !damaged; i++)
        s->sent[seq + i] = true;
    while (s->edge < ALL && s->sent[s->edge])
        s->edge++;
    f = read_to(p, at, SEG(.flags = ACK, .seq = seq, .ack = 1, .len = len), own, damaged);
    if (verified && !damaged)
        f.off.flags = ESTAB_OFF_DATA_VALID;
    return f;
}

static void takes_what_there_is(struct peer *p, struct stream *s)
{
    ptrdiff_t n = estab_recv_end(p->s, p->k);

    assert_true(n > 0 || n == ESTAB_E_AGAIN);
    for (ptrdiff_t i = 0; i < n; i++)
        assert_int_equal(buf[i], peer_octet(s->read++));
}

/* Batches of text in and out of order, sent twice, damaged, read to where the first belongs and
 * behind, or, by a driver that is wrong about it, a little further: every octet of the stream is
 * the peer's, whatever lay in the buffer meanwhile. */
static void whatever_is_read_there_the_stream_is_right(void **state)
{
    static uint8_t own[BATCH][PEER_FRAME];
    static struct stream s;
    struct peer *p = *state;

    user_connects_with(p, SEG(.mss = 1460, .sack_ok = true));
    s = (struct stream){.edge = 1, .read = 1, .seed = 1};
    for (int loans = 0; loans < 2000 && s.read < ALL; loans++) {
        struct estab_place at = {0};
        struct estab_frame f[BATCH];
        uint32_t n = 1 + any_of(&s, BATCH);

        lends(p, 1 + any_of(&s, sizeof buf));
        for (uint32_t round = 1 + any_of(&s, 3); round > 0; round--) {
            bool wrong = any_of(&s, 10) == 0;

            if (estab_input_place(p->s, 0, &at) != 1)
                at = (struct estab_place){0};
            if (wrong)
                at.head += any_of(&s, 20);
            for (uint32_t i = 0; i < n; i++)
                f[i] = any_text(p, &s, &at, own[i], !wrong && any_of(&s, 2));
            assert_int_equal(estab_input(p->s, 0, f, n), 0);
            ignores_all(p);
        }
        takes_what_there_is(p, &s);
    }
    assert_int_equal(s.read, ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(what_comes_is_in_it),
        PEER_TEST(what_was_unread_is_in_front),
        PEER_TEST(what_does_not_fit_is_read_afterwards),
        PEER_TEST(what_came_out_of_order_has_its_place),
        PEER_TEST(a_wrong_checksum_counts_for_nothing),
        PEER_TEST(it_is_told_like_text_that_is_read),
        PEER_TEST(without_text_it_ends_as_a_read_does),
        PEER_TEST(the_handle_ends_the_loan),
        PEER_TEST(a_window_is_not_used_up_by_it),
        PEER_TEST(what_is_read_to_its_place_stays_there),
        PEER_TEST(timestamps_are_part_of_the_head),
        PEER_TEST(what_is_not_next_is_taken_from_its_place),
        PEER_TEST(a_longer_head_is_no_harm),
        PEER_TEST(a_shorter_head_is_no_harm),
        PEER_TEST(more_than_fits_is_no_harm),
        PEER_TEST(damage_at_its_place_counts_for_nothing),
        PEER_TEST(there_is_no_place_without_room),
        PEER_TEST(whatever_is_read_there_the_stream_is_right),
    };

    return cmocka_run_group_tests_name("recv_lend", tests, NULL, NULL);
}
