/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_kit.h - a control socket before a peer's stack, and a client in the same thread. */
#ifndef TEST_UNIT_CTL_KIT_H
#define TEST_UNIT_CTL_KIT_H

#include "peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct kit {
    struct peer *p;
    estab_ctl *ctl;
    char folder[32], path[64];
};

static inline void kit_open_as(struct kit *k, struct peer *p, const char *group)
{
    struct estab_ctl_config c = {
        .size = sizeof c, .command = "te\"st", .path = k->path, .group = group};
    char err[ESTAB_ERRLEN];

    k->p = p;
    strcpy(k->folder, "/tmp/estab-ctl-XXXXXX");
    assert_non_null(mkdtemp(k->folder));
    snprintf(k->path, sizeof k->path, "%s/s", k->folder);
    if (estab_ctl_open(&k->ctl, p->s, &c, err) != 0)
        fail_msg("%s", err);
}
static inline void kit_open(struct kit *k, struct peer *p)
{
    kit_open_as(k, p, NULL);
}

static inline void kit_close(struct kit *k)
{
    estab_ctl_close(k->ctl);
    assert_int_not_equal(access(k->path, F_OK), 0);
    assert_int_equal(rmdir(k->folder), 0);
}

static inline int kit_client(struct kit *k, const char *request)
{
    int fd = estab_ctl_connect(k->path, ESTAB_S(5));

    assert_true(fd >= 0);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    return fd;
}

/* All that comes until the stack has nothing more to say, or closes.  The caller frees it. */
static inline char *kit_reads(struct kit *k, int fd, bool *closed)
{
    size_t len = 0, cap = 1u << 20;
    char *text = malloc(cap);
    int idle = 0;

    *closed = false;
    while (idle < 3 && !*closed) {
        ssize_t n;

        estab_ctl_run(k->ctl);
        n = recv(fd, text + len, cap - 1 - len, MSG_DONTWAIT);
        if (n > 0)
            len += (size_t)n;
        *closed = n == 0 || (n < 0 && errno == ECONNRESET);
        idle = n > 0 ? 0 : idle + 1;
    }
    text[len] = '\0';
    return text;
}

/* What is said to a request that has an end. */
static inline char *kit_asks(struct kit *k, const char *request)
{
    int fd = kit_client(k, request);
    bool closed;
    char *text = kit_reads(k, fd, &closed);

    assert_true(closed);
    close(fd);
    return text;
}

#endif
