#ifndef KW_WIRE_FRAME_H
#define KW_WIRE_FRAME_H

#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/wire/clocks.h"

/* Frames: u24 body length (big-endian), u8 type, body. The two hot ones (MESSAGE, ACK) are written and read here without
 * allocation; the rare ones go through protobuf-c with a bounded arena (message.h). All of it is bytes in, structs of
 * views out: a view lives as long as the bytes it was parsed from. */

#define KW_FRAME_HEAD_SIZE 4u
#define KW_FRAME_SIZE_MAX 65536u       /* head included, after authentication */
#define KW_FRAME_SIZE_MAX_PREAUTH 4096u /* first frame of a session (HELLO, ENROL) */
#define KW_ENVELOPE_SIZE_MAX 65000u    /* leaves room for the rest of a MESSAGE */

/* Frame types: the FrameType enum of frame.proto. */
enum kw_frame_type {
	KW_FRAME_HELLO = 1,
	KW_FRAME_WELCOME = 2,
	KW_FRAME_MESSAGE = 3,
	KW_FRAME_ACK = 4,
	KW_FRAME_ERROR = 5,
	KW_FRAME_PING = 6,
	KW_FRAME_PONG = 7,
	KW_FRAME_GOAWAY = 8,
	KW_FRAME_UNOPENED = 10,
	KW_FRAME_ENROL = 11,
	KW_FRAME_ENROLLED = 12,
	KW_FRAME_ENROL_STATE = 13,
	KW_FRAME_RECALL = 0x84,    /* behind those of frame_blob.h */
	KW_FRAME_RENEW = 0x85,     /* renew.h */
	KW_FRAME_RENEWED = 0x86,
	KW_FRAME_PREKEYS = 0x87,   /* prekey.h */
	KW_FRAME_PREKEYS_WANT = 0x88,
	KW_FRAME_CHECKPOINT = 0x89, /* frame_audit.h */
	KW_FRAME_PROVE = 0x8a,
	KW_FRAME_PROOF = 0x8b,
	KW_FRAME_ROLE_PART = 0x8c, /* role_frame.h */
	KW_FRAME_ROLES_WANT = 0x8d
};

struct kw_frame {
	uint8_t type;
	struct kw_view body;
};

/* Takes the first whole frame off `bytes`.
 *   size_max  KW_FRAME_SIZE_MAX or KW_FRAME_SIZE_MAX_PREAUTH, head included
 *   used      bytes to drop; 0 when more are needed (then KW_OK and out->body.data == NULL)
 * KW_ETOOBIG as soon as the head announces more than size_max. */
KW_MUST_USE enum kw_err kw_frame_next(struct kw_view bytes, size_t size_max, struct kw_frame *out, size_t *used);

/* Appends a whole frame. KW_ETOOBIG when head and body pass KW_FRAME_SIZE_MAX. */
KW_MUST_USE enum kw_err kw_frame_add(struct kw_buf *out, uint8_t type, struct kw_view body);

/* One message of a hop's log, either direction. Exactly one of envelope, notice and reminder is not empty. */
struct kw_frame_message {
	enum kw_msg_class msg_class;
	uint64_t sequence;
	struct kw_view envelope; /* encoded Envelope */
	struct kw_view notice;   /* encoded Notice, KW_CONTROL only */
	struct kw_view tracks;   /* what kw_frame_track_add wrote, with an envelope only; read by kw_frame_tracks_parse */
	struct kw_view reminder; /* encoded Reminder, KW_CONTROL only */
};

KW_MUST_USE enum kw_err kw_frame_message_parse(struct kw_view body, struct kw_frame_message *out);
KW_MUST_USE enum kw_err kw_frame_message_add(struct kw_buf *out, const struct kw_frame_message *message);

struct kw_cursor {
	uint64_t epoch;    /* of the sending store; 0 = nothing yet */
	uint64_t sequence; /* last durable one */
};

struct kw_credit {
	uint64_t messages; /* absolute totals since the session began */
	uint64_t bytes;
};

/* Cumulative acknowledgement; bit c of a mask says that class c is present. */
struct kw_frame_ack {
	uint8_t cursor_mask;
	uint8_t credit_mask;
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT];
	struct kw_credit credits[KW_MSG_CLASS_COUNT];
};

KW_MUST_USE enum kw_err kw_frame_ack_parse(struct kw_view body, struct kw_frame_ack *out);
KW_MUST_USE enum kw_err kw_frame_ack_add(struct kw_buf *out, const struct kw_frame_ack *ack);

/* HELLO and WELCOME differ only in who speaks; one struct serves both. */
struct kw_frame_hello {
	uint32_t version_min;
	uint32_t version_max; /* equal to version_min in WELCOME */
	uint64_t features;
	uint64_t epoch; /* the speaker's store epoch, not 0 */
	struct kw_cursor cursors[KW_MSG_CLASS_COUNT];
	struct kw_credit credits[KW_MSG_CLASS_COUNT];
	int64_t clock_unix_ms;
	uint64_t directory_version;
	uint64_t root_version; /* HELLO only, as the next two */
	uint64_t timestamp_version;
	uint64_t snapshot_version;
	uint64_t log_size; /* HELLO only: of the audit log, as the agent knows it; 0: it does not */
	uint32_t envelope_size_max; /* WELCOME only */
	const struct kw_clock_limits *limits; /* WELCOME only, and of its writer; NULL: not said. See kw_frame_welcome_limits */
};

