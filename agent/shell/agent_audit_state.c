#include <string.h>

#include "agent/shell/agent_audit.h"
#include "proto/link/file.h"
#include "proto/wire/pbscan.h"

/* audit.bin in the state directory: fields 1 the last SignedRole that was believed, 2 the rule of an alarm, 3 its time, 4 the
 * SignedRole that raised it. Written in one step. */

#define FILE_SIZE_MAX (2u * KW_AUDIT_SIGNED_SIZE_MAX + 256u)

void agent_log_state_init(struct agent_log_state *state, const struct kw_name *hub)
{
	*state = (struct agent_log_state){.alarm = KW_AUDIT_RULE_NONE};
	state->client.last.hub = *hub;
	kw_buf_init(&state->last, KW_AUDIT_SIGNED_SIZE_MAX);
	kw_buf_init(&state->refused, KW_AUDIT_SIGNED_SIZE_MAX);
}

void agent_log_state_fini(struct agent_log_state *state)
{
	kw_buf_fini(&state->last);
	kw_buf_fini(&state->refused);
}

static struct kw_view may_bytes(struct kw_pb *pb, uint32_t number, size_t size_min, size_t size_max)
{
	return kw_pb_is_next(pb, number) ? kw_pb_need_bytes(pb, number, size_min, size_max) : KW_VIEW(NULL, 0);
}

/* The checkpoint inside, of our hub. Its signature was checked when it was taken, and the folder is ours. */
static enum kw_err read_last(struct agent_log_state *state, struct kw_view last)
{
	struct kw_role_signed role;
	struct kw_checkpoint checkpoint;
	if (last.size == 0)
		return KW_OK;
	enum kw_err err = kw_role_parse(last, &role);
	if (err == KW_OK)
		err = kw_checkpoint_read(role.payload, &checkpoint);
	if (err == KW_OK && !kw_name_equal(&checkpoint.hub, &state->client.last.hub))
		err = KW_EFORMAT;
	if (err == KW_OK)
		err = kw_buf_add(&state->last, last);
	if (err == KW_OK)
		state->client.last = checkpoint;
	return err;
}

static enum kw_err read_all(struct kw_view bytes, struct agent_log_state *state)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view last = may_bytes(&pb, 1, 1, KW_AUDIT_SIGNED_SIZE_MAX);
	uint64_t alarm = kw_pb_may_uint(&pb, 2, KW_AUDIT_RULE_COUNT - 1);
	uint64_t at = kw_pb_may_uint(&pb, 3, INT64_MAX);
	struct kw_view refused = may_bytes(&pb, 4, 1, KW_AUDIT_SIGNED_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = read_last(state, last);
	if (err == KW_OK)
		err = kw_buf_add(&state->refused, refused);
	if (err != KW_OK)
		return err;
	state->alarm = (enum kw_audit_rule)alarm;
	state->alarm_unix_ms = (int64_t)at;
	return KW_OK;
}

enum kw_err agent_log_state_load(const char *path, struct agent_log_state *state)
{
	const struct kw_name hub = state->client.last.hub;
	struct kw_buf bytes;
	kw_buf_init(&bytes, FILE_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_PUBLIC, &bytes);
	bool there = err == KW_OK;
	if (there)
		err = read_all(kw_buf_view(&bytes), state);
	kw_buf_fini(&bytes);
	if (!there)
		return err == KW_ENOTFOUND ? KW_OK : err;
	if (err != KW_OK && kw_err_class(err) != KW_CLASS_FATAL) {
		agent_log_state_fini(state);
		agent_log_state_init(state, &hub);
		err = KW_EFORMAT;
	}
	return err;
}

enum kw_err agent_log_state_save(const char *path, const struct agent_log_state *state)
{
	struct kw_buf bytes;
	kw_buf_init(&bytes, FILE_SIZE_MAX);
	enum kw_err err = kw_pb_add_bytes(&bytes, 1, kw_buf_view(&state->last));
	if (err == KW_OK)
		err = kw_pb_add_uint(&bytes, 2, (uint64_t)state->alarm);
	if (err == KW_OK)
		err = kw_pb_add_uint(&bytes, 3, (uint64_t)state->alarm_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_bytes(&bytes, 4, kw_buf_view(&state->refused));
	if (err == KW_OK)
		err = kw_file_write_atomic(path, kw_buf_view(&bytes), 0600);
	kw_buf_fini(&bytes);
	return err;
}
