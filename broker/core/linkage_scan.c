#include "broker/core/linkage_scan.h"

#include <string.h>

#include "proto/base/check.h"

/* Rows lie far apart: those of so many hits later are fetched. */
#define HITS_AHEAD 4u

enum kw_err brk_linkage_scan_init(struct brk_linkage_scan *scan, struct brk_linkage_index *index)
{
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++) {
		if (index->scans[i] != NULL)
			continue;
		memset(scan, 0, sizeof(*scan));
		scan->index = index;
		scan->partition = BRK_LINKAGE_NONE;
		scan->segment = BRK_LINKAGE_NONE;
		scan->backwards = true; /* so the first pass goes forwards */
		index->scans[i] = scan;
		return KW_OK;
	}
	return KW_EFULL;
}

/* Scans on threads of their own may pin and unpin one partition at once. */
static void unpin(struct brk_linkage_scan *scan)
{
	if (scan->partition != BRK_LINKAGE_NONE)
		(void)__atomic_sub_fetch(&scan->index->partitions[scan->partition].pins, 1, __ATOMIC_RELAXED);
	scan->partition = BRK_LINKAGE_NONE;
}

void brk_linkage_scan_fini(struct brk_linkage_scan *scan)
{
	if (scan == NULL || scan->index == NULL)
		return;
	unpin(scan);
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		if (scan->index->scans[i] == scan)
			scan->index->scans[i] = NULL;
	kw_wipe(scan, sizeof(*scan));
}

enum kw_err brk_linkage_scan_ask(struct brk_linkage_scan *scan, const struct brk_linkage_query *query)
{
	if (query->k == 0 || query->k > BRK_LINKAGE_K_MAX || query->kinds == 0 ||
		query->kinds >= 1u << BRK_LINKAGE_KIND_COUNT || query->size_class > scan->index->score.class_max ||
		query->least == 0 || query->least > BRK_LINKAGE_SCORE_ONE)
		return KW_EFIELD;
	if (scan->waiting_count >= BRK_LINKAGE_WAITING_MAX)
		return KW_EBUSY;
	scan->waiting[scan->waiting_count++] = (struct brk_linkage_waiting){*query, 0};
	return KW_OK;
}

/* --- lists --- */

static uint32_t capacity(const struct brk_linkage_seek *seek)
{
	return seek->query.k + BRK_LINKAGE_MORE;
}

static bool is_better(const struct brk_linkage_found *a, const struct brk_linkage_found *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	if (a->number != b->number)
		return a->number < b->number;
	return memcmp(a->handle.bytes, b->handle.bytes, KW_ID_SIZE) < 0;
}

/* Takes a record into the list where it belongs there. */
static void enter(struct brk_linkage_seek *seek, const struct brk_linkage_found *found)
{
	uint32_t low = 0, high = seek->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (is_better(&seek->found[middle], found))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == capacity(seek))
		return;
	/* One that moved is seen twice. */
	if (low < seek->count && kw_id_equal(&seek->found[low].handle, &found->handle))
		return;
	if (seek->count == capacity(seek))
		seek->count--;
	memmove(&seek->found[low + 1], &seek->found[low], (seek->count - low) * sizeof(seek->found[0]));
	seek->found[low] = *found;
	seek->count++;
	if (seek->count == capacity(seek)) {
		seek->full = true;
		seek->stale = true;
	}
}

static void judge(const struct brk_linkage_index *index, struct brk_linkage_seek *seek, uint32_t slot, uint32_t distance)
{
	const struct brk_linkage_slot *row = &index->slots[slot];
	const struct brk_linkage_query *query = &seek->query;
	uint32_t bucket = index->segments[slot / BRK_LINKAGE_SEGMENT].bucket;
	uint32_t class = brk_linkage_bucket_class(bucket);
	uint32_t score = brk_linkage_score_of(&index->score, distance, query->size_class, class);
	/* Many were near enough when the kernel began, and are no more; their rows need not be read. */
	if (score < query->least || (seek->count == capacity(seek) && score < seek->found[seek->count - 1].score))
		return;
	/* A number of 0 is a lane behind the last record. */
	if (row->number == 0 || row->expiry_hour <= query->now_hour || kw_id_equal(&row->handle, &query->self) ||
		(row->owner == query->skip_owner && query->skip_owner != BRK_LINKAGE_NONE) ||
		(query->kinds >> brk_linkage_bucket_kind(bucket) & 1u) == 0)
		return;
	struct brk_linkage_found found = {
		.number = row->number,
		.handle = row->handle,
		.owner = row->owner,
		.distance = (uint16_t)distance,
		.kind = (uint8_t)brk_linkage_bucket_kind(bucket),
		.size_class = (uint8_t)class,
		.score = score,
	};
	enter(seek, &found);
}

