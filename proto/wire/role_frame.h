#ifndef KW_WIRE_ROLE_FRAME_H
#define KW_WIRE_ROLE_FRAME_H

#include "proto/wire/frame.h"
#include "proto/wire/role.h"

/* Signed roles on a session: pieces of them (ROLE_PART), because a directory is larger than a frame, and the question for
 * them (ROLES_WANT). Who reads puts the pieces together in an inbox, one role at a time. */

enum kw_role_kind {
	KW_ROLE_KIND_ROOT = 1,
	KW_ROLE_KIND_TIMESTAMP = 2,
	KW_ROLE_KIND_SNAPSHOT = 3,
	KW_ROLE_KIND_DIRECTORY = 4,
	KW_ROLE_KIND_DELTA = 5
};

#define KW_ROLE_PART_SIZE_MAX 16000u /* of bytes; a whole frame of it fits one TLS record */

struct kw_role_part {
	enum kw_role_kind kind;
	uint32_t offset;
	uint32_t total; /* 1..kw_role_total_max(kind) */
	struct kw_view bytes;
};
/* The largest whole of a kind. */
uint32_t kw_role_total_max(enum kw_role_kind kind);

/* KW_EFORMAT, KW_EFIELD. */
KW_MUST_USE enum kw_err kw_role_part_parse(struct kw_view body, struct kw_role_part *out);
/* Appends a frame. KW_EFIELD, KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_role_part_add(struct kw_buf *out, const struct kw_role_part *part);

/* Versions that a reader has; 0: none. */
struct kw_roles_have {
	uint64_t root;
	uint64_t timestamp;
	uint64_t snapshot;
	uint64_t directory;
};
KW_MUST_USE enum kw_err kw_roles_want_parse(struct kw_view body, struct kw_roles_have *out);
KW_MUST_USE enum kw_err kw_roles_want_add(struct kw_buf *out, const struct kw_roles_have *have);

struct kw_role_inbox {
	enum kw_role_kind kind; /* of what is under way; 0: nothing */
	uint32_t total;
	struct kw_buf bytes;
};
void kw_role_inbox_init(struct kw_role_inbox *inbox);
void kw_role_inbox_fini(struct kw_role_inbox *inbox);
/* Takes a piece. *whole: inbox->bytes is all of `kind`, until the next call. Memory grows with what has come, not with what
 * was announced.
 * KW_EPROTO  not the next piece of what is under way; KW_ENOMEM. What was under way is dropped. */
KW_MUST_USE enum kw_err kw_role_inbox_take(struct kw_role_inbox *inbox, const struct kw_role_part *part, bool *whole);

#endif
