/* The frames that open, keep and end a session, and those about one message: HELLO, WELCOME, ERROR, UNOPENED, PING, PONG,
 * GOAWAY, and the Notice inside a MESSAGE. Each has one check, used when it is read and when it is written. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/frame.h"
#include "proto/wire/frame_field.h"

#define SCOPE_MAX 3u

/* The part that HELLO and WELCOME share. */
static enum kw_err hello_check(const struct kw_frame_hello *hello)
{
	if (hello->version_min == 0 || hello->version_max < hello->version_min || hello->epoch == 0)
		return KW_EFIELD;
	/* Not negative, so that the difference of two clocks never overflows. */
	if (hello->clock_unix_ms < 0 || !kw_field_cursors_ok(hello->cursors))
		return KW_EFIELD;
	return KW_OK;
}

/* Classes of which there is something to say: what is all zero means the same when it is absent. */
static uint8_t cursors_set(const struct kw_cursor *cursors)
{
	uint8_t mask = 0;
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++)
		if (cursors[c].epoch != 0 || cursors[c].sequence != 0)
			mask |= (uint8_t)(1u << c);
	return mask;
}

static uint8_t credits_set(const struct kw_credit *credits)
{
	uint8_t mask = 0;
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++)
		if (credits[c].messages != 0 || credits[c].bytes != 0)
			mask |= (uint8_t)(1u << c);
	return mask;
}

enum kw_err kw_frame_hello_parse(struct kw_view body, struct kw_frame_hello *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_FIXED64, [5] = KW_FIELD_BYTES_REPEATED,
		[6] = KW_FIELD_BYTES_REPEATED, [7] = KW_FIELD_VARINT, [8] = KW_FIELD_VARINT, [9] = KW_FIELD_VARINT,
		[10] = KW_FIELD_VARINT, [11] = KW_FIELD_VARINT, [12] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_hello hello = {.version_min = 0};
	struct kw_pb_field field;
	uint8_t cursor_mask = 0;
	uint8_t credit_mask = 0;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			hello.version_min = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		case 2:
			hello.version_max = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		case 3:
			hello.features = field.value;
			break;
		case 4:
			hello.epoch = field.value;
			break;
		case 5:
			kw_fields_cursor(&fields, field.bytes, hello.cursors, &cursor_mask);
			break;
		case 6:
			kw_fields_credit(&fields, field.bytes, hello.credits, &credit_mask);
			break;
		case 7:
			hello.clock_unix_ms = (int64_t)kw_fields_uint(&fields, &field, INT64_MAX);
			break;
		case 12:
			hello.log_size = field.value;
			break;
		case 8:
			hello.directory_version = field.value;
			break;
		case 9:
			hello.root_version = field.value;
			break;
		case 10:
			hello.timestamp_version = field.value;
			break;
		default:
			hello.snapshot_version = field.value;
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = hello_check(&hello);
	if (err == KW_OK)
		*out = hello;
	return err;
}

enum kw_err kw_frame_hello_add(struct kw_buf *out, const struct kw_frame_hello *hello)
{
	size_t start;
	enum kw_err err = hello_check(hello);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_HELLO, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, hello->version_min);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, hello->version_max);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, hello->features);
	if (err == KW_OK)
		err = kw_pb_add_fixed64(out, 4, hello->epoch);
	if (err == KW_OK)
		err = kw_field_add_cursors(out, 5, hello->cursors, cursors_set(hello->cursors));
	if (err == KW_OK)
		err = kw_field_add_credits(out, 6, hello->credits, credits_set(hello->credits));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 7, (uint64_t)hello->clock_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 8, hello->directory_version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 9, hello->root_version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 10, hello->timestamp_version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 11, hello->snapshot_version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 12, hello->log_size);
	return kw_field_frame_end(out, start, err);
}

static enum kw_err welcome_check(const struct kw_frame_hello *welcome)
{
	if (welcome->version_min != welcome->version_max || welcome->envelope_size_max == 0)
		return KW_EFIELD;
	return hello_check(welcome);
}

