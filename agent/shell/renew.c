#include "agent/shell/renew.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/shell/renew_inner.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"

/* When a renewal is asked for, and by which door. */

#define DOOR_MS 30000u
#define PAUSE_MIN_S 60u
#define PAUSE_MAX_S 21600u
#define SHUT_MS 3600000u
#define WARN_MS (INT64_C(7) * 24 * 3600000)

static void end_door(struct agent *agent, enum kw_err err)
{
	struct agent_renew *renew = agent->renew;

	if (renew->door_answered)
		return;
	renew->door_answered = true;
	renew->door_err = err;
	if (renew->door != NULL)
		kw_link_close(renew->door, KW_OK);
}

static void door_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct agent *agent = user;
	enum kw_err err = peer->kind == KW_PEER_HUB && kw_name_equal(&peer->hub, &agent->office.hub) ? KW_OK : KW_EAUTH;

	if (err == KW_OK)
		err = renew_ask(agent, link);
	kw_link_ready(link);
	if (err != KW_OK)
		end_door(agent, err);
}

static void door_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct agent *agent = user;
	struct kw_frame_error error;

	(void)link;
	if (frame->type == KW_FRAME_RENEWED) {
		enum kw_err err = renew_take(agent, frame->body);
		end_door(agent, err != KW_OK ? err : agent->renew->problem);
	} else if (frame->type == KW_FRAME_ERROR) {
		enum kw_err err = kw_frame_error_parse(frame->body, &error);
		end_door(agent, err != KW_OK || error.code == KW_OK ? KW_EPROTO : error.code);
	} else if ((frame->type & 0x80u) == 0) {
		end_door(agent, KW_EPROTO);
	}
}

static void door_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void door_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct agent *agent = user;
	struct agent_renew *renew = agent->renew;

	(void)link;
	renew->door = NULL;
	end_door(agent, err == KW_OK ? KW_ECLOSED : err);
	if (renew->door_err == KW_OK) {
		renew->by_door = false;
	} else {
		kw_log(KW_LOG_WARN, "renewal_failed", KW_LOG_STR("door", "enrolment"), KW_LOG_ERR(renew->door_err));
		if (renew->problem == KW_OK)
			renew->problem = renew->door_err;
	}
	if (renew->door_err == KW_EDENIED) {
		renew->by_door = false;
		renew->door_shut_ms = uv_now(&agent->loop) + SHUT_MS;
	}
	if (agent->stopping)
		return;
	if (renew->door_err == KW_OK)
		agent_connect(agent);
	else
		agent_conn_down(agent, renew->door_err);
}

static enum kw_err go_to_door(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;
	const struct kw_tls_files files = {.root_fingerprint = agent->root_fingerprint};
	enum kw_err err = renew->door_tls != NULL ? KW_OK : kw_tls_context_new(KW_TLS_ENROL, &files, &renew->door_tls);

	renew->hooks = (struct kw_link_hooks){
		.user = agent, .on_open = door_open, .on_frame = door_frame, .on_drained = door_drained, .on_close = door_close};
	renew->door_answered = false;
	renew->door_mono_ms = uv_now(&agent->loop);
	if (err == KW_OK)
		err = kw_link_connect(agent->net, agent->settings->hub, renew->door_tls, &renew->hooks, &renew->door);
	if (err != KW_OK)
		renew->door = NULL;
	return err;
}

bool agent_renew_connect(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;

	if (renew->ends_ms <= agent_now_ms() && uv_now(&agent->loop) >= renew->door_shut_ms)
		renew->by_door = true;
	if (!renew->by_door)
		return false;
	kw_log(KW_LOG_INFO, "renewing", KW_LOG_STR("door", "enrolment"), KW_LOG_STR("text", renew->ends_ms <= agent_now_ms()
		? "the certificate has expired: a new one is asked for" : "the hub takes this certificate no more: a new one is asked for"));
	enum kw_err err = go_to_door(agent);
	if (err != KW_OK)
		agent_conn_down(agent, err);
	return true;
}

void agent_renew_refused(struct agent *agent, enum kw_err err)
{
	/* It may know another TLS key of ours than we have, as one that was restored from a backup does. */
	if ((err == KW_EEXPIRED || err == KW_EDENIED) && uv_now(&agent->loop) >= agent->renew->door_shut_ms)
		agent->renew->by_door = true;
}

void agent_renew_down(struct agent *agent, enum kw_err err)
{
	struct agent_renew *renew = agent->renew;

	(void)err;
	if (renew->asked && renew->ask_mono_ms < uv_now(&agent->loop) + (uint64_t)PAUSE_MIN_S * 1000)
		renew->ask_mono_ms = uv_now(&agent->loop) + (uint64_t)PAUSE_MIN_S * 1000; /* no answer came */
	renew->asked = false;
	renew->redial = false; /* the next one shows the present certificate */
}

/* After a refusal: each time longer, and no two agents alike. */
static void pause_longer(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;
	uint32_t random = 0;

	renew->pause_s = renew->pause_s == 0 ? PAUSE_MIN_S : renew->pause_s * 2;
	if (renew->pause_s > PAUSE_MAX_S)
		renew->pause_s = PAUSE_MAX_S;
	if (kw_random(&random, sizeof(random)) != KW_OK)
		random = 0; /* jitter only */
	renew->ask_mono_ms = uv_now(&agent->loop) + (uint64_t)renew->pause_s * 1000 + random % (renew->pause_s * 500 + 1);
}

enum kw_err agent_renew_frame(struct agent *agent, struct kw_view body)
{
	struct agent_renew *renew = agent->renew;

