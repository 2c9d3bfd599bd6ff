#ifndef KW_WIRE_MESSAGE_H
#define KW_WIRE_MESSAGE_H

#include "proto/base/bytes.h"
#include "proto/wire/arena.h"

/* From outside bytes to structs that may be trusted, and back. What a message may contain is decided here and nowhere
 * else: presence, lengths, ranges, known codes, text. The schema's comments state the same rules for people.
 *
 * A field that a newer sender knows and we do not is kept and does no harm; an enum code we do not know is refused,
 * because it would be mapped to a wrong meaning. */

struct Kinward__V1__Content; /* kinward/v1/content.pb-c.h */

#define KW_CONTENT_SIZE_MAX 40960u    /* encoded Content */
#define KW_CONTENT_ARENA_MAX 524288u  /* unpacked Content: 1,024 fields and 40 KiB need less than half of it */
#define KW_MESSAGE_ARENA_MAX 1048576u /* unpacked message of another kind, such as a LocalRequest or a Directory */

/* What is wrong, for a person who writes or sends messages. Never holds a value: values are personal. */
struct kw_fault {
	enum kw_err code;
	char field[128]; /* path as in JSON, such as "referralRequest.children[2].age.years"; empty when it is the whole message */
	char rule[160];  /* the rule and what to do, one English sentence */
};

/* Unpacks any message of ours: pre-scan (kw_pb_prescan), then protobuf-c. Does not look at values.
 *   arena  owns what *out points to; usually empty before. On failure it may hold pieces; fini it either way
 *   out    written on KW_OK only
 *   fault  written on failure only
 * KW_EFORMAT  the bytes do not parse
 * KW_ETOOBIG  over size_max, the pre-scan's limits or the arena
 * KW_ENOMEM   no memory for the arena */
struct kw_unpack {
	const ProtobufCMessageDescriptor *descriptor;
	size_t size_max; /* of the encoded bytes */
};
KW_MUST_USE enum kw_err kw_message_unpack(struct kw_view bytes, struct kw_unpack what, struct kw_arena *arena,
	ProtobufCMessage **out, struct kw_fault *fault);

/* Checks a message against its rules. There are rules for Content and everything below it (so also for a
 * UascRegistration by itself); another type is a mistake of ours.
 *   root   path of the message, for the fault's field; "" for none
 * KW_EFIELD    a value breaks a rule
 * KW_EVERSION  Content of a kind that we do not know */
KW_MUST_USE enum kw_err kw_message_validate(const ProtobufCMessage *message, const char *root, struct kw_fault *fault);

/* The same without a root, as of `at_ms` (milliseconds since 1970) where that is later than when the message was written: for
 * who sends it now. A consent that has ended by then does not count. */
KW_MUST_USE enum kw_err kw_message_validate_at(const ProtobufCMessage *message, int64_t at_ms, struct kw_fault *fault);

/* The same without a root, for all faults of a message in one go: `each` gets them, in the order of fields. What holds
 * across the fields of a message is looked at only when each of them is right, so there may be more to find once these
 * are corrected. Gives how many there are. */
size_t kw_message_faults(const ProtobufCMessage *message, void (*each)(void *context, const struct kw_fault *fault),
	void *context);

/* Both for a Content of at most KW_CONTENT_SIZE_MAX bytes; errors as above. */
KW_MUST_USE enum kw_err kw_content_unpack(struct kw_view bytes, struct kw_arena *arena,
	struct Kinward__V1__Content **out, struct kw_fault *fault);
KW_MUST_USE enum kw_err kw_content_validate(const struct Kinward__V1__Content *content, struct kw_fault *fault);

/* Validates, then appends the encoded Content. What is packed can be unpacked: the size and the pre-scan's limits are
 * checked too. On failure `out` is as it was. */
KW_MUST_USE enum kw_err kw_content_pack(const struct Kinward__V1__Content *content, struct kw_buf *out,
	struct kw_fault *fault);

#endif
