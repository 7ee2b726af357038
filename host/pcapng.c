/* SPDX-License-Identifier: BSD-2-Clause */
/* pcapng.c - draft-ietf-opsawg-pcapng: little-endian, one section, one interface a link, ns. */
#include "pcapng.h"

#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SHB = 0x0a0d0d0a,
    BLOCK_IDB = 1,
    BLOCK_EPB = 6,
    OPT_END = 0,
    OPT_COMMENT = 1,
    OPT_SHB_USERAPPL = 4,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_EPB_FLAGS = 2,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
};

uint8_t *octets_extend(struct octets *o, size_t len)
{
    size_t room = o->room ? o->room : 512;
    uint8_t *grown;

    while (room - o->len < len)
        room *= 2;
    if (room != o->room) {
        grown = realloc(o->at, room);
        if (!grown) {
            o->failed = true;
            return NULL;
        }
        o->at = grown;
        o->room = room;
    }
    o->len += len;
    return o->at + o->len - len;
}

void octets_put(struct octets *o, const void *from, size_t len)
{
    uint8_t *to = octets_extend(o, len);

    if (to && len > 0)
        memcpy(to, from, len);
}

static void put_le(struct octets *o, uint64_t v, size_t len)
{
    uint8_t *to = octets_extend(o, len);

    for (size_t i = 0; to && i < len; i++)
        to[i] = (uint8_t)(v >> 8 * i);
}

/* Blocks and options are padded to 32 bits. */
static void put_padding(struct octets *o, size_t len)
{
    put_le(o, 0, -len & 3);
}

static void put_option(struct octets *o, uint16_t code, const void *value, size_t len)
{
    put_le(o, code, 2);
    put_le(o, len, 2);
    octets_put(o, value, len);
    put_padding(o, len);
}

void pcapng_fail(struct pcapng *p, const char *why)
{
    if (!p->error[0])
        link_say(p->error, "%s: recording stopped: %s; the file ends before this", p->path, why);
}

static void begin_block(struct pcapng *p, uint32_t type)
{
    p->block.len = 0;
    p->block.failed = false;
    put_le(&p->block, type, 4);
    put_le(&p->block, 0, 4); /* the length, known at the end */
}

static void end_block(struct pcapng *p)
{
    struct octets *b = &p->block;
    size_t len;

    put_option(b, OPT_END, NULL, 0);
    len = b->len + 4;
    put_le(b, len, 4);
    if (b->failed) {
        pcapng_fail(p, "out of memory");
        return;
    }
    memcpy(b->at + 4, b->at + b->len - 4, 4);
    if (!p->error[0] && fwrite(b->at, 1, b->len, p->file) != b->len)
        pcapng_fail(p, strerror(errno));
}

int pcapng_init(struct pcapng *p, const char *path, char *err)
{
    static const char app[] = "estab";

    *p = (struct pcapng){.file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wbe")};
    if (!p->file)
        return link_say(err, "%.128s: cannot be written: %s", path, strerror(errno));
    snprintf(p->path, sizeof p->path, "%s", path);
    begin_block(p, BLOCK_SHB);
    put_le(&p->block, 0x1a2b3c4d, 4); /* byte-order magic */
    put_le(&p->block, 1, 2);          /* version 1.0 */
    put_le(&p->block, 0, 2);
    put_le(&p->block, UINT64_MAX, 8); /* length of the section: not said */
    put_option(&p->block, OPT_SHB_USERAPPL, app, sizeof app - 1);
    end_block(p);
    return 0;
}

uint32_t pcapng_interface(struct pcapng *p, const char *name, const struct estab_port_caps *caps)
{
    static const uint8_t nanoseconds = 9; /* 10^-9 s */

    begin_block(p, BLOCK_IDB);
    put_le(&p->block, caps->medium == ESTAB_MEDIUM_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 2);
    put_le(&p->block, 0, 2);
    put_le(&p->block, 0, 4); /* no limit that holds for all of the file */
    put_option(&p->block, OPT_IF_NAME, name, strlen(name));
    put_option(&p->block, OPT_IF_TSRESOL, &nanoseconds, 1);
    end_block(p);
    return p->ninterfaces++;
}

void pcapng_write(struct pcapng *p, const struct pcapng_packet *k)
{
    const uint8_t direction[4] = {k->inbound ? 1 : 2, 0, 0, 0};
    const char *comment = (const char *)k->comments.at;
    size_t len;

    begin_block(p, BLOCK_EPB);
    put_le(&p->block, k->interface, 4);
    put_le(&p->block, k->at >> 32, 4);
    put_le(&p->block, k->at & UINT32_MAX, 4);
    put_le(&p->block, k->frame.len, 4); /* captured */
    put_le(&p->block, k->len, 4);       /* on the wire */
    octets_put(&p->block, k->frame.at, k->frame.len);
    put_padding(&p->block, k->frame.len);
    put_option(&p->block, OPT_EPB_FLAGS, direction, sizeof direction);
    for (size_t i = 0; i < k->comments.len; i += len + 1) {
        len = strlen(comment + i);
        put_option(&p->block, OPT_COMMENT, comment + i, len);
    }
    end_block(p);
}

void pcapng_flush(struct pcapng *p)
{
    if (!p->error[0] && fflush(p->file))
        pcapng_fail(p, strerror(errno));
}

void pcapng_fini(struct pcapng *p)
{
    if (p->file == stdout)
        fflush(p->file);
    else
        fclose(p->file);
    free(p->block.at);
}
