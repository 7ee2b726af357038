/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.c - estab against the kernel's TCP, both ways.  Run by kernel.sh as root of a namespace in
 * which it may do what it likes: interop_kernel tun|tap MTU v4|v6 RECORDINGS [SCENARIO]. */
#include "kernel/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool place_of(int argc, char **argv)
{
    if (argc < 5)
        return false;
    place = (struct place){.device = "estab0",
                           .medium = strcmp(argv[1], "tap") == 0 ? ESTAB_MEDIUM_ETHERNET
                                                                 : ESTAB_MEDIUM_IP,
                           .mtu = (uint32_t)strtoul(argv[2], NULL, 10),
                           .v6 = strcmp(argv[3], "v6") == 0,
                           .recordings = argv[4]};
    place.their_ip = place.v6 ? "fd98::1" : "10.98.0.1";
    place.our_ip = place.v6 ? "fd98::2" : "10.98.0.2";
    place.prefix = place.v6 ? "64" : "24";
    return true;
}

int main(int argc, char **argv)
{
    if (!place_of(argc, argv)) {
        fprintf(stderr, "usage: %s tun|tap MTU v4|v6 RECORDINGS [SCENARIO]\n", argv[0]);
        return 2;
    }
    if (argc > 5)
        cmocka_set_test_filter(argv[5]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    fill_payload();
    return run_exchanges() + run_endings() + run_losses() > 0;
}