KW_MUST_USE enum kw_err kw_frame_hello_parse(struct kw_view body, struct kw_frame_hello *out);
KW_MUST_USE enum kw_err kw_frame_hello_add(struct kw_buf *out, const struct kw_frame_hello *hello);
KW_MUST_USE enum kw_err kw_frame_welcome_parse(struct kw_view body, struct kw_frame_hello *out);
KW_MUST_USE enum kw_err kw_frame_welcome_add(struct kw_buf *out, const struct kw_frame_hello *welcome);
/* Sets in `limits` what a WELCOME says of the hub's clocks, which kw_frame_welcome_parse has checked; the others are left. A
 * limit that is no whole second is said as the next one. *said: it says something. */
KW_MUST_USE enum kw_err kw_frame_welcome_limits(struct kw_view body, struct kw_clock_limits *limits, bool *said);

struct kw_frame_notice {
	struct kw_id envelope_id;
	struct kw_name agency;
	enum kw_err reason;
	uint32_t retry_after_ms;
};

KW_MUST_USE enum kw_err kw_frame_notice_parse(struct kw_view body, struct kw_frame_notice *out);
/* Appends the encoded Notice itself, without a frame head: it goes into a Message and into the store. */
KW_MUST_USE enum kw_err kw_frame_notice_add(struct kw_buf *out, const struct kw_frame_notice *notice);

/* What an agent lets its hub know of a thread (DOMAIN §1): numbers of proto/wire/states.h, not checked here, because a
 * newer agent may know more of them than an older hub. */
#define KW_FRAME_TRACKS_MAX 32u
#define KW_FRAME_TRACK_SIZE_MAX 100u /* as one field of a message */

struct kw_frame_track {
	struct kw_id thread_id;
	uint8_t kind;
	uint8_t state;     /* what the sender declares */
	uint8_t risk;
	uint8_t present;   /* the state at the sender with this; 0: not said */
	uint32_t sequence; /* of the sender's events in this thread; 0: not an event of its own, a receipt */
	uint32_t heard;    /* the other party's last event that the sender had judged */
	struct kw_name other_agency;
};

/* Appends one track in the form of kw_frame_message.tracks. */
KW_MUST_USE enum kw_err kw_frame_track_add(struct kw_buf *out, const struct kw_frame_track *track);
/* out: KW_FRAME_TRACKS_MAX of them. KW_ETOOBIG when there are more. */
KW_MUST_USE enum kw_err kw_frame_tracks_parse(struct kw_view tracks, struct kw_frame_track *out, uint32_t *count);

/* A clock of a thread has reached a step; numbers of proto/wire/states.h and clocks.h. */
struct kw_frame_reminder {
	struct kw_id thread_id;
	uint8_t kind;
	uint8_t clock;
	uint8_t step; /* percent of the limit: 50, 100, 150, 200 */
	uint8_t audience; /* of the schema: ReminderAudience */
	uint8_t risk;
	uint8_t state;
	int64_t due_unix_ms; /* the limit itself, by the hub's clock */
	int64_t late_ms;     /* past the limit when it was made; 0 before it */
	struct kw_name agency;       /* who is waited for */
	struct kw_name other_agency; /* who waits */
};

KW_MUST_USE enum kw_err kw_frame_reminder_parse(struct kw_view body, struct kw_frame_reminder *out);
/* Appends the encoded Reminder itself, without a frame head, as kw_frame_notice_add does. */
KW_MUST_USE enum kw_err kw_frame_reminder_add(struct kw_buf *out, const struct kw_frame_reminder *reminder);

struct kw_frame_error {
	enum kw_err code;
	uint8_t scope; /* 1 frame, 2 message, 3 session */
	bool retryable;
	uint32_t retry_after_ms;
	char field[64]; /* terminated; may be empty */
};

KW_MUST_USE enum kw_err kw_frame_error_parse(struct kw_view body, struct kw_frame_error *out);
KW_MUST_USE enum kw_err kw_frame_error_add(struct kw_buf *out, const struct kw_frame_error *error);

struct kw_frame_unopened {
	enum kw_msg_class msg_class;
	uint64_t sequence;
	struct kw_id envelope_id;
	bool key_gone; /* the key that it is sealed to is destroyed, or was never ours: sealed anew it may be opened */
};

KW_MUST_USE enum kw_err kw_frame_unopened_parse(struct kw_view body, struct kw_frame_unopened *out);
KW_MUST_USE enum kw_err kw_frame_unopened_add(struct kw_buf *out, const struct kw_frame_unopened *unopened);

struct kw_frame_recall {
	struct kw_name agency;
	struct kw_id envelope_id;
};

KW_MUST_USE enum kw_err kw_frame_recall_parse(struct kw_view body, struct kw_frame_recall *out);
KW_MUST_USE enum kw_err kw_frame_recall_add(struct kw_buf *out, const struct kw_frame_recall *recall);

/* PING and PONG carry one nonce; GOAWAY one delay. */
KW_MUST_USE enum kw_err kw_frame_ping_parse(struct kw_view body, uint64_t *nonce);
KW_MUST_USE enum kw_err kw_frame_ping_add(struct kw_buf *out, uint8_t type, uint64_t nonce);
KW_MUST_USE enum kw_err kw_frame_goaway_parse(struct kw_view body, uint32_t *retry_after_ms);
KW_MUST_USE enum kw_err kw_frame_goaway_add(struct kw_buf *out, uint32_t retry_after_ms);

#endif
