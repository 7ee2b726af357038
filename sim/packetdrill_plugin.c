/* SPDX-License-Identifier: BSD-2-Clause */
/* packetdrill_plugin.c - what libestab-packetdrill.so exports: packetdrill_interface_init(), and a
 * getsockopt() for those who preload it.
 *
 * packetdrill runs one script a process, so there is one plug; its %{ }% code asks the C library
 * for TCP_INFO, past the interface, and finds it here when the same object is preloaded. */
#include "plug.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

static struct plug *the_plug;

static void free_the_plug(void *u)
{
    the_plug = NULL;
    plug_free(u);
}

EXPORTED void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
    struct plug_set set;
    char err[ESTAB_ERRLEN] = "out of memory";

    unsetenv("LD_PRELOAD"); /* the script's shell lines are not ours */
    plug_set_init(&set);
    if (flags && plug_set_flags(&set, flags, err) != 0) {
        fprintf(stderr, "libestab-packetdrill: %s\n", err);
        exit(EXIT_FAILURE);
    }
    the_plug = plug_new(&set);
    if (!the_plug) {
        fprintf(stderr, "libestab-packetdrill: %s\n", err);
        exit(EXIT_FAILURE);
    }
    the_plug->read_system = true;
    the_plug->state_dir = getenv("RIG_STATE");
    if (the_plug->state_dir)
        plug_state_write(the_plug); /* who looks before the first connection finds none */
    plug_interface(the_plug, ifc);
    ifc->free = free_the_plug;
}

EXPORTED int getsockopt(int fd, int level, int name, void *restrict val, socklen_t *restrict len)
{
    int (*next)(int, int, int, void *restrict, socklen_t *restrict);
    void *symbol;

    if (the_plug && plug_file(the_plug, fd))
        return plug_getsockopt(the_plug, fd, level, name, val, len);
    symbol = dlsym(RTLD_NEXT, "getsockopt");
    memcpy(&next, &symbol, sizeof next); /* ISO C knows no cast from an object to a function */
    return next(fd, level, name, val, len);
}
