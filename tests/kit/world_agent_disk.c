#include <stdlib.h>
#include <string.h>

#include "tests/kit/world_inner.h"

/* An agent's disk: operations in order, many in one transaction, each all or nothing. What it knows about a message is
 * kept in the message; nothing here is changed but by a transaction that ends well. */

static void leave(struct world *w, struct w_agent *agent, uint32_t number)
{
	enum kw_msg_class msg_class = w->msgs.at[number].msg_class;
	for (uint32_t i = 0; i < agent->rows[msg_class].count; i++) {
		struct w_out_row *row = &agent->rows[msg_class].at[i];
		if (row->msg != number || row->gone)
			continue;
		row->gone = true;
		*W_PUSH(agent->gone) = (struct w_gone){.msg_class = msg_class, .sequence = row->sequence};
	}
	for (uint32_t i = 0; i < agent->retries.count; i++)
		if (agent->retries.at[i].msg == number)
			agent->retries.at[i--] = agent->retries.at[--agent->retries.count];
}

/* As spool_bury. */
static void bury(struct world *w, struct w_agent *agent, uint32_t number, enum kw_err reason, enum w_end end)
{
	struct w_msg *msg = &w->msgs.at[number];
	bool unsure = msg->state == W_DEAD && msg->reason == KW_EUNCONFIRMED && end != W_END_UNSURE;
	if (msg->receipt || (msg->state == W_DEAD && !unsure) || (msg->state == W_DELIVERED && end != W_END_REFUSED))
		return;
	w_log(w, "agent %u: message %u is a dead letter: %s", agent->number, number, kw_err_name(reason));
	msg->state = W_DEAD;
	msg->reason = reason;
	w_mark(w, WORLD_MARK_DEAD);
	w_erase_dead(w, agent, number);
	if (end != W_END_UNSURE)
		w_say_void(w, agent, number, end);
}

static bool is_held(const struct w_agent *agent, uint32_t number, enum kw_msg_class msg_class)
{
	for (uint32_t i = 0; i < agent->rows[msg_class].count; i++) {
		const struct w_out_row *row = &agent->rows[msg_class].at[i];
		if (row->msg == number && !row->gone && row->sequence <= agent->held[msg_class])
			return true;
	}
	return false;
}

/* As spool_expire: only what the hub never took is certain not to have arrived. */
static void expire(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_msg *msg = &w->msgs.at[number];
	bool unsure = is_held(agent, number, msg->msg_class) || msg->passed;
	if (w->mutant == WORLD_TRANSFER_EXPIRES && msg->say.type == W_SAY_EVENT &&
		w->thread.at[msg->say.thread].kind == KW_THREAD_TRANSFER)
		unsure = false;
	leave(w, agent, number);
	if (unsure)
		w_mark(w, WORLD_MARK_UNCONFIRMED);
	bury(w, agent, number, unsure ? KW_EUNCONFIRMED : KW_EEXPIRED, unsure ? W_END_UNSURE : W_END_LOST);
}

void w_agent_arrived(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_msg *msg = &w->msgs.at[number];
	bool dead = msg->state == W_DEAD;
	if (dead)
		w_mark(w, WORLD_MARK_DELIVERED_AND_DEAD);
	if (msg->state == W_DELIVERED || (dead && msg->reason != KW_EEXPIRED && msg->reason != KW_EUNCONFIRMED))
		return;
	if (dead) {
		w_mark(w, WORLD_MARK_ROSE);
		msg->reason = KW_OK;
		w_say_void(w, agent, number, W_END_NONE);
	}
	msg->state = W_DELIVERED;
	w_say_delivered(w, agent, number);
}

void w_agent_recall(struct world *w, struct w_agent *agent, uint32_t thread)
{
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++) {
		for (uint32_t i = 0; i < agent->rows[c].count; i++) {
			struct w_out_row *row = &agent->rows[c].at[i];
			struct w_msg *msg = &w->msgs.at[row->msg];
			if (row->gone || msg->receipt || msg->say.type == W_SAY_NOTHING || msg->say.thread != thread ||
				(w_say_binds(w, &msg->say) && w->mutant != WORLD_RECALL_ALL))
				continue;
			w_log(w, "agent %u: message %u is recalled", agent->number, row->msg);
			w_mark(w, WORLD_MARK_RECALLED);
			row->gone = true;
			*W_PUSH(agent->gone) = (struct w_gone){.msg_class = (enum kw_msg_class)c, .sequence = row->sequence};
			msg->state = W_DEAD;
			msg->reason = KW_ERECALLED;
		}
	}
}

