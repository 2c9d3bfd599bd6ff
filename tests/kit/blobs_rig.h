#ifndef TESTS_KIT_BLOBS_RIG_H
#define TESTS_KIT_BLOBS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/check.h"
#include "proto/wire/blobs.h"
#include "tests/kit/prng.h"

/* An owner, a hub and a recipient of blobs on a pretend network and pretend disks. */

#define CHUNK KW_BLOB_SEALED_CHUNK_SIZE
#define FILES_MAX 64
#define QUEUE_MAX 512
#define JOBS_MAX 512
#define HOUR 480000u
#define SYNC_CHUNKS 8u

enum { OWNER, HUB, RECIPIENT, NODES };

struct file {
	bool used;
	struct kw_blobs_entry entry;
	uint8_t have[KW_BLOB_CHUNKS_MAX]; /* 1 written, 2 synced */
};

struct frame {
	uint8_t type;
	union {
		struct kw_frame_blob_offer offer;
		struct kw_frame_blob_want want;
		struct kw_frame_blob_chunk chunk;
		struct kw_frame_blob_done done;
	} u;
};

struct job {
	struct kw_blobs_entry entry;
	struct kw_blobs_effect fx;
	struct kw_digest digest; /* WRITE: what was gathered */
	uint32_t start, size;
};

struct node {
	struct kw_blobs *blobs;
	void *memory;
	struct kw_blobs_limits limits;
	struct file files[FILES_MAX];
	struct job jobs[JOBS_MAX];
	uint32_t jobs_head, jobs_count;
	struct { struct kw_digest digest; uint32_t start, size; } gather[2];
};

/* Link 0 is owner–hub, link 1 recipient–hub; direction 0 goes to the hub. */
struct link {
	bool up;
	struct frame queue[2][QUEUE_MAX];
	uint32_t head[2], count[2];
};

struct world {
	struct prng prng;
	struct node nodes[NODES];
	struct link links[2];
	uint64_t now_ms;
	uint64_t carried[2];
	uint32_t cuts, crashes;
	bool lies; /* the hub's disk flips what it gives */
	uint32_t refusals;
};

static struct kw_blobs_plan plan;

static inline struct kw_name name_of(const char *text)
{
	struct kw_name name;
	KW_ASSERT(kw_name_from(kw_view_str(text), &name) == KW_OK);
	return name;
}

static inline uint32_t rnd(struct world *w, uint32_t below)
{
	return (uint32_t)(prng_next(&w->prng) % below);
}

static inline void step(struct world *w, int n, struct kw_blobs_event *event);

static inline struct file *file_find(struct node *node, const struct kw_blobs_entry *entry)
{
	for (int i = 0; i < FILES_MAX; i++) {
		struct file *f = &node->files[i];
		if (f->used && f->entry.state == entry->state && f->entry.expiry_hour == entry->expiry_hour &&
			memcmp(&f->entry.what.digest, &entry->what.digest, KW_DIGEST_SIZE) == 0 &&
			kw_name_equal(&f->entry.to, &entry->to) && kw_name_equal(&f->entry.from, &entry->from))
			return f;
	}
	return NULL;
}

static inline struct file *file_new(struct node *node, const struct kw_blobs_entry *entry)
{
	for (int i = 0; i < FILES_MAX; i++) {
		struct file *f = &node->files[i];
		if (f->used)
			continue;
		memset(f, 0, sizeof(*f));
		f->used = true;
		f->entry = *entry;
		return f;
	}
	KW_ASSERT(!"a place for a file");
	return NULL;
}

/* --- network */

/* The link and direction of what a node sends on a session. */
static inline struct link *link_of(struct world *w, int n, uint32_t session, int *direction)
{
	*direction = n == HUB ? 1 : 0;
	return &w->links[n == HUB ? session : n == RECIPIENT];
}

