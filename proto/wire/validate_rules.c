/* The rules as data: one table per message type, one row per field in the order of field numbers. The schema's comments
 * say the same to people; change both at once. Below each table stands what holds across fields. */

#include "proto/wire/validate.h"

#include <string.h>

#include "kinward/v1/content.pb-c.h"
#include "kinward/v1/types.pb-c.h"
#include "proto/base/id.h"

#define YEARS_MAX 120u

/* Rows. OPT may be absent, REQ may not; MANY repeats up to a count. */
#define OPT(name, what, ...) {.field = name, .kind = KW_RULE_##what, __VA_ARGS__}
#define REQ(name, what, ...) {.field = name, .kind = KW_RULE_##what, .required = true, __VA_ARGS__}
#define MAX(bytes) .min = 1, .max = bytes
#define SPAN(low, high) .min = low, .max = high
#define MANY(most) .count_max = most
#define ANY .min = 0

static const struct kw_rule CONSENT_OVERRIDE[] = {
	REQ("reason", LINES, MAX(1000)),
	REQ("approver", LINE, MAX(200)),
};

static const struct kw_rule CONSENT[] = {
	REQ("services", ENUM, ANY),
	REQ("share_other_orgs", ENUM, ANY),
	OPT("tracing", ENUM, ANY),
	OPT("reporting", ENUM, ANY),
	OPT("public_name", ENUM, ANY),
	OPT("public_photo", ENUM, ANY),
	OPT("authorities", ENUM, ANY),
	REQ("obtained_from", ENUM, ANY),
	OPT("child_assent", ENUM, ANY),
	OPT("refusal_reason", LINES, MAX(1000)),
	OPT("override", MESSAGE, ANY),
	OPT("valid_until_unix_ms", TIME, ANY),
};

static const struct kw_rule PARTIAL_DATE[] = {
	REQ("year", UINT, SPAN(1900, 2100)),
	OPT("month", UINT, SPAN(0, 12)),
	OPT("day", UINT, SPAN(0, 31)),
	OPT("estimated", BOOL, ANY),
};

