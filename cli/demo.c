/* SPDX-License-Identifier: BSD-2-Clause */
/* demo.c - `estab demo`: real connections between the stack and the kernel, drawn as ladders. */
#include "demo.h"
#include "command.h"
#include "interrupt.h"
#include "option.h"
#include "say.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_IN = 0x100, OPT_MSL, OPT_SIZE, OPT_PCAP, OPT_NO_COLOR, OPT_ASCII, OPT_JSON, OPT_KEEP };
static const struct option options[] = {
    {"in", required_argument, NULL, OPT_IN},       {"msl", required_argument, NULL, OPT_MSL},
    {"size", required_argument, NULL, OPT_SIZE},   {"pcap", required_argument, NULL, OPT_PCAP},
    {"no-color", no_argument, NULL, OPT_NO_COLOR}, {"no-colour", no_argument, NULL, OPT_NO_COLOR},
    {"ascii", no_argument, NULL, OPT_ASCII},       {"json", no_argument, NULL, OPT_JSON},
    {"keep", no_argument, NULL, OPT_KEEP},         {0}};

static const char *const place_word[] = {[PLACE_AUTO] = "auto",
                                         [PLACE_NETNS] = "netns",
                                         [PLACE_USERNS] = "userns",
                                         [PLACE_MEMORY] = "memory"};

static int parse_place(struct demo *d, const char *word)
{
    int i;

    for (i = PLACE_AUTO; i <= PLACE_MEMORY; i++)
        if (strcmp(word, place_word[i]) == 0) {
            d->place = (enum demo_place)i;
            return 0;
        }
    return say_usage("demo", "--in takes auto, netns, userns or memory, not '%s'", word);
}

static int parse_size(struct demo *d, const char *word)
{
    uint64_t v;

    if (!option_number(&v, word, 1, 1024))
        return say_usage("demo", "--size takes 1 to 1024 (MiB), not '%s'", word);
    d->size = v << 20;
    return 0;
}

static int parse_option(struct demo *d, int c, char *argv[])
{
    switch (c) {
    case OPT_IN:
        return parse_place(d, optarg);
    case OPT_MSL:
        if (node_parse_seconds(&d->msl, optarg) < 0 || d->msl == 0)
            return say_usage("demo", "'%s' is not a number of seconds above 0", optarg);
        return 0;
    case OPT_SIZE:
        return parse_size(d, optarg);
    case OPT_PCAP:
        d->pcap = optarg;
        return 0;
    case OPT_NO_COLOR:
        d->colour = false;
        return 0;
    case OPT_ASCII:
        d->utf8 = false;
        return 0;
    case OPT_JSON:
        d->json = true;
        return 0;
    case OPT_KEEP:
        d->keep = true;
        return 0;
    default:
        return option_wrong("demo", c, argv);
    }
}

static int parse(struct demo *d, int argc, char *argv[])
{
    int c, rc = 0;

    while (rc == 0 && (c = getopt_long(argc, argv, ":", options, NULL)) != -1)
        rc = parse_option(d, c, argv);
    if (rc == 0 && optind + 1 < argc)
        rc = say_usage("demo", "one folder, not also '%s'", argv[optind + 1]);
    if (rc == 0 && optind < argc)
        d->folder = argv[optind];
    return rc;
}

static bool programs_there(const struct demo *d)
{
    static const char *const needed[][2] = {{"curl", "curl"}, {"python3", "python3"}};
    bool there = true;
    size_t i;

    if (d->place == PLACE_MEMORY)
        return true;
    for (i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!child_available(needed[i][0])) {
            say_error("demo",
                      "%s is not installed: apt-get install %s (or --in memory, which "
                      "needs no other program)",
                      needed[i][0], needed[i][1]);
            there = false;
        }
    return there;
}

static void announce(const struct demo *d)
{
    const estab_link *link = estab_loop_link(d->node.loop, d->node.port);
    char a[SAY_LEN], b[SAY_LEN];
    int i;

    if (d->json)
        return;
    printf("estab %s demo\n", estab_version());
    printf("  where   %s\n", demo_place_name(d));
    for (i = PLACE_NETNS; i < PLACE_MEMORY; i++)
        if (d->refused[i][0])
            printf("          because %s\n", d->refused[i]);
    printf("  ends    estab: 10.77.0.2, fd77::2; %s: 10.77.0.1, fd77::1; %s, MTU %u\n",
           d->peer.stack ? "second stack" : "kernel", link->name, (unsigned)link->caps.mtu);
    printf("  file    %s/%s, %s, SHA-256 %.16s...\n", d->www, d->name, say_octets(d->size, a),
           d->digest);
    printf("  MSL     %s, so that TIME-WAIT lasts %s here (RFC 9293 proposes an MSL of 2 min)\n",
           say_span(d->msl, a), say_span(2 * d->msl, b));
    if (d->pcap)
        printf("  capture %s\n", d->pcap);
    fflush(stdout);
}

static bool all_done(const struct demo *d)
{
    size_t i;

    for (i = 0; i < DEMO_TRANSFERS; i++)
        if (!d->transfer[i].done)
            return false;
    return true;
}

