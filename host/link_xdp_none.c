/* SPDX-License-Identifier: BSD-2-Clause */
/* link_xdp_none.c - in place of link_xdp.c and xdp_prog.c, where this was built without libxdp. */
#include "link.h"

int estab_link_xdp(estab_link **out, const struct estab_xdp *how, char *err)
{
    (void)out;
    return link_say(err,
                    "xdp:%.15s: this was built without AF_XDP; install libxdp-dev and libbpf-dev "
                    "and build again, or take packet:%.15s",
                    how->dev, how->dev);
}

int link_xdp_queues(estab_link **out, uint16_t n, const struct estab_xdp *how, char *err)
{
    (void)n;
    return estab_link_xdp(out, how, err);
}
