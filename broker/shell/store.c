#include "broker/shell/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* Handing over, and hearing back.
 *
 *   change → batch that fills → store_kick: queued, when the writer has taken the last one → commit → async → on_committed
 *
 * A commit error is final: it is reported once, and nothing is handed to the writer any more. */

#define FREE_ASK_MS 1000u

static void batch_drop(struct store_batch *batch)
{
	if (batch == NULL)
		return;
	for (uint32_t i = 0; i < batch->count; i++)
		store_box_unref(batch->ops[i].box);
	free(batch->ops);
	free(batch);
}

static struct store_op *push(struct store *store, uint64_t ticket, enum store_op_kind kind, uint32_t queue)
{
	if (store->filling == NULL) {
		store->filling = store->spare != NULL ? store->spare : calloc(1, sizeof(struct store_batch));
		store->spare = NULL;
	}
	struct store_batch *batch = store->filling;
	if (batch != NULL && batch->count == batch->cap) {
		uint32_t cap = batch->cap == 0 ? 64 : batch->cap * 2;
		struct store_op *ops = realloc(batch->ops, cap * sizeof(*ops));
		if (ops != NULL) {
			batch->ops = ops;
			batch->cap = cap;
		}
	}
	if (batch == NULL || batch->count == batch->cap) {
		store->loop_err = KW_ENOMEM; /* told at the next kick: nothing after this may be promised */
		return NULL;
	}
	struct store_op *op = &batch->ops[batch->count++];
	*op = (struct store_op){.kind = kind, .queue = queue};
	batch->ticket = ticket;
	store->ticket = ticket;
	store->pending_ops++;
	return op;
}

void store_put_agency(struct store *store, uint64_t ticket, uint32_t slot, const struct kw_name *name)
{
	struct store_op *op = push(store, ticket, STORE_OP_AGENCY, slot);
	if (op == NULL)
		return;
	op->box = store_box_new(sizeof(*name));
	if (op->box == NULL)
		store->loop_err = KW_ENOMEM;
	else
		memcpy(op->box->data, name, sizeof(*name));
}

void store_append(struct store *store, uint64_t ticket, const struct store_row *row)
{
	KW_ASSERT(row->slot < STORE_SLOT_MAX && row->box != NULL);
	struct store_op *op = push(store, ticket, STORE_OP_APPEND, store_queue_index(row->slot, row->msg_class));
	if (op == NULL)
		return;
	op->sequence = row->sequence;
	op->owner_slot = row->owner_slot;
	op->expiry_hour = row->expiry_hour;
	op->envelope_id = row->envelope_id;
	op->box = row->box;
	store_box_ref(op->box);
	store->filling->bytes += row->box->size;
}

void store_put_cursor(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class,
	struct kw_cursor cursor)
{
	struct store_op *op = push(store, ticket, STORE_OP_CURSOR, store_queue_index(slot, msg_class));
	if (op == NULL)
		return;
	op->epoch = cursor.epoch;
	op->sequence = cursor.sequence;
}

void store_trim(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	uint32_t queue = store_queue_index(slot, msg_class);
	struct store_op *op = push(store, ticket, STORE_OP_TRIM, queue);
	if (op == NULL)
		return;
	op->sequence = sequence;
	if (sequence > store->trimmed[queue])
		store->trimmed[queue] = sequence;
}

void store_remove(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	struct store_op *op = push(store, ticket, STORE_OP_REMOVE, store_queue_index(slot, msg_class));
	if (op != NULL)
		op->sequence = sequence;
}

void store_report_damage(struct store *store, uint32_t queue, uint64_t sequence)
{
	uint64_t name = (uint64_t)queue << 40 ^ sequence;
	for (uint32_t i = 0; i < STORE_SEEN_COUNT; i++)
		if (store->seen[i] == name)
			return;
	store->seen[store->seen_next++ % STORE_SEEN_COUNT] = name;
	store->damaged_seen++;
	struct store_op *op = push(store, store->ticket, STORE_OP_DAMAGED, queue);
	if (op != NULL)
		op->sequence = sequence;
}

static void report(struct store *store, uint64_t ticket, enum kw_err err)
{
	if (store->reported)
		return;
	store->reported = err != KW_OK;
	store->hooks.on_committed(store->hooks.user, ticket, err);
}

void store_kick(struct store *store)
{
	if (store->loop_err != KW_OK) {
		report(store, store->ticket, store->loop_err);
		return;
	}
	if (store->filling == NULL || store->filling->count == 0)
		return;
	uv_mutex_lock(&store->lock);
	if (store->queued == NULL && store->failed == KW_OK) {
		store->queued = store->filling;
		store->filling = NULL;
		uv_cond_signal(&store->wake);
	}
	uv_mutex_unlock(&store->lock);
}

/* Takes what the writer has done, tells of it, and hands over what has gathered meanwhile. */
static void on_async(uv_async_t *async)
{
	struct store *store = async->data;
	uv_mutex_lock(&store->lock);
	struct store_batch *done = store->done;
	store->done = NULL;
	store->figures = store->done_figures;
	uv_cond_signal(&store->wake);
	uv_mutex_unlock(&store->lock);
	if (done == NULL || store->closing)
		return;
	uint64_t ticket = done->ticket;
	enum kw_err err = done->err;
	store->pending_ops -= done->count;
	for (uint32_t i = 0; i < done->count; i++)
		store_box_unref(done->ops[i].box);
	done->count = 0;
	done->bytes = 0;
	if (store->spare == NULL)
		store->spare = done;
	else
		batch_drop(done);
	report(store, ticket, err);
	if (err == KW_OK)
		store_kick(store);
}

