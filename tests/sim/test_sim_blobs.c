/* proto/wire/blobs.c and its two halves: an owner, a hub and a recipient on a pretend network and pretend disks. Links are
 * cut, nodes lose power, disks forget what was not synced; at the end every blob has arrived once and whole, the hub keeps
 * nothing, and no more was carried than the faults explain. A failure names its seed; KW_SEED=n runs that one. */

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

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	KW_ASSERT(kw_name_from(kw_view_str(text), &name) == KW_OK);
	return name;
}

static uint32_t rnd(struct world *w, uint32_t below)
{
	return (uint32_t)(prng_next(&w->prng) % below);
}

static void step(struct world *w, int n, struct kw_blobs_event *event);

static struct file *file_find(struct node *node, const struct kw_blobs_entry *entry)
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

static struct file *file_new(struct node *node, const struct kw_blobs_entry *entry)
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
static struct link *link_of(struct world *w, int n, uint32_t session, int *direction)
{
	*direction = n == HUB ? 1 : 0;
	return &w->links[n == HUB ? session : n == RECIPIENT];
}

static void send_frame(struct world *w, int n, uint32_t session, const struct frame *frame)
{
	int d;
	struct link *l = link_of(w, n, session, &d);
	if (!l->up)
		return;
	KW_ASSERT(l->count[d] < QUEUE_MAX);
	l->queue[d][(l->head[d] + l->count[d]++) % QUEUE_MAX] = *frame;
}

static void send_fx(struct world *w, int n, const struct kw_blobs_effect *fx)
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

static void deliver(struct world *w, int link, int d)
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

static void poke(struct world *w, int n, uint32_t session)
{
	int d;
	struct link *l = link_of(w, n, session, &d);
	struct kw_blobs_event ready = {.type = KW_BLOBS_EV_READY, .session = session};
	if (l->up && l->count[d] == 0)
		step(w, n, &ready);
}

static void link_up(struct world *w, int link)
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

static void link_down(struct world *w, int link, int but)
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

static void add_job(struct world *w, int n, const struct kw_blobs_effect *fx)
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

static enum kw_err do_write(struct file *f, const struct job *job)
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

static enum kw_err do_job(struct world *w, int n, const struct job *job, uint32_t *value)
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
	default:
		f->entry.state = KW_BLOB_GIVEN;
		return KW_OK;
	}
}

static void run_job(struct world *w, int n)
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

static void step(struct world *w, int n, struct kw_blobs_event *event)
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

static void node_start(struct world *w, int n)
{
	struct node *node = &w->nodes[n];
	node->limits = (struct kw_blobs_limits){.entries_max = 32, .sessions_max = n == HUB ? 2 : 1, .bytes_max = 8u << 20,
		.giver_bytes_max = 4u << 20, .giver_count_max = 16, .taking_max = 4, .keep_hours = 2000, .is_end = n != HUB};
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
static void crash(struct world *w, int n)
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

static void make_blob(struct world *w, uint32_t number, uint32_t size)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_ENTRY};
	event.u.entry = (struct kw_blobs_entry){.what.size = kw_blob_padded_size(size), .from = name_of("owner"),
		.to = name_of("recipient"), .expiry_hour = HOUR + 700, .state = KW_BLOB_WHOLE, .giver = KW_BLOBS_NONE, .taker = 0};
	memset(event.u.entry.what.digest.bytes, (int)number + 1, KW_DIGEST_SIZE);
	struct file *f = file_new(&w->nodes[OWNER], &event.u.entry);
	memset(f->have, 2, sizeof(f->have));
	step(w, OWNER, &event);
}

static struct world *world_new(uint64_t seed)
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

static void world_free(struct world *w)
{
	for (int n = 0; n < NODES; n++)
		free(w->nodes[n].memory);
	free(w);
}

static void some_event(struct world *w, uint32_t faults)
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

static uint32_t files_in(const struct node *node, enum kw_blob_state state)
{
	uint32_t count = 0;
	for (int i = 0; i < FILES_MAX; i++)
		count += node->files[i].used && node->files[i].entry.state == state;
	return count;
}

static void check_counts(const struct node *node)
{
	struct kw_blobs_counts counts;
	uint64_t bytes = 0;
	uint32_t files = 0;
	for (int i = 0; i < FILES_MAX; i++) {
		files += node->files[i].used;
		if (node->files[i].used && node->files[i].entry.state != KW_BLOB_GIVEN)
			bytes += kw_blob_sealed_size(node->files[i].entry.what.size);
	}
	kw_blobs_counts_get(node->blobs, &counts);
	assert_int_equal(counts.entries, files);
	assert_int_equal(counts.bytes, bytes);
}

/* What was carried more than once, over all seeds without a lying disk. */
struct again {
	uint64_t bytes;
	uint64_t faults;
};

