#include "broker/shell/config_clocks.h"

#include <stdio.h>
#include <string.h>

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define DURATION_SIZE_MAX 32u

static const cyaml_schema_field_t RISKS[] = {
	CYAML_FIELD_STRING_PTR("high", OPTIONAL, struct config_clock, high, 1, DURATION_SIZE_MAX),
	CYAML_FIELD_STRING_PTR("medium", OPTIONAL, struct config_clock, medium, 1, DURATION_SIZE_MAX),
	CYAML_FIELD_STRING_PTR("low", OPTIONAL, struct config_clock, low, 1, DURATION_SIZE_MAX),
	CYAML_FIELD_END};

#define CLOCK(name, number) CYAML_FIELD_MAPPING_PTR(name, OPTIONAL, struct config_clocks, at[number], RISKS)

/* By the names of kw_clock_name; a test holds them together. An age is not known here: tracing_young is for the agents alone,
 * which hear it with their WELCOME and run it themselves. */
const cyaml_schema_field_t CONFIG_CLOCKS_FIELDS[] = {
	CLOCK("delivered", KW_CLOCK_DELIVERED),
	CLOCK("acknowledged", KW_CLOCK_ACKNOWLEDGED),
	CLOCK("decided", KW_CLOCK_DECIDED),
	CLOCK("service", KW_CLOCK_SERVICE),
	CLOCK("outcome", KW_CLOCK_OUTCOME),
	CLOCK("review", KW_CLOCK_REVIEW),
	CLOCK("tracing", KW_CLOCK_TRACING),
	CLOCK("tracing_young", KW_CLOCK_TRACING_YOUNG),
	CLOCK("verification", KW_CLOCK_VERIFICATION),
	CLOCK("reunification", KW_CLOCK_REUNIFICATION),
	CLOCK("follow_up_first", KW_CLOCK_FOLLOW_UP_FIRST),
	CLOCK("follow_up_second", KW_CLOCK_FOLLOW_UP_SECOND),
	CLOCK("follow_up_third", KW_CLOCK_FOLLOW_UP_THIRD),
	CLOCK("match", KW_CLOCK_MATCH),
	CLOCK("handover", KW_CLOCK_HANDOVER),
	CLOCK("claimed", KW_CLOCK_CLAIMED),
	CYAML_FIELD_END};

static int64_t unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		int64_t ms;
	} UNITS[] = {{"s", 1000}, {"min", 60000}, {"h", 3600000}, {"", 3600000}, {"d", 86400000}};
	for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
		if (strcmp(unit, UNITS[i].name) == 0)
			return UNITS[i].ms;
	}
	return 0;
}

enum kw_err config_clocks_duration(const char *text, int64_t *ms)
{
	int64_t value = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9' && value <= KW_CLOCK_LIMIT_MS_MAX; at++)
		value = value * 10 + (*at - '0');
	if (at == text || value > KW_CLOCK_LIMIT_MS_MAX)
		return KW_EFIELD;
	int64_t unit = unit_ms(at + strspn(at, " "));
	if (unit == 0 || value > KW_CLOCK_LIMIT_MS_MAX / unit)
		return KW_EFIELD;
	*ms = value * unit;
	return KW_OK;
}

enum kw_err config_clocks_take(const struct config_clocks *clocks, struct kw_clock_limits *limits, char *field,
	size_t field_size)
{
	for (int clock = KW_CLOCK_NONE + 1; clocks != NULL && clock < KW_CLOCK_COUNT; clock++) {
		const struct config_clock *one = clocks->at[clock];
		for (int risk = KW_RISK_HIGH; one != NULL && risk < KW_RISK_COUNT; risk++) {
			const char *text = risk == KW_RISK_HIGH ? one->high : risk == KW_RISK_MEDIUM ? one->medium : one->low;
			int64_t ms = 0;
			enum kw_err err = text == NULL ? KW_OK : config_clocks_duration(text, &ms);
			if (err == KW_OK && text != NULL)
				err = kw_clock_limit_set(limits, (enum kw_clock)clock, (enum kw_risk)risk, ms);
			if (err == KW_OK)
				continue;
			(void)snprintf(field, field_size, "clocks.%s.%s", kw_clock_name((enum kw_clock)clock),
				kw_risk_name((enum kw_risk)risk));
			return err;
		}
	}
	return KW_OK;
}
