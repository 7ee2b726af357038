/* SPDX-License-Identifier: BSD-2-Clause */
/* explore_tell.c - a run of the explorer, told as a packet script from end 0's side.
 *
 * Numbers count from the first SYN of each end, also those of later connections, so that an old
 * duplicate has the number in the script that it has on the wire. */
#include "explore_tell.h"

#include <stdarg.h>
#include <string.h>

enum { IP_LEN = 20, TCP_LEN = 20, FD = 3 };

static uint32_t be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void tell_begin(FILE *out, const struct explore_bounds *b, const char *about)
{
    fprintf(out,
            "// %s\n"
            "// From the active end's side.\n"
            "--mtu=%d\n"
            "--so_flags=rcvbuf=%d,sndbuf=%d,timestamps=%d,syn_retries=%d,synack_retries=%d,"
            "max_retries=%d\n\n",
            about, WORLD_MTU, WORLD_BUF, WORLD_BUF, b->timestamps, WORLD_RETRIES, WORLD_RETRIES,
            WORLD_RETRIES);
}

static void tell_time(struct world *w)
{
    fprintf(w->log, "+%.6f ", (double)(w->now - w->told_at) / 1e9);
    w->told_at = w->now;
}

void tell_call(struct world *w, unsigned end, const char *fmt, ...)
{
    va_list ap;

    if (!w->log)
        return;
    if (end == 0)
        tell_time(w);
    else
        fputs("// the peer: ", w->log);
    va_start(ap, fmt);
    vfprintf(w->log, fmt, ap);
    va_end(ap);
    fputc('\n', w->log);
}

void tell_read(struct world *w, unsigned end, ptrdiff_t n)
{
    static const struct {
        enum estab_err err;
        const char *text;
    } names[] = {{ESTAB_E_RESET, "ECONNRESET (Connection reset by peer)"},
                 {ESTAB_E_REFUSED, "ECONNREFUSED (Connection refused)"},
                 {ESTAB_E_TIMEOUT, "ETIMEDOUT (Connection timed out)"},
                 {ESTAB_E_PIPE, "EPIPE (Broken pipe)"},
                 {ESTAB_E_UNREACH, "EHOSTUNREACH (No route to host)"}};

    if (n >= 0) {
        tell_call(w, end, "read(%d, ..., 16) = %td", FD, n);
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].err == n)
            tell_call(w, end, "read(%d, ..., 16) = -1 %s", FD, names[i].text);
}

static void tell_flags(FILE *out, uint8_t flags)
{
    static const char letters[] = "FSRP.";

    for (int i = 1; i >= 0; i--) /* S before F */
        if (flags & 1 << i)
            fputc(letters[i], out);
    for (int i = 2; i < 5; i++)
        if (flags & 1 << i)
            fputc(letters[i], out);
}

/* base: what the numbers of SACK blocks count from. */
static void tell_options(FILE *out, const uint8_t *p, const uint8_t *end, uint32_t base)
{
    const char *sep = " <";

    for (; p < end && *p != 0; p += *p == 1 ? 1 : p[1], sep = ",") {
        fputs(sep, out);
        switch (*p) {
        case 1:
            fputs("nop", out);
            break;
        case 2:
            fprintf(out, "mss %d", p[2] << 8 | p[3]);
            break;
        case 3:
            fprintf(out, "wscale %d", p[2]);
            break;
        case 4:
            fputs("sackOK", out);
            break;
        case 5:
            fputs("sack", out);
            for (int i = 2; i < p[1]; i += 8)
                fprintf(out, " %u:%u", be32(p + i) - base, be32(p + i + 4) - base);
            break;
        case 8:
            fprintf(out, "TS val %u ecr %u", be32(p + 2), be32(p + 6));
            break;
        default: /* none that the stacks here have */
            break;
        }
    }
    if (*sep == ',')
        fputc('>', out);
}

void tell_frame(struct world *w, unsigned from, const struct wire_frame *x)
{
    const uint8_t *tcp = x->b + IP_LEN;
    uint32_t seq = be32(tcp + 4) - w->first_iss[from], ack = be32(tcp + 8) - w->first_iss[!from];

    if (!w->log)
        return;
    tell_time(w);
    fprintf(w->log, "%c ", from == 0 ? '>' : '<');
    tell_flags(w->log, x->flags);
    fprintf(w->log, " %u:%u(%u)", seq, seq + x->text, x->text);
    if (x->flags & ESTAB_ACK)
        fprintf(w->log, " ack %u", ack);
    fprintf(w->log, " win %d", tcp[14] << 8 | tcp[15]);
    tell_options(w->log, tcp + TCP_LEN, tcp + (size_t)(tcp[12] >> 4) * 4, w->first_iss[!from]);
    fputc('\n', w->log);
}

void tell_edge(struct world *w, unsigned end, const struct estab_trace *t)
{
    if (w->log && end == 0)
        fprintf(w->log, "// %s -> %s: %s\n", estab_state_name(t->from), estab_state_name(t->to),
                estab_edge_event(t->from, t->to, t->cause));
}

void tell_act(struct world *w, struct act a)
{
    if (w->log && a.kind == ACT_LOSE)
        fprintf(w->log, "// lost: frame %d of %s under way\n", a.index + 1,
                a.end ? "the peer's" : "ours");
    if (w->log && a.kind == ACT_DOUBLE)
        fprintf(w->log, "// frame %d of %s under way comes, and will come again\n", a.index + 1,
                a.end ? "the peer's" : "ours");
}
