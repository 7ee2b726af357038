/* SPDX-License-Identifier: BSD-2-Clause */
/* link_kit.h - frames that are short texts, for the tests of links. */
#ifndef TEST_LINK_KIT_H
#define TEST_LINK_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <estab/host.h>

static const struct estab_port_caps kit_ip = {.medium = ESTAB_MEDIUM_IP, .mtu = 1500};

static inline struct estab_frame kit_frame(const void *octets, size_t len)
{
    return (struct estab_frame){.iov = {{(void *)(uintptr_t)octets, len}}, .niov = 1};
}

static inline int kit_send(estab_link *l, const char *text)
{
    struct estab_frame f = kit_frame(text, strlen(text));

    return estab_link_send(l, &f, 1);
}

/* Appends all that can be received, each with a space behind it; returns how many frames. */
static inline int kit_recv_all(estab_link *l, char *buf, size_t room)
{
    struct estab_frame f[8];
    size_t at = 0, len;
    int n, total = 0;

    buf[0] = '\0';
    while ((n = estab_link_recv(l, f, 8)) > 0) {
        for (int i = 0; i < n; i++) {
            len = estab_frame_len(&f[i]);
            assert_true(at + len + 2 <= room);
            estab_frame_copy(buf + at, &f[i]);
            at += len;
            buf[at++] = ' ';
        }
        buf[at] = '\0';
        total += n;
    }
    return n < 0 ? n : total;
}

static inline void kit_assert_received(estab_link *l, const char *want)
{
    char got[4096];

    kit_recv_all(l, got, sizeof got);
    assert_string_equal(got, want);
}

#endif
