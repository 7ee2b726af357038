/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_channel.c - the decoder of messages against a naive one, whatever the pieces; then a whole
 * channel with the stream as what its peer says.
 *
 * The first octet chooses the length header, plain or numbered, the duplex and the role; the second
 * how the rest comes in pieces. */
#include "channel/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MAX = 300 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static const uint8_t *stream;
static size_t stream_len, stream_at, piece;

/* The message at stream + *at: the octets of it, or 0: not all of it is there, or -1. */
static ptrdiff_t naive(const struct message_format *f, size_t at, uint8_t *type, uint64_t *number,
                       const uint8_t **text, size_t *text_len)
{
    size_t prefix = f->plain ? 0 : MSG_PREFIX;
    uint64_t n;
    int head = estab_length_parse(&n, stream + at, stream_len - at, f->length, f->max + prefix);

    if (head <= 0)
        return head;
    if (n < prefix)
        return -1;
    if (stream_len - at < (size_t)head + n)
        return 0;
    *type = f->plain ? (uint8_t)MSG_MESSAGE : stream[at + (size_t)head];
    *number = 0;
    for (size_t i = 1; i < prefix; i++)
        *number = *number << 8 | stream[at + (size_t)head + i];
    *text = stream + at + (size_t)head + prefix;
    *text_len = (size_t)n - prefix;
    return head + (ptrdiff_t)n;
}

static void against_the_naive_one(const struct message_format *f, const struct estab_env *env)
{
    struct decoder d;
    size_t at = 0;

    decoder_init(&d, f);
    for (size_t from = 0; from < stream_len;) {
        size_t n = piece < stream_len - from ? piece : stream_len - from, left = n;
        const uint8_t *p = stream + from, *text;
        int what;

        while ((what = decoder_go(&d, env, &p, &left)) == DECODED_MESSAGE || what == DECODED_HEAD) {
            struct message *m;
            uint8_t type;
            uint64_t number;
            size_t text_len;
            ptrdiff_t whole;

            if (what == DECODED_HEAD)
                continue;
            m = decoder_take(&d);
            whole = naive(f, at, &type, &number, &text, &text_len);
            must(m && whole > 0 && (m->type | (d.pass ? MSG_PASS : 0)) == type &&
                 m->e.number == number && m->len == text_len);
            must(text_len == 0 || memcmp(m->text, text, text_len) == 0);
            message_free(env, m);
            at += (size_t)whole;
        }
        if (what < 0)
            break;
        from += n;
    }
    decoder_fini(&d, env);
}

/* ---- a channel whose peer says that ---- */

static int adopt_any(void *ctx, const struct estab_addr *peer, void *user, estab_wire *out)
{
    (void)ctx;
    (void)peer;
    (void)user;
    *out = 1;
    return 0;
}

static int always_open(void *ctx, estab_wire w)
{
    (void)ctx;
    (void)w;
    return 0;
}

static ptrdiff_t take_some(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    (void)ctx;
    (void)w;
    must(niov > 0 && iov[0].len > 0);
    return (ptrdiff_t)(iov[0].len < 2 * piece ? iov[0].len : 2 * piece);
}

static ptrdiff_t give_some(void *ctx, estab_wire w, const struct estab_iov *iov, size_t niov)
{
    size_t n = piece < stream_len - stream_at ? piece : stream_len - stream_at, got = 0;

    (void)ctx;
    (void)w;
    if (n == 0)
        return 0;
    for (size_t i = 0; i < niov && got < n; i++) {
        size_t part = n - got < iov[i].len ? n - got : iov[i].len;

        memcpy(iov[i].base, stream + stream_at, part);
        stream_at += part;
        got += part;
    }
    return (ptrdiff_t)got;
}

static void no_more(void *ctx, estab_wire w, bool abort_it)
{
    (void)ctx;
    (void)w;
    (void)abort_it;
}

static void drain(estab_channel *c)
{
    struct estab_iov iov = {NULL, 0};
    struct estab_channel_event e;

    while (estab_channel_next(c, &e)) {
        uint8_t sum = 0;

        for (size_t i = 0; i < e.len; i++)
            sum = (uint8_t)(sum + e.text[i]);
        if (e.kind != ESTAB_CH_REQUEST || sum % 4 == 3)
            continue;
        if (sum % 4 == 2)
            (void)estab_channel_refuse(c, e.number);
        else
            (void)estab_channel_reply(c, e.number, &iov, 1, 0);
    }
}

static void a_channel(uint8_t how, const struct message_format *f, struct estab_virtual *v,
                      const struct estab_env *env)
{
    static const struct estab_transport t = {.open = adopt_any,
                                             .opened = always_open,
                                             .send = take_some,
                                             .recv = give_some,
                                             .close = no_more};
    struct estab_addr peer = {.port = 1};
    struct estab_iov iov = {"ask", 3};
    struct estab_channel_config conf;
    estab_channel *c;
    uint64_t number;

    estab_channel_config_init(&conf);
    conf.length = (uint8_t)f->length;
    conf.plain = f->plain;
    conf.max_message = f->max;
    conf.duplex = how >> 3 & 3;
    conf.inbox_messages = 3;
    conf.in_flight = 2;
    if ((how & 0x20 ? estab_channel_accept(&c, env, &conf, &t, 1)
                    : estab_channel_connect(&c, env, &conf, &t, &peer)) != 0)
        return;
    stream_at = 0;
    for (int i = 0; i < 200 && (stream_at < stream_len || i < 3); i++) {
        estab_channel_run(c);
        if (i % 3 != 1)
            drain(c);
        (void)estab_channel_ask(c, &iov, 1, ESTAB_MS(3), i & 1 ? ESTAB_CH_SAFE : 0, &number);
        if (i == 20 && how & 0x40)
            estab_channel_close(c);
        v->now += ESTAB_MS(1);
    }
    estab_channel_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct message_format f = {.max = MAX};
    struct estab_virtual v;
    struct estab_env env;

    if (len < 2)
        return 0;
    f.length = data[0] & 3;
    f.plain = data[0] & 4;
    piece = data[1] % 64u + 1;
    stream = data + 2;
    stream_len = len - 2;
    estab_virtual_env(&env, &v, 1);
    against_the_naive_one(&f, &env);
    must(v.live == 0);
    a_channel(data[0], &f, &v, &env);
    must(v.live == 0);
    return 0;
}
