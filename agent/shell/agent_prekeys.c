#include "agent/shell/agent_prekeys.h"

#include <stdlib.h>

#include "agent/shell/agent_hold.h"
#include "agent/shell/agent_rekey.h"
#include "proto/link/log.h"

/* Each second: what the day asks for (make, destroy, sign); give ours to a hub that has older ones; ask for those of others that
 * end soon. The hub says at the beginning of a session through which day it has ours, so they are given when it lacks them.
 *
 * What can fail: the file of our secrets, on a full disk; then nothing new is published, what is published already goes on, and
 * it is tried again each minute. */

#define AGAIN_S 60u
#define DORMANT_MAX 64u /* that a status names */

struct agent_prekeys {
	struct prekeys *own;
	struct prekey_peers *peers;
	bool heard;           /* the hub, in this run */
	bool told;            /* the hub has said what it has of ours, in this session */
	uint32_t through_day; /* that */
	uint32_t pause_s;
	/* Of the last status. */
	size_t dormant_count;
	struct kw_name dormant_names[DORMANT_MAX];
	Kinward__V1__DormantAgency dormant[DORMANT_MAX];
	Kinward__V1__DormantAgency *dormant_list[DORMANT_MAX];
};

static enum kw_err tell(const struct agent *agent, const char *what, enum kw_err err)
{
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("field", "state"), KW_LOG_STR("path", agent->settings->state),
			KW_LOG_STR("file", what), KW_LOG_ERR(err), KW_LOG_STR("text", err == KW_EDENIED
			? "must be a regular file of the agent's own user, with mode 0400 or 0600"
			: "cannot be read or written: look at its owner, its mode and the disk, then start again"));
	return err;
}

enum kw_err agent_prekeys_open(struct agent *agent)
{
	struct agent_prekeys *dated = calloc(1, sizeof(*dated));
	if (dated == NULL)
		return KW_ENOMEM;
	agent->dated = dated;
	const struct prekeys_self own = {.folder = agent->settings->state,
		.keys = agent->keys,
		.agency = agent->office.agency,
		.hub = agent->office.hub};
	const struct prekey_peers_self others = {
		.folder = agent->settings->state, .keys = agent->keys, .hub = agent->office.hub};
	enum kw_err err = tell(agent, KEYS_PREKEY_FILE, prekeys_open(&own, &dated->own));
	if (err == KW_OK)
		err = tell(agent, PREKEY_PEERS_FOLDER, prekey_peers_open(&others, &dated->peers));
	agent->office.prekeys = dated->own;
	agent->office.peers = dated->peers;
	return err;
}

void agent_prekeys_close(struct agent *agent)
{
	struct agent_prekeys *dated = agent->dated;
	if (dated == NULL)
		return;
	agent->office.prekeys = NULL;
	agent->office.peers = NULL;
	prekeys_close(dated->own);
	prekey_peers_close(dated->peers);
	free(dated);
	agent->dated = NULL;
}

void agent_prekeys_start(struct agent *agent)
{
	agent->office.day = kw_prekey_day(agent_hub_ms(agent));
	agent_rekey_start(agent);
}

void agent_prekeys_up(struct agent *agent)
{
	agent->dated->heard = true;
	agent->office.day = kw_prekey_day(agent_hub_ms(agent));
}

void agent_prekeys_down(struct agent *agent)
{
	agent->dated->told = false;
	prekey_peers_down(agent->dated->peers);
}

/* To a hub that has said what it has. */
static void give(struct agent *agent)
{
	struct agent_prekeys *dated = agent->dated;
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;
	if (out == NULL || !dated->told || !prekeys_give(dated->own, dated->through_day))
		return;
	dated->through_day = prekeys_through_day(dated->own);
	if (kw_frame_add(out, KW_FRAME_PREKEYS, prekeys_batch(dated->own)) != KW_OK)
		kw_link_close(agent->link, KW_EFULL);
	else
		kw_link_ready(agent->link);
}

/* The hub has nothing newer than that. */
static enum kw_err take_want(struct agent *agent, struct kw_view body)
{
	struct agent_prekeys *dated = agent->dated;
	struct kw_prekeys_want want;
	enum kw_err err = kw_prekeys_want_parse(body, &want);
	if (err != KW_OK)
		return err;
	if (kw_name_equal(&want.agency, &agent->office.agency) && !dated->told) {
		dated->told = true;
		dated->through_day = want.through_day;
		give(agent);
		return KW_OK;
	}
	prekey_peers_none(dated->peers, &want.agency);
	return KW_OK;
}