static void writer_main(void *user)
{
	struct store *store = user;
	uv_mutex_lock(&store->lock);
	while (true) {
		/* One finished batch at a time: the next commit starts when the loop has heard of the last. */
		while ((store->queued == NULL || store->done != NULL) && !store->stop)
			uv_cond_wait(&store->wake, &store->lock);
		struct store_batch *batch = store->queued;
		if (batch == NULL)
			break;
		store->queued = NULL;
		enum kw_err err = store->failed;
		uv_mutex_unlock(&store->lock);
		batch->err = err == KW_OK ? store_writer_commit(&store->writer, batch) : err;
		uv_mutex_lock(&store->lock);
		if (batch->err != KW_OK)
			store->failed = batch->err;
		store->done_figures = store->writer.figures;
		if (store->stop) {
			store->done_last = batch; /* freed by store_close */
			continue;
		}
		store->done = batch;
		(void)uv_async_send(&store->async); /* fails on a closed handle only */
	}
	uv_mutex_unlock(&store->lock);
}

static enum kw_err check_no_sync(const struct store_options *options)
{
	const char *allowed = getenv("KW_UNSAFE_TEST");
	if (!options->unsafe_no_sync)
		return KW_OK;
	return allowed != NULL && strcmp(allowed, "1") == 0 ? KW_OK : KW_EDENIED;
}

static enum kw_err start(struct store *store)
{
	if (uv_async_init(store->loop, &store->async, on_async) != 0)
		return KW_EIO;
	store->async.data = store;
	uv_unref((uv_handle_t *)&store->async);
	if (uv_mutex_init(&store->lock) != 0 || uv_cond_init(&store->wake) != 0)
		return KW_EIO;
	if (uv_thread_create(&store->thread, writer_main, store) != 0)
		return KW_EIO;
	store->thread_runs = true;
	return KW_OK;
}

static void fini(struct store *store)
{
	if (store->reader != NULL)
		mdb_txn_abort(store->reader);
	store_writer_fini(&store->writer);
	store_env_close(&store->env);
	batch_drop(store->filling);
	batch_drop(store->spare);
	batch_drop(store->queued);
	batch_drop(store->done);
	batch_drop(store->done_last);
	free(store->trimmed);
}

enum kw_err store_open(const struct store_options *options, struct uv_loop_s *loop, const struct store_hooks *hooks,
	struct store **out)
{
	enum kw_err err = check_no_sync(options);
	if (err != KW_OK)
		return err;
	struct store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		return KW_ENOMEM;
	store->hooks = *hooks;
	store->loop = loop;
	store->env.folder_fd = -1;
	store->trimmed = calloc(STORE_QUEUE_COUNT, sizeof(uint64_t));
	err = store->trimmed == NULL ? KW_ENOMEM : store_env_open(options, &store->env);
	if (err == KW_OK)
		err = store_writer_init(&store->writer, &store->env);
	if (err == KW_OK)
		err = store_load(store, options->new_epoch);
	if (err == KW_OK)
		err = store_env_err(mdb_txn_begin(store->env.env, NULL, MDB_RDONLY, &store->reader));
	if (err == KW_OK)
		mdb_txn_reset(store->reader);
	if (err == KW_OK)
		err = start(store);
	if (err != KW_OK) {
		fini(store);
		free(store);
		return err;
	}
	*out = store;
	return KW_OK;
}

static void on_async_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	store->closing = true;
	uv_mutex_lock(&store->lock);
	while (store->queued != NULL || store->done != NULL) {
		/* The loop does not run any more: take what is done, so that the writer goes on. */
		batch_drop(store->done);
		store->done = NULL;
		uv_cond_signal(&store->wake);
		uv_mutex_unlock(&store->lock);
		uv_sleep(1);
		uv_mutex_lock(&store->lock);
	}
	store->queued = store->filling;
	store->filling = NULL;
	store->stop = true;
	uv_cond_signal(&store->wake);
	uv_mutex_unlock(&store->lock);
	(void)uv_thread_join(&store->thread); /* fails for a foreign thread only */
	uv_mutex_destroy(&store->lock);
	uv_cond_destroy(&store->wake);
	fini(store);
	uv_close((uv_handle_t *)&store->async, on_async_closed);
}

uint64_t store_epoch(const struct store *store)
{
	return store->epoch;
}

void store_stats_get(struct store *store, struct store_stats *out)
{
	uint64_t now = uv_now(store->loop);
	struct statvfs disk;
	if (store->free_asked_ms == 0 || now - store->free_asked_ms >= FREE_ASK_MS) {
		store->free_asked_ms = now + 1;
		if (fstatvfs(store->env.folder_fd, &disk) == 0)
			store->free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
	}
	uint64_t disk_bytes = store->figures.file_bytes + store->free_bytes;
	*out = (struct store_stats){
		.commits = store->figures.commits,
		.rows = store->figures.rows,
		.used_bytes = store->figures.used_bytes,
		.map_bytes = store->env.map_size < disk_bytes ? store->env.map_size : disk_bytes,
		.damaged_rows = store->figures.damaged,
		.pending_ops = store->pending_ops,
	};
}
