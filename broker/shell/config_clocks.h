#ifndef BROKER_CONFIG_CLOCKS_H
#define BROKER_CONFIG_CLOCKS_H

#include <cyaml/cyaml.h>

#include "proto/wire/clocks.h"

/* The `clocks` of broker.yaml: for each clock of DOMAIN §5 and each risk a duration, such as "15 min", "4 h", "14 d", "30 s",
 * or a number of hours. What is not there keeps its default. */

struct config_clock {
	char *high;
	char *medium;
	char *low;
};

struct config_clocks {
	struct config_clock *at[KW_CLOCK_COUNT];
};

/* The fields of struct config_clocks, for a schema. */
extern const cyaml_schema_field_t CONFIG_CLOCKS_FIELDS[];

/* Sets what is there (NULL: nothing) on top of `limits`. KW_EFIELD: field is the one at fault, as "clocks.delivered.high", and
 * limits hold a part. */
KW_MUST_USE enum kw_err config_clocks_take(const struct config_clocks *clocks, struct kw_clock_limits *limits, char *field,
	size_t field_size);

/* "15 min" in milliseconds. KW_EFIELD for anything else, or out of range. */
KW_MUST_USE enum kw_err config_clocks_duration(const char *text, int64_t *ms);

#endif