enum kw_err kw_frame_welcome_parse(struct kw_view body, struct kw_frame_hello *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_FIXED64, [4] = KW_FIELD_BYTES_REPEATED, [5] = KW_FIELD_BYTES_REPEATED,
		[6] = KW_FIELD_VARINT, [7] = KW_FIELD_VARINT, [8] = KW_FIELD_VARINT, [9] = KW_FIELD_BYTES_REPEATED}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_hello welcome = {.version_min = 0};
	struct kw_pb_field field;
	uint8_t cursor_mask = 0;
	uint8_t credit_mask = 0;
	uint32_t clock_mask = 0;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			welcome.version_min = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			welcome.version_max = welcome.version_min;
			break;
		case 2:
			welcome.features = field.value;
			break;
		case 3:
			welcome.epoch = field.value;
			break;
		case 4:
			kw_fields_cursor(&fields, field.bytes, welcome.cursors, &cursor_mask);
			break;
		case 5:
			kw_fields_credit(&fields, field.bytes, welcome.credits, &credit_mask);
			break;
		case 6:
			welcome.clock_unix_ms = (int64_t)kw_fields_uint(&fields, &field, INT64_MAX);
			break;
		case 7:
			welcome.directory_version = field.value;
			break;
		case 9:
			kw_fields_clock(&fields, field.bytes, NULL, &clock_mask);
			break;
		default:
			welcome.envelope_size_max = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		err = welcome_check(&welcome);
	if (err == KW_OK)
		*out = welcome;
	return err;
}

enum kw_err kw_frame_welcome_add(struct kw_buf *out, const struct kw_frame_hello *welcome)
{
	size_t start;
	enum kw_err err = welcome_check(welcome);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_WELCOME, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, welcome->version_min);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, welcome->features);
	if (err == KW_OK)
		err = kw_pb_add_fixed64(out, 3, welcome->epoch);
	if (err == KW_OK)
		err = kw_field_add_cursors(out, 4, welcome->cursors, cursors_set(welcome->cursors));
	if (err == KW_OK)
		err = kw_field_add_credits(out, 5, welcome->credits, credits_set(welcome->credits));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 6, (uint64_t)welcome->clock_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 7, welcome->directory_version);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 8, welcome->envelope_size_max);
	if (err == KW_OK && welcome->limits != NULL)
		err = kw_field_add_clocks(out, 9, welcome->limits);
	return kw_field_frame_end(out, start, err);
}

static bool reason_ok(enum kw_err reason)
{
	return reason > KW_OK && reason < KW_ERR_COUNT;
}

enum kw_err kw_frame_notice_parse(struct kw_view body, struct kw_frame_notice *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES,
		[3] = KW_FIELD_BYTES, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_BYTES}};
	const uint32_t needed = 1u << 1 | 1u << 2 | 1u << 3;
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_notice notice = {.reason = KW_OK};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			kw_fields_id(&fields, &field, &notice.envelope_id);
			break;
		case 2:
			kw_fields_fail(&fields, kw_name_from(field.bytes, &notice.agency));
			break;
		case 3:
			notice.reason = kw_fields_reason(&fields, &field);
			break;
		case 4:
			notice.retry_after_ms = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		default:
			break; /* the field at fault: for a person who reads the bytes */
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && (fields.seen & needed) != needed)
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = notice;
	return err;
}

enum kw_err kw_frame_notice_add(struct kw_buf *out, const struct kw_frame_notice *notice)
{
	size_t start = out->size;
	struct kw_name agency;
	struct kw_view text = KW_VIEW(notice->agency.text, strnlen(notice->agency.text, sizeof(notice->agency.text)));
	if (!reason_ok(notice->reason) || kw_name_from(text, &agency) != KW_OK)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(notice->envelope_id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, text);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, kw_view_str(kw_err_name(notice->reason)));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, notice->retry_after_ms);
	if (err != KW_OK)
		out->size = start;
	return err;
}

/* A path for logs and people: printable ASCII, shorter than the array. */
static bool path_ok(struct kw_view path)
{
	if (path.size >= sizeof(((struct kw_frame_error *)NULL)->field))
		return false;
	for (size_t i = 0; i < path.size; i++)
		if (path.data[i] < 0x21 || path.data[i] > 0x7e)
			return false;
	return true;
}

enum kw_err kw_frame_error_parse(struct kw_view body, struct kw_frame_error *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_VARINT,
		[3] = KW_FIELD_VARINT, [4] = KW_FIELD_VARINT, [5] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_error error = {.code = KW_OK};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		switch (field.number) {
		case 1:
			error.code = kw_fields_reason(&fields, &field);
			break;
		case 2:
			error.scope = (uint8_t)kw_fields_uint(&fields, &field, SCOPE_MAX);
			break;
		case 3:
			error.retryable = kw_fields_uint(&fields, &field, 1) == 1;
			break;
		case 4:
			error.retry_after_ms = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
			break;
		default:
			if (!path_ok(field.bytes))
				kw_fields_fail(&fields, KW_EFIELD);
			else if (field.bytes.size > 0)
				memcpy(error.field, field.bytes.data, field.bytes.size);
		}
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && (error.code == KW_OK || error.scope == 0))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = error;
	return err;
}

