#ifndef KW_WIRE_HPKE_H
#define KW_WIRE_HPKE_H

#include "proto/wire/crypt.h"
#include "proto/wire/curve.h"
#include "proto/wire/hybrid.h"

/* Hybrid public key encryption, RFC 9180: DHKEM(X25519, HKDF-SHA256) or the hybrid KEM of hybrid.h, HKDF-SHA256 and the
 * three AEADs of crypt.h.
 *
 * Kinward seals in base mode, single shot (kw_hpke_seal_once, kw_hpke_open_once). The other modes, the sequence and the
 * exporter are complete so that every published vector proves the key schedule. */

#define KW_HPKE_ENC_SIZE 32u /* of DHKEM */
#define KW_HPKE_ENC_SIZE_MAX KW_HYBRID_ENC_SIZE
#define KW_HPKE_EXPORT_SIZE_MAX ((size_t)255 * 32)

/* RFC 9180 §5, table 1. */
enum kw_hpke_mode {
	KW_HPKE_BASE = 0,
	KW_HPKE_PSK = 1,
	KW_HPKE_AUTH = 2,
	KW_HPKE_AUTH_PSK = 3
};

/* The numbers are the KEM identifiers of RFC 9180 §7.1 and draft-ietf-hpke-pq. */
enum kw_hpke_kem {
	KW_HPKE_X25519 = 0x0020,
	KW_HPKE_HYBRID = 0x647a /* base and psk modes only: it authenticates nobody */
};

/* Bytes of an encapsulated key. */
size_t kw_hpke_enc_size(enum kw_hpke_kem kem);

/* The AEAD identifier of a context that only exports (RFC 9180 §7.3). */
#define KW_HPKE_EXPORT_ONLY 0xffffu

/* What both ends agree on. Zeroed fields mean absent. */
struct kw_hpke_suite {
	enum kw_hpke_mode mode;
	enum kw_hpke_kem kem; /* absent: KW_HPKE_X25519 */
	uint16_t aead; /* an enum kw_aead_id, or KW_HPKE_EXPORT_ONLY */
	struct kw_view info;
	struct kw_view psk;    /* psk modes: at least 32 bytes of high entropy; else empty */
	struct kw_view psk_id; /* psk modes: not empty; else empty */
};

struct kw_hpke_send {
	struct kw_hpke_suite suite;
	const uint8_t *recipient;           /* public key: 32 bytes, KW_HYBRID_PUBLIC_SIZE with the hybrid KEM */
	const struct kw_x25519 *sender;     /* auth modes, else NULL */
	const struct kw_x25519 *ephemeral;  /* NULL: fresh random, as the product must. Given only by tests */
	const uint8_t *random;              /* the same for the hybrid KEM: KW_HYBRID_RANDOM_SIZE bytes */
};

struct kw_hpke_recv {
	struct kw_hpke_suite suite;
	const struct kw_x25519 *recipient;
	const struct kw_hybrid *hybrid; /* the recipient with the hybrid KEM, else NULL */
	const uint8_t *sender; /* auth modes: public key, 32 bytes; else NULL */
};

/* One direction's keys. Wiped by kw_hpke_fini. */
struct kw_hpke {
	enum kw_hpke_kem kem;
	uint16_t aead;
	uint8_t key[KW_AEAD_KEY_SIZE_MAX];
	uint8_t base_nonce[KW_AEAD_NONCE_SIZE];
	uint8_t exporter[32];
	uint64_t sequence; /* of the next message */
};

/* enc: kw_hpke_enc_size() bytes are written.
 * KW_EFIELD    the mode does not fit the psk, psk id, KEM or sender given; an unknown aead or KEM; a key that is none
 * KW_EVERSION  the hybrid KEM, and this libcrypto has no ML-KEM */
KW_MUST_USE enum kw_err kw_hpke_send(const struct kw_hpke_send *send, uint8_t *enc, struct kw_hpke *out);
/* enc: kw_hpke_enc_size() bytes.
 * KW_EFIELD, KW_EVERSION  as above
 * KW_EOPEN   enc is of low order */
KW_MUST_USE enum kw_err kw_hpke_recv(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_hpke *out);
void kw_hpke_fini(struct kw_hpke *hpke);

/* Seal and open the next message of a context; as kw_aead_seal and kw_aead_open. A failed open does not advance. */
KW_MUST_USE enum kw_err kw_hpke_seal(struct kw_hpke *hpke, struct kw_view aad, struct kw_view plain, uint8_t *out);
KW_MUST_USE enum kw_err kw_hpke_open(struct kw_hpke *hpke, struct kw_view aad, struct kw_view sealed, uint8_t *out);

/* RFC 9180 §5.3. KW_ETOOBIG over KW_HPKE_EXPORT_SIZE_MAX. */
KW_MUST_USE enum kw_err kw_hpke_export(const struct kw_hpke *hpke, struct kw_view context, void *out, size_t size);

/* DeriveKeyPair (RFC 9180 §7.1.3) from keying material of at least 32 bytes. */
KW_MUST_USE enum kw_err kw_hpke_derive(struct kw_view ikm, struct kw_x25519 *out);

/* SealBase and OpenBase without additional data: the whole product use. `out` takes the bytes of enc, then
 * plain.size + KW_AEAD_TAG_SIZE bytes of ciphertext. */
KW_MUST_USE enum kw_err kw_hpke_seal_once(const struct kw_hpke_send *send, struct kw_view plain, uint8_t *out);
/* KW_EOPEN for everything that a wrong key, info or ciphertext causes. */
KW_MUST_USE enum kw_err kw_hpke_open_once(const struct kw_hpke_recv *recv, const uint8_t *enc, struct kw_view sealed,
	uint8_t *out);

#endif