static void put_cursor(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct kw_cursor *cursor = &agent->received[op->msg_class];
	if (cursor->epoch == op->epoch && op->sequence <= cursor->sequence)
		w_fail(w, "agent %u takes sequence %llu of class %d twice", agent->number, (unsigned long long)op->sequence,
			(int)op->msg_class);
	*cursor = (struct kw_cursor){.epoch = op->epoch, .sequence = op->sequence};
}

static bool is_out(const struct w_agent *agent, uint32_t number, enum kw_msg_class msg_class)
{
	for (uint32_t i = 0; i < agent->rows[msg_class].count; i++)
		if (agent->rows[msg_class].at[i].msg == number && !agent->rows[msg_class].at[i].gone)
			return true;
	return false;
}

/* The second envelope takes the first one's place: off the list and into the outbox, in one. */
static bool take_rekey(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct w_msg *first = &w->msgs.at[op->about];
	bool waits = false;
	for (uint32_t i = 0; i < agent->rekeys.count; i++) {
		if (agent->rekeys.at[i].msg != op->about || !agent->rekeys.at[i].busy)
			continue;
		agent->rekeys.at[i] = agent->rekeys.at[--agent->rekeys.count];
		waits = true;
		break;
	}
	if (!waits || (first->state != W_QUEUED && w->mutant != WORLD_REKEY_EACH_TIME))
		return false;
	first->state = W_DEAD;
	first->reason = KW_EKEYGONE;
	w_mark(w, WORLD_MARK_SEALED_AGAIN);
	if (++first->copies > 1)
		w_fail(w, "message %u is sealed anew %u times", op->about, first->copies);
	w_log(w, "agent %u: message %u is sealed anew as %u", agent->number, op->about, op->body);
	w->msgs.at[op->body].state = W_QUEUED;
	return true;
}

/* The recipient has not got the key. True: it is sealed once more. */
static bool note_rekey(struct world *w, struct w_agent *agent, uint32_t number)
{
	struct w_msg *msg = &w->msgs.at[number];
	if (msg->again) {
		w_mark(w, WORLD_MARK_KEY_GONE_TWICE);
		return false;
	}
	if (msg->rekeyed && w->mutant != WORLD_REKEY_EACH_TIME)
		return true; /* heard already */
	if (msg->state != W_QUEUED && !(msg->rekeyed && w->mutant == WORLD_REKEY_EACH_TIME))
		return false;
	if (!is_out(agent, number, msg->msg_class) && w->mutant != WORLD_REKEY_PUT_OFF &&
		w->mutant != WORLD_REKEY_EACH_TIME)
		return true; /* put off: it leaves again, and is heard of again */
	leave(w, agent, number);
	msg->rekeyed = true;
	W_PUSH(agent->rekeys)->msg = number;
	return true;
}

static void apply_append(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct w_msg *msg = &w->msgs.at[op->body];
	if (op->sequence < agent->next[op->msg_class])
		w_fail(w, "agent %u gives sequence %llu out twice", agent->number, (unsigned long long)op->sequence);
	if (op->submit == W_SUBMIT_RETRY)
		leave(w, agent, op->body);
	agent->next[op->msg_class] = op->sequence + 1;
	struct w_out_row *row = W_PUSH(agent->rows[op->msg_class]);
	row->sequence = op->sequence;
	row->msg = op->body;
	row->gone = !msg->receipt && op->submit == W_SUBMIT_RETRY && msg->state != W_QUEUED;
	if (row->gone)
		*W_PUSH(agent->gone) = (struct w_gone){.msg_class = op->msg_class, .sequence = op->sequence};
	if (op->submit == W_SUBMIT_DUE)
		for (uint32_t i = 0; i < agent->dues.count; i++)
			if (agent->dues.at[i].msg == op->about && agent->dues.at[i].busy &&
				agent->dues.at[i].failed == msg->failed && agent->dues.at[i].opened == msg->opened) {
				agent->dues.at[i] = agent->dues.at[--agent->dues.count];
				break;
			}
	if (op->submit == W_SUBMIT_AGAIN && !take_rekey(w, agent, op)) {
		row = &agent->rows[op->msg_class].at[agent->rows[op->msg_class].count - 1];
		row->gone = true;
		w->msgs.at[op->body].barred = true;
		*W_PUSH(agent->gone) = (struct w_gone){.msg_class = op->msg_class, .sequence = op->sequence};
	} else if (op->submit == W_SUBMIT_FRESH && !w_say_append(w, agent, op->body)) {
		row = &agent->rows[op->msg_class].at[agent->rows[op->msg_class].count - 1];
		row->gone = true;
		w->msgs.at[op->body].barred = true;
		*W_PUSH(agent->gone) = (struct w_gone){.msg_class = op->msg_class, .sequence = op->sequence};
	} else if (op->submit == W_SUBMIT_FRESH) {
		w_log(w, "agent %u: message %u is stored, %d/%llu", agent->number, op->body, (int)op->msg_class,
			(unsigned long long)op->sequence);
		msg->state = W_QUEUED;
		msg->submit_order = ++w->submissions;
	}
}

