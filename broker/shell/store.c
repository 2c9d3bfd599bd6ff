#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* Handing over, on the loop thread:
 *
 *   a change → the filling batch (no lock) → store_kick queues the batch → the writer takes it when its last commit has
 *   ended, one transaction, one sync → uv_async → on_committed, boxes released, batch reused
 *
 * While the writer is busy, the next turn takes the queued batch back and goes on filling it, so that all that arrives
 * during one sync shares the next. A batch is closed at a turn's end only, or between two tickets when it is full: the
 * changes of one ticket are never torn apart.
 *
 * The first failed commit is final. on_committed says it once; changes after it are dropped. */

static void batch_free(struct store_batch *batch)
{
	if (batch == NULL)
		return;
	for (uint32_t i = 0; i < batch->count; i++)
		store_box_unref(batch->ops[i].box);
	free(batch->ops);
	free(batch);
}

static struct store_batch *batch_new(void)
{
	struct store_batch *batch = calloc(1, sizeof(*batch));
	if (batch == NULL)
		return NULL;
	batch->cap = STORE_OPS_MAX + 64u; /* the last ticket may pass the limit a little */
	batch->ops = malloc(batch->cap * sizeof(*batch->ops));
	if (batch->ops == NULL) {
		free(batch);
		return NULL;
	}
	return batch;
}

static bool batch_is_full(const struct store_batch *batch)
{
	return batch->count >= STORE_OPS_MAX || batch->bytes >= STORE_BYTES_MAX;
}

/* The batch that the queue's end offers for more, or a new one. */
static struct store_batch *begin(struct store *store)
{
	struct store_batch *batch = NULL;
	uv_mutex_lock(&store->lock);
	if (store->queued_last != NULL && !batch_is_full(store->queued_last)) {
		batch = store->queued_last;
		struct store_batch **link = &store->queued;
		struct store_batch *before = NULL;
		while (*link != batch) {
			before = *link;
			link = &(*link)->next;
		}
		*link = NULL;
		store->queued_last = before;
	}
	uv_mutex_unlock(&store->lock);
	if (batch == NULL && store->spare != NULL) {
		batch = store->spare;
		store->spare = batch->next;
		batch->next = NULL;
	}
	return batch != NULL ? batch : batch_new();
}

void store_kick(struct store *store)
{
	struct store_batch *batch = store->filling;
	if (batch == NULL)
		return;
	store->filling = NULL;
	if (store->writer.audit.hash != NULL)
		store_hash_publish(store->writer.audit.hash);
	uv_mutex_lock(&store->lock);
	if (store->queued_last != NULL)
		store->queued_last->next = batch;
	else
		store->queued = batch;
	store->queued_last = batch;
	uv_mutex_unlock(&store->lock);
	uv_cond_signal(&store->wake); /* after the lock, or the writer wakes only to wait for it */
}

void store_out_of_memory(struct store *store)
{
	store->loop_err = KW_ENOMEM;
	(void)uv_async_send(&store->async); /* cannot fail on an open handle */
}

struct store_op *store_next_op(struct store *store, uint64_t ticket)
{
	if (store->loop_err != KW_OK)
		return NULL;
	if (store->filling != NULL && ticket > store->filling->ticket && batch_is_full(store->filling))
		store_kick(store);
	if (store->filling == NULL)
		store->filling = begin(store);
	struct store_batch *batch = store->filling;
	if (batch != NULL && batch->count == batch->cap) {
		struct store_op *ops = realloc(batch->ops, 2u * batch->cap * sizeof(*ops));
		if (ops != NULL) {
			batch->ops = ops;
			batch->cap *= 2u;
		}
	}
	if (batch == NULL || batch->count == batch->cap) {
		store_out_of_memory(store);
		return NULL;
	}
	if (ticket > batch->ticket)
		batch->ticket = ticket;
	if (ticket > store->ticket)
		store->ticket = ticket;
	store->pending_ops++;
	return &batch->ops[batch->count++];
}

