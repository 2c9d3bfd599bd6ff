#ifndef BROKER_LINKAGE_INNER_H
#define BROKER_LINKAGE_INNER_H

#include "broker/core/linkage_index.h"

/* Between the files of the index: linkage_place.c keeps slots, segments and partitions, linkage_map.c handles. */

/* A partition that no record and no search holds; BRK_LINKAGE_NONE. */
uint32_t brk_linkage_partition_free(const struct brk_linkage_index *index);
/* The one of this epoch and scope, or a free one made so. There has to be one. */
uint32_t brk_linkage_partition_take(struct brk_linkage_index *index, uint32_t epoch, uint32_t scope);

/* The next slot of a bucket (partition * BRK_LINKAGE_BUCKETS + bucket in it). There has to be room. */
uint32_t brk_linkage_slot_take(struct brk_linkage_index *index, uint32_t bucket);
void brk_linkage_slot_write(struct brk_linkage_index *index, uint32_t slot, const struct brk_linkage_slot *row,
	const uint64_t code[BRK_LINKAGE_CODE_WORDS]);
/* Moves the last record of its bucket here, whose handle then leads here, and gives up that one's slot. */
void brk_linkage_slot_give(struct brk_linkage_index *index, uint32_t slot);
/* Tells searches under way that a record is new at this slot. */
void brk_linkage_tell_came(struct brk_linkage_index *index, uint32_t slot);

uint32_t brk_linkage_map_home(const struct brk_linkage_index *index, const struct kw_id *handle);
/* An entry, or BRK_LINKAGE_NONE. */
uint32_t brk_linkage_map_find(const struct brk_linkage_index *index, const struct kw_id *handle);
/* The handle must not be there. */
void brk_linkage_map_add(struct brk_linkage_index *index, const struct kw_id *handle, uint32_t slot);
void brk_linkage_map_remove(struct brk_linkage_index *index, uint32_t entry);

#endif
