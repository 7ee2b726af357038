/* SPDX-License-Identifier: BSD-2-Clause */
/* option_test.c - command lines that are wrong: which word, and what to try. */
#include "cli_kit.h"

#define WORDS 4

static const struct {
    const struct command *tool;
    const char *word[WORDS];
    const char *says;
} wrong[] = {
    {&command_ss, {"-zj"}, "estab ss: unknown option -z\n"},
    {&command_ss, {"-jz"}, "estab ss: unknown option -z\n"},
    {&command_ss, {"--json", "-jz"}, "estab ss: unknown option -z\n"},
    {&command_ss, {"--nonsense"}, "estab ss: unknown option --nonsense\n"},
    {&command_ss, {"--json=1"}, "estab ss: --json takes no value\n"},
    {&command_ss, {"--ctl"}, "estab ss: --ctl needs a value\n"},
    {&command_ss, {"--watch", "-1"}, "estab ss: '-1' is not"},
    {&command_why, {"-q"}, "estab why: unknown option -q\n"},
    {&command_kill, {"--all"}, "estab kill: unknown option --all\n"},
    {&command_trace, {"-jc"}, "estab trace: -c needs a value\n"},
    {&command_trace, {"-c", "-5"}, "estab trace: '-5' is not a number of records\n"},
    {&command_trace, {"-c", "0"}, "estab trace: '0' is not"},
    {&command_trace, {"-c", "99999999999999999999"}, "estab trace: '99999999999999999999' is not"},
    {&command_doctor, {"--interval", "nan"}, "estab doctor: 'nan' is not"},
    {&command_doctor, {"now"}, "estab doctor: takes no argument: now\n"},
    {&command_sim, {"--nonsense"}, "estab sim: unknown option --nonsense\n"},
    {&command_sim, {"-z"}, "estab sim: unknown option -z\n"},
    {&command_sim, {"--seed"}, "estab sim: --seed needs a value\n"},
    {&command_sim, {"--seed", "-1", "pair"}, "estab sim: --seed '-1' is no number"},
    {&command_impair, {"--nonsense"}, "estab impair: unknown option --nonsense\n"},
    {&command_impair, {"--link"}, "estab impair: --link needs a value\n"},
    {&command_impair, {"--seed", "1e30"}, "estab impair: --seed '1e30' is no number"},
    {&command_impair, {"--seed", "-1"}, "estab impair: --seed '-1' is no number"},
    {&command_impair, {"--mtu", "nan"}, "estab impair: --mtu 'nan': from 68 to 65535\n"},
    {&command_channel, {"cost", "-z"}, "estab channel: unknown option -z\n"},
    {&command_channel, {"cost", "--seed", "+1"}, "estab channel: '+1' is not a number"},
    {&command_channel,
     {"call", "--max", "-18446744073709551615"},
     "estab channel: '-18446744073709551615' is not a number of octets\n"},
    {&command_check, {"-n", "1x"}, "estab check: '1x' is not a number of states"},
    {&command_check, {"--nonsense"}, "estab check: unknown option --nonsense\n"},
    {&command_demo, {"--size", "-1"}, "estab demo: --size takes 1 to 1024 (MiB), not '-1'\n"},
    {&command_get, {"-z"}, "estab get: unknown option -z\n"},
    {&command_serve, {"--mtu", "67", "."}, "estab serve: '67' is not an MTU"},
    {&command_serve, {"--buffers", "9", "."}, "estab serve: '9' is no size of a buffer"},
};

static void what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char word[WORDS + 1][40], *words[WORDS + 2] = {NULL}, said[1024], try[64];

        words[0] = word[0];
        snprintf(word[0], sizeof word[0], "%s", wrong[i].tool->name);
        for (size_t k = 0; k < WORDS && wrong[i].word[k]; k++) {
            snprintf(word[k + 1], sizeof word[0], "%s", wrong[i].word[k]);
            words[k + 1] = word[k + 1];
        }
        assert_int_equal(runs_tool(wrong[i].tool, words, said, sizeof said), EXIT_USAGE);
        if (strncmp(said, wrong[i].says, strlen(wrong[i].says)) != 0)
            fail_msg("%s\nand not %s", said, wrong[i].says);
        snprintf(try, sizeof try, "\nTry `estab help %s'.\n", wrong[i].tool->name);
        if (!strstr(said, try))
            fail_msg("no word of help: %s", said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
