/* SPDX-License-Identifier: BSD-2-Clause */
/* child.c - programs that the demo runs beside the stack, and that never outlive it.
 *
 * Each is the leader of a process group, so that what it starts itself ends with it, and has asked
 * the kernel to be killed when its parent dies, however that happens (PR_SET_PDEATHSIG). */
#include "child.h"

#include <estab/estab.h>
#include <estab/host.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool child_available(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    for (path = path ? path : "/usr/bin:/bin"; *path; path += *path == ':') {
        size_t len = strcspn(path, ":");
        int n = snprintf(file, sizeof file, "%.*s/%s", (int)len, path, program);

        if (n > 0 && (size_t)n < sizeof file && access(file, X_OK) == 0)
            return true;
        path += len;
    }
    return false;
}

/* In the child: the parent blocks signals for signalfd(2) and ignores SIGPIPE; an exec'd program
 * would inherit both. */
static void become(const char *const argv[], int output, pid_t parent, int report)
{
    int null = open("/dev/null", O_RDWR);
    char *const *args; /* execvp(3) leaves the strings alone, whatever its type says */
    sigset_t none;
    int error;

    memcpy(&args, &argv, sizeof args);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    if (dup2(null, 0) >= 0 && dup2(output < 0 ? null : output, 1) >= 0 &&
        dup2(output < 0 ? null : output, 2) >= 0)
        execvp(argv[0], args);
    error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

int child_start(struct child *c, const char *const argv[], int output)
{
    pid_t parent = getpid();
    int report[2], error;
    ssize_t n;

    memset(c, 0, sizeof *c);
    if (pipe2(report, O_CLOEXEC) < 0)
        return -1;
    fflush(NULL);
    c->pid = fork();
    if (c->pid == 0)
        become(argv, output, parent, report[1]);
    error = errno;
    close(report[1]);
    n = 0;
    if (c->pid > 0) {
        setpgid(c->pid, c->pid);
        while ((n = read(report[0], &error, sizeof error)) < 0 && errno == EINTR)
            continue;
    }
    close(report[0]);
    if (c->pid > 0 && n != (ssize_t)sizeof error) /* closed by exec: it runs */
        return 0;
    if (c->pid > 0)
        child_stop(c);
    c->pid = 0;
    errno = error;
    return -1;
}

bool child_ended(struct child *c)
{
    if (c->pid > 0 && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
        c->ended = true;
    return c->ended;
}

void child_stop(struct child *c)
{
    if (c->pid <= 0)
        return;
    if (!c->ended) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
            continue;
        c->ended = true;
    }
    c->pid = 0;
}

const char *child_outcome(const struct child *c, char *buf, size_t cap)
{
    if (WIFSIGNALED(c->status))
        snprintf(buf, cap, "signal %d", WTERMSIG(c->status));
    else
        snprintf(buf, cap, "exit status %d", WEXITSTATUS(c->status));
    return buf;
}

int child_sha256(const char *path, char digest[65], char *err)
{
    const char *const argv[] = {"sha256sum", "--", path, NULL};
    char line[128] = "";
    struct child c;
    size_t len = 0;
    ssize_t n;
    int out[2];

    if (pipe2(out, O_CLOEXEC) < 0) {
        snprintf(err, ESTAB_ERRLEN, "cannot make a pipe: %s", strerror(errno));
        return -1;
    }
    if (child_start(&c, argv, out[1]) < 0) {
        snprintf(err, ESTAB_ERRLEN, "cannot run sha256sum (Debian's coreutils): %s",
                 strerror(errno));
        close(out[0]);
        close(out[1]);
        return -1;
    }
    close(out[1]);
    do {
        n = read(out[0], line + len, sizeof line - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < sizeof line - 1) || (n < 0 && errno == EINTR));
    close(out[0]);
    child_stop(&c);
    if (line[0] == '\\') /* the name has a backslash or a newline: the line is marked */
        memmove(line, line + 1, sizeof line - 1);
    if (strspn(line, "0123456789abcdef") != 64) {
        snprintf(err, ESTAB_ERRLEN, "sha256sum failed on %s", path);
        return -1;
    }
    memcpy(digest, line, 64);
    digest[64] = '\0';
    return 0;
}
