/* SPDX-License-Identifier: BSD-2-Clause */
/* linux_words_test.c - what POSIX and Linux call things that the stack has other words for. */
#include "link_kit.h"

#include <errno.h>

static void every_error_has_its_errno(void **state)
{
    static const struct {
        int err, errno_value;
    } pairs[] = {
        {ESTAB_OK, 0},
        {ESTAB_E_AGAIN, EAGAIN},
        {ESTAB_E_BADF, EBADF},
        {ESTAB_E_INVAL, EINVAL},
        {ESTAB_E_NOMEM, ENOMEM},
        {ESTAB_E_INUSE, EADDRINUSE},
        {ESTAB_E_NOTCONN, ENOTCONN},
        {ESTAB_E_ISCONN, EISCONN},
        {ESTAB_E_REFUSED, ECONNREFUSED},
        {ESTAB_E_RESET, ECONNRESET},
        {ESTAB_E_TIMEOUT, ETIMEDOUT},
        {ESTAB_E_UNREACH, EHOSTUNREACH},
        {ESTAB_E_PIPE, EPIPE},
        {ESTAB_E_INPROGRESS, EINPROGRESS},
        {ESTAB_E_ADDRNOTAVAIL, EADDRNOTAVAIL},
        {ESTAB_E_MSGSIZE, EMSGSIZE},
        {ESTAB_E_NOTSUP, EOPNOTSUPP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(estab_errno(pairs[i].err), pairs[i].errno_value);
    assert_int_equal(estab_errno(-1000), EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
