#include "broker/core/linkage_index.h"

#include <string.h>

#include "broker/core/linkage_inner.h"
#include "broker/core/linkage_scan.h"
#include "proto/base/check.h"

#define ALIGN 64u

/* Where each array lies in the memory that was handed in. */
struct layout {
	uint64_t codes, slots, entries, segments, partitions, size;
	uint32_t segment_count, entry_count;
};

static bool limits_valid(const struct brk_linkage_limits *limits)
{
	return limits->records_max >= 1 && limits->records_max <= BRK_LINKAGE_RECORDS_MAX && limits->partitions_max >= 1 &&
	       limits->partitions_max <= BRK_LINKAGE_PARTITIONS_MAX;
}

static uint64_t place(uint64_t *size, uint64_t count, uint64_t item_size)
{
	uint64_t at = *size;
	*size = (at + count * item_size + ALIGN - 1) / ALIGN * ALIGN;
	return at;
}

static struct layout lay_out(const struct brk_linkage_limits *limits)
{
	struct layout layout = {.size = 0};
	uint32_t spare = limits->partitions_max * BRK_LINKAGE_SPARE_SEGMENTS;
	layout.segment_count = (limits->records_max + BRK_LINKAGE_SEGMENT - 1) / BRK_LINKAGE_SEGMENT +
	                       (spare > BRK_LINKAGE_BUCKETS ? spare : BRK_LINKAGE_BUCKETS);
	layout.entry_count = limits->records_max + limits->records_max / 2 + 16;
	uint64_t slots = (uint64_t)layout.segment_count * BRK_LINKAGE_SEGMENT;
	layout.codes = place(&layout.size, slots, BRK_LINKAGE_CODE_SIZE);
	layout.slots = place(&layout.size, slots, sizeof(struct brk_linkage_slot));
	layout.entries = place(&layout.size, layout.entry_count, sizeof(struct brk_linkage_entry));
	layout.segments = place(&layout.size, layout.segment_count, sizeof(struct brk_linkage_segment));
	layout.partitions = place(&layout.size, limits->partitions_max, sizeof(struct brk_linkage_partition));
	return layout;
}

enum kw_err brk_linkage_index_size(const struct brk_linkage_limits *limits, uint64_t *size)
{
	if (!limits_valid(limits))
		return KW_EFIELD;
	*size = lay_out(limits).size;
	return KW_OK;
}

enum kw_err brk_linkage_index_init(struct brk_linkage_index *index, const struct brk_linkage_config *config, void *memory)
{
	if (!limits_valid(&config->limits) || !brk_linkage_params_valid(&config->params))
		return KW_EFIELD;
	KW_ASSERT((uintptr_t)memory % ALIGN == 0);
	struct layout layout = lay_out(&config->limits);
	uint8_t *base = memory;
	memset(index, 0, sizeof(*index));
	index->limits = config->limits;
	brk_linkage_score_init(&index->score, &config->params);
	index->kernel = config->kernel;
	index->key[0] = config->key[0];
	index->key[1] = config->key[1];
	index->codes = (uint64_t *)(void *)(base + layout.codes);
	index->slots = (struct brk_linkage_slot *)(void *)(base + layout.slots);
	index->entries = (struct brk_linkage_entry *)(void *)(base + layout.entries);
	index->segments = (struct brk_linkage_segment *)(void *)(base + layout.segments);
	index->partitions = (struct brk_linkage_partition *)(void *)(base + layout.partitions);
	index->entry_count = layout.entry_count;
	index->segment_count = layout.segment_count;
	index->segment_free = BRK_LINKAGE_NONE;
	index->number_next = 1;
	return KW_OK;
}

static enum kw_err check(const struct brk_linkage_index *index, const struct brk_linkage_record *record)
{
	static const struct kw_id NONE;
	if (kw_id_equal(&record->handle, &NONE) || record->kind >= BRK_LINKAGE_KIND_COUNT ||
		record->size_class > index->score.class_max)
		return KW_EFIELD;
	return KW_OK;
}

static uint32_t bucket_in_partition(const struct brk_linkage_record *record)
{
	return record->kind * (BRK_LINKAGE_CLASS_MAX + 1) + record->size_class;
}

