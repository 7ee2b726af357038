/* SPDX-License-Identifier: BSD-2-Clause */
/* link.c - what all links have in common, and the parser of a pipeline of them. */
#include "link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

void link_decorate(estab_link *l, const struct estab_link_ops *ops, const estab_link *under)
{
    l->ops = ops;
    l->caps = under->caps;
    memcpy(l->name, under->name, sizeof l->name);
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

static int parse_mac(uint8_t mac[6], const char *text)
{
    unsigned octet;
    int used;

    for (size_t i = 0; i < 6; i++) {
        if (strspn(text, "0123456789abcdefABCDEF") != 2 ||
            sscanf(text, "%2x%n", &octet, &used) != 1)
            return -1;
        mac[i] = (uint8_t)octet;
        text += used;
        if (*text++ != (i < 5 ? ':' : '\0'))
            return -1;
    }
    return mac[0] & 1 ? -1 : 0; /* IEEE 802: a group address is nobody's own */
}

static int parse_mtu(uint32_t *mtu, const char *text)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return -1;
    v = strtoul(text, &end, 10);
    if (*end || v < 68 || v > 65535) /* RFC 791 section 3.2: the least and the most of an MTU */
        return -1;
    *mtu = (uint32_t)v;
    return 0;
}

/* args is "NAME[,mtu=N][,mac=xx:xx:xx:xx:xx:xx]" and is cut up. */
static int open_tuntap(estab_link **out, enum estab_medium medium, char *args, char *err)
{
    const char *kind = medium == ESTAB_MEDIUM_IP ? "tun" : "tap";
    char *name = strsep(&args, ","), *opt;
    uint8_t mac[6];
    uint32_t mtu = 0;
    bool mac_given = false;

    while ((opt = strsep(&args, ","))) {
        if (strncmp(opt, "mtu=", 4) == 0) {
            if (parse_mtu(&mtu, opt + 4))
                return link_say(err, "%s:%.15s: mtu=%.20s: must be a number from 68 to 65535", kind,
                                name, opt + 4);
        } else if (medium == ESTAB_MEDIUM_ETHERNET && strncmp(opt, "mac=", 4) == 0) {
            mac_given = true;
            if (parse_mac(mac, opt + 4))
                return link_say(err,
                                "%s:%.15s: mac=%.20s: must be six octets like 02:00:00:00:00:01, "
                                "and no group address",
                                kind, name, opt + 4);
        } else {
            return link_say(err, "%s:%.15s: no option \"%.40s\"; there is mtu=N%s", kind, name, opt,
                            medium == ESTAB_MEDIUM_ETHERNET ? " and mac=xx:xx:xx:xx:xx:xx" : "");
        }
    }
    if (estab_link_tuntap(out, medium, name, mtu, err))
        return -1;
    if (mac_given)
        memcpy((*out)->caps.mac, mac, sizeof mac);
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
    {"tun", true, NULL, open_tun},
    {"tap", true, NULL, open_tap},
    {"fault", false, check_fault, open_fault},
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
                 "\"%.40s\": no such kind of link; there is tun:NAME, tap:NAME, and in "
                 "front of them with a | pcap:FILE and fault:loss=1%%,...",
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
