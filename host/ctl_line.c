/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_line.c - what a control socket says: a JSON object per line.
 *
 * All that goes into one is a number, a name of ours or an address: nothing needs escaping. */
#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void ctl_add(struct ctl_line *x, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (x->len >= sizeof x->b) /* too long already: it will not be sent */
        return;
    va_start(ap, fmt);
    n = vsnprintf(x->b + x->len, sizeof x->b - x->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        x->len += (size_t)n;
}

size_t ctl_room(const struct ctl_client *c)
{
    return c->out_cap - c->out_len;
}

void ctl_put(struct ctl_client *c, const struct ctl_line *x)
{
    if (x->len >= sizeof x->b || x->len > ctl_room(c))
        return;
    memcpy(c->out + c->out_len, x->b, x->len);
    c->out_len += x->len;
}

static const char *yes_no(bool b)
{
    return b ? "true" : "false";
}

static unsigned long long us_of(estab_dur d)
{
    return d / 1000u;
}

void ctl_put_header(struct estab_ctl *ctl, struct ctl_client *c)
{
    struct ctl_line x = {.len = 0};

    ctl_add(&x, "{\"estab\":\"%s\",\"protocol\":2,\"pid\":%ld,\"command\":\"%s\"}\n",
            estab_version(), (long)getpid(), ctl->command);
    ctl_put(c, &x);
}

void ctl_put_error(struct ctl_client *c, const char *why)
{
    struct ctl_line x = {.len = 0};

    ctl_add(&x, "{\"error\":\"%s\"}\n", why);
    ctl_put(c, &x);
}

static void add_queues(struct ctl_line *x, const struct estab_tcp_info *i)
{
    bool listens = i->state == ESTAB_LISTEN;

    ctl_add(x,
            "\"recv_q\":%u,\"send_q\":%llu,\"flight\":%u,\"unsent\":%u,\"unread\":%u,"
            "\"acceptq\":%u,\"half_open\":%u,\"backlog\":%u,",
            listens ? i->acceptq : i->unread,
            listens ? (unsigned long long)i->backlog : (unsigned long long)i->flight + i->unsent,
            i->flight, i->unsent, i->unread, i->acceptq, i->synq, i->backlog);
}

static void add_numbers(struct ctl_line *x, const struct estab_tcp_info *i)
{
    ctl_add(
        x,
        "\"snd_mss\":%u,\"rcv_mss\":%u,\"pmtu\":%u,\"cwnd\":%u,\"ssthresh\":%u,\"snd_wnd\":%u,"
        "\"rcv_wnd\":%u,"
        "\"rto_us\":%llu,\"srtt_us\":%llu,\"rttvar_us\":%llu,\"rtt_min_us\":%llu,"
        "\"bytes_acked\":%llu,\"bytes_received\":%llu,\"segs_in\":%llu,\"segs_out\":%llu,"
        "\"bytes_sent\":%llu,\"refused\":%llu,\"retrans\":%llu,\"rto_fired\":%llu,\"dup_acks\":%"
        "llu,"
        "\"mem\":%zu,\"sndbuf\":%u,\"rcvbuf\":%u,\"sndbuf_most\":%u,\"rcvbuf_most\":%u,",
        i->snd_mss, i->rcv_mss, i->pmtu, i->cwnd, i->ssthresh, i->snd_wnd, i->rcv_wnd,
        us_of(i->rto), us_of(i->srtt), us_of(i->rttvar), us_of(i->rtt_min),
        (unsigned long long)i->bytes_acked, (unsigned long long)i->bytes_received,
        (unsigned long long)i->segs_in, (unsigned long long)i->segs_out,
        (unsigned long long)i->bytes_sent, (unsigned long long)i->refused,
        (unsigned long long)i->retrans, (unsigned long long)i->rto_fired,
        (unsigned long long)i->dup_acks, i->mem, i->sndbuf, i->rcvbuf, i->sndbuf_most,
        i->rcvbuf_most);
}

