/* SPDX-License-Identifier: BSD-2-Clause */
/* link_words.c - the words behind the name of a device, estab-links(7). */
#include "link_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_mtu(struct link_words *w, const char *text)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return -1;
    v = strtoul(text, &end, 10);
    if (*end || v < 68 || v > 65535) /* RFC 791 section 3.2: the least and the most of an MTU */
        return -1;
    w->mtu = (uint32_t)v;
    return 0;
}

static int read_mac(struct link_words *w, const char *text)
{
    unsigned octet;
    int used;

    for (size_t i = 0; i < 6; i++) {
        if (strspn(text, "0123456789abcdefABCDEF") != 2 ||
            sscanf(text, "%2x%n", &octet, &used) != 1)
            return -1;
        w->mac[i] = (uint8_t)octet;
        text += used;
        if (*text++ != (i < 5 ? ':' : '\0'))
            return -1;
    }
    w->mac_given = true;
    return w->mac[0] & 1 ? -1 : 0; /* IEEE 802: a group address is nobody's own */
}

static int read_busy(struct link_words *w, const char *text)
{
    static const struct {
        const char *unit;
        estab_dur is;
    } units[] = {{"us", ESTAB_US(1)}, {"ms", ESTAB_MS(1)}, {"s", ESTAB_S(1)}};
    char *end;
    unsigned long v;

    w->sparing = strcmp(text, "auto") == 0;
    if (w->sparing)
        return 0;
    if (*text < '0' || *text > '9')
        return -1;
    v = strtoul(text, &end, 10);
    for (size_t i = 0; v <= 1000000 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            w->busy = v * units[i].is;
            w->busy_given = true;
            return 0;
        }
    }
    return -1;
}

static int read_use(enum estab_use *use, const char *text)
{
    static const char *const names[] = {"auto", "on", "off"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *use = (enum estab_use)i;
            return 0;
        }
    }
    return -1;
}

static int read_vnet(struct link_words *w, const char *text)
{
    return read_use(&w->vnet, text);
}

static int read_queue(struct link_words *w, const char *text)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return -1;
    v = strtoul(text, &end, 10);
    if (*end || v > UINT16_MAX)
        return -1;
    w->queue = (uint32_t)v;
    w->queue_given = true;
    return 0;
}

static const struct word {
    unsigned bit;
    const char *name, *shape, *must;
    int (*read)(struct link_words *w, const char *text);
} words[] = {
    {WORD_MTU, "mtu", "N", "a number from 68 to 65535", read_mtu},
    {WORD_MAC, "mac", "xx:xx:xx:xx:xx:xx",
     "six octets like 02:00:00:00:00:01, and no group address", read_mac},
    {WORD_BUSY, "busy", "TIME|auto", "a time like 50us, or auto", read_busy},
    {WORD_VNET, "vnet", "on|off|auto", "on, off or auto", read_vnet},
    {WORD_QUEUE, "queue", "N", "the number of a queue, from 0", read_queue},
};
enum { WORDS = sizeof words / sizeof *words };

static int say_unknown(const struct link_words *w, unsigned takes, const char *word, char *err)
{
    char there[ESTAB_ERRLEN / 2] = "";
    size_t len = 0;

    for (size_t i = 0; i < WORDS; i++)
        if (takes & words[i].bit && len < sizeof there)
            len += (size_t)snprintf(there + len, sizeof there - len, "%s%s=%s", len ? ", " : "",
                                    words[i].name, words[i].shape);
    return link_say(err, "%s:%.15s: no option \"%.40s\"; there is %s", w->kind, w->name, word,
                    there);
}

static int read_word(struct link_words *w, unsigned takes, const char *word, char *err)
{
    size_t len = strcspn(word, "=");

    for (const struct word *k = words; k < words + WORDS; k++) {
        if (!(takes & k->bit) || word[len] != '=' || strlen(k->name) != len ||
            memcmp(word, k->name, len) != 0)
            continue;
        if (k->read(w, word + len + 1) == 0)
            return 0;
        return link_say(err, "%s:%.15s: %s=%.20s: must be %s", w->kind, w->name, k->name,
                        word + len + 1, k->must);
    }
    return say_unknown(w, takes, word, err);
}

int link_words_parse(struct link_words *w, const char *kind, unsigned takes, char *args, char *err)
{
    char *word;

    *w = (struct link_words){.kind = kind, .name = strsep(&args, ",")};
    while ((word = strsep(&args, ",")))
        if (read_word(w, takes, word, err))
            return -1;
    return 0;
}

void link_words_settle(const struct link_words *w, estab_link *l)
{
    if (w->sparing) {
        link_look_sparingly(l);
    } else if (w->busy_given) {
        l->busy = w->busy;
        l->sparing = false;
    }
    if (w->mac_given)
        memcpy(l->caps.mac, w->mac, sizeof w->mac);
}
