/* SPDX-License-Identifier: BSD-2-Clause */
/* world_script.c - what one end of a connection saw and did, as a packet script.
 *
 * Each end gets a script in which its peer and the network are what is written: estab_script_run()
 * then replays it against a stack alone.  Sequence numbers are relative to the two SYNs; times are
 * those of the simulation. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static double seconds(const struct world *w)
{
    return (double)w->now / 1e9;
}

static void write_head(struct world *w, FILE *f, const struct node *h, bool server)
{
    const struct flow_conf *fc = &w->scripted->conf;
    const struct estab_config *c = &h->cfg;
    static const int ecn[] = {0, [ESTAB_ECN_PASSIVE] = 2, [ESTAB_ECN_ACTIVE] = 1,
                              [ESTAB_ECN_ACCURATE] = 3}; /* as Linux numbers it */

    fprintf(f,
            "// %s, seed %llu: what host %s saw and did%s%s\n"
            "--so_flags=profile=%s,sndbuf=%llu,rcvbuf=%llu,sndbuf_init=%llu,rcvbuf_init=%llu,"
            "notsent=%llu,rto_min=%lluus,rto_init=%lluus,delack=%lluus,msl=%lluus,cc=%s,sack=%d,"
            "timestamps=%d,window_scale=%d,"
            "initial_window=%d,ecn=%d,pacing=%d,mtu=%d\n"
            "--ip_version=%s\n--strict_segments\n\n"
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n",
            w->topology, (unsigned long long)w->opt.seed, h->name, w->report.text[0] ? ": " : "",
            w->report.text, c->profile.name, (unsigned long long)c->sndbuf,
            (unsigned long long)(fc->rcvbuf ? fc->rcvbuf : c->rcvbuf),
            (unsigned long long)c->sndbuf_init,
            (unsigned long long)(fc->rcvbuf ? fc->rcvbuf : c->rcvbuf_init),
            (unsigned long long)c->notsent, (unsigned long long)c->rto_min / 1000,
            (unsigned long long)c->rto_init / 1000, (unsigned long long)c->delack / 1000,
            (unsigned long long)c->msl / 1000, c->cc, c->sack, c->timestamps, c->window_scale,
            c->initial_window, ecn[c->ecn], c->pacing, WORLD_MTU, w->ip6 ? "ipv6" : "ipv4");
    if (fc->sndbuf) /* not as a setting: a size that is set is bounded by nothing else */
        fprintf(f, "0 setsockopt(3, SOL_SOCKET, SO_SNDBUF, [%llu], 4) = 0\n",
                (unsigned long long)fc->sndbuf);
    if (fc->nodelay)
        fputs("0 setsockopt(3, IPPROTO_TCP, TCP_NODELAY, [1], 4) = 0\n", f);
    if (server)
        fputs("0 bind(3, ..., ...) = 0\n0 listen(3, 4096) = 0\n", f);
    else
        fprintf(f,
                "0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
                "%.6f connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n",
                (double)fc->start / 1e9);
}

int script_open(struct world *w, char *err)
{
    if (!w->scripted)
        return 0;
    for (int i = 0; i < 2; i++) {
        struct script *s = &w->scripts[i];

        s->f = open_memstream(&s->text, &s->len);
        if (!s->f)
            return world_say(err, "%s", strerror(ENOMEM));
        write_head(w, s->f, i ? w->scripted->conf.to : w->scripted->conf.from, i == 1);
    }
    return 0;
}

static struct script *script_of(struct world *w, const struct end *e)
{
    if (!w->scripted || e->flow != w->scripted || e->conn->port != w->scripted_port)
        return NULL;
    return &w->scripts[e->role == END_SERVER];
}

void script_call(struct world *w, const struct end *e, const char *fmt, ...)
{
    struct script *s = script_of(w, e);
    char call[128];
    va_list ap;

    if (!s || !s->f)
        return;
    va_start(ap, fmt);
    vsnprintf(call, sizeof call, fmt, ap);
    va_end(ap);
    fprintf(s->f, "%.6f ", seconds(w));
    /* What is left of the format is the descriptor. */
    for (const char *c = call; *c; c++) {
        if (c[0] == '%' && c[1] == 'd') {
            fputs(e->role == END_SERVER ? "4" : "3", s->f);
            c++;
        } else {
            fputc(*c, s->f);
        }
    }
    fputc('\n', s->f);
}

