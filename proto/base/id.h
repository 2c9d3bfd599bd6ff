#ifndef KW_BASE_ID_H
#define KW_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bytes.h"

/* Names of agencies and hubs, and the 16-byte ids of envelopes and threads. */

#define KW_ID_SIZE 16u
#define KW_DIGEST_SIZE 32u

/* An agency or hub name: 1..63 of a-z, 0-9 and '-', first and last not '-'. Same rule as a DNS label, so that it fits
 * certificates, paths and log lines without escaping. */
#define KW_NAME_SIZE_MAX 63u

struct kw_name {
	char text[KW_NAME_SIZE_MAX + 1]; /* terminated, zero padded */
};

/* Checks the rule above and copies. KW_EFIELD if it breaks the rule; out untouched. */
KW_MUST_USE enum kw_err kw_name_from(struct kw_view text, struct kw_name *out);
bool kw_name_equal(const struct kw_name *a, const struct kw_name *b);

struct kw_id {
	uint8_t bytes[KW_ID_SIZE];
};

struct kw_digest {
	uint8_t bytes[KW_DIGEST_SIZE]; /* SHA-256 */
};

bool kw_id_equal(const struct kw_id *a, const struct kw_id *b);

/* Message classes, in order of precedence; each has its own sequence on every hop. CONTROL carries notices from a hub
 * to its agencies and is never submitted by an agent. */
enum kw_msg_class {
	KW_CONTROL = 0,
	KW_URGENT = 1,
	KW_NORMAL = 2,
	KW_BULK = 3,
	KW_MSG_CLASS_COUNT
};

const char *kw_msg_class_name(enum kw_msg_class msg_class);

#endif
