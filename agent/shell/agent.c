#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "agent/shell/agent_audit.h"
#include "agent/shell/agent_consent.h"
#include "agent/shell/agent_hold.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/agent_service.h"
#include "agent/shell/renew.h"
#include "proto/link/log.h"

/* The life of the daemon: read the configuration and the state, open the spool, listen on the local socket, start the core,
 * run. Each second: a tick for the core, rows that are due again; each ten: the expiry sweep.
 *
 * What fails before the loop runs ends the program with a line that says what to do. A failed commit ends it too: nothing
 * was promised for it, and a restart finds either outcome on disk. One that only finds no room does not: it waits. */

#define FLUSH_TURNS 8

int64_t agent_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop(struct agent *agent)
{
	if (agent->stopping)
		return;
	agent->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	uv_stop(&agent->loop);
}

void agent_fail(struct agent *agent, const char *event, enum kw_err err)
{
	if (!agent->failed)
		kw_log(KW_LOG_ERROR, event, KW_LOG_ERR(err), KW_LOG_STR("text", kw_err_text(err)));
	agent->failed = true;
	stop(agent);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct agent *agent = handle->data;

	kw_log(KW_LOG_INFO, "signal", KW_LOG_INT("number", number));
	stop(agent);
}

static void sweep_done(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->sweeping = false;
	agent_op_done(op, err);
}

static void sweep(struct agent *agent)
{
	struct spool_op *op = agent->sweeping ? NULL : spool_op_new(SPOOL_OP_SWEEP);

	if (op == NULL)
		return; /* the next tick tries again */
	agent->sweeping = true;
	op->u.sweep.now_ms = agent_now_ms();
	op->u.sweep.rows_max = AGENT_SWEEP_ROWS;
	op->done = sweep_done;
	op->user = agent;
	spool_do(agent->spool, op);
}

static void on_tick(uv_timer_t *timer)
{
	struct agent *agent = timer->data;
	struct agt_event event = {.type = AGT_EV_TICK};

	if (agent->stopping)
		return;
	agent_step(agent, &event);
	agent_blobs_tick(agent);
	agent_audit_tick(agent);
	agent_retries(agent);
	agent_batch_tick(agent);
	agent_receipts_again(agent);
	agent_clock_tick(agent);
	agent_renew_tick(agent);
	agent_prekeys_tick(agent);
	agent_roles_tick(agent->roles, agent_now_ms(), agt_online(agent->core));
	agent->follow = agent_pause_tick(&agent->follow_pause) || agent->follow; /* what could not be sent then */
	if (++agent->ticks % AGENT_SWEEP_TICKS == 0) {
		agent->follow = agent->follow || agent->follow_pause.left == 0; /* what lost its place to another message */
		sweep(agent);
	}
}

void agent_look_at_space(struct agent *agent)
{
	static const struct {
		const char *event;
		const char *text;
	} says[] = {
		[SPOOL_SPACE_OK] = {"space_ok", "There is room again: messages are taken."},
		[SPOOL_SPACE_LOW] = {"space_low", "The store or its disk is nearly full: nothing new is taken here, what is under way goes "
										   "on. Free disk, or raise store_mib and restart."},
		[SPOOL_SPACE_HOLD] = {"space_hold", "The store or its disk is full: messages for us wait at the hub. Free disk, or raise "
											 "store_mib and restart."},
		[SPOOL_SPACE_FULL] = {"space_full", "Nothing can be written: what is under way waits, unconfirmed, and goes on by itself "
											 "once there is room. Free disk, or raise store_mib and restart."},
	};
	enum spool_space now = spool_space(agent->spool);
	bool held = agent->space >= SPOOL_SPACE_HOLD;

	if (now == agent->space)
		return;
	kw_log(now == SPOOL_SPACE_OK ? KW_LOG_INFO : KW_LOG_WARN, says[now].event, KW_LOG_STR("text", says[now].text));
	agent->space = now;
	if (held != (now >= SPOOL_SPACE_HOLD)) {
		struct agt_event event = {.type = AGT_EV_SPACE, .u.hold = !held};
		agent_step(agent, &event);
	}
}

