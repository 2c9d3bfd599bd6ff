#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_inner.h"

/* What was asked about consent, as bytes; each field in a fixed place, and rows only grow. */

#define VERSION 1u
#define AT_MORE 12u
#define AT_THREAD 16u
#define AT_AGENCY 32u
#define AT_CASE_TAG 96u
#define AT_ASKED 104u
#define AT_EFFECTIVE 112u
#define AT_ANSWERED 120u
#define AT_UNTIL 128u
#define AT_NUMBER 136u
#define AT_FAILURE 144u
#define FAILURE_SIZE 40u
#define AT_PASSED 192u
#define AT_NOTE (AT_PASSED + SPOOL_PASSED_MAX * 64u)
#define AT_ANSWER 1720u
#define AT_ALIAS_TAG 1776u
#define FLAG_DUE 1u
#define FLAG_PASSED_ON 2u
#define FLAG_SHREDS 4u
#define FLAG_LIMITED 8u
#define FLAG_UNCONFIRMED 16u

_Static_assert(AT_NOTE + SPOOL_ERASE_NOTE_MAX + 1 <= AT_ANSWER && AT_ANSWER + 8 <= AT_ALIAS_TAG &&
	AT_ALIAS_TAG + 8 <= SPOOL_ERASURE_SIZE, "fields do not overlap");
_Static_assert(sizeof(struct kw_name) == 64, "names have 64 bytes here");

void spool_erasure_core(const struct spool_erasure *erasure, struct agt_erase *out)
{
	*out = (struct agt_erase){.known = true,
		.role = (enum agt_erase_role)erasure->role,
		.action = erasure->action,
		.purposes = erasure->purposes,
		.limited = erasure->limited,
		.unconfirmed = erasure->unconfirmed,
		.outcome = erasure->outcome,
		.due = erasure->due,
		.passed_on = erasure->passed_on,
		.shreds = erasure->shreds,
		.question = erasure->number,
		.answer = erasure->answer,
		.failure = erasure->failure};
}

void spool_erasure_set(struct spool_erasure *erasure, const struct agt_erase *core)
{
	erasure->role = (enum spool_erasure_role)core->role;
	erasure->action = core->action;
	erasure->purposes = core->purposes;
	erasure->limited = core->limited;
	erasure->unconfirmed = core->unconfirmed;
	erasure->outcome = core->outcome;
	erasure->due = core->due;
	erasure->passed_on = core->passed_on;
	erasure->shreds = core->shreds;
	erasure->number = core->question;
	erasure->answer = core->answer;
	erasure->failure = core->failure;
}

void spool_erasure_encode(const struct spool_erasure *erasure, uint8_t *out)
{
	const char *failure = erasure->failure != KW_OK ? kw_err_name(erasure->failure) : "";

	memset(out, 0, SPOOL_ERASURE_SIZE);
	out[0] = VERSION;
	out[1] = (uint8_t)erasure->role;
	out[2] = erasure->action;
	out[3] = erasure->reason;
	out[4] = erasure->purposes;
	out[5] = erasure->from;
	out[6] = erasure->outcome;
	out[7] = erasure->ground;
	out[8] = (uint8_t)((erasure->due ? FLAG_DUE : 0) | (erasure->passed_on ? FLAG_PASSED_ON : 0) |
		(erasure->shreds ? FLAG_SHREDS : 0) |
		(erasure->limited ? FLAG_LIMITED : 0) | (erasure->unconfirmed ? FLAG_UNCONFIRMED : 0));
	out[9] = (uint8_t)erasure->passed_count;
	kw_put_u32(out + AT_MORE, erasure->passed_more);
	memcpy(out + AT_THREAD, erasure->thread_id.bytes, KW_ID_SIZE);
	memcpy(out + AT_AGENCY, erasure->agency.text, sizeof(erasure->agency.text));
	memcpy(out + AT_CASE_TAG, erasure->case_tag, sizeof(erasure->case_tag));
	memcpy(out + AT_ALIAS_TAG, erasure->alias_tag, sizeof(erasure->alias_tag));
	kw_put_u64(out + AT_ASKED, (uint64_t)erasure->asked_ms);
	kw_put_u64(out + AT_EFFECTIVE, (uint64_t)erasure->effective_ms);
	kw_put_u64(out + AT_ANSWERED, (uint64_t)erasure->answered_ms);
	kw_put_u64(out + AT_UNTIL, (uint64_t)erasure->until_ms);
	kw_put_u64(out + AT_NUMBER, erasure->number);
	memcpy(out + AT_FAILURE, failure, strnlen(failure, FAILURE_SIZE - 1));
	for (uint32_t i = 0; i < erasure->passed_count && i < SPOOL_PASSED_MAX; i++)
		memcpy(out + AT_PASSED + i * 64u, erasure->passed[i].text, sizeof(erasure->passed[i].text));
	memcpy(out + AT_NOTE, erasure->note, sizeof(erasure->note));
	kw_put_u64(out + AT_ANSWER, erasure->answer);
	memcpy(out + AT_ALIAS_TAG, erasure->alias_tag, sizeof(erasure->alias_tag));
}

