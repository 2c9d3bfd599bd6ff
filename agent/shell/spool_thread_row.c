#include <string.h>

#include "agent/shell/spool_inner.h"

/* Rows of threads as bytes, each field in a fixed place. The first byte is a version: rows only grow. */

#define VERSION 1u
#define VERSION_BEFORE_VAULT 1u
#define VERSION_THREAD 2u

#define AT_KIND 1u
#define AT_PARTY 2u
#define AT_STATE 3u
#define AT_RISK 4u
#define AT_FLAGS 5u
#define AT_REMINDED 6u
#define AT_EXPECTED 8u
#define AT_NEXT 16u
#define AT_OPENED 24u
#define AT_CHANGED 32u
#define AT_LOG_COUNT 40u
#define AT_NUMBER 48u
#define AT_SERVICE_BEFORE_VAULT 56u
#define AT_ID 64u
#define AT_AGENCY 80u
#define AT_CASE_REF SPOOL_THREAD_HEAD_SIZE
#define AT_ALIAS (AT_CASE_REF + SPOOL_CASE_REF_SIZE_MAX + 1u)
#define AT_SERVICE (AT_ALIAS + SPOOL_CASE_REF_SIZE_MAX + 1u)
_Static_assert(AT_SERVICE + 4u <= SPOOL_THREAD_SIZE, "the service is the last field");
#define FLAG_FAILED 1u
#define FLAG_UNCLAIMED 2u

void spool_thread_encode(const struct spool_thread *thread, uint8_t *out)
{
	const struct agt_thread *record = &thread->record;

	memset(out, 0, SPOOL_THREAD_SIZE);
	out[0] = VERSION_THREAD;
	out[AT_KIND] = (uint8_t)record->kind;
	out[AT_PARTY] = (uint8_t)record->party;
	out[AT_STATE] = record->state;
	out[AT_RISK] = (uint8_t)record->risk;
	out[AT_FLAGS] = (uint8_t)((record->failed ? FLAG_FAILED : 0) | (thread->unclaimed ? FLAG_UNCLAIMED : 0));
	out[AT_REMINDED] = thread->reminded;
	kw_put_u64(out + AT_EXPECTED, record->expected);
	kw_put_u64(out + AT_NEXT, record->next);
	kw_put_u64(out + AT_OPENED, (uint64_t)record->opened_ms);
	kw_put_u64(out + AT_CHANGED, (uint64_t)record->changed_ms);
	kw_put_u32(out + AT_LOG_COUNT, thread->log_count);
	kw_put_u64(out + AT_NUMBER, thread->number);
	kw_put_u32(out + AT_SERVICE, thread->service);
	memcpy(out + AT_ID, thread->thread_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_AGENCY, thread->agency.text, sizeof(thread->agency.text));
	memcpy(out + AT_CASE_REF, thread->case_ref, sizeof(thread->case_ref));
	memcpy(out + AT_ALIAS, thread->alias, sizeof(thread->alias));
}

enum kw_err spool_thread_decode(struct kw_view bytes, struct spool_thread *out)
{
	const uint8_t *in = bytes.data;
	bool old = bytes.size == SPOOL_THREAD_SIZE_BEFORE_VAULT;

