#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/field.h"
#include "tests/bench/load.h"

/* Agency i sends to agency i + 1, with a bound on what is under way: a message holds its place until the hub has
 * acknowledged it and its recipient has it. With --rate, a timer gives the turns instead, round the agencies.
 *
 *   connect → warm up → measure → stop sending → wait for what is under way → count what is missing → report */

#define TIMES_SIZE 8192u /* more than any --inflight */
#define DRAIN_MS 10000u
#define SYNCS_OF_MAKING 16u /* the new store's file, its folders */

struct sender {
	struct load load;
	uint64_t delivered;
	uint64_t times_ns[TIMES_SIZE]; /* by sequence */
};

struct totals {
	uint64_t ns;
	uint64_t acked;
	uint64_t received; /* the recipient's ack has left */
	uint64_t commits;
	double broker_cpu_s;
	double our_cpu_s;
	struct kw_net_stats net;
};

struct route {
	struct field field;
	struct sender *senders;
	uv_prepare_t turn_end;
	uv_poll_t ticks;
	uv_timer_t ack_timer;
	int timer_fd;
	uint32_t run;
	uint32_t next;   /* whose turn with --rate */
	uint64_t missed; /* turns with --rate that found the bound reached */
	bool sending;
	bool measuring;
	uint64_t acked;
	struct bench_hist ack;
	struct bench_hist deliver;
};

static void send_one(struct route *route, uint32_t index)
{
	struct sender *sender = &route->senders[index];
	struct peer *peer = &route->field.peers[index];
	if (route->field.options->seal)
		load_seal(&sender->load);
	struct load_stamp stamp = {.sent_ns = bench_now_ns(), .run = route->run, .sender = index};
	sender->times_ns[(peer->sent + 1) % TIMES_SIZE] = stamp.sent_ns;
	peer_send(peer, load_stamped(&sender->load, &stamp));
}

static bool may_send(const struct route *route, uint32_t index)
{
	const struct sender *sender = &route->senders[index];
	const struct peer *peer = &route->field.peers[index];
	uint32_t inflight = route->field.options->inflight;
	if (peer->sent - peer->acked >= inflight)
		return false;
	if (!route->field.options->submit_only && peer->sent - sender->delivered >= inflight)
		return false;
	return peer_may(peer, (uint32_t)sender->load.envelope.size);
}

/* Once a turn of the loop, before what it wrote leaves: many messages and acks share a record. */
static void on_turn_end(uv_prepare_t *prepare)
{
	struct route *route = prepare->data;
	bool fill = route->sending && route->field.options->rate == 0;
	for (uint32_t i = 0; i < route->field.count; i++) {
		while (fill && may_send(route, i))
			send_one(route, i);
		if (route->field.options->ack_delay_ms == 0)
			peer_flush(&route->field.peers[i]);
	}
}

static void on_ack_time(uv_timer_t *timer)
{
	struct route *route = timer->data;
	for (uint32_t i = 0; i < route->field.count; i++)
		peer_flush(&route->field.peers[i]);
}

static void on_tick(uv_poll_t *poll, int status, int events)
{
	struct route *route = poll->data;
	uint64_t due = 0;
	(void)events;
	if (status != 0 || read(route->timer_fd, &due, sizeof(due)) != (ssize_t)sizeof(due))
		return;
	for (; due > 0 && route->sending; due--) {
		if (may_send(route, route->next))
			send_one(route, route->next);
		else
			route->missed++;
		route->next = (route->next + 1) % route->field.count;
	}
}

static void on_acked(void *user, struct peer *peer, uint64_t first, uint64_t last)
{
	struct route *route = user;
	const struct sender *sender = &route->senders[peer->index];
	uint64_t now_ns = bench_now_ns();
	route->acked += last - first + 1;
	for (uint64_t sequence = first; route->measuring && sequence <= last; sequence++)
		bench_hist_add(&route->ack, now_ns - sender->times_ns[sequence % TIMES_SIZE]);
}

static void on_message(void *user, struct peer *peer, const struct kw_frame_message *message)
{
	struct route *route = user;
	struct load_stamp stamp;
	load_read_stamp(message->envelope, route->senders[peer->index].load.id_at, &stamp);
	if (stamp.run != route->run || stamp.sender >= route->field.count)
		return;
	route->senders[stamp.sender].delivered++;
	if (route->measuring)
		bench_hist_add(&route->deliver, bench_now_ns() - stamp.sent_ns);
}

