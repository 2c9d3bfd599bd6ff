#include <string.h>

#include "broker/core/linkage_inner.h"
#include "broker/core/linkage_scan.h"
#include "proto/base/check.h"

/* Where records lie. A bucket is a chain of segments, all full but the last. */

static bool is_free(const struct brk_linkage_partition *partition)
{
	return partition->count == 0 && __atomic_load_n(&partition->pins, __ATOMIC_RELAXED) == 0;
}

uint32_t brk_linkage_index_partition(const struct brk_linkage_index *index, uint32_t epoch, uint32_t scope)
{
	for (uint32_t n = 0; n < index->partitions_used; n++) {
		/* Mostly the one of the last record. */
		uint32_t i = (index->partition_at + n) % index->partitions_used;
		const struct brk_linkage_partition *partition = &index->partitions[i];
		if (partition->epoch == epoch && partition->scope == scope && !is_free(partition))
			return i;
	}
	return BRK_LINKAGE_NONE;
}

uint32_t brk_linkage_partition_free(const struct brk_linkage_index *index)
{
	if (index->partitions_used < index->limits.partitions_max)
		return index->partitions_used;
	for (uint32_t i = 0; i < index->partitions_used; i++)
		if (is_free(&index->partitions[i]))
			return i;
	return BRK_LINKAGE_NONE;
}

uint32_t brk_linkage_partition_take(struct brk_linkage_index *index, uint32_t epoch, uint32_t scope)
{
	uint32_t at = brk_linkage_index_partition(index, epoch, scope);
	if (at == BRK_LINKAGE_NONE) {
		at = brk_linkage_partition_free(index);
		KW_ASSERT(at != BRK_LINKAGE_NONE);
		struct brk_linkage_partition *partition = &index->partitions[at];
		*partition = (struct brk_linkage_partition){.epoch = epoch, .scope = scope};
		for (uint32_t i = 0; i < BRK_LINKAGE_BUCKETS; i++)
			partition->buckets[i] = (struct brk_linkage_bucket){BRK_LINKAGE_NONE, BRK_LINKAGE_NONE};
		if (at == index->partitions_used)
			index->partitions_used++;
	}
	index->partition_at = at;
	return at;
}

static struct brk_linkage_bucket *bucket_of(struct brk_linkage_index *index, uint32_t bucket)
{
	return &index->partitions[bucket / BRK_LINKAGE_BUCKETS].buckets[bucket % BRK_LINKAGE_BUCKETS];
}

static uint32_t segment_take(struct brk_linkage_index *index, uint32_t bucket)
{
	struct brk_linkage_bucket *chain = bucket_of(index, bucket);
	uint32_t at = index->segment_free;
	if (at != BRK_LINKAGE_NONE) {
		index->segment_free = index->segments[at].after;
	} else {
		KW_ASSERT(index->segments_used < index->segment_count);
		at = index->segments_used++;
	}
	index->segments[at] = (struct brk_linkage_segment){
		.number_min = UINT64_MAX,
		.expiry_min = BRK_LINKAGE_NEVER,
		.bucket = bucket,
		.before = chain->last,
		.after = BRK_LINKAGE_NONE,
	};
	if (chain->last == BRK_LINKAGE_NONE)
		chain->first = at;
	else
		index->segments[chain->last].after = at;
	chain->last = at;
	return at;
}

/* The last of its chain, which is empty. */
static void segment_give(struct brk_linkage_index *index, uint32_t at)
{
	struct brk_linkage_segment *segment = &index->segments[at];
	struct brk_linkage_bucket *chain = bucket_of(index, segment->bucket);
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		if (index->scans[i] != NULL)
			brk_linkage_scan_freed(index->scans[i], at);
	chain->last = segment->before;
	if (chain->last == BRK_LINKAGE_NONE)
		chain->first = BRK_LINKAGE_NONE;
	else
		index->segments[chain->last].after = BRK_LINKAGE_NONE;
	segment->after = index->segment_free;
	index->segment_free = at;
}

static uint64_t *lane_of(const struct brk_linkage_index *index, uint32_t slot)
{
	return index->codes + (uint64_t)(slot / BRK_LINKAGE_LANES) * BRK_LINKAGE_BLOCK_WORDS + slot % BRK_LINKAGE_LANES;
}

void brk_linkage_index_code(const struct brk_linkage_index *index, uint32_t slot, uint64_t code[BRK_LINKAGE_CODE_WORDS])
{
	const uint64_t *lane = lane_of(index, slot);
	for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
		code[w] = lane[w * BRK_LINKAGE_LANES];
}

uint32_t brk_linkage_slot_take(struct brk_linkage_index *index, uint32_t bucket)
{
	uint32_t at = bucket_of(index, bucket)->last;
	if (at == BRK_LINKAGE_NONE || index->segments[at].count == BRK_LINKAGE_SEGMENT)
		at = segment_take(index, bucket);
	return at * BRK_LINKAGE_SEGMENT + index->segments[at].count++;
}

void brk_linkage_slot_write(struct brk_linkage_index *index, uint32_t slot, const struct brk_linkage_slot *row,
	const uint64_t code[BRK_LINKAGE_CODE_WORDS])
{
	struct brk_linkage_segment *segment = &index->segments[slot / BRK_LINKAGE_SEGMENT];
	uint64_t *lane = lane_of(index, slot);
	for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
		lane[w * BRK_LINKAGE_LANES] = code[w];
	index->slots[slot] = *row;
	if (row->number < segment->number_min)
		segment->number_min = row->number;
	if (row->expiry_hour < segment->expiry_min)
		segment->expiry_min = row->expiry_hour;
}

void brk_linkage_slot_give(struct brk_linkage_index *index, uint32_t slot)
{
	static const uint64_t BLANK[BRK_LINKAGE_CODE_WORDS];
	uint32_t last = bucket_of(index, index->segments[slot / BRK_LINKAGE_SEGMENT].bucket)->last;
	struct brk_linkage_segment *segment = &index->segments[last];
	uint32_t from = last * BRK_LINKAGE_SEGMENT + segment->count - 1;
	if (from != slot) {
		const struct brk_linkage_slot row = index->slots[from];
		uint64_t code[BRK_LINKAGE_CODE_WORDS];
		uint32_t entry = brk_linkage_map_find(index, &row.handle);
		brk_linkage_index_code(index, from, code);
		brk_linkage_slot_write(index, slot, &row, code);
		index->entries[entry].slot_next = slot + 1;
	}
	uint64_t *lane = lane_of(index, from);
	for (uint32_t w = 0; w < BRK_LINKAGE_CODE_WORDS; w++)
		lane[w * BRK_LINKAGE_LANES] = BLANK[w];
	memset(&index->slots[from], 0, sizeof(index->slots[from]));
	segment->count--;
	if (from != slot)
		brk_linkage_tell_came(index, slot);
	if (segment->count == 0)
		segment_give(index, last);
}

void brk_linkage_tell_came(struct brk_linkage_index *index, uint32_t slot)
{
	for (uint32_t i = 0; i < BRK_LINKAGE_SCANS_MAX; i++)
		if (index->scans[i] != NULL)
			brk_linkage_scan_came(index->scans[i], slot);
}