static enum kw_err across_partial_date(struct kw_walk *walk, const void *message)
{
	static const uint8_t DAYS[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const Kinward__V1__PartialDate *date = message;
	if (date->day == 0)
		return KW_OK;
	if (date->month == 0)
		return kw_validate_refuse(walk, KW_EFIELD, "month", "is required with a day; fill it in or leave out the day");
	bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
	unsigned days = DAYS[date->month] + (date->month == 2 && leap ? 1u : 0u);
	if (date->day > days)
		return kw_validate_refuse(walk, KW_EFIELD, "day", "is not a day of that month; correct it");
	return KW_OK;
}

static const struct kw_rule AGE_RANGE[] = {
	OPT("years_min", UINT, SPAN(0, YEARS_MAX)),
	OPT("years_max", UINT, SPAN(0, YEARS_MAX)),
};

static enum kw_err across_age_range(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__AgeRange *range = message;
	if (range->years_max < range->years_min)
		return kw_validate_refuse(walk, KW_EFIELD, "years_max", "must not be below years_min; correct it");
	return KW_OK;
}

static const struct kw_rule AGE[] = {
	REQ("years", UINT, SPAN(0, YEARS_MAX)),
	REQ("range", MESSAGE, ANY),
	REQ("as_of", MESSAGE, ANY),
	OPT("estimated", BOOL, ANY),
};

static const struct kw_rule NAME_PART[] = {
	REQ("text", LINE, MAX(100)),
	REQ("role", ENUM, ANY),
	OPT("script", SCRIPT, ANY),
};

static const struct kw_rule PERSON_NAME[] = {
	REQ("parts", MESSAGE, MANY(8)),
	OPT("nickname", LINE, MAX(100)),
	OPT("other_names", LINE, MAX(200), MANY(8)),
};

static const struct kw_rule PLACE[] = {
	OPT("country", COUNTRY, ANY),
	OPT("pcode", PCODE, ANY),
	OPT("admin_level", UINT, SPAN(0, 6)),
	OPT("text", LINES, MAX(500)),
};

static const struct kw_rule FUNCTIONAL_DIFFICULTY[] = {
	REQ("domain", ENUM, ANY),
	REQ("level", ENUM, ANY),
};

static const struct kw_rule CONTACT[] = {
	OPT("phone", PHONE, MAX(32)),
	OPT("other", LINE, MAX(200)),
};

static const struct kw_rule STAFF[] = {
	REQ("name", LINE, MAX(200)),
	OPT("position", LINE, MAX(200)),
	OPT("contact", MESSAGE, ANY),
};

static const struct kw_rule CAREGIVER[] = {
	REQ("name", MESSAGE, ANY),
	REQ("relation", ENUM, ANY),
	OPT("contact", MESSAGE, ANY),
	OPT("informed", BOOL, ANY),
};

static const struct kw_rule REFERRED_CHILD[] = {
	OPT("name", MESSAGE, ANY),
	OPT("code", LINE, MAX(64)),
	REQ("age", MESSAGE, ANY),
	REQ("sex", ENUM, ANY),
	OPT("languages", LANGUAGE, MANY(8)),
	OPT("separation_status", ENUM, ANY),
	OPT("difficulties", MESSAGE, MANY(6)),
	OPT("concerns", ENUM, MANY(19)),
};

static bool is_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

static enum kw_err across_referred_child(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferredChild *child = message;
	if (child->name == NULL && is_empty(child->code))
		return kw_validate_refuse(walk, KW_EFIELD, "name", "a name or a code is required; fill in one");
	return KW_OK;
}

static const struct kw_rule PRIOR_SERVICE[] = {
	REQ("service", ENUM, ANY),
	OPT("provider", LINE, MAX(200)),
	OPT("date", MESSAGE, ANY),
	OPT("note", LINES, MAX(1000)),
};

static const struct kw_rule ATTACHMENT_REF[] = {
	REQ("digest", BYTES, SPAN(KW_DIGEST_SIZE, KW_DIGEST_SIZE)),
	REQ("size", UINT, SPAN(1, 67108864)),
	REQ("media_type", LINE, MAX(100)),
	OPT("name", LINE, MAX(200)),
	REQ("kind", ENUM, ANY),
};

static const struct kw_rule REFERRAL_REQUEST[] = {
	REQ("case_ref", LINE, MAX(64)),
	REQ("service", ENUM, ANY),
	OPT("requested_by", ENUM, ANY),
	REQ("risk", ENUM, ANY),
	REQ("reason", LINES, MAX(4000)),
	OPT("services_given", MESSAGE, MANY(16)),
	REQ("children", MESSAGE, MANY(16)),
	OPT("caregiver", MESSAGE, ANY),
	OPT("safe_contact_instructions", LINES, MAX(1000)),
	REQ("referrer", MESSAGE, ANY),
	REQ("consent", MESSAGE, ANY),
	OPT("location", MESSAGE, ANY),
	OPT("attachments", MESSAGE, MANY(8)),
};

static enum kw_err across_referral_request(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferralRequest *request = message;
	const Kinward__V1__Consent *consent = request->consent;
	bool given = consent->services == KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_GIVEN &&
		consent->share_other_orgs == KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_GIVEN;
	if (!given && consent->override == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "consent.override",
			"is required unless services and share_other_orgs are given; ask for consent, or say who approved it");
	return KW_OK;
}

static const struct kw_rule APPOINTMENT[] = {
	REQ("at_unix_ms", TIME, ANY),
	OPT("place", LINES, MAX(500)),
	OPT("staff", MESSAGE, ANY),
};

static const struct kw_rule REFERRAL_EVENT[] = {
	REQ("state", ENUM, .min = KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_ACKNOWLEDGED),
	OPT("reason", ENUM, ANY),
	OPT("note", LINES, MAX(4000)),
	OPT("appointment", MESSAGE, ANY),
	OPT("outcome", ENUM, ANY),
	OPT("feedback_to_client", LINES, MAX(1000)),
	OPT("onward_agency", NAME, ANY),
	REQ("at_unix_ms", TIME, ANY),
	OPT("author", MESSAGE, ANY),
};

/* The field that an event's state demands, NULL when it has all it needs. */
static const char *event_lacks(const Kinward__V1__ReferralEvent *event)
{
	switch (event->state) {
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_REJECTED:
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_NOT_PROVIDED:
		return event->reason == KINWARD__V1__REFERRAL_REASON__REFERRAL_REASON_UNSPECIFIED ? "reason" : NULL;
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_SCHEDULED:
		return event->appointment == NULL ? "appointment" : NULL;
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_COMPLETED:
		return event->outcome == KINWARD__V1__REFERRAL_OUTCOME__REFERRAL_OUTCOME_UNSPECIFIED ? "outcome" : NULL;
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_CLOSED:
		return is_empty(event->feedback_to_client) ? "feedback_to_client" : NULL;
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_ONWARD_PROPOSED:
		return is_empty(event->onward_agency) ? "onward_agency" : NULL;
	case KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_NEED_INFO:
		return is_empty(event->note) ? "note" : NULL;
	default:
		return NULL;
	}
}

static enum kw_err across_referral_event(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReferralEvent *event = message;
	const char *lacks = event_lacks(event);
	if (lacks != NULL)
		return kw_validate_refuse(walk, KW_EFIELD, lacks, "is required with this state; fill it in");
	if (event->reason == KINWARD__V1__REFERRAL_REASON__REFERRAL_REASON_OTHER && is_empty(event->note))
		return kw_validate_refuse(walk, KW_EFIELD, "note", "is required with the reason OTHER; fill it in");
	if (event->state != KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_ONWARD_PROPOSED && !is_empty(event->onward_agency))
		return kw_validate_refuse(walk, KW_EFIELD, "onward_agency", "goes with ONWARD_PROPOSED only; leave it out");
	return KW_OK;
}

static const struct kw_rule RECEIPT_ENTRY[] = {
	REQ("digest", BYTES, SPAN(KW_DIGEST_SIZE, KW_DIGEST_SIZE)),
	REQ("envelope_id", BYTES, SPAN(KW_ID_SIZE, KW_ID_SIZE)),
	REQ("level", ENUM, ANY),
	OPT("failure", WIRE_NAME, MAX(31)),
	REQ("at_unix_ms", TIME, ANY),
};

static enum kw_err across_receipt_entry(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReceiptEntry *entry = message;
	bool failed = entry->level == KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_FAILED;
	if (failed == is_empty(entry->failure))
		return kw_validate_refuse(walk, KW_EFIELD, "failure", "goes with FAILED, and only with it; correct one of them");
	return KW_OK;
}

static const struct kw_rule RECEIPT[] = {
	REQ("entries", MESSAGE, MANY(128)),
};

static const struct kw_rule RELATIVE[] = {
	OPT("name", MESSAGE, ANY),
	REQ("relation", ENUM, ANY),
	OPT("alive", ENUM, ANY),
	OPT("age", MESSAGE, ANY),
	OPT("last_place", MESSAGE, ANY),
	OPT("with_child", BOOL, ANY),
};

static const struct kw_rule SEPARATION[] = {
	OPT("date", MESSAGE, ANY),
	OPT("place", MESSAGE, ANY),
	OPT("causes", ENUM, MANY(16)),
	REQ("status", ENUM, ANY),
	OPT("narrative", LINES, MAX(4000)),
};

static const struct kw_rule OTHER_ID[] = {
	REQ("issuer", LINE, MAX(100)),
	REQ("id", LINE, MAX(100)),
};

static const struct kw_rule KNOWN_LOCATION[] = {
	REQ("kind", ENUM, ANY),
	REQ("place", MESSAGE, ANY),
	OPT("date", MESSAGE, ANY),
};

static const struct kw_rule UASC_REGISTRATION[] = {
	REQ("name", MESSAGE, ANY),
	REQ("sex", ENUM, ANY),
	OPT("birth_date", MESSAGE, ANY),
	OPT("age", MESSAGE, ANY),
	OPT("birthplace", MESSAGE, ANY),
	OPT("nationalities", COUNTRY, MANY(4)),
	OPT("languages", LANGUAGE, MANY(8)),
	OPT("ethnicity", LINE, MAX(100)),
	OPT("characteristics", LINES, MAX(1000)),
	REQ("separation", MESSAGE, ANY),
	OPT("locations", MESSAGE, MANY(16)),
	OPT("relatives", MESSAGE, MANY(32)),
	REQ("care_arrangement", ENUM, ANY),
	OPT("caregiver", MESSAGE, ANY),
	OPT("other_ids", MESSAGE, MANY(8)),
	OPT("photo_digest", BYTES, SPAN(KW_DIGEST_SIZE, KW_DIGEST_SIZE)),
	OPT("wishes", LINES, MAX(2000)),
	REQ("consent", MESSAGE, ANY),
	OPT("concerns", ENUM, MANY(19)),
	OPT("difficulties", MESSAGE, MANY(6)),
	OPT("attachments", MESSAGE, MANY(8)),
};

static enum kw_err across_uasc_registration(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__UascRegistration *registration = message;
	if (registration->birth_date == NULL && registration->age == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "birth_date", "a birth date or an age is required; estimate one");
	return KW_OK;
}

static const struct kw_rule CONTENT[] = {
	REQ("message_id", BYTES, SPAN(KW_ID_SIZE, KW_ID_SIZE)),
	REQ("created_unix_ms", TIME, ANY),
	REQ("referral_request", MESSAGE, ANY),
	REQ("referral_event", MESSAGE, ANY),
	REQ("receipt", MESSAGE, ANY),
	REQ("uasc_registration", MESSAGE, ANY),
	REQ("capacity_query", BOOL, ANY),
	REQ("capacity_reply", BOOL, ANY),
	REQ("service_offer", BOOL, ANY),
	REQ("service_claim", BOOL, ANY),
	REQ("offer_closed", BOOL, ANY),
	REQ("transfer_offer", BOOL, ANY),
	REQ("transfer_request", BOOL, ANY),
	REQ("transfer_event", BOOL, ANY),
	REQ("tracing_request", BOOL, ANY),
	REQ("match_candidate", BOOL, ANY),
	REQ("match_decision", BOOL, ANY),
	REQ("verification_exchange", BOOL, ANY),
	REQ("verification", BOOL, ANY),
	REQ("reunification", BOOL, ANY),
	REQ("follow_up", BOOL, ANY),
	REQ("consent_update", BOOL, ANY),
	REQ("erase", BOOL, ANY),
	REQ("erase_ack", BOOL, ANY),
	REQ("separation_report", BOOL, ANY),
	REQ("separation_survey", BOOL, ANY),
	REQ("rapid_assessment", BOOL, ANY),
	REQ("urgent_action", BOOL, ANY),
	REQ("service_directory", BOOL, ANY),
	REQ("supervision_return", BOOL, ANY),
	REQ("indicator_return", BOOL, ANY),
	REQ("reminder", BOOL, ANY),
	REQ("tracing_event", BOOL, ANY),
};

/* The kinds after it have no tables yet, so they are refused like those of a newer version. */
static enum kw_err across_content(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Content *content = message;
	if (content->body_case > KINWARD__V1__CONTENT__BODY_UASC_REGISTRATION)
		return kw_validate_refuse(walk, KW_EVERSION, "", "is of a kind that is not known here; upgrade this agent");
	return KW_OK;
}

#define SET(name, table, check) \
	{.descriptor = &kinward__v1__##name##__descriptor, .rules = table, \
		.count = sizeof(table) / sizeof((table)[0]), .across = check}

static const struct kw_rule_set SETS[] = {
	SET(content, CONTENT, across_content),
	SET(referral_request, REFERRAL_REQUEST, across_referral_request),
	SET(referred_child, REFERRED_CHILD, across_referred_child),
	SET(age, AGE, NULL),
	SET(partial_date, PARTIAL_DATE, across_partial_date),
	SET(person_name, PERSON_NAME, NULL),
	SET(name_part, NAME_PART, NULL),
	SET(consent, CONSENT, NULL),
	SET(staff, STAFF, NULL),
	SET(contact, CONTACT, NULL),
	SET(place, PLACE, NULL),
	SET(caregiver, CAREGIVER, NULL),
	SET(referral_event, REFERRAL_EVENT, across_referral_event),
	SET(appointment, APPOINTMENT, NULL),
	SET(receipt, RECEIPT, NULL),
	SET(receipt_entry, RECEIPT_ENTRY, across_receipt_entry),
	SET(age_range, AGE_RANGE, across_age_range),
	SET(consent_override, CONSENT_OVERRIDE, NULL),
	SET(functional_difficulty, FUNCTIONAL_DIFFICULTY, NULL),
	SET(prior_service, PRIOR_SERVICE, NULL),
	SET(attachment_ref, ATTACHMENT_REF, NULL),
	SET(uasc_registration, UASC_REGISTRATION, across_uasc_registration),
	SET(separation, SEPARATION, NULL),
	SET(known_location, KNOWN_LOCATION, NULL),
	SET(relative, RELATIVE, NULL),
	SET(other_id, OTHER_ID, NULL),
};

const struct kw_rule_set *kw_validate_rules(const ProtobufCMessageDescriptor *descriptor)
{
	for (unsigned i = 0; i < sizeof(SETS) / sizeof(SETS[0]); i++)
		if (SETS[i].descriptor == descriptor)
			return &SETS[i];
	return NULL;
}