static void apply_receipt(struct world *w, struct w_agent *agent, const struct w_msg *receipt)
{
	uint32_t about = receipt->about;
	struct w_msg *msg = &w->msgs.at[about];
	if (msg->from != agent->number)
		w_fail(w, "I3: agent %u has a receipt of another's message", agent->number);
	if (msg->delivered == 0)
		w_fail(w, "message %u has a receipt and is in no inbox", about);
	leave(w, agent, about);
	if (receipt->failed)
		bury(w, agent, about, KW_EILLEGAL, W_END_REFUSED);
	else
		w_agent_arrived(w, agent, about);
}

static void apply_receive(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	struct w_msg *msg = &w->msgs.at[op->body];
	put_cursor(w, agent, op);
	if (msg->unopenable || msg->key_gone > 0)
		return;
	if (msg->receipt) {
		apply_receipt(w, agent, msg);
		return;
	}
	if (msg->seen && w->mutant != WORLD_NO_DEDUP) {
		w_mark(w, WORLD_MARK_SEEN_REPEAT);
	} else {
		msg->seen = true;
		msg->delivered++;
		msg->deliver_order = ++w->deliveries;
		w_mark(w, WORLD_MARK_DELIVERED);
		w_log(w, "agent %u: message %u is in the inbox", agent->number, op->body);
		if (msg->delivered > 1)
			w_fail(w, "I2: message %u is delivered twice", op->body);
		if (w->threads) {
			w_say_receive(w, agent, op->body);
			return;
		}
	}
	/* Who repeats has no receipt yet. */
	*W_PUSH(agent->dues) = (struct w_due){.msg = op->body, .opened = true};
}

static void apply_notice(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	put_cursor(w, agent, op);
	if (op->body & W_REMINDER) {
		w_thread_reminded(w, agent->number, op->body);
		if (w->threads)
			w_say_hub(w, agent, &w->reminders.at[op->body & ~(W_NOTICE | W_REMINDER)].reminder);
		return;
	}
	const struct kw_frame_notice *notice = &w->notices.at[op->body & ~W_NOTICE];
	uint32_t number = w_msg_of(&notice->envelope_id);
	struct w_msg *msg = &w->msgs.at[number];
	if (msg->from != agent->number) {
		w_fail(w, "I3: agent %u has a notice about another's message", agent->number);
		return;
	}
	if (notice->reason == KW_EKEYGONE && note_rekey(w, agent, number))
		return;
	if (kw_err_class(notice->reason) != KW_CLASS_RETRY) {
		/* A hub that has lost its memory knows only what it had since. */
		bool again = notice->reason == KW_EEXPIRED && msg->passed;
		bool unsure = (notice->reason == KW_EUNCONFIRMED || again) && w->mutant != WORLD_NEW_HUB_KNOWS;
		leave(w, agent, number);
		if (unsure)
			w_mark(w, WORLD_MARK_UNCONFIRMED);
		bury(w, agent, number, unsure ? KW_EUNCONFIRMED : notice->reason, unsure ? W_END_UNSURE : W_END_LOST);
		if (unsure && msg->state == W_DEAD && msg->reason == KW_EUNCONFIRMED)
			w_say_void(w, agent, number, W_END_UNSURE);
		return;
	}
	if (!msg->receipt && msg->state != W_QUEUED)
		return;
	uint32_t rows_gone = agent->gone.count;
	for (uint32_t i = 0; i < agent->retries.count; i++)
		if (agent->retries.at[i].msg == number)
			return;
	leave(w, agent, number);
	msg->refused = true;
	if (agent->gone.count == rows_gone)
		return; /* it is not in the outbox */
	struct w_retry *retry = W_PUSH(agent->retries);
	retry->msg = number;
	retry->due = w->now + notice->retry_after_ms;
}

static void apply_sweep(struct world *w, struct w_agent *agent)
{
	uint32_t hour = (uint32_t)(w_wall(w) / 3600000u);
	for (uint32_t i = 0; i < w->msgs.count; i++) {
		const struct w_msg *msg = &w->msgs.at[i];
		uint32_t expiry = w_row_expiry(w, i);
		if (msg->from != agent->number || msg->receipt || msg->state != W_QUEUED || expiry == 0 || expiry > hour)
			continue;
		w_mark(w, WORLD_MARK_EXPIRED_AT_AGENT);
		expire(w, agent, i);
	}
}

