/* proto/wire/validate_across*.c: one good message of each type with a check across its fields, and for each thing that the
 * check refuses a change to it. A change is a JSON object laid over the good one; null takes a field out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/json.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "proto/wire/validate.h"

#define ID "AQIDBAUGBwgJCgsMDQ4PEA=="
#define ID2 "AgIDBAUGBwgJCgsMDQ4PEA=="
#define DIGEST "AQIDBAUGBwgJCgsMDQ4PEAECAwQFBgcICQoLDA0ODxA="
#define AT "1760000000000"
#define MADE "1800000000000" /* after every date that is past */
#define LATER "1760000000001"
#define DAY "{'year': 2026, 'month': 5, 'day': 9}"
#define NAME "{'parts': [{'text': 'Amina', 'role': 'NAME_ROLE_GIVEN'}]}"
#define STAFF "{'name': 'A caseworker'}"
#define CONSENT "{'services': 'CONSENT_ANSWER_GIVEN', 'shareOtherOrgs': 'CONSENT_ANSWER_GIVEN'," \
	" 'tracing': 'CONSENT_ANSWER_GIVEN', 'obtainedFrom': 'CONSENT_SOURCE_CAREGIVER'}"
#define NO_SHARING "{'shareOtherOrgs': 'CONSENT_ANSWER_REFUSED'}"
#define NO_ASSENT "{'childAssent': 'CONSENT_ANSWER_REFUSED'}"
#define NO_TRACING "{'tracing': 'CONSENT_ANSWER_REFUSED'}"
#define CHILD "{'name': " NAME ", 'age': {'years': 7, 'asOf': " DAY "}, 'sex': 'SEX_FEMALE'}"
#define SUMMARY "{'name': " NAME ", 'sex': 'SEX_FEMALE', 'birthDate': " DAY ", 'concerns': ['CONCERN_NEGLECT']," \
	" 'careArrangement': 'CARE_ARRANGEMENT_KINSHIP', 'location': {'country': 'SS'}, 'assessment': 'Well.'}"
#define SOUGHT "{'name': " NAME ", 'sex': 'SEX_FEMALE', 'birthDate': " DAY ", 'relation': 'RELATION_MOTHER'}"
#define SUBJECT "{'threadId': '" ID "'}"
#define CASE "{'localNumber': 1, 'sex': 'SEX_MALE', 'ageBand': 'AGE_BAND_6_TO_11', 'ageYears': 11," \
	" 'status': 'SEPARATION_STATUS_SEPARATED', 'direction': 'SEPARATION_DIRECTION_ARRIVED', 'weekOccurred': '2026-W47'}"
#define SERVICE "{'serviceId': 'a', 'type': 'SERVICE_TYPE_SAFEHOUSE', 'status': 'SERVICE_STATUS_ACTIVE'," \
	" 'capacity': 'CAPACITY_AVAILABLE', 'capacityMaximum': 9, 'capacityAvailable': 9, 'minimumAge': 6, 'maximumAge': 6," \
	" 'locations': [{'pcode': 'SS0101', 'adminLevel': 2}], 'assuredUnixMs': " AT ", 'validUntilUnixMs': " LATER "}"
#define CELL "{'indicator': 'INDICATOR_FOLLOW_UP_COVERAGE', 'numerator': 5, 'denominator': 10}"
#define PERSON "{'methods': ['VERIFICATION_METHOD_PHOTO'], 'result': 'VERIFICATION_RESULT_CONFIRMED', 'date': " DAY ", " \
	"'verifiedBy': " STAFF "}"

struct good {
	const ProtobufCMessageDescriptor *type;
	const char *json;
};

#define GOOD(name, text) {&kinward__v1__##name##__descriptor, text}

