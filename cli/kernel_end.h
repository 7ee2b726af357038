/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_end.h - the kernel's end of a TUN or TAP device: its address, up. */
#ifndef CLI_KERNEL_END_H
#define CLI_KERNEL_END_H

#include <stdbool.h>
#include <stdint.h>

/* prefix_len counts the bits of the 16-octet form, as in estab.h.  0, or -1 and a line in err
 * (ESTAB_ERRLEN octets). */
int kernel_end_addr(const char *dev, const uint8_t ip[16], uint8_t prefix_len, char *err);
int kernel_end_up(const char *dev, char *err);
bool kernel_end_is_up(const char *dev);

#endif
