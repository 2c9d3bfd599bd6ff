#ifndef AGENT_SHELL_LETTER_H
#define AGENT_SHELL_LETTER_H

#include "agent/shell/keys.h"
#include "agent/shell/prekey_peers.h"
#include "agent/shell/prekeys.h"
#include "agent/shell/spool.h"
#include "proto/wire/directory.h"

/* Sealing what we send and opening what we get, with our keys and the directory. Content is bytes here. */

#define LETTER_HOPS_MAX 2u
#define LETTER_CONTENT_SIZE_MAX 40960u

struct letter_office {
	const struct keys *keys;
	struct kw_name agency; /* we */
	struct kw_name hub;
	const struct kw_directory *directory; /* NULL: none yet */
	int64_t now_ms;        /* for opening */
	const struct prekeys *prekeys;        /* our own dated keys; NULL: none */
	struct prekey_peers *peers;           /* those of others; NULL: none, the directory's keys are used */
	uint32_t day;                         /* today, of hub time */
};

struct letter {
	struct kw_name to;
	enum kw_msg_class msg_class;
	uint32_t expiry_hour;
	uint32_t content_type;
	struct kw_id thread_id;
	uint64_t thread_sequence;
	int64_t now_ms;
	struct kw_view content;
	uint32_t gaps_count; /* of our places in the thread; they travel in the content */
	struct spool_gap gaps[SPOOL_GAPS_MAX];
	struct kw_view gone_key_id; /* of a dated key that its agency does not have any more: not that one */
};

struct letter_sealed {
	struct kw_id envelope_id;
	struct kw_digest digest;
	struct spool_box *box; /* the envelope; one reference, the caller's */
};

/* KW_ENOAGENCY  nobody of that name; KW_EDENIED: shut out; KW_EVERSION: no suite in common; errors of kw_seal */
KW_MUST_USE enum kw_err letter_seal(const struct letter_office *office, const struct letter *letter,
	struct letter_sealed *out);
/* The same, and appends to `proof` what shows to others that we sent it: an EnvelopeProof. */
KW_MUST_USE enum kw_err letter_seal_proved(const struct letter_office *office, const struct letter *letter,
	struct kw_buf *proof, struct letter_sealed *out);

struct letter_opened {
	struct spool_item item; /* thread, agency, envelope id and digest are filled */
	uint32_t expiry_hour;
	uint32_t content_type;
	bool weaker;            /* we list a stronger suite than the one that it came in */
	uint8_t sender_key[KW_KEY_SIZE]; /* the identity key that signed it: the sender's present one, or the one before it */
	struct kw_buf content;  /* wiped and freed by letter_opened_fini */
};

/* `reason`: for the log; static storage.
 * Errors of kw_open: KW_EOPEN and bad forms mean "cannot open"; KW_ENOMEM and KW_ECRYPTO are our own trouble. */
KW_MUST_USE enum kw_err letter_open(const struct letter_office *office, struct kw_view envelope,
	struct letter_opened *out, const char **reason);
void letter_opened_fini(struct letter_opened *opened);

/* The id in an envelope's header, for UNOPENED; zeros when it cannot be read. */
struct kw_id letter_id(struct kw_view envelope);

#endif