static inline void send_frame(struct world *w, int n, uint32_t session, const struct frame *frame)
{
	int d;
	struct link *l = link_of(w, n, session, &d);
	if (!l->up)
		return;
	KW_ASSERT(l->count[d] < QUEUE_MAX);
	l->queue[d][(l->head[d] + l->count[d]++) % QUEUE_MAX] = *frame;
}

static inline void send_fx(struct world *w, int n, const struct kw_blobs_effect *fx)
{
	struct frame frame = {.type = 0};
	const struct kw_blobs_entry *entry;
	switch (fx->type) {
	case KW_BLOBS_FX_OFFER:
		frame.type = KW_FRAME_BLOB_OFFER;
		frame.u.offer = fx->u.offer;
		break;
	case KW_BLOBS_FX_WANT:
		frame.type = KW_FRAME_BLOB_WANT;
		frame.u.want = fx->u.want;
		break;
	case KW_BLOBS_FX_DONE:
		frame.type = KW_FRAME_BLOB_DONE;
		frame.u.done = fx->u.done;
		break;
	default:
		entry = kw_blobs_entry(w->nodes[n].blobs, fx->entry);
		frame.type = KW_FRAME_BLOB_CHUNK;
		frame.u.chunk.ref = (struct kw_blob_ref){.digest = entry->what.digest, .agency = entry->to};
		frame.u.chunk.offset = fx->offset;
		frame.u.chunk.bytes = KW_VIEW(NULL, fx->size);
		if (fx->offset % CHUNK == 0) {
			uint32_t places[KW_BLOB_PATH_MAX];
			frame.u.chunk.path.size = KW_DIGEST_SIZE *
				kw_blob_tree_path(kw_blob_chunks(entry->what.size), fx->offset / CHUNK, places);
		}
		w->carried[n == HUB ? 1 : 0] += fx->size;
	}
	send_frame(w, n, fx->session, &frame);
}

static inline void deliver(struct world *w, int link, int d)
{
	struct link *l = &w->links[link];
	struct frame f = l->queue[d][l->head[d]];
	int edge = link == 0 ? OWNER : RECIPIENT;
	int to = d == 0 ? HUB : edge;
	struct kw_blobs_event event = {.session = to == HUB ? (uint32_t)link : 0};
	l->head[d] = (l->head[d] + 1) % QUEUE_MAX;
	l->count[d]--;
	switch (f.type) {
	case KW_FRAME_BLOB_OFFER:
		event.type = KW_BLOBS_EV_OFFER;
		event.u.offer.offer = f.u.offer;
		event.u.offer.taker = to == HUB ? 1 : KW_BLOBS_NONE;
		if (to == HUB)
			event.u.offer.from = name_of("owner");
		if (w->refusals > 0) {
			w->refusals--;
			event.u.offer.err = KW_EFULL;
		}
		break;
	case KW_FRAME_BLOB_WANT:
		event.type = KW_BLOBS_EV_WANT;
		event.u.want = f.u.want;
		break;
	case KW_FRAME_BLOB_CHUNK:
		event.type = KW_BLOBS_EV_CHUNK;
		event.u.chunk = f.u.chunk;
		break;
	default:
		event.type = KW_BLOBS_EV_DONE;
		event.u.done = f.u.done;
	}
	step(w, to, &event);
	/* The other side's connection is empty again. */
	if (l->up && l->count[d] == 0) {
		struct kw_blobs_event ready = {.type = KW_BLOBS_EV_READY, .session = to == HUB ? 0 : (uint32_t)link};
		step(w, to == HUB ? edge : HUB, &ready);
	}
}

static inline void poke(struct world *w, int n, uint32_t session)
{
	int d;
	struct link *l = link_of(w, n, session, &d);
	struct kw_blobs_event ready = {.type = KW_BLOBS_EV_READY, .session = session};
	if (l->up && l->count[d] == 0)
		step(w, n, &ready);
}

