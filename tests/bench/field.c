#include "tests/bench/field.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define FILES_SPARE 256u

/* After a failure: only what outlives us. */
static void abandon(void *user)
{
	struct field *field = user;
	child_kill(&field->child);
	site_fini(&field->site, field->options->keep);
}

/* Ours and the broker's, which inherits it. */
static void raise_files(uint32_t agents)
{
	struct rlimit limit;
	rlim_t want = agents + FILES_SPARE;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want;
	if (limit.rlim_max < want)
		limit.rlim_max = want;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("cannot open %llu files: raise ulimit -n", (unsigned long long)want);
}

static void dial_more(struct field *field)
{
	while (field->dialled < field->count && field->dialled - field->ready < field->options->dialling_max) {
		peer_dial(&field->peers[field->dialled], field->net, field->address);
		field->dialled++;
	}
}

static void on_ready(void *user, struct peer *peer)
{
	struct field *field = user;
	(void)peer;
	field->ready++;
	dial_more(field);
}

void field_open(struct field *field, const struct bench_options *options)
{
	field->options = options;
	field->count = options->agents;
	bench_at_end(abandon, field);
	raise_files(options->agents);
	if (options->site != NULL)
		site_load(&field->site, options->site, options->agents);
	else
		site_make_temporary(&field->site, options);
	if (options->broker != NULL) {
		(void)snprintf(field->address, sizeof(field->address), "%s", options->broker);
	} else {
		child_start(&field->child, field->site.folder, options);
		(void)snprintf(field->address, sizeof(field->address), "127.0.0.1:%u", field->child.port);
	}
	field->peers = calloc(field->count, sizeof(struct peer));
	if (field->peers == NULL || uv_loop_init(&field->loop) != 0)
		bench_die("out of memory");
	bench_must(kw_net_new(&field->loop, &field->net), "network");
	field->hooks.user = field;
	field->hooks.on_ready = on_ready;
	for (uint32_t i = 0; i < field->count; i++)
		peer_init(&field->peers[i], i, site_context(&field->site, i), &field->hooks);
}

void field_connect(struct field *field)
{
	dial_more(field);
	while (field->ready < field->count && !bench_interrupted())
		(void)uv_run(&field->loop, UV_RUN_ONCE);
	if (bench_interrupted())
		bench_die("interrupted");
}

static void on_timer(uv_timer_t *timer)
{
	bool *over = timer->data;
	*over = true;
}

void field_run(struct field *field, uint64_t ms)
{
	bool over = false;
	uv_timer_t timer;
	uv_update_time(&field->loop);
	(void)uv_timer_init(&field->loop, &timer); /* cannot fail, nor the start */
	timer.data = &over;
	(void)uv_timer_start(&timer, on_timer, ms, 0);
	while (!over && !bench_interrupted())
		(void)uv_run(&field->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&field->loop, UV_RUN_NOWAIT);
	if (bench_interrupted())
		bench_die("interrupted");
}

void field_close(struct field *field, struct field_end *end)
{
	*end = (struct field_end){.in_order = true};
	for (uint32_t i = 0; i < field->count; i++)
		peer_close(&field->peers[i]);
	struct kw_net_stats stats;
	do {
		(void)uv_run(&field->loop, UV_RUN_ONCE);
		kw_net_stats_get(field->net, &stats);
	} while (stats.links > 0);
	kw_net_free(field->net);
	while (uv_run(&field->loop, UV_RUN_DEFAULT) != 0)
		;
	(void)uv_loop_close(&field->loop);
	for (uint32_t i = 0; i < field->count; i++)
		peer_fini(&field->peers[i]);
	free(field->peers);
	if (field->child.pid != 0) {
		end->in_order = child_stop(&field->child);
		end->has_syncs = child_syncs(&field->child, &end->syncs);
		end->commits = child_commits(field->site.folder);
	}
	site_fini(&field->site, field->options->keep);
	bench_at_end(NULL, NULL);
}
