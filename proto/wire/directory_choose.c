#include <string.h>

#include "proto/wire/directory.h"
#include "proto/wire/envelope.h"

static bool lists(const uint8_t *suites, uint8_t count, enum kw_suite suite)
{
	return memchr(suites, (int)suite, count) != NULL;
}

/* Of the two with X25519 the agency's own order decides: they are equally strong, and it knows which is faster for it. */
static enum kw_err choose_classic(const struct kw_directory_sealing_key *key, struct kw_directory_choice *out)
{
	for (uint8_t i = 0; i < key->suites_count; i++) {
		if (key->suites[i] == KW_SUITE_AES || key->suites[i] == KW_SUITE_CHACHA) {
			*out = (struct kw_directory_choice){.suite = key->suites[i], .key_id = key->key_id,
				.public_key = key->public_key};
			return KW_OK;
		}
	}
	return KW_EVERSION;
}

enum kw_err kw_directory_choose(const struct kw_directory_entry *entry, bool hybrid_able,
	struct kw_directory_choice *out)
{
	for (uint8_t i = 0; hybrid_able && i < entry->hybrid_keys_count; i++) {
		const struct kw_directory_hybrid_key *key = &entry->hybrid_keys[i];
		if (lists(key->suites, key->suites_count, KW_SUITE_HYBRID)) {
			*out = (struct kw_directory_choice){.suite = KW_SUITE_HYBRID, .key_id = key->key_id,
				.hybrid_key = key->public_key};
			return KW_OK;
		}
	}
	return entry->sealing_keys_count > 0 ? choose_classic(&entry->sealing_keys[0], out) : KW_EVERSION;
}
