#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "broker/shell/hub_inner.h"
#include "proto/wire/crypt.h"
#include "tests/bench/load.h"
#include "tests/bench/site.h"

/* What open threads cost a hub: the same for few and for many, each in a process of its own, over the real store with its
 * real syncs, several times; the medians are told. README.md says what is printed and what bounds it.
 *
 *   fill the store → open the hub as a broker does → ticks with nothing due → messages without a track → with one, that puts
 *   a time off or draws it nearer, many in a commit and one → ticks that find only what was put off → ticks that find a full
 *   slice due
 *
 * Ids are random, due times all over 30 days. The hub's clock is pretend, so that they can come. */

#define FEW 10000u
#define HOUR_MS 3600000u
#define FILL_MS (30u * 24u * HOUR_MS)
#define STEP_MS (7u * 24u * HOUR_MS) /* to half of the time in which a referral of low risk is to be decided */
#define MOVED_MS (15u * 24u * HOUR_MS) /* to half of the time of its service */
#define EVENTS 2600u
#define EVENTS_AT_ONCE 200u /* within the credit of one agency */
#define EVENTS_ALONE 400u
#define IDLE_TICKS 2000u
#define EARLY_TICKS 2u
#define DUE_TICKS 4u
#define MAP_SIZE (16ull << 30)
#define PAGE_SIZE 4096.0
#define RUNS_MAX 99u

/* Of each event: wall clock with its commit, CPU of the loop and of the writer, pages handed to the disk. */
enum { US, LOOP_CPU_US, WRITER_CPU_US, PAGES, SPENT_COUNT };
static const char *const SPENT_NAMES[SPENT_COUNT] = {"us", "loop_cpu_us", "writer_cpu_us", "pages"};

enum stage { MESSAGE, EVENT, NEARER, EVENT_ALONE, NEARER_ALONE, EARLY, STAGE_COUNT };
static const char *const STAGE_NAMES[STAGE_COUNT] = {
	"message", "event", "event_nearer", "event_alone", "event_nearer_alone", "early"};

enum {
	FILL_S,
	START_MS,
	START_BYTES, /* anonymous memory */
	END_BYTES,
	STORE_BYTES,
	IDLE_TICK_US,
	DUE_TICK_MS,
	DUE_COMMIT_MS,
	DUE_US, /* of the loop thread, for each thread that was due */
	REMINDERS,
	PLAIN_COUNT
};
static const char *const PLAIN_NAMES[PLAIN_COUNT] = {"fill_s", "start_ms", "anonymous_start_bytes", "anonymous_bytes",
	"store_bytes", "idle_tick_us", "due_tick_ms", "due_commit_ms", "due_us", "reminders"};

struct costs {
	double plain[PLAIN_COUNT];
	double stage[STAGE_COUNT][SPENT_COUNT];
};

struct bed {
	char folder[256];
	char path[300];
	uv_loop_t loop;
	uv_timer_t alive;
	struct store *store;
	struct hub *hub;
	struct store_options options;
	struct kw_buf out[2];
	uint64_t committed;
	int64_t wall_ms;
	int64_t mono_ms;
	uint32_t count;
	uint64_t *ids; /* the random half of each */
	uint64_t sequence; /* of what agency 1 has said */
	struct load load;
};

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static void on_committed(void *user, uint64_t ticket, enum kw_err err)
{
	bench_must(err, "commit");
	((struct bed *)user)->committed = ticket;
}

static void on_fatal(void *user, enum kw_err err)
{
	(void)user;
	bench_must(err, "hub");
}

static struct kw_buf *on_out(void *user, uint32_t conn)
{
	struct kw_buf *out = &((struct bed *)user)->out[conn];
	kw_buf_clear(out); /* nobody reads */
	return out;
}

static void on_ready(void *user, uint32_t conn)
{
	(void)user;
	(void)conn;
}

static void on_close(void *user, uint32_t conn, enum kw_err err)
{
	(void)user;
	bench_die("connection %u is closed: %s", conn, kw_err_name(err));
}

