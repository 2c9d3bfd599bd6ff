#include "proto/wire/clocks.h"
#include "proto/wire/frame_field.h"

/* The hub's limits of its clocks in a WELCOME, so that an agent says of a case what the hub will remind of. */

#define LIMIT_S_MAX ((uint64_t)(KW_CLOCK_LIMIT_MS_MAX / 1000))

void kw_fields_clock(struct kw_fields *fields, struct kw_view bytes, struct kw_clock_limits *limits, uint32_t *mask)
{
	static const struct kw_field_rules RULES = {.kinds = {
		[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT, [3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT}};
	struct kw_fields own = kw_fields_from(bytes, &RULES);
	struct kw_clock_limits scratch = {.limit_ms = {{0}}};
	struct kw_pb_field field;
	uint64_t clock = KW_CLOCK_NONE;
	uint64_t limit_s[KW_RISK_COUNT] = {0};

	while (kw_fields_next(&own, &field)) {
		if (field.number == 1)
			clock = field.value;
		else
			limit_s[field.number - 2 + KW_RISK_HIGH] = kw_fields_uint(&own, &field, LIMIT_S_MAX);
	}
	enum kw_err err = kw_fields_end(&own);
	if (err == KW_OK && clock == KW_CLOCK_NONE)
		err = KW_EFIELD;
	kw_fields_fail(fields, err);
	if (err != KW_OK || clock >= KW_CLOCK_COUNT)
		return;
	if ((*mask >> clock & 1u) != 0)
		kw_fields_fail(fields, KW_EFIELD);
	*mask |= 1u << clock;
	for (int risk = KW_RISK_HIGH; risk < KW_RISK_COUNT; risk++)
		kw_fields_fail(fields, kw_clock_limit_set(limits != NULL ? limits : &scratch, (enum kw_clock)clock, (enum kw_risk)risk,
			(int64_t)limit_s[risk] * 1000));
}

enum kw_err kw_field_add_clocks(struct kw_buf *out, uint32_t number, const struct kw_clock_limits *limits)
{
	enum kw_err err = KW_OK;

	for (int clock = KW_CLOCK_NONE + 1; err == KW_OK && clock < KW_CLOCK_COUNT; clock++) {
		struct kw_buf one;

		kw_buf_init(&one, 64);
		err = kw_pb_add_uint(&one, 1, (uint64_t)clock);
		for (int risk = KW_RISK_HIGH; err == KW_OK && risk < KW_RISK_COUNT; risk++)
			err = kw_pb_add_uint(&one, (uint32_t)(risk - KW_RISK_HIGH) + 2,
				(uint64_t)(kw_clock_limit(limits, (enum kw_clock)clock, (enum kw_risk)risk) + 999) / 1000);
		if (err == KW_OK)
			err = kw_pb_add_bytes(out, number, kw_buf_view(&one));
		kw_buf_fini(&one);
	}
	return err;
}

enum kw_err kw_frame_welcome_limits(struct kw_view body, struct kw_clock_limits *limits, bool *said)
{
	static const struct kw_field_rules RULES = {.kinds = {[9] = KW_FIELD_BYTES_REPEATED}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_clock_limits found = *limits;
	struct kw_pb_field field;
	uint32_t mask = 0;

	while (kw_fields_next(&fields, &field))
		kw_fields_clock(&fields, field.bytes, &found, &mask);
	enum kw_err err = kw_fields_end(&fields);
	if (err != KW_OK)
		return err;
	*limits = found;
	*said = mask != 0;
	return KW_OK;
}
