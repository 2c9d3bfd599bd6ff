#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define HASH_FUNCTION(key, size, hash) HASH_OAT(key, size, hash) /* never used: the hash is given */
#include <uthash.h>
#include <utlist.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* Threads on the loop thread. A change goes to the writer like any other, and into the overlay, where reads find it until
 * it is committed: a message may move a thread that another message of the same turn has opened. The overlay holds what
 * is under way and no more; the caller bounds that. */

struct overlay_entry {
	struct store_thread thread;
	uint64_t ticket; /* of its last change */
	struct overlay_entry *prev, *next; /* by ticket */
	UT_hash_handle hh;
};

struct store_overlay {
	struct overlay_entry *by_id;
	struct overlay_entry *oldest;
	struct overlay_entry *spare;
	uint64_t secret[4]; /* agencies choose the ids: they must not choose the buckets too */
};

struct store_overlay *store_overlay_new(void)
{
	struct store_overlay *overlay = calloc(1, sizeof(*overlay));
	if (overlay == NULL)
		return NULL;
	if (getrandom(overlay->secret, sizeof(overlay->secret), 0) != (ssize_t)sizeof(overlay->secret)) {
		free(overlay);
		return NULL;
	}
	return overlay;
}

static void free_list(struct overlay_entry *entry)
{
	while (entry != NULL) {
		struct overlay_entry *next = entry->next;
		free(entry);
		entry = next;
	}
}

void store_overlay_free(struct store_overlay *overlay)
{
	if (overlay == NULL)
		return;
	HASH_CLEAR(hh, overlay->by_id);
	free_list(overlay->oldest);
	free_list(overlay->spare);
	free(overlay);
}

static uint64_t folded(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static unsigned hash_of(const struct store_overlay *overlay, const struct kw_id *id)
{
	const uint64_t *secret = overlay->secret;
	uint64_t half = folded(kw_get_u64(id->bytes) ^ secret[0], secret[1] | 1u);
	return (unsigned)folded(half ^ kw_get_u64(id->bytes + 8) ^ secret[2], secret[3] | 1u);
}

static struct overlay_entry *overlay_find(struct store_overlay *overlay, const struct kw_id *id)
{
	struct overlay_entry *entry = NULL;
	if (overlay->by_id != NULL)
		HASH_FIND_BYHASHVALUE(hh, overlay->by_id, id, sizeof(*id), hash_of(overlay, id), entry);
	return entry;
}

static struct overlay_entry *overlay_add(struct store_overlay *overlay, const struct kw_id *id)
{
	struct overlay_entry *entry = overlay->spare;
	if (entry != NULL)
		overlay->spare = entry->next;
	else
		entry = malloc(sizeof(*entry));
	if (entry == NULL)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->thread.id = *id;
	HASH_ADD_BYHASHVALUE(hh, overlay->by_id, thread.id, sizeof(*id), hash_of(overlay, id), entry);
	return entry;
}

void store_overlay_settle(struct store_overlay *overlay, uint64_t ticket)
{
	while (overlay->oldest != NULL && overlay->oldest->ticket <= ticket) {
		struct overlay_entry *entry = overlay->oldest;
		DL_DELETE(overlay->oldest, entry);
		HASH_DEL(overlay->by_id, entry);
		entry->next = overlay->spare;
		overlay->spare = entry;
	}
}

void store_put_thread(struct store *store, uint64_t ticket, const struct store_thread *thread)
{
	KW_ASSERT(thread->size <= STORE_THREAD_SIZE_MAX);
	struct store_box *box = thread->size > 0 ? store_box_new(thread->size) : NULL;
	struct overlay_entry *entry = overlay_find(store->overlay, &thread->id);
	if (entry != NULL)
		DL_DELETE(store->overlay->oldest, entry);
	else
		entry = overlay_add(store->overlay, &thread->id);
	if (entry == NULL || (box == NULL && thread->size > 0)) {
		if (entry != NULL)
			DL_APPEND(store->overlay->oldest, entry);
		store_box_unref(box);
		store_out_of_memory(store);
		return;
	}
	entry->thread = *thread;
	entry->ticket = ticket;
	DL_APPEND(store->overlay->oldest, entry);
	if (box != NULL)
		memcpy(box->data, thread->record, thread->size);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL) {
		store_box_unref(box);
		return;
	}
	*op = (struct store_op){.kind = STORE_OP_THREAD, .sequence = thread->due_ms, .epoch = store->due_looked_ms, .box = box,
		.thread_id = thread->id};
	store->filling->bytes += thread->size;
}

static void hand_over(struct store *store, enum store_op_kind kind, uint64_t due_ms, const struct kw_id *id)
{
	struct store_op *op = store_next_op(store, store->ticket);
	if (op != NULL)
		*op = (struct store_op){.kind = kind, .sequence = due_ms, .thread_id = *id};
}

static void report(struct store *store, enum store_op_kind kind, uint64_t due_ms, const struct kw_id *id)
{
	store->damaged_seen++;
	hand_over(store, kind, due_ms, id);
}

