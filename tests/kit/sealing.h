#ifndef KW_TEST_KIT_SEALING_H
#define KW_TEST_KIT_SEALING_H

#include "proto/wire/open.h"
#include "proto/wire/seal.h"

/* A sender, eight recipients and their keys, all made from fixed seeds, and randomness that repeats: what tests, golden
 * files and the fuzzer need to seal and open. Nothing of it is secret. */

struct kit_sealing {
	struct kw_ed25519 identity;
	struct kw_x25519 secrets[KW_RECIPIENTS_MAX];
	struct kw_hybrid hybrids[KW_RECIPIENTS_MAX]; /* with KW_SUITE_HYBRID; all zero where libcrypto has no ML-KEM */
	struct kw_seal_recipient recipients[KW_RECIPIENTS_MAX]; /* agency-0@hub-0, agency-1@hub-1, agency-2@hub-0, … */
	struct kw_seal_random random;
	uint64_t drawn; /* position in the random stream; the first two draws are the envelope id and the DEK */
	uint64_t seed;
	struct kw_seal_request request; /* points into this struct: do not copy it */
};

/* recipients_count: 1..KW_RECIPIENTS_MAX. content is borrowed. */
void kit_sealing_init(struct kit_sealing *kit, enum kw_suite suite, size_t recipients_count, struct kw_view content);

/* The DEK that the next kw_seal of a kit in its present state will draw. */
void kit_sealing_dek(const struct kit_sealing *kit, uint8_t *dek);

/* A request to open `envelope` as the recipient of this index. All keys of the kit are found. */
struct kw_open_request kit_sealing_open(struct kit_sealing *kit, size_t recipient_index, struct kw_view envelope);

#endif