/* The end of a turn: one COMMITTED for all that became durable in it, so one ack. */
static void on_after(uv_check_t *check)
{
	struct agent *agent = check->data;

	if (agent->stopping)
		return;
	agent_look_at_space(agent); /* before the ack of this turn, which gives credit */
	if (agent->committed > agent->committed_told) {
		struct agt_event event = {.type = AGT_EV_COMMITTED, .u.ticket = agent->committed};

		agent->committed_told = agent->committed;
		agent_step(agent, &event);
	}
	if (agent->due)
		agent_receipts(agent);
	if (agent->follow)
		agent_follow(agent);
	if (agent->recall)
		agent_recall(agent);
	if (agent->news) {
		agent->news = false;
		socket_news(agent->socket);
	}
}

/* One line for what a start failed at: the setting or file, and what to do. */
static void tell(const char *field, const char *path, enum kw_err err, const char *text)
{
	kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("field", field), KW_LOG_STR("path", path), KW_LOG_ERR(err),
		KW_LOG_STR("text", text != NULL ? text : kw_err_text(err)));
}

static const char *spool_text(enum kw_err err)
{
	switch (err) {
	case KW_EBUSY:
		return "another agent runs on this state directory: stop that one first, or write another state";
	case KW_EAUTH:
		return "the spool was made with another key file: put keys and spool back from the same backup";
	case KW_ECORRUPT:
		return "the spool is damaged: put the state directory back from a backup";
	case KW_EVERSION:
		return "the spool was made by a later version: start that version";
	case KW_EIO:
		return "the folder cannot be written or synced: look at its owner, its mode and the disk, then start again";
	default:
		return NULL;
	}
}

static const char *socket_text(enum kw_err err)
{
	if (err == KW_EEXIST)
		return "another program listens on this socket, most likely another agent: stop it, or write another socket";
	if (err == KW_EIO)
		return "the socket cannot be made: its folder must exist and be writable by this user, or write another socket";
	return NULL;
}

static enum kw_err open_spool(struct agent *agent)
{
	char path[4096];
	struct spool_options options = {.path = path,
		.map_size = (uint64_t)agent->settings->store_mib << 20,
		.store_key = agent->keys->store};
	struct kw_name coordinator;
	if (agent->settings->coordinator != NULL && kw_name_from(kw_view_str(agent->settings->coordinator), &coordinator) == KW_OK &&
		!kw_name_equal(&coordinator, &agent->office.agency)) /* we need not write to ourselves */
		options.coordinator = &coordinator;
	enum kw_err err = agent_path(agent->settings->state, AGENT_SPOOL_FOLDER, path);

	if (err == KW_OK)
		err = spool_open(&options, &agent->loop, &agent->spool);
	if (err != KW_OK)
		tell("state", path, err, spool_text(err));
	return err;
}

static int64_t hub_ms(void *user)
{
	return agent_hub_ms(user);
}

static enum kw_err open_socket(struct agent *agent)
{
	struct socket_options options = {.path = agent->settings->socket,
		.allow_uids = agent->settings->allow_uids,
		.allow_uids_count = agent->settings->allow_uids_count,
		.connections_max = agent->settings->connections_max};
	struct socket_host host = {
		.user = agent, .spool = agent->spool, .send = agent_hold_send, .status = agent_status, .identity = agent_identity,
		.attachment = agent_attachment, .batch = agent_batch, .gone = agent_batch_gone, .consent = agent_consent,
		.service = agent_service, .hub_ms = hub_ms, .proof = agent_proof, .audit = agent_audit};
	enum kw_err err = socket_open(&options, &host, &agent->loop, &agent->socket);

	if (err != KW_OK)
		tell("socket", options.path, err, socket_text(err));
	return err;
}

static enum kw_err open_loop(struct agent *agent)
{
	static const int numbers[] = {SIGTERM, SIGINT};

	agent->timer.data = agent;
	agent->after.data = agent;
	if (uv_timer_init(&agent->loop, &agent->timer) != 0 || uv_check_init(&agent->loop, &agent->after) != 0)
		return KW_ENOMEM;
	for (int i = 0; i < 2; i++) {
		agent->signals[i].data = agent;
		if (uv_signal_init(&agent->loop, &agent->signals[i]) != 0 ||
			uv_signal_start(&agent->signals[i], on_signal, numbers[i]) != 0)
			return KW_EIO;
	}
	if (uv_check_start(&agent->after, on_after) != 0 ||
		uv_timer_start(&agent->timer, on_tick, AGENT_TICK_MS, AGENT_TICK_MS) != 0)
		return KW_EIO;
	return kw_net_new(&agent->loop, &agent->net);
}

static enum kw_err start_core(struct agent *agent)
{
	struct agt_event event = {.type = AGT_EV_START};

