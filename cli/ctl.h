/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl.h - the control socket: what `estab ss` asks a running stack.
 *
 * A client connects, writes one line and reads lines until the end:
 *
 *   sockets\n
 *   {"estab":"0.1.0","protocol":1,"pid":7,"command":"serve"}
 *   {"state":"ESTABLISHED","local":"10.77.0.2:80", ...}      one for each socket
 *   {"end":true,"sockets":1,"mem_used":..., ...}
 *
 * An answer without its last line was cut short. */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include <estab/host.h>

#define CTL_PATH_MAX 108 /* of struct sockaddr_un */

struct ctl;
/* path NULL: the default.  0, or -1 and a line in err (ESTAB_ERRLEN). */
int ctl_open(struct ctl **out, estab_stack *stack, const char *command, const char *path,
             char *err);
const char *ctl_path(const struct ctl *c);
int ctl_fd(const struct ctl *c); /* readable when ctl_run has something to do */
/* Never blocks, and does a bounded amount of work: what is left keeps ctl_fd readable. */
void ctl_run(struct ctl *c, estab_time now);
void ctl_close(struct ctl *c); /* removes the socket; NULL is allowed */

/* The folder of this user's control sockets, with the reason in err if there is none and
 * make is false or making it fails. */
int ctl_folder(char path[CTL_PATH_MAX], bool make, char *err);
/* A connection to a control socket; -1 and errno. */
int ctl_connect(const char *path);

#endif