void store_put_agency(struct store *store, uint64_t ticket, uint32_t slot, const struct kw_name *name)
{
	KW_ASSERT(slot < STORE_SLOT_MAX);
	struct store_box *box = store_box_new(sizeof(*name));
	if (box == NULL) {
		store_out_of_memory(store);
		return;
	}
	memcpy(box->data, name, sizeof(*name));
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL)
		store_box_unref(box);
	else
		*op = (struct store_op){.kind = STORE_OP_AGENCY, .queue = slot, .box = box};
}

void store_append(struct store *store, uint64_t ticket, const struct store_row *row)
{
	KW_ASSERT(row->slot < STORE_SLOT_MAX && row->sequence > 0 && row->box->size <= KW_FRAME_SIZE_MAX);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL)
		return;
	store_box_ref(row->box);
	op->kind = STORE_OP_APPEND;
	op->queue = store_queue_index(row->slot, row->msg_class);
	op->sequence = row->sequence;
	op->epoch = 0;
	op->box = row->box;
	op->owner_slot = row->owner_slot;
	op->expiry_hour = row->expiry_hour;
	op->envelope_id = row->envelope_id;
	op->thread_id = row->thread_id;
	store->filling->bytes += row->box->size;
	store_log_row(store, row);
}

void store_put_cursor(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class,
	struct kw_cursor cursor)
{
	KW_ASSERT(slot < STORE_SLOT_MAX);
	struct store_op *op = store_next_op(store, ticket);
	if (op != NULL)
		*op = (struct store_op){
			.kind = STORE_OP_CURSOR,
			.queue = store_queue_index(slot, msg_class),
			.sequence = cursor.sequence,
			.epoch = cursor.epoch,
		};
}

void store_trim(struct store *store, uint64_t ticket, uint32_t slot, enum kw_msg_class msg_class, uint64_t sequence)
{
	KW_ASSERT(slot < STORE_SLOT_MAX);
	uint32_t queue = store_queue_index(slot, msg_class);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL)
		return;
	*op = (struct store_op){.kind = STORE_OP_TRIM, .queue = queue, .sequence = sequence};
	if (sequence > store->trimmed[queue])
		store->trimmed[queue] = sequence;
}

/* Takes the next batch, or NULL for a slice of trimming; false when the writer shall end. Lock held. */
static bool take(struct store *store, struct store_batch **out)
{
	while (store->queued == NULL && !store->stop && (store->writer.lagging_count == 0 || store->failed != KW_OK) &&
		!store_rewrite_is_due(store))
		store_rewrite_wait(store);
	*out = store->queued;
	if (*out == NULL)
		return !store->stop;
	store->queued = (*out)->next;
	if (store->queued == NULL)
		store->queued_last = NULL;
	(*out)->next = NULL;
	return true;
}

/* May this batch begin? What a transaction has changed in memory cannot be taken back, so room is looked for before it: on
 * the disk, and in pages of the file that are free, of which the newest are not yet of use. */
static bool has_room(const struct store *store, const struct store_batch *batch)
{
	const struct store_figures *figures = &store->writer.figures;
	uint64_t free_bytes = figures->file_bytes > figures->used_bytes ? (figures->file_bytes - figures->used_bytes) / 2u : 0;
	uint64_t need = STORE_ROOM_SIZE;
	struct statvfs disk;
	if (batch != NULL && batch->bytes > 0)
		need += 2u * batch->bytes + 3u * STORE_ROOM_SIZE;
	if (fstatvfs(store->env.folder_fd, &disk) != 0)
		return true; /* the commit finds out */
	return free_bytes + (uint64_t)disk.f_bavail * disk.f_frsize >= need;
}

/* Somebody else may have filled the disk; intake of ours stops long before. KW_ENOSPACE: the store is closed meanwhile. */
static enum kw_err wait_for_room(struct store *store, const struct store_batch *batch)
{
	while (!has_room(store, batch)) {
		uv_mutex_lock(&store->lock);
		store->waiting = true;
		if (!store->stop)
			(void)uv_cond_timedwait(&store->wake, &store->lock, STORE_ROOM_LOOK_NS); /* looked at again either way */
		bool stop = store->stop;
		uv_mutex_unlock(&store->lock);
		if (stop)
			return KW_ENOSPACE;
	}
	return KW_OK;
}