	agent->plan = calloc(1, sizeof(*agent->plan));
	agent->rows = calloc(1, sizeof(*agent->rows));
	void *memory = calloc(1, agt_size());
	if (memory != NULL)
		agent->core = agt_init(memory);
	if (agent->plan == NULL || agent->rows == NULL || memory == NULL)
		return KW_ENOMEM;
	spool_recover(agent->spool, &event.u.start);
	event.u.start.directory_version = agent->directory != NULL ? agent->directory->version : 0;
	agent->since_ms = agent_now_ms();
	agent_clock_start(agent);
	agent_prekeys_start(agent);
	agent->problem = KW_EOFFLINE;
	agent->due = true; /* what was owed before the restart */
	agent->follow = true;
	agent_step(agent, &event);
	agent_look_at_space(agent);
	return KW_OK;
}

/* Returns the exit code. */
static int run(struct agent *agent)
{
	enum kw_err err = open_loop(agent);

	if (err != KW_OK)
		tell("", NULL, err, NULL);
	if (err == KW_OK)
		err = open_spool(agent);
	if (err == KW_OK)
		err = agent_blobs_open(agent);
	if (err == KW_OK)
		err = agent_audit_open(agent);
	if (err == KW_OK) {
		err = start_core(agent);
		if (err != KW_OK)
			tell("", NULL, err, NULL);
	}
	if (err == KW_OK)
		err = open_socket(agent);
	if (err != KW_OK)
		return 1;
	kw_log(KW_LOG_INFO, "ready", KW_LOG_STR("agency", agent->office.agency.text), KW_LOG_STR("hub", agent->office.hub.text),
		KW_LOG_STR("socket", agent->settings->socket));
	(void)sd_notify(0, "READY=1");
	(void)uv_run(&agent->loop, UV_RUN_DEFAULT);
	return agent->failed ? 1 : 0;
}

static void close_handle(uv_handle_t *handle)
{
	if (handle->loop != NULL && !uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Everything in the reverse order; what was handed over is committed and answered first. */
static void finish(struct agent *agent)
{
	agent->stopping = true;
	agent_batch_drop(agent);
	agent_hold_drop(agent);
	socket_stop(agent->socket);
	agent_audit_down(agent);
	spool_close(agent->spool);
	/* Replies to what was just committed leave if their readers take them at once. */
	for (int i = 0; i < FLUSH_TURNS; i++)
		(void)uv_run(&agent->loop, UV_RUN_NOWAIT);
	socket_close(agent->socket);
	close_handle((uv_handle_t *)&agent->timer);
	close_handle((uv_handle_t *)&agent->after);
	for (int i = 0; i < 2; i++)
		close_handle((uv_handle_t *)&agent->signals[i]);
	if (agent->link != NULL)
		kw_link_close(agent->link, KW_OK);
	while (agent->link != NULL && uv_run(&agent->loop, UV_RUN_ONCE) != 0)
		;
	agent_blobs_close(agent);
	agent_renew_close(agent);
	kw_net_free(agent->net);
	(void)uv_run(&agent->loop, UV_RUN_DEFAULT);
	agent_blobs_free(agent);
	agent_audit_free(agent);
	(void)uv_loop_close(&agent->loop); /* the process ends */
	free(agent->core);
	free(agent->plan);
	free(agent->rows);
}

int agent_run(const char *config_path)
{
	struct kw_config_fault fault;
	struct agent *agent = calloc(1, sizeof(*agent));
	int code = 2;

	if (agent == NULL || keys_harden() != KW_OK) {
		tell("", NULL, KW_EIO, "the process cannot be hardened: it needs setrlimit and prctl");
		free(agent);
		return 1;
	}
	agent->keys_lock = -1;
	(void)signal(SIGPIPE, SIG_IGN); /* writes report it */
	if (settings_load(config_path, &agent->settings, &fault) != KW_OK) {
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("field", fault.field), KW_LOG_STR("path", config_path),
			KW_LOG_ERR(fault.code), KW_LOG_STR("text", fault.text));
		free(agent);
		return 2;
	}
	if (agent->settings->log_debug)
		kw_log_level_set(KW_LOG_DEBUG);
	enum kw_err err = agent_state_load(agent);
	if (err == KW_EBUSY)
		code = 1; /* nothing is wrong with it: another process has it */
	if (err == KW_OK && uv_loop_init(&agent->loop) == 0) {
		code = run(agent);
		finish(agent);
	}
	agent_state_fini(agent);
	free(agent);
	return code;
}
