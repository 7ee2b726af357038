/* SPDX-License-Identifier: BSD-2-Clause */
/* explore.c - breadth first through every behaviour of two stacks and a bad channel, up to a bound.
 *
 * A state is what its future depends on (world_hash()); two runs that lead to equal states are
 * followed once.  What is kept of a state is how it was reached: the state before it, and one step.
 * To go on from it the run is repeated; to try its next steps the world is copied once and put back
 * for each.  From every state a run to the end is made as well, in which nothing more is lost: it
 * must end. */
#include "explore.h"
#include "explore_tell.h"

#include <stdlib.h>
#include <string.h>

struct node {
    uint32_t parent;
    struct act act;
    uint8_t depth;
};
struct search {
    const struct explore_bounds *b;
    struct explore_result *r;
    struct world *w, *copy;
    struct node *nodes;
    uint64_t n, cap;
    uint64_t *seen; /* hashes, open addressing; 0: empty */
    uint64_t seen_cap;
};

void explore_bounds_init(struct explore_bounds *b)
{
    *b = (struct explore_bounds){.loss = 1,
                                 .dup = 1,
                                 .reorder = 2,
                                 .early = 1,
                                 .sends = 1,
                                 .connections = 1,
                                 .depth = 60,
                                 .states = 2000000};
}

static bool see(struct search *s, uint64_t h)
{
    uint64_t at;

    h |= 1; /* never 0 */
    for (at = h % s->seen_cap; s->seen[at]; at = (at + 1) % s->seen_cap)
        if (s->seen[at] == h)
            return false;
    s->seen[at] = h;
    return true;
}

/* The world as it is in node i, by the run that led there. */
static bool replay(struct search *s, uint64_t i, FILE *log)
{
    struct act path[256];
    unsigned n = 0;

    for (; i != 0; i = s->nodes[i].parent)
        path[n++] = s->nodes[i].act;
    if (world_init(s->w, s->b, s->r->edges, log) != 0)
        return false;
    while (n > 0)
        world_do(s->w, path[--n]);
    return true;
}

/* The run to node i, `last` (may be NULL) and, if finish, the end of it, as a script. */
static int tell_run(struct search *s, uint64_t i, const struct act *last, bool finish,
                    const char *about, FILE *script)
{
    tell_begin(script, s->b, about);
    if (!replay(s, i, script))
        return -1;
    if (last)
        world_do(s->w, *last);
    if (finish) {
        fputs("// from here on nothing is lost and both ends close\n", script);
        world_finish(s->w);
    }
    s->w->log = NULL;
    return 0;
}

static int report(struct search *s, uint64_t parent, const struct act *last, bool finish,
                  FILE *script)
{
    char about[sizeof s->r->failure + 64];

    snprintf(s->r->failure, sizeof s->r->failure, "%s", s->w->failure);
    snprintf(about, sizeof about, "%s: the shortest run that shows it", s->r->failure);
    if (script && tell_run(s, parent, last, finish, about, script) < 0)
        return -1;
    return 1;
}

static int try_steps(struct search *s, uint64_t i, FILE *script)
{
    struct act acts[ACTS_MAX];
    unsigned n = world_acts(s->w, acts);
    size_t size = world_size(s->w);

    memcpy(s->copy, s->w, size);
    for (unsigned k = 0; k < n; k++) {
        uint64_t h;

        world_do(s->w, acts[k]);
        s->r->steps++;
        if (s->w->failure[0])
            return report(s, i, &acts[k], false, script);
        h = world_hash(s->w);
        if (s->n < s->cap && see(s, h)) {
            s->nodes[s->n] = (struct node){(uint32_t)i, acts[k], (uint8_t)(s->nodes[i].depth + 1)};
            if (s->nodes[s->n].depth > s->r->depth)
                s->r->depth = s->nodes[s->n].depth;
            s->n++;
        } else if (s->n == s->cap) {
            s->r->complete = false;
        }
        memcpy(s->w, s->copy, size);
    }
    world_finish(s->w);
    s->r->finishes++;
    return s->w->failure[0] ? report(s, i, NULL, true, script) : 0;
}

static int breadth_first(struct search *s, FILE *script,
                         bool (*progress)(void *ctx, const struct explore_result *r), void *ctx)
{
    for (uint64_t i = 0; i < s->n; i++) {
        int found;

        s->r->states = s->n;
        if (progress && i % 256 == 0 && !progress(ctx, s->r))
            return -1;
        if (s->nodes[i].depth >= s->b->depth) {
            s->r->complete = false;
            continue;
        }
        if (!replay(s, i, NULL))
            return -1;
        found = try_steps(s, i, script);
        if (found)
            return found;
    }
    if (s->b->run && s->b->run < s->n && script)
        return tell_run(s, s->b->run, NULL, true, "A run in which nothing fails.", script);
    return 0;
}

int explore(const struct explore_bounds *b, struct explore_result *r, FILE *script,
            bool (*progress)(void *ctx, const struct explore_result *r), void *ctx)
{
    struct search s = {.b = b, .r = r, .cap = b->states, .seen_cap = 2 * b->states + 16};
    int result = -1;

    memset(r, 0, sizeof *r);
    r->complete = true;
    s.w = aligned_alloc(64, sizeof *s.w);
    s.copy = aligned_alloc(64, sizeof *s.copy);
    s.nodes = calloc(s.cap, sizeof *s.nodes);
    s.seen = calloc(s.seen_cap, sizeof *s.seen);
    if (s.w && s.copy && s.nodes && s.seen && b->depth < 250 &&
        world_init(s.w, b, r->edges, NULL) == 0) {
        s.nodes[0] = (struct node){0};
        s.n = 1;
        see(&s, world_hash(s.w));
        result = breadth_first(&s, script, progress, ctx);
        r->states = s.n;
    }
    free(s.w);
    free(s.copy);
    free(s.nodes);
    free(s.seen);
    return result;
}