static void writer_main(void *user)
{
	struct store *store = user;
	struct store_batch *batch;
	uv_mutex_lock(&store->lock);
	while (take(store, &batch)) {
		enum kw_err err = store->failed;
		uv_mutex_unlock(&store->lock);
		if (err == KW_OK)
			err = wait_for_room(store, batch);
		if (err == KW_OK)
			err = store_writer_commit(&store->writer, batch);
		uv_mutex_lock(&store->lock);
		store->waiting = false;
		store->failed = err;
		store->done_figures = store->writer.figures;
		if (batch != NULL) {
			batch->err = err;
			if (store->done_last != NULL)
				store->done_last->next = batch;
			else
				store->done = batch;
			store->done_last = batch;
		}
		uv_mutex_unlock(&store->lock);
		(void)uv_async_send(&store->async); /* cannot fail on an open handle */
		if (err == KW_OK && store->writer.wipe) {
			err = store_writer_wipe(&store->writer);
			store_rewrite_later(store);
		}
		if (err == KW_OK && store_rewrite_is_due(store))
			err = store_rewrite_now(store);
		uv_mutex_lock(&store->lock);
		store->failed = err;
	}
	uv_mutex_unlock(&store->lock);
}

static void recycle(struct store *store, struct store_batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++)
		store_box_unref(batch->ops[i].box);
	store->pending_ops -= batch->count;
	batch->count = 0;
	batch->logged = 0;
	batch->bytes = 0;
	batch->ticket = 0;
	batch->next = store->spare;
	store->spare = batch;
}

static void report(struct store *store, uint64_t ticket, enum kw_err err)
{
	if (store->closing || store->reported)
		return;
	store->reported = err != KW_OK;
	store->hooks.on_committed(store->hooks.user, ticket, err);
}

static void on_async(uv_async_t *async)
{
	struct store *store = async->data;
	uint64_t good = 0, bad = store->ticket;
	uv_mutex_lock(&store->lock);
	struct store_batch *batch = store->done;
	store->done = store->done_last = NULL;
	store->figures = store->done_figures;
	enum kw_err err = store->failed;
	uv_mutex_unlock(&store->lock);
	if (err != KW_OK)
		store_hash_halt(store->writer.audit.hash); /* it looks at bodies that go now */
	while (batch != NULL) {
		struct store_batch *next = batch->next;
		if (batch->err == KW_OK)
			good = batch->ticket;
		else if (batch->ticket < bad)
			bad = batch->ticket;
		recycle(store, batch);
		batch = next;
	}
	if (good > 0) {
		store_overlay_settle(store->overlay, good);
		report(store, good, KW_OK);
	}
	if (err != KW_OK)
		store->loop_err = err;
	if (store->loop_err != KW_OK)
		report(store, bad, store->loop_err);
	else if (!store->closing)
		store_kick(store);
}

static void free_batches(struct store_batch *batch)
{
	while (batch != NULL) {
		struct store_batch *next = batch->next;
		batch_free(batch);
		batch = next;
	}
}

static void store_free(struct store *store)
{
	store_reader_close(store);
	store_env_close(&store->env);
	store_writer_fini(&store->writer);
	free_batches(store->spare);
	free_batches(store->queued);
	free_batches(store->done);
	batch_free(store->filling);
	free(store->trimmed);
	store_overlay_free(store->overlay);
	store->overlay = NULL;
	store->spare = store->queued = store->done = store->filling = NULL;
	store->trimmed = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct store *store = handle->data;
	uv_cond_destroy(&store->wake);
	uv_mutex_destroy(&store->lock);
	uv_mutex_destroy(&store->reading);
	free(store);
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	store->closing = true;
	if (store->thread_runs) {
		store_kick(store);
		uv_mutex_lock(&store->lock);
		store->stop = true;
		uv_cond_signal(&store->wake);
		uv_mutex_unlock(&store->lock);
		uv_thread_join(&store->thread);
	}
	store_free(store);
	if (store->opened)
		uv_close((uv_handle_t *)&store->async, on_closed);
	else
		free(store);
}

