#include <stdlib.h>
#include <string.h>

#include "agent/shell/agent_inner.h"
#include "agent/shell/batch.h"
#include "agent/shell/spool_read.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Receipts that are due, one sealed and signed message per sender and batch; and rows that the hub refused for now, again when
 * their time has come. A due receipt leaves its table in the transaction that appends the message it travels in.
 *
 * A receipt that left at once would show whoever watches the line which message it answers, and one alone takes as much room as
 * seven. So the first that is due draws how long it waits, and all that come meanwhile leave with it; what is urgent does not
 * wait. They wait on disk: a restart draws anew. */

#define DUE_MAX (SPOOL_RECEIPTS_MAX * 4)
#define RETRIES_MAX 64u

struct due {
	uint32_t count;
	struct spool_receipt receipts[DUE_MAX];
};

void agent_pause_begin(struct agent_pause *pause)
{
	if (pause->left > 0)
		return; /* one failed already in this round */
	pause->seconds = pause->seconds == 0 ? AGENT_PAUSE_MIN : pause->seconds * 2;
	pause->seconds = pause->seconds > AGENT_PAUSE_MAX ? AGENT_PAUSE_MAX : pause->seconds;
	pause->left = pause->seconds;
}

void agent_pause_round(struct agent_pause *pause, bool end)
{
	if (end && pause->left == 0)
		pause->seconds = 0;
}

bool agent_pause_tick(struct agent_pause *pause)
{
	return pause->left > 0 && --pause->left == 0;
}

bool agent_jitter_leaves(struct agent_jitter *jitter, bool at_once, uint32_t drawn)
{
	if (at_once || jitter->open)
		return true;
	if (!jitter->waits)
		jitter->left = drawn % (AGENT_JITTER_MAX + 1);
	jitter->waits = true;
	return false;
}

bool agent_jitter_is_over(const struct agent_jitter *jitter)
{
	return jitter->waits && jitter->left <= 1;
}

void agent_jitter_open(struct agent_jitter *jitter)
{
	*jitter = (struct agent_jitter){.open = true};
}

bool agent_jitter_tick(struct agent_jitter *jitter)
{
	if (!jitter->waits)
		return false;
	if (jitter->left > 1) {
		jitter->left--;
		return false;
	}
	agent_jitter_open(jitter);
	return true;
}

void agent_jitter_end(struct agent_jitter *jitter)
{
	jitter->open = false;
}

static void gather(void *user, const struct spool_receipt *receipt)
{
	struct due *due = user;

	if (due->count < DUE_MAX)
		due->receipts[due->count++] = *receipt;
}

static int by_agency(const void *a, const void *b)
{
	const struct spool_receipt *x = a;
	const struct spool_receipt *y = b;
	int order = memcmp(x->agency.text, y->agency.text, sizeof(x->agency.text));

	return order != 0 ? order : (x->key > y->key) - (x->key < y->key);
}

static void fill_entry(const struct spool_receipt *receipt, Kinward__V1__ReceiptEntry *out)
{
	kinward__v1__receipt_entry__init(out);
	out->digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = (uint8_t *)(uintptr_t)receipt->digest.bytes};
	out->envelope_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)receipt->envelope_id.bytes};
	/* R1: here, and not to be judged before its turn has come. */
	out->level = receipt->opened ? KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_OPENED
				     : KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_STORED;
	if (receipt->failure != KW_OK) {
		out->level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_FAILED;
		out->failure = (char *)(uintptr_t)kw_err_name(receipt->failure);
	}
	if (receipt->decided)
		out->level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_DECIDED;
	out->at_unix_ms = receipt->at_ms;
}

static enum kw_err pack(const struct agent *agent, const struct spool_receipt *receipts, uint32_t count, struct kw_buf *out)
{
	Kinward__V1__ReceiptEntry entries[SPOOL_RECEIPTS_MAX];
	Kinward__V1__ReceiptEntry *list[SPOOL_RECEIPTS_MAX];
	Kinward__V1__Receipt receipt = KINWARD__V1__RECEIPT__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct kw_fault fault = {0};
	uint8_t id[KW_ID_SIZE];
	uint8_t signature[KW_SIGNATURE_SIZE];
	enum kw_err err = kw_random(id, sizeof(id));

	for (uint32_t i = 0; i < count; i++) {
		fill_entry(&receipts[i], &entries[i]);
		list[i] = &entries[i];
	}
	receipt.entries = list;
	receipt.n_entries = count;
	if (err == KW_OK)
		err = batch_sign(&receipt, &agent->keys->identity, signature);
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	content.created_unix_ms = agent_now_ms();
	content.body_case = KINWARD__V1__CONTENT__BODY_RECEIPT;
	content.receipt = &receipt;
	return err != KW_OK ? err : kw_content_pack(&content, out, &fault);
}

