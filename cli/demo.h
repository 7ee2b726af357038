/* SPDX-License-Identifier: BSD-2-Clause */
/* demo.h - what the parts of `estab demo` share: the place it runs in, the files, the four
 * transfers. */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "child.h"
#include "http_fetch.h"
#include "http_server.h"
#include "node.h"
#include "nsbox.h"

#include <limits.h>

enum { DEMO_TRANSFERS = 4, DEMO_HTTP_PORT = 80, DEMO_PEER_PORT = 8000 };

/* Where the exchange happens, best first. */
enum demo_place { PLACE_AUTO, PLACE_NETNS, PLACE_USERNS, PLACE_MEMORY };

struct demo_transfer {
    bool done;   /* the file arrived whole, and the connection reached CLOSED */
    bool intact; /* SHA-256 matches */
    bool closed; /* every connection of it reached CLOSED */
    uint64_t octets;
    estab_dur took;
    uint64_t again; /* segments sent again */
};

struct demo {
    /* the command line */
    enum demo_place place;
    const char *folder; /* NULL: one is made */
    const char *pcap;
    estab_dur msl;
    uint64_t size; /* of the file: wanted if it is made, then what it is */
    bool colour, utf8, json, keep;

    /* the place */
    struct node node, peer; /* peer: in memory only */
    struct http_server *server, *peer_server;
    char refused[3][ESTAB_ERRLEN]; /* why a better place was not taken, by enum demo_place */

    /* the files */
    char dir[PATH_MAX / 4]; /* our own, removed at the end; "": none yet */
    char www[PATH_MAX / 2]; /* the folder that is served */
    char name[256];         /* the file in it */
    char arrived[PATH_MAX / 2];
    char log[PATH_MAX / 2]; /* what a child program said */
    char digest[65];

    /* the run */
    int signals, signal;
    bool lost;   /* the device is gone, or nobody takes the output */
    int unheard; /* the exit status of the latter */
    struct ladder *ladder;
    FILE *rows; /* what the ladder wrote since the last turn: a memory stream */
    char *rows_text;
    size_t rows_len;
    bool progress_shown;
    estab_time progress_at;
    struct child child;
    struct demo_transfer transfer[DEMO_TRANSFERS];
};

/* demo_place.c */
int demo_enter(struct demo *d, char *err);
void demo_leave(struct demo *d);
const char *demo_place_name(const struct demo *d);

/* demo_files.c */
int demo_files_make(struct demo *d, char *err);
void demo_files_remove(struct demo *d);
int demo_arrived_digest(const struct demo *d, char digest[65], uint64_t *octets, char *err);
/* The last line that a child program wrote, in buf. */
const char *demo_last_word(const struct demo *d, char *buf, size_t cap);

/* demo_run.c */
/* All four.  0; or -1: interrupted or something that makes going on senseless, with err ("": the
 * signal says it). */
int demo_run(struct demo *d, char *err);

#endif