static void write_options(FILE *f, const uint8_t *o, size_t len, uint32_t sack_base)
{
    const char *sep = " <";

    for (size_t i = 0; i < len;) {
        size_t n = o[i] <= 1 ? 1 : i + 1 < len && o[i + 1] >= 2 ? o[i + 1] : len;

        if (i + n > len)
            break;
        fputs(sep, f);
        sep = ",";
        if (o[i] == 0) {
            fputs("eol", f);
        } else if (o[i] == 1) {
            fputs("nop", f);
        } else if (o[i] == 2 && n == 4) {
            fprintf(f, "mss %u", (unsigned)(o[i + 2] << 8 | o[i + 3]));
        } else if (o[i] == 3 && n == 3) {
            fprintf(f, "wscale %u", o[i + 2]);
        } else if (o[i] == 4 && n == 2) {
            fputs("sackOK", f);
        } else if (o[i] == 8 && n == 10) {
            fprintf(f, "TS val %u ecr %u", read32(o + i + 2), read32(o + i + 6));
        } else if (o[i] == 5) {
            fputs("sack", f);
            for (size_t k = i + 2; k + 8 <= i + n; k += 8)
                fprintf(f, " %u:%u", read32(o + k) - sack_base, read32(o + k + 4) - sack_base);
        } else {
            fputs("raw ", f);
            for (size_t k = i; k < i + n; k++)
                fprintf(f, "%02x", o[k]);
        }
        i += n;
    }
    if (sep[0] == ',')
        fputc('>', f);
}

static unsigned ecn_of(const struct world *w, const struct estab_frame *frame)
{
    const uint8_t *ip = frame->iov[0].base;

    return (w->ip6 ? ip[1] >> 4 : ip[1]) & 3;
}

void script_frame(struct world *w, const struct node *h, const struct estab_frame *frame, bool out)
{
    static const char letter[] = "FSRP.UEW";
    static const char *const marks[] = {"", "[ect1] ", "[ect0] ", "[ce] "};
    static const uint8_t order[8] = {1, 0, 2, 3, 5, 6, 7, 4}; /* packetdrill's: ACK last */
    const uint8_t *tcp;
    size_t text;
    uint32_t seq, ack, len;
    struct end *e;
    struct script *s;
    bool syn;

    if (!w->scripted)
        return;
    e = flow_find_end(w, frame, out, &tcp, &text);
    s = e && e->host == h ? script_of(w, e) : NULL;
    if (!s || !s->f)
        return;
    syn = tcp[13] & ESTAB_SYN;
    seq = read32(tcp + 4);
    ack = read32(tcp + 8);
    if (syn) {
        s->isn[!out] = seq;
        s->has_isn[!out] = true;
    }
    len = (uint32_t)text;
    fprintf(s->f, "%.6f %c %s", seconds(w), out ? '>' : '<', marks[ecn_of(w, frame)]);
    for (int i = 0; i < 8; i++)
        if (tcp[13] & 1u << order[i])
            fputc(letter[order[i]], s->f);
    if (tcp[13] == 0)
        fputc('-', s->f);
    seq -= s->isn[!out];
    fprintf(s->f, " %u:%u(%u)", seq, seq + len, len);
    if (tcp[13] & ESTAB_ACK)
        fprintf(s->f, " ack %u", ack - s->isn[out]);
    fprintf(s->f, " win %u", (unsigned)(tcp[14] << 8 | tcp[15]));
    write_options(s->f, tcp + 20, (size_t)(tcp[12] >> 4) * 4 - 20, s->isn[out]);
    fputc('\n', s->f);
}

void script_finish(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        if (w->scripts[i].f)
            fclose(w->scripts[i].f);
        w->scripts[i].f = NULL;
    }
}

void script_close(struct world *w)
{
    script_finish(w);
    for (int i = 0; i < 2; i++)
        free(w->scripts[i].text);
}