/* Starts the writer with all signals blocked: they belong to the loop thread. */
static enum kw_err start_writer(struct store *store)
{
	sigset_t all, old;
	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return KW_EIO;
	store->thread_runs = uv_thread_create(&store->thread, writer_main, store) == 0;
	if (pthread_sigmask(SIG_SETMASK, &old, NULL) != 0)
		return KW_EIO;
	return store->thread_runs ? KW_OK : KW_ENOMEM;
}

static enum kw_err start(struct store *store)
{
	if (uv_mutex_init(&store->lock) != 0)
		return KW_ENOMEM;
	if (uv_mutex_init(&store->reading) != 0)
		goto no_reading;
	if (uv_cond_init(&store->wake) != 0)
		goto no_cond;
	if (uv_async_init(store->loop, &store->async, on_async) != 0)
		goto no_async;
	store->async.data = store;
	uv_unref((uv_handle_t *)&store->async); /* a loop with nothing but the store in it may end */
	store->opened = true;
	return start_writer(store);
no_async:
	uv_cond_destroy(&store->wake);
no_cond:
	uv_mutex_destroy(&store->reading);
no_reading:
	uv_mutex_destroy(&store->lock);
	return KW_ENOMEM;
}

/* In a release: never, and nothing in it can ask for it. */
static bool may_be_unsafe(void)
{
#ifdef KW_UNSAFE_TESTS
	const char *unsafe = getenv("KW_UNSAFE_TEST");
	return unsafe != NULL && strcmp(unsafe, "1") == 0;
#else
	return false;
#endif
}

enum kw_err store_open(const struct store_options *options, struct uv_loop_s *loop, const struct store_hooks *hooks,
	struct store **out)
{
	if (options->unsafe_no_sync && !may_be_unsafe())
		return KW_EDENIED;
	struct store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		return KW_ENOMEM;
	store->hooks = *hooks;
	store->loop = loop;
	store->env.folder_fd = -1;
	memset(store->seen, 0xff, sizeof(store->seen));
	store->trimmed = calloc(STORE_QUEUE_COUNT, sizeof(*store->trimmed));
	store->overlay = store_overlay_new();
	bool memory = store->trimmed != NULL && store->overlay != NULL;
	enum kw_err err = memory ? store_env_open(options, &store->env) : KW_ENOMEM;
	if (err == KW_OK)
		err = store_writer_init(&store->writer, &store->env);
	if (err == KW_OK)
		err = store_load(store, options);
	store->done_figures = store->figures;
	store_rewrite_begin(store, options);
	if (err == KW_OK)
		err = start(store);
	if (err != KW_OK) {
		store_close(store);
		return err;
	}
	*out = store;
	return KW_OK;
}

uint64_t store_epoch(const struct store *store)
{
	return store->epoch;
}

void store_stats_get(struct store *store, struct store_stats *out)
{
	/* Asking the file system once a second is enough, and keeps this cheap. */
	uint64_t now = uv_now(store->loop);
	if (store->free_asked_ms == 0 || now - store->free_asked_ms >= 1000u) {
		struct statvfs disk;
		if (fstatvfs(store->env.folder_fd, &disk) == 0)
			store->reach_bytes = store->figures.file_bytes + (uint64_t)disk.f_bavail * disk.f_frsize;
		store->free_asked_ms = now > 0 ? now : 1;
	}
	uv_mutex_lock(&store->lock);
	bool waiting = store->waiting;
	uv_mutex_unlock(&store->lock);
	/* As of the asking: what the file has grown since, the disk has less. */
	uint64_t reach = store->reach_bytes;
	*out = (struct store_stats){
		.commits = store->figures.commits,
		.rows = store->figures.rows,
		.used_bytes = store->figures.used_bytes,
		.map_bytes = reach < store->env.map_size ? reach : store->env.map_size,
		.damaged_rows = store->figures.damaged + store->damaged_seen,
		.threads = store->figures.threads,
		.clocks = store->figures.clocks,
		.pending_ops = store->pending_ops,
		.waiting = waiting,
	};
}