static void start_ticks(struct route *route, uint32_t rate)
{
	long gap_ns = 1000000000l / (long)rate;
	struct itimerspec every = {.it_interval = {.tv_sec = gap_ns / 1000000000l, .tv_nsec = gap_ns % 1000000000l}};
	every.it_value = every.it_interval;
	route->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (route->timer_fd < 0 || timerfd_settime(route->timer_fd, 0, &every, NULL) != 0 ||
		uv_poll_init(&route->field.loop, &route->ticks, route->timer_fd) != 0 ||
		uv_poll_start(&route->ticks, UV_READABLE, on_tick) != 0)
		bench_die("cannot make a timer");
	route->ticks.data = route;
}

static void start(struct route *route, const struct bench_options *options)
{
	struct field *field = &route->field;
	route->senders = calloc(options->agents, sizeof(struct sender));
	if (route->senders == NULL)
		bench_die("out of memory");
	bench_must(kw_random(&route->run, sizeof(route->run)), "random");
	field_open(field, options);
	for (uint32_t i = 0; i < field->count; i++) {
		load_init(&route->senders[i].load, i, (i + 1) % field->count, options->size);
		field->peers[i].gives_credit = !options->submit_only;
		if (route->senders[i].load.id_at != route->senders[0].load.id_at)
			bench_die("envelopes of different form");
	}
	field->hooks.user = route; /* field is its first member, as on_ready expects */
	field->hooks.on_acked = on_acked;
	field->hooks.on_message = on_message;
	field_connect(field);
	(void)uv_prepare_init(&field->loop, &route->turn_end); /* cannot fail, nor the start */
	route->turn_end.data = route;
	(void)uv_prepare_start(&route->turn_end, on_turn_end);
	(void)uv_timer_init(&field->loop, &route->ack_timer);
	route->ack_timer.data = route;
	if (options->ack_delay_ms > 0)
		(void)uv_timer_start(&route->ack_timer, on_ack_time, options->ack_delay_ms, options->ack_delay_ms);
	if (options->rate > 0)
		start_ticks(route, options->rate);
	route->sending = true;
}

static void take_totals(struct route *route, struct totals *out)
{
	*out = (struct totals){.ns = bench_now_ns(), .acked = route->acked, .our_cpu_s = bench_cpu_s()};
	for (uint32_t i = 0; i < route->field.count; i++)
		out->received += route->field.peers[i].received;
	if (route->field.child.pid != 0) {
		out->broker_cpu_s = child_cpu_s(&route->field.child);
	}
	out->commits = child_commits(route->field.site.folder);
	kw_net_stats_get(route->field.net, &out->net);
}

/* Messages that were sent and not acknowledged, or not delivered, however long we wait: there should be none. */
static uint64_t drain(struct route *route)
{
	uint64_t missing = 0;
	route->sending = false;
	for (uint32_t waited = 0; waited < DRAIN_MS; waited += 50) {
		field_run(&route->field, 50);
		missing = 0;
		for (uint32_t i = 0; i < route->field.count; i++) {
			const struct peer *peer = &route->field.peers[i];
			missing += peer->sent - peer->acked;
			if (!route->field.options->submit_only)
				missing += peer->sent - route->senders[i].delivered;
		}
		if (missing == 0)
			break;
	}
	return missing;
}

static void stop(struct route *route)
{
	uv_close((uv_handle_t *)&route->turn_end, NULL);
	uv_close((uv_handle_t *)&route->ack_timer, NULL);
	if (route->field.options->rate > 0) {
		uv_close((uv_handle_t *)&route->ticks, NULL);
		(void)uv_run(&route->field.loop, UV_RUN_NOWAIT);
		(void)close(route->timer_fd);
	}
}

static void report_setting(const struct route *route, const struct bench_options *options)
{
	bench_json_str("bench", "route");
	bench_json_int("size", options->size);
	bench_json_int("envelope_size", route->senders[0].load.envelope.size);
	bench_json_int("agents", options->agents);
	bench_json_int("inflight", options->inflight);
	bench_json_int("rate", options->rate);
	bench_json_int("ack_delay_ms", options->ack_delay_ms);
	bench_json_bool("seal", options->seal);
	bench_json_bool("submit_only", options->submit_only);
}

