#include "agent/shell/spool_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/check.h"
#include "proto/wire/crypt.h"

/* The writer: takes what waits, runs it in one transaction, syncs once, tells the loop. The next batch fills meanwhile,
 * so the batch size follows the load and there is no timer. Opening is in spool_open.c.
 *
 * What can fail: no room, on the disk or in the map. LMDB finds out before it writes the meta page that would make the
 * transaction count, so nothing of it is durable: all is taken back, and the same batch is run again until there is room.
 * Any other error of a transaction ends the spool (failed), because a failed commit may still be durable and LMDB's state in
 * memory is then not to be trusted. done() carries the error; the process stops and is restarted. If it is the meta page
 * that could not be written, LMDB refuses the next transaction (MDB_PANIC), which is such an error. */

#define BATCH_OPS_MAX 256u
#define BATCH_BYTES_MAX (1024u * 1024u)
#define LOOK_S 1 /* between two looks at the room when there is nothing to write, or no room to */

struct spool_box *spool_box_new(struct kw_view bytes)
{
	struct spool_box *box = malloc(sizeof(*box) + bytes.size);

	if (box == NULL)
		return NULL;
	box->refs = 1;
	box->size = (uint32_t)bytes.size;
	box->reminder = false;
	kw_buf_init(&box->tracks, KW_FRAME_TRACKS_MAX * KW_FRAME_TRACK_SIZE_MAX);
	if (bytes.size > 0)
		memcpy(box->data, bytes.data, bytes.size);
	return box;
}

void spool_box_ref(struct spool_box *box)
{
	box->refs++;
}

void spool_box_unref(struct spool_box *box)
{
	if (box == NULL || --box->refs > 0)
		return;
	kw_buf_fini(&box->tracks);
	free(box);
}

struct spool_op *spool_op_new(enum spool_op_type type)
{
	struct spool_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->type = type;
	kw_buf_init(&op->content, KW_FRAME_SIZE_MAX * 2);
	kw_buf_init(&op->answer, KW_FRAME_SIZE_MAX);
	kw_buf_init(&op->proof, KW_FRAME_SIZE_MAX);
	return op;
}

void spool_op_free(struct spool_op *op)
{
	if (op == NULL)
		return;
	kw_buf_fini(&op->content);
	kw_buf_fini(&op->answer);
	kw_buf_fini(&op->proof);
	spool_box_unref(op->box);
	spool_group_unref(op->group);
	free(op->gone);
	if (op->type == SPOOL_OP_APPEND)
		free(op->u.append.due_keys);
	else if (op->type == SPOOL_OP_RECEIVE) {
		free(op->u.receive.receipts);
		free(op->u.receive.erasure);
		free(op->u.receive.named);
	} else if (op->type == SPOOL_OP_ACK)
		free(op->u.ack.ids);
	else if (op->type == SPOOL_OP_PUBLISH)
		free(op->u.publish.agencies);
	else if (op->type == SPOOL_OP_WITHDRAW)
		free(op->u.withdraw.erasure);
	else if (op->type == SPOOL_OP_ANSWER)
		free(op->u.answer.erasure);
	kw_wipe(op, sizeof(*op));
	free(op);
}

void spool_do(struct spool *spool, struct spool_op *op)
{
	struct spool_op *first = op, *last = op;

	op->next = NULL;
	spool->pending++;
	/* Between them nothing may go to the disk: it would be durable before what was asked for earlier. */
	KW_ASSERT(spool->joining == NULL || op->group == spool->joining);
	spool->joining = op->group;
	if (op->group != NULL && !spool_group_join(op, &first, &last))
		return;
	spool->joining = NULL;
	pthread_mutex_lock(&spool->lock);
	*spool->queue_tail = first;
	spool->queue_tail = &last->next;
	pthread_cond_signal(&spool->wake);
	pthread_mutex_unlock(&spool->lock);
}

uint64_t spool_pending(const struct spool *spool)
{
	return spool->pending;
}

enum spool_space spool_space(const struct spool *spool)
{
	return spool->space;
}

uint64_t spool_put_off(const struct spool *spool)
{
	return spool->put_off;
}

