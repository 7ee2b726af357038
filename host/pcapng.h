/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng.h - writing the file format; what goes into it is recorder.c's. */
#ifndef HOST_PCAPNG_H
#define HOST_PCAPNG_H

#include <stdio.h>

#include <estab/host.h>

#pragma GCC visibility push(hidden)

struct octets { /* grows; failed: an allocation did, and what it holds is worth nothing */
    uint8_t *at;
    size_t len, room;
    bool failed;
};
uint8_t *octets_extend(struct octets *o, size_t len); /* room at the end, or NULL */
void octets_put(struct octets *o, const void *from, size_t len);

struct pcapng {
    FILE *file;
    char path[128];
    char error[ESTAB_ERRLEN]; /* why the file is incomplete, or empty */
    uint32_t ninterfaces;
    struct octets block; /* being written */
};
struct pcapng_packet {
    uint32_t interface;
    bool inbound;
    uint64_t at; /* ns of UNIX time */
    size_t len;  /* on the wire; frame may have fewer of its octets */
    struct octets frame;
    struct octets comments; /* strings, each with its zero */
};

/* 0, or -1 and err. */
int pcapng_init(struct pcapng *p, const char *path, char *err);
/* One more interface of the file; its number. */
uint32_t pcapng_interface(struct pcapng *p, const char *name, const struct estab_port_caps *caps);
void pcapng_write(struct pcapng *p, const struct pcapng_packet *k);
void pcapng_flush(struct pcapng *p);
void pcapng_fini(struct pcapng *p);
/* Nothing more is written; the first reason stays. */
void pcapng_fail(struct pcapng *p, const char *why);

#pragma GCC visibility pop
#endif