/* --- changes during a pass --- */

static bool in_pass(const struct brk_linkage_scan *scan)
{
	return scan->partition != BRK_LINKAGE_NONE;
}

void brk_linkage_scan_came(struct brk_linkage_scan *scan, uint32_t slot)
{
	const struct brk_linkage_index *index = scan->index;
	uint64_t code[BRK_LINKAGE_CODE_WORDS];
	if (!in_pass(scan) || index->segments[slot / BRK_LINKAGE_SEGMENT].bucket / BRK_LINKAGE_BUCKETS != scan->partition)
		return;
	brk_linkage_index_code(index, slot, code);
	for (uint32_t i = 0; i < scan->seek_count; i++) {
		uint32_t distance = 0;
		for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
			distance += (uint32_t)__builtin_popcountll(code[w] ^ scan->seeks[i].code[w]);
		judge(index, &scan->seeks[i], slot, distance);
	}
}

void brk_linkage_scan_went(struct brk_linkage_scan *scan, const struct kw_id *handle)
{
	for (uint32_t i = 0; in_pass(scan) && i < scan->seek_count; i++) {
		struct brk_linkage_seek *seek = &scan->seeks[i];
		for (uint32_t at = 0; at < seek->count; at++) {
			if (!kw_id_equal(&seek->found[at].handle, handle))
				continue;
			seek->count--;
			memmove(&seek->found[at], &seek->found[at + 1], (seek->count - at) * sizeof(seek->found[0]));
			seek->lost++;
			seek->stale = true;
			break;
		}
	}
}

void brk_linkage_scan_freed(struct brk_linkage_scan *scan, uint32_t segment)
{
	/* It was the last of its chain, so forwards nothing comes after it. */
	if (scan->segment == segment)
		scan->segment = scan->backwards ? scan->index->segments[segment].before : BRK_LINKAGE_NONE;
}

/* --- passes --- */

static void begin_seek(struct brk_linkage_seek *seek, const struct brk_linkage_waiting *waiting)
{
	seek->query = waiting->query;
	seek->rounds = waiting->rounds + 1;
	memcpy(seek->code, waiting->query.code, sizeof(seek->code));
	seek->count = 0;
	seek->lost = 0;
	seek->full = false;
	seek->stale = true;
	seek->again = false;
}

/* A bucket of the first query's class, or of the class nearest to it; BRK_LINKAGE_NONE. */
static uint32_t nearest_bucket(const struct brk_linkage_scan *scan)
{
	const struct brk_linkage_partition *partition = &scan->index->partitions[scan->partition];
	const struct brk_linkage_query *query = &scan->seeks[0].query;
	uint32_t best = BRK_LINKAGE_NONE, best_gap = 0;
	for (uint32_t i = 0; i < BRK_LINKAGE_BUCKETS; i++) {
		uint32_t class = brk_linkage_bucket_class(i);
		uint32_t gap = class > query->size_class ? class - query->size_class : query->size_class - class;
		if (partition->buckets[i].last == BRK_LINKAGE_NONE || (query->kinds >> brk_linkage_bucket_kind(i) & 1u) == 0)
			continue;
		if (best == BRK_LINKAGE_NONE || gap < best_gap) {
			best = i;
			best_gap = gap;
		}
	}
	return best;
}