static inline void link_up(struct world *w, int link)
{
	struct link *l = &w->links[link];
	if (l->up)
		return;
	memset(l, 0, sizeof(*l));
	l->up = true;
	struct kw_blobs_event up = {.type = KW_BLOBS_EV_UP, .session = (uint32_t)link};
	step(w, HUB, &up);
	up.session = 0;
	step(w, link == 0 ? OWNER : RECIPIENT, &up);
}

static inline void link_down(struct world *w, int link, int but)
{
	struct link *l = &w->links[link];
	int edge = link == 0 ? OWNER : RECIPIENT;
	if (!l->up)
		return;
	l->up = false;
	struct kw_blobs_event down = {.type = KW_BLOBS_EV_DOWN, .session = (uint32_t)link};
	if (but != HUB)
		step(w, HUB, &down);
	down.session = 0;
	if (but != edge)
		step(w, edge, &down);
}

/* --- disk */

static inline void add_job(struct world *w, int n, const struct kw_blobs_effect *fx)
{
	struct node *node = &w->nodes[n];
	KW_ASSERT(node->jobs_count < JOBS_MAX);
	struct job *job = &node->jobs[(node->jobs_head + node->jobs_count++) % JOBS_MAX];
	*job = (struct job){.entry = *kw_blobs_entry(node->blobs, fx->entry), .fx = *fx};
	if (fx->op == KW_BLOBS_WRITE) {
		job->digest = node->gather[fx->session].digest;
		job->start = node->gather[fx->session].start;
		job->size = node->gather[fx->session].size;
	}
}

static inline enum kw_err do_write(struct file *f, const struct job *job)
{
	uint32_t chunk = job->fx.chunk;
	if (memcmp(&job->digest, &job->entry.what.digest, KW_DIGEST_SIZE) != 0 || job->start != chunk * CHUNK ||
		job->size != kw_blob_chunk_size(job->entry.what.size, chunk))
		return KW_EAUTH;
	f->have[chunk] = 1;
	if (chunk % SYNC_CHUNKS == SYNC_CHUNKS - 1)
		for (uint32_t i = 0; i <= chunk; i++)
			f->have[i] = f->have[i] != 0 ? 2 : 0;
	return KW_OK;
}

static inline enum kw_err do_job(struct world *w, int n, const struct job *job, uint32_t *value)
{
	struct node *node = &w->nodes[n];
	struct file *f = file_find(node, &job->entry);
	uint32_t chunks = kw_blob_chunks(job->entry.what.size);
	if (job->fx.op == KW_BLOBS_CREATE) {
		if (f != NULL)
			memset(f->have, 0, sizeof(f->have));
		else
			(void)file_new(node, &job->entry);
		return KW_OK;
	}
	if (job->fx.op == KW_BLOBS_REMOVE) {
		if (f != NULL)
			f->used = false;
		return KW_OK;
	}
	if (f == NULL)
		return KW_ENOTFOUND;
	switch (job->fx.op) {
	case KW_BLOBS_RECOVER:
		for (*value = 0; *value < chunks && f->have[*value] != 0; (*value)++)
			;
		return KW_OK;
	case KW_BLOBS_WRITE:
		return do_write(f, job);
	case KW_BLOBS_FINISH:
		for (uint32_t i = 0; i < chunks; i++)
			KW_ASSERT(f->have[i] != 0);
		f->entry.state = KW_BLOB_WHOLE;
		f->entry.expiry_hour = job->fx.expiry_hour;
		*value = job->fx.expiry_hour;
		return KW_OK;
	case KW_BLOBS_READ:
		KW_ASSERT(f->entry.state == KW_BLOB_WHOLE && job->fx.chunk < chunks);
		return w->lies && n == HUB && rnd(w, 40) == 0 ? KW_ECORRUPT : KW_OK;
	case KW_BLOBS_KEEP:
		f->entry.expiry_hour = job->fx.expiry_hour;
		*value = job->fx.expiry_hour;
		return KW_OK;
	case KW_BLOBS_LOSE:
		f->entry.state = KW_BLOB_LOST;
		return KW_OK;
	default:
		f->entry.state = KW_BLOB_GIVEN;
		return KW_OK;
	}
}

