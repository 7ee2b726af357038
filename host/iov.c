/* SPDX-License-Identifier: BSD-2-Clause */
/* iov.c - lists of pieces: struct iovec and struct estab_iov are the same two members. */
#include <estab/host.h>

#include <sys/uio.h>

size_t estab_iov_total(const struct iovec *iov, size_t niov)
{
    size_t n = 0;

    for (size_t i = 0; i < niov; i++)
        n += iov[i].iov_len;
    return n;
}

size_t estab_iov_from(const struct iovec *iov, size_t niov, size_t from, struct estab_iov *out,
                      size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < niov && n < cap; i++) {
        if (from >= iov[i].iov_len) {
            from -= iov[i].iov_len;
            continue;
        }
        out[n++] = (struct estab_iov){(uint8_t *)iov[i].iov_base + from, iov[i].iov_len - from};
        from = 0;
    }
    return n;
}
