/* SPDX-License-Identifier: BSD-2-Clause */
/* errno.c - what POSIX calls the stack's errors. */
#include <estab/host.h>

#include <errno.h>

int estab_errno(int err)
{
    switch ((enum estab_err)err) {
    case ESTAB_OK:
        return 0;
    case ESTAB_E_AGAIN:
        return EAGAIN;
    case ESTAB_E_BADF:
        return EBADF;
    case ESTAB_E_INVAL:
        return EINVAL;
    case ESTAB_E_NOMEM:
        return ENOMEM;
    case ESTAB_E_INUSE:
        return EADDRINUSE;
    case ESTAB_E_NOTCONN:
        return ENOTCONN;
    case ESTAB_E_ISCONN:
        return EISCONN;
    case ESTAB_E_REFUSED:
        return ECONNREFUSED;
    case ESTAB_E_RESET:
        return ECONNRESET;
    case ESTAB_E_TIMEOUT:
        return ETIMEDOUT;
    case ESTAB_E_UNREACH:
        return EHOSTUNREACH;
    case ESTAB_E_PIPE:
        return EPIPE;
    case ESTAB_E_INPROGRESS:
        return EINPROGRESS;
    case ESTAB_E_ADDRNOTAVAIL:
        return EADDRNOTAVAIL;
    case ESTAB_E_MSGSIZE:
        return EMSGSIZE;
    case ESTAB_E_NOTSUP:
        return EOPNOTSUPP;
    }
    return EIO;
}
