/* SPDX-License-Identifier: BSD-2-Clause */
/* slots_test.c - lists of slots: order, removal from anywhere, joining. */
#include "base/slots.h"
#include "test_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct thing {
    uint32_t n;
    struct link link;
};
#define THING_LINK offsetof(struct thing, link)

struct world {
    struct test_env t;
    struct env env;
    struct slab s;
    uint32_t slot[8];
};

static int world_setup(void **state)
{
    struct world *x = calloc(1, sizeof *x);

    x->env.cb = test_env_make(&x->t);
    slab_init(&x->s, &x->env, sizeof(struct thing), 4, 2, 8);
    for (uint32_t i = 0; i < 8; i++) {
        x->slot[i] = slab_get(&x->s);
        ((struct thing *)slab_at(&x->s, x->slot[i]))->n = i;
    }
    *state = x;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *x = *state;

    slab_fini(&x->s);
    free(x);
    return 0;
}

/* What stands in the list, forwards and backwards. */
static void assert_list(const struct world *x, const struct slot_list *q, const char *want)
{
    uint32_t at = q->head, last = SLAB_NONE, n = 0;

    for (; at != SLAB_NONE; n++) {
        const struct thing *t = slab_at(&x->s, at);

        assert_true(want[n] != 0);
        assert_int_equal(t->n, want[n] - '0');
        assert_int_equal(t->link.prev, last);
        last = at;
        at = t->link.next;
    }
    assert_int_equal(want[n], 0);
    assert_int_equal(q->tail, last);
    assert_int_equal(q->n, n);
}

static void push_all(struct world *x, struct slot_list *q, const char *which)
{
    for (; *which; which++)
        slot_push(&x->s, q, x->slot[*which - '0'], THING_LINK);
}

static void first_in_is_first(void **state)
{
    struct world *x = *state;
    struct slot_list q;

    slot_list_init(&q);
    assert_list(x, &q, "");
    push_all(x, &q, "01234");
    assert_list(x, &q, "01234");
}

static void any_place_can_be_left(void **state)
{
    struct world *x = *state;
    struct slot_list q;

    slot_list_init(&q);
    push_all(x, &q, "01234");
    slot_del(&x->s, &q, x->slot[2], THING_LINK);
    assert_list(x, &q, "0134");
    slot_del(&x->s, &q, x->slot[0], THING_LINK);
    assert_list(x, &q, "134");
    slot_del(&x->s, &q, x->slot[4], THING_LINK);
    assert_list(x, &q, "13");
    slot_del(&x->s, &q, x->slot[1], THING_LINK);
    slot_del(&x->s, &q, x->slot[3], THING_LINK);
    assert_list(x, &q, "");
    push_all(x, &q, "2");
    assert_list(x, &q, "2");
}

static void lists_are_joined(void **state)
{
    struct world *x = *state;
    struct slot_list q, from;

    slot_list_init(&q);
    slot_list_init(&from);
    slot_splice(&x->s, &q, &from, THING_LINK);
    assert_list(x, &q, "");
    push_all(x, &from, "56");
    slot_splice(&x->s, &q, &from, THING_LINK);
    assert_list(x, &q, "56");
    assert_list(x, &from, "");
    push_all(x, &from, "01");
    slot_splice(&x->s, &q, &from, THING_LINK);
    assert_list(x, &q, "5601");
    slot_splice(&x->s, &q, &from, THING_LINK);
    assert_list(x, &q, "5601");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_in_is_first, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(any_place_can_be_left, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(lists_are_joined, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
