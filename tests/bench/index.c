#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "broker/core/linkage_rows.h"
#include "broker/core/linkage_scan.h"
#include "tests/bench/bench.h"
#include "tests/kit/prng.h"

/* The hub's linkage index alone: what a search costs by each kernel, how fast stored rows are loaded and how much memory they
 * take. Codes are random, as diffused ones look to whom does not hold the key, which makes the bounds as loose as they get; each
 * query is a record with a fifth of its bits turned over, and has to find it first. */

#define FLIPS (BRK_LINKAGE_CODE_BITS / 5u)
#define K 20u
#define BATCH 16u
#define HUGE ((uint64_t)2 << 20)
#define DEDUP_EVERY 50u /* one record in so many has a duplicate */

static const struct brk_linkage_params PARAMS = {.filter_bits = 1536, .arity = 5, .quantum = 32};

struct stage {
	struct brk_linkage_index index;
	struct brk_linkage_scan scan;
	void *memory;
	uint64_t size;
	uint64_t seed;
	uint32_t records;
};

static struct stage stage;

static double thread_cpu_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double wall_ms(void)
{
	return (double)bench_now_ns() / 1e6;
}

/* The record of a number, the same each time. */
static void make(uint64_t number, struct brk_linkage_record *record)
{
	struct prng prng = {stage.seed + number * UINT64_C(0xd1342543de82ef95)};
	memset(record, 0, sizeof(*record));
	kw_put_u64(record->handle.bytes, prng_next(&prng) | 1);
	kw_put_u64(record->handle.bytes + 8, prng_next(&prng));
	record->epoch = 1;
	record->scope = 1;
	record->owner = (uint32_t)prng_below(&prng, 20);
	record->expiry_hour = BRK_LINKAGE_NEVER;
	record->kind = (uint8_t)(prng_below(&prng, 5) == 0);
	/* Four dice: 12.5 on average, most between 9 and 16. */
	record->size_class = 7;
	for (uint32_t i = 0; i < 4; i++)
		record->size_class = (uint8_t)(record->size_class + prng_below(&prng, 4));
	for (uint32_t i = 0; i < BRK_LINKAGE_CODE_SIZE; i += 8)
		kw_put_u64(record->code + i, prng_next(&prng));
}

