/* SPDX-License-Identifier: BSD-2-Clause */
/* demo_files.c - the folder the demo serves, and what arrives. */
#include "demo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what, const char *path, char *err)
{
    snprintf(err, ESTAB_ERRLEN, "cannot %s %.150s: %s", what, path, strerror(errno));
    return -1;
}

/* Random octets: nothing on the way can shrink them, and a stale file cannot match. */
static int write_random(const char *path, uint64_t size, char *err)
{
    FILE *out = fopen(path, "wxe");
    char block[4096];

    if (!out)
        return failed("make", path, err);
    while (size > 0) {
        size_t len = size < sizeof block ? (size_t)size : sizeof block;

        for (size_t at = 0; at < len; at += 256)
            if (getrandom(block + at, 256, 0) != 256) {
                fclose(out);
                return failed("get randomness for", path, err);
            }
        if (fwrite(block, 1, len, out) != len)
            break;
        size -= len;
    }
    if (fclose(out) != 0 || size > 0)
        return failed("write", path, err);
    return 0;
}

static int choose_largest(struct demo *d, char *err)
{
    DIR *dir = opendir(d->folder);
    const struct dirent *e;
    off_t largest = -1;
    struct stat st;

    if (!dir)
        return failed("read the folder", d->folder, err);
    while ((e = readdir(dir)))
        if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
            st.st_size > largest && faccessat(dirfd(dir), e->d_name, R_OK, 0) == 0) {
            largest = st.st_size;
            snprintf(d->name, sizeof d->name, "%s", e->d_name);
        }
    closedir(dir);
    if (largest > 0)
        return 0;
    snprintf(err, ESTAB_ERRLEN, "the folder %.150s has no file that could be fetched", d->folder);
    return -1;
}

static void path_in(char *out, size_t cap, const char *dir, const char *name)
{
    snprintf(out, cap, "%.1000s/%s", dir, name);
}

int demo_files_make(struct demo *d, char *err)
{
    const char *tmp = getenv("TMPDIR");
    char file[PATH_MAX];
    struct stat st;

    snprintf(d->dir, sizeof d->dir, "%.900s/estab-demo-XXXXXX",
             tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (!mkdtemp(d->dir)) {
        failed("make the folder", d->dir, err);
        d->dir[0] = '\0';
        return -1;
    }
    path_in(d->arrived, sizeof d->arrived, d->dir, "arrived");
    path_in(d->log, sizeof d->log, d->dir, "log");
    if (d->folder) {
        if (!realpath(d->folder, file) || strlen(file) >= sizeof d->www)
            return failed("use the folder", d->folder, err);
        snprintf(d->www, sizeof d->www, "%.*s", (int)sizeof d->www - 1, file);
        if (choose_largest(d, err) < 0)
            return -1;
    } else {
        path_in(d->www, sizeof d->www, d->dir, "www");
        snprintf(d->name, sizeof d->name, "data.bin");
        if (mkdir(d->www, 0700) < 0)
            return failed("make the folder", d->www, err);
        snprintf(file, sizeof file, "%s/%s", d->www, d->name);
        if (write_random(file, d->size, err) < 0)
            return -1;
    }
    snprintf(file, sizeof file, "%s/%s", d->www, d->name);
    if (stat(file, &st) < 0)
        return failed("use", file, err);
    d->size = (uint64_t)st.st_size;
    return child_sha256(file, d->digest, err);
}

void demo_files_remove(struct demo *d)
{
    char file[PATH_MAX];

    if (d->dir[0] == '\0' || d->keep)
        return;
    unlink(d->arrived);
    unlink(d->log);
    if (!d->folder) {
        snprintf(file, sizeof file, "%s/%s", d->www, d->name);
        unlink(file);
        rmdir(d->www);
    }
    rmdir(d->dir);
    d->dir[0] = '\0';
}

int demo_arrived_digest(const struct demo *d, char digest[65], uint64_t *octets, char *err)
{
    struct stat st;

    if (stat(d->arrived, &st) < 0)
        return failed("find", d->arrived, err);
    *octets = (uint64_t)st.st_size;
    return child_sha256(d->arrived, digest, err);
}

const char *demo_last_word(const struct demo *d, char *buf, size_t cap)
{
    FILE *in = fopen(d->log, "re");
    char line[256];

    snprintf(buf, cap, "it said nothing");
    while (in && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0])
            snprintf(buf, cap, "%s", line);
    }
    if (in)
        fclose(in);
    return buf;
}