/* Takes the oldest waiting query and those behind it that its pass can serve. */
static bool begin(struct brk_linkage_scan *scan)
{
	uint32_t kept = 0;
	if (scan->waiting_count == 0)
		return false;
	uint32_t epoch = scan->waiting[0].query.epoch;
	uint32_t scope = scan->waiting[0].query.scope;
	for (uint32_t i = 0; i < scan->waiting_count; i++) {
		const struct brk_linkage_waiting *one = &scan->waiting[i];
		if (one->query.epoch == epoch && one->query.scope == scope && scan->seek_count < BRK_LINKAGE_BATCH_MAX)
			begin_seek(&scan->seeks[scan->seek_count++], one);
		else if (kept++ != i)
			scan->waiting[kept - 1] = *one;
	}
	scan->waiting_count = kept;
	scan->partition = brk_linkage_index_partition(scan->index, epoch, scope);
	scan->backwards = !scan->backwards;
	scan->passes++;
	scan->buckets_begun = 0;
	scan->segment = BRK_LINKAGE_NONE;
	if (scan->partition == BRK_LINKAGE_NONE)
		return true;
	(void)__atomic_add_fetch(&scan->index->partitions[scan->partition].pins, 1, __ATOMIC_RELAXED);
	scan->bucket = nearest_bucket(scan);
	return true;
}

/* Those that lost too many go to the head of the line, in their order. */
static void ask_again(struct brk_linkage_scan *scan)
{
	for (uint32_t i = scan->seek_count; i-- > 0;) {
		struct brk_linkage_seek *seek = &scan->seeks[i];
		seek->again = seek->full && seek->lost > BRK_LINKAGE_MORE && seek->rounds < BRK_LINKAGE_ROUNDS_MAX;
		if (!seek->again)
			continue;
		memmove(&scan->waiting[1], &scan->waiting[0], scan->waiting_count * sizeof(scan->waiting[0]));
		scan->waiting[0] = (struct brk_linkage_waiting){seek->query, seek->rounds};
		scan->waiting_count++;
	}
}

static void end(struct brk_linkage_scan *scan)
{
	unpin(scan);
	scan->segment = BRK_LINKAGE_NONE;
	scan->answered = 0;
	scan->done = true;
	ask_again(scan);
}

/* Finds the next segment of the pass; false when there is none. */
static bool advance(struct brk_linkage_scan *scan)
{
	const struct brk_linkage_partition *partition = &scan->index->partitions[scan->partition];
	while (scan->segment == BRK_LINKAGE_NONE) {
		if (scan->buckets_begun == BRK_LINKAGE_BUCKETS)
			return false;
		scan->bucket = scan->backwards ? BRK_LINKAGE_BUCKETS - 1 - scan->buckets_begun : scan->buckets_begun;
		scan->buckets_begun++;
		const struct brk_linkage_bucket *bucket = &partition->buckets[scan->bucket];
		scan->segment = scan->backwards ? bucket->last : bucket->first;
		for (uint32_t i = 0; scan->segment != BRK_LINKAGE_NONE && i < scan->seek_count; i++)
			scan->seeks[i].stale = true;
	}
	return true;
}

/* What a record of the present bucket must be under to enter the list. */
static void refresh(const struct brk_linkage_scan *scan, struct brk_linkage_seek *seek)
{
	uint32_t class = brk_linkage_bucket_class(scan->bucket);
	uint32_t least = seek->query.least;
	seek->stale = false;
	if (seek->count < capacity(seek)) {
		seek->below = brk_linkage_score_below(&scan->index->score, least, seek->query.size_class, class);
		seek->below_tie = seek->below;
		return;
	}
	least = seek->found[seek->count - 1].score;
	seek->below_tie = brk_linkage_score_below(&scan->index->score, least, seek->query.size_class, class);
	seek->below = brk_linkage_score_below(&scan->index->score, least + 1, seek->query.size_class, class);
}

/* Those that may find something in this segment. *closed: none may in all of its bucket. */
static uint32_t probes_for(struct brk_linkage_scan *scan, const struct brk_linkage_segment *segment, bool *closed)
{
	uint32_t count = 0;
	*closed = true;
	for (uint32_t i = 0; i < scan->seek_count; i++) {
		struct brk_linkage_seek *seek = &scan->seeks[i];
		if ((seek->query.kinds >> brk_linkage_bucket_kind(scan->bucket) & 1u) == 0)
			continue;
		if (seek->stale)
			refresh(scan, seek);
		/* All equals here came later: they would stand behind the last. */
		bool is_later = seek->count == capacity(seek) && segment->number_min > seek->found[seek->count - 1].number;
		uint32_t below = is_later ? seek->below : seek->below_tie;
		*closed = *closed && seek->below_tie == 0;
		if (below > 0)
			scan->probes[count++] = (struct brk_linkage_probe){seek->code, below, i};
	}
	return count;
}

