/* SPDX-License-Identifier: BSD-2-Clause */
/* posix_names.h - the calls of <estab/posix.h> under the kernel's names.
 *
 * Included after the system's headers, or instead of them, it turns a program for the kernel's
 * sockets into one for estab's.  The names are replaced wherever they stand, also as members of
 * structures: include it in every file of the program, or in those alone that make the calls. */
#ifndef ESTAB_POSIX_NAMES_H
#define ESTAB_POSIX_NAMES_H

#include <estab/posix.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define socket        estab_posix_socket
#define bind          estab_posix_bind
#define listen        estab_posix_listen
#define accept        estab_posix_accept
#define accept4       estab_posix_accept4
#define connect       estab_posix_connect
#define shutdown      estab_posix_shutdown
#define close         estab_posix_close
#define getsockname   estab_posix_getsockname
#define getpeername   estab_posix_getpeername
#define getsockopt    estab_posix_getsockopt
#define setsockopt    estab_posix_setsockopt
#define read          estab_posix_read
#define readv         estab_posix_readv
#define recv          estab_posix_recv
#define recvfrom      estab_posix_recvfrom
#define recvmsg       estab_posix_recvmsg
#define write         estab_posix_write
#define writev        estab_posix_writev
#define send          estab_posix_send
#define sendto        estab_posix_sendto
#define sendmsg       estab_posix_sendmsg
#define poll          estab_posix_poll
#define ppoll         estab_posix_ppoll
#define select        estab_posix_select
#define pselect       estab_posix_pselect
#define epoll_create  estab_posix_epoll_create
#define epoll_create1 estab_posix_epoll_create1
#define epoll_ctl     estab_posix_epoll_ctl
#define epoll_wait    estab_posix_epoll_wait
#define epoll_pwait   estab_posix_epoll_pwait
#define ioctl         estab_posix_ioctl
#define fcntl         estab_posix_fcntl
#define dup           estab_posix_dup
#define dup2          estab_posix_dup2
#define dup3          estab_posix_dup3

#endif
