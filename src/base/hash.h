/* SPDX-License-Identifier: BSD-2-Clause */
/* hash.h - keyed hash (SipHash-1-3, and 2-4 where others must agree) and an index from hash to a
 * 32-bit reference.
 *
 * An entry is 8 octets: the low 32 bits of the hash and the caller's reference; keys are the
 * caller's, who compares them.  The index is 7/9 to 7/8 full at every size, so that an entry costs
 * some 10 octets, and it grows by pieces: no insert moves more than one of them.  Whatever moves
 * goes by the 32 bits of the hash: nothing touches the objects. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/env.h"

struct hash_key {
    uint64_t k0, k1;
};
struct hash_key hash_key_of(const uint8_t octets[16]); /* as SipHash reads one */
uint64_t hash_sip13(const struct hash_key *key, const void *data, size_t len);
/* Of two ends, whichever is named first, and no secret: for sharing out, not for finding. */
uint32_t hash_flow(const uint8_t a[16], uint16_t a_port, const uint8_t b[16], uint16_t b_port);
uint64_t hash_sip24(const struct hash_key *key, const void *data, size_t len);

#define HASH_NONE UINT32_MAX /* not a valid reference */

struct hash_entry {
    uint32_t tag; /* low bits of the hash */
    uint32_t ref; /* HASH_NONE: empty */
};
struct hash_part {        /* a sorted piece of the index; hash.c */
    struct hash_entry *e; /* `homes` and what lies beyond them, the last always empty */
    uint32_t homes, room; /* room: entries in all */
    uint32_t used;
};
struct hash {
    struct env *env;
    struct hash_part *part; /* a directory that doubles */
    struct hash_part one;   /* ... before there is one */
    uint32_t nparts, cap;   /* parts in use; room for them in the directory, 0: there is none */
    uint32_t mask;          /* the least power of two above nparts, less one */
    uint32_t used;
};
void hash_init(struct hash *h, struct env *env); /* allocates nothing yet */
void hash_fini(struct hash *h);
/* 0 or ESTAB_E_NOMEM (nothing changed).  Does not look for a duplicate. */
int hash_add(struct hash *h, uint32_t tag, uint32_t ref);
/* Removes the entry with exactly this tag and reference; it must be there. */
void hash_del(struct hash *h, uint32_t tag, uint32_t ref);
/* Changes the reference of an entry that must be there. */
void hash_set(struct hash *h, uint32_t tag, uint32_t ref, uint32_t to);

/* Has what is known by this tag fetched into the cache, for whoever comes back to it. */
void hash_warm(const struct hash *h, uint32_t tag);

/* Iterates the references whose tag matches, as long as nothing is added or deleted:
 *   struct hash_probe p = hash_probe(h, tag);
 *   while ((ref = hash_next(&p)) != HASH_NONE) if (key matches) ... */
struct hash_probe {
    const struct hash_entry *at;
    uint32_t tag;
};
struct hash_probe hash_probe(const struct hash *h, uint32_t tag);
static inline uint32_t hash_next(struct hash_probe *p) /* what is empty has no reference */
{
    return p->at->tag == p->tag ? (p->at++)->ref : HASH_NONE;
}

#endif