static void on_clock(void *user, int64_t *wall_ms, int64_t *mono_ms)
{
	const struct bed *bed = user;
	*wall_ms = bed->wall_ms;
	*mono_ms = bed->mono_ms;
}

static struct kw_id id_of(const struct bed *bed, uint32_t index)
{
	struct kw_id id = {{0}};
	kw_put_u64(id.bytes, bed->ids[index]);
	kw_put_u32(id.bytes + 12, index);
	return id;
}

static uint64_t random_u64(void)
{
	uint64_t value;
	bench_must(kw_random(&value, sizeof(value)), "random");
	return value;
}

/* Threads that events are about, evenly over the ids. */
enum set {
	PUT_OFF, /* due within STEP_MS */
	FAR,     /* due later than an event makes it */
	SOON,    /* due within the hour: put off too, and looked at there */
	SET_COUNT
};
#define SET_SIZE (EVENTS + EVENTS_ALONE)

static uint32_t index_of(const struct bed *bed, enum set set, uint32_t n)
{
	return n * (bed->count / SET_SIZE) + set;
}

static uint64_t draw_due(const struct bed *bed, uint32_t index)
{
	uint32_t apart = bed->count / SET_SIZE;
	uint64_t from_ms = HOUR_MS, to_ms = FILL_MS;
	if (index / apart < SET_SIZE && index % apart == PUT_OFF)
		to_ms = STEP_MS;
	if (index / apart < SET_SIZE && index % apart == FAR)
		from_ms = MOVED_MS + HOUR_MS;
	if (index / apart < SET_SIZE && index % apart == SOON) {
		from_ms = 0;
		to_ms = HOUR_MS;
	}
	return (uint64_t)bed->wall_ms + 1 + from_ms + random_u64() % (to_ms - from_ms);
}

/* A referral from agency 0 to agency 1 that is to be decided, and whose next step is at due_ms. */
static void fill_one(struct bed *bed, uint64_t ticket, uint32_t index, uint64_t due_ms)
{
	struct brk_thread thread = {.id = id_of(bed, index), .slot = {0, 1}, .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_ACKNOWLEDGED, .risk = KW_RISK_LOW, .sequence = {1, 1}, .due_ms = due_ms};
	thread.run = (struct kw_clock_run){.clock = KW_CLOCK_DECIDED, .risk = KW_RISK_LOW,
		.started_ms = (int64_t)due_ms - STEP_MS, .deadline_ms = (int64_t)due_ms + STEP_MS};
	struct store_thread row = {.id = thread.id, .due_ms = due_ms, .size = BRK_THREAD_SIZE};
	brk_thread_pack(row.record, &thread);
	store_put_thread(bed->store, ticket, &row);
}

static void fill(struct bed *bed)
{
	const struct store_hooks hooks = {.user = bed, .on_committed = on_committed};
	bench_must(store_open(&bed->options, &bed->loop, &hooks, &bed->store), "store");
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct kw_name name;
		site_agent_name(slot, &name);
		store_put_agency(bed->store, 1, slot, &name);
	}
	uint64_t ticket = 1;
	for (uint32_t i = 0; i < bed->count; i++) {
		fill_one(bed, ++ticket, i, draw_due(bed, i));
		if (i % 16384 != 16383 && i + 1 != bed->count)
			continue;
		store_kick(bed->store);
		while (bed->committed < ticket)
			(void)uv_run(&bed->loop, UV_RUN_ONCE);
	}
	store_close(bed->store);
	(void)uv_run(&bed->loop, UV_RUN_NOWAIT);
}

