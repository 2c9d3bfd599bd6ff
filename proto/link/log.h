#ifndef KW_LINK_LOG_H
#define KW_LINK_LOG_H

#include <stdint.h>

#include "proto/base/err.h"

/* One JSON object per line on stderr: {"t":"2026-11-24T10:00:00.000Z","level":"info","event":"agency_online",…}.
 * Never a name of a person, a body, a key or a token: callers log codes, agencies and ids only. A line is at most
 * KW_LOG_LINE_MAX bytes; a value that does not fit is cut, and what comes after it left out. Other than ASCII is
 * written as \u00XX, one escape each. */

#define KW_LOG_LINE_MAX 1024u

enum kw_log_level { KW_LOG_DEBUG, KW_LOG_INFO, KW_LOG_WARN, KW_LOG_ERROR };

enum kw_log_kind { KW_LOG_END, KW_LOG_IS_STR, KW_LOG_IS_INT };

struct kw_log_field {
	enum kw_log_kind kind;
	const char *key; /* a literal of a-z and _ */
	const char *str; /* NULL prints null */
	int64_t number;
};

#define KW_LOG_STR(name, value) ((struct kw_log_field){.kind = KW_LOG_IS_STR, .key = (name), .str = (value)})
#define KW_LOG_INT(name, value) ((struct kw_log_field){.kind = KW_LOG_IS_INT, .key = (name), .number = (int64_t)(value)})
#define KW_LOG_ERR(value) KW_LOG_STR("error", kw_err_name(value))

/* Lines below this level are not written; KW_LOG_INFO at start. */
void kw_log_level_set(enum kw_log_level level);

/* fields: ended by one of kind KW_LOG_END. Use the macro. */
void kw_log_write(enum kw_log_level level, const char *event, const struct kw_log_field *fields);

#define kw_log(level, event, ...) \
	kw_log_write((level), (event), (const struct kw_log_field[]){__VA_ARGS__ __VA_OPT__(,) {.kind = KW_LOG_END}})

#endif
