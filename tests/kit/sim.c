#include "tests/kit/sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEEDS_DEFAULT 2000u
/* Marks are demanded of no fewer seeds than this. */
#define SEEDS_FOR_MARKS 2000u

static const struct sim *sim;
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
	struct world_options options = sim->options;
	options.seed = seed;
	options.log = log;
	world_run(&options, &result);
	if (!result.ok) {
		fprintf(stderr, "KW_SIM_SEED=%llu: %s (trace %016llx)\n", (unsigned long long)seed, result.why,
			(unsigned long long)result.hash);
		fail();
	}
	return result.hash;
}

static void test_seeds_that_found_something_stay_found(void **state)
{
	(void)state;
	const char *root = getenv("KW_SOURCE_DIR");
	char path[4096];
	char line[512];
	snprintf(path, sizeof(path), "%s/tests/sim/%s", root != NULL ? root : ".", sim->seeds);
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
	for (enum world_mark i = 0; i < sim->told; i++)
		printf("  %-45s %llu\n", WORLD_MARK_NAMES[i], (unsigned long long)result.marks[i]);
	if (count < SEEDS_FOR_MARKS)
		return;
	for (enum world_mark i = sim->from; i < sim->to; i++)
		if (result.marks[i] == 0)
			fail_msg("never happened: %s", WORLD_MARK_NAMES[i]);
}

static void test_one_seed(void **state)
{
	(void)state;
	uint64_t seed = setting("KW_SIM_SEED", 0);
	printf("seed %llu, trace %016llx\n", (unsigned long long)seed, (unsigned long long)run(seed, stderr));
}

int sim_main(const struct sim *what)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_seeds_that_found_something_stay_found),
		cmocka_unit_test(test_every_promise_comes_true),
	};
	const struct CMUnitTest one[] = {cmocka_unit_test(test_one_seed)};
	sim = what;
	signal(SIGABRT, on_abort);
	if (getenv("KW_SIM_SEED") != NULL)
		return cmocka_run_group_tests(one, NULL, NULL);
	return cmocka_run_group_tests(all, NULL, NULL);
}

/* In a child: an assertion of a core is a find as well; its text is not wanted here. */
static void run_mutant(const struct world_options *options)
{
	struct world_result found;
	memset(&found, 0, sizeof(found));
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(2);
	world_run(options, &found);
	if (!found.ok)
		printf("%s: seed %llu: %s\n", WORLD_MUTANT_NAMES[options->mutant], (unsigned long long)options->seed, found.why);
	fflush(stdout);
	_exit(found.ok ? 0 : 1);
}

static bool is_caught(const struct world_options *options)
{
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		run_mutant(options);
	int status;
	assert_true(waitpid(child, &status, 0) == child);
	return !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

void sim_must_catch(enum world_mutant mutant, bool threads, uint32_t seeds_max)
{
	struct world_options options = {.mutant = mutant, .threads = threads};
	const char *only = getenv("KW_SIM_MUTANT");
	if (only != NULL && strcmp(only, WORLD_MUTANT_NAMES[mutant]) != 0)
		skip();
	for (options.seed = 1; options.seed <= seeds_max; options.seed++)
		if (is_caught(&options))
			return;
	fail_msg("%s lives through %u seeds", WORLD_MUTANT_NAMES[mutant], seeds_max);
}