static const struct good GOODS[] = {
	GOOD(partial_date, "{'year': 2024, 'month': 2, 'day': 29}"),
	GOOD(age_range, "{'yearsMin': 3, 'yearsMax': 3}"),
	GOOD(attachment_ref, "{'digest': '" DIGEST "', 'size': 1, 'mediaType': 'image/jpeg', 'name': 'Map',"
		" 'kind': 'ATTACHMENT_KIND_OTHER', 'key': '" DIGEST "'}"),
	GOOD(receipt_entry, "{'digest': '" DIGEST "', 'envelopeId': '" ID "', 'level': 'RECEIPT_LEVEL_STORED', 'atUnixMs': " AT "}"),
	GOOD(reminder, "{'threadId': '" ID "', 'kind': 'THREAD_KIND_REFERRAL', 'clock': 'THREAD_CLOCK_DELIVERED', 'step': 150,"
		" 'audience': 'REMINDER_AUDIENCE_SENDER', 'state': 1, 'dueUnixMs': " AT ", 'agency': 'a', 'otherAgency': 'b'}"),
	GOOD(referred_child, CHILD),
	GOOD(referral_request, "{'caseRef': 'K-1', 'service': 'SERVICE_TYPE_CASH', 'risk': 'RISK_LOW', 'reason': 'Why.',"
		" 'children': [" CHILD "], 'referrer': " STAFF ", 'consent': " CONSENT "}"),
	GOOD(referral_event, "{'state': 'REFERRAL_STATE_ACCEPTED', 'atUnixMs': " AT "}"),
	GOOD(capacity_reply, "{'capacity': 'CAPACITY_AVAILABLE', 'untilUnixMs': " AT "}"),
	GOOD(service_claim, "{'state': 'OFFER_STATE_CLAIMED', 'heldUntilUnixMs': " AT "}"),
	GOOD(offer_closed, "{'state': 'OFFER_STATE_LEASED', 'referralThreadId': '" ID "'}"),
	GOOD(due_date, "{'task': 'CASE_TASK_OTHER', 'due': " DAY ", 'note': 'Buy shoes.'}"),
	GOOD(case_summary, SUMMARY),
	GOOD(transfer_offer, "{'caseRef': 'K-1', 'reason': 'TRANSFER_REASON_OTHER', 'note': 'Why.', 'risk': 'RISK_LOW',"
		" 'summary': " SUMMARY ", 'caseworker': " STAFF ", 'childInformed': 'ANSWER_YES', 'caregiverInformed': 'ANSWER_NO',"
		" 'consent': " CONSENT "}"),
	GOOD(transfer_request, "{'child': " CHILD ", 'reason': 'TRANSFER_REASON_OTHER', 'note': 'Why.', 'risk': 'RISK_LOW',"
		" 'caseworker': " STAFF ", 'consent': " CONSENT "}"),
	GOOD(transfer_event, "{'state': 'TRANSFER_STATE_ACCEPTED', 'caseworker': " STAFF ", 'newCaseRef': 'N-1', 'atUnixMs': " AT "}"),
	GOOD(consent_update, "{'about': " SUBJECT ", 'withdrawn': ['CONSENT_PURPOSE_PUBLIC_NAME'], 'consent': " CONSENT ","
		" 'action': 'ERASURE_ACTION_ERASE', 'effectiveAtUnixMs': " AT ", 'obtainedFrom': 'CONSENT_SOURCE_INDIVIDUAL'}"),
	GOOD(erase, "{'about': " SUBJECT ", 'action': 'ERASURE_ACTION_ERASE', 'reason': 'ERASURE_REASON_OTHER', 'note': 'Why.',"
		" 'effectiveAtUnixMs': " AT "}"),
	GOOD(erase_ack, "{'about': " SUBJECT ", 'action': 'ERASURE_ACTION_ERASE', 'outcome': 'ERASURE_OUTCOME_RETAINED',"
		" 'legalGround': 'LEGAL_GROUND_OTHER', 'note': 'Why.', 'retainedUntilUnixMs': " AT ", 'atUnixMs': " AT "}"),
	GOOD(uasc_registration, "{'name': " NAME ", 'sex': 'SEX_MALE', 'birthDate': " DAY ","
		" 'separation': {'status': 'SEPARATION_STATUS_SEPARATED'}, 'careArrangement': 'CARE_ARRANGEMENT_NONE',"
		" 'consent': " CONSENT "}"),
	GOOD(tracing_event, "{'state': 'TRACING_STATE_FAMILY_LOCATED', 'located': 'LOCATED_KIND_IN_COUNTRY', 'atUnixMs': " AT "}"),
	GOOD(inquirer, "{'name': " NAME ", 'contact': {'phone': '1'}}"),
	GOOD(sought_child, SOUGHT),
	GOOD(tracing_request, "{'inquirer': {'name': " NAME ", 'contact': {'phone': '1'}}, 'children': [" SOUGHT "],"
		" 'consent': " CONSENT "}"),
	GOOD(match_candidate, "{'matchId': '" ID "', 'kind': 'MATCH_KIND_DUPLICATE', 'ownHandle': '" ID "', 'otherHandle': '" ID2 "',"
		" 'otherAgency': 'b', 'state': 'MATCH_STATE_CANDIDATE', 'score': 9000, 'band': 'MATCH_BAND_STRONG',"
		" 'evidence': [{'field': 'EVIDENCE_FIELD_SEX', 'evidence': 'EVIDENCE_AGREE'}], 'encodingVersion': 1, 'atUnixMs': " AT "}"),
	GOOD(match_decision, "{'matchId': '" ID "', 'verdict': 'MATCH_VERDICT_REJECT', 'ground': 'MATCH_GROUND_OTHER',"
		" 'note': 'Why.', 'decider': " STAFF ", 'atUnixMs': " AT "}"),
	GOOD(verification_exchange, "{'matchId': '" ID "', 'step': 'VERIFICATION_STEP_TELL', 'person': {}, 'consent': " CONSENT ","
		" 'author': " STAFF "}"),
	GOOD(person_verification, PERSON),
	GOOD(verification, "{'child': " PERSON ", 'adult': " PERSON ", 'relation': 'RELATION_AUNT', 'childView': 'Glad.',"
		" 'bestInterests': 'BEST_INTERESTS_YES', 'bestInterestsNote': 'Why.'}"),
	GOOD(reunification, "{'type': 'REUNIFICATION_TYPE_IN_COUNTRY', 'actual': " DAY ", 'place': {'country': 'SS'},"
		" 'adult': {'name': " NAME ", 'relation': 'RELATION_AUNT'}, 'childAgrees': 'ANSWER_YES', 'firstFollowUp': " DAY "}"),
	GOOD(follow_up, "{'type': 'FOLLOW_UP_TYPE_IN_CARE', 'date': " DAY ", 'childSeen': 'ANSWER_YES', 'nextDate': " DAY ","
		" 'author': " STAFF "}"),
	GOOD(separation_case, CASE),
	GOOD(separation_report, "{'week': '2026-W47', 'villagePcode': 'SS0101', 'focalPointCode': 'f', 'cases': [" CASE "]}"),
	GOOD(separation_survey, "{'method': 'SURVEY_METHOD_NEIGHBOURHOOD', 'stratumPcode': 'SS01', 'start': " DAY ", 'end': " DAY ","
		" 'households': 9, 'children': 100, 'separated': 5, 'unaccompanied': 5, 'prevalencePpm': 50000, 'ciLowPpm': 50000,"
		" 'ciHighPpm': 50000, 'ownSeparated': 2, 'neighbourSeparated': 3}"),
	GOOD(rapid_assessment, "{'sitePcode': 'SS0101', 'date': " DAY ", 'method': 'ASSESSMENT_METHOD_KEY_INFORMANT',"
		" 'communities': 15, 'informants': 1, 'separationSeen': 'ANSWER_YES', 'causes': ['SEPARATION_CAUSE_POVERTY'],"
		" 'noAdult': 'COUNT_BAND_NONE', 'confidence': 'SOURCE_CONFIDENCE_LOW'}"),
	GOOD(service_schedule, "{'weekdays': ['WEEKDAY_MONDAY'], 'opensMinute': 480, 'closesMinute': 481}"),
	GOOD(directory_service, SERVICE),
	GOOD(service_directory, "{'services': [" SERVICE "], 'issuedUnixMs': " AT ", 'validUntilUnixMs': " LATER "}"),
	GOOD(supervision_return, "{'month': {'year': 2026, 'month': 5}, 'caseworkers': 4}"),
	GOOD(indicator_cell, CELL),
	GOOD(indicator_return, "{'week': '2026-W47', 'cells': [" CELL "]}"),
};

