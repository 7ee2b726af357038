/* SPDX-License-Identifier: BSD-2-Clause */
/* env_posix.c - the environment of a stack in a process: monotonic clock, getrandom, malloc. */
#include <estab/host.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static estab_time posix_now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * ESTAB_S(1) + (uint64_t)t.tv_nsec;
}

/* Secrets that are no secrets are worse than no process, so a kernel without randomness is fatal.
 */
static void posix_random(void *ctx, void *buf, size_t len)
{
    uint8_t *to = buf;
    ssize_t n;

    (void)ctx;
    while (len > 0) {
        n = getrandom(to, len, 0);
        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0) {
            to += n;
            len -= (size_t)n;
        }
    }
}

static void *posix_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    if (align <= _Alignof(max_align_t))
        return malloc(size);
    if (size > SIZE_MAX - align)
        return NULL;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void posix_free(void *ctx, void *ptr, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    free(ptr);
}

void estab_host_env(struct estab_env *env)
{
    *env = (struct estab_env){
        .now = posix_now,
        .random = posix_random,
        .alloc = posix_alloc,
        .free = posix_free,
    };
}
