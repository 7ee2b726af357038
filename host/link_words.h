/* SPDX-License-Identifier: BSD-2-Clause */
/* link_words.h - the words behind the name of a device: "estab0,mtu=1400,vnet=off". */
#ifndef HOST_LINK_WORDS_H
#define HOST_LINK_WORDS_H

#include "link.h"

#pragma GCC visibility push(hidden)

enum { /* which words a kind of link takes */
       WORD_MTU = 1,
       WORD_MAC = 2,
       WORD_BUSY = 4,
       WORD_VNET = 8,
       WORD_QUEUE = 16,
};
struct link_words {
    const char *kind;
    char *name;
    uint32_t mtu; /* 0: not given */
    uint8_t mac[6];
    bool mac_given, queue_given, busy_given, sparing;
    uint32_t queue;
    estab_dur busy;
    enum estab_use vnet;
};
/* args is "NAME[,word=value]..." and is cut up; w points into it.  0, or -1 and err. */
int link_words_parse(struct link_words *w, const char *kind, unsigned takes, char *args, char *err);
/* What every kind of link has of its words once it is open. */
void link_words_settle(const struct link_words *w, estab_link *l);

#pragma GCC visibility pop
#endif