static void add_options(struct ctl_line *x, const struct estab_tcp_info *i)
{
    ctl_add(x,
            "\"timestamps\":%s,\"sack\":%s,\"ecn\":%s,\"accecn\":%s,\"fastopen\":%s,\"nodelay\":%s,"
            "\"orphan\":%s,\"embryo\":%s,"
            "\"snd_wscale\":%u,\"rcv_wscale\":%u,\"user_timeout_ms\":%llu,\"cc\":\"%.15s\",",
            yes_no(i->ts_ok), yes_no(i->sack_ok), yes_no(i->ecn_ok), yes_no(i->ecn_accurate),
            yes_no(i->fastopen_ok), yes_no(i->nodelay), yes_no(i->orphan), yes_no(i->embryo),
            i->snd_wscale, i->rcv_wscale, us_of(i->user_timeout) / 1000u, i->cc);
}

static void add_why(struct ctl_line *x, const struct estab_why_info *w, bool in_full)
{
    char text[512];
    unsigned i, n = 0;

    ctl_add(x, "\"tries\":%u,\"why\":\"%s\"", w->tries, estab_why_name(w->why));
    if (w->since != ESTAB_NEVER && w->since <= w->now)
        ctl_add(x, ",\"since_ms\":%llu", us_of(w->now - w->since) / 1000u);
    if (!in_full || estab_why_text(w, text, sizeof text) < 0)
        return;
    ctl_add(x, ",\"sentence\":\"%s\"", text);
    if (!w->has_times)
        return;
    ctl_add(x, ",\"times_us\":{");
    for (i = 0; i < ESTAB_WHYS; i++)
        if (w->spent[i] > 0)
            ctl_add(x, "%s\"%s\":%llu", n++ ? "," : "", estab_why_name((enum estab_why)i),
                    us_of(w->spent[i]));
    ctl_add(x, "}");
}

void ctl_put_socket(struct ctl_client *c, estab_sock k, const struct estab_tcp_info *i,
                    const struct estab_why_info *w, bool in_full)
{
    char local[56], peer[56];
    struct ctl_line x = {.len = 0};

    ctl_add(&x,
            "{\"id\":\"%llx\",\"type\":\"%s\",\"state\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",",
            (unsigned long long)k, i->type == ESTAB_UDP ? "udp" : "tcp", estab_state_name(i->state),
            estab_addr_format(&i->local, true, local), estab_addr_format(&i->peer, true, peer));
    if (i->timer != ESTAB_T_NONE && i->timer_at != ESTAB_NEVER)
        ctl_add(&x, "\"timer\":\"%s\",\"timer_ms\":%llu,", estab_timer_name(i->timer),
                us_of(i->timer_at > w->now ? i->timer_at - w->now : 0) / 1000u);
    add_queues(&x, i);
    add_numbers(&x, i);
    add_options(&x, i);
    add_why(&x, w, in_full);
    ctl_add(&x, "}\n");
    ctl_put(c, &x);
}

static void add_stack(struct ctl_line *x, const struct estab_stack_info *i)
{
    ctl_add(
        x,
        "\"conns\":%u,\"listeners\":%u,\"synq\":%u,\"timewait\":%u,\"orphans\":%u,"
        "\"udp_socks\":%u,\"max_conns\":%u,\"max_synq\":%u,\"max_timewait\":%u,\"mem_used\":%zu,"
        "\"mem_peak\":%zu,"
        "\"mem_max\":%zu,\"frames_in\":%llu,\"frames_out\":%llu,\"drops\":%llu}\n",
        i->conns, i->listeners, i->synq, i->timewait, i->orphans, i->udp_socks, i->max_conns,
        i->max_synq, i->max_timewait, i->mem_used, i->mem_peak, i->mem_max,
        (unsigned long long)i->frames_in, (unsigned long long)i->frames_out,
        (unsigned long long)i->drops);
}