enum kw_err spool_erasure_decode(struct kw_view bytes, struct spool_erasure *out)
{
	const uint8_t *in = bytes.data;

	if (bytes.size < SPOOL_ERASURE_SIZE || in[0] != VERSION || in[1] > SPOOL_ERASURE_OWN || in[9] > SPOOL_PASSED_MAX ||
		in[AT_AGENCY + KW_NAME_SIZE_MAX] != '\0' || in[AT_FAILURE + FAILURE_SIZE - 1] != '\0' ||
		in[AT_NOTE + SPOOL_ERASE_NOTE_MAX] != '\0')
		return KW_ECORRUPT;
	memset(out, 0, sizeof(*out));
	out->role = (enum spool_erasure_role)in[1];
	out->action = in[2];
	out->reason = in[3];
	out->purposes = in[4];
	out->from = in[5];
	out->outcome = in[6];
	out->ground = in[7];
	out->due = (in[8] & FLAG_DUE) != 0;
	out->passed_on = (in[8] & FLAG_PASSED_ON) != 0;
	out->shreds = (in[8] & FLAG_SHREDS) != 0;
	out->unconfirmed = (in[8] & FLAG_UNCONFIRMED) != 0;
	out->limited = (in[8] & FLAG_LIMITED) != 0;
	out->passed_count = in[9];
	out->passed_more = kw_get_u32(in + AT_MORE); /* likewise zeros in older rows */
	memcpy(out->thread_id.bytes, in + AT_THREAD, KW_ID_SIZE);
	memcpy(out->agency.text, in + AT_AGENCY, sizeof(out->agency.text));
	memcpy(out->case_tag, in + AT_CASE_TAG, sizeof(out->case_tag));
	memcpy(out->alias_tag, in + AT_ALIAS_TAG, sizeof(out->alias_tag));
	out->asked_ms = (int64_t)kw_get_u64(in + AT_ASKED);
	out->effective_ms = (int64_t)kw_get_u64(in + AT_EFFECTIVE);
	out->answered_ms = (int64_t)kw_get_u64(in + AT_ANSWERED);
	out->until_ms = (int64_t)kw_get_u64(in + AT_UNTIL);
	out->number = kw_get_u64(in + AT_NUMBER);
	if (in[AT_FAILURE] != '\0')
		out->failure = kw_err_from_name((const char *)in + AT_FAILURE);
	for (uint32_t i = 0; i < out->passed_count; i++) {
		memcpy(out->passed[i].text, in + AT_PASSED + i * 64u, sizeof(out->passed[i].text));
		out->passed[i].text[KW_NAME_SIZE_MAX] = '\0';
	}
	memcpy(out->note, in + AT_NOTE, sizeof(out->note));
	out->answer = kw_get_u64(in + AT_ANSWER); /* zeros in rows that were written before it had a place */
	memcpy(out->alias_tag, in + AT_ALIAS_TAG, sizeof(out->alias_tag));
	return KW_OK;
}