static inline void run_job(struct world *w, int n)
{
	struct node *node = &w->nodes[n];
	struct job job = node->jobs[node->jobs_head];
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_DISK, .session = job.fx.session};
	node->jobs_head = (node->jobs_head + 1) % JOBS_MAX;
	node->jobs_count--;
	event.u.disk.op = job.fx.op;
	event.u.disk.entry = job.fx.entry;
	event.u.disk.chunk = job.fx.chunk;
	event.u.disk.err = do_job(w, n, &job, &event.u.disk.value);
	step(w, n, &event);
	if (job.fx.op == KW_BLOBS_READ)
		poke(w, n, job.fx.session);
}

/* --- nodes */

static inline void step(struct world *w, int n, struct kw_blobs_event *event)
{
	struct node *node = &w->nodes[n];
	struct kw_blobs_effect effects[KW_BLOBS_PLAN_MAX];
	event->mono_ms = w->now_ms;
	event->wall_ms = HOUR * 3600000ull + w->now_ms;
	kw_blobs_step(node->blobs, event, &plan);
	uint32_t count = plan.count;
	memcpy(effects, plan.effects, count * sizeof(effects[0]));
	for (uint32_t i = 0; i < count; i++) {
		const struct kw_blobs_effect *fx = &effects[i];
		if (fx->type == KW_BLOBS_FX_DISK) {
			add_job(w, n, fx);
		} else if (fx->type == KW_BLOBS_FX_GATHER) {
			node->gather[fx->session].digest = event->u.chunk.ref.digest;
			if (fx->offset == 0)
				node->gather[fx->session].start = event->u.chunk.offset;
			node->gather[fx->session].size = fx->offset + (uint32_t)event->u.chunk.bytes.size;
			KW_ASSERT(node->gather[fx->session].start + fx->offset == event->u.chunk.offset);
		} else if (fx->type == KW_BLOBS_FX_CLOSE) {
			KW_ASSERT(!"nobody breaks the rules here");
		} else if (fx->type != KW_BLOBS_FX_NOTE) {
			send_fx(w, n, fx);
		}
	}
	if (event->type == KW_BLOBS_EV_WANT)
		poke(w, n, event->session);
}

static inline void node_start(struct world *w, int n)
{
	struct node *node = &w->nodes[n];
	node->limits = (struct kw_blobs_limits){.entries_max = 32, .sessions_max = n == HUB ? 2 : 1, .bytes_max = 8u << 20,
		.giver_bytes_max = 4u << 20, .giver_count_max = 16, .taking_max = 4, .keep_hours = 2000, .is_end = n != HUB,
		.peer_bytes_max = n == HUB ? 0 : 4u << 20, .peer_count_max = 16, .unnamed_hours = n == HUB ? 0 : 48};
	memset(node->memory, 0, kw_blobs_size(&node->limits));
	node->blobs = kw_blobs_init(node->memory, &node->limits);
	node->jobs_count = 0;
	for (int i = 0; i < FILES_MAX; i++) {
		struct kw_blobs_event event = {.type = KW_BLOBS_EV_ENTRY, .u.entry = node->files[i].entry};
		if (!node->files[i].used)
			continue;
		event.u.entry.giver = n == OWNER ? KW_BLOBS_NONE : 0;
		event.u.entry.taker = n == OWNER ? 0 : n == HUB ? 1 : KW_BLOBS_NONE;
		step(w, n, &event);
	}
}

/* Power is lost: links end without a word, what was not synced may be gone, work not done is not done. */
static inline void crash(struct world *w, int n)
{
	struct node *node = &w->nodes[n];
	w->crashes++;
	for (int link = 0; link < 2; link++)
		if (n == HUB || link == (n == RECIPIENT))
			link_down(w, link, n);
	for (int i = 0; i < FILES_MAX; i++)
		for (uint32_t c = 0; c < KW_BLOB_CHUNKS_MAX && node->files[i].entry.state == KW_BLOB_PART; c++)
			if (node->files[i].have[c] == 1 && rnd(w, 2) == 0)
				node->files[i].have[c] = 0;
	node_start(w, n);
}

