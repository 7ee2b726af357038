/* SPDX-License-Identifier: BSD-2-Clause */
/* cc.h - what lwIP asks of a port: the compiler's own types will do. */
#ifndef ARCH_CC_H
#define ARCH_CC_H

#include <stdio.h>
#include <stdlib.h>

#define LWIP_RAND() ((u32_t)rand())

#endif