/* Of a referral the transport is part of the state: the hub stops its clock when it hears that one was delivered. */
static bool is_tracked(const struct spool_receipt *receipt)
{
	return receipt->tracked && receipt->kind == KW_THREAD_REFERRAL;
}

static enum kw_err add_tracks(const struct spool_receipt *receipts, uint32_t count, struct kw_buf *out)
{
	enum kw_err err = KW_OK;

	for (uint32_t i = 0; err == KW_OK && i < count; i++) {
		struct kw_frame_track track = {.thread_id = receipts[i].thread_id,
			.kind = receipts[i].kind,
			.state = KW_REFERRAL_DELIVERED,
			.risk = receipts[i].risk,
			.other_agency = receipts[i].agency};

		if (is_tracked(&receipts[i]))
			err = kw_frame_track_add(out, &track);
	}
	return err;
}

/* What the agency may wait for in the threads of these messages. */
static enum kw_err add_gaps(struct agent *agent, const struct spool_receipt *receipts, uint32_t count, struct letter *letter)
{
	enum kw_err err = KW_OK;

	for (uint32_t i = 0; err == KW_OK && i < count; i++) {
		struct spool_item item = {.thread_id = receipts[i].thread_id, .agency = receipts[i].agency};
		struct spool_gap gaps[SPOOL_GAPS_MAX];
		uint32_t found = 0;
		bool said = false;

		for (uint32_t k = 0; k < letter->gaps_count; k++)
			said = said || kw_id_equal(&letter->gaps[k].thread_id, &item.thread_id);
		if (!said)
			err = spool_gaps(agent->spool, &item, gaps, &found);
		for (uint32_t k = 0; err == KW_OK && k < found && letter->gaps_count < SPOOL_GAPS_MAX; k++) {
			gaps[k].thread_id = item.thread_id;
			letter->gaps[letter->gaps_count++] = gaps[k];
		}
	}
	return err;
}

/* 31 receipts fill a message that is padded to 2,048 bytes, and one more makes it 4,096: up to 45 are cheaper in two. */
#define FULL_AT 31u
#define CUT_UP_TO 45u

/* How many of a run to one agency go into one message. */
static uint32_t batch_of(const struct spool_receipt *receipts, uint32_t count)
{
	uint32_t tracked = 0;
	uint32_t i = 0;

	while (i < count && i < SPOOL_RECEIPTS_MAX && kw_name_equal(&receipts[i].agency, &receipts[0].agency)) {
		tracked += is_tracked(&receipts[i]);
		if (tracked > KW_FRAME_TRACKS_MAX)
			break;
		i++;
	}
	return i > FULL_AT && i <= CUT_UP_TO ? FULL_AT : i;
}

static void receipts_done(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->due_flying--;
	agent_op_done(op, err);
}

/* One message with `count` receipts to one agency. */
static enum kw_err send_receipts(struct agent *agent, const struct spool_receipt *receipts, uint32_t count)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	int64_t now_ms = agent_now_ms();
	struct letter letter = {.to = receipts[0].agency,
		.msg_class = KW_NORMAL,
		.expiry_hour = (uint32_t)(now_ms / AGENT_HOUR_MS) + AGENT_LIFETIME_HOURS,
		.content_type = KINWARD__V1__CONTENT__BODY_RECEIPT,
		.now_ms = now_ms};
	struct letter_sealed sealed;
	enum kw_err err = op == NULL ? KW_ENOMEM : pack(agent, receipts, count, &op->content);

	if (err == KW_OK)
		err = kw_random(letter.thread_id.bytes, KW_ID_SIZE);
	if (err == KW_OK)
		err = add_gaps(agent, receipts, count, &letter);
	if (err == KW_OK) {
		letter.content = kw_buf_view(&op->content);
		op->u.append.due_keys = calloc(count, sizeof(*op->u.append.due_keys));
		err = op->u.append.due_keys == NULL ? KW_ENOMEM : letter_seal(&agent->office, &letter, &sealed);
	}
	if (err != KW_OK) {
		spool_op_free(op);
		return err;
	}
	kw_buf_fini(&op->content);
	op->box = sealed.box;
	err = add_tracks(receipts, count, &op->box->tracks);
	if (err != KW_OK) {
		spool_op_free(op);
		return err;
	}
	op->u.append.msg_class = letter.msg_class;
	op->u.append.envelope_id = sealed.envelope_id;
	op->u.append.expiry_hour = letter.expiry_hour;
	op->u.append.now_ms = now_ms;
	op->u.append.due_count = count;
	for (uint32_t i = 0; i < count; i++)
		op->u.append.due_keys[i] = receipts[i].key;
	op->done = receipts_done;
	op->user = agent;
	agent->due_flying++;
	agent_submit(agent, op);
	return KW_OK;
}

