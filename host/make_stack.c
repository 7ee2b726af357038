/* SPDX-License-Identifier: BSD-2-Clause */
/* make_stack.c - a stack, or why there is none, in words. */
#include <estab/host.h>

#include <stdio.h>

int estab_host_stack(estab_stack **out, const struct estab_env *env, const struct estab_config *cfg,
                     char *err)
{
    int rc = estab_stack_new(out, env, cfg);
    struct estab_config_fault why;

    if (rc == 0)
        return 0;
    if (rc != ESTAB_E_INVAL || !cfg || estab_config_ok(cfg, &why))
        snprintf(err, ESTAB_ERRLEN, "cannot make a stack: %s", estab_strerror(rc));
    else if (!why.least && !why.most)
        snprintf(err, ESTAB_ERRLEN,
                 "cannot make a stack: %s is \"%.15s\", and there is no such algorithm", why.field,
                 cfg->cc);
    else if (why.most == ESTAB_NEVER)
        snprintf(err, ESTAB_ERRLEN, "cannot make a stack: %s is %llu, and must be at least %llu",
                 why.field, (unsigned long long)why.value, (unsigned long long)why.least);
    else
        snprintf(err, ESTAB_ERRLEN, "cannot make a stack: %s is %llu, and must be %llu to %llu",
                 why.field, (unsigned long long)why.value, (unsigned long long)why.least,
                 (unsigned long long)why.most);
    return rc;
}
