#ifndef KW_TEST_KIT_ASKER_H
#define KW_TEST_KIT_ASKER_H

#include "proto/wire/enrol.h"

/* Somebody who enrols: keys, a code's secret and the request. Failures are assertions. */

struct kit_asker {
	struct kw_ed25519 identity;
	struct kw_ed25519 tls;
	struct kw_x25519 sealing;
	uint8_t secret[KW_ENROL_SECRET_SIZE];
	uint8_t code_id[KW_ENROL_ID_SIZE];
	struct kw_digest code_key;
	struct kw_buf request;
};

/* secret: its first byte; the rest is zero. */
void kit_asker_init(struct kit_asker *asker, uint8_t secret);
void kit_asker_fini(struct kit_asker *asker);
/* Appends an EnrolAsk. */
void kit_asker_ask(const struct kit_asker *asker, const struct kw_digest *binding, struct kw_buf *out);

#endif