	if ((!old && bytes.size < SPOOL_THREAD_SIZE) || in[0] != (old ? VERSION_BEFORE_VAULT : VERSION_THREAD) || in[AT_KIND] == KW_THREAD_NONE ||
		in[AT_KIND] >= KW_THREAD_KIND_COUNT || in[AT_PARTY] > KW_PARTY_OTHER || in[AT_RISK] >= KW_RISK_COUNT ||
		in[AT_AGENCY + KW_NAME_SIZE_MAX] != '\0' || in[AT_CASE_REF + SPOOL_CASE_REF_SIZE_MAX] != '\0')
		return KW_ECORRUPT;
	memset(out, 0, sizeof(*out));
	out->record = (struct agt_thread){.kind = (enum kw_thread_kind)in[AT_KIND],
		.party = (enum kw_party)in[AT_PARTY],
		.state = in[AT_STATE],
		.risk = (enum kw_risk)in[AT_RISK],
		.failed = (in[AT_FLAGS] & FLAG_FAILED) != 0,
		.expected = kw_get_u64(in + AT_EXPECTED),
		.next = kw_get_u64(in + AT_NEXT),
		.opened_ms = (int64_t)kw_get_u64(in + AT_OPENED),
		.changed_ms = (int64_t)kw_get_u64(in + AT_CHANGED)};
	out->unclaimed = (in[AT_FLAGS] & FLAG_UNCLAIMED) != 0;
	out->reminded = in[AT_REMINDED];
	out->log_count = kw_get_u32(in + AT_LOG_COUNT);
	out->number = kw_get_u64(in + AT_NUMBER);
	out->service = kw_get_u32(in + (old ? AT_SERVICE_BEFORE_VAULT : AT_SERVICE));
	memcpy(out->thread_id.bytes, in + AT_ID, KW_ID_SIZE);
	memcpy(out->agency.text, in + AT_AGENCY, sizeof(out->agency.text));
	memcpy(out->case_ref, in + AT_CASE_REF, sizeof(out->case_ref));
	if (old)
		return KW_OK;
	memcpy(out->alias, in + AT_ALIAS, sizeof(out->alias));
	out->alias[SPOOL_CASE_REF_SIZE_MAX] = '\0';
	return KW_OK;
}

#define LOG_OPENING 1u
#define LOG_REFUSED 2u
#define LOG_REPEAT 4u
#define LOG_LOST 8u

void spool_log_encode(const struct spool_log *log, uint8_t *out)
{
	memset(out, 0, SPOOL_LOG_SIZE);
	out[0] = VERSION;
	out[1] = (uint8_t)log->event.author;
	out[2] = (uint8_t)log->event.kind;
	out[3] = (uint8_t)((log->event.opening ? LOG_OPENING : 0) | (log->refused ? LOG_REFUSED : 0) |
		(log->repeat ? LOG_REPEAT : 0) | (log->lost ? LOG_LOST : 0));
	out[4] = log->event.state;
	out[5] = (uint8_t)log->event.risk;
	out[6] = log->became;
	kw_put_u64(out + 8, log->event.sequence);
	kw_put_u64(out + 16, (uint64_t)log->event.now_ms);
	kw_put_u64(out + 24, log->number);
	kw_put_u32(out + 32, log->content_type);
}

enum kw_err spool_log_decode(struct kw_view bytes, struct spool_log *out)
{
	const uint8_t *in = bytes.data;

	if (bytes.size < SPOOL_LOG_SIZE || in[0] != VERSION || in[1] >= AGT_THREAD_AUTHOR_COUNT || in[2] == KW_THREAD_NONE ||
		in[2] >= KW_THREAD_KIND_COUNT || in[5] >= KW_RISK_COUNT)
		return KW_ECORRUPT;
	*out = (struct spool_log){.event = {.author = (enum agt_thread_author)in[1],
		.kind = (enum kw_thread_kind)in[2],
		.opening = (in[3] & LOG_OPENING) != 0,
		.state = in[4],
		.risk = (enum kw_risk)in[5],
		.sequence = kw_get_u64(in + 8),
		.now_ms = (int64_t)kw_get_u64(in + 16)},
		.refused = (in[3] & LOG_REFUSED) != 0,
		.repeat = (in[3] & LOG_REPEAT) != 0,
		.lost = (in[3] & LOG_LOST) != 0,
		.content_type = kw_get_u32(in + 32),
		.became = in[6],
		.number = kw_get_u64(in + 24)};
	return KW_OK;
}

void spool_log_key(const uint8_t *thread_key, uint32_t n, uint8_t *out)
{
	memcpy(out, thread_key, SPOOL_THREAD_KEY_SIZE);
	kw_put_u32(out + SPOOL_THREAD_KEY_SIZE, n);
}

size_t spool_early_size(const struct spool_early *early)
{
	return early->number == 0 ? SPOOL_EARLY_GAP_SIZE : SPOOL_EARLY_SIZE;
}