static void query_for(uint64_t number, uint64_t salt, struct brk_linkage_query *query)
{
	struct brk_linkage_record record;
	struct prng prng = {number ^ salt << 40};
	make(number, &record);
	*query = (struct brk_linkage_query){.ticket = number, .epoch = 1, .scope = 1, .least = 1, .k = K,
		.skip_owner = BRK_LINKAGE_NONE, .kinds = 3, .size_class = record.size_class};
	memcpy(query->code, record.code, sizeof(query->code));
	for (uint32_t i = 0; i < FLIPS; i++) {
		uint64_t bit = prng_below(&prng, BRK_LINKAGE_CODE_BITS);
		query->code[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void open_index(uint32_t records, uint64_t seed)
{
	struct brk_linkage_config config = {{records, 16}, PARAMS, brk_linkage_kernel_best(), {seed, ~seed}};
	bench_must(brk_linkage_index_size(&config.limits, &stage.size), "index size");
	stage.seed = seed;
	stage.records = records;
	stage.memory = mmap(NULL, stage.size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stage.memory == MAP_FAILED)
		bench_die("no memory for %u records", records);
	uint8_t *aligned = (uint8_t *)(((uintptr_t)stage.memory + HUGE - 1) / HUGE * HUGE);
	(void)madvise(aligned, stage.size, MADV_HUGEPAGE); /* a matter of speed only */
	bench_must(brk_linkage_index_init(&stage.index, &config, aligned), "index");
	bench_must(brk_linkage_scan_init(&stage.scan, &stage.index), "scan");
}

static void close_index(void)
{
	brk_linkage_scan_fini(&stage.scan);
	(void)munmap(stage.memory, stage.size + HUGE);
}

/* Of memory that the index touched, the tables of its limits included. */
static uint64_t resident_bytes(void)
{
	char line[256];
	uint64_t kib = 0;
	FILE *file = fopen("/proc/self/status", "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtoull(line + 8, NULL, 10);
	(void)fclose(file);
	return kib * 1024;
}

/* Rows are made untimed, block by block, and loaded; in the order of their numbers, so by no bucket. */
static double load(void)
{
	static uint8_t out[BRK_LINKAGE_ROWS_SIZE_MAX];
	double spent = 0;
	for (uint64_t number = 1; number <= stage.records;) {
		struct brk_linkage_rows_writer writer;
		struct brk_linkage_loaded loaded;
		brk_linkage_rows_begin(&writer, &PARAMS, out);
		for (; writer.count < BRK_LINKAGE_ROWS_MAX && number <= stage.records; number++) {
			struct brk_linkage_row row = {.number = number};
			make(number, &row.record);
			bench_must(brk_linkage_rows_add(&writer, &row), "row");
		}
		struct kw_view block = brk_linkage_rows_end(&writer);
		double from = thread_cpu_ms();
		bench_must(brk_linkage_rows_load(&stage.index, block, &loaded), "load");
		spent += thread_cpu_ms() - from;
		if (loaded.refused != 0)
			bench_die("%u rows refused: %s", loaded.refused, kw_err_name(loaded.err));
	}
	return spent / 1e3;
}

struct times {
	struct bench_hist wall, cpu;
	double cpu_ms;
	uint32_t rounds;
};

/* Rounds of `together` queries at once, over records chosen anew. */
static void search(uint32_t together, uint32_t rounds, struct times *times)
{
	struct prng prng = {together};
	memset(times, 0, sizeof(*times));
	for (uint32_t round = 0; round <= rounds; round++) {
		struct brk_linkage_answer answer;
		for (uint32_t i = 0; i < together; i++) {
			struct brk_linkage_query query;
			query_for(prng_range(&prng, 1, stage.records), round, &query);
			bench_must(brk_linkage_scan_ask(&stage.scan, &query), "ask");
		}
		double wall = wall_ms(), cpu = thread_cpu_ms();
		while (brk_linkage_scan_step(&stage.scan, 65536))
			continue;
		wall = wall_ms() - wall;
		cpu = thread_cpu_ms() - cpu;
		while (brk_linkage_scan_answer(&stage.scan, &answer)) {
			struct brk_linkage_record record;
			make(answer.ticket, &record);
			if (answer.count == 0 || !kw_id_equal(&answer.found[0].handle, &record.handle) || !answer.exact)
				bench_die("a query did not find its record first");
		}
		if (round == 0)
			continue; /* warms the caches */
		bench_hist_add(&times->wall, (uint64_t)(wall * 1e6));
		bench_hist_add(&times->cpu, (uint64_t)(cpu * 1e6));
		times->cpu_ms += cpu;
		times->rounds++;
	}
}

/* Comparisons a second and core. */
static double rate(const struct times *times, uint32_t together)
{
	return (double)stage.records * together / bench_hist_ms(&times->cpu, 0.5) * 1e3;
}

static void searches(void)
{
	static struct times times;
	char key[64];
	/* Some seconds for each kernel, whatever the size. */
	uint32_t rounds = (uint32_t)(300000000u / stage.records);
	rounds = rounds > 300 ? 300 : rounds < 10 ? 10 : rounds;
	for (uint32_t kind = 0; kind < BRK_LINKAGE_KERNEL_COUNT; kind++) {
		const struct brk_linkage_kernel *kernel = brk_linkage_kernel_get((enum brk_linkage_kernel_kind)kind);
		if (kernel == NULL)
			continue;
		bool is_best = kernel == brk_linkage_kernel_best();
		stage.index.kernel = kernel;
		search(1, is_best ? rounds : rounds / 10 + 3, &times);
		(void)snprintf(key, sizeof(key), "%s_single_per_s", kernel->name);
		bench_json_real(key, rate(&times, 1));
		if (is_best) {
			bench_json_real("query_ms_p50", bench_hist_ms(&times.wall, 0.5));
			bench_json_real("query_ms_p99", bench_hist_ms(&times.wall, 0.99));
			bench_json_real("query_cpu_ms_p50", bench_hist_ms(&times.cpu, 0.5));
			bench_json_real("query_cpu_ms_p99", bench_hist_ms(&times.cpu, 0.99));
		}
		search(BATCH, is_best ? rounds / 4 + 3 : rounds / 40 + 3, &times);
		(void)snprintf(key, sizeof(key), "%s_batch_per_s", kernel->name);
		bench_json_real(key, rate(&times, BATCH));
		if (is_best) {
			bench_json_real("batch_ms_p50", bench_hist_ms(&times.wall, 0.5));
			bench_json_real("batch_ms_p99", bench_hist_ms(&times.wall, 0.99));
			bench_json_real("batch_cpu_ms_p50", bench_hist_ms(&times.cpu, 0.5));
		}
	}
	stage.index.kernel = brk_linkage_kernel_best();
}

struct worker {
	pthread_t thread;
	struct brk_linkage_scan scan;
	uint64_t from, to;   /* numbers: from..to - 1 */
	uint64_t pairs;      /* of records and what is near to them */
	double cpu_ms;
};

/* Records beyond `dedup` are duplicates of those before. */
static void *work(void *user)
{
	struct worker *worker = user;
	double cpu = thread_cpu_ms();
	uint64_t next = worker->from;
	while (next < worker->to) {
		struct brk_linkage_answer answer;
		for (uint32_t i = 0; i < BRK_LINKAGE_BATCH_MAX && next < worker->to; i++, next++) {
			struct brk_linkage_record record;
			struct brk_linkage_query query;
			make(next, &record);
			query_for(next, 0, &query);
			query.self = record.handle;
			memcpy(query.code, record.code, sizeof(query.code));
			bench_must(brk_linkage_scan_ask(&worker->scan, &query), "ask");
		}
		while (brk_linkage_scan_step(&worker->scan, UINT32_MAX))
			continue;
		while (brk_linkage_scan_answer(&worker->scan, &answer))
			worker->pairs += answer.count > 0 && answer.found[0].distance < 2 * FLIPS;
	}
	worker->cpu_ms = thread_cpu_ms() - cpu;
	return NULL;
}

/* Each record against all others, on two threads. */
static void dedup(uint32_t records)
{
	static struct worker workers[2];
	uint64_t planted = 0, number = 0;
	open_index(records + records / DEDUP_EVERY + 1, 7);
	for (uint64_t i = 1; i <= records; i++) {
		struct brk_linkage_record record;
		struct brk_linkage_query near;
		make(i, &record);
		bench_must(brk_linkage_index_put(&stage.index, &record, &number), "put");
		if (i % DEDUP_EVERY != 0)
			continue;
		query_for(i, 1, &near);
		memcpy(record.code, near.code, sizeof(record.code));
		record.handle.bytes[0] ^= 0x55;
		bench_must(brk_linkage_index_put(&stage.index, &record, &number), "put");
		planted++;
	}
	double wall = wall_ms();
	for (uint32_t i = 0; i < 2; i++) {
		workers[i].from = 1 + (uint64_t)records * i / 2;
		workers[i].to = 1 + (uint64_t)records * (i + 1) / 2;
		bench_must(brk_linkage_scan_init(&workers[i].scan, &stage.index), "scan");
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			bench_die("no thread");
	}
	for (uint32_t i = 0; i < 2; i++)
		(void)pthread_join(workers[i].thread, NULL);
	wall = wall_ms() - wall;
	if (workers[0].pairs + workers[1].pairs != planted)
		bench_die("%llu of %llu duplicates found", (unsigned long long)(workers[0].pairs + workers[1].pairs),
			(unsigned long long)planted);
	bench_json_int("dedup_records", records);
	bench_json_int("dedup_pairs", planted);
	bench_json_real("dedup_s", wall / 1e3);
	bench_json_real("dedup_cpu_s", (workers[0].cpu_ms + workers[1].cpu_ms) / 1e3);
	for (uint32_t i = 0; i < 2; i++)
		brk_linkage_scan_fini(&workers[i].scan);
	close_index();
}

int bench_index(const struct bench_options *options)
{
	uint64_t before = resident_bytes();
	open_index(options->records, 3);
	double load_s = load();
	bench_json_begin();
	bench_json_str("bench", "index");
	bench_json_str("kernel", brk_linkage_kernel_best()->name);
	bench_json_int("records", options->records);
	bench_json_int("k", K);
	bench_json_int("together", BATCH);
	bench_json_real("load_s", load_s);
	bench_json_real("bytes_per_record", (double)(resident_bytes() - before) / options->records);
	bench_json_real("bytes_per_record_promised", (double)stage.size / options->records);
	searches();
	close_index();
	if (options->dedup > 0)
		dedup(options->dedup);
	bench_json_end();
	return EXIT_SUCCESS;
}