/* Whether a record of this kind can be taken in without another's going. */
static bool has_room(const struct brk_linkage_index *index, const struct brk_linkage_record *record)
{
	bool has_segment = index->segment_free != BRK_LINKAGE_NONE || index->segments_used < index->segment_count;
	uint32_t partition = brk_linkage_index_partition(index, record->epoch, record->scope);
	if (partition == BRK_LINKAGE_NONE)
		return has_segment && brk_linkage_partition_free(index) != BRK_LINKAGE_NONE;
	uint32_t last = index->partitions[partition].buckets[bucket_in_partition(record)].last;
	return has_segment || (last != BRK_LINKAGE_NONE && index->segments[last].count < BRK_LINKAGE_SEGMENT);
}

static void insert(struct brk_linkage_index *index, const struct brk_linkage_record *record, uint64_t number)
{
	uint32_t partition = brk_linkage_partition_take(index, record->epoch, record->scope);
	uint32_t slot = brk_linkage_slot_take(index, partition * BRK_LINKAGE_BUCKETS + bucket_in_partition(record));
	struct brk_linkage_slot row = {record->handle, number, record->expiry_hour, record->owner};
	uint64_t code[BRK_LINKAGE_CODE_WORDS];
	memcpy(code, record->code, sizeof(code));
	brk_linkage_slot_write(index, slot, &row, code);
	brk_linkage_map_add(index, &record->handle, slot);
	index->partitions[partition].count++;
	index->count++;
	brk_linkage_tell_came(index, slot);
}

static void remove_slot(struct brk_linkage_index *index, uint32_t entry)
{
	uint32_t slot = index->entries[entry].slot_next - 1;
	struct kw_id handle = index->slots[slot].handle;
	uint32_t partition = index->segments[slot / BRK_LINKAGE_SEGMENT].bucket / BRK_LINKAGE_BUCKETS;
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		if (index->scans[i] != NULL)
			brk_linkage_scan_went(index->scans[i], &handle);
	brk_linkage_map_remove(index, entry);
	brk_linkage_slot_give(index, slot);
	index->partitions[partition].count--;
	index->count--;
}

/* The same but for its expiry: it keeps its place and its number. */
static bool is_same(const struct brk_linkage_index *index, uint32_t slot, const struct brk_linkage_record *record)
{
	uint32_t bucket = index->segments[slot / BRK_LINKAGE_SEGMENT].bucket;
	const struct brk_linkage_partition *partition = &index->partitions[bucket / BRK_LINKAGE_BUCKETS];
	uint64_t code[BRK_LINKAGE_CODE_WORDS];
	brk_linkage_index_code(index, slot, code);
	return partition->epoch == record->epoch && partition->scope == record->scope &&
	       bucket % BRK_LINKAGE_BUCKETS == bucket_in_partition(record) && memcmp(code, record->code, sizeof(code)) == 0;
}

static void prolong(struct brk_linkage_index *index, uint32_t slot, uint32_t expiry_hour)
{
	struct brk_linkage_segment *segment = &index->segments[slot / BRK_LINKAGE_SEGMENT];
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		if (index->scans[i] != NULL && expiry_hour < index->slots[slot].expiry_hour)
			brk_linkage_scan_went(index->scans[i], &index->slots[slot].handle);
	index->slots[slot].expiry_hour = expiry_hour;
	if (expiry_hour < segment->expiry_min)
		segment->expiry_min = expiry_hour;
	brk_linkage_tell_came(index, slot);
}

enum kw_err brk_linkage_index_put(struct brk_linkage_index *index, const struct brk_linkage_record *record,
	uint64_t *number)
{
	enum kw_err err = check(index, record);
	if (err != KW_OK)
		return err;
	uint32_t entry = brk_linkage_map_find(index, &record->handle);
	if (entry != BRK_LINKAGE_NONE) {
		uint32_t slot = index->entries[entry].slot_next - 1;
		if (index->slots[slot].owner != record->owner)
			return KW_EDENIED;
		if (is_same(index, slot, record)) {
			prolong(index, slot, record->expiry_hour);
			*number = index->slots[slot].number;
			return KW_OK;
		}
		if (!has_room(index, record))
			return KW_EFULL;
		remove_slot(index, entry);
	} else if (index->count == index->limits.records_max || !has_room(index, record)) {
		return KW_EFULL;
	}
	*number = index->number_next++;
	insert(index, record, *number);
	return KW_OK;
}

