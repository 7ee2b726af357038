/* SPDX-License-Identifier: BSD-2-Clause */
/* link.c - what all links have in common, and the parser of a pipeline of them. */
#include "link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "link_words.h"
#include "recorder.h"

int link_say(char *err, const char *fmt, ...)
{
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        vsnprintf(err, ESTAB_ERRLEN, fmt, ap);
        va_end(ap);
    }
    return -1;
}

size_t link_frame_max(const struct estab_port_caps *caps)
{
    size_t packet = caps->mtu > caps->gso_max ? caps->mtu : caps->gso_max;

    return caps->medium == ESTAB_MEDIUM_ETHERNET ? packet + LINK_ETHERNET_ROOM : packet;
}

void link_count_in(estab_link *l, size_t len)
{
    l->frames_in++;
    l->octets_in += len;
}

void link_count_out(estab_link *l, size_t len)
{
    l->frames_out++;
    l->octets_out += len;
}

/* What it costs to be woken from another processor, and a little more: who looks for so long before
 * he sleeps never loses more than twice what he had to.  Through shared memory in a virtual
 * machine, 64 octets and back: 1 us and not 50; in bulk 82 Gbit/s and not 24. */
void link_look_sparingly(estab_link *l)
{
    l->busy = ESTAB_US(50);
    l->sparing = true;
}

estab_dur estab_link_look(const estab_link *l)
{
    return l->rests == 0 ? l->busy : 0;
}

/* Where the other side shares the processor, and cannot answer while it is looked for, looking is
 * in vain every time; where it has little to say, nearly so. */
void estab_link_looked(estab_link *l, estab_dur looked, bool came)
{
    enum { VAIN_MAX = 6 }; /* one look in 64 sleeps */

    if (came) {
        l->vain = l->rests = 0;
    } else if (l->rests > 0) {
        l->rests--;
    } else if (l->sparing && l->busy <= looked) {
        if (l->vain < VAIN_MAX)
            l->vain++;
        l->rests = (uint8_t)((1u << l->vain) - 1);
    }
}

void link_decorate(estab_link *l, const struct estab_link_ops *ops, const estab_link *under)
{
    l->ops = ops;
    l->caps = under->caps;
    l->busy = under->busy;
    l->sparing = under->sparing;
    memcpy(l->name, under->name, sizeof l->name);
}

void link_whole_frames(estab_link *l)
{
    l->caps.gso_max = 0;
    l->caps.tx_csum = false;
}

