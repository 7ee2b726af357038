/* SPDX-License-Identifier: BSD-2-Clause */
/* hash.h - keyed hash (SipHash-1-3, and 2-4 where others must agree) and an index from hash to a
 * 32-bit reference.
 *
 * An entry is 8 octets: the low 32 bits of the hash and the caller's reference; keys are the
 * caller's, who compares them.  Open addressing, linear probing; it grows incrementally: each
 * insert clears and moves a bounded number of entries, so that no insert is ever slow.  The
 * 32 hash bits give the home position, so moving and deleting never touch the objects. */
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
struct hash {
    struct env *env;
    struct hash_entry *tab;
    struct hash_entry *old;             /* being emptied into tab, or NULL */
    struct hash_entry *next;            /* the larger table, being cleared for use, or NULL */
    uint32_t mask, old_mask, next_mask; /* sizes less one; powers of two */
    uint32_t used, old_used;            /* entries in tab and in old */
    uint32_t moved;                     /* positions of old below this one are empty */
    uint32_t cleared;                   /* positions of next below this one are empty */
};
void hash_init(struct hash *h, struct env *env); /* allocates nothing yet */
void hash_fini(struct hash *h);
/* 0 or ESTAB_E_NOMEM (nothing changed).  Does not look for a duplicate. */
int hash_add(struct hash *h, uint32_t tag, uint32_t ref);
/* Removes the entry with exactly this tag and reference; it must be there. */
void hash_del(struct hash *h, uint32_t tag, uint32_t ref);
/* Changes the reference of an entry that must be there. */
void hash_set(struct hash *h, uint32_t tag, uint32_t ref, uint32_t to);

/* Iterates the references whose tag matches:
 *   struct hash_probe p = hash_probe(h, tag);
 *   while ((ref = hash_next(h, &p)) != HASH_NONE) if (key matches) ... */
struct hash_probe {
    uint32_t tag, dist; /* dist: from the tag's home position */
    bool in_old;
};
struct hash_probe hash_probe(const struct hash *h, uint32_t tag);
uint32_t hash_next(const struct hash *h, struct hash_probe *p);

#endif