enum kw_err agent_prekeys_frame(struct agent *agent, const struct kw_frame *frame)
{
	enum kw_err err = frame->type == KW_FRAME_PREKEYS_WANT
		? take_want(agent, frame->body)
		: prekey_peers_take(agent->dated->peers, agent->directory, frame->body);
	if (err == KW_OK)
		agent_hold_release(agent, false);
	return err;
}

bool agent_prekeys_is_awaited(const struct agent *agent, const struct kw_name *agency)
{
	return prekey_peers_is_awaited(agent->dated->peers, agency);
}

void agent_prekeys_ask(struct agent *agent, const struct kw_name *agency)
{
	struct kw_buf *out = agent->link != NULL ? kw_link_out(agent->link) : NULL;
	if (out == NULL)
		return;
	if (prekey_peers_ask(agent->dated->peers, agency, out) != KW_OK)
		kw_link_close(agent->link, KW_EFULL);
	else
		kw_link_ready(agent->link);
}

void agent_prekeys_await_no_more(struct agent *agent, const struct kw_name *agency)
{
	prekey_peers_give_up(agent->dated->peers, agency);
}

static void keep_day(struct agent *agent)
{
	struct agent_prekeys *dated = agent->dated;
	struct prekeys_clock clock = {.heard = dated->heard, .hub_ms = agent_hub_ms(agent), .wall_ms = agent_now_ms()};
	bool news = false;
	agent->office.day = kw_prekey_day(clock.hub_ms);
	if (dated->pause_s > 0)
		dated->pause_s--;
	else if (prekeys_day(dated->own, &clock, &news) != KW_OK)
		dated->pause_s = AGAIN_S; /* told already */
	if (news)
		give(agent);
}

static void ask(struct agent *agent)
{
	struct kw_buf *out = agent->link != NULL && agt_online(agent->core) ? kw_link_out(agent->link) : NULL;
	size_t before = out != NULL ? out->size : 0;
	if (out == NULL)
		return;
	if (prekey_peers_tick(agent->dated->peers, agent->office.day, out) != KW_OK)
		kw_link_close(agent->link, KW_EFULL);
	else if (out->size != before)
		kw_link_ready(agent->link);
}

void agent_prekeys_renew(struct agent *agent, const struct kw_name *agency)
{
	prekey_peers_renew(agent->dated->peers, agency);
}

void agent_prekeys_heard(struct agent *agent, const struct spool_op *op)
{
	if (op->type == SPOOL_OP_RECEIVE && op->u.receive.arrival != SPOOL_UNOPENED)
		prekey_peers_heard(agent->dated->peers, &op->u.receive.item.agency);
}

bool agent_prekeys_is_renewed(const struct agent *agent, const struct kw_name *agency)
{
	return prekey_peers_is_renewed(agent->dated->peers, agency);
}

uint32_t agent_prekeys_dormant(const struct agent *agent, const struct kw_name *agency)
{
	return prekey_peers_dormant(agent->dated->peers, agency, agent->office.day);
}

static void add_dormant(void *user, const struct kw_name *agency, uint32_t through_day)
{
	struct agent_prekeys *dated = user;
	size_t at = dated->dormant_count;
	if (at == DORMANT_MAX)
		return;
	dated->dormant_names[at] = *agency;
	kinward__v1__dormant_agency__init(&dated->dormant[at]);
	dated->dormant[at].agency = dated->dormant_names[at].text;
	dated->dormant[at].since_unix_ms = (int64_t)(through_day + 1) * KW_PREKEY_DAY_MS;
	dated->dormant_list[at] = &dated->dormant[at];
	dated->dormant_count++;
}

void agent_prekeys_status(struct agent *agent, Kinward__V1__StatusReply *reply)
{
	struct agent_prekeys *dated = agent->dated;
	dated->dormant_count = 0;
	prekey_peers_dormants(dated->peers, agent->office.day, add_dormant, dated);
	reply->dormant = dated->dormant_list;
	reply->n_dormant = dated->dormant_count;
	reply->prekeys_clock_differs = prekeys_clock_differs(dated->own);
	reply->prekeys_through_day = prekeys_through_day(dated->own);
}

void agent_prekeys_tick(struct agent *agent)
{
	keep_day(agent);
	ask(agent);
	agent_rekey_tick(agent);
	agent_hold_release(agent, true);
}
