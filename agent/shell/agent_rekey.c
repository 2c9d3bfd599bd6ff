#include "agent/shell/agent_prekeys.h"
#include "agent/shell/agent_rekey.h"
#include "agent/shell/spool_rekey.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/link/log.h"
#include "proto/wire/message.h"

/* A message that its recipient could not open, because the key is gone there, is sealed once more: fresh keys are asked for, and
 * when the hub has answered, or has none, it goes to the key of the day, or, where that is the one that is gone, to the
 * directory's. One after the other, each in a transaction of its own; what a crash leaves waits in the spool. */

#define REKEYS_MAX 32u /* in one second */

struct walk {
	struct agent *agent;
	bool start;  /* only asks */
	uint32_t count;
	bool more;
	bool waits;
};

static void done(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->rekeying--;
	agent_op_done(op, err);
}

static void hand_over(struct agent *agent, struct spool_op *op)
{
	op->done = done;
	op->user = agent;
	agent->rekeying++;
	if (op->type == SPOOL_OP_APPEND)
		agent_submit(agent, op);
	else
		spool_do(agent->spool, op);
}

static enum kw_err content_type_of(struct kw_view bytes, uint32_t *out)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;

	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	enum kw_err err = kw_content_unpack(bytes, &arena, &content, &fault);
	if (err == KW_OK)
		*out = (uint32_t)content->body_case;
	kw_arena_fini(&arena);
	return err;
}

static enum kw_err seal(struct agent *agent, const struct spool_rekey *rekey, struct spool_op *op)
{
	const struct spool_item *item = &rekey->item;
	struct letter_sealed sealed;
	struct letter letter = {.to = item->agency,
		.msg_class = rekey->msg_class,
		.expiry_hour = rekey->expiry_hour,
		.thread_id = item->thread_id,
		.thread_sequence = item->thread_sequence,
		.now_ms = agent_now_ms(),
		.content = rekey->content,
		.gone_key_id = kw_key_id_view(&rekey->key_id)};

	if (rekey->content.size == 0 || letter.now_ms / AGENT_HOUR_MS >= (int64_t)rekey->expiry_hour)
		return KW_EEXPIRED;
	enum kw_err err = content_type_of(rekey->content, &letter.content_type);
	if (err == KW_OK)
		err = spool_gaps(agent->spool, item, letter.gaps, &letter.gaps_count);
	if (err == KW_OK)
		err = letter_seal_proved(&agent->office, &letter, &op->proof, &sealed);
	if (err != KW_OK)
		return err;
	op->box = sealed.box;
	op->u.append.rekey = true;
	op->u.append.rekey_digest = sealed.digest;
	op->u.append.retry_number = item->number;
	op->u.append.msg_class = rekey->msg_class;
	op->u.append.envelope_id = sealed.envelope_id;
	op->u.append.expiry_hour = rekey->row_expiry_hour;
	op->u.append.wants_receipt = true;
	op->u.append.now_ms = letter.now_ms;
	return kw_buf_add(&op->box->tracks, rekey->tracks);
}

/* It cannot be said any more: a dead letter. */
static enum kw_err give_up(struct agent *agent, const struct spool_rekey *rekey, enum kw_err why)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_UNREKEY);

	if (op == NULL)
		return KW_ENOMEM;
	kw_log(KW_LOG_WARN, "not_sealed_again", KW_LOG_STR("agency", rekey->item.agency.text), KW_LOG_ERR(why));
	op->u.unrekey.number = rekey->item.number;
	op->u.unrekey.now_ms = agent_now_ms();
	hand_over(agent, op);
	return KW_OK;
}

static enum kw_err again(struct agent *agent, const struct spool_rekey *rekey)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	enum kw_err err = op == NULL ? KW_ENOMEM : seal(agent, rekey, op);

	if (err == KW_OK) {
		kw_log(KW_LOG_INFO, "sealed_again", KW_LOG_STR("agency", rekey->item.agency.text));
		hand_over(agent, op);
		return KW_OK;
	}
	spool_op_free(op);
	return kw_err_class(err) == KW_CLASS_FATAL ? err : give_up(agent, rekey, err);
}

static bool each(void *user, const struct spool_rekey *rekey)
{
	struct walk *walk = user;
	struct agent *agent = walk->agent;

	if (walk->start) {
		walk->waits = true;
		agent_prekeys_renew(agent, &rekey->item.agency);
		return true;
	}
	/* The directory may not have come yet. */
	if (agent->directory == NULL || !agent_prekeys_is_renewed(agent, &rekey->item.agency)) {
		walk->waits = true;
		return true;
	}
	walk->more = walk->count == REKEYS_MAX;
	if (walk->more)
		return false;
	walk->count++;
	enum kw_err err = again(agent, rekey);
	if (err != KW_OK)
		agent_fail(agent, "rekey", err);
	return err == KW_OK;
}

static void go(struct agent *agent, bool start)
{
	struct walk walk = {.agent = agent, .start = start};
	enum kw_err err = spool_rekeys(agent->spool, each, &walk);

	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	agent->rekey = walk.waits || walk.more;
}

void agent_rekey_start(struct agent *agent)
{
	go(agent, true);
}

void agent_rekey_tick(struct agent *agent)
{
	/* What was read last has to be gone from the table. */
	if (agent->rekey && agent->rekeying == 0)
		go(agent, false);
}

void agent_rekey_noticed(struct agent *agent, const struct spool_op *op)
{
	if (op->type != SPOOL_OP_NOTICE || !op->rekey)
		return;
	agent->rekey = true;
	agent_prekeys_renew(agent, &op->u.notice.notice.agency);
}
