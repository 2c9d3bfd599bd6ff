#ifndef KW_WIRE_VALIDATE_H
#define KW_WIRE_VALIDATE_H

#include <stdbool.h>

#include "proto/wire/message.h"

/* The inside of kw_message_validate: rules as tables (validate_rules.c, made from the schema by proto/rules.py), and the
 * engine that applies them (validate.c).
 * A message type has one rule per field, in the order of field numbers, and perhaps a check over several fields. */

enum kw_rule_kind {
	KW_RULE_MESSAGE,
	KW_RULE_ENUM,      /* a known code of at least min, when min is given */
	KW_RULE_UINT,      /* min..max; required means not 0 */
	KW_RULE_TIME,      /* milliseconds since 1970, up to the end of the year 9999 */
	KW_RULE_BOOL,      /* anything */
	KW_RULE_BYTES,     /* min..max bytes */
	KW_RULE_LINE,      /* min..max bytes of UTF-8 without control characters */
	KW_RULE_LINES,     /* the same, line feeds allowed */
	KW_RULE_NAME,      /* an agency's name, kw_name_from */
	KW_RULE_LANGUAGE,  /* a code of ISO 639-3 */
	KW_RULE_COUNTRY,   /* a code of ISO 3166-1 alpha-2 */
	KW_RULE_PCODE,     /* 2..20 of A-Z and 0-9 */
	KW_RULE_SCRIPT,    /* a code of ISO 15924 */
	KW_RULE_PHONE,     /* up to max of 0-9 + - ( ) and space */
	KW_RULE_WIRE_NAME, /* 1..max of a-z and _ */
	KW_RULE_WEEK       /* ISO 8601 such as 2026-W48, a week of that year, 1900..2100 */
};

struct kw_rule {
	const char *field;
	enum kw_rule_kind kind;
	bool required;      /* not zero, not empty; of a oneof: some member is set */
	uint32_t min;       /* see kind; of a text that is given at least 1 */
	uint32_t max;
	uint32_t count_max; /* repeated fields only */
	bool past;          /* a PartialDate, not after the message's own day and one more */
	uint32_t back_days; /* a time, at most so many days before the message's own; 0 is any */
};

struct kw_walk;

struct kw_rule_set {
	const ProtobufCMessageDescriptor *descriptor;
	const struct kw_rule *rules;
	unsigned count;
	/* A check over several fields, after each is right by itself; NULL for none. */
	enum kw_err (*across)(struct kw_walk *walk, const void *message);
};

/* NULL when the type has no rules. */
const struct kw_rule_set *kw_validate_rules(const ProtobufCMessageDescriptor *descriptor);

/* Where the validator is. */
struct kw_walk {
	/* Set when it shall not stop at the first fault; gets each of them. */
	void (*each)(void *context, const struct kw_fault *fault);
	void *context;
	size_t faults; /* how many it got */
	int64_t at_ms; /* when the message is sent, as far as is known; 0: not known, nothing has ended then */
	int64_t created_ms; /* when the message says that it was made; 0: it does not say, so nothing is early or late */
	struct kw_fault *fault;
	size_t path_size;
	char path[sizeof(((struct kw_fault *)NULL)->field)];
};

/* Writes the fault: a field of the present message ("" for the message itself) and the rule. Gives `code`. */
KW_MUST_USE enum kw_err kw_validate_refuse(struct kw_walk *walk, enum kw_err code, const char *field, const char *rule);

#endif
