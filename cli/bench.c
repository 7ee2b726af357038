/* SPDX-License-Identifier: BSD-2-Clause */
/* bench.c - `estab bench`: runs estab-bench, a program of its own, which also calls what is inside
 * the library.  In a build it is under bench/, installed in libexec/estab. */
#include "command.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: estab bench [--figures FILE] [--quick]\n"
    "       estab bench connections N [--figures FILE]\n"
    "       estab bench shards [--figures FILE] [--quick]\n"
    "       estab bench once STACK WORKLOAD CONNECTIONS COUNT\n"
    "\n"
    "Measures two stacks in one process: throughput, short connections, exchanges, memory.\n"
    "  connections N   N connections (10k, 10M) at the same time: each answers, all are closed\n"
    "  shards          two threads with a shard each of one address, against one\n"
    "  once            one run, for a profiler: estab or lwip, bulk, crr or rr, crr32 or rr32 (32\n"
    "                  at a time); prints the units that it did, and how many ns one took\n"
    "  --figures FILE  adds each figure to FILE, as a line of its name and its value\n"
    "  --quick         tiny runs: whether it works, not how fast\n";

/* Where estab-bench may be, from the folder of this program. */
static const char *const places[] = {"estab-bench", "bench/estab-bench",
                                     "../libexec/estab/estab-bench"};
enum { NPLACES = sizeof places / sizeof places[0] };

static int run(int argc, char *argv[])
{
    char dir[PATH_MAX], path[PATH_MAX + 64], *slash;
    ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);

    (void)argc;
    if (n < 0) {
        say_error("bench", "finding this program's folder: /proc/self/exe: %s", strerror(errno));
        return 1;
    }
    dir[n] = '\0';
    slash = strrchr(dir, '/');
    *slash = '\0';
    fflush(NULL);
    for (int i = 0; i < NPLACES; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, places[i]);
        argv[0] = path;
        execv(path, argv);
        if (errno != ENOENT && errno != ENOTDIR) {
            say_error("bench", "%s: %s", path, strerror(errno));
            return 1;
        }
    }
    say_error("bench",
              "there is no estab-bench beside %s/estab, nor in bench or ../libexec/estab from "
              "there; `make install` puts it there, `cmake --build BUILD --target estab-bench` "
              "builds it",
              dir);
    return 1;
}

const struct command command_bench = {
    "bench", "measure the stack: speed, memory, ten million connections", usage, run};