void ctl_put_stack(struct estab_ctl *ctl, struct ctl_client *c, bool last)
{
    struct estab_stack_info info = {.size = sizeof info};
    struct ctl_line x = {.len = 0};

    estab_stack_info(ctl->stack, &info);
    if (last)
        ctl_add(&x, "{\"end\":true,\"sockets\":%llu,", (unsigned long long)c->count);
    else
        ctl_add(&x, "{");
    add_stack(&x, &info);
    ctl_put(c, &x);
}

void ctl_put_rule(struct ctl_client *c, const estab_stack *s, unsigned rule)
{
    struct ctl_line x = {.len = 0};

    ctl_add(&x, "{\"rule\":\"%s\",\"ref\":\"%s\",\"count\":%llu,\"refuses\":%s}\n",
            estab_rule_name(rule), estab_rule_ref(rule),
            (unsigned long long)estab_rule_count(s, rule), yes_no(estab_rule_refused(s, rule)));
    ctl_put(c, &x);
}

static void add_flags(struct ctl_line *x, uint8_t flags)
{
    static const char letters[] = "FSRPAUEC";
    int i;

    ctl_add(x, ",\"flags\":\"");
    for (i = 0; i < 8; i++)
        if (flags & 1u << i)
            ctl_add(x, "%c", letters[i]);
    ctl_add(x, "\"");
}

void ctl_write_record(struct ctl_line *x, const struct estab_trace *t)
{
    static const char *const kinds[] = {
        [ESTAB_TR_STATE] = "state", [ESTAB_TR_SEG_IN] = "in",   [ESTAB_TR_SEG_OUT] = "out",
        [ESTAB_TR_DROP] = "drop",   [ESTAB_TR_TIMER] = "timer", [ESTAB_TR_CC] = "cc"};
    char local[56], peer[56];

    ctl_add(x, "{\"at_us\":%llu,\"kind\":\"%s\",\"local\":\"%s\",\"peer\":\"%s\",\"state\":\"%s\"",
            us_of(t->at), kinds[t->kind], estab_addr_format(&t->local, true, local),
            estab_addr_format(&t->peer, true, peer), estab_state_name(t->from));
    if (t->sock)
        ctl_add(x, ",\"id\":\"%llx\"", (unsigned long long)t->sock);
    switch (t->kind) {
    case ESTAB_TR_STATE:
        ctl_add(x, ",\"to\":\"%s\",\"event\":\"%s\"", estab_state_name(t->to),
                estab_edge_event(t->from, t->to, t->cause));
        break;
    case ESTAB_TR_SEG_IN:
    case ESTAB_TR_SEG_OUT:
    case ESTAB_TR_DROP:
        add_flags(x, t->flags);
        ctl_add(x, ",\"seq\":%u,\"ack\":%u,\"len\":%u,\"wnd\":%llu", t->seq, t->ack, t->len,
                (unsigned long long)t->wnd << t->wscale);
        break;
    case ESTAB_TR_TIMER:
        ctl_add(x, ",\"timer\":\"%s\"", estab_timer_name(t->timer));
        break;
    case ESTAB_TR_CC:
        ctl_add(x, ",\"cwnd\":%u", t->len);
        break;
    }
    if (t->rule)
        ctl_add(x, ",\"rule\":\"%s\"", estab_rule_name(t->rule));
    ctl_add(x, "}\n");
}

void ctl_write_forecast(struct ctl_line *x, const struct estab_port_forecast *f, estab_time now)
{
    int st;
    bool first = true;

    ctl_add(x, "{\"ports\":%u,\"free\":%u,\"reusable\":%u,\"bound\":%u,\"busy\":{", f->ports,
            f->free, f->reusable, f->bound);
    for (st = 0; st < ESTAB_TCP_STATES; st++) {
        if (f->busy[st] == 0)
            continue;
        ctl_add(x, "%s\"%s\":%u", first ? "" : ",", estab_state_name((enum estab_tcp_state)st),
                f->busy[st]);
        first = false;
    }
    ctl_add(x, "}");
    if (f->next_at != ESTAB_NEVER)
        ctl_add(x, ",\"next_ms\":%llu", us_of(f->next_at > now ? f->next_at - now : 0) / 1000u);
    ctl_add(x, "}\n");
}
