/* Real cores in a pretend world, by seed (tests/kit/world.h).
 *
 *   KW_SIM_SEEDS=count   how many seeds to run (2,000)
 *   KW_SIM_FROM=seed     the first one (1)
 *   KW_SIM_SEED=seed     runs this one alone and narrates it to stderr */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/kit/world.h"

#define SEEDS_DEFAULT 2000u
/* Marks are demanded of no fewer seeds than this. */
#define SEEDS_FOR_MARKS 2000u

static struct world_result result; /* marks sum up over all runs */

static void on_abort(int number)
{
	char line[64];
	(void)number;
	int size = snprintf(line, sizeof(line), "an assertion failed; KW_SIM_SEED=%llu\n", (unsigned long long)world_seed);
	if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
		_exit(4);
	_exit(3);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text != NULL && *text != 0 ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t run(uint64_t seed, FILE *log)
{
	struct world_options options = {.seed = seed, .mutant = WORLD_SOUND, .log = log};
	world_run(&options, &result);
	if (!result.ok) {
		fprintf(stderr, "KW_SIM_SEED=%llu: %s (trace %016llx)\n", (unsigned long long)seed, result.why,
			(unsigned long long)result.hash);
		fail();
	}
	return result.hash;
}

/* Every line of seeds.txt: a seed that once found something, and what. */
static void test_seeds_that_found_something_stay_found(void **state)
{
	(void)state;
	const char *root = getenv("KW_SOURCE_DIR");
	char path[4096];
	char line[512];
	snprintf(path, sizeof(path), "%s/tests/sim/seeds.txt", root != NULL ? root : ".");
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (line[0] >= '0' && line[0] <= '9')
			(void)run(strtoull(line, NULL, 10), NULL);
	fclose(file);
}

static void test_every_promise_comes_true(void **state)
{
	(void)state;
	uint64_t from = setting("KW_SIM_FROM", 1);
	uint64_t count = setting("KW_SIM_SEEDS", SEEDS_DEFAULT);
	uint64_t trace = 0;
	for (uint64_t seed = from; seed < from + count; seed++) {
		uint64_t hash = run(seed, NULL);
		trace = (trace ^ hash) * 0x9e3779b97f4a7c15u;
		if (seed % 10 == 0)
			assert_int_equal(run(seed, NULL), hash);
	}
	printf("%llu seeds from %llu, trace %016llx\n", (unsigned long long)count, (unsigned long long)from,
		(unsigned long long)trace);
	for (int i = 0; i < WORLD_MARK_THREADS_FIRST; i++)
		printf("  %-45s %llu\n", WORLD_MARK_NAMES[i], (unsigned long long)result.marks[i]);
	if (count < SEEDS_FOR_MARKS)
		return;
	for (int i = 0; i < WORLD_MARK_THREADS_FIRST; i++)
		if (result.marks[i] == 0)
			fail_msg("never happened: %s", WORLD_MARK_NAMES[i]);
}

static void test_one_seed(void **state)
{
	(void)state;
	uint64_t seed = setting("KW_SIM_SEED", 0);
	printf("seed %llu, trace %016llx\n", (unsigned long long)seed, (unsigned long long)run(seed, stderr));
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_seeds_that_found_something_stay_found),
		cmocka_unit_test(test_every_promise_comes_true),
	};
	const struct CMUnitTest one[] = {cmocka_unit_test(test_one_seed)};
	signal(SIGABRT, on_abort);
	if (getenv("KW_SIM_SEED") != NULL)
		return cmocka_run_group_tests(one, NULL, NULL);
	return cmocka_run_group_tests(all, NULL, NULL);
}