	if (!renew->asked)
		return KW_EPROTO;
	renew->asked = false;
	enum kw_err err = renew_take(agent, body);
	if (err == KW_OK && renew->problem == KW_OK) {
		renew->pause_s = 0;
		renew->redial = true;
	} else {
		pause_longer(agent);
		kw_log(KW_LOG_WARN, "renewal_failed", KW_LOG_STR("door", "session"), KW_LOG_ERR(err != KW_OK ? err : renew->problem));
	}
	return err == KW_EFORMAT || err == KW_EFIELD ? err : KW_OK; /* anything else ends no session */
}

/* The certificate runs out and no new one comes: people hear of it while there is time. */
static void warn(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;
	int64_t left = renew->ends_ms - agent_hub_ms(agent);
	bool late = left < WARN_MS && renew->problem != KW_OK;

	if (late && !renew->warned)
		kw_log(KW_LOG_WARN, "certificate_expires", KW_LOG_INT("hours", left < 0 ? 0 : left / 3600000), KW_LOG_ERR(renew->problem),
			KW_LOG_STR("text", "the hub does not renew it: ask its operator why"));
	renew->warned = late;
}

void agent_renew_tick(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;
	uint64_t now = uv_now(&agent->loop);

	renew_keys_tick(agent);
	warn(agent);
	if (renew->door != NULL && now - renew->door_mono_ms >= DOOR_MS)
		end_door(agent, KW_ETIMEOUT);
	if (agent->link == NULL || !agt_online(agent->core))
		return;
	if (renew->redial) {
		/* At a quiet moment: the next connection is there within a second or two. */
		if (kw_link_pending_bytes(agent->link) == 0) {
			kw_log(KW_LOG_INFO, "connecting_anew", KW_LOG_STR("text", "the new certificate is shown from now on"));
			kw_link_close(agent->link, KW_OK);
		}
		return;
	}
	if (renew->asked || now < renew->ask_mono_ms || (agent_hub_ms(agent) < renew->due_ms && !renew_keys_wanted(agent)))
		return;
	enum kw_err err = renew_ask(agent, agent->link);
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "renewal_failed", KW_LOG_STR("door", "session"), KW_LOG_ERR(err));
		pause_longer(agent);
		return;
	}
	renew->asked = true;
	kw_link_ready(agent->link);
}

enum kw_err agent_renew_open(struct agent *agent)
{
	agent->renew = calloc(1, sizeof(*agent->renew));
	return agent->renew == NULL ? KW_ENOMEM : renew_times(agent);
}

void agent_renew_close(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;

	if (renew == NULL)
		return;
	if (renew->door != NULL)
		kw_link_close(renew->door, KW_OK);
	while (renew->door != NULL && uv_run(&agent->loop, UV_RUN_ONCE) != 0)
		;
	kw_tls_context_free(renew->door_tls);
	free(renew);
	agent->renew = NULL;
}

static void put_day(char out[16], int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm parts;

	if (gmtime_r(&seconds, &parts) == NULL || strftime(out, 16, "%Y-%m-%d", &parts) == 0)
		out[0] = '\0';
}

/* What is wrong with the certificate or the clock, in words with days in them: of two clocks one is to blame, and people see which. */
static const char *explain(const struct agent *agent, char *out, size_t size)
{
	const struct agent_renew *renew = agent->renew;
	enum kw_err err = agent->problem;
	char today[16];
	char day[16];
	int64_t now = agent_now_ms();

	put_day(today, now);
	if (err == KW_EEXPIRED && now < renew->begins_ms) {
		put_day(day, renew->begins_ms);
		(void)snprintf(out, size, "This machine's clock says %s, and our certificate was made on %s: the clock is behind. Set it; the rest mends "
			"itself.", today, day); /* fits */
	} else if (err == KW_EEXPIRED && (renew->apart_ms > KW_RENEW_WINDOW_MS / 2 || renew->apart_ms < -KW_RENEW_WINDOW_MS / 2)) {
		(void)snprintf(out, size, "This machine's clock says %s and is %" PRId64 " hours from the hub's: set the one that is wrong; the rest mends "
			"itself.", today, (renew->apart_ms < 0 ? -renew->apart_ms : renew->apart_ms) / 3600000);
	} else if (err == KW_EEXPIRED && renew->ends_ms > now) {
		(void)snprintf(out, size, "A certificate is not good at this machine's time, which is %s. If that is not today's date, set the clock; else "
			"ask the hub's operator whether the hub's certificate has expired.", today);
	} else if (err == KW_EEXPIRED) {
		put_day(day, renew->ends_ms);
		(void)snprintf(out, size, "Our certificate has expired on %s, by this machine's clock, which says %s. If that is not today's date, set it; "
			"else a new one is asked for by itself as soon as the hub is reached.", day, today);
	} else if (err == KW_EDENIED) {
		(void)snprintf(out, size, "The hub has shut this agency out, or has another key for it: call its operator. Who is to come back after it "
			"was shut out, or has lost its keys, enrols anew under another name (kinward agent init).");
	} else {
		return "";
	}
	return out;
}

void agent_renew_state(const struct agent *agent, struct agent_renew_state *out)
{
	struct agent_renew *renew = agent->renew;

	*out = (struct agent_renew_state){.expires_unix_ms = renew->ends_ms, .problem = renew->problem, .rotating = ""};
	out->text = explain(agent, renew->text, sizeof(renew->text));
	for (int i = KEYS_WHICH_COUNT - 1; i >= 0; i--)
		if (keys_next_is(agent->keys, (enum keys_which)i))
			out->rotating = keys_which_name((enum keys_which)i);
}