static inline void make_at(struct world *w, int n, uint32_t number, uint32_t size)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_ENTRY};
	event.u.entry = (struct kw_blobs_entry){.what.size = kw_blob_padded_size(size), .from = name_of("owner"),
		.to = name_of("recipient"), .expiry_hour = HOUR + 700, .state = KW_BLOB_WHOLE, .giver = KW_BLOBS_NONE, .taker = 0};
	memset(event.u.entry.what.digest.bytes, (int)number + 1, KW_DIGEST_SIZE);
	struct file *f = file_new(&w->nodes[n], &event.u.entry);
	memset(f->have, 2, sizeof(f->have));
	step(w, n, &event);
}

static inline void make_blob(struct world *w, uint32_t number, uint32_t size)
{
	make_at(w, OWNER, number, size);
}

static inline struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	w->prng.state = seed;
	for (int n = 0; n < NODES; n++) {
		struct kw_blobs_limits most = {.entries_max = 32, .sessions_max = 2, .taking_max = 1};
		w->nodes[n].memory = aligned_alloc(64, (kw_blobs_size(&most) + 63) & ~(size_t)63);
		node_start(w, n);
	}
	return w;
}

static inline void world_free(struct world *w)
{
	for (int n = 0; n < NODES; n++)
		free(w->nodes[n].memory);
	free(w);
}

static inline void some_event(struct world *w, uint32_t faults)
{
	uint32_t what = rnd(w, 1000);
	if (what < faults) {
		uint32_t kind = rnd(w, 8);
		if (kind < 5) {
			w->cuts += w->links[kind % 2].up ? 1 : 0;
			link_down(w, (int)(kind % 2), -1);
		} else {
			crash(w, (int)kind - 5);
		}
	} else if (what < 50) {
		link_up(w, (int)rnd(w, 2));
	} else if (what < 80) {
		w->now_ms += rnd(w, 2000);
		for (int n = 0; n < NODES; n++)
			step(w, n, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	} else if (what < 500) {
		int n = (int)rnd(w, NODES);
		if (w->nodes[n].jobs_count > 0)
			run_job(w, n);
	} else {
		int link = (int)rnd(w, 2), d = (int)rnd(w, 2);
		w->now_ms += rnd(w, 30);
		if (w->links[link].up && w->links[link].count[d] > 0)
			deliver(w, link, d);
	}
}

static inline uint32_t files_in(const struct node *node, enum kw_blob_state state)
{
	uint32_t count = 0;
	for (int i = 0; i < FILES_MAX; i++)
		count += node->files[i].used && node->files[i].entry.state == state;
	return count;
}

static inline void check_counts(const struct node *node)
{
	struct kw_blobs_counts counts;
	uint64_t bytes = 0;
	uint32_t files = 0;
	for (int i = 0; i < FILES_MAX; i++) {
		files += node->files[i].used;
		if (node->files[i].used && node->files[i].entry.state != KW_BLOB_GIVEN && node->files[i].entry.state != KW_BLOB_LOST)
			bytes += kw_blob_sealed_size(node->files[i].entry.what.size);
	}
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.entries, files);
	assert_int_equal(counts.bytes, bytes);
}

static inline struct kw_blobs_event offer_of(const struct world *w, uint32_t number, uint32_t size)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_OFFER, .wall_ms = HOUR * 3600000ull, .mono_ms = w->now_ms};
	event.u.offer.offer = (struct kw_frame_blob_offer){.ref.agency = name_of("recipient"), .size = size,
		.expiry_hour = HOUR + 1};
	memset(event.u.offer.offer.ref.digest.bytes, (int)number, KW_DIGEST_SIZE);
	event.u.offer.from = name_of("owner");
	event.u.offer.taker = 1;
	return event;
}

#endif
