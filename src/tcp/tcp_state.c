/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_state.c - the state diagram, RFC 9293 section 3.3.2 figure 5, as data.
 *
 * Every change of state in the library goes through tcp_enter(), or tcp_enter_compact() for what
 * has no control block; both check the edge and report it.  The abort edges to CLOSED (RST, user
 * timeout, ABORT) exist from every state and are not listed. */
#include "tcp/tcp.h"

#define TO(s) (1u << ESTAB_##s)

static const uint16_t next_of[ESTAB_TCP_STATES] = {
    [ESTAB_CLOSED] = TO(LISTEN) | TO(SYN_SENT),
    [ESTAB_LISTEN] = TO(SYN_RECEIVED) | TO(SYN_SENT),
    [ESTAB_SYN_SENT] = TO(SYN_RECEIVED) | TO(ESTABLISHED),
    [ESTAB_SYN_RECEIVED] = TO(ESTABLISHED) | TO(FIN_WAIT_1) | TO(LISTEN),
    [ESTAB_ESTABLISHED] = TO(FIN_WAIT_1) | TO(CLOSE_WAIT),
    [ESTAB_FIN_WAIT_1] = TO(FIN_WAIT_2) | TO(CLOSING), /* TIME-WAIT: by way of FIN-WAIT-2 */
    [ESTAB_FIN_WAIT_2] = TO(TIME_WAIT),
    [ESTAB_CLOSE_WAIT] = TO(LAST_ACK),
    [ESTAB_CLOSING] = TO(TIME_WAIT),
    [ESTAB_LAST_ACK] = 0,
    [ESTAB_TIME_WAIT] = 0,
};

bool estab_edge_legal(enum estab_tcp_state from, enum estab_tcp_state to)
{
    if (from >= ESTAB_TCP_STATES || to >= ESTAB_TCP_STATES)
        return false;
    return to == ESTAB_CLOSED ? from != ESTAB_CLOSED : (next_of[from] & 1u << to) != 0;
}

static RARE void trace_edge(const struct tcb *t, enum estab_tcp_state from, enum estab_cause by)
{
    struct tcp_tuple k = tcb_tuple(t);

    tcp_trace_state(t->layer, tcb_handle(t), &k, from, (enum estab_tcp_state)t->state, by);
}

void tcp_enter(struct tcb *t, enum estab_tcp_state to, enum estab_cause by)
{
    enum estab_tcp_state from = (enum estab_tcp_state)t->state;

    assert(estab_edge_legal(from, to));
    t->state = (uint8_t)to;
    if (to == ESTAB_TIME_WAIT)
        t->timewait = SLAB_NONE;
    else
        t->since_ms = ms_of(t->layer->env->now);
    tcp_why_note(t);
    if (tcp_traced(t->layer))
        trace_edge(t, from, by);
}

void tcp_take_over(struct tcb *t)
{
    assert(t->state == ESTAB_CLOSED);
    t->state = ESTAB_SYN_RECEIVED;
    t->since_ms = ms_of(t->layer->env->now);
}

void tcp_enter_compact(struct tcp_layer *l, const struct tcp_tuple *k, enum estab_tcp_state from,
                       enum estab_tcp_state to, enum estab_cause by)
{
    assert(estab_edge_legal(from, to));
    if (tcp_traced(l))
        tcp_trace_state(l, 0, k, from, to, by);
}

static const char *const state_names[ESTAB_TCP_STATES] = {
    [ESTAB_CLOSED] = "CLOSED",           [ESTAB_LISTEN] = "LISTEN",
    [ESTAB_SYN_SENT] = "SYN-SENT",       [ESTAB_SYN_RECEIVED] = "SYN-RECEIVED",
    [ESTAB_ESTABLISHED] = "ESTABLISHED", [ESTAB_FIN_WAIT_1] = "FIN-WAIT-1",
    [ESTAB_FIN_WAIT_2] = "FIN-WAIT-2",   [ESTAB_CLOSE_WAIT] = "CLOSE-WAIT",
    [ESTAB_CLOSING] = "CLOSING",         [ESTAB_LAST_ACK] = "LAST-ACK",
    [ESTAB_TIME_WAIT] = "TIME-WAIT",
};

const char *estab_state_name(enum estab_tcp_state st)
{
    return st < ESTAB_TCP_STATES ? state_names[st] : "?";
}

static const struct {
    enum estab_tcp_state from, to;
    const char *event;
} events[] = {
    {ESTAB_CLOSED, ESTAB_LISTEN, "passive OPEN"},
    {ESTAB_CLOSED, ESTAB_SYN_SENT, "active OPEN, snd SYN"},
    {ESTAB_LISTEN, ESTAB_SYN_SENT, "SEND, snd SYN"},
    {ESTAB_LISTEN, ESTAB_SYN_RECEIVED, "rcv SYN, snd SYN,ACK"},
    {ESTAB_SYN_SENT, ESTAB_SYN_RECEIVED, "rcv SYN, snd SYN,ACK"},
    {ESTAB_SYN_SENT, ESTAB_ESTABLISHED, "rcv SYN,ACK, snd ACK"},
    {ESTAB_SYN_RECEIVED, ESTAB_ESTABLISHED, "rcv ACK of SYN"},
    {ESTAB_SYN_RECEIVED, ESTAB_FIN_WAIT_1, "CLOSE, snd FIN"},
    {ESTAB_SYN_RECEIVED, ESTAB_LISTEN, "rcv RST"},
    {ESTAB_ESTABLISHED, ESTAB_FIN_WAIT_1, "CLOSE, snd FIN"},
    {ESTAB_ESTABLISHED, ESTAB_CLOSE_WAIT, "rcv FIN, snd ACK"},
    {ESTAB_FIN_WAIT_1, ESTAB_FIN_WAIT_2, "rcv ACK of FIN"},
    {ESTAB_FIN_WAIT_1, ESTAB_CLOSING, "rcv FIN, snd ACK"},
    {ESTAB_FIN_WAIT_2, ESTAB_TIME_WAIT, "rcv FIN, snd ACK"},
    {ESTAB_CLOSE_WAIT, ESTAB_LAST_ACK, "CLOSE, snd FIN"},
    {ESTAB_CLOSING, ESTAB_TIME_WAIT, "rcv ACK of FIN"},
};

const char *estab_edge_event(enum estab_tcp_state from, enum estab_tcp_state to,
                             enum estab_cause by)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i].from == from && events[i].to == to)
            return events[i].event;
    if (to != ESTAB_CLOSED)
        return "?";
    switch (by) {
    case ESTAB_BY_USER:
        if (from == ESTAB_TIME_WAIT)
            return "active OPEN takes its place";
        return from == ESTAB_LISTEN || from == ESTAB_SYN_SENT ? "CLOSE, delete TCB" : "ABORT";
    case ESTAB_BY_SEGMENT:
        return from == ESTAB_LAST_ACK    ? "rcv ACK of FIN"
               : from == ESTAB_TIME_WAIT ? "rcv newer SYN"
                                         : "rcv RST";
    case ESTAB_BY_TIMEOUT:
        return from == ESTAB_TIME_WAIT ? "timeout=2MSL" : "timeout, given up";
    case ESTAB_BY_ICMP:
        return "ICMP error";
    }
    return "?";
}
