/* SPDX-License-Identifier: BSD-2-Clause */
/* csum.c - base/csum.h against the plain 16-bit loop that RFC 1071 section 4.1 shows. */
#include "base/csum.h"
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define TEXT 1460
#define RUNS 7
#define REPS 200000

/* The barrier keeps it a loop: what it costs where the compiler takes it as it stands. */
static uint16_t plain_loop(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (; len > 1; p += 2, len -= 2) {
        sum += (uint32_t)(p[0] << 8 | p[1]);
        __asm__("" : "+r"(sum));
    }
    if (len)
        sum += (uint32_t)p[0] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

enum way { LOOP, ADD, COPY, COPY_THEN_ADD };

static double ns_per_text(enum way way, uint8_t *dst, const uint8_t *src)
{
    double v[RUNS];
    uint64_t sink = 0;

    for (int run = 0; run < RUNS; run++) {
        double start = cpu_seconds();

        for (int i = 0; i < REPS; i++) {
            switch (way) {
            case LOOP:
                sink += plain_loop(src, TEXT);
                break;
            case ADD:
                sink += csum_fold(csum_add(0, src, TEXT));
                break;
            case COPY:
                sink += csum_fold(csum_copy(0, dst, src, TEXT));
                break;
            case COPY_THEN_ADD:
                memcpy(dst, src, TEXT);
                sink += csum_fold(csum_add(0, dst, TEXT));
                break;
            }
            __asm__ volatile("" : "+r"(src), "+r"(dst), "+r"(sink) : : "memory");
        }
        v[run] = 1e9 * (cpu_seconds() - start) / REPS;
    }
    qsort(v, RUNS, sizeof v[0], by_value);
    return v[RUNS / 2];
}

void run_csum(struct csum_result *r)
{
    static uint8_t src[TEXT], dst[TEXT];

    for (size_t i = 0; i < TEXT; i++)
        src[i] = (uint8_t)(i * 2654435761u >> 13);
    r->loop = ns_per_text(LOOP, dst, src);
    r->add = ns_per_text(ADD, dst, src);
    r->copy = ns_per_text(COPY, dst, src);
    r->copy_then_add = ns_per_text(COPY_THEN_ADD, dst, src);
}
