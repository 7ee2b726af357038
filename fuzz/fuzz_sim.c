/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_sim.c - the language of the simulator's topologies.  The seeds are sim/ready. */
#include <estab/sim.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct estab_sim_options opt = {.size = sizeof opt};
    char err[ESTAB_ERRLEN], *text = malloc(size + 1);
    estab_sim *s;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    opt.text = text;
    if (estab_sim_new(&s, "fuzz", &opt, err) == 0)
        estab_sim_free(s);
    free(text);
    return 0;
}
