/* SPDX-License-Identifier: BSD-2-Clause */
/* sockopt.c - values of Linux's socket options that the stack has in another form. */
#include <estab/host.h>

#include <errno.h>
#include <string.h>
#include <sys/time.h>

size_t estab_linux_give(const void *what, size_t n, void *buf, size_t len)
{
    if (len > n)
        len = n;
    memcpy(buf, what, len);
    return len;
}

int estab_linux_timeout(const void *val, size_t len, estab_dur *out)
{
    struct timeval tv;

    if (len < sizeof tv)
        return EINVAL;
    memcpy(&tv, val, sizeof tv);
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return EDOM;
    *out = tv.tv_sec < 0 ? 1 : ESTAB_S((uint64_t)tv.tv_sec) + ESTAB_US((uint64_t)tv.tv_usec);
    return 0;
}

size_t estab_linux_give_timeout(estab_dur timeout, void *buf, size_t len)
{
    struct timeval tv = {.tv_sec = (time_t)(timeout / ESTAB_S(1)),
                         .tv_usec = (suseconds_t)(timeout % ESTAB_S(1) / 1000u)};

    return estab_linux_give(&tv, sizeof tv, buf, len);
}

int estab_linux_set_cc(estab_stack *s, estab_sock k, const void *val, size_t len)
{
    char name[16] = {0};
    int err;

    if (len < 1)
        return EINVAL;
    memcpy(name, val, len < 15 ? len : 15);
    err = estab_set_cc(s, k, strcmp(name, "reno") == 0 ? "newreno" : name);
    return err == ESTAB_E_INVAL ? ENOENT : estab_errno(err);
}

size_t estab_linux_give_cc(const estab_stack *s, estab_sock k, void *buf, size_t len)
{
    static const char reno[16] = "reno";
    char name[16] = {0};

    (void)estab_get_cc(s, k, name);
    return estab_linux_give(strcmp(name, "newreno") == 0 ? reno : name, sizeof name, buf, len);
}
