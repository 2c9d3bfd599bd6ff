#ifndef KW_WIRE_ENVELOPE_H
#define KW_WIRE_ENVELOPE_H

#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/wire/crypt.h"
#include "proto/wire/curve.h"
#include "proto/wire/frame.h"
#include "proto/wire/hpke.h"
#include "proto/wire/merkle.h"

/* The envelope as bytes (schema: kinward/v1/envelope.proto): reading, writing, padding and its digest. Nothing here has a
 * secret. A hub needs kw_envelope_peek and kw_envelope_digest only; sealing and opening are in seal.h and open.h. */

#define KW_ENVELOPE_VERSION 1u
#define KW_KEY_ID_SIZE_MIN 8u
#define KW_KEY_ID_SIZE_MAX 32u
#define KW_HOPS_MAX 8u
#define KW_RECIPIENTS_MAX KW_MERKLE_SMALL_LEAVES_MAX

#define KW_BODY_SIZE_MAX 49152u                     /* padded: with all else it fits one frame */
#define KW_SEAL_SIZE_MAX (KW_BODY_SIZE_MAX - 1u) /* padding takes at least one byte */
#define KW_CHUNK_SIZE 16384u
#define KW_CHUNKS_MAX (KW_BODY_SIZE_MAX / KW_CHUNK_SIZE)

/* The AuthBlock is padded too: its length would tell the length of the sender's name. One step fits nearly all names. */
#define KW_AUTH_SIZE_MIN 160u
#define KW_AUTH_SIZE_STEP 32u
#define KW_AUTH_SIZE_MAX 288u

enum kw_suite {
	KW_SUITE_AES = 1,   /* X25519, HKDF-SHA256, AES-256-GCM */
	KW_SUITE_CHACHA = 2, /* X25519, HKDF-SHA256, ChaCha20-Poly1305 */
	KW_SUITE_HYBRID = 0x11 /* MLKEM768-X25519, HKDF-SHA256, AES-256-GCM */
};

/* True for the suites above; others are KW_EVERSION wherever an envelope is read. To seal and open, libcrypto must have
 * the suite too (kw_hybrid_able): a hub passes on what it could not open anyway. */
bool kw_suite_known(uint32_t suite);

/* Bytes of the encapsulated key in a slot of this suite, which is known. */
size_t kw_suite_enc_size(enum kw_suite suite);

struct kw_key_id {
	uint8_t size; /* KW_KEY_ID_SIZE_MIN..KW_KEY_ID_SIZE_MAX */
	uint8_t bytes[KW_KEY_ID_SIZE_MAX];
};

/* KW_EFIELD when the size is out of range; out untouched. */
KW_MUST_USE enum kw_err kw_key_id_from(struct kw_view bytes, struct kw_key_id *out);
struct kw_view kw_key_id_view(const struct kw_key_id *id);

/* What a hub may know of a message, and all it needs. Views point into the envelope. */
struct kw_envelope_label {
	struct kw_id id;
	enum kw_suite suite;
	enum kw_msg_class msg_class; /* never KW_CONTROL */
	uint32_t expiry_hour;        /* hours since 1970, 1 or more; not compared with a clock here */
	uint32_t size_bucket;        /* bytes of the padded message */
	uint32_t hops_max;           /* 1..KW_HOPS_MAX */
	struct kw_view home_hub;     /* names: checked against the rule of id.h */
	struct kw_view agency;       /* destination */
	struct kw_view hub;          /* destination's hub */
};

/* All parts, in order of the schema; views and pointers into the envelope. */
struct kw_envelope {
	struct kw_envelope_label label;
	struct kw_view header;
	const uint8_t *commit; /* KW_DIGEST_SIZE bytes */
	struct kw_view slot;
	struct kw_view key_id;
	const uint8_t *enc;        /* kw_suite_enc_size() bytes */
	struct kw_view sealed_key; /* KW_SEALED_KEY_SIZE bytes */
	struct kw_merkle_path path;
	struct kw_view body;
	struct kw_view auth;
};

#define KW_DEK_SIZE 32u
#define KW_SEALED_KEY_SIZE (KW_DEK_SIZE + KW_AEAD_TAG_SIZE)