static void run_seed(uint64_t seed, struct again *again)
{
	struct world *w = world_new(seed);
	uint32_t blobs = 1 + rnd(w, 4);
	uint64_t total = 0;
	w->lies = seed % 4 == 0;
	w->refusals = seed % 5 == 0 ? 2 : 0;
	for (uint32_t i = 0; i < blobs; i++) {
		uint32_t size = rnd(w, 3) == 0 ? rnd(w, 20000) : rnd(w, 900000);
		uint32_t sealed = kw_blob_sealed_size(kw_blob_padded_size(size));
		total += sealed;
		make_blob(w, i, size);
	}
	for (int i = 0; i < 6000; i++)
		some_event(w, 4);
	w->lies = false;
	for (int i = 0; i < 60000; i++)
		some_event(w, 0);
	assert_int_equal(files_in(&w->nodes[RECIPIENT], KW_BLOB_WHOLE), blobs);
	assert_int_equal(files_in(&w->nodes[RECIPIENT], KW_BLOB_PART), 0);
	assert_int_equal(files_in(&w->nodes[OWNER], KW_BLOB_GIVEN), blobs);
	for (int s = KW_BLOB_PART; s <= KW_BLOB_GIVEN; s++)
		assert_int_equal(files_in(&w->nodes[HUB], (enum kw_blob_state)s), 0);
	for (int n = 0; n < NODES; n++)
		check_counts(&w->nodes[n]);
	if (seed % 4 != 0) {
		again->bytes += w->carried[0] - total + w->carried[1] - total;
		again->faults += w->cuts + w->crashes;
	}
	world_free(w);
}

static void test_every_blob_arrives_through_cuts_and_crashes(void **state)
{
	(void)state;
	const char *one = getenv("KW_SEED");
	const char *many = getenv("KW_SEEDS");
	uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1;
	uint64_t to = one != NULL ? from : many != NULL ? strtoull(many, NULL, 10) : 400;
	struct again again = {0};
	for (uint64_t seed = from; seed <= to; seed++) {
		(void)fprintf(stderr, "\rseed %llu ", (unsigned long long)seed); /* the last one shown is the one that failed */
		run_seed(seed, &again);
	}
	print_message("carried again: %llu bytes a fault\n", (unsigned long long)(again.bytes / (again.faults + 1)));
	/* Under way or not synced when the fault came; a transfer that began from the front each time costs 19,831 bytes a fault, and this one 5,839. */
	if (one == NULL)
		assert_true(again.bytes <= again.faults * CHUNK * 3 / 4);
	(void)fprintf(stderr, "\n");
}

/* --- single decisions */

static struct kw_blobs_event offer_of(const struct world *w, uint32_t number, uint32_t size)
{
	struct kw_blobs_event event = {.type = KW_BLOBS_EV_OFFER, .wall_ms = HOUR * 3600000ull, .mono_ms = w->now_ms};
	event.u.offer.offer = (struct kw_frame_blob_offer){.ref.agency = name_of("recipient"), .size = size,
		.expiry_hour = HOUR + 1};
	memset(event.u.offer.offer.ref.digest.bytes, (int)number, KW_DIGEST_SIZE);
	event.u.offer.from = name_of("owner");
	event.u.offer.taker = 1;
	return event;
}

/* What the hub says at once to an offer: KW_OK when it makes a file for it. */
static enum kw_err say(struct world *w, struct kw_blobs_event *event)
{
	kw_blobs_step(w->nodes[HUB].blobs, event, &plan);
	assert_int_equal(plan.count, 1);
	if (plan.effects[0].type == KW_BLOBS_FX_DISK) {
		assert_int_equal(plan.effects[0].op, KW_BLOBS_CREATE);
		return KW_OK;
	}
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_DONE);
	return plan.effects[0].u.done.code;
}

static void test_quotas_at_their_limit_and_one_more(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	/* 16 blobs of one giver, no 17th. */
	for (uint32_t i = 1; i <= 16; i++) {
		struct kw_blobs_event event = offer_of(w, i, 512);
		assert_int_equal(say(w, &event), KW_OK);
	}
	struct kw_blobs_event event = offer_of(w, 17, 512);
	assert_int_equal(say(w, &event), KW_EFULL);
	assert_true(plan.effects[0].u.done.retry_after_ms > 0);
	world_free(w);

	/* 4 MiB of one giver, sealed; what can never fit is refused for good. */
	w = world_new(1);
	link_up(w, 0);
	uint32_t two_mib = kw_blob_padded_size(2000000);
	event = offer_of(w, 1, two_mib);
	assert_int_equal(say(w, &event), KW_OK);
	event = offer_of(w, 2, two_mib);
	assert_int_equal(say(w, &event), KW_OK);
	event = offer_of(w, 3, two_mib);
	assert_int_equal(say(w, &event), KW_EFULL);
	event = offer_of(w, 4, 4u << 20);
	assert_int_equal(say(w, &event), KW_ETOOBIG);
	/* The same one again is no second one. */
	event = offer_of(w, 2, two_mib);
	kw_blobs_step(w->nodes[HUB].blobs, &event, &plan);
	assert_int_equal(plan.count, 0);
	event.u.offer.offer.commit.bytes[0] ^= 1;
	assert_int_equal(say(w, &event), KW_EEXIST);
	world_free(w);
}

