#include "proto/link/blob_node.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "proto/base/check.h"
#include "proto/link/log.h"

/* One disk effect on its way. */
struct job {
	struct job *next;
	struct kw_blobs_entry entry; /* as it was when the effect came */
	struct kw_blobs_event event; /* the answer */
	struct kw_blob_chunk_buf *chunk; /* WRITE: what was gathered; READ: what was read */
	uint32_t expiry_hour;
};

struct node_session {
	struct kw_blob_chunk_buf *gather; /* the chunk that comes in */
	struct kw_blob_chunk_buf *read;   /* the chunk that goes out */
};

struct kw_blob_node {
	struct kw_blob_node_hooks hooks;
	struct kw_blobs_limits limits;
	struct kw_blob_folder folder;
	char *path;
	uint8_t key[KW_BLOB_FOLDER_KEY_SIZE];
	uv_loop_t *loop;
	uv_work_t work;
	struct kw_blobs *blobs;
	void *memory;
	struct kw_blobs_plan plan;
	struct node_session *sessions;
	struct job *first, **last; /* not handed over */
	struct job *busy;          /* the worker's */
	bool working;
	bool closing;
};

static void run(struct kw_blob_node *node, struct kw_blobs_event *event, const struct kw_frame_blob_chunk *chunk);

static uint64_t clock_ms(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void job_free(struct job *job)
{
	free(job->chunk);
	free(job);
}

/* --- the worker's side */

static void do_job(const struct kw_blob_folder *folder, struct job *job)
{
	struct kw_blobs_event *event = &job->event;
	struct kw_blob_piece piece = {.index = event->u.disk.chunk};
	switch (event->u.disk.op) {
	case KW_BLOBS_CREATE:
		event->u.disk.err = kw_blob_file_create(folder, &job->entry);
		break;
	case KW_BLOBS_RECOVER:
		event->u.disk.err = kw_blob_file_recover(folder, &job->entry, &event->u.disk.value);
		break;
	case KW_BLOBS_WRITE:
		piece.bytes = KW_VIEW(job->chunk->bytes, job->chunk->size);
		piece.path = KW_VIEW(job->chunk->path, job->chunk->path_size);
		event->u.disk.err = kw_blob_file_write(folder, &job->entry, &piece);
		break;
	case KW_BLOBS_FINISH:
		event->u.disk.value = job->expiry_hour;
		event->u.disk.err = kw_blob_file_finish(folder, &job->entry, job->expiry_hour);
		break;
	case KW_BLOBS_READ:
		event->u.disk.err = kw_blob_file_read(folder, &job->entry, event->u.disk.chunk, job->chunk);
		break;
	case KW_BLOBS_GIVE:
		event->u.disk.err = kw_blob_file_give(folder, &job->entry);
		break;
	case KW_BLOBS_LOSE:
		event->u.disk.err = kw_blob_file_lose(folder, &job->entry);
		break;
	case KW_BLOBS_KEEP:
		event->u.disk.value = job->expiry_hour;
		event->u.disk.err = kw_blob_file_keep(folder, &job->entry, job->expiry_hour);
		break;
	case KW_BLOBS_REMOVE:
		event->u.disk.err = kw_blob_file_remove(folder, &job->entry);
		break;
	}
}

static void on_work(uv_work_t *work)
{
	const struct kw_blob_node *node = work->data;
	for (struct job *job = node->busy; job != NULL; job = job->next)
		do_job(&node->folder, job);
}

/* --- the loop's side */

static void node_destroy(struct kw_blob_node *node)
{
	for (uint32_t i = 0; node->sessions != NULL && i < node->limits.sessions_max; i++) {
		free(node->sessions[i].gather);
		free(node->sessions[i].read);
	}
	free(node->sessions);
	free(node->memory);
	free(node->path);
	kw_wipe(node, sizeof(*node));
	free(node);
}

static void on_worked(uv_work_t *work, int status);

static void hand_over(struct kw_blob_node *node)
{
	if (node->working || node->first == NULL)
		return;
	node->busy = node->first;
	node->first = NULL;
	node->last = &node->first;
	node->working = true;
	if (uv_queue_work(node->loop, &node->work, on_work, on_worked) != 0) {
		node->working = false; /* only for a NULL callback, says libuv */
		node->hooks.fatal(node->hooks.user, KW_ENOMEM);
	}
}

static void poke(struct kw_blob_node *node, uint32_t session)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_READY, .session = session};
	if (node->hooks.pending(node->hooks.user, session) == 0)
		run(node, &event, NULL);
}

