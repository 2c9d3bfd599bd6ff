/* A record's names, from a stranger's table: any bytes, as any parts, in any language. They must be refused or become
 * features within the limits, the same ones twice, and the same whatever was in the struct before.
 *
 * The first byte is the language, the second the relation; then each part is a role, a size and that many bytes. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/name_features.h"

static struct kw_names_features first;
static struct kw_names_features second;

static size_t parts_from(const uint8_t *data, size_t size, struct kw_names_part *parts)
{
	size_t count = 0;
	while (size >= 2 && count <= KW_NAMES_PARTS_MAX) {
		/* One more than there is of each. */
		parts[count].role = (enum kw_names_role)(data[0] % (KW_NAMES_ROLE_COUNT + (data[0] == 0xFF)));
		size_t text = data[1] < size - 2 ? data[1] : size - 2;
		parts[count].text = KW_VIEW(data + 2, text);
		data += 2 + text;
		size -= 2 + text;
		count++;
	}
	return count;
}

static void check_set(const struct kw_names_features *set)
{
	uint64_t weight = 0;
	uint32_t used = 0;
	KW_ASSERT(set->count <= KW_NAMES_FEATURES_MAX && set->used <= KW_NAMES_FEATURES_BYTES_MAX);
	for (uint32_t i = 0; i < set->count; i++) {
		const struct kw_names_feature *feature = &set->list[i];
		KW_ASSERT(feature->at == used && feature->size >= 1 && feature->size <= KW_NAMES_FEATURE_SIZE_MAX);
		KW_ASSERT(feature->weight > 0);
		/* Features of other fields begin with something else. */
		KW_ASSERT(strchr("bcswnro", set->bytes[feature->at]) != NULL);
		weight += feature->weight;
		used += feature->size;
	}
	KW_ASSERT(weight == set->weight_total && used == set->used);
	KW_ASSERT(kw_names_dice(set, set) == (set->count > 0 ? 1000u : 0u));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kw_names_part parts[KW_NAMES_PARTS_MAX + 1];
	if (size < 2)
		return 0;
	struct kw_names_record record = {(enum kw_names_lang)(data[0] % (KW_NAMES_LANG_COUNT + 1)),
		(enum kw_names_relation)(data[1] % (KW_NAMES_RELATION_COUNT + 1)), parts, parts_from(data + 2, size - 2, parts)};
	enum kw_err err = kw_names_features(&record, &first);
	memset(&second, 0xA5, sizeof(second));
	KW_ASSERT(kw_names_features(&record, &second) == err);
	KW_ASSERT(err == KW_OK || err == KW_EFORMAT || err == KW_EFIELD || err == KW_ETOOBIG);
	if (err != KW_OK)
		return 0;
	check_set(&first);
	KW_ASSERT(first.count == second.count && first.used == second.used);
	KW_ASSERT(memcmp(first.bytes, second.bytes, first.used) == 0);
	KW_ASSERT(memcmp(first.list, second.list, first.count * sizeof(first.list[0])) == 0);
	return 0;
}