struct bad {
	const char *type; /* of the good one */
	const char *change;
	const char *field;
	const char *rule; /* a part of it */
};

#define WITH_STATE "is required with this state"
#define NOT_STATE "does not go with this state"
#define WITH_OTHER "is required with OTHER"

static const struct bad BADS[] = {
	{"PartialDate", "{'month': 0}", "month", "is required with a day"},
	{"PartialDate", "{'year': 2023}", "day", "is not a day of that month"},
	{"AgeRange", "{'yearsMax': 2}", "yearsMax", "must not be below yearsMin"},
	{"AttachmentRef", "{'name': null}", "name", WITH_OTHER},
	{"ReceiptEntry", "{'failure': 'no_such_agency'}", "failure", "goes with FAILED, and only with it"},
	{"ReceiptEntry", "{'level': 'RECEIPT_LEVEL_FAILED'}", "failure", "goes with FAILED, and only with it"},
	{"Reminder", "{'step': 149}", "step", "must be 50, 100, 150 or 200"},
	{"ReferredChild", "{'name': null}", "name", "a name or a code is required"},
	{"ReferralRequest", "{'consent': " NO_SHARING "}", "consent.override", "unless services and shareOtherOrgs"},
	{"ReferralRequest", "{'consent': " NO_ASSENT "}", "consent.childAssent", "is refused"},
	{"ReferralEvent", "{'state': 'REFERRAL_STATE_REJECTED'}", "reason", WITH_STATE},
	{"ReferralEvent", "{'reason': 'REFERRAL_REASON_OTHER'}", "note", "is required with the reason OTHER"},
	{"ReferralEvent", "{'onwardAgency': 'b'}", "onwardAgency", "goes with ONWARD_PROPOSED only"},
	{"CapacityReply", "{'untilUnixMs': null}", "untilUnixMs", "is required with AVAILABLE"},
	{"CapacityReply", "{'waitDays': 1}", "waitDays", "goes with WAITLIST only"},
	{"ServiceClaim", "{'state': 'OFFER_STATE_LEASED'}", "state", "must be CLAIMED or DECLINED"},
	{"ServiceClaim", "{'reason': 'REFERRAL_REASON_UNSAFE'}", "reason", NOT_STATE},
	{"ServiceClaim", "{'heldUntilUnixMs': null}", "heldUntilUnixMs", WITH_STATE},
	{"ServiceClaim", "{'state': 'OFFER_STATE_DECLINED', 'heldUntilUnixMs': null}", "reason", WITH_STATE},
	{"ServiceClaim", "{'state': 'OFFER_STATE_DECLINED', 'reason': 'REFERRAL_REASON_UNSAFE'}", "heldUntilUnixMs", NOT_STATE},
	{"ServiceClaim", "{'state': 'OFFER_STATE_DECLINED', 'reason': 'REFERRAL_REASON_OTHER', 'heldUntilUnixMs': null}", "note",
		WITH_OTHER},
	{"OfferClosed", "{'state': 'OFFER_STATE_UNCLAIMED'}", "state", "must be LEASED or CLOSED"},
	{"OfferClosed", "{'state': 'OFFER_STATE_CLOSED'}", "reason", WITH_STATE},
	{"OfferClosed", "{'reason': 'OFFER_CLOSE_REASON_TAKEN'}", "reason", NOT_STATE},
	{"OfferClosed", "{'referralThreadId': null}", "referralThreadId", WITH_STATE},
	{"OfferClosed", "{'state': 'OFFER_STATE_CLOSED', 'reason': 'OFFER_CLOSE_REASON_TAKEN'}", "referralThreadId", NOT_STATE},
	{"DueDate", "{'note': null}", "note", WITH_OTHER},
	{"CaseSummary", "{'birthDate': null}", "birthDate", "a birth date or an age is required"},
	{"TransferOffer", "{'note': null}", "note", WITH_OTHER},
	{"TransferOffer", "{'consent': " NO_SHARING "}", "consent.override", "unless services and shareOtherOrgs"},
	{"TransferOffer", "{'consent': " NO_ASSENT "}", "consent.childAssent", "is refused"},
	{"TransferRequest", "{'child': null}", "caseRef", "a common pseudonym or the child is required"},
	{"TransferRequest", "{'note': null}", "note", WITH_OTHER},
	{"TransferRequest", "{'consent': null}", "consent", "is required with the child"},
	{"TransferRequest", "{'consent': " NO_SHARING "}", "consent.override", "unless services and shareOtherOrgs"},
	{"TransferRequest", "{'consent': " NO_ASSENT "}", "consent.childAssent", "is refused"},
	{"TransferEvent", "{'refusal': 'TRANSFER_REFUSAL_UNSAFE'}", "refusal", NOT_STATE},
	{"TransferEvent", "{'state': 'TRANSFER_STATE_REJECTED'}", "refusal", WITH_STATE},
	{"TransferEvent", "{'state': 'TRANSFER_STATE_REJECTED', 'refusal': 'TRANSFER_REFUSAL_OTHER'}", "note", WITH_OTHER},
	{"TransferEvent", "{'state': 'TRANSFER_STATE_HANDOVER_CONFIRMED'}", "handover", WITH_STATE},
	{"TransferEvent", "{'caseworker': null}", "caseworker", WITH_STATE},
	{"TransferEvent", "{'state': 'TRANSFER_STATE_ACKNOWLEDGED'}", "newCaseRef", NOT_STATE},
	{"ConsentUpdate", "{'withdrawn': null, 'consent': null, 'action': null}", "withdrawn", "or the new consent is required"},
	{"ConsentUpdate", "{'action': null}", "action", "is required with withdrawn purposes"},
	{"ConsentUpdate", "{'withdrawn': null}", "action", "goes with withdrawn purposes only"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_SERVICES']}", "consent", "says that a withdrawn purpose is given"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_SHARE_OTHER_ORGS']}", "consent", "says that a withdrawn purpose"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_AUTHORITIES', 'CONSENT_PURPOSE_TRACING']}", "consent", "says that"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_AUTHORITIES'], 'consent': {'authorities': 'CONSENT_ANSWER_GIVEN'}}",
		"consent", "says that"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_REPORTING'], 'consent': {'reporting': 'CONSENT_ANSWER_GIVEN'}}",
		"consent", "says that"},
	{"ConsentUpdate", "{'consent': {'publicName': 'CONSENT_ANSWER_GIVEN'}}", "consent", "says that"},
	{"ConsentUpdate", "{'withdrawn': ['CONSENT_PURPOSE_PUBLIC_PHOTO'], 'consent': {'publicPhoto': 'CONSENT_ANSWER_GIVEN'}}",
		"consent", "says that"},
	{"Erase", "{'note': null}", "note", WITH_OTHER},
	{"EraseAck", "{'legalGround': null}", "legalGround", "goes with RETAINED, and only with it"},
	{"EraseAck", "{'outcome': 'ERASURE_OUTCOME_DONE'}", "legalGround", "goes with RETAINED, and only with it"},
	{"EraseAck", "{'outcome': 'ERASURE_OUTCOME_DONE', 'legalGround': null}", "retainedUntilUnixMs", "goes with RETAINED"},
	{"EraseAck", "{'outcome': 'ERASURE_OUTCOME_FAILED', 'legalGround': null, 'retainedUntilUnixMs': null}", "failure",
		"goes with FAILED, and only with it"},
	{"EraseAck", "{'failure': 'no_memory'}", "failure", "goes with FAILED, and only with it"},
	{"EraseAck", "{'note': null}", "note", WITH_OTHER},
	{"UascRegistration", "{'birthDate': null}", "birthDate", "a birth date or an age is required"},
	{"TracingEvent", "{'located': null}", "located", WITH_STATE},
	{"TracingEvent", "{'state': 'TRACING_STATE_TRACING'}", "located", NOT_STATE},
	{"TracingEvent", "{'state': 'TRACING_STATE_SUSPENDED', 'located': null}", "reason", WITH_STATE},
	{"TracingEvent", "{'state': 'TRACING_STATE_INVALID', 'located': null}", "reason", WITH_STATE},
	{"TracingEvent", "{'state': 'TRACING_STATE_CLOSED', 'located': null}", "reason", WITH_STATE},
	{"TracingEvent", "{'state': 'TRACING_STATE_REOPENED', 'located': null}", "reason", WITH_STATE},
	{"TracingEvent", "{'reason': 'TRACING_REASON_OTHER'}", "note", WITH_OTHER},
	{"TracingEvent", "{'action': {'type': 'TRACING_ACTION_TYPE_OTHER', 'outcome': 'TRACING_OUTCOME_PENDING', 'date': " DAY "}}",
		"note", WITH_OTHER},
	{"Inquirer", "{'contact': null}", "contact", "a contact or a location is required"},
	{"SoughtChild", "{'birthDate': null}", "birthDate", "a birth date or an age is required"},
	{"TracingRequest", "{'consent': " NO_TRACING "}", "consent.override", "unless tracing is given"},
	{"TracingRequest", "{'consent': " NO_ASSENT "}", "consent.childAssent", "is refused"},
	{"TracingRequest", "{'children': [{'name': " NAME ", 'sex': 'SEX_MALE', 'birthDate': " DAY ","
		" 'relation': 'RELATION_AUNT', 'photoDigest': '" DIGEST "'}]}", "attachments", "must hold the photo"},
	{"MatchCandidate", "{'state': 'MATCH_STATE_LINKED'}", "state", "must be CANDIDATE, SUPERSEDED or REUNITED_ELSEWHERE"},
	{"MatchCandidate", "{'state': 'MATCH_STATE_SUPERSEDED'}", "supersededBy", WITH_STATE},
	{"MatchCandidate", "{'supersededBy': '" ID "'}", "supersededBy", NOT_STATE},
	{"MatchCandidate", "{'otherHandle': '" ID "'}", "otherHandle", "must be another record's"},
	{"MatchCandidate", "{'evidence': [{'field': 'EVIDENCE_FIELD_SEX', 'evidence': 'EVIDENCE_AGREE'},"
		" {'field': 'EVIDENCE_FIELD_SEX', 'evidence': 'EVIDENCE_NEAR'}]}", "evidence", "names a field twice"},
	{"MatchDecision", "{'ground': null}", "ground", "is required unless more must be known"},
	{"MatchDecision", "{'verdict': 'MATCH_VERDICT_NEED_INFO'}", "needed", "is required with NEED_INFO"},
	{"MatchDecision", "{'note': null}", "note", WITH_OTHER},
	{"VerificationExchange", "{'asked': ['EVIDENCE_FIELD_SEX']}", "asked", "goes with ASK, and only with it"},
	{"VerificationExchange", "{'step': 'VERIFICATION_STEP_ASK'}", "asked", "goes with ASK, and only with it"},
	{"VerificationExchange", "{'step': 'VERIFICATION_STEP_OPT_IN'}", "person", "goes with TELL, and only with it"},
	{"VerificationExchange", "{'person': null}", "person", "goes with TELL, and only with it"},
	{"VerificationExchange", "{'consent': null}", "consent", "is required with TELL"},
	{"VerificationExchange", "{'consent': " NO_TRACING "}", "consent.override", "unless tracing is given"},
	{"VerificationExchange", "{'consent': " NO_ASSENT "}", "consent.childAssent", "is refused"},
	{"PersonVerification", "{'methods': ['VERIFICATION_METHOD_PHOTO', 'VERIFICATION_METHOD_OTHER']}", "note", WITH_OTHER},
	{"PersonVerification", "{'result': 'VERIFICATION_RESULT_INCONCLUSIVE'}", "note", "is required unless the person is confirmed"},
	{"Verification", "{'bestInterestsNote': null}", "bestInterestsNote", "is required with a decision"},
	{"Reunification", "{'actual': null}", "planned", "a planned or an actual date is required"},
	{"Reunification", "{'place': null}", "place", "is required unless the contact is remote"},
	{"Reunification", "{'firstFollowUp': null}", "firstFollowUp", "is required with the actual date"},
	{"Reunification", "{'firstFollowUp': {'day': 8}}", "firstFollowUp", "must not be before the actual date"},
	{"Reunification", "{'support': ['REUNIFICATION_SUPPORT_OTHER']}", "note", WITH_OTHER},
	{"Reunification", "{'childAgrees': 'ANSWER_NOT_KNOWN'}", "note", "is required unless the child agrees"},
	{"FollowUp", "{'childSeen': 'ANSWER_NO'}", "notSeenReason", "is required unless the child was seen"},
	{"FollowUp", "{'notSeenReason': 'NOT_SEEN_REASON_WORKING'}", "notSeenReason", "does not go with a child that was seen"},
	{"FollowUp", "{'sameCaregiver': 'ANSWER_NO'}", "changeReason", "goes with another caregiver"},
	{"FollowUp", "{'changeReason': 'CARE_CHANGE_REASON_POVERTY'}", "changeReason", "goes with another caregiver"},
	{"FollowUp", "{'service': 'SERVICE_TYPE_CASH'}", "service", "goes with FOR_SERVICE, and only with it"},
	{"FollowUp", "{'type': 'FOLLOW_UP_TYPE_FOR_SERVICE'}", "service", "goes with FOR_SERVICE, and only with it"},
	{"FollowUp", "{'nextDate': null}", "nextDate", "is required unless closure is recommended"},
	{"FollowUp", "{'nextDate': {'year': 2025}}", "nextDate", "must not be before the date"},
	{"FollowUp", "{'childSeen': 'ANSWER_NO', 'notSeenReason': 'NOT_SEEN_REASON_OTHER'}", "note", WITH_OTHER},
	{"FollowUp", "{'sameCaregiver': 'ANSWER_NO', 'changeReason': 'CARE_CHANGE_REASON_OTHER'}", "note", WITH_OTHER},
	{"SeparationCase", "{'status': 'SEPARATION_STATUS_NEITHER'}", "status", "must be UNACCOMPANIED or SEPARATED"},
	{"SeparationCase", "{'ageBand': 'AGE_BAND_18_OR_MORE'}", "ageBand", "must be a child's"},
	{"SeparationCase", "{'ageYears': 12}", "ageYears", "is not in the age band"},
	{"SeparationCase", "{'ageYears': 0}", "ageYears", "is not in the age band"},
	{"SeparationReport", "{'zeroReport': true}", "cases", "must be none in a zero report"},
	{"SeparationReport", "{'cases': null}", "zeroReport", "must be true when there is no case"},
	{"SeparationReport", "{'cases': [" CASE ", " CASE "]}", "cases", "have a local number twice"},
	{"SeparationReport", "{'week': '2026-W46'}", "cases", "have a weekOccurred after the report's week"},
	{"SeparationSurvey", "{'end': {'month': 4}}", "end", "must not be before the start"},
	{"SeparationSurvey", "{'children': 4}", "separated", "must not be above the children"},
	{"SeparationSurvey", "{'unaccompanied': 6}", "unaccompanied", "must not be above the separated"},
	{"SeparationSurvey", "{'ciLowPpm': 50001}", "ciLowPpm", "must not be above the prevalence"},
	{"SeparationSurvey", "{'ciHighPpm': 49999}", "ciHighPpm", "must not be below the prevalence"},
	{"SeparationSurvey", "{'method': 'SURVEY_METHOD_CENSUS'}", "neighbourSeparated", "goes with NEIGHBOURHOOD only"},
	{"SeparationSurvey", "{'ownSeparated': 3}", "ownSeparated", "must not make more than all separated"},
	{"SeparationSurvey", "{'method': 'SURVEY_METHOD_OTHER', 'neighbourSeparated': 0}", "note", WITH_OTHER},
	{"RapidAssessment", "{'communities': 14}", "siteSpecific", "must be true with fewer than 15"},
	{"RapidAssessment", "{'informants': 0}", "informants", "is required with KEY_INFORMANT"},
	{"RapidAssessment", "{'separationSeen': 'ANSWER_NO'}", "causes", "do not go with no separation seen"},
	{"ServiceSchedule", "{'closesMinute': 480}", "closesMinute", "must be after opensMinute"},
	{"DirectoryService", "{'maximumAge': 5}", "maximumAge", "must not be below minimumAge"},
	{"DirectoryService", "{'capacityAvailable': 10}", "capacityAvailable", "must not be above capacityMaximum"},
	{"DirectoryService", "{'capacity': 'CAPACITY_NONE'}", "capacityAvailable", "does not go with the capacity NONE"},
	{"DirectoryService", "{'validUntilUnixMs': " AT "}", "validUntilUnixMs", "must be after assuredUnixMs"},
	{"DirectoryService", "{'locations': [{'pcode': 'SS010101', 'adminLevel': 3}]}", "locations", "of a safehouse"},
	{"DirectoryService", "{'locations': [{'pcode': 'SS0101', 'name': 'By the river'}]}", "locations", "of a safehouse"},
	{"ServiceDirectory", "{'validUntilUnixMs': " AT "}", "validUntilUnixMs", "must be after issuedUnixMs"},
	{"ServiceDirectory", "{'services': [" SERVICE ", " SERVICE "]}", "services", "have a serviceId twice"},
	{"SupervisionReturn", "{'month': {'month': 0}}", "month.month", "is required"},
	{"SupervisionReturn", "{'month': {'day': 1}}", "month.day", "does not go here"},
	{"IndicatorCell", "{'service': 'SERVICE_TYPE_CASH'}", "service", "goes with UNMET_DEMAND and COMPLETED_SERVICE"},
	{"IndicatorCell", "{'indicator': 'INDICATOR_UNMET_DEMAND', 'service': 'SERVICE_TYPE_CASH'}", "admin1Pcode", "goes with"},
	{"IndicatorCell", "{'admin1Pcode': 'SS01'}", "admin1Pcode", "goes with UNMET_DEMAND and COMPLETED_SERVICE"},
	{"IndicatorCell", "{'careArrangement': 'CARE_ARRANGEMENT_NONE'}", "careArrangement", "goes with CARE_ARRANGEMENT"},
	{"IndicatorCell", "{'indicator': 'INDICATOR_CARE_ARRANGEMENT'}", "careArrangement", "goes with CARE_ARRANGEMENT"},
	{"IndicatorCell", "{'suppressed': true}", "numerator", "must be left out when suppressed"},
	{"IndicatorCell", "{'suppressed': true, 'numerator': 0}", "numerator", "must be left out when suppressed"},
	{"IndicatorCell", "{'numerator': 11}", "denominator", "must not be below the numerator"},
	{"IndicatorCell", "{'numerator': 4}", "suppressed", "must be true for a number from 1 to 4"},
	{"IndicatorCell", "{'numerator': 1, 'denominator': 0}", "suppressed", "must be true for a number from 1 to 4"},
	{"IndicatorCell", "{'numerator': 6}", "suppressed", "a rate that gives one away"},
	{"IndicatorReturn", "{'cells': [" CELL ", " CELL "]}", "cells", "have the same cell twice"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* JSON with the quotes that C makes awkward. */
static json_t *quoted(const char *text)
{
	char *copy = strdup(text);
	for (char *at = copy; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	json_t *value = json_loads(copy, 0, NULL);
	if (value == NULL)
		fail_msg("not JSON: %s", copy);
	free(copy);
	return value;
}

static const struct good *good_of(const char *type)
{
	for (size_t i = 0; i < COUNT(GOODS); i++)
		if (strcmp(GOODS[i].type->short_name, type) == 0)
			return &GOODS[i];
	fail_msg("no good %s", type);
	return NULL;
}

/* Validates the good message with the change laid over it. */
static enum kw_err validated(const struct good *good, const char *change, struct kw_fault *fault)
{
	ProtobufCMessage *message = NULL;
	struct json_fault broken;
	json_t *value = quoted(good->json);
	json_t *over = quoted(change);
	assert_int_equal(json_object_update_recursive(value, over), 0);
	if (json_map_read(good->type, value, &message, &broken) != KW_OK)
		fail_msg("%s %s: %s %s", good->type->short_name, change, broken.path, broken.rule);
	enum kw_err err = kw_message_validate(message, "", fault);
	protobuf_c_message_free_unpacked(message, NULL);
	json_decref(over);
	json_decref(value);
	return err;
}

static void test_across_good_ones_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(GOODS); i++) {
		struct kw_fault fault;
		if (validated(&GOODS[i], "{}", &fault) != KW_OK)
			fail_msg("%s: %s %s", GOODS[i].type->short_name, fault.field, fault.rule);
	}
}

