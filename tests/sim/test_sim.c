#include "tests/kit/sim.h"

/* Real cores in a pretend world, by seed (tests/kit/world.h); tests/kit/sim.h has its settings. */

int main(void)
{
	const struct sim sim = {
		.options = {.mutant = WORLD_SOUND},
		.seeds = "seeds.txt",
		.from = 0,
		.to = WORLD_MARK_THREADS_FIRST,
		.told = WORLD_MARK_THREADS_FIRST,
	};
	return sim_main(&sim);
}
