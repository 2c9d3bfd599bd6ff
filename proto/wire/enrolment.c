#include "proto/wire/enrolment.h"

#include <string.h>
#include <strings.h>

/* How a hub judges who comes with a code. */

static const char *const STATES[KW_ENROLMENT_STATE_COUNT] = {
	[KW_ENROLMENT_WAITING] = "waiting",
	[KW_ENROLMENT_ASKED] = "asked",
	[KW_ENROLMENT_APPROVED] = "approved",
	[KW_ENROLMENT_DONE] = "done",
	[KW_ENROLMENT_EXPIRED] = "expired",
	[KW_ENROLMENT_BURNT] = "burnt",
	[KW_ENROLMENT_REFUSED] = "refused",
};

const char *kw_enrolment_state_name(enum kw_enrolment_state state)
{
	return STATES[state];
}

void kw_enrolment_fini(struct kw_enrolment *enrolment)
{
	kw_buf_fini(&enrolment->ask);
	kw_buf_fini(&enrolment->reply);
	kw_wipe(&enrolment->key, sizeof(enrolment->key));
}

bool kw_enrolment_by_good(const char *by)
{
	size_t size = strnlen(by, KW_ENROL_BY_SIZE_MAX + 1);
	if (size < 1 || size > KW_ENROL_BY_SIZE_MAX || by[0] == ' ' || by[size - 1] == ' ')
		return false;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)by[i] < ' ' || by[i] == 0x7f)
			return false;
	return true;
}

bool kw_enrolment_by_equal(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* The first good request: it is stored, and from then on no other one counts. */
static enum kw_err claim(struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	struct kw_enrolment_verdict *out)
{
	if (visit->exists) {
		out->phase = KW_ENROL_EXISTS;
		return KW_OK;
	}
	struct kw_buf ask;
	char phrase[KW_ENROL_PHRASE_SIZE];
	kw_buf_init(&ask, KW_ENROL_ASK_SIZE_MAX);
	enum kw_err err = kw_enrol_phrase(visit->root_fingerprint, &enrolment->agency, visit->ask, phrase);
	if (err == KW_OK)
		err = kw_buf_add(&ask, visit->bytes);
	if (err != KW_OK) {
		kw_buf_fini(&ask);
		return err;
	}
	kw_buf_fini(&enrolment->ask);
	enrolment->ask = ask;
	memcpy(enrolment->phrase, phrase, sizeof(phrase));
	enrolment->asked_s = visit->now_s;
	enrolment->state = KW_ENROLMENT_ASKED;
	out->phase = KW_ENROL_ASKED;
	out->changed = true;
	return KW_OK;
}

/* One that is not the request which claimed the code. Its phrase is kept, so that people can tell who was second. */
static enum kw_err alarm(struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	struct kw_enrolment_verdict *out)
{
	char phrase[KW_ENROL_PHRASE_SIZE];
	enum kw_err err = kw_enrol_phrase(visit->root_fingerprint, &enrolment->agency, visit->ask, phrase);
	if (err != KW_OK)
		return err;
	out->phase = KW_ENROL_TAKEN;
	out->alarm = true;
	/* The same second one again and again is no news, and writes no file. */
	if (strcmp(phrase, enrolment->alarm_phrase) == 0)
		return KW_OK;
	memcpy(enrolment->alarm_phrase, phrase, sizeof(phrase));
	enrolment->alarms += enrolment->alarms < UINT32_MAX;
	enrolment->alarm_s = visit->now_s;
	out->changed = true;
	return KW_OK;
}

static void count_try(struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit, struct kw_enrolment_verdict *out)
{
	bool counts = enrolment->state == KW_ENROLMENT_WAITING || enrolment->state == KW_ENROLMENT_ASKED;
	if (!counts || visit->binding == NULL)
		return;
	out->changed = true;
	if (++enrolment->tries >= KW_ENROL_TRIES_MAX)
		enrolment->state = KW_ENROLMENT_BURNT;
}

static bool is_same(const struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit)
{
	struct kw_enrol_ask first;
	return kw_enrol_ask_parse(kw_buf_view(&enrolment->ask), &first) == KW_OK &&
		kw_view_equal(first.request, visit->ask->request);
}

enum kw_err kw_enrolment_visit(struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	struct kw_enrolment_verdict *out)
{
	*out = (struct kw_enrolment_verdict){.changed = false};
	enum kw_err err = kw_enrol_ask_prove(visit->ask, &enrolment->key, visit->binding);
	if (err != KW_OK && err != KW_EAUTH)
		return err;
	if (enrolment->state == KW_ENROLMENT_WAITING && visit->now_s > enrolment->expires_s) {
		enrolment->state = KW_ENROLMENT_EXPIRED;
		out->changed = true;
	}
	if (err == KW_EAUTH) {
		count_try(enrolment, visit, out);
		return err;
	}
	switch (enrolment->state) {
	case KW_ENROLMENT_WAITING:
		return claim(enrolment, visit, out);
	case KW_ENROLMENT_EXPIRED:
		out->phase = KW_ENROL_EXPIRED;
		return KW_OK;
	case KW_ENROLMENT_BURNT:
		out->phase = KW_ENROL_BURNT;
		return KW_OK;
	case KW_ENROLMENT_REFUSED:
		out->phase = KW_ENROL_REFUSED;
		return KW_OK;
	default:
		break;
	}
	if (!is_same(enrolment, visit))
		return alarm(enrolment, visit, out);
	if (enrolment->state != KW_ENROLMENT_DONE)
		out->phase = enrolment->state == KW_ENROLMENT_ASKED ? KW_ENROL_ASKED : KW_ENROL_APPROVED;
	return KW_OK;
}