static void start(struct bed *bed)
{
	struct hub_options options = {.store = bed->options, .limits = BRK_LIMITS_DEFAULT, .clock = on_clock, .clock_user = bed};
	bench_must(kw_name_from(kw_view_str("bench"), &options.name), "name");
	struct kw_ed25519 log_key;
	bench_must(kw_ed25519_generate(&log_key), "log key");
	options.log_key = &log_key;
	const struct hub_wire wire = {
		.user = bed, .out = on_out, .ready = on_ready, .close = on_close, .fatal = on_fatal};
	bench_must(hub_new(&options, &bed->loop, &wire, &bed->hub), "hub");
}

/* Agency 1 speaks; agency 0 is away. */
static void connect_agency(struct bed *bed)
{
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 7};
	struct kw_name name;
	for (uint32_t slot = 0; slot < 2; slot++) {
		site_agent_name(slot, &name);
		bench_must(hub_agency(bed->hub, &name, false), "agency");
	}
	hub_hello(bed->hub, 1, &name, &hello);
}

static void settle(struct bed *bed)
{
	struct hub_stats stats;
	do {
		hub_kick(bed->hub);
		(void)uv_run(&bed->loop, UV_RUN_ONCE);
		hub_stats_get(bed->hub, &stats);
	} while (stats.store.pending_ops > 0);
}

/* A message of agency 1, which accepts the referral. */
static void say(struct bed *bed, uint32_t about, bool tracked)
{
	struct kw_buf bytes, tracks;
	struct kw_frame frame;
	size_t used;
	struct kw_name name;
	uint64_t sequence = ++bed->sequence;
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	kw_buf_init(&tracks, KW_FRAME_TRACK_SIZE_MAX);
	site_agent_name(0, &name);
	const struct kw_frame_track track = {.thread_id = id_of(bed, about), .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_ACCEPTED, .risk = KW_RISK_LOW, .sequence = 2, .other_agency = name};
	bench_must(tracked ? kw_frame_track_add(&tracks, &track) : KW_OK, "track");
	const struct load_stamp stamp = {.sent_ns = sequence};
	const struct kw_frame_message message = {.msg_class = KW_NORMAL, .sequence = sequence,
		.envelope = load_stamped(&bed->load, &stamp), .tracks = kw_buf_view(&tracks)};
	bench_must(kw_frame_message_add(&bytes, &message), "message");
	bench_must(kw_frame_next(kw_buf_view(&bytes), KW_FRAME_SIZE_MAX, &frame, &used), "frame");
	site_agent_name(1, &name);
	bench_must(hub_frame(bed->hub, 1, &name, &frame), "message");
	kw_buf_fini(&bytes);
	kw_buf_fini(&tracks);
}

/* What has been spent by now. */
struct meter {
	uint64_t ns;
	double cpu_s;
	double loop_s;
	uint64_t written;
};