/* From the store's own number of its last transaction: it costs the broker nothing. --count-syncs proves the factor. */
static void report_syncs(double commits, double seconds, double acked, bool known)
{
	double syncs = child_is_unsafe() ? 0 : commits * CHILD_SYNCS_PER_COMMIT;
	if (known) {
		bench_json_real("syncs_per_s", syncs / seconds);
		bench_json_real("syncs_per_ack", syncs / acked);
	} else {
		bench_json_null("syncs_per_s");
		bench_json_null("syncs_per_ack");
	}
}

/* What the kernel was asked for against what the commits claim, over the broker's whole life. False: they differ by more
 * than 2% and the few syncs of making the store. */
static bool report_proof(const struct field_end *end)
{
	uint64_t claimed = child_is_unsafe() ? 0 : end->commits * CHILD_SYNCS_PER_COMMIT;
	uint64_t apart = end->syncs > claimed ? end->syncs - claimed : claimed - end->syncs;
	bool agrees = apart <= claimed / 50u + SYNCS_OF_MAKING;
	bench_json_int("syncs_counted", end->syncs);
	bench_json_int("syncs_claimed", claimed);
	bench_json_bool("syncs_agree", agrees);
	return agrees;
}

static void report(const struct route *route, const struct totals *from, const struct totals *to)
{
	const struct bench_options *options = route->field.options;
	bool ours = options->broker == NULL;
	double seconds = (double)(to->ns - from->ns) / 1e9;
	double acked = (double)(to->acked - from->acked);
	double received = (double)(to->received - from->received);
	double commits = (double)(to->commits - from->commits);
	bench_json_real("seconds", seconds);
	bench_json_real("submit_ack_per_s", acked / seconds);
	bench_json_real("end_to_end_per_s", received / seconds);
	bench_json_real("ack_ms_p50", bench_hist_ms(&route->ack, 0.5));
	bench_json_real("ack_ms_p99", bench_hist_ms(&route->ack, 0.99));
	bench_json_real("ack_ms_max", bench_hist_ms(&route->ack, 1));
	bench_json_real("deliver_ms_p50", bench_hist_ms(&route->deliver, 0.5));
	bench_json_real("deliver_ms_p99", bench_hist_ms(&route->deliver, 0.99));
	bench_json_real("deliver_ms_max", bench_hist_ms(&route->deliver, 1));
	bench_json_int("turns_missed", route->missed);
	bench_json_real("client_cpu_us_per_message", (to->our_cpu_s - from->our_cpu_s) * 1e6 / acked);
	bench_json_real("client_cpu_share", (to->our_cpu_s - from->our_cpu_s) / seconds);
	bench_json_real("wire_bytes_per_message",
		(double)(to->net.bytes_in - from->net.bytes_in + to->net.bytes_out - from->net.bytes_out) / acked);
	if (ours) {
		bench_json_real("broker_cpu_us_per_message", (to->broker_cpu_s - from->broker_cpu_s) * 1e6 / acked);
		bench_json_real("broker_cpu_share", (to->broker_cpu_s - from->broker_cpu_s) / seconds);
	} else {
		bench_json_null("broker_cpu_us_per_message");
	}
	if (to->commits != 0) {
		bench_json_real("commits_per_s", commits / seconds);
		bench_json_real("commits_per_ack", commits / acked);
	} else {
		bench_json_null("commits_per_s");
	}
	report_syncs(commits, seconds, acked, to->commits != 0);
}

int bench_route(const struct bench_options *options)
{
	static struct route route;
	struct totals from;
	struct totals to;
	struct field_end end;
	bool agrees = true;
	start(&route, options);
	field_run(&route.field, options->warm_s * 1000u);
	route.measuring = true;
	take_totals(&route, &from);
	field_run(&route.field, options->seconds * 1000u);
	take_totals(&route, &to);
	route.measuring = false;
	uint64_t missing = drain(&route);
	bool in_memory = site_is_in_memory(&route.field.site);
	stop(&route);
	field_close(&route.field, &end);

	bench_json_begin();
	report_setting(&route, options);
	report(&route, &from, &to);
	if (end.has_syncs)
		agrees = report_proof(&end);
	bench_json_int("missing", missing);
	bench_json_bool("disk_is_memory", in_memory);
	bench_json_bool("stopped_in_order", end.in_order);
	bench_json_end();
	for (uint32_t i = 0; i < options->agents; i++)
		load_fini(&route.senders[i].load);
	free(route.senders);
	return missing == 0 && end.in_order && agrees ? EXIT_SUCCESS : EXIT_FAILURE;
}