/* One thread, the reader begun. *place_ms, which may be NULL, is where its row says that it stands in the order. */
static int get_one(struct store *store, struct store_thread *thread, uint64_t *place_ms)
{
	const struct overlay_entry *entry = overlay_find(store->overlay, &thread->id);
	if (entry != NULL) {
		*thread = entry->thread;
		if (place_ms != NULL)
			*place_ms = thread->due_ms;
		return 0;
	}
	struct kw_id id = thread->id;
	MDB_val key = store_val(id.bytes, KW_ID_SIZE);
	MDB_val value;
	thread->size = 0;
	thread->due_ms = 0;
	int code = mdb_get(store->reader, store->env.dbi.threads, &key, &value);
	if (code == 0 && !store_row_thread(&key, &value, thread, place_ms)) {
		*thread = (struct store_thread){.id = id};
		report(store, STORE_OP_THREAD_DAMAGED, 0, &id);
	}
	return code == MDB_NOTFOUND ? 0 : code;
}

enum kw_err store_get_threads(struct store *store, struct store_thread *threads, uint32_t count)
{
	int code = store_reader_begin(store);
	for (uint32_t i = 0; i < count && code == 0; i++)
		code = get_one(store, &threads[i], NULL);
	store_reader_end(store);
	return store_env_err(code);
}

enum standing {
	STANDS_UNSAID, /* its last change is not committed: not for now */
	STANDS_DUE,
	STANDS_EARLY,  /* goes on to its due time */
	STANDS_STRAY
};

/* The thread that stands at this place. */
static int due_one(struct store *store, const MDB_val *key, uint64_t now_ms, struct store_thread *out, enum standing *what)
{
	const uint8_t *bytes = key->mv_data;
	uint64_t due_ms = kw_get_u64(bytes);
	memcpy(out->id.bytes, bytes + 8, KW_ID_SIZE);
	const struct overlay_entry *entry = overlay_find(store->overlay, &out->id);
	*what = STANDS_UNSAID;
	if (entry != NULL && entry->thread.due_ms != due_ms)
		return 0;
	uint64_t place_ms = 0;
	int code = get_one(store, out, &place_ms);
	if (code != 0)
		return code;
	bool early = out->size > 0 && place_ms == due_ms && out->due_ms > due_ms;
	*what = out->size > 0 && (early || out->due_ms == due_ms) ? STANDS_DUE : STANDS_STRAY;
	if (early && out->due_ms > now_ms)
		*what = STANDS_EARLY;
	if (*what == STANDS_STRAY)
		report(store, STORE_OP_CLOCK_STRAY, due_ms, &out->id);
	else if (*what == STANDS_EARLY)
		hand_over(store, STORE_OP_CLOCK_EARLY, due_ms, &out->id);
	return 0;
}

static int by_due(const void *a, const void *b)
{
	const struct store_thread *x = a, *y = b;
	return x->due_ms < y->due_ms ? -1 : x->due_ms > y->due_ms;
}

enum kw_err store_due(struct store *store, uint64_t now_ms, uint32_t count_max, struct store_thread *out,
	uint32_t *count)
{
	MDB_val key, value;
	struct kw_view payload;
	uint32_t found = 0, looked = 0, early = 0;
	int code = store_reader_begin(store);
	if (now_ms > store->due_looked_ms)
		store->due_looked_ms = now_ms;
	if (code == 0)
		code = mdb_cursor_get(store->read_clocks, &key, &value, MDB_FIRST);
	while (code == 0 && looked < count_max && early < STORE_EARLY_MAX) {
		bool sound = key.mv_size == STORE_CLOCK_KEY_SIZE && store_row_check(&key, &value, STORE_CLOCK, &payload);
		if (!sound && key.mv_size != STORE_CLOCK_KEY_SIZE)
			break; /* not a key of ours: the tree is broken in a way that its check at start finds */
		if (kw_get_u64(key.mv_data) > now_ms)
			break;
		enum standing what = STANDS_UNSAID;
		code = due_one(store, &key, now_ms, &out[found], &what);
		found += what == STANDS_DUE;
		early += what == STANDS_EARLY;
		looked += what != STANDS_EARLY;
		if (code == 0)
			code = mdb_cursor_get(store->read_clocks, &key, &value, MDB_NEXT);
	}
	store_reader_end(store);
	if (code != 0 && code != MDB_NOTFOUND)
		return store_env_err(code);
	qsort(out, found, sizeof(*out), by_due); /* one that stands early came before its turn */
	*count = found;
	return KW_OK;
}

void store_put_held(struct store *store, uint64_t ticket, uint32_t slot, uint32_t threads, uint32_t reminders)
{
	struct store_op *op = store_next_op(store, ticket);
	if (op != NULL)
		*op = (struct store_op){
			.kind = STORE_OP_HELD, .queue = slot, .owner_slot = threads, .expiry_hour = reminders};
}

uint64_t store_time(const struct store *store)
{
	return store->time_ms;
}

void store_put_time(struct store *store, uint64_t ticket, uint64_t hub_ms)
{
	struct store_op *op = store_next_op(store, ticket);
	if (op != NULL)
		*op = (struct store_op){.kind = STORE_OP_TIME, .sequence = hub_ms};
}
