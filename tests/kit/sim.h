#ifndef TESTS_KIT_SIM_H
#define TESTS_KIT_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/kit/world.h"

/* Worlds by the seed: what the programs of tests/sim have in common.
 *
 *   KW_SIM_SEEDS=count   how many seeds to run (2,000)
 *   KW_SIM_FROM=seed     the first one (1)
 *   KW_SIM_SEED=seed     runs this one alone and narrates it to stderr
 *   KW_SIM_MUTANT=name   of the mutants runs this one alone */

struct sim {
	struct world_options options; /* but seed and log */
	const char *seeds;            /* file in tests/sim: seeds that once found something, and what, one a line */
	enum world_mark from, to;     /* marks that must be seen, `to` not included */
	enum world_mark told;         /* marks before this one are printed */
};

/* Runs the seeds of the file and then those that are asked for; every tenth twice. The exit code of the program. */
int sim_main(const struct sim *sim);

/* Positive controls: a world with a known fault in it must be found out, or the simulation is no evidence. Fails the test
 * when the mutant lives through so many seeds. */
void sim_must_catch(enum world_mutant mutant, bool threads, uint32_t seeds_max);

#endif
