/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_state.c - the file `sockstat`: a line for each connection, in FreeBSD's words. */
#include "plug.h"

#include <limits.h>
#include <stdio.h>

static const char *const freebsd_state[ESTAB_TCP_STATES] = {
    [ESTAB_CLOSED] = "CLOSED",           [ESTAB_LISTEN] = "LISTEN",
    [ESTAB_SYN_SENT] = "SYN_SENT",       [ESTAB_SYN_RECEIVED] = "SYN_RCVD",
    [ESTAB_ESTABLISHED] = "ESTABLISHED", [ESTAB_FIN_WAIT_1] = "FIN_WAIT_1",
    [ESTAB_FIN_WAIT_2] = "FIN_WAIT_2",   [ESTAB_CLOSE_WAIT] = "CLOSE_WAIT",
    [ESTAB_CLOSING] = "CLOSING",         [ESTAB_LAST_ACK] = "LAST_ACK",
    [ESTAB_TIME_WAIT] = "TIME_WAIT",
};

static bool has_descriptor(const struct plug *p, estab_sock k)
{
    for (const struct plug_file *f = p->files; f; f = f->next)
        if (f->kind == PLUG_SOCKET && f->k == k)
            return true;
    return false;
}

static void write_line(const struct plug *p, FILE *out, estab_sock k)
{
    struct estab_tcp_info i = {.size = sizeof i};
    char local[56], peer[56];

    if (estab_tcp_info(p->stack, k, &i) != 0 || i.state == ESTAB_LISTEN || i.peer.port == 0)
        return;
    fprintf(out, "%c %d %s:%u %s:%u %s\n", i.peer.ip[10] == 0xff && i.peer.ip[0] == 0 ? '4' : '6',
            has_descriptor(p, k), estab_addr_format(&i.local, false, local), i.local.port,
            estab_addr_format(&i.peer, false, peer), i.peer.port, freebsd_state[i.state]);
}

/* A reader sees the old file or the new one, whole. */
void plug_state_write(struct plug *p)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    uint64_t cursor = 0;
    estab_sock k;
    FILE *out;

    p->state_changed = false;
    snprintf(path, sizeof path, "%s/sockstat", p->state_dir);
    snprintf(fresh, sizeof fresh, "%s/.sockstat", p->state_dir);
    out = fopen(fresh, "we");
    if (!out)
        return;
    while (p->stack && estab_conn_next(p->stack, &cursor, &k))
        write_line(p, out, k);
    if (fclose(out) == 0)
        (void)rename(fresh, path);
}
