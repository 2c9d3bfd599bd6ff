#ifndef AGENT_SHELL_RENEW_INNER_H
#define AGENT_SHELL_RENEW_INNER_H

#include "agent/shell/agent_inner.h"
#include "agent/shell/renew.h"

/* Shared by renew.c (when, and by which door), renew_ask.c (the request and its answer) and renew_keys.c (new keys). */

struct agent_renew {
	int64_t begins_ms;       /* of the certificate in use */
	int64_t ends_ms;
	int64_t due_ms;          /* when a new one is asked for, jitter included */
	uint64_t ask_mono_ms;    /* not before; uv_now */
	uint32_t pause_s;        /* after the last refusal */
	bool asked;              /* in this session */
	bool asked_next;         /* with the new TLS key */
	bool shows_next;         /* the certificate in use is of the new TLS key */
	bool order_stuck;        /* an order that was carried out cannot be removed */
	bool hybrid_stuck;       /* no hybrid key could be made durable since the start */
	bool redial;             /* the session shows a former certificate */
	bool by_door;            /* the next connection goes to the enrolment door */
	uint64_t door_shut_ms;   /* it has told us that we are shut out: not before; uv_now */
	enum kw_err problem;
	int64_t apart_ms;        /* the hub's clock minus ours, when it refused for that */
	struct kw_tls_context *door_tls;
	struct kw_link *door;
	struct kw_link_hooks hooks;
	uint64_t door_mono_ms;   /* when it was opened */
	bool door_answered;
	enum kw_err door_err;
	bool warned;
	char text[400];
};

/* Reads the times of the certificate in chain.pem. */
KW_MUST_USE enum kw_err renew_times(struct agent *agent);
/* Appends a RENEW for this connection. */
KW_MUST_USE enum kw_err renew_ask(struct agent *agent, struct kw_link *link);
/* Judges a RENEWED and stores it. KW_OK also for a refusal, which is in renew->problem. */
KW_MUST_USE enum kw_err renew_take(struct agent *agent, struct kw_view body);
/* What we sign between asking for another identity key and hearing that it is in the directory is of the former key still, and so is what
 * was signed by this machine's clock when that is ahead of the hub's. So the change is dated this much ahead: half of what a hub bears. */
#define RENEW_GRACE_MS (KW_RENEW_WINDOW_MS / 2)
/* When a change that is asked for now is said to happen. At once when somebody else may have the former key. */
int64_t renew_change_ms(uint8_t reason, int64_t now_unix_ms);
/* Whether there is something to ask for besides a later certificate. */
bool renew_keys_wanted(const struct agent *agent);
/* Looks for an order. */
void renew_keys_tick(struct agent *agent);

#endif