enum kw_err kw_frame_error_add(struct kw_buf *out, const struct kw_frame_error *error)
{
	size_t start;
	struct kw_view path = KW_VIEW(error->field, strnlen(error->field, sizeof(error->field)));
	if (!reason_ok(error->code) || error->scope == 0 || error->scope > SCOPE_MAX || !path_ok(path))
		return KW_EFIELD;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_ERROR, &start);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, kw_view_str(kw_err_name(error->code)));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, error->scope);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, error->retryable);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, error->retry_after_ms);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, path);
	return kw_field_frame_end(out, start, err);
}

static enum kw_err unopened_check(const struct kw_frame_unopened *unopened)
{
	return unopened->sequence == 0 || (unsigned)unopened->msg_class >= KW_MSG_CLASS_COUNT ? KW_EFIELD : KW_OK;
}

enum kw_err kw_frame_unopened_parse(struct kw_view body, struct kw_frame_unopened *out)
{
	static const struct kw_field_rules RULES = {.kinds = {
		[1] = KW_FIELD_VARINT, [2] = KW_FIELD_VARINT, [3] = KW_FIELD_BYTES, [4] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_unopened unopened = {.msg_class = KW_CONTROL};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1)
			unopened.msg_class = (enum kw_msg_class)kw_fields_uint(&fields, &field, KW_MSG_CLASS_COUNT - 1);
		else if (field.number == 2)
			unopened.sequence = field.value;
		else if (field.number == 4)
			unopened.key_gone = kw_fields_uint(&fields, &field, 1) != 0;
		else
			kw_fields_id(&fields, &field, &unopened.envelope_id);
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && !(fields.seen >> 3 & 1))
		err = KW_EFIELD;
	if (err == KW_OK)
		err = unopened_check(&unopened);
	if (err == KW_OK)
		*out = unopened;
	return err;
}

enum kw_err kw_frame_unopened_add(struct kw_buf *out, const struct kw_frame_unopened *unopened)
{
	size_t start;
	enum kw_err err = unopened_check(unopened);
	if (err != KW_OK)
		return err;
	err = kw_field_frame_begin(out, KW_FRAME_UNOPENED, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, unopened->msg_class);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, unopened->sequence);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW_OF(unopened->envelope_id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, unopened->key_gone);
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_frame_recall_parse(struct kw_view body, struct kw_frame_recall *out)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_BYTES, [2] = KW_FIELD_BYTES}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_frame_recall recall = {.envelope_id = {{0}}};
	struct kw_pb_field field;
	while (kw_fields_next(&fields, &field)) {
		if (field.number == 1)
			kw_fields_fail(&fields, kw_name_from(field.bytes, &recall.agency));
		else
			kw_fields_id(&fields, &field, &recall.envelope_id);
	}
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK && (fields.seen & 6u) != 6u)
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = recall;
	return err;
}

enum kw_err kw_frame_recall_add(struct kw_buf *out, const struct kw_frame_recall *recall)
{
	size_t start;
	struct kw_name agency;
	if (kw_name_from(kw_view_str(recall->agency.text), &agency) != KW_OK)
		return KW_EFIELD;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_RECALL, &start);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, kw_view_str(recall->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW_OF(recall->envelope_id.bytes));
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_frame_ping_parse(struct kw_view body, uint64_t *nonce)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_FIXED64}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_pb_field field = {.value = 0};
	uint64_t value = 0;
	while (kw_fields_next(&fields, &field))
		value = field.value;
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		*nonce = value;
	return err;
}

enum kw_err kw_frame_ping_add(struct kw_buf *out, uint8_t type, uint64_t nonce)
{
	size_t start;
	KW_ASSERT(type == KW_FRAME_PING || type == KW_FRAME_PONG);
	enum kw_err err = kw_field_frame_begin(out, type, &start);
	if (err == KW_OK)
		err = kw_pb_add_fixed64(out, 1, nonce);
	return kw_field_frame_end(out, start, err);
}

enum kw_err kw_frame_goaway_parse(struct kw_view body, uint32_t *retry_after_ms)
{
	static const struct kw_field_rules RULES = {.kinds = {[1] = KW_FIELD_VARINT}};
	struct kw_fields fields = kw_fields_from(body, &RULES);
	struct kw_pb_field field;
	uint32_t value = 0;
	while (kw_fields_next(&fields, &field))
		value = (uint32_t)kw_fields_uint(&fields, &field, UINT32_MAX);
	enum kw_err err = kw_fields_end(&fields);
	if (err == KW_OK)
		*retry_after_ms = value;
	return err;
}

enum kw_err kw_frame_goaway_add(struct kw_buf *out, uint32_t retry_after_ms)
{
	size_t start;
	enum kw_err err = kw_field_frame_begin(out, KW_FRAME_GOAWAY, &start);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 1, retry_after_ms);
	return kw_field_frame_end(out, start, err);
}