/* Reads and checks the whole structure: every field, size and name, and that the body is as long as its bucket says.
 * No crypto and no allocation.
 * KW_ETOOBIG   over KW_ENVELOPE_SIZE_MAX
 * KW_EVERSION  a version or suite we do not speak
 * KW_EFORMAT, KW_EFIELD  anything else */
KW_MUST_USE enum kw_err kw_envelope_parse(struct kw_view bytes, struct kw_envelope *out);

/* kw_envelope_parse for a hub's hot path: the label only. Same checks, same errors. */
KW_MUST_USE enum kw_err kw_envelope_peek(struct kw_view bytes, struct kw_envelope_label *out);

/* The envelope digest T that receipts and logs name, from the bytes alone: the same for every recipient's envelope of one
 * message. Errors of kw_envelope_parse, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_envelope_digest(struct kw_view bytes, struct kw_digest *out);

/* T of a parsed envelope. header_hash: SHA-256 of its header bytes. */
KW_MUST_USE enum kw_err kw_envelope_digest_of(const struct kw_envelope *envelope, const struct kw_digest *header_hash,
	struct kw_digest *out);

/* The same where the body's SHA-256 stands for the body. */
KW_MUST_USE enum kw_err kw_envelope_digest_join(const struct kw_envelope *envelope, const struct kw_digest *header_hash,
	const struct kw_digest *body_hash, struct kw_digest *out);

/* Header and slot alone, checked as in kw_envelope_parse; what else an envelope has stays as it is. Same errors. */
KW_MUST_USE enum kw_err kw_envelope_parse_clear(struct kw_view header, struct kw_view slot, struct kw_envelope *out);

/* Appends the encoding of header, slot or the whole; fields are taken as they are. */
KW_MUST_USE enum kw_err kw_envelope_add_header(struct kw_buf *buf, const struct kw_envelope_label *label);
KW_MUST_USE enum kw_err kw_envelope_add_slot(struct kw_buf *buf, const struct kw_envelope *envelope);
KW_MUST_USE enum kw_err kw_envelope_add(struct kw_buf *buf, const struct kw_envelope *envelope);

/* Who signed what, and when: the sealed Claims. */
struct kw_claims {
	struct kw_name sender;
	struct kw_name sender_hub;
	struct kw_key_id key_id;
	int64_t sent_unix_ms;  /* 1 or more, by the sender's clock */
	uint32_t content_type; /* 1 or more */
	struct kw_id thread_id;
	uint64_t thread_sequence; /* 0: none */
};

/* Views into an opened AuthBlock. */
struct kw_auth_block {
	struct kw_view claims;    /* encoded Claims */
	struct kw_view signature; /* KW_SIGNATURE_SIZE bytes */
};

KW_MUST_USE enum kw_err kw_claims_add(struct kw_buf *buf, const struct kw_claims *claims);
/* KW_EFORMAT, KW_EFIELD; out untouched. */
KW_MUST_USE enum kw_err kw_claims_parse(struct kw_view bytes, struct kw_claims *out);
KW_MUST_USE enum kw_err kw_auth_block_add(struct kw_buf *buf, const struct kw_auth_block *block);
KW_MUST_USE enum kw_err kw_auth_block_parse(struct kw_view bytes, struct kw_auth_block *out);

/* The padded size of content_size (0..KW_SEAL_SIZE_MAX) bytes: 512, 1024, 2048, 4096, then Padmé (Nikitin et al.,
 * "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019), which adds at most 12%. */
uint32_t kw_pad_bucket(size_t content_size);
/* The same rule for any size of 1 byte to 2 GiB, nothing added: what blobs are padded to. */
uint32_t kw_pad_round(uint32_t size);
/* True for a size that kw_pad_bucket can give. */
bool kw_pad_is_bucket(uint32_t size);
/* The padded size of an AuthBlock of block_size bytes; at most KW_AUTH_SIZE_MAX when all its fields are in range. */
uint32_t kw_pad_auth_size(size_t block_size);
/* Appends 0x80, then zeros, until buf->size == size (ISO/IEC 7816-4). KW_ETOOBIG when there is no room for the 0x80. */
KW_MUST_USE enum kw_err kw_pad_add(struct kw_buf *buf, size_t size);
/* The content's size within padded bytes. KW_EFORMAT when they do not end in 0x80 and zeros. */
KW_MUST_USE enum kw_err kw_pad_strip(struct kw_view padded, size_t *content_size);

#endif
