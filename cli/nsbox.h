/* SPDX-License-Identifier: BSD-2-Clause */
/* nsbox.h - a private network namespace with a TUN device in it, for this process alone. */
#ifndef CLI_NSBOX_H
#define CLI_NSBOX_H

#include <estab/host.h>

enum nsbox_kind {
    NSBOX_NETNS,  /* a network namespace, as root */
    NSBOX_USERNS, /* a network namespace inside a user namespace */
};

/* Moves this process into a new network namespace of that kind, sets its loopback up and makes the
 * TUN device `dev`, whose kernel's end gets the addresses (each "ADDR/PREFIX", NULL ends).  0, or
 * -1 and what was refused in err; the process may then be in the new namespace all the same.
 * The process must have one thread. */
int nsbox_enter(enum nsbox_kind kind, const char *dev, const char *const addrs[], estab_link **link,
                char *err);

#endif