static void answer(struct kw_blob_node *node, struct job *job)
{
	uint32_t session = job->event.session;
	bool read = job->event.u.disk.op == KW_BLOBS_READ;
	if (job->event.u.disk.err != KW_OK)
		kw_log(KW_LOG_WARN, "blob_file", KW_LOG_INT("op", job->event.u.disk.op), KW_LOG_ERR(job->event.u.disk.err));
	if (read) {
		free(node->sessions[session].read);
		node->sessions[session].read = job->chunk;
		job->chunk = NULL;
	}
	run(node, &job->event, NULL);
	if (read)
		poke(node, session);
	job_free(job);
}

static void on_worked(uv_work_t *work, int status)
{
	struct kw_blob_node *node = work->data;
	struct job *job = node->busy;
	(void)status; /* never cancelled */
	node->busy = NULL;
	node->working = false;
	while (job != NULL) {
		struct job *next = job->next;
		if (node->closing)
			job_free(job);
		else
			answer(node, job);
		job = next;
	}
	if (node->closing)
		node_destroy(node);
	else
		hand_over(node);
}

static struct kw_blob_chunk_buf *chunk_new(struct kw_blob_node *node)
{
	struct kw_blob_chunk_buf *chunk = calloc(1, sizeof(*chunk));
	if (chunk == NULL)
		node->hooks.fatal(node->hooks.user, KW_ENOMEM);
	return chunk;
}

static void fx_disk(struct kw_blob_node *node, const struct kw_blobs_effect *fx)
{
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL) {
		node->hooks.fatal(node->hooks.user, KW_ENOMEM);
		return;
	}
	job->entry = *kw_blobs_entry(node->blobs, fx->entry);
	job->expiry_hour = fx->expiry_hour;
	job->event.type = KW_BLOBS_EV_DISK;
	job->event.session = fx->session;
	job->event.u.disk.op = fx->op;
	job->event.u.disk.entry = fx->entry;
	job->event.u.disk.chunk = fx->chunk;
	if (fx->op == KW_BLOBS_WRITE) {
		job->chunk = node->sessions[fx->session].gather;
		node->sessions[fx->session].gather = NULL;
		KW_ASSERT(job->chunk != NULL);
	} else if (fx->op == KW_BLOBS_READ) {
		job->chunk = chunk_new(node);
	}
	*node->last = job;
	node->last = &job->next;
}

static void fx_gather(struct kw_blob_node *node, const struct kw_blobs_effect *fx, const struct kw_frame_blob_chunk *chunk)
{
	struct node_session *s = &node->sessions[fx->session];
	if (s->gather == NULL)
		s->gather = chunk_new(node);
	if (s->gather == NULL)
		return;
	KW_ASSERT(chunk != NULL && fx->offset + chunk->bytes.size <= sizeof(s->gather->bytes));
	memcpy(s->gather->bytes + fx->offset, chunk->bytes.data, chunk->bytes.size);
	s->gather->size = fx->offset + (uint32_t)chunk->bytes.size;
	if (fx->offset == 0) {
		s->gather->path_size = (uint32_t)chunk->path.size;
		if (chunk->path.size > 0)
			memcpy(s->gather->path, chunk->path.data, chunk->path.size);
	}
}

static enum kw_err add_piece(struct kw_blob_node *node, const struct kw_blobs_effect *fx, struct kw_buf *out)
{
	const struct kw_blobs_entry *entry = kw_blobs_entry(node->blobs, fx->entry);
	const struct kw_blob_chunk_buf *read = node->sessions[fx->session].read;
	uint32_t within = fx->offset % KW_BLOB_SEALED_CHUNK_SIZE;
	KW_ASSERT(read != NULL && within + fx->size <= read->size);
	struct kw_frame_blob_chunk chunk = {.ref = {.digest = entry->what.digest, .agency = entry->to},
		.offset = fx->offset,
		.bytes = KW_VIEW(read->bytes + within, fx->size),
		.path = KW_VIEW(read->path, within == 0 ? read->path_size : 0)};
	return kw_frame_blob_chunk_add(out, &chunk);
}

static void fx_frame(struct kw_blob_node *node, const struct kw_blobs_effect *fx)
{
	struct kw_buf *out = node->hooks.out(node->hooks.user, fx->session);
	enum kw_err err;
	if (out == NULL)
		return;
	if (fx->type == KW_BLOBS_FX_OFFER)
		err = kw_frame_blob_offer_add(out, &fx->u.offer);
	else if (fx->type == KW_BLOBS_FX_WANT)
		err = kw_frame_blob_want_add(out, &fx->u.want);
	else if (fx->type == KW_BLOBS_FX_DONE)
		err = kw_frame_blob_done_add(out, &fx->u.done);
	else
		err = add_piece(node, fx, out);
	if (err != KW_OK)
		node->hooks.close(node->hooks.user, fx->session, err);
	else
		node->hooks.ready(node->hooks.user, fx->session);
}