/* Compares the records of a segment from `from` on, a first of a block; returns how many were read. */
static uint32_t look_at(struct brk_linkage_scan *scan, uint32_t at, uint32_t from, bool *closed)
{
	const struct brk_linkage_index *index = scan->index;
	const struct brk_linkage_segment *segment = &index->segments[at];
	uint32_t next = scan->segment != BRK_LINKAGE_NONE ? scan->segment : at;
	uint32_t slot = at * BRK_LINKAGE_SEGMENT + from;
	struct brk_linkage_look look = {
		.blocks = index->codes + (uint64_t)slot * BRK_LINKAGE_CODE_WORDS,
		.next = index->codes + (uint64_t)next * BRK_LINKAGE_SEGMENT * BRK_LINKAGE_CODE_WORDS,
		.probes = scan->probes,
		.block_count = (segment->count - from + BRK_LINKAGE_LANES - 1) / BRK_LINKAGE_LANES,
		.probe_count = probes_for(scan, segment, closed),
	};
	if (look.probe_count == 0)
		return 0;
	uint32_t count = index->kernel->look(&look, scan->hits);
	for (uint32_t i = 0; i < count; i++) {
		const struct brk_linkage_hit *hit = &scan->hits[i];
		if (i + HITS_AHEAD < count)
			__builtin_prefetch(&index->slots[slot + hit[HITS_AHEAD].place]);
		judge(index, &scan->seeks[hit->query], slot + hit->place, hit->distance);
	}
	scan->looked += segment->count - from;
	return segment->count - from;
}

/* The latest records of the bucket that begin() chose. */
static uint32_t look_first(struct brk_linkage_scan *scan)
{
	bool closed;
	uint32_t at = scan->index->partitions[scan->partition].buckets[scan->bucket].last;
	uint32_t count = scan->index->segments[at].count;
	uint32_t from = count > BRK_LINKAGE_FIRST_LOOK ? count - BRK_LINKAGE_FIRST_LOOK : 0;
	return look_at(scan, at, (from + BRK_LINKAGE_LANES - 1) / BRK_LINKAGE_LANES * BRK_LINKAGE_LANES, &closed);
}

/* Works until the budget is spent or the pass is over. */
static void work(struct brk_linkage_scan *scan, uint32_t budget, uint32_t *read)
{
	if (in_pass(scan) && scan->buckets_begun == 0 && scan->bucket != BRK_LINKAGE_NONE)
		*read += look_first(scan);
	while (in_pass(scan)) {
		if (!advance(scan)) {
			end(scan);
			return;
		}
		if (*read >= budget)
			return;
		bool closed;
		uint32_t at = scan->segment;
		const struct brk_linkage_segment *segment = &scan->index->segments[at];
		scan->segment = scan->backwards ? segment->before : segment->after;
		*read += look_at(scan, at, 0, &closed);
		if (closed)
			scan->segment = BRK_LINKAGE_NONE;
	}
}

static bool has_answers(struct brk_linkage_scan *scan)
{
	while (scan->done && scan->answered < scan->seek_count && scan->seeks[scan->answered].again)
		scan->answered++;
	return scan->done && scan->answered < scan->seek_count;
}

bool brk_linkage_scan_step(struct brk_linkage_scan *scan, uint32_t budget)
{
	uint32_t read = 0;
	if (has_answers(scan))
		return false;
	if (scan->done) {
		scan->done = false;
		scan->seek_count = 0;
	}
	if (!in_pass(scan)) {
		if (!begin(scan))
			return false;
		if (!in_pass(scan))
			end(scan);
	}
	work(scan, budget, &read);
	return !has_answers(scan) && (in_pass(scan) || scan->waiting_count > 0);
}

bool brk_linkage_scan_answer(struct brk_linkage_scan *scan, struct brk_linkage_answer *answer)
{
	if (!has_answers(scan))
		return false;
	const struct brk_linkage_seek *seek = &scan->seeks[scan->answered++];
	*answer = (struct brk_linkage_answer){
		.ticket = seek->query.ticket,
		.found = seek->found,
		.count = seek->count < seek->query.k ? seek->count : seek->query.k,
		.exact = !seek->full || seek->lost <= BRK_LINKAGE_MORE,
	};
	return true;
}
