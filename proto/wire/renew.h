#ifndef KW_WIRE_RENEW_H
#define KW_WIRE_RENEW_H

#include "proto/wire/frame.h"
#include "proto/wire/hybrid.h"
#include "proto/wire/identity.h"

/* RENEW and RENEWED (kinward/v1/renew.proto): an agency asks for a new certificate and, with it or without, for other keys.
 *
 *   signature  Ed25519 of the present identity key over "kw1 renew" ‖ hub ‖ agency ‖ exporter ‖ u64 unix_ms ‖ csr ‖ sealing key ‖
 *              identity key ‖ identity change ‖ hybrid key (nothing, without one), each but the time with its size before it (u16)
 *
 * The exporter is of the connection that carries it (RFC 8446 §7.5), so on any other one a copy of it is refused. */

#define KW_RENEW_CSR_SIZE_MAX 1024u
#define KW_RENEW_CERTIFICATES_MAX 3u
#define KW_RENEW_CERTIFICATE_SIZE_MAX 4096u
#define KW_RENEW_EXPORTER "EXPORTER-kinward-renew/1"
#define KW_RENEW_EXPORTER_SIZE 32u
#define KW_RENEW_WINDOW_MS (INT64_C(24) * 3600000) /* between the agent's clock and the hub's */

/* Views are borrowed; after a parse they point into the frame. */
struct kw_renew {
	struct kw_name agency;
	struct kw_view csr;
	int64_t unix_ms;
	struct kw_view sealing_key;  /* KW_KEY_SIZE, or empty: as it is */
	struct kw_view identity_key; /* the same */
	struct kw_identity_change identity_change; /* with identity_key */
	struct kw_view hybrid_key;   /* KW_HYBRID_PUBLIC_SIZE, or empty: as it is */
	struct kw_view signature;    /* after a parse */
};

/* What the signature covers besides. */
struct kw_renew_where {
	const struct kw_name *hub;
	const uint8_t *exporter; /* KW_RENEW_EXPORTER_SIZE */
};

/* Appends a RENEW frame, signed. KW_EFIELD, KW_ETOOBIG, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err kw_renew_add(struct kw_buf *out, const struct kw_renew *renew, const struct kw_renew_where *where,
	const struct kw_ed25519 *identity);
/* Form only. KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_renew_parse(struct kw_view body, struct kw_renew *out);
/* KW_EAUTH: not signed by this key for this hub and connection; or a change of the identity key that both keys have not signed,
 * or that is not from this key. */
KW_MUST_USE enum kw_err kw_renew_verify(const struct kw_renew *renew, const struct kw_renew_where *where,
	const uint8_t *identity_key);

struct kw_renewed {
	struct kw_view certificates[KW_RENEW_CERTIFICATES_MAX]; /* DER, leaf first */
	size_t certificates_count;                              /* 0: refused */
	enum kw_err problem;                                    /* KW_OK: not refused */
	int64_t clock_unix_ms;                                  /* of the hub */
};

/* Appends a RENEWED frame. KW_EFIELD: neither certificates nor a problem, or both; KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_renewed_add(struct kw_buf *out, const struct kw_renewed *renewed);
/* KW_EFORMAT, KW_EFIELD. A problem that we do not know is KW_EPROTO. */
KW_MUST_USE enum kw_err kw_renewed_parse(struct kw_view body, struct kw_renewed *out);

#endif
