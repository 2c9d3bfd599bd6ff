#include <string.h>

#include "broker/core/linkage_inner.h"

/* Handles to slots: open addressing by linear probing, with the entries after a removed one moved up. Agencies choose their
 * handles, so homes come from SipHash-1-3 (Aumasson and Bernstein 2012) under a secret key: nobody can crowd them. */

static inline uint64_t turn(uint64_t x, uint32_t bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = turn(v[1], 13) ^ v[0];
	v[0] = turn(v[0], 32);
	v[2] += v[3];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

static uint32_t tag_of(const struct brk_linkage_index *index, const struct kw_id *handle)
{
	uint64_t v[4] = {index->key[0] ^ UINT64_C(0x736f6d6570736575), index->key[1] ^ UINT64_C(0x646f72616e646f6d),
		index->key[0] ^ UINT64_C(0x6c7967656e657261), index->key[1] ^ UINT64_C(0x7465646279746573)};
	/* The last word tells the size, 16. */
	uint64_t words[3] = {0, 0, (uint64_t)KW_ID_SIZE << 56};
	memcpy(words, handle->bytes, KW_ID_SIZE);
	for (uint32_t i = 0; i < 3; i++) {
		v[3] ^= words[i];
		sip_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return (uint32_t)((v[0] ^ v[1] ^ v[2] ^ v[3]) >> 32);
}

static uint32_t home_of(const struct brk_linkage_index *index, uint32_t tag)
{
	return (uint32_t)((uint64_t)tag * index->entry_count >> 32);
}

static uint32_t next_of(const struct brk_linkage_index *index, uint32_t entry)
{
	return entry + 1 == index->entry_count ? 0 : entry + 1;
}

/* Steps from one entry to another. */
static uint32_t way(const struct brk_linkage_index *index, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + index->entry_count - from;
}

uint32_t brk_linkage_map_home(const struct brk_linkage_index *index, const struct kw_id *handle)
{
	return home_of(index, tag_of(index, handle));
}

uint32_t brk_linkage_map_find(const struct brk_linkage_index *index, const struct kw_id *handle)
{
	uint32_t tag = tag_of(index, handle);
	/* Never full: there are more entries than records_max. */
	for (uint32_t i = home_of(index, tag); index->entries[i].slot_next != 0; i = next_of(index, i)) {
		const struct brk_linkage_entry *entry = &index->entries[i];
		if (entry->tag == tag && kw_id_equal(&index->slots[entry->slot_next - 1].handle, handle))
			return i;
	}
	return BRK_LINKAGE_NONE;
}

void brk_linkage_map_add(struct brk_linkage_index *index, const struct kw_id *handle, uint32_t slot)
{
	uint32_t tag = tag_of(index, handle);
	uint32_t i = home_of(index, tag);
	while (index->entries[i].slot_next != 0)
		i = next_of(index, i);
	index->entries[i] = (struct brk_linkage_entry){tag, slot + 1};
}

void brk_linkage_map_remove(struct brk_linkage_index *index, uint32_t entry)
{
	uint32_t hole = entry;
	for (uint32_t i = next_of(index, hole); index->entries[i].slot_next != 0; i = next_of(index, i)) {
		/* It may move up when the hole lies on its way from home. */
		if (way(index, home_of(index, index->entries[i].tag), i) < way(index, hole, i))
			continue;
		index->entries[hole] = index->entries[i];
		hole = i;
	}
	index->entries[hole] = (struct brk_linkage_entry){0, 0};
}