/* The first bytes of the digest: enough to find the file, and no name of an agency. */
static void fx_note(const struct kw_blob_node *node, const struct kw_blobs_effect *fx)
{
	static const char *const NAMES[] = {[KW_BLOBS_NOTE_WHOLE] = "blob_whole", [KW_BLOBS_NOTE_HELD] = "blob_held",
		[KW_BLOBS_NOTE_GIVEN] = "blob_given", [KW_BLOBS_NOTE_REFUSED] = "blob_refused",
		[KW_BLOBS_NOTE_EXPIRED] = "blob_expired", [KW_BLOBS_NOTE_UNNAMED] = "blob_unnamed",
		[KW_BLOBS_NOTE_DAMAGED] = "blob_damaged"};
	char hex[17];
	kw_hex(hex, KW_VIEW(kw_blobs_entry(node->blobs, fx->entry)->what.digest.bytes, 8));
	kw_log(fx->err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, NAMES[fx->note], KW_LOG_STR("digest", hex), KW_LOG_ERR(fx->err));
}

static void carry_out(struct kw_blob_node *node, const struct kw_frame_blob_chunk *chunk)
{
	for (uint32_t i = 0; i < node->plan.count; i++) {
		const struct kw_blobs_effect *fx = &node->plan.effects[i];
		switch (fx->type) {
		case KW_BLOBS_FX_OFFER:
		case KW_BLOBS_FX_WANT:
		case KW_BLOBS_FX_DONE:
		case KW_BLOBS_FX_PIECE:
			fx_frame(node, fx);
			break;
		case KW_BLOBS_FX_GATHER:
			fx_gather(node, fx, chunk);
			break;
		case KW_BLOBS_FX_DISK:
			fx_disk(node, fx);
			break;
		case KW_BLOBS_FX_CLOSE:
			node->hooks.close(node->hooks.user, fx->session, fx->err);
			break;
		case KW_BLOBS_FX_NOTE:
			fx_note(node, fx);
			break;
		}
	}
}

static void run(struct kw_blob_node *node, struct kw_blobs_event *event, const struct kw_frame_blob_chunk *chunk)
{
	event->wall_ms = clock_ms(CLOCK_REALTIME);
	event->mono_ms = clock_ms(CLOCK_MONOTONIC);
	kw_blobs_step(node->blobs, event, &node->plan);
	carry_out(node, chunk);
	hand_over(node);
}

void kw_blob_node_up(struct kw_blob_node *node, uint32_t session)
{
	run(node, &(struct kw_blobs_event){.type = KW_BLOBS_EV_UP, .session = session}, NULL);
}

void kw_blob_node_down(struct kw_blob_node *node, uint32_t session)
{
	struct node_session *s = &node->sessions[session];
	run(node, &(struct kw_blobs_event){.type = KW_BLOBS_EV_DOWN, .session = session}, NULL);
	free(s->gather);
	free(s->read);
	*s = (struct node_session){.gather = NULL};
}

enum kw_err kw_blob_node_frame(struct kw_blob_node *node, uint32_t session, const struct kw_frame *frame)
{
	struct kw_blobs_event event = {.session = session};
	struct kw_blobs_entry label = {.taker = KW_BLOBS_NONE};
	enum kw_err err;
	switch (frame->type) {
	case KW_FRAME_BLOB_OFFER:
		event.type = KW_BLOBS_EV_OFFER;
		err = kw_frame_blob_offer_parse(frame->body, &event.u.offer.offer);
		if (err != KW_OK)
			return err;
		event.u.offer.err = node->hooks.admit(node->hooks.user, session, &event.u.offer.offer, &label);
		event.u.offer.from = label.from;
		event.u.offer.taker = label.taker;
		event.u.offer.named_hour = label.named_hour;
		break;
	case KW_FRAME_BLOB_WANT:
		event.type = KW_BLOBS_EV_WANT;
		err = kw_frame_blob_want_parse(frame->body, &event.u.want);
		break;
	case KW_FRAME_BLOB_CHUNK:
		event.type = KW_BLOBS_EV_CHUNK;
		err = kw_frame_blob_chunk_parse(frame->body, &event.u.chunk);
		break;
	default:
		event.type = KW_BLOBS_EV_DONE;
		err = kw_frame_blob_done_parse(frame->body, &event.u.done);
		break;
	}
	if (err != KW_OK)
		return err;
	struct kw_frame_blob_chunk chunk = {.offset = 0};
	if (event.type == KW_BLOBS_EV_CHUNK)
		chunk = event.u.chunk;
	run(node, &event, &chunk);
	if (event.type == KW_BLOBS_EV_WANT)
		poke(node, session);
	return KW_OK;
}

