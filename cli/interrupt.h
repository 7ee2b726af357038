/* SPDX-License-Identifier: BSD-2-Clause */
/* interrupt.h - the signals that end a program, as a descriptor a loop can watch. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From here on SIGINT, SIGTERM, SIGHUP (unless ignored) and SIGCHLD arrive by the descriptor, and
 * SIGPIPE is an error of write(2).  -1 and errno. */
int interrupt_open(void);
/* The signal that asked to end, or 0: none yet.  Does not wait. */
int interrupt_read(int fd);

#endif