uint64_t spool_count(const struct spool *spool, enum spool_count count)
{
	return spool->told[N_COUNTS + count] + (count == SPOOL_COUNT_DAMAGED ? spool->damaged_reads : 0);
}

void spool_recover(const struct spool *spool, struct agt_start *out)
{
	const uint64_t *n = spool->told;

	memset(out, 0, sizeof(*out));
	out->epoch = n[N_EPOCH];
	out->hub_epoch = n[N_HUB_EPOCH];
	for (int c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		out->lanes[c].next_sequence = n[N_NEXT_SEQ + c];
		out->lanes[c].held_sequence = n[N_HELD_SEQ + c];
		out->lanes[c].received = (struct kw_cursor){.epoch = n[N_CURSOR_EPOCH + c], .sequence = n[N_CURSOR_SEQ + c]};
	}
}

static enum kw_err run_one(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	switch (op->type) {
	case SPOOL_OP_APPEND:
		return spool_run_append(spool, txn, op);
	case SPOOL_OP_HELD:
		return spool_run_held(spool, txn, op);
	case SPOOL_OP_EPOCH:
	case SPOOL_OP_OWN_EPOCH:
		return spool_run_epoch(spool, txn, op);
	case SPOOL_OP_RECEIVE:
		return spool_run_receive(spool, txn, op);
	case SPOOL_OP_NOTICE:
		return spool_run_notice(spool, txn, op);
	case SPOOL_OP_ACK:
		return spool_run_ack(spool, txn, op);
	case SPOOL_OP_REGISTER:
		return spool_run_register(spool, txn, op);
	case SPOOL_OP_KEEP:
		return spool_run_keep(spool, txn, op);
	case SPOOL_OP_SWEEP:
		return spool_run_sweep(spool, txn, op);
	case SPOOL_OP_PUBLISH:
		return spool_run_publish(spool, txn, op);
	case SPOOL_OP_OFFER:
		return spool_run_offer(spool, txn, op);
	case SPOOL_OP_PICK:
		return spool_run_pick(spool, txn, op);
	case SPOOL_OP_UNFOLLOW:
		return spool_run_unfollow(spool, txn, op);
	case SPOOL_OP_WITHDRAW:
		return spool_run_withdraw(spool, txn, op);
	case SPOOL_OP_ANSWER:
		return spool_run_answer(spool, txn, op);
	case SPOOL_OP_CLOCKS:
		return spool_run_clocks(spool, txn, op);
	case SPOOL_OP_REMIND:
		return spool_run_remind(spool, txn, op);
	}
	return KW_ESTATE;
}

enum kw_err spool_run(struct spool *spool, MDB_txn *txn, struct spool_op *op)
{
	uint64_t follows = spool->numbers[N_NEXT_FOLLOW];
	enum kw_err err = run_one(spool, txn, op);

	op->follow = op->follow || spool->numbers[N_NEXT_FOLLOW] != follows;
	return err;
}

static enum kw_err run_batch(struct spool *spool, MDB_txn *txn, struct spool_op *ops)
{
	static const char key[] = "state";
	uint8_t bytes[N_COUNT * 8];
	MDB_stat retry;
	enum kw_err err = KW_OK;

	for (struct spool_op *op = ops, *next; err == KW_OK && op != NULL; op = next) {
		next = op->next;
		err = op->group != NULL ? spool_run_group(spool, txn, op, &next) : spool_run(spool, txn, op);
	}
	for (int i = 0; i < N_COUNT; i++)
		kw_put_u64(bytes + i * 8, spool->numbers[i]);
	if (err == KW_OK)
		err = spool_put(spool, txn, T_META, kw_view_str(key), KW_VIEW_OF(bytes));
	if (err == KW_OK)
		err = spool_mdb(mdb_stat(txn, spool->tables[T_RETRY], &retry));
	if (err == KW_OK)
		spool->retry_rows = retry.ms_entries;
	return err;
}

/* What the operations have found out is of a transaction that never was. */
static void forget_results(struct spool_op *ops)
{
	for (struct spool_op *op = ops; op != NULL; op = op->next) {
		op->gone_count = 0;
		op->repeat = false;
		op->count = 0;
		op->number = 0;
		op->fault = AGT_FAULT_NONE;
		op->follow = false;
	}
}

