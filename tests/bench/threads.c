#include <ftw.h>
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
 * real syncs.
 *
 *   fill the store → open the hub as a broker does → ticks with nothing due → messages without and with a track, committed
 *   → ticks that find a full slice due → one JSON object for both sizes
 *
 * Due times are spread over 30 days, ids are random. The hub's clock is pretend, so that they can come. */

#define FEW 10000u
#define FILL_MS (30u * 24u * 3600000u)
#define EVENTS 5000u
#define EVENTS_AT_ONCE 200u /* within the credit of one agency */
#define IDLE_TICKS 2000u
#define DUE_TICKS 4u
#define MAP_SIZE (16ull << 30)

struct costs {
	double fill_s;
	double start_ms;
	uint64_t anonymous_bytes; /* after all of it */
	uint64_t anonymous_start_bytes;
	uint64_t store_bytes;
	double idle_tick_us;
	double message_us; /* wall clock, commit included */
	double event_us;
	double message_cpu_us; /* of both threads */
	double event_cpu_us;
	double message_loop_us; /* of the loop thread, in hub_frame */
	double event_loop_us;
	double due_tick_ms;
	double due_commit_ms;
	double due_us; /* of the loop thread, for each thread that was due */
	uint64_t reminders;
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

/* A referral from agency 0 to agency 1 whose next step is at due_ms. */
static void fill_one(struct bed *bed, uint64_t ticket, uint32_t index, uint64_t due_ms)
{
	struct brk_thread thread = {.id = id_of(bed, index), .slot = {0, 1}, .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_QUEUED, .risk = KW_RISK_LOW, .sequence = {1, 0}, .due_ms = due_ms};
	thread.run = (struct kw_clock_run){.clock = KW_CLOCK_DELIVERED, .risk = KW_RISK_LOW,
		.started_ms = (int64_t)due_ms - 43200000, .deadline_ms = (int64_t)due_ms + 43200000};
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
		fill_one(bed, ++ticket, i, (uint64_t)bed->wall_ms + 1 + random_u64() % FILL_MS);
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

static void say(struct bed *bed, uint64_t sequence, uint32_t about, bool tracked)
{
	struct kw_buf bytes, tracks;
	struct kw_frame frame;
	size_t used;
	struct kw_name name;
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	kw_buf_init(&tracks, KW_FRAME_TRACK_SIZE_MAX);
	site_agent_name(0, &name);
	const struct kw_frame_track track = {.thread_id = id_of(bed, about), .kind = KW_THREAD_REFERRAL,
		.state = KW_REFERRAL_DELIVERED, .risk = KW_RISK_LOW, .other_agency = name};
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

/* EVENTS messages, each about another thread, as many at once as credit lets; microseconds each. */
static void messages(struct bed *bed, bool tracked, double *wall_us, double *cpu_us, double *loop_us)
{
	static uint64_t sequence;
	uint64_t start_ns = bench_now_ns(), loop_ns = 0;
	double cpu_s = bench_cpu_s();
	for (uint32_t i = 0; i < EVENTS;) {
		uint64_t turn_ns = bench_now_ns();
		for (uint32_t n = 0; n < EVENTS_AT_ONCE && i < EVENTS; n++, i++)
			say(bed, ++sequence, (uint32_t)((uint64_t)i * (bed->count / EVENTS)), tracked);
		loop_ns += bench_now_ns() - turn_ns;
		settle(bed);
	}
	*wall_us = (double)(bench_now_ns() - start_ns) / 1e3 / EVENTS;
	*cpu_us = (bench_cpu_s() - cpu_s) * 1e6 / EVENTS;
	*loop_us = (double)loop_ns / 1e3 / EVENTS;
}

static double idle_ticks(struct bed *bed)
{
	uint64_t start_ns = bench_now_ns();
	for (uint32_t i = 0; i < IDLE_TICKS; i++)
		hub_tick(bed->hub);
	return (double)(bench_now_ns() - start_ns) / 1e3 / IDLE_TICKS;
}

/* All are due now: each tick takes a full slice. */
static void due_ticks(struct bed *bed, struct costs *costs)
{
	struct hub_stats before, after;
	uint64_t tick_ns = 0, commit_ns = 0;
	bed->wall_ms += FILL_MS;
	bed->mono_ms += FILL_MS;
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
	costs->due_tick_ms = (double)tick_ns / 1e6 / DUE_TICKS;
	costs->due_commit_ms = (double)commit_ns / 1e6 / DUE_TICKS;
	costs->due_us = (double)tick_ns / 1e3 / (DUE_TICKS * HUB_DUE_MAX);
	costs->reminders = after.counts.reminders - before.counts.reminders;
	if (costs->reminders == 0)
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
	costs->fill_s = (double)(bench_now_ns() - start_ns) / 1e9;
	uint64_t before = anonymous_bytes();
	start_ns = bench_now_ns();
	start(&bed);
	costs->start_ms = (double)(bench_now_ns() - start_ns) / 1e6;
	costs->anonymous_start_bytes = anonymous_bytes() - before;
	connect_agency(&bed);
	settle(&bed);
	costs->idle_tick_us = idle_ticks(&bed);
	messages(&bed, false, &costs->message_us, &costs->message_cpu_us, &costs->message_loop_us);
	messages(&bed, true, &costs->event_us, &costs->event_cpu_us, &costs->event_loop_us);
	struct hub_stats stats;
	hub_stats_get(bed.hub, &stats);
	if (stats.counts.moved != EVENTS || stats.store.threads != count)
		bench_die("%llu threads moved of %u", (unsigned long long)stats.counts.moved, EVENTS);
	due_ticks(&bed, costs);
	costs->anonymous_bytes = anonymous_bytes() - before;
	hub_stats_get(bed.hub, &stats);
	costs->store_bytes = stats.store.used_bytes;
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
		struct costs own = {.fill_s = 0};
		measure(count, folder, &own);
		_exit(write(fds[1], &own, sizeof(own)) == (ssize_t)sizeof(own) ? 0 : 1);
	}
	(void)close(fds[1]);
	bool read_all = read(fds[0], costs, sizeof(*costs)) == (ssize_t)sizeof(*costs);
	(void)close(fds[0]);
	if (waitpid(child, &status, 0) != child || status != 0 || !read_all)
		bench_die("the run over %u threads failed", count);
}

static void report(const char *prefix, uint32_t count, const struct costs *costs)
{
	const struct {
		const char *name;
		double value;
	} reals[] = {{"fill_s", costs->fill_s}, {"start_ms", costs->start_ms}, {"idle_tick_us", costs->idle_tick_us},
		{"message_us", costs->message_us}, {"event_us", costs->event_us}, {"message_cpu_us", costs->message_cpu_us},
		{"event_cpu_us", costs->event_cpu_us}, {"message_loop_us", costs->message_loop_us},
		{"event_loop_us", costs->event_loop_us}, {"due_tick_ms", costs->due_tick_ms},
		{"due_commit_ms", costs->due_commit_ms}, {"due_us", costs->due_us}};
	const struct {
		const char *name;
		uint64_t value;
	} ints[] = {{"threads", count}, {"anonymous_start_bytes", costs->anonymous_start_bytes},
		{"anonymous_bytes", costs->anonymous_bytes}, {"store_bytes", costs->store_bytes}, {"reminders", costs->reminders}};
	char key[64];
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s_%s", prefix, ints[i].name);
		bench_json_int(key, ints[i].value);
	}
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s_%s", prefix, reals[i].name);
		bench_json_real(key, reals[i].value);
	}
}

int bench_threads(const struct bench_options *options)
{
	struct costs few, many;
	measure_apart(FEW, options->parent, &few);
	measure_apart(options->open, options->parent, &many);
	bench_json_begin();
	bench_json_str("bench", "threads");
	bench_json_int("due_slice", HUB_DUE_MAX);
	report("few", FEW, &few);
	report("many", options->open, &many);
	bench_json_real("start_ratio", many.start_ms / few.start_ms);
	bench_json_real("idle_tick_ratio", many.idle_tick_us / few.idle_tick_us);
	bench_json_real("event_cpu_ratio", many.event_cpu_us / few.event_cpu_us);
	bench_json_real("due_ratio", many.due_us / few.due_us);
	bench_json_end();
	return EXIT_SUCCESS;
}