/* A hub that has lost its memory had them, or may have had: its acks may be lost as well. */
static void unhold(struct world *w, struct w_agent *agent)
{
	for (int c = KW_URGENT; c < KW_MSG_CLASS_COUNT; c++)
		for (uint32_t i = 0; i < agent->rows[c].count; i++)
			if (!agent->rows[c].at[i].gone && (w->mutant != WORLD_NEW_HUB_KNOWS || agent->rows[c].at[i].sequence <= agent->held[c]))
				w->msgs.at[agent->rows[c].at[i].msg].passed = true;
}

static void apply(struct world *w, struct w_agent *agent, const struct w_agent_op *op)
{
	switch (op->type) {
	case W_OP_APPEND:
		apply_append(w, agent, op);
		break;
	case W_OP_HELD:
		agent->held[op->msg_class] = op->sequence;
		break;
	case W_OP_RECEIVE:
		apply_receive(w, agent, op);
		break;
	case W_OP_NOTICE:
		apply_notice(w, agent, op);
		break;
	case W_OP_EPOCH:
	case W_OP_OWN_EPOCH:
		unhold(w, agent);
		memset(agent->held, 0, sizeof(agent->held));
		if (op->type == W_OP_EPOCH)
			agent->hub_epoch = op->epoch;
		else
			w_fail(w, "agent %u takes its disk for an old copy", agent->number);
		break;
	case W_OP_OFFER:
		w_offer_act(w, agent, op->body, op->about);
		break;
	case W_OP_SWEEP:
		apply_sweep(w, agent);
		break;
	case W_OP_WITHDRAW:
		w_erase_withdraw(w, agent, op);
		break;
	case W_OP_DECIDE:
		w_erase_decide(w, agent, op);
		break;
	case W_OP_UNFOLLOW:
		w_say_unfollow(agent, op->body);
		break;
	case W_OP_DESTROY:
		w_erase_destroy(w, agent);
		break;
	case W_OP_SHREDDED:
		w_erase_shredded(w, agent);
		break;
	}
}

void w_agent_disk_kick(struct world *w, struct w_agent *agent)
{
	if (agent->in_flight > 0 || agent->ops.count == 0)
		return;
	agent->in_flight = (uint32_t)prng_range(&w->prng, 1, agent->ops.count);
	w_at(w, prng_range(&w->prng, w->draw.commit_min, w->draw.commit_max),
		(struct w_event){.type = W_EV_COMMIT, .node = agent->number, .life = agent->life});
}

static uint64_t apply_flight(struct world *w, struct w_agent *agent, bool told)
{
	uint64_t ticket = 0;
	for (uint32_t i = 0; i < agent->in_flight; i++) {
		const struct w_agent_op *op = &agent->ops.at[i];
		apply(w, agent, op);
		ticket = op->ticket != 0 ? op->ticket : ticket;
		if (told && op->type == W_OP_APPEND && op->submit == W_SUBMIT_FRESH)
			w->msgs.at[op->body].acked = !w->msgs.at[op->body].barred;
	}
	agent->ops.count -= agent->in_flight;
	memmove(agent->ops.at, agent->ops.at + agent->in_flight, agent->ops.count * sizeof(*agent->ops.at));
	agent->in_flight = 0;
	return ticket;
}

static void tell_gone(struct world *w, struct w_agent *agent)
{
	while (agent->gone.count > 0 && !w->failed) {
		struct w_gone gone = agent->gone.at[--agent->gone.count];
		struct agt_event event = {.type = AGT_EV_RECEIPTED};
		event.u.receipted.msg_class = gone.msg_class;
		event.u.receipted.sequence = gone.sequence;
		w_agent_step(w, agent, &event);
	}
}

void w_agent_disk_done(struct world *w, struct w_agent *agent)
{
	struct agt_event event = {.type = AGT_EV_COMMITTED};
	event.u.ticket = apply_flight(w, agent, true);
	/* What a thread does not want must not leave: the shell tells of it before the end of its turn. */
	if (w->threads)
		tell_gone(w, agent);
	if (event.u.ticket != 0)
		w_agent_step(w, agent, &event);
	tell_gone(w, agent);
	if (w->threads)
		w_erase_kick(w, agent);
	w_agent_disk_kick(w, agent);
}

void w_agent_disk_crash(struct world *w, struct w_agent *agent)
{
	if (agent->in_flight > 0) {
		bool keep = prng_percent(&w->prng, 50);
		w_mark(w, keep ? WORLD_MARK_AGENT_CRASH_KEPT : WORLD_MARK_AGENT_CRASH_LOST);
		if (keep)
			(void)apply_flight(w, agent, false);
	}
	agent->ops.count = 0;
	agent->in_flight = 0;
	agent->gone.count = 0;
}