/* One transaction, all or nothing: also the numbers in memory are as before when it fails. */
static enum kw_err commit_batch(struct spool *spool, struct spool_op *ops)
{
	uint64_t numbers[N_COUNT];
	uint8_t sweep_key[sizeof(spool->sweep_key)];
	uint64_t retry_rows = spool->retry_rows;
	MDB_txn *txn;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, NULL, 0, &txn));

	if (err != KW_OK)
		return err;
	memcpy(numbers, spool->numbers, sizeof(numbers));
	memcpy(sweep_key, spool->sweep_key, sizeof(sweep_key));
	err = run_batch(spool, txn, ops);
	/* Keys first: a row whose key was lost could never be read. */
	if (err == KW_OK)
		err = spool_vault_commit(spool);
	else
		spool_vault_abort(spool);
	if (err == KW_OK)
		err = spool_mdb(mdb_txn_commit(txn));
	else
		mdb_txn_abort(txn);
	if (err == KW_OK)
		return KW_OK;
	memcpy(spool->numbers, numbers, sizeof(numbers));
	memcpy(spool->sweep_key, sweep_key, sizeof(sweep_key));
	spool->retry_rows = retry_rows;
	forget_results(ops);
	return spool_space_err(spool, err);
}

/* Takes a batch off the queue; called with the lock held. */
static struct spool_op *take_batch(struct spool *spool)
{
	struct spool_op *head = spool->queue_head;
	struct spool_op *last = head;
	size_t bytes = 0;

	/* A group is never cut. */
	for (uint32_t i = 0; last->next != NULL && ((i + 1 < BATCH_OPS_MAX && bytes < BATCH_BYTES_MAX) ||
		(last->group != NULL && last->next->group == last->group)); i++) {
		bytes += last->content.size + (last->box != NULL ? last->box->size : 0);
		last = last->next;
	}
	spool->queue_head = last->next;
	if (spool->queue_head == NULL)
		spool->queue_tail = &spool->queue_head;
	last->next = NULL;
	return head;
}

/* The two below are called with the lock held. */

static void publish(struct spool *spool)
{
	memcpy(spool->published, spool->numbers, sizeof(spool->published));
	spool->published_space = spool->level;
	spool->published_put_off = spool->retry_rows;
	uv_async_send(spool->async);
}

static void hand_back(struct spool *spool, struct spool_op *ops)
{
	*spool->done_tail = ops;
	while (ops->next != NULL)
		ops = ops->next;
	spool->done_tail = &ops->next;
	publish(spool);
}

static struct timespec next_look(void)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_sec += LOOK_S;
	return until;
}

static void set_level(struct spool *spool, enum spool_space level)
{
	pthread_mutex_lock(&spool->lock);
	if (level != spool->level) {
		spool->level = level;
		publish(spool);
	}
	pthread_mutex_unlock(&spool->lock);
}

/* Tries until there is room, or the spool is closed. */
static enum kw_err commit_when_room(struct spool *spool, struct spool_op *ops)
{
	for (;;) {
		enum kw_err err = commit_batch(spool, ops);
		bool stop;

		if (err != KW_ENOSPACE)
			return err;
		if (spool_groups_give_up(ops)) /* they are told so; what is left has its room in reserve */
			continue;
		set_level(spool, SPOOL_SPACE_FULL);
		struct timespec until = next_look();
		pthread_mutex_lock(&spool->lock);
		while (!spool->stop && pthread_cond_timedwait(&spool->wake, &spool->lock, &until) == 0)
			; /* woken for more to do, which makes no room */
		stop = spool->stop;
		pthread_mutex_unlock(&spool->lock);
		if (stop)
			return err;
	}
}

/* Keys that a committed batch gave up. Without room for the new vault they wait on their list. */
static enum kw_err shred(struct spool *spool)
{
	enum kw_err err = spool_space_err(spool, spool_shred(spool));

	return err == KW_ENOSPACE ? KW_OK : err;
}

