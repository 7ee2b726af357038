/* SPDX-License-Identifier: BSD-2-Clause */
/* message.c - messages on the wire: heads, and a decoder that takes a stream in any pieces. */
#include "message.h"

#include <stdalign.h>
#include <string.h>

size_t message_head(uint8_t out[MSG_HEAD_MAX], const struct message_format *f, uint8_t type,
                    uint64_t number, uint64_t text_len)
{
    uint64_t prefix = f->plain ? 0 : MSG_PREFIX;
    size_t len;

    if (text_len > f->max || text_len > UINT64_MAX - prefix)
        return 0;
    len = estab_length_emit(out, f->length, text_len + prefix);
    if (len == 0 || f->plain)
        return len;
    out[len] = type;
    for (size_t i = MSG_PREFIX; i > 1; i--, number >>= 8)
        out[len + i - 1] = (uint8_t)number;
    return len + MSG_PREFIX;
}

void message_free_text(const struct estab_env *env, struct message *m)
{
    if (m->text)
        env->free(env->ctx, m->text, m->cap, 1);
    m->text = NULL;
    m->cap = 0;
}

void message_free(const struct estab_env *env, struct message *m)
{
    if (!m)
        return;
    message_free_text(env, m);
    env->free(env->ctx, m, sizeof *m, alignof(struct message));
}

void decoder_init(struct decoder *d, const struct message_format *f)
{
    *d = (struct decoder){.format = *f};
}

void decoder_fini(struct decoder *d, const struct estab_env *env)
{
    message_free(env, d->m);
    d->m = NULL;
}

bool decoder_amid(const struct decoder *d)
{
    return d->head_len > 0 || d->in_text;
}

/* Only who has text carries any. */
static bool may_have_text(uint8_t type)
{
    return type == MSG_MESSAGE || type == MSG_REQUEST || type == MSG_REPLY;
}

/* Type and number, behind a length header of `at` octets. */
static int parse_prefix(struct decoder *d, size_t at)
{
    d->type = d->head[at] & (uint8_t)~MSG_PASS;
    d->pass = d->head[at] & MSG_PASS;
    d->number = 0;
    for (size_t i = 1; i < MSG_PREFIX; i++)
        d->number = d->number << 8 | d->head[at + i];
    if (d->type >= MSG_TYPES || ((d->len > 0 || d->pass) && !may_have_text(d->type)))
        return ESTAB_E_PROTOCOL;
    return DECODED_HEAD;
}

/* DECODED_HEAD, DECODED_ALL: one octet more; or an error. */
static int parse_head(struct decoder *d)
{
    size_t prefix = d->format.plain ? 0 : MSG_PREFIX;
    uint64_t max = d->format.max > UINT64_MAX - prefix ? UINT64_MAX : d->format.max + prefix, len;
    int at = estab_length_parse(&len, d->head, d->head_len, d->format.length, max);

    if (at <= 0)
        return at;
    if (len < prefix)
        return ESTAB_E_PROTOCOL;
    if (d->head_len < (size_t)at + prefix)
        return DECODED_ALL;
    d->len = d->left = len - prefix;
    d->type = MSG_MESSAGE;
    d->pass = false;
    d->number = 0;
    return prefix ? parse_prefix(d, (size_t)at) : DECODED_HEAD;
}

void decoder_skip(struct decoder *d)
{
    d->skip = true;
}

/* Room for more of the text: twice what there was, and no more than the message needs. */
static int grow(struct decoder *d, const struct estab_env *env)
{
    struct message *m = d->m;
    size_t cap = m->cap ? m->cap * 2 : MSG_FIRST;
    uint8_t *text;

    if (m->cap > m->len / 2 || cap > m->len)
        cap = m->len;
    text = env->alloc(env->ctx, cap, 1);
    if (!text)
        return ESTAB_E_NOMEM;
    if (m->text) {
        memcpy(text, m->text, m->have);
        env->free(env->ctx, m->text, m->cap, 1);
    }
    m->text = text;
    m->cap = cap;
    return 0;
}

/* The head has been told of, and the text is wanted. */
static int begin_message(struct decoder *d, const struct estab_env *env)
{
    if (d->len > SIZE_MAX / 2)
        return ESTAB_E_TOOBIG;
    d->m = env->alloc(env->ctx, sizeof *d->m, alignof(struct message));
    if (!d->m)
        return ESTAB_E_NOMEM;
    *d->m = (struct message){.type = d->type, .e = {NULL, d->number}, .len = (size_t)d->len};
    return 0;
}

static int take_text(struct decoder *d, const struct estab_env *env, const uint8_t **p, size_t *len)
{
    size_t n = *len < d->left ? *len : (size_t)d->left, room;
    int err;

    if (!d->skip && !d->m && (err = begin_message(d, env)))
        return err;
    while (!d->skip && n > 0) {
        if (d->m->have == d->m->cap && (err = grow(d, env)))
            return err;
        room = d->m->cap - d->m->have;
        room = room < n ? room : n;
        memcpy(d->m->text + d->m->have, *p, room);
        decoder_filled(d, room);
        *p += room;
        *len -= room;
        n -= room;
    }
    *p += n;
    *len -= n;
    d->left -= n;
    return d->left == 0 ? DECODED_MESSAGE : DECODED_ALL;
}

/* Octets that certainly belong to the head. */
static size_t head_left(const struct decoder *d)
{
    size_t fixed = length_fixed(d->format.length);

    return fixed ? fixed + (d->format.plain ? 0 : MSG_PREFIX) - d->head_len : 1;
}

int decoder_go(struct decoder *d, const struct estab_env *env, const uint8_t **p, size_t *len)
{
    int result = DECODED_ALL;

    if (d->in_text)
        return take_text(d, env, p, len);
    while (*len > 0 && result == DECODED_ALL) {
        size_t n = head_left(d);

        n = n < *len ? n : *len;
        memcpy(d->head + d->head_len, *p, n);
        d->head_len += (uint8_t)n;
        *p += n;
        *len -= n;
        result = parse_head(d);
    }
    if (result == DECODED_HEAD)
        d->in_text = true;
    return result;
}

struct message *decoder_take(struct decoder *d)
{
    struct message *m = d->m;

    d->m = NULL;
    d->in_text = d->skip = false;
    d->head_len = 0;
    return m;
}

struct estab_iov decoder_room(const struct decoder *d)
{
    if (!d->m || !d->m->text)
        return (struct estab_iov){NULL, 0};
    return (struct estab_iov){d->m->text + d->m->have, d->m->cap - d->m->have};
}

void decoder_filled(struct decoder *d, size_t n)
{
    d->m->have += n;
    d->left -= n;
}
