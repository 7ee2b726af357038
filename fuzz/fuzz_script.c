/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_script.c - packet scripts: their parser, the sockets in virtual time, and the stack under
 * whatever a script makes of them.  The seeds are test/pkt. */
#include <estab/script.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct estab_script_result result;
    int fd = memfd_create("script", MFD_CLOEXEC);
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)estab_script_run(path, NULL, &result);
    close(fd);
    return 0;
}