static double seconds_of(const struct rusage *usage)
{
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
		   (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* Bytes that this process has given to write calls: the pages of the store's commits, and next to nothing else. */
static uint64_t written_bytes(void)
{
	char line[256];
	unsigned long long bytes = 0;
	FILE *file = fopen("/proc/self/io", "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "wchar:", 6) == 0)
			bytes = strtoull(line + 6, NULL, 10);
	if (file == NULL)
		bench_die("/proc/self/io: cannot be read, so pages cannot be counted");
	(void)fclose(file);
	return bytes;
}

static struct meter meter_read(void)
{
	struct rusage loop;
	(void)getrusage(RUSAGE_THREAD, &loop);
	return (struct meter){
		.ns = bench_now_ns(), .cpu_s = bench_cpu_s(), .loop_s = seconds_of(&loop), .written = written_bytes()};
}

static void meter_take(const struct meter *from, uint32_t events, double *spent)
{
	const struct meter to = meter_read();
	double loop_s = to.loop_s - from->loop_s;
	spent[US] = (double)(to.ns - from->ns) / 1e3 / events;
	spent[LOOP_CPU_US] = loop_s * 1e6 / events;
	spent[WRITER_CPU_US] = (to.cpu_s - from->cpu_s - loop_s) * 1e6 / events;
	spent[PAGES] = (double)(to.written - from->written) / PAGE_SIZE / events;
}

/* What a stage says, each message about another thread. */
struct talk {
	enum set set;
	uint32_t first; /* of the set */
	uint32_t count;
	uint32_t at_once; /* in a commit */
	bool tracked;
};

static void talk(struct bed *bed, const struct talk *talk, double *spent)
{
	const struct meter from = meter_read();
	for (uint32_t i = 0; i < talk->count;) {
		for (uint32_t n = 0; n < talk->at_once && i < talk->count; n++, i++)
			say(bed, index_of(bed, talk->set, talk->first + i), talk->tracked);
		settle(bed);
	}
	meter_take(&from, talk->count, spent);
}

static void talks(struct bed *bed, struct costs *costs)
{
	const struct talk TALKS[] = {
		[MESSAGE] = {.count = EVENTS, .at_once = EVENTS_AT_ONCE},
		[EVENT] = {.count = EVENTS, .at_once = EVENTS_AT_ONCE, .tracked = true},
		[NEARER] = {.count = EVENTS, .at_once = EVENTS_AT_ONCE, .tracked = true, .set = FAR},
		[EVENT_ALONE] = {.first = EVENTS, .count = EVENTS_ALONE, .at_once = 1, .tracked = true},
		[NEARER_ALONE] = {.first = EVENTS, .count = EVENTS_ALONE, .at_once = 1, .tracked = true, .set = FAR},
	};
	const struct talk SOON_TALK = {.count = SET_SIZE, .at_once = EVENTS_AT_ONCE, .tracked = true, .set = SOON};
	struct hub_stats stats;
	double spent[SPENT_COUNT];
	for (int stage = MESSAGE; stage <= NEARER_ALONE; stage++)
		talk(bed, &TALKS[stage], costs->stage[stage]);
	talk(bed, &SOON_TALK, spent);
	hub_stats_get(bed->hub, &stats);
	if (stats.counts.moved != SET_COUNT * SET_SIZE || stats.store.threads != bed->count)
		bench_die("%llu threads moved of %u", (unsigned long long)stats.counts.moved, SET_COUNT * SET_SIZE);
}

static double idle_ticks(struct bed *bed)
{
	uint64_t start_ns = bench_now_ns();
	for (uint32_t i = 0; i < IDLE_TICKS; i++)
		hub_tick(bed->hub);
	return (double)(bench_now_ns() - start_ns) / 1e3 / IDLE_TICKS;
}

static void pass(struct bed *bed, uint32_t ms)
{
	bed->wall_ms += ms;
	bed->mono_ms += ms;
}

/* The hour passes in which those that were put off would have been due: they go on to their new place now. It is the other
 * half of what putting off costs. */
static void early_ticks(struct bed *bed, struct costs *costs)
{
	struct hub_stats before, after;
	hub_stats_get(bed->hub, &before);
	pass(bed, HOUR_MS);
	const struct meter from = meter_read();
	for (uint32_t i = 0; i < EARLY_TICKS; i++) {
		hub_tick(bed->hub);
		settle(bed);
	}
	meter_take(&from, SET_SIZE, costs->stage[EARLY]);
	hub_tick(bed->hub);
	hub_stats_get(bed->hub, &after);
	if (after.store.pending_ops != 0 || after.counts.reminders != before.counts.reminders)
		bench_die("something is due that was put off");
}

/* All are due now: each tick takes a full slice. */
static void due_ticks(struct bed *bed, struct costs *costs)
{
	struct hub_stats before, after;
	uint64_t tick_ns = 0, commit_ns = 0;
	pass(bed, FILL_MS);
	hub_tick(bed->hub);
	settle(bed);
	hub_stats_get(bed->hub, &before);
	for (uint32_t i = 0; i < DUE_TICKS; i++) {
		uint64_t start_ns = bench_now_ns();
		hub_tick(bed->hub);
		tick_ns += bench_now_ns() - start_ns;
		start_ns = bench_now_ns();
		settle(bed);
		commit_ns += bench_now_ns() - start_ns;
	}
	hub_stats_get(bed->hub, &after);
	costs->plain[DUE_TICK_MS] = (double)tick_ns / 1e6 / DUE_TICKS;
	costs->plain[DUE_COMMIT_MS] = (double)commit_ns / 1e6 / DUE_TICKS;
	costs->plain[DUE_US] = (double)tick_ns / 1e3 / (DUE_TICKS * HUB_DUE_MAX);
	costs->plain[REMINDERS] = (double)(after.counts.reminders - before.counts.reminders);
	if (after.counts.reminders == before.counts.reminders)
		bench_die("nobody was reminded");
}

/* Memory of this process that no file stands behind; what the store maps is the kernel's to give and take. */
static uint64_t anonymous_bytes(void)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtoull(line + 8, NULL, 10);
	if (file != NULL)
		(void)fclose(file);
	return kib << 10;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(path);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void bed_init(struct bed *bed, uint32_t count, const char *folder)
{
	*bed = (struct bed){.count = count, .wall_ms = INT64_C(1790000000000), .mono_ms = 1000};
	const char *parent = folder != NULL ? folder : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp";
	(void)snprintf(bed->folder, sizeof(bed->folder), "%s/kinward-bench-XXXXXX", parent);
	if (mkdtemp(bed->folder) == NULL)
		bench_die("%s: cannot make a folder", bed->folder);
	(void)snprintf(bed->path, sizeof(bed->path), "%s/db", bed->folder);
	bed->options = (struct store_options){.path = bed->path, .map_size = MAP_SIZE};
	bed->ids = malloc(count * sizeof(*bed->ids));
	if (bed->ids == NULL)
		bench_die("out of memory");
	for (uint32_t i = 0; i < count; i++)
		bed->ids[i] = random_u64();
	qsort(bed->ids, count, sizeof(*bed->ids), by_value); /* as they lie in the table: to fill it sooner */
	(void)uv_loop_init(&bed->loop);
	(void)uv_timer_init(&bed->loop, &bed->alive);
	(void)uv_timer_start(&bed->alive, on_alive, 1, 1);
	kw_buf_init(&bed->out[0], 8u << 20);
	kw_buf_init(&bed->out[1], 8u << 20);
	load_init(&bed->load, 1, 0, 1024);
}

static void measure(uint32_t count, const char *folder, struct costs *costs)
{
	static struct bed bed;
	bed_init(&bed, count, folder);
	uint64_t start_ns = bench_now_ns();
	fill(&bed);
	costs->plain[FILL_S] = (double)(bench_now_ns() - start_ns) / 1e9;
	uint64_t before = anonymous_bytes();
	start_ns = bench_now_ns();
	start(&bed);
	costs->plain[START_MS] = (double)(bench_now_ns() - start_ns) / 1e6;
	costs->plain[START_BYTES] = (double)(anonymous_bytes() - before);
	connect_agency(&bed);
	settle(&bed);
	costs->plain[IDLE_TICK_US] = idle_ticks(&bed);
	talks(&bed, costs);
	early_ticks(&bed, costs);
	due_ticks(&bed, costs);
	costs->plain[END_BYTES] = (double)(anonymous_bytes() - before);
	struct hub_stats stats;
	hub_stats_get(bed.hub, &stats);
	costs->plain[STORE_BYTES] = (double)stats.store.used_bytes;
	hub_free(bed.hub);
	(void)uv_run(&bed.loop, UV_RUN_NOWAIT);
	(void)nftw(bed.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In a process of its own, so that one size does not pay for the other. */
static void measure_apart(uint32_t count, const char *folder, struct costs *costs)
{
	int fds[2], status = 0;
	if (pipe(fds) != 0)
		bench_die("cannot make a pipe");
	pid_t child = fork();
	if (child < 0)
		bench_die("cannot fork");
	if (child == 0) {
		(void)close(fds[0]);
		static struct costs own;
		measure(count, folder, &own);
		_exit(write(fds[1], &own, sizeof(own)) == (ssize_t)sizeof(own) ? 0 : 1);
	}
	(void)close(fds[1]);
	bool read_all = read(fds[0], costs, sizeof(*costs)) == (ssize_t)sizeof(*costs);
	(void)close(fds[0]);
	if (waitpid(child, &status, 0) != child || status != 0 || !read_all)
		bench_die("the run over %u threads failed", count);
}

static int by_real(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Each figure by itself. */
static void take_medians(const struct costs *runs, uint32_t count, struct costs *out)
{
	double values[RUNS_MAX];
	for (size_t at = 0; at < sizeof(*out) / sizeof(double); at++) {
		for (uint32_t i = 0; i < count; i++)
			memcpy(&values[i], (const uint8_t *)&runs[i] + at * sizeof(double), sizeof(double));
		qsort(values, count, sizeof(values[0]), by_real);
		const double median = (values[(count - 1) / 2] + values[count / 2]) / 2;
		memcpy((uint8_t *)out + at * sizeof(double), &median, sizeof(double));
	}
}

static void report(const char *prefix, uint32_t count, const struct costs *costs)
{
	char key[64];
	(void)snprintf(key, sizeof(key), "%s_threads", prefix);
	bench_json_int(key, count);
	for (int i = 0; i < PLAIN_COUNT; i++) {
		(void)snprintf(key, sizeof(key), "%s_%s", prefix, PLAIN_NAMES[i]);
		bench_json_real(key, costs->plain[i]);
	}
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		for (int i = 0; i < SPENT_COUNT; i++) {
			(void)snprintf(key, sizeof(key), "%s_%s_%s", prefix, STAGE_NAMES[stage], SPENT_NAMES[i]);
			bench_json_real(key, costs->stage[stage][i]);
		}
	}
}

static double cpu_of(const struct costs *costs, enum stage stage)
{
	return costs->stage[stage][LOOP_CPU_US] + costs->stage[stage][WRITER_CPU_US];
}

static void report_ratios(const struct costs *few, const struct costs *many)
{
	char key[64];
	bench_json_real("start_ratio", many->plain[START_MS] / few->plain[START_MS]);
	bench_json_real("idle_tick_ratio", many->plain[IDLE_TICK_US] / few->plain[IDLE_TICK_US]);
	bench_json_real("due_ratio", many->plain[DUE_US] / few->plain[DUE_US]);
	for (enum stage stage = 0; stage < STAGE_COUNT; stage++) {
		(void)snprintf(key, sizeof(key), "%s_cpu_ratio", STAGE_NAMES[stage]);
		bench_json_real(key, cpu_of(many, stage) / cpu_of(few, stage));
		(void)snprintf(key, sizeof(key), "%s_pages_ratio", STAGE_NAMES[stage]);
		bench_json_real(key, many->stage[stage][PAGES] / few->stage[stage][PAGES]);
	}
}

int bench_threads(const struct bench_options *options)
{
	static struct costs few[RUNS_MAX], many[RUNS_MAX];
	struct costs medians[2];
	for (uint32_t i = 0; i < options->runs; i++) {
		measure_apart(FEW, options->parent, &few[i]);
		measure_apart(options->open, options->parent, &many[i]);
	}
	take_medians(few, options->runs, &medians[0]);
	take_medians(many, options->runs, &medians[1]);
	bench_json_begin();
	bench_json_str("bench", "threads");
	bench_json_int("runs", options->runs);
	bench_json_int("due_slice", HUB_DUE_MAX);
	bench_json_int("events_at_once", EVENTS_AT_ONCE);
	report("few", FEW, &medians[0]);
	report("many", options->open, &medians[1]);
	/* What the deeper trees of as many threads would cost by themselves. */
	bench_json_real("log_ratio", log((double)options->open) / log(FEW));
	report_ratios(&medians[0], &medians[1]);
	bench_json_end();
	return EXIT_SUCCESS;
}