void link_complete_csum(uint8_t *frame, size_t len, const struct estab_offload *off)
{
    size_t at = (size_t)off->csum_start + off->csum_offset;
    uint32_t sum = 0;

    if (!(off->flags & ESTAB_OFF_NEEDS_CSUM) || at + 2 > len)
        return;
    for (size_t i = off->csum_start; i < len; i++)
        sum += (uint32_t)frame[i] << ((i - off->csum_start) % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    if (sum == 0) /* RFC 768: 0 says that there is none; to TCP both are the same number */
        sum = 0xffff;
    frame[at] = (uint8_t)(sum >> 8);
    frame[at + 1] = (uint8_t)sum;
}

int link_gone(estab_link *l, const estab_link *under)
{
    memcpy(l->error, under->error, sizeof l->error);
    return -1;
}

void estab_link_close(estab_link *l)
{
    if (l)
        l->ops->close(l);
}

size_t estab_frame_len(const struct estab_frame *f)
{
    size_t len = 0;

    for (uint32_t i = 0; i < f->niov; i++)
        len += f->iov[i].len;
    return len;
}

void estab_frame_copy(void *buf, const struct estab_frame *f)
{
    uint8_t *to = buf;

    for (uint32_t i = 0; i < f->niov; i++) {
        if (f->iov[i].len > 0)
            memcpy(to, f->iov[i].base, f->iov[i].len);
        to += f->iov[i].len;
    }
}

/* ---- the pipeline: stages between '|', each "kind:arguments", the innermost last ---- */

static int open_tuntap(estab_link **out, enum estab_medium medium, char *args, char *err)
{
    bool tap = medium == ESTAB_MEDIUM_ETHERNET;
    struct estab_tuntap how = {.size = sizeof how, .medium = medium};
    struct link_words w;

    if (link_words_parse(&w, tap ? "tap" : "tun",
                         WORD_MTU | WORD_BUSY | WORD_VNET | (tap ? WORD_MAC : 0), args, err))
        return -1;
    how.name = w.name;
    how.mtu = w.mtu;
    how.vnet = w.vnet;
    if (estab_link_tuntap_open(out, &how, err))
        return -1;
    link_words_settle(&w, *out);
    return 0;
}

static int open_tun(estab_link **io, char *args, char *err)
{
    return open_tuntap(io, ESTAB_MEDIUM_IP, args, err);
}

static int open_tap(estab_link **io, char *args, char *err)
{
    return open_tuntap(io, ESTAB_MEDIUM_ETHERNET, args, err);
}

static int open_shm(estab_link **io, char *args, char *err)
{
    struct link_words w;

    if (link_words_parse(&w, "shm", WORD_MTU | WORD_BUSY, args, err) ||
        estab_link_shm(io, w.name, w.mtu, err))
        return -1;
    link_words_settle(&w, *io);
    return 0;
}

static int open_packet(estab_link **io, char *args, char *err)
{
    struct link_words w;

    if (link_words_parse(&w, "packet", WORD_MTU | WORD_MAC | WORD_BUSY | WORD_VNET, args, err) ||
        estab_link_packet(io, w.name, w.mtu, w.vnet, err))
        return -1;
    link_words_settle(&w, *io);
    return 0;
}

static int open_xdp(estab_link **io, char *args, char *err)
{
    struct estab_xdp how = {.size = sizeof how};
    struct link_words w;

    if (link_words_parse(&w, "xdp", WORD_MTU | WORD_MAC | WORD_BUSY | WORD_QUEUE, args, err))
        return -1;
    how.dev = w.name;
    how.mtu = w.mtu;
    how.mac = w.mac_given ? w.mac : NULL;
    how.queue_given = w.queue_given;
    how.queue = w.queue;
    if (estab_link_xdp(io, &how, err))
        return -1;
    link_words_settle(&w, *io);
    return 0;
}

static int check_fault(const char *args, char *err)
{
    struct estab_fault f;

    return estab_fault_parse(&f, args, err);
}

static int open_fault(estab_link **io, char *args, char *err)
{
    struct estab_fault f;

    if (estab_fault_parse(&f, args, err)) {
        estab_link_close(*io);
        return -1;
    }
    return estab_link_fault(io, *io, &f, err);
}

/* Monotonic time 0 in UNIX time. */
static uint64_t boot_epoch(void)
{
    struct timespec real, mono;

    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (uint64_t)(real.tv_sec - mono.tv_sec) * ESTAB_S(1) + (uint64_t)real.tv_nsec -
           (uint64_t)mono.tv_nsec;
}

static int check_pcap(const char *args, char *err)
{
    return *args ? 0
                 : link_say(err, "pcap: name the file, as in pcap:x.pcapng, or - for standard "
                                 "output");
}

static int open_pcap(estab_link **io, char *args, char *err)
{
    estab_pcap *p;

    if (estab_pcap_open(&p, args, boot_epoch(), err)) {
        estab_link_close(*io);
        return -1;
    }
    if (estab_link_pcap(io, *io, p, NULL, NULL, err)) {
        estab_pcap_close(p);
        return -1;
    }
    recorder_link_own(*io);
    return 0;
}

/* open: *io is the link below (and taken), then the new one; args may be cut up. */
struct kind {
    const char *name;
    bool innermost;
    int (*check)(const char *args, char *err);
    int (*open)(estab_link **io, char *args, char *err);
};
static const struct kind kinds[] = {
    {"tun", true, NULL, open_tun},          {"tap", true, NULL, open_tap},
    {"packet", true, NULL, open_packet},    {"xdp", true, NULL, open_xdp},
    {"shm", true, NULL, open_shm},          {"fault", false, check_fault, open_fault},
    {"pcap", false, check_pcap, open_pcap},
};
struct stage {
    const struct kind *kind;
    char *args;
};

static int parse_stage(struct stage *s, char *text, bool innermost, char *err)
{
    s->args = strchr(text, ':');
    s->kind = NULL;
    if (s->args)
        *s->args++ = '\0';
    for (size_t i = 0; s->args && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(text, kinds[i].name) == 0)
            s->kind = &kinds[i];
    if (!s->kind) {
        link_say(err,
                 "\"%.40s\": no such kind of link; there is tun:NAME, tap:NAME, packet:DEVICE, "
                 "xdp:DEVICE, shm:PATH, and in front of them with a | pcap:FILE and "
                 "fault:loss=1%%,...",
                 text);
        return -1;
    }
    if (innermost && !s->kind->innermost)
        return link_say(err, "\"%s:%.40s\" leads nowhere; put |tun:NAME or |tap:NAME behind it",
                        text, s->args);
    if (!innermost && s->kind->innermost)
        return link_say(err, "\"%s:%.40s\" must be the last of the pipeline", text, s->args);
    return s->kind->check ? s->kind->check(s->args, err) : 0;
}

/* The whole text is checked before any device or file is touched. */
int estab_link_open(estab_link **out, const char *spec, char *err)
{
    enum { STAGES_MAX = 8 };
    char *copy = strdup(spec), *rest = copy, *text;
    struct stage stages[STAGES_MAX];
    estab_link *l = NULL;
    size_t n = 0;
    int ret = -1;

    if (!copy)
        return link_say(err, "out of memory");
    while ((text = strsep(&rest, "|"))) {
        if (n == STAGES_MAX) {
            link_say(err, "\"%.40s...\": more than %d stages", spec, STAGES_MAX);
            goto out;
        }
        if (parse_stage(&stages[n++], text, rest == NULL, err))
            goto out;
    }
    while (n > 0) {
        n--;
        if (stages[n].kind->open(&l, stages[n].args, err))
            goto out;
    }
    *out = l;
    ret = 0;
out:
    free(copy);
    return ret;
}
