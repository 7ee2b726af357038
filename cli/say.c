/* SPDX-License-Identifier: BSD-2-Clause */
/* say.c - what the program says to people: errors, quantities, and what a terminal can show. */
#include "say.h"
#include "command.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_line(const char *command, const char *fmt, va_list ap)
{
    fprintf(stderr, "estab%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void say_error(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say_line(command, fmt, ap);
    va_end(ap);
}

int say_usage(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say_line(command, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try `estab help%s%s'.\n", command ? " " : "", command ? command : "");
    return EXIT_USAGE;
}

static bool is_reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};

    return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP);
}

static int unwritten(const char *command)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_SUCCESS;
    if (is_reader_gone())
        return EXIT_SIGNAL + SIGPIPE;
    say_error(command, "cannot write the output%s%s", errno ? ": " : "",
              errno ? strerror(errno) : "");
    return EXIT_FAILURE;
}

int say_flush(const char *command)
{
    int status = unwritten(command);

    return status == EXIT_SUCCESS && is_reader_gone() ? EXIT_SIGNAL + SIGPIPE : status;
}

int say_end(const char *command, int status)
{
    return status == EXIT_SUCCESS ? unwritten(command) : status;
}

bool say_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool say_colour(FILE *file)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");

    return isatty(fileno(file)) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

char *say_octets(uint64_t n, char buf[SAY_LEN])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)n;
    size_t u = 0;

    while (v >= 1023.95 && u < sizeof unit / sizeof unit[0] - 1) {
        v /= 1024;
        u++;
    }
    snprintf(buf, SAY_LEN, u == 0 ? "%.0f %s" : "%.1f %s", v, unit[u]);
    return buf;
}

char *say_count(uint64_t n, char buf[SAY_LEN])
{
    char digits[SAY_LEN];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t i, o = 0;

    for (i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf[o++] = ',';
        buf[o++] = digits[i];
    }
    buf[o] = '\0';
    return buf;
}

char *say_span(estab_dur d, char buf[SAY_LEN])
{
    if (d < ESTAB_US(1))
        snprintf(buf, SAY_LEN, "%u ns", (unsigned)d);
    else if (d < ESTAB_MS(1))
        snprintf(buf, SAY_LEN, "%.1f us", (double)d / 1e3);
    else if (d < ESTAB_S(1))
        snprintf(buf, SAY_LEN, "%.1f ms", (double)d / 1e6);
    else
        snprintf(buf, SAY_LEN, "%.2f s", (double)d / 1e9);
    return buf;
}

char *say_rate(uint64_t octets, estab_dur d, char buf[SAY_LEN])
{
    double rate = d > 0 ? (double)octets * 1e9 / (double)d : 0;

    if (rate >= 1e9)
        snprintf(buf, SAY_LEN, "%.2f GB/s", rate / 1e9);
    else if (rate >= 1e6)
        snprintf(buf, SAY_LEN, "%.1f MB/s", rate / 1e6);
    else
        snprintf(buf, SAY_LEN, "%.1f kB/s", rate / 1e3);
    return buf;
}