void kw_blob_node_drained(struct kw_blob_node *node, uint32_t session)
{
	poke(node, session);
}

void kw_blob_node_tick(struct kw_blob_node *node)
{
	run(node, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK}, NULL);
}

void kw_blob_node_room(struct kw_blob_node *node, uint32_t padded_size, bool taken)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_ROOM};
	event.u.room.size = padded_size;
	event.u.room.taken = taken;
	run(node, &event, NULL);
}

void kw_blob_node_named(struct kw_blob_node *node, const struct kw_digest *digest)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_NAMED, .u.digest = *digest};
	run(node, &event, NULL);
}

void kw_blob_node_drop(struct kw_blob_node *node, const struct kw_digest *digest)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_DROP, .u.digest = *digest};
	run(node, &event, NULL);
}

enum kw_err kw_blob_node_add(struct kw_blob_node *node, const struct kw_blobs_entry *entry)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_ENTRY};
	struct kw_blobs_counts before, after;
	event.u.entry = *entry;
	kw_blobs_counts_get(node->blobs, &before);
	run(node, &event, NULL);
	kw_blobs_counts_get(node->blobs, &after);
	return after.entries > before.entries ? KW_OK : KW_EFULL;
}

static void found(void *user, const struct kw_blobs_entry *entry)
{
	struct kw_blob_node *node = user;
	struct kw_blobs_entry labelled = *entry;
	if (node->hooks.find(node->hooks.user, &labelled) && kw_blob_node_add(node, &labelled) != KW_OK)
		kw_log(KW_LOG_WARN, "blob_left", KW_LOG_ERR(KW_EFULL)); /* it lies there until there is an entry at a start */
}

enum kw_err kw_blob_node_open(const struct kw_blob_node_options *options, uv_loop_t *loop,
	const struct kw_blob_node_hooks *hooks, struct kw_blob_node **out)
{
	uint32_t damaged = 0;
	struct kw_blob_node *node = calloc(1, sizeof(*node));
	if (node == NULL)
		return KW_ENOMEM;
	size_t size = (kw_blobs_size(&options->limits) + 63u) & ~(size_t)63u;
	node->hooks = *hooks;
	node->limits = options->limits;
	node->loop = loop;
	node->work.data = node;
	node->last = &node->first;
	node->path = strdup(options->folder);
	node->folder = (struct kw_blob_folder){.path = node->path, .own = options->own};
	if (options->key != NULL) {
		memcpy(node->key, options->key, sizeof(node->key));
		node->folder.key = node->key;
	}
	node->sessions = calloc(options->limits.sessions_max, sizeof(*node->sessions));
	node->memory = aligned_alloc(64, size);
	if (node->path == NULL || node->sessions == NULL || node->memory == NULL) {
		node_destroy(node);
		return KW_ENOMEM;
	}
	memset(node->memory, 0, size);
	node->blobs = kw_blobs_init(node->memory, &options->limits);
	enum kw_err err = kw_blob_folder_make(&node->folder);
	if (err == KW_OK)
		err = kw_blob_folder_list(&node->folder, found, node, &damaged);
	if (err != KW_OK) {
		node_destroy(node);
		return err;
	}
	if (damaged > 0)
		kw_log(KW_LOG_WARN, "blob_files_damaged", KW_LOG_INT("count", damaged));
	*out = node;
	return KW_OK;
}

void kw_blob_node_free(struct kw_blob_node *node)
{
	if (node == NULL)
		return;
	node->closing = true;
	for (struct job *job = node->first; job != NULL;) {
		struct job *next = job->next;
		job_free(job);
		job = next;
	}
	node->first = NULL;
	node->last = &node->first;
	if (!node->working)
		node_destroy(node);
}

const struct kw_blobs *kw_blob_node_blobs(const struct kw_blob_node *node)
{
	return node->blobs;
}

const struct kw_blob_folder *kw_blob_node_folder(const struct kw_blob_node *node)
{
	return &node->folder;
}

const struct kw_blobs_limits *kw_blob_node_limits(const struct kw_blob_node *node)
{
	return &node->limits;
}