enum kw_err brk_linkage_index_load(struct brk_linkage_index *index, const struct brk_linkage_record *record,
	uint64_t number)
{
	enum kw_err err = check(index, record);
	if (err != KW_OK)
		return err;
	if (number == 0 || number == UINT64_MAX)
		return KW_EFIELD;
	if (brk_linkage_map_find(index, &record->handle) != BRK_LINKAGE_NONE)
		return KW_EEXIST;
	if (index->count == index->limits.records_max || !has_room(index, record))
		return KW_EFULL;
	if (number >= index->number_next)
		index->number_next = number + 1;
	insert(index, record, number);
	return KW_OK;
}

void brk_linkage_index_expect(const struct brk_linkage_index *index, const struct kw_id *handle)
{
	__builtin_prefetch(&index->entries[brk_linkage_map_home(index, handle)], 1);
}

enum kw_err brk_linkage_index_withdraw(struct brk_linkage_index *index, const struct kw_id *handle, uint32_t owner)
{
	uint32_t entry = brk_linkage_map_find(index, handle);
	if (entry == BRK_LINKAGE_NONE)
		return KW_ENOTFOUND;
	if (index->slots[index->entries[entry].slot_next - 1].owner != owner)
		return KW_EDENIED;
	remove_slot(index, entry);
	return KW_OK;
}

enum kw_err brk_linkage_index_get(const struct brk_linkage_index *index, const struct kw_id *handle,
	struct brk_linkage_record *record, uint64_t *number)
{
	uint32_t entry = brk_linkage_map_find(index, handle);
	if (entry == BRK_LINKAGE_NONE)
		return KW_ENOTFOUND;
	uint32_t slot = index->entries[entry].slot_next - 1;
	uint32_t bucket = index->segments[slot / BRK_LINKAGE_SEGMENT].bucket;
	const struct brk_linkage_partition *partition = &index->partitions[bucket / BRK_LINKAGE_BUCKETS];
	uint64_t code[BRK_LINKAGE_CODE_WORDS];
	brk_linkage_index_code(index, slot, code);
	*record = (struct brk_linkage_record){
		.handle = *handle,
		.epoch = partition->epoch,
		.scope = partition->scope,
		.owner = index->slots[slot].owner,
		.expiry_hour = index->slots[slot].expiry_hour,
		.kind = (uint8_t)brk_linkage_bucket_kind(bucket),
		.size_class = (uint8_t)brk_linkage_bucket_class(bucket),
	};
	memcpy(record->code, code, sizeof(code));
	*number = index->slots[slot].number;
	return KW_OK;
}

static uint32_t expiry_least(const struct brk_linkage_index *index, uint32_t at)
{
	uint32_t least = BRK_LINKAGE_NEVER;
	for (uint32_t i = 0; i < index->segments[at].count; i++) {
		uint32_t expiry = index->slots[at * BRK_LINKAGE_SEGMENT + i].expiry_hour;
		least = expiry < least ? expiry : least;
	}
	return least;
}

/* One segment. False when it could not be finished, because no room is left to tell who went. */
static bool sweep_segment(struct brk_linkage_index *index, struct brk_linkage_sweep *sweep, uint32_t at)
{
	struct brk_linkage_segment *segment = &index->segments[at];
	bool is_old = index->partitions[segment->bucket / BRK_LINKAGE_BUCKETS].epoch < sweep->epoch_min;
	if (segment->count == 0 || (segment->expiry_min > sweep->now_hour && !is_old))
		return true;
	for (uint32_t i = 0; i < segment->count;) {
		const struct brk_linkage_slot *slot = &index->slots[at * BRK_LINKAGE_SEGMENT + i];
		if (slot->expiry_hour > sweep->now_hour && !is_old) {
			i++;
			continue;
		}
		if (sweep->gone_count == sweep->gone_max)
			return false;
		sweep->gone[sweep->gone_count++] = slot->handle;
		/* The last of the bucket takes its place, and is looked at next. */
		remove_slot(index, brk_linkage_map_find(index, &slot->handle));
	}
	if (segment->count > 0)
		segment->expiry_min = expiry_least(index, at);
	return true;
}

void brk_linkage_index_sweep(struct brk_linkage_index *index, struct brk_linkage_sweep *sweep)
{
	uint32_t looked = 0;
	sweep->gone_count = 0;
	sweep->done = false;
	while (looked < sweep->budget) {
		if (index->sweep_at >= index->segments_used) {
			index->sweep_at = 0;
			sweep->done = true;
			return;
		}
		looked += 1 + index->segments[index->sweep_at].count;
		if (!sweep_segment(index, sweep, index->sweep_at))
			return;
		index->sweep_at++;
	}
}
