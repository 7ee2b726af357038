/* SPDX-License-Identifier: BSD-2-Clause */
/* link_pcap.c - records what passes through a link, both ways. */
#include "link.h"

#include <stdlib.h>
#include <string.h>

#include "recorder.h"

struct taped {
    estab_link link;
    estab_link *under;
    estab_pcap *pcap;
    bool owns;
    uint32_t number; /* in the recording */
    estab_time (*now)(void *ctx);
    void *ctx;
};

/* A recording that cannot go on is said once; the link itself is well. */
static void tell_error(struct taped *t)
{
    if (!t->link.error[0])
        link_say(t->link.error, "%s", recorder_error(t->pcap));
}

static int pcap_recv(estab_link *l, struct estab_frame *f, size_t n)
{
    struct taped *t = (struct taped *)l;
    int got;

    recorder_settle(t->pcap);
    got = estab_link_recv(t->under, f, n < 1 ? n : 1);
    if (got < 0)
        return link_gone(l, t->under);
    if (got > 0) {
        link_count_in(l, estab_frame_len(f));
        recorder_frame(t->pcap, t->number, l, true, t->now(t->ctx), f, NULL);
        tell_error(t);
    }
    return got;
}

static int pcap_send(estab_link *l, const struct estab_frame *f, size_t n)
{
    struct taped *t = (struct taped *)l;
    estab_time now = t->now(t->ctx);
    size_t taken = 0;
    int got = 0;

    recorder_settle(t->pcap);
    for (size_t i = 0; i < n; i++) {
        if (got >= 0)
            got = estab_link_send(t->under, &f[i], 1);
        recorder_frame(t->pcap, t->number, l, false, now, &f[i],
                       got > 0 ? NULL : "lost here: the link did not take it");
        if (got > 0) {
            link_count_out(l, estab_frame_len(&f[i]));
            taken++;
        } else {
            l->lost_out++;
        }
    }
    tell_error(t);
    return got < 0 ? link_gone(l, t->under) : (int)taken;
}

static int pcap_fd(const estab_link *l)
{
    return estab_link_fd(((const struct taped *)l)->under);
}

static estab_time pcap_deadline(const estab_link *l)
{
    return estab_link_deadline(((const struct taped *)l)->under);
}

static void pcap_close(estab_link *l)
{
    struct taped *t = (struct taped *)l;

    estab_link_close(t->under);
    if (t->owns)
        estab_pcap_close(t->pcap);
    free(t);
}

static const struct estab_link_ops pcap_ops = {
    .name = "pcap",
    .recv = pcap_recv,
    .send = pcap_send,
    .fd = pcap_fd,
    .deadline = pcap_deadline,
    .close = pcap_close,
};

int estab_link_pcap(estab_link **out, estab_link *under, estab_pcap *p,
                    estab_time (*now)(void *ctx), void *ctx, char *err)
{
    struct taped *t = calloc(1, sizeof *t);
    struct estab_env env;

    if (!t) {
        estab_link_close(under);
        return link_say(err, "pcap: out of memory");
    }
    link_decorate(&t->link, &pcap_ops, under);
    link_whole_frames(&t->link); /* a comment is about one segment */
    t->under = under;
    t->pcap = p;
    estab_host_env(&env);
    t->now = now ? now : env.now;
    t->ctx = ctx;
    t->number = recorder_add(p, &t->link);
    *out = &t->link;
    return 0;
}

void recorder_link_own(estab_link *l)
{
    ((struct taped *)l)->owns = true;
}