static void test_expiry_is_judged_at_the_offer_and_removes_later(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	struct kw_blobs_event event = offer_of(w, 1, 512);
	event.u.offer.offer.expiry_hour = HOUR;
	assert_int_equal(say(w, &event), KW_EEXPIRED);
	event.u.offer.offer.expiry_hour = HOUR + KW_BLOBS_LIFETIME_HOURS_MAX + 1;
	assert_int_equal(say(w, &event), KW_EFIELD);
	event.u.offer.offer.expiry_hour = HOUR + KW_BLOBS_LIFETIME_HOURS_MAX;
	assert_int_equal(say(w, &event), KW_OK);
	link_down(w, 0, -1);
	world_free(w);

	w = world_new(1);
	link_up(w, 0);
	event = offer_of(w, 1, 512);
	step(w, HUB, &event);
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	assert_int_equal(files_in(&w->nodes[HUB], KW_BLOB_PART), 1);
	w->now_ms = 3600000 - 1;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	assert_int_equal(w->nodes[HUB].jobs_count, 0);
	w->now_ms = 3600000;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	assert_int_equal(files_in(&w->nodes[HUB], KW_BLOB_PART), 0);
	check_counts(&w->nodes[HUB]);

	/* While its last work is under way, which gives the file another name. */
	w->now_ms = 0;
	event = offer_of(w, 2, 512);
	step(w, HUB, &event);
	run_job(w, HUB);
	struct kw_blobs_event chunk = {.type = KW_BLOBS_EV_CHUNK};
	chunk.u.chunk = (struct kw_frame_blob_chunk){.ref = event.u.offer.offer.ref, .bytes = KW_VIEW(NULL, 528)};
	step(w, HUB, &chunk);
	run_job(w, HUB);
	assert_int_equal(w->nodes[HUB].jobs[w->nodes[HUB].jobs_head].fx.op, KW_BLOBS_FINISH);
	w->now_ms = 3600000;
	step(w, HUB, &(struct kw_blobs_event){.type = KW_BLOBS_EV_TICK});
	while (w->nodes[HUB].jobs_count > 0)
		run_job(w, HUB);
	for (int i = 0; i < FILES_MAX; i++)
		assert_false(w->nodes[HUB].files[i].used);
	check_counts(&w->nodes[HUB]);
	world_free(w);
}

static void test_bytes_that_were_not_asked_end_the_session(void **state)
{
	(void)state;
	struct world *w = world_new(1);
	link_up(w, 0);
	struct kw_blobs_event offer = offer_of(w, 1, 512);
	step(w, HUB, &offer);
	run_job(w, HUB);
	struct frame want = w->links[0].queue[1][w->links[0].head[1]];
	assert_int_equal(want.type, KW_FRAME_BLOB_WANT);
	assert_int_equal(want.u.want.size, 528);
	struct kw_blobs_event chunk = {.type = KW_BLOBS_EV_CHUNK, .wall_ms = offer.wall_ms};
	chunk.u.chunk = (struct kw_frame_blob_chunk){.ref = offer.u.offer.offer.ref, .bytes = KW_VIEW(NULL, 529)};
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	/* A path where none belongs. */
	chunk.u.chunk.bytes.size = 528;
	chunk.u.chunk.path.size = KW_DIGEST_SIZE;
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	/* Bytes of an older question are let pass. */
	chunk.u.chunk.path.size = 0;
	chunk.u.chunk.offset = 100;
	chunk.u.chunk.bytes.size = 10;
	kw_blobs_step(w->nodes[HUB].blobs, &chunk, &plan);
	assert_int_equal(plan.count, 0);
	/* And a range beyond the blob. */
	struct kw_blobs_event beyond = {.type = KW_BLOBS_EV_WANT, .session = 0};
	make_blob(w, 7, 512);
	beyond.u.want = (struct kw_frame_blob_want){.ref.agency = name_of("recipient"), .offset = 0, .size = 529};
	memset(beyond.u.want.ref.digest.bytes, 8, KW_DIGEST_SIZE);
	kw_blobs_step(w->nodes[OWNER].blobs, &beyond, &plan);
	assert_int_equal(plan.effects[0].type, KW_BLOBS_FX_CLOSE);
	beyond.u.want.size = 528;
	kw_blobs_step(w->nodes[OWNER].blobs, &beyond, &plan);
	assert_int_equal(plan.effects[0].op, KW_BLOBS_READ);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_blob_arrives_through_cuts_and_crashes),
		cmocka_unit_test(test_quotas_at_their_limit_and_one_more),
		cmocka_unit_test(test_expiry_is_judged_at_the_offer_and_removes_later),
		cmocka_unit_test(test_bytes_that_were_not_asked_end_the_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
