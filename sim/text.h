/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - the language of the topologies: its reader. */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include "world.h"

#pragma GCC visibility push(hidden)

enum { WORDS_MAX = 64, LINE_MAX_LEN = 2048, LETS_MAX = 64 };

struct let {
    char name[NAME_MAX_LEN], value[128];
};
struct reader {
    struct world *w;
    int line;
    char *word[WORDS_MAX];
    int nwords;
    struct let lets[LETS_MAX];
    size_t nlets;
    char *err;
};

/* A setting of any struct: where its key's value goes. */
struct key {
    const char *name;
    enum { KEY_TIME, KEY_OCTETS, KEY_COUNT, KEY_REAL, KEY_FLAG, KEY_OCTETS32, KEY_COUNT8 } kind;
    void *to;
};

/* Statements and words: 0, or -1 and r->err says in which line what is wrong. */

/* text_words.c */
__attribute__((format(printf, 2, 3))) int text_refuse(struct reader *r, const char *fmt, ...);
int text_no_memory(struct reader *r);
bool text_is_name(const char *s);
int text_node(struct reader *r, struct node **out, const char *name);
int text_host(struct reader *r, struct node **out, const char *name);
int text_quantity(struct reader *r, double *out, const char *text, enum estab_unit unit);
int text_time(struct reader *r, estab_dur *out, const char *text);
/* "key=value": value, or NULL, and the word is cut. */
char *text_cut_pair(char *word);
int text_set(struct reader *r, const struct key *k, const char *value);
int text_set_known(struct reader *r, const struct key *keys, size_t n, const char *key,
                   const char *value);

/* text_net.c */
/* "A B", "A > B" or "A>B" from word i; how many words that were is added to *i. */
int text_ends(struct reader *r, int *i, struct node *end[2], bool *one_way);
int text_change_fault(struct reader *r, struct estab_fault *f, const char *setting);
/* Settings of a link from word i, joined by commas.  half NULL: it cannot be half-duplex. */
int text_join(struct reader *r, int i, char *out, size_t room, bool *half);
int text_read_node(struct reader *r);
int text_read_link(struct reader *r);

/* text_flow.c */
int text_read_flow(struct reader *r);

/* text_act.c */
int text_read_at(struct reader *r);
int text_read_route(struct reader *r);
int text_read_expect(struct reader *r);

#pragma GCC visibility pop
#endif
