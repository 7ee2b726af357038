/* SPDX-License-Identifier: BSD-2-Clause */
/* diagram.c - the state diagram, drawn from the library's own table. */
#include "diagram.h"
#include "say.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The cause that an abort edge is drawn for: what the library calls it. */
static const char *event_of(enum estab_tcp_state from, enum estab_tcp_state to)
{
    if (to != ESTAB_CLOSED)
        return estab_edge_event(from, to, ESTAB_BY_SEGMENT);
    switch (from) {
    case ESTAB_LAST_ACK:
        return estab_edge_event(from, to, ESTAB_BY_SEGMENT);
    case ESTAB_TIME_WAIT:
        return estab_edge_event(from, to, ESTAB_BY_TIMEOUT);
    case ESTAB_LISTEN:
    case ESTAB_SYN_SENT:
        return estab_edge_event(from, to, ESTAB_BY_USER);
    default:
        return "RST, ABORT or timeout";
    }
}

static bool is_abort(enum estab_tcp_state from, enum estab_tcp_state to)
{
    return to == ESTAB_CLOSED && from != ESTAB_LAST_ACK && from != ESTAB_TIME_WAIT &&
           from != ESTAB_LISTEN && from != ESTAB_SYN_SENT;
}

void diagram_dot(FILE *out, uint64_t (*taken)[ESTAB_TCP_STATES])
{
    fputs("digraph tcp {\n"
          "    label=\"RFC 9293 section 3.3.2, figure 5, as estab's table has it\\n"
          "each edge: its event, and how often it was taken; dashed: aborts\";\n"
          "    labelloc=t; fontname=\"sans-serif\"; nodesep=0.6; ranksep=0.7;\n"
          "    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
          "    edge [fontname=\"sans-serif\", fontsize=10];\n",
          out);
    for (int from = 0; from < ESTAB_TCP_STATES; from++)
        fprintf(out, "    \"%s\";\n", estab_state_name((enum estab_tcp_state)from));
    for (int i = 0; i < ESTAB_TCP_STATES * ESTAB_TCP_STATES; i++) {
        enum estab_tcp_state from = (enum estab_tcp_state)(i / ESTAB_TCP_STATES);
        enum estab_tcp_state to = (enum estab_tcp_state)(i % ESTAB_TCP_STATES);
        char n[SAY_LEN];

        if (!estab_edge_legal(from, to))
            continue;
        fprintf(out, "    \"%s\" -> \"%s\" [label=\"%s\\n%s\"%s];\n", estab_state_name(from),
                estab_state_name(to), event_of(from, to), say_count(taken[from][to], n),
                is_abort(from, to)
                    ? ", style=dashed, color=gray60, fontcolor=gray40, constraint=false"
                : taken[from][to] == 0 ? ", color=gray80, fontcolor=gray60"
                                       : "");
    }
    fputs("}\n", out);
}

static const char *picture_type(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot && strcmp(dot, ".svg") == 0)
        return "svg";
    return dot && strcmp(dot, ".png") == 0 ? "png" : NULL;
}

static int write_dot(const char *command, const char *path, FILE *out,
                     uint64_t (*taken)[ESTAB_TCP_STATES])
{
    if (!out) {
        say_error(command, "cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    diagram_dot(out, taken);
    if (fclose(out) != 0) {
        say_error(command, "cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    return 0;
}

/* `dot -Tsvg -o PATH DOT` */
static int draw(const char *command, const char *type, const char *path, const char *dot)
{
    char format[16];
    const char *argv[] = {"dot", format, "-o", path, dot, NULL};
    int status = 0, err;
    pid_t pid;

    snprintf(format, sizeof format, "-T%s", type);
    err = posix_spawnp(&pid, "dot", NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (err) {
        say_error(command, "cannot run dot: %s; it is in Debian's package graphviz", strerror(err));
        return -1;
    }
    if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        say_error(command, "dot did not draw %s", path);
        return -1;
    }
    return 0;
}

int diagram_write(const char *command, const char *path, uint64_t (*taken)[ESTAB_TCP_STATES])
{
    const char *type = picture_type(path);
    char dot[] = "/tmp/estab-states-XXXXXX";
    int fd, status;

    if (!type)
        return write_dot(command, path, fopen(path, "w"), taken);
    fd = mkstemp(dot);
    status = write_dot(command, dot, fd < 0 ? NULL : fdopen(fd, "w"), taken);
    if (status == 0)
        status = draw(command, type, path, dot);
    if (fd >= 0)
        unlink(dot);
    return status;
}
