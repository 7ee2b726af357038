/* SPDX-License-Identifier: BSD-2-Clause */
/* stack_time.c - the next deadline, and running what is due. */
#include "stack/stack.h"

estab_time estab_deadline(const estab_stack *s)
{
    if (s->env.raised) /* an event while frames were handed out: nothing else wakes its user */
        return s->env.now;
    return time_min(ip_next(&s->ip), tcp_next(&s->tcp));
}

int estab_expire(estab_stack *s)
{
    int n;

    stack_enter(s);
    n = ip_expire(&s->ip) + tcp_expire(&s->tcp);
    stack_leave(s);
    return n;
}
