/* SPDX-License-Identifier: BSD-2-Clause */
/* plug_interface.c - which function serves which slot. */
#include "plug.h"

static void interface_free(void *u)
{
    plug_free(u);
}

void plug_interface(struct plug *p, struct packetdrill_interface *ifc)
{
    *ifc = (struct packetdrill_interface){
        .userdata = p,
        .free = interface_free,
        .socket = plug_socket,
        .bind = plug_bind,
        .listen = plug_listen,
        .accept = plug_accept,
        .connect = plug_connect,
        .read = plug_read,
        .readv = plug_readv,
        .recv = plug_recv,
        .recvfrom = plug_recvfrom,
        .recvmsg = plug_recvmsg,
        .write = plug_write,
        .writev = plug_writev,
        .send = plug_send,
        .sendto = plug_sendto,
        .sendmsg = plug_sendmsg,
        .fcntl = plug_fcntl,
        .ioctl = plug_ioctl,
        .close = plug_close,
        .shutdown = plug_shutdown,
        .getsockopt = plug_getsockopt,
        .setsockopt = plug_setsockopt,
        .poll = plug_poll,
        .netdev_send = plug_netdev_send,
        .netdev_receive = plug_netdev_receive,
        .usleep = plug_usleep,
        .gettimeofday = plug_gettimeofday,
        .epoll_create = plug_epoll_create,
        .epoll_ctl = plug_epoll_ctl,
        .epoll_wait = plug_epoll_wait,
        .pipe = plug_pipe,
        .splice = plug_splice,
    };
}