void spool_early_encode(const struct spool_early *early, uint8_t *out)
{
	const struct spool_act *act = &early->act;

	memset(out, 0, spool_early_size(early));
	if (early->number == 0) {
		out[0] = VERSION;
		out[1] = (uint8_t)act->kind;
		out[2] = act->state;
		kw_put_u64(out + 8, (uint64_t)early->at_ms);
		return;
	}
	out[0] = VERSION;
	out[1] = (uint8_t)act->kind;
	out[2] = act->opening;
	out[3] = act->state;
	out[4] = (uint8_t)act->risk;
	kw_put_u32(out + 8, act->service);
	kw_put_u32(out + 12, act->content_type);
	kw_put_u64(out + 16, early->number);
	kw_put_u64(out + 24, (uint64_t)early->at_ms);
	memcpy(out + 32, act->case_ref, sizeof(act->case_ref));
}

enum kw_err spool_early_decode(struct kw_view bytes, struct spool_early *out)
{
	const uint8_t *in = bytes.data;

	if (bytes.size == SPOOL_EARLY_GAP_SIZE && in[0] == VERSION && in[1] < KW_THREAD_KIND_COUNT) {
		*out = (struct spool_early){.act = {.kind = (enum kw_thread_kind)in[1], .state = in[2]},
			.at_ms = (int64_t)kw_get_u64(in + 8)};
		return in[1] == KW_THREAD_NONE && in[2] != 0 ? KW_ECORRUPT : KW_OK;
	}
	if (bytes.size < SPOOL_EARLY_SIZE || in[0] != VERSION || in[1] == KW_THREAD_NONE || in[1] >= KW_THREAD_KIND_COUNT ||
		in[4] >= KW_RISK_COUNT || in[32 + SPOOL_CASE_REF_SIZE_MAX] != '\0')
		return KW_ECORRUPT;
	*out = (struct spool_early){.act = {.kind = (enum kw_thread_kind)in[1],
		.opening = in[2] != 0,
		.state = in[3],
		.risk = (enum kw_risk)in[4],
		.service = kw_get_u32(in + 8),
		.content_type = kw_get_u32(in + 12)},
		.number = kw_get_u64(in + 16),
		.at_ms = (int64_t)kw_get_u64(in + 24)};
	memcpy(out->act.case_ref, in + 32, sizeof(out->act.case_ref));
	return KW_OK;
}

void spool_follow_encode(const struct spool_follow *follow, uint8_t *out)
{
	memset(out, 0, SPOOL_FOLLOW_SIZE);
	memcpy(out, follow->thread_id.bytes, KW_ID_SIZE);
	memcpy(out + 16, follow->agency.text, sizeof(follow->agency.text));
	out[80] = (uint8_t)follow->kind;
	out[81] = follow->state;
	out[82] = (uint8_t)follow->what;
	kw_put_u64(out + 83, follow->offer);
}

enum kw_err spool_follow_decode(struct kw_view bytes, struct spool_follow *out)
{
	const uint8_t *in = bytes.data;

	out->what = SPOOL_FOLLOW_STATE;
	out->offer = 0;
	out->content = KW_VIEW(NULL, 0);
	if (bytes.size >= SPOOL_FOLLOW_SIZE) {
		out->what = (enum spool_follow_what)in[82];
		out->offer = kw_get_u64(in + 83);
		out->content = KW_VIEW(in + SPOOL_FOLLOW_SIZE, bytes.size - SPOOL_FOLLOW_SIZE);
	} else if (bytes.size == SPOOL_FOLLOW_SIZE_BEFORE_OFFERS) {
		out->what = (enum spool_follow_what)in[82];
	} else if (bytes.size != SPOOL_FOLLOW_SIZE_BEFORE_CONSENT) {
		return KW_ECORRUPT;
	}
	bool consent = out->what >= SPOOL_FOLLOW_CONSENT && out->what <= SPOOL_FOLLOW_ACK;
	if (out->what >= SPOOL_FOLLOW_COUNT || in[16 + KW_NAME_SIZE_MAX] != '\0' || in[80] >= KW_THREAD_KIND_COUNT ||
		(out->what == SPOOL_FOLLOW_STATE && in[80] == KW_THREAD_NONE) || (consent && in[80] != KW_THREAD_NONE))
		return KW_ECORRUPT;
	memcpy(out->thread_id.bytes, in, KW_ID_SIZE);
	memcpy(out->agency.text, in + 16, sizeof(out->agency.text));
	out->kind = (enum kw_thread_kind)in[80];
	out->state = in[81];
	return KW_OK;
}
