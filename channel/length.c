/* SPDX-License-Identifier: BSD-2-Clause */
/* length.c - the length in front of a message. */
#include "message.h"

size_t length_fixed(enum estab_length kind)
{
    switch (kind) {
    case ESTAB_LENGTH_4:
        return 4;
    case ESTAB_LENGTH_2:
        return 2;
    case ESTAB_LENGTH_8:
        return 8;
    case ESTAB_LENGTH_LEB128:
        break;
    }
    return 0;
}

uint64_t estab_length_limit(enum estab_length kind)
{
    size_t octets = length_fixed(kind);

    return octets == 0 || octets == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * octets) - 1;
}

static size_t emit_leb128(uint8_t *out, uint64_t n)
{
    size_t len = 0;

    for (; n > 0x7f; n >>= 7)
        out[len++] = (uint8_t)(n | 0x80);
    out[len++] = (uint8_t)n;
    return len;
}

size_t estab_length_emit(uint8_t out[ESTAB_LENGTH_MAX], enum estab_length kind, uint64_t n)
{
    size_t len = length_fixed(kind);

    if (n > estab_length_limit(kind))
        return 0;
    if (kind == ESTAB_LENGTH_LEB128)
        return emit_leb128(out, n);
    for (size_t i = len; i > 0; i--, n >>= 8)
        out[i - 1] = (uint8_t)n;
    return len;
}

/* An octet of zero at the end adds nothing: it could be left out.  The tenth octet has room for one
 * bit. */
static int parse_leb128(uint64_t *n, const uint8_t *p, size_t len, uint64_t max)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        uint64_t bits = p[i] & 0x7f;

        if (i == ESTAB_LENGTH_MAX - 1 && p[i] > 1)
            return ESTAB_E_TOOBIG;
        value |= bits << 7 * i;
        if (value > max)
            return ESTAB_E_TOOBIG;
        if (p[i] & 0x80)
            continue;
        if (i > 0 && p[i] == 0)
            return ESTAB_E_PROTOCOL;
        *n = value;
        return (int)i + 1;
    }
    return 0;
}

int estab_length_parse(uint64_t *n, const uint8_t *p, size_t len, enum estab_length kind,
                       uint64_t max)
{
    size_t octets = length_fixed(kind);
    uint64_t value = 0;

    if (kind == ESTAB_LENGTH_LEB128)
        return parse_leb128(n, p, len, max);
    if (len < octets)
        return 0;
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | p[i];
    if (value > max)
        return ESTAB_E_TOOBIG;
    *n = value;
    return (int)octets;
}