static void print_json(const struct demo *d)
{
    struct ladder_count c;
    size_t i;

    ladder_counts(d->ladder, &c);
    printf("{\"estab\":\"%s\",\"in\":\"%s\",\"msl_ms\":%llu,\"sha256\":\"%s\",\"transfers\":[",
           estab_version(), place_word[d->place], (unsigned long long)(d->msl / 1000000u),
           d->digest);
    for (i = 0; i < DEMO_TRANSFERS; i++) {
        const struct demo_transfer *t = &d->transfer[i];

        printf("%s{\"octets\":%llu,\"ns\":%llu,\"intact\":%s,\"closed\":%s,\"again\":%llu}",
               i ? "," : "", (unsigned long long)t->octets, (unsigned long long)t->took,
               t->intact ? "true" : "false", t->closed ? "true" : "false",
               (unsigned long long)t->again);
    }
    printf("],\"connections\":%llu,\"reached_closed\":%llu,\"ok\":%s}\n",
           (unsigned long long)c.begun, (unsigned long long)c.closed,
           all_done(d) ? "true" : "false");
}

static void print_summary(const struct demo *d)
{
    struct ladder_count c;
    size_t i, done = 0;
    uint64_t again = 0;

    if (d->json) {
        print_json(d);
        return;
    }
    ladder_counts(d->ladder, &c);
    for (i = 0; i < DEMO_TRANSFERS; i++) {
        done += d->transfer[i].intact;
        again += d->transfer[i].again;
    }
    printf("\n%s%zu of %d files arrived intact; %llu of %llu connections reached CLOSED; "
           "%llu segment%s sent again%s\n",
           d->colour ? all_done(d) ? "\033[1;32m" : "\033[1;31m" : "", done, DEMO_TRANSFERS,
           (unsigned long long)c.closed, (unsigned long long)c.begun, (unsigned long long)again,
           again == 1 ? "" : "s", d->colour ? "\033[0m" : "");
    if (d->keep)
        printf("kept: %s\n", d->dir);
}

static int demo(struct demo *d)
{
    struct ladder_style style = {.utf8 = d->utf8, .colour = d->colour, .head = 4, .tail = 3};
    char err[ESTAB_ERRLEN] = "";
    int status = EXIT_FAILURE, rc;

    d->signals = interrupt_open();
    d->rows = open_memstream(&d->rows_text, &d->rows_len);
    d->ladder = d->rows ? ladder_new(d->rows, &style) : NULL;
    if (d->signals < 0 || !d->ladder) {
        say_error("demo", "no memory, or no descriptors");
        goto out;
    }
    rc = demo_files_make(d, err);
    if (rc == 0)
        rc = demo_enter(d, err);
    if (rc == 0) {
        announce(d);
        rc = demo_run(d, err);
    }
    if (rc == 0)
        print_summary(d);
    else if (d->signal)
        say_error("demo", "interrupted; everything it made is gone again");
    else if (!d->unheard)
        say_error("demo", "%s", err);
    if (d->signal)
        status = EXIT_SIGNAL + d->signal;
    else if (d->unheard)
        status = d->unheard;
    else if (rc == 0 && all_done(d))
        status = EXIT_SUCCESS;
out:
    demo_leave(d);
    demo_files_remove(d);
    ladder_free(d->ladder);
    if (d->rows)
        fclose(d->rows);
    free(d->rows_text);
    return status;
}

static int run(int argc, char *argv[])
{
    struct demo d = {.msl = ESTAB_MS(500),
                     .size = (uint64_t)4 << 20,
                     .colour = say_colour(stdout),
                     .utf8 = say_utf8(),
                     .signals = -1};
    int rc = parse(&d, argc, argv);

    if (rc != 0)
        return rc;
    if (!programs_there(&d))
        return EXIT_FAILURE;
    return demo(&d);
}

const struct command command_demo = {
    "demo",
    "watch real connections live and die: the stack and the kernel, as ladders",
    "usage: estab demo [OPTION ...] [DIR]\n"
    "\n"
    "Makes a private network namespace with a TUN device, puts a stack behind it, fetches a file\n"
    "from the stack with curl and to the stack from python3's http.server, over IPv4 and IPv6,\n"
    "and prints each connection as a ladder.  The file is the largest of DIR, or made.\n"
    "\n"
    "  --in WHERE            netns, userns, memory (two stacks, no kernel), or auto: the first\n"
    "                        of these that is allowed (default)\n"
    "  --msl SECONDS         maximum segment lifetime; TIME-WAIT lasts twice as long (0.5)\n"
    "  --size MIB            of the file that is made (4)\n"
    "  --pcap FILE           record to a pcapng file, with each change of state\n"
    "  --no-color            no colours\n"
    "  --ascii               no arrows beyond ASCII\n"
    "  --json                no ladders: the results as a JSON object\n"
    "  --keep                leave the made files where they are\n"
    "\n"
    "The manual: man estab-demo.\n",
    run,
};