void agent_receipts_again(struct agent *agent)
{
	bool over = agent_jitter_is_over(&agent->jitter);

	/* What was read last is not yet gone from the table, and would be said twice. */
	if ((agent->due_pause.left == 1 || over) && agent->due_flying > 0)
		return;
	bool again = agent_pause_tick(&agent->due_pause);
	if (again)
		agent_jitter_open(&agent->jitter); /* what failed has waited */
	if (agent_jitter_tick(&agent->jitter) || again) {
		agent->due_next = 0;
		agent->due = true;
	}
}

/* Of those that were read, those that leave now come first; their number. */
static uint32_t choose(struct agent *agent, struct due *due)
{
	uint32_t count = 0;
	uint32_t drawn = AGENT_JITTER_MAX;

	if (kw_random(&drawn, sizeof(drawn)) != KW_OK)
		drawn = AGENT_JITTER_MAX; /* late rather than never */
	for (uint32_t i = 0; i < due->count; i++) {
		if (agent_jitter_leaves(&agent->jitter, agent->settings->receipts_at_once || due->receipts[i].urgent, drawn)) {
			struct spool_receipt moved = due->receipts[count];

			due->receipts[count++] = due->receipts[i];
			due->receipts[i] = moved;
		}
	}
	return count;
}

void agent_receipts(struct agent *agent)
{
	struct due *due = malloc(sizeof(*due));
	enum kw_err err;

	if (due == NULL)
		return; /* they are on disk; the next batch takes them along */
	due->count = 0;
	err = spool_due(agent->spool, agent->due_next, gather, due);
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	agent->due = due->count == DUE_MAX;
	for (uint32_t i = 0; i < due->count; i++) {
		if (due->receipts[i].key >= agent->due_next)
			agent->due_next = due->receipts[i].key + 1;
	}
	uint32_t count = choose(agent, due);
	qsort(due->receipts, count, sizeof(due->receipts[0]), by_agency);
	for (uint32_t i = 0, end; err == KW_OK && i < count; i = end) {
		end = i + batch_of(&due->receipts[i], count - i);
		enum kw_err sent = send_receipts(agent, &due->receipts[i], end - i);
		/* They stay in the table and are tried again after a while, when the directory may know the agency. */
		if (sent != KW_OK) {
			kw_log(KW_LOG_WARN, "receipt_not_sent", KW_LOG_STR("agency", due->receipts[i].agency.text), KW_LOG_ERR(sent));
			agent_pause_begin(&agent->due_pause);
		}
	}
	agent_pause_round(&agent->due_pause, !agent->due);
	if (!agent->due)
		agent_jitter_end(&agent->jitter);
	free(due);
}

static void retry_done(struct spool_op *op, enum kw_err err)
{
	struct agent *agent = op->user;

	agent->retrying--;
	agent_op_done(op, err);
}

struct retries {
	uint32_t count;
	struct spool_retry list[RETRIES_MAX];
};

static bool gather_retry(void *user, const struct spool_retry *retry)
{
	struct retries *retries = user;

	retries->list[retries->count++] = *retry;
	return retries->count < RETRIES_MAX;
}

void agent_retries(struct agent *agent)
{
	struct retries retries = {0};

	if (agent->retrying > 0) /* what was read last is not yet gone from the table */
		return;
	enum kw_err err = spool_retries(agent->spool, (uint64_t)agent_now_ms(), gather_retry, &retries);
	if (err != KW_OK)
		agent_fail(agent, "spool_read", err);
	for (uint32_t i = 0; i < retries.count; i++) {
		const struct spool_retry *retry = &retries.list[i];
		struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);

		if (op == NULL) {
			spool_box_unref((struct spool_box *)(uintptr_t)retry->row.box);
			continue;
		}
		op->box = (struct spool_box *)(uintptr_t)retry->row.box;
		op->u.append.msg_class = retry->msg_class;
		op->u.append.envelope_id = retry->row.envelope_id;
		op->u.append.expiry_hour = retry->row.expiry_hour;
		op->u.append.wants_receipt = retry->row.wants_receipt;
		op->u.append.now_ms = agent_now_ms();
		op->u.append.retry_ms = retry->due_ms;
		op->u.append.retry_number = retry->number;
		op->done = retry_done;
		op->user = agent;
		agent->retrying++;
		agent_submit(agent, op);
	}
}
