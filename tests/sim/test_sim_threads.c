#include "tests/kit/sim.h"

/* Real cores in a pretend world whose messages say something, by seed (tests/kit/world.h): cases have one owner at every
 * instant, both ends of a thread agree, and clocks remind once. tests/kit/sim.h has its settings. */

int main(void)
{
	const struct sim sim = {
		.options = {.mutant = WORLD_SOUND, .threads = true},
		.seeds = "seeds_threads.txt",
		.from = WORLD_MARK_THREADS_FIRST,
		.to = WORLD_MARK_COUNT,
		.told = WORLD_MARK_COUNT,
	};
	return sim_main(&sim);
}