static void *write_loop(void *arg)
{
	struct spool *spool = arg;

	pthread_mutex_lock(&spool->lock);
	for (;;) {
		while (spool->queue_head == NULL && !spool->stop) {
			struct timespec until = next_look();
			if (pthread_cond_timedwait(&spool->wake, &spool->lock, &until) == 0)
				continue;
			enum kw_err err = spool->failed;

			pthread_mutex_unlock(&spool->lock);
			set_level(spool, spool_space_measure(spool, spool->level));
			if (err == KW_OK && spool->shreds) /* it found no room then */
				err = shred(spool);
			pthread_mutex_lock(&spool->lock);
			if (spool->failed == KW_OK)
				spool->failed = err;
		}
		if (spool->queue_head == NULL)
			break;
		struct spool_op *ops = take_batch(spool);
		enum kw_err err = spool->failed;

		pthread_mutex_unlock(&spool->lock);
		if (err == KW_OK)
			err = commit_when_room(spool, ops);
		if (err == KW_OK && spool->shreds)
			err = shred(spool);
		enum spool_space level = err == KW_OK ? spool_space_measure(spool, spool->level) : spool->level;
		pthread_mutex_lock(&spool->lock);
		spool->level = level;
		if (err != KW_OK && spool->failed == KW_OK)
			spool->failed = err;
		hand_back(spool, ops);
	}
	pthread_mutex_unlock(&spool->lock);
	return NULL;
}

static void finish(struct spool *spool)
{
	pthread_mutex_lock(&spool->lock);
	struct spool_op *ops = spool->done_head;
	enum kw_err err = spool->failed;

	spool->done_head = NULL;
	spool->done_tail = &spool->done_head;
	memcpy(spool->told, spool->published, sizeof(spool->told));
	spool->space = spool->published_space;
	spool->put_off = spool->published_put_off;
	pthread_mutex_unlock(&spool->lock);
	while (ops != NULL) {
		struct spool_op *op = ops;

		ops = op->next;
		spool->pending--;
		if (op->done != NULL)
			op->done(op, err);
		spool_op_free(op);
	}
}

static void on_async(uv_async_t *async)
{
	if (async->data != NULL)
		finish(async->data);
}

static void free_async(uv_handle_t *handle)
{
	free(handle);
}

enum kw_err spool_start(struct spool *spool, uv_loop_t *loop)
{
	spool->queue_tail = &spool->queue_head;
	spool->done_tail = &spool->done_head;
	memcpy(spool->told, spool->numbers, sizeof(spool->told));
	memcpy(spool->published, spool->numbers, sizeof(spool->published));
	spool->level = spool_space_measure(spool, SPOOL_SPACE_OK);
	spool->published_space = spool->level;
	spool->space = spool->level;
	spool->async = calloc(1, sizeof(*spool->async));
	if (spool->async == NULL)
		return KW_ENOMEM;
	if (uv_async_init(loop, spool->async, on_async) != 0) {
		free(spool->async);
		spool->async = NULL;
		return KW_ENOMEM;
	}
	spool->async->data = spool;
	if (pthread_create(&spool->writer, NULL, write_loop, spool) != 0)
		return KW_ENOMEM;
	spool->writer_runs = true;
	return KW_OK;
}

void spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	if (spool->writer_runs) {
		pthread_mutex_lock(&spool->lock);
		spool->stop = true;
		pthread_cond_signal(&spool->wake);
		pthread_mutex_unlock(&spool->lock);
		pthread_join(spool->writer, NULL);
		finish(spool);
		KW_ASSERT(spool->queue_head == NULL);
	}
	if (spool->async != NULL) {
		spool->async->data = NULL;
		uv_close((uv_handle_t *)spool->async, free_async);
	}
	spool_vault_close(spool);
	if (spool->env != NULL)
		mdb_env_close(spool->env);
	if (spool->folder_fd >= 0)
		close(spool->folder_fd); /* after the environment: the lock goes with it */
	pthread_mutex_destroy(&spool->lock);
	pthread_cond_destroy(&spool->wake);
	pthread_rwlock_destroy(&spool->keys_lock);
	free(spool->path);
	kw_wipe(spool, sizeof(*spool));
	free(spool);
}
