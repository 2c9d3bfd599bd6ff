/* The set of features, declared in name_features.h. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/name_features.h"

_Static_assert((KW_NAMES_SLOTS & (KW_NAMES_SLOTS - 1)) == 0, "slots are taken by a mask");
_Static_assert(KW_NAMES_SLOTS >= 2 * KW_NAMES_FEATURES_MAX, "a search ends at an empty slot soon");

/* FNV-1a. It places features in this struct and nowhere else. */
static uint32_t hash(struct kw_view bytes)
{
	uint32_t sum = 2166136261u;
	for (size_t i = 0; i < bytes.size; i++)
		sum = (sum ^ bytes.data[i]) * 16777619u;
	return sum ^ sum >> 15;
}

static bool is_at(const struct kw_names_features *set, uint16_t place, struct kw_view bytes)
{
	const struct kw_names_feature *feature = &set->list[place - 1];
	return feature->size == bytes.size && memcmp(set->bytes + feature->at, bytes.data, bytes.size) == 0;
}

/* The slot where it is or would be. */
static uint32_t slot_of(const struct kw_names_features *set, struct kw_view bytes)
{
	uint32_t slot = hash(bytes) & (KW_NAMES_SLOTS - 1);
	while (set->slot[slot] != 0 && !is_at(set, set->slot[slot], bytes))
		slot = (slot + 1) & (KW_NAMES_SLOTS - 1);
	return slot;
}

enum kw_err kw_names_add(struct kw_names_features *set, struct kw_view feature, uint16_t weight)
{
	if (feature.size == 0 || weight == 0)
		return KW_EFIELD;
	if (feature.size > KW_NAMES_FEATURE_SIZE_MAX)
		return KW_ETOOBIG;
	uint32_t slot = slot_of(set, feature);
	if (set->slot[slot] != 0) {
		struct kw_names_feature *here = &set->list[set->slot[slot] - 1];
		if (weight > here->weight) {
			set->weight_total += (uint64_t)weight - here->weight;
			here->weight = weight;
		}
		return KW_OK;
	}
	if (set->count == KW_NAMES_FEATURES_MAX || feature.size > KW_NAMES_FEATURES_BYTES_MAX - set->used)
		return KW_ETOOBIG;
	memcpy(set->bytes + set->used, feature.data, feature.size);
	set->list[set->count++] = (struct kw_names_feature){set->used, (uint16_t)feature.size, weight};
	set->slot[slot] = (uint16_t)set->count;
	set->used += (uint32_t)feature.size;
	set->weight_total += weight;
	return KW_OK;
}

uint32_t kw_names_dice(const struct kw_names_features *a, const struct kw_names_features *b)
{
	uint64_t shared = 0;
	if (a->weight_total == 0 || b->weight_total == 0)
		return 0;
	for (uint32_t i = 0; i < a->count; i++) {
		uint32_t slot = slot_of(b, KW_VIEW(a->bytes + a->list[i].at, a->list[i].size));
		if (b->slot[slot] == 0)
			continue;
		uint16_t other = b->list[b->slot[slot] - 1].weight;
		shared += other < a->list[i].weight ? other : a->list[i].weight;
	}
	return (uint32_t)(2000 * shared / (a->weight_total + b->weight_total));
}