static void test_across_each_fault_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(BADS); i++) {
		struct kw_fault fault;
		const struct bad *bad = &BADS[i];
		if (validated(good_of(bad->type), bad->change, &fault) != KW_EFIELD)
			fail_msg("%s %s: is accepted", bad->type, bad->change);
		if (strcmp(fault.field, bad->field) != 0 || strstr(fault.rule, bad->rule) == NULL)
			fail_msg("%s %s: %s %s", bad->type, bad->change, fault.field, fault.rule);
	}
}

/* What is near to a fault and is none. */
static void test_across_refuses_no_more(void **state)
{
	static const struct bad FINE[] = {
		{"PartialDate", "{'day': 0}", "", ""},
		{"CapacityReply", "{'capacity': 'CAPACITY_WAITLIST', 'untilUnixMs': null, 'waitDays': 3}", "", ""},
		{"TransferRequest", "{'caseRef': 'K-1', 'child': null, 'consent': null}", "", ""},
		{"TransferOffer", "{'consent': {'services': 'CONSENT_ANSWER_REFUSED', 'override': {'reason': 'Law.', 'approver': 'B'}}}",
			"", ""},
		{"ConsentUpdate", "{'consent': null}", "", ""},
		{"ConsentUpdate", "{'withdrawn': null, 'action': null}", "", ""},
		{"EraseAck", "{'outcome': 'ERASURE_OUTCOME_FAILED', 'failure': 'full', 'legalGround': null, 'retainedUntilUnixMs': null}",
			"", ""},
		{"TracingRequest", "{'children': [{'name': " NAME ", 'sex': 'SEX_MALE', 'birthDate': " DAY ","
			" 'relation': 'RELATION_AUNT', 'photoDigest': '" DIGEST "'}], 'attachments': [{'digest': '" DIGEST "', 'size': 1,"
			" 'mediaType': 'image/jpeg', 'kind': 'ATTACHMENT_KIND_PHOTO', 'key': '" DIGEST "'}]}", "", ""},
		{"MatchCandidate", "{'state': 'MATCH_STATE_SUPERSEDED', 'supersededBy': '" ID2 "', 'evidence': null}", "", ""},
		{"Verification", "{'bestInterests': 'BEST_INTERESTS_PENDING', 'bestInterestsNote': null}", "", ""},
		{"Reunification", "{'firstFollowUp': {'month': 0, 'day': 0}}", "", ""},
		{"Reunification", "{'type': 'REUNIFICATION_TYPE_REMOTE_CONTACT', 'place': null}", "", ""},
		{"FollowUp", "{'nextDate': null, 'recommendClosure': true}", "", ""},
		{"SeparationCase", "{'ageBand': 'AGE_BAND_0_TO_5', 'ageYears': 0}", "", ""},
		{"SeparationCase", "{'ageYears': null}", "", ""},
		{"SeparationReport", "{'cases': null, 'zeroReport': true}", "", ""},
		{"RapidAssessment", "{'communities': 14, 'siteSpecific': true}", "", ""},
		{"DirectoryService", "{'type': 'SERVICE_TYPE_CASH', 'locations': [{'pcode': 'SS010101', 'adminLevel': 3, 'name': 'B'}]}",
			"", ""},
		{"DirectoryService", "{'maximumAge': 0}", "", ""},
		{"IndicatorCell", "{'numerator': 0}", "", ""},
		{"IndicatorCell", "{'numerator': 10}", "", ""},
		{"IndicatorCell", "{'numerator': 0, 'denominator': 0, 'suppressed': true}", "", ""},
		{"IndicatorCell", "{'indicator': 'INDICATOR_UNMET_DEMAND', 'service': 'SERVICE_TYPE_CASH', 'admin1Pcode': 'SS01',"
			" 'denominator': 0}", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(FINE); i++) {
		struct kw_fault fault;
		if (validated(good_of(FINE[i].type), FINE[i].change, &fault) != KW_OK)
			fail_msg("%s %s: %s %s", FINE[i].type, FINE[i].change, fault.field, fault.rule);
	}
}

/* The fault of a message that asks for something on this consent, sent at a time; "" when it may be sent. */
static void sent_at(const char *type, const char *consent, int64_t at_ms, const char *field)
{
	ProtobufCMessage *message = NULL;
	struct kw_fault fault = {0};
	struct json_fault broken;
	char change[300];
	(void)snprintf(change, sizeof(change), "{'consent': %s}", consent);
	json_t *value = quoted(good_of(type)->json);
	json_t *over = quoted(change);
	assert_int_equal(json_object_update_recursive(value, over), 0);
	assert_int_equal(json_map_read(good_of(type)->type, value, &message, &broken), KW_OK);
	enum kw_err err = kw_message_validate_at(message, at_ms, &fault);
	if ((err == KW_OK) != (field[0] == '\0') || strcmp(fault.field, field) != 0)
		fail_msg("%s %s at %lld: '%s' %s", type, consent, (long long)at_ms, fault.field, fault.rule);
	protobuf_c_message_free_unpacked(message, NULL);
	json_decref(over);
	json_decref(value);
}

#define OVERRIDE "'override': {'reason': 'Danger.', 'approver': 'B'}"

static void test_across_a_consent_ends(void **state)
{
	static const char *const KINDS[] = {"ReferralRequest", "TransferOffer", "TransferRequest", "TracingRequest",
		"VerificationExchange"};
	(void)state;
	for (size_t i = 0; i < COUNT(KINDS); i++) {
		sent_at(KINDS[i], "{'validUntilUnixMs': 1760000000000}", 1759999999999, "");
		sent_at(KINDS[i], "{'validUntilUnixMs': 1760000000000}", 1760000000000, "consent.validUntilUnixMs");
		sent_at(KINDS[i], "{'validUntilUnixMs': 1760000000000}", 1760000001000, "consent.validUntilUnixMs");
		sent_at(KINDS[i], "{'validUntilUnixMs': 1760000000000, " OVERRIDE "}", 1760000001000, "");
		sent_at(KINDS[i], "{'validUntilUnixMs': 0}", INT64_C(253402300799999), "");
		sent_at(KINDS[i], NO_ASSENT, 1760000000000, "consent.childAssent");
		sent_at(KINDS[i], "{'childAssent': 'CONSENT_ANSWER_REFUSED', " OVERRIDE "}", 1760000000000, "");
		sent_at(KINDS[i], "{'childAssent': 'CONSENT_ANSWER_NOT_ASKED'}", 1760000000000, "");
	}
	/* What the consent is now may be told whatever it is. */
	sent_at("ConsentUpdate", "{'validUntilUnixMs': 1, 'childAssent': 'CONSENT_ANSWER_REFUSED'}", 1760000000000, "");
}

static void each_is_tried(const ProtobufCMessageDescriptor *type)
{
	bool tried = false;
	for (size_t i = 0; i < COUNT(BADS); i++)
		tried = tried || strcmp(BADS[i].type, type->short_name) == 0;
	if (kw_validate_rules(type)->across != NULL && !tried)
		fail_msg("no fault of a %s is tried", type->short_name);
	for (unsigned i = 0; i < type->n_fields; i++)
		if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			each_is_tried(type->fields[i].descriptor);
}

static void test_across_every_check_is_tried(void **state)
{
	(void)state;
	each_is_tried(&kinward__v1__content__descriptor);
}

/* Each message that a Content can hold, as good as above, survives the way to the wire and back. */
static void test_across_good_ones_travel(void **state)
{
	(void)state;
	const ProtobufCMessageDescriptor *content = &kinward__v1__content__descriptor;
	for (unsigned i = 0; i < content->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &content->fields[i];
		for (size_t j = 0; j < COUNT(GOODS); j++) {
			if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->descriptor != GOODS[j].type)
				continue;
			ProtobufCMessage *message = NULL;
			Kinward__V1__Content *again = NULL;
			struct json_fault broken;
			struct kw_fault fault;
			struct kw_arena arena;
			struct kw_buf buf;
			json_t *value = json_pack("{s:s, s:s, s:o}", "messageId", ID, "createdUnixMs", MADE, field->name,
				quoted(GOODS[j].json));
			assert_int_equal(json_map_read(content, value, &message, &broken), KW_OK);
			kw_buf_init(&buf, KW_CONTENT_SIZE_MAX);
			kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
			assert_int_equal(kw_content_pack((Kinward__V1__Content *)message, &buf, &fault), KW_OK);
			assert_int_equal(kw_content_unpack(kw_buf_view(&buf), &arena, &again, &fault), KW_OK);
			assert_int_equal(again->body_case, field->id);
			kw_buf_fini(&buf);
			kw_arena_fini(&arena);
			protobuf_c_message_free_unpacked(message, NULL);
			json_decref(value);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_across_good_ones_pass),
		cmocka_unit_test(test_across_each_fault_is_named),
		cmocka_unit_test(test_across_refuses_no_more),
		cmocka_unit_test(test_across_a_consent_ends),
		cmocka_unit_test(test_across_every_check_is_tried),
		cmocka_unit_test(test_across_good_ones_travel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
