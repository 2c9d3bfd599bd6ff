/* proto/wire/message.c, arena.c, validate.c, and the tables that proto/rules.py makes */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kinward/v1/content.pb-c.h"
#include "kinward/v1/types.pb-c.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "proto/wire/validate.h"

#define NOW INT64_C(1760000000123)
#define assert_ok(e) assert_int_equal(e, KW_OK)
/* protobuf-c has no const strings; nothing here writes to one. */
#define TEXT(literal) ((char *)(literal))
#define GIVEN KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_GIVEN
#define REFUSED KINWARD__V1__CONSENT_ANSWER__CONSENT_ANSWER_REFUSED
#define STATE(name) KINWARD__V1__REFERRAL_STATE__REFERRAL_STATE_##name

static uint8_t ID[KW_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static uint8_t DIGEST[KW_DIGEST_SIZE] = {42};

static char *filled(char *text, size_t size)
{
	memset(text, 'x', size);
	text[size] = '\0';
	return text;
}

/* A good message of each kind, in one struct so that a test can spoil one member. Every member is its own: nothing is
 * shared between two fixtures. */
struct fixture {
	Kinward__V1__Content content;
	Kinward__V1__ReferralRequest request;
	Kinward__V1__ReferredChild child, *children[17];
	Kinward__V1__Age age;
	Kinward__V1__AgeRange range;
	Kinward__V1__PartialDate date;
	Kinward__V1__PersonName name;
	Kinward__V1__NamePart part, *parts[9];
	Kinward__V1__Staff staff;
	Kinward__V1__Contact contact;
	Kinward__V1__Consent consent;
	Kinward__V1__ConsentOverride override;
	Kinward__V1__Place place;
	Kinward__V1__ReferralEvent event;
	Kinward__V1__Appointment appointment;
	Kinward__V1__Receipt receipt;
	Kinward__V1__ReceiptEntry entry, *entries[129];
	Kinward__V1__UascRegistration registration;
	Kinward__V1__Separation separation;
	char *languages[9];
	Kinward__V1__Concern concerns[20];
	struct kw_fault fault;
};

static void init_types(struct fixture *f)
{
	kinward__v1__partial_date__init(&f->date);
	f->date.year = 2024;
	f->date.month = 2;
	f->date.day = 29;
	kinward__v1__age_range__init(&f->range);
	f->range.years_min = 3;
	f->range.years_max = 5;
	kinward__v1__age__init(&f->age);
	f->age.value_case = KINWARD__V1__AGE__VALUE_YEARS;
	f->age.years = 0;
	f->age.as_of = &f->date;
	kinward__v1__name_part__init(&f->part);
	f->part.text = TEXT("أحمد");
	f->part.role = KINWARD__V1__NAME_ROLE__NAME_ROLE_GIVEN;
	f->part.script = TEXT("Arab");
	kinward__v1__person_name__init(&f->name);
	for (unsigned i = 0; i < 9; i++)
		f->parts[i] = &f->part;
	f->name.parts = f->parts;
	f->name.n_parts = 1;
	kinward__v1__contact__init(&f->contact);
	f->contact.phone = TEXT("+211 912 (34)-5");
	kinward__v1__staff__init(&f->staff);
	f->staff.name = TEXT("A caseworker");
	f->staff.contact = &f->contact;
	kinward__v1__consent_override__init(&f->override);
	f->override.reason = TEXT("At risk.");
	f->override.approver = TEXT("The supervisor");
	kinward__v1__consent__init(&f->consent);
	f->consent.services = GIVEN;
	f->consent.share_other_orgs = GIVEN;
	f->consent.obtained_from = KINWARD__V1__CONSENT_SOURCE__CONSENT_SOURCE_CAREGIVER;
	kinward__v1__place__init(&f->place);
	f->place.country = TEXT("SS");
	f->place.pcode = TEXT("SS0101");
	f->place.admin_level = 2;
	f->place.text = TEXT("near\nthe well");
}

static void init_request(struct fixture *f)
{
	kinward__v1__referred_child__init(&f->child);
	f->child.name = &f->name;
	f->child.age = &f->age;
	f->child.sex = KINWARD__V1__SEX__SEX_FEMALE;
	for (unsigned i = 0; i < 9; i++)
		f->languages[i] = TEXT("apd");
	for (unsigned i = 0; i < 20; i++)
		f->concerns[i] = KINWARD__V1__CONCERN__CONCERN_DISTRESSED;
	f->child.languages = f->languages;
	f->child.n_languages = 1;
	f->child.concerns = f->concerns;
	f->child.n_concerns = 2;
	kinward__v1__referral_request__init(&f->request);
	f->request.case_ref = TEXT("K-1");
	f->request.service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_HEALTH_MEDICAL;
	f->request.risk = KINWARD__V1__RISK__RISK_HIGH;
	f->request.reason = TEXT("Fever.\nThree days.");
	for (unsigned i = 0; i < 17; i++)
		f->children[i] = &f->child;
	f->request.children = f->children;
	f->request.n_children = 1;
	f->request.referrer = &f->staff;
	f->request.consent = &f->consent;
	f->request.location = &f->place;
}

static struct fixture *fixture(void)
{
	static struct fixture f;
	memset(&f, 0, sizeof(f));
	init_types(&f);
	init_request(&f);
	kinward__v1__appointment__init(&f.appointment);
	f.appointment.at_unix_ms = NOW;
	kinward__v1__referral_event__init(&f.event);
	f.event.state = STATE(ACCEPTED);
	f.event.at_unix_ms = NOW;
	kinward__v1__receipt_entry__init(&f.entry);
	f.entry.digest = (ProtobufCBinaryData){.data = DIGEST, .len = sizeof(DIGEST)};
	f.entry.envelope_id = (ProtobufCBinaryData){.data = ID, .len = sizeof(ID)};
	f.entry.level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_STORED;
	f.entry.at_unix_ms = NOW;
	kinward__v1__receipt__init(&f.receipt);
	for (unsigned i = 0; i < 129; i++)
		f.entries[i] = &f.entry;
	f.receipt.entries = f.entries;
	f.receipt.n_entries = 1;
	kinward__v1__separation__init(&f.separation);
	f.separation.status = KINWARD__V1__SEPARATION_STATUS__SEPARATION_STATUS_UNACCOMPANIED;
	kinward__v1__uasc_registration__init(&f.registration);
	f.registration.name = &f.name;
	f.registration.sex = KINWARD__V1__SEX__SEX_MALE;
	f.registration.age = &f.age;
	f.registration.separation = &f.separation;
	f.registration.care_arrangement = KINWARD__V1__CARE_ARRANGEMENT__CARE_ARRANGEMENT_NONE;
	f.registration.consent = &f.consent;
	kinward__v1__content__init(&f.content);
	f.content.message_id = (ProtobufCBinaryData){.data = ID, .len = sizeof(ID)};
	f.content.created_unix_ms = NOW;
	f.content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
	f.content.referral_request = &f.request;
	return &f;
}

static void set_event(struct fixture *f, Kinward__V1__ReferralState state)
{
	f->event.state = state;
	f->content.body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_EVENT;
	f->content.referral_event = &f->event;
}

static void set_receipt(struct fixture *f)
{
	f->content.body_case = KINWARD__V1__CONTENT__BODY_RECEIPT;
	f->content.receipt = &f->receipt;
}

static void set_registration(struct fixture *f)
{
	f->content.body_case = KINWARD__V1__CONTENT__BODY_UASC_REGISTRATION;
	f->content.uasc_registration = &f->registration;
}

static void accepted(struct fixture *f)
{
	enum kw_err err = kw_content_validate(&f->content, &f->fault);
	if (err != KW_OK)
		print_message("%s %s\n", f->fault.field, f->fault.rule);
	assert_ok(err);
}

static void refused(struct fixture *f, const char *field)
{
	memset(&f->fault, 0, sizeof(f->fault));
	assert_int_equal(kw_content_validate(&f->content, &f->fault), KW_EFIELD);
	assert_int_equal(f->fault.code, KW_EFIELD);
	assert_string_equal(f->fault.field, field);
	assert_true(strlen(f->fault.rule) > 10);
}

static void pack(struct fixture *f, struct kw_buf *out)
{
	kw_buf_init(out, KW_CONTENT_SIZE_MAX);
	assert_ok(kw_content_pack(&f->content, out, &f->fault));
}

static enum kw_err unpack_copy(struct kw_view bytes, struct kw_fault *fault)
{
	struct kw_arena arena;
	Kinward__V1__Content *content = NULL;
	uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	enum kw_err err = kw_content_unpack(KW_VIEW(copy, bytes.size), &arena, &content, fault);
	free(copy);
	if (err == KW_OK) {
		struct kw_buf buf;
		kw_buf_init(&buf, 4 * KW_CONTENT_SIZE_MAX);
		assert_ok(kw_content_validate(content, fault));
		/* A repeated code that came unpacked grows by a byte, so a full message may pass the limit. */
		enum kw_err again = kw_content_pack(content, &buf, fault);
		assert_true(again == KW_OK || again == KW_ETOOBIG);
		kw_buf_fini(&buf);
	} else {
		assert_null(content);
	}
	kw_arena_fini(&arena);
	return err;
}

/* Every message that a Content can hold has a rule for every field, in the order of the descriptor. */
static void rules_complete(const ProtobufCMessageDescriptor *descriptor)
{
	const struct kw_rule_set *set = kw_validate_rules(descriptor);
	assert_non_null(set);
	assert_int_equal(set->count, descriptor->n_fields);
	for (unsigned i = 0; i < set->count; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const struct kw_rule *rule = &set->rules[i];
		assert_string_equal(rule->field, field->name);
		assert_int_equal(rule->kind == KW_RULE_MESSAGE, field->type == PROTOBUF_C_TYPE_MESSAGE);
		assert_int_equal(rule->kind == KW_RULE_ENUM, field->type == PROTOBUF_C_TYPE_ENUM);
		assert_int_equal(rule->kind == KW_RULE_UINT, field->type == PROTOBUF_C_TYPE_UINT32);
		assert_int_equal(rule->kind == KW_RULE_TIME, field->type == PROTOBUF_C_TYPE_INT64);
		assert_int_equal(rule->kind == KW_RULE_BOOL, field->type == PROTOBUF_C_TYPE_BOOL);
		assert_int_equal(rule->kind == KW_RULE_BYTES, field->type == PROTOBUF_C_TYPE_BYTES);
		assert_int_equal(rule->kind >= KW_RULE_LINE, field->type == PROTOBUF_C_TYPE_STRING);
		assert_int_equal(rule->count_max > 0, field->label == PROTOBUF_C_LABEL_REPEATED);
		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			rules_complete(field->descriptor);
	}
}

static void test_rules_cover_the_schema(void **state)
{
	(void)state;
	rules_complete(&kinward__v1__content__descriptor);
}

static void test_content_round_trips(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct fixture *f = fixture();
		if (kind == 1)
			set_event(f, STATE(ACKNOWLEDGED));
		else if (kind == 2)
			set_receipt(f);
		else if (kind == 3)
			set_registration(f);
		struct kw_buf first, second;
		struct kw_arena arena;
		Kinward__V1__Content *content;
		pack(f, &first);
		kw_buf_init(&second, KW_CONTENT_SIZE_MAX);
		kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
		assert_ok(kw_content_unpack(kw_buf_view(&first), &arena, &content, &f->fault));
		assert_ok(kw_content_pack(content, &second, &f->fault));
		assert_true(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second)));
		if (kind == 0)
			assert_string_equal(content->referral_request->children[0]->name->parts[0]->text, "أحمد");
		kw_arena_fini(&arena);
		kw_buf_fini(&first);
		kw_buf_fini(&second);
	}
}

static void test_fault_names_the_path(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	Kinward__V1__ReferredChild third = f->child;
	Kinward__V1__Age age = f->age;
	age.years = 120;
	third.age = &age;
	f->children[2] = &third;
	f->request.n_children = 3;
	accepted(f);
	age.years = 121;
	refused(f, "referral_request.children[2].age.years");
	assert_non_null(strstr(f->fault.rule, "0 to 120"));
	assert_null(strstr(f->fault.rule, "121"));
}

static void test_required_fields_are_required(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	f->request.risk = KINWARD__V1__RISK__RISK_UNSPECIFIED;
	refused(f, "referral_request.risk");
	f = fixture();
	f->request.case_ref = TEXT("");
	refused(f, "referral_request.case_ref");
	f = fixture();
	f->request.referrer = NULL;
	refused(f, "referral_request.referrer");
	f = fixture();
	f->request.n_children = 0;
	refused(f, "referral_request.children");
	f = fixture();
	f->content.created_unix_ms = 0;
	refused(f, "created_unix_ms");
	f = fixture();
	f->age.value_case = KINWARD__V1__AGE__VALUE__NOT_SET;
	refused(f, "referral_request.children[0].age");
	assert_non_null(strstr(f->fault.rule, "years range"));
	f = fixture();
	f->content.body_case = KINWARD__V1__CONTENT__BODY__NOT_SET;
	refused(f, "");
	assert_non_null(strstr(f->fault.rule, "referral_event"));
}

static void test_sizes_at_and_over_the_limit(void **state)
{
	(void)state;
	static char text[5000];
	struct fixture *f = fixture();
	f->request.case_ref = filled(text, 64);
	accepted(f);
	f->request.case_ref = filled(text, 65);
	refused(f, "referral_request.case_ref");
	f = fixture();
	f->request.reason = filled(text, 4000);
	accepted(f);
	f->request.reason = filled(text, 4001);
	refused(f, "referral_request.reason");
	f = fixture();
	f->content.message_id.len = KW_ID_SIZE - 1;
	refused(f, "message_id");
	f = fixture();
	f->request.n_children = 16;
	accepted(f);
	f->request.n_children = 17;
	refused(f, "referral_request.children");
	f = fixture();
	f->name.n_parts = 8;
	accepted(f);
	f->name.n_parts = 9;
	refused(f, "referral_request.children[0].name.parts");
	f = fixture();
	f->child.n_languages = 8;
	f->child.n_concerns = 19;
	accepted(f);
	f->child.n_languages = 9;
	refused(f, "referral_request.children[0].languages");
	f->child.n_languages = 8;
	f->child.n_concerns = 20;
	refused(f, "referral_request.children[0].concerns");
	f = fixture();
	set_receipt(f);
	f->receipt.n_entries = 128;
	accepted(f);
	f->receipt.n_entries = 129;
	refused(f, "receipt.entries");
	f = fixture();
	f->place.admin_level = 6;
	accepted(f);
	f->place.admin_level = 7;
	refused(f, "referral_request.location.admin_level");
	f = fixture();
	f->content.created_unix_ms = INT64_C(253402300799999);
	accepted(f);
	f->content.created_unix_ms++;
	refused(f, "created_unix_ms");
	f->content.created_unix_ms = -1;
	refused(f, "created_unix_ms");
}

/* Each text limit in the tables, at max and max + 1, without naming one. */
static void test_every_text_limit_in_the_tables(void **state)
{
	(void)state;
	static char text[5000];
	const ProtobufCMessageDescriptor *types[] = {&kinward__v1__contact__descriptor, &kinward__v1__staff__descriptor,
		&kinward__v1__name_part__descriptor, &kinward__v1__other_id__descriptor, &kinward__v1__place__descriptor,
		&kinward__v1__consent_override__descriptor};
	for (unsigned t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		const struct kw_rule_set *set = kw_validate_rules(types[t]);
		for (unsigned i = 0; i < set->count; i++) {
			_Alignas(max_align_t) uint8_t memory[512];
			struct kw_fault fault;
			enum kw_rule_kind kind = set->rules[i].kind;
			if (kind != KW_RULE_LINE && kind != KW_RULE_LINES)
				continue;
			assert_true(types[t]->sizeof_message <= sizeof(memory));
			types[t]->message_init((ProtobufCMessage *)memory);
			for (unsigned j = 0; j < set->count; j++) {
				void *at = memory + types[t]->fields[j].offset;
				if (set->rules[j].required && types[t]->fields[j].type == PROTOBUF_C_TYPE_STRING)
					*(char **)at = TEXT("y");
				if (set->rules[j].required && types[t]->fields[j].type == PROTOBUF_C_TYPE_ENUM)
					*(int *)at = 1;
			}
			*(char **)(memory + types[t]->fields[i].offset) = filled(text, set->rules[i].max);
			assert_ok(kw_message_validate((ProtobufCMessage *)memory, "root", &fault));
			filled(text, set->rules[i].max + 1);
			assert_int_equal(kw_message_validate((ProtobufCMessage *)memory, "root", &fault), KW_EFIELD);
			assert_memory_equal(fault.field, "root.", 5);
			assert_string_equal(fault.field + 5, set->rules[i].field);
		}
	}
}

static void test_unknown_codes_are_refused_by_name(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	f->request.service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_OTHER;
	accepted(f);
	f->request.service = (Kinward__V1__ServiceType)(KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_OTHER + 1);
	refused(f, "referral_request.service");
	f = fixture();
	f->concerns[1] = (Kinward__V1__Concern)99;
	refused(f, "referral_request.children[0].concerns[1]");
	f->concerns[1] = (Kinward__V1__Concern)0;
	refused(f, "referral_request.children[0].concerns[1]");
	f = fixture();
	f->consent.tracing = (Kinward__V1__ConsentAnswer)-1;
	refused(f, "referral_request.consent.tracing");
}

static void test_text_is_utf8_without_control_characters(void **state)
{
	(void)state;
	static const char *const good[] = {"é", "አዐ", "😀", "\xf4\x8f\xbf\xbf", "\xc2\xa0", "\xed\x9f\xbf"};
	static const char *const bad[] = {"\x01", "a\nb", "\t", "\x7f", "\xc2\x85", "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe1\x80", "\xff"};
	struct fixture *f = fixture();
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		f->staff.name = (char *)good[i];
		accepted(f);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->staff.name = (char *)bad[i];
		refused(f, "referral_request.referrer.name");
	}
	f = fixture();
	f->request.reason = TEXT("a\nb");
	accepted(f);
	f->request.reason = TEXT("a\rb");
	refused(f, "referral_request.reason");
}

static void test_codes_of_standards_are_well_formed(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	f->languages[0] = TEXT("ar");
	refused(f, "referral_request.children[0].languages[0]");
	f->languages[0] = TEXT("");
	refused(f, "referral_request.children[0].languages[0]");
	f = fixture();
	f->place.country = TEXT("ss");
	refused(f, "referral_request.location.country");
	f = fixture();
	f->place.pcode = TEXT("S");
	refused(f, "referral_request.location.pcode");
	f = fixture();
	f->part.script = TEXT("arab");
	refused(f, "referral_request.children[0].name.parts[0].script");
	f->part.script = TEXT("A");
	refused(f, "referral_request.children[0].name.parts[0].script");
	f = fixture();
	f->contact.phone = TEXT("12345678901234567890123456789012");
	accepted(f);
	f->contact.phone = TEXT("123456789012345678901234567890123");
	refused(f, "referral_request.referrer.contact.phone");
	f->contact.phone = TEXT("call me");
	refused(f, "referral_request.referrer.contact.phone");
}

struct found {
	size_t count;
	char fields[512];
};

static void on_fault(void *context, const struct kw_fault *fault)
{
	struct found *found = context;
	size_t used = strlen(found->fields);
	found->count++;
	(void)snprintf(found->fields + used, sizeof(found->fields) - used, "%s;", fault->field); /* cut is seen */
}

static void test_all_faults_of_a_message_are_found(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	struct found found = {0};
	assert_int_equal(kw_message_faults(&f->request.base, on_fault, &found), 0);
	f->request.case_ref = TEXT("");
	f->date.month = 13;
	f->date.day = 32;
	f->child.sex = 0;
	f->request.risk = 99;
	assert_int_equal(kw_message_faults(&f->request.base, on_fault, &found), 5);
	assert_int_equal(found.count, 5);
	assert_string_equal(found.fields, "case_ref;risk;children[0].age.as_of.month;children[0].age.as_of.day;children[0].sex;");
	/* A oneof without a member is one fault; across the fields nothing is said of a message that has others. */
	f = fixture();
	found = (struct found){0};
	f->age.value_case = KINWARD__V1__AGE__VALUE__NOT_SET;
	f->date = (Kinward__V1__PartialDate){.base = f->date.base, .year = 2023, .day = 1};
	assert_int_equal(kw_message_faults(&f->request.base, on_fault, &found), 2);
	assert_string_equal(found.fields, "children[0].age;children[0].age.as_of.month;");
	f->date.year = 1;
	found = (struct found){0};
	assert_int_equal(kw_message_faults(&f->request.base, on_fault, &found), 2);
	assert_string_equal(found.fields, "children[0].age;children[0].age.as_of.year;");
}

/* Every week that the C library's calendar knows, and no other, of every year. */
static void test_weeks_are_those_of_the_calendar(void **state)
{
	(void)state;
	static bool real[300][100];
	for (int64_t day = -25567; day <= 47846; day++) { /* 1900-01-01 to 2100-12-31 */
		time_t seconds = (time_t)(day * 86400);
		struct tm parts;
		char text[16];
		assert_non_null(gmtime_r(&seconds, &parts));
		assert_int_equal(strftime(text, sizeof(text), "%G %V", &parts), 7);
		real[strtol(text, NULL, 10) - 1850][strtol(text + 5, NULL, 10)] = true;
	}
	for (unsigned year = 1890; year <= 2110; year++) {
		for (unsigned week = 0; week < 100; week++) {
			char text[16];
			Kinward__V1__IndicatorReturn given = KINWARD__V1__INDICATOR_RETURN__INIT;
			struct kw_fault fault;
			(void)snprintf(text, sizeof(text), "%u-W%02u", year, week);
			given.week = text;
			bool accepted = kw_message_validate(&given.base, "", &fault) == KW_OK;
			if (accepted != real[year - 1850][week])
				fail_msg("%s is %s", text, accepted ? "accepted" : "refused");
		}
	}
}

static void test_dates_and_ages_make_sense(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	accepted(f);
	f->date.year = 2023;
	refused(f, "referral_request.children[0].age.as_of.day");
	f->date = (Kinward__V1__PartialDate){.base = f->date.base, .year = 2023, .day = 1};
	refused(f, "referral_request.children[0].age.as_of.month");
	f->date = (Kinward__V1__PartialDate){.base = f->date.base, .year = 2023, .month = 13};
	refused(f, "referral_request.children[0].age.as_of.month");
	f->date = (Kinward__V1__PartialDate){.base = f->date.base, .year = 2100};
	accepted(f);
	f->date.year = 2101;
	refused(f, "referral_request.children[0].age.as_of.year");
	f->date.year = 1899;
	refused(f, "referral_request.children[0].age.as_of.year");
	f = fixture();
	f->age.value_case = KINWARD__V1__AGE__VALUE_RANGE;
	f->age.range = &f->range;
	accepted(f);
	f->range.years_min = 6;
	refused(f, "referral_request.children[0].age.range.years_max");
}

static void test_a_referral_needs_consent_or_an_override(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	f->consent.share_other_orgs = REFUSED;
	refused(f, "referral_request.consent.override");
	f->consent.override = &f->override;
	accepted(f);
	f->override.approver = TEXT("");
	refused(f, "referral_request.consent.override.approver");
	f = fixture();
	f->child.name = NULL;
	refused(f, "referral_request.children[0].name");
	f->child.code = TEXT("C-7");
	accepted(f);
}

static void test_an_event_has_what_its_state_needs(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	set_event(f, STATE(ACKNOWLEDGED));
	accepted(f);
	set_event(f, STATE(EXPIRED));
	refused(f, "referral_event.state");
	set_event(f, STATE(UNSPECIFIED));
	refused(f, "referral_event.state");
	set_event(f, STATE(REJECTED));
	refused(f, "referral_event.reason");
	f->event.reason = KINWARD__V1__REFERRAL_REASON__REFERRAL_REASON_OTHER;
	refused(f, "referral_event.note");
	f->event.note = TEXT("Moved away.");
	accepted(f);
	set_event(f, STATE(SCHEDULED));
	refused(f, "referral_event.appointment");
	f->event.appointment = &f->appointment;
	accepted(f);
	set_event(f, STATE(COMPLETED));
	refused(f, "referral_event.outcome");
	f->event.outcome = KINWARD__V1__REFERRAL_OUTCOME__REFERRAL_OUTCOME_SERVICE_PROVIDED;
	accepted(f);
	set_event(f, STATE(CLOSED));
	refused(f, "referral_event.feedback_to_client");
	f->event.feedback_to_client = TEXT("Told the mother.");
	accepted(f);
	set_event(f, STATE(ONWARD_PROPOSED));
	refused(f, "referral_event.onward_agency");
	f->event.onward_agency = TEXT("Not A Name");
	refused(f, "referral_event.onward_agency");
	f->event.onward_agency = TEXT("agency-c");
	accepted(f);
	set_event(f, STATE(ACCEPTED));
	refused(f, "referral_event.onward_agency");
	f = fixture();
	set_event(f, STATE(NEED_INFO));
	refused(f, "referral_event.note");
}

static void test_receipts_and_registrations(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	set_receipt(f);
	accepted(f);
	f->entry.failure = TEXT("cannot_open");
	refused(f, "receipt.entries[0].failure");
	f->entry.level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_FAILED;
	accepted(f);
	f->entry.failure = TEXT("Cannot Open");
	refused(f, "receipt.entries[0].failure");
	f->entry.failure = TEXT("");
	refused(f, "receipt.entries[0].failure");
	f = fixture();
	set_receipt(f);
	f->entry.digest.len = 31;
	refused(f, "receipt.entries[0].digest");
	f = fixture();
	set_registration(f);
	accepted(f);
	f->registration.age = NULL;
	refused(f, "uasc_registration.birth_date");
	f->registration.birth_date = &f->date;
	accepted(f);
	f->registration.photo_digest = (ProtobufCBinaryData){.data = DIGEST, .len = 31};
	refused(f, "uasc_registration.photo_digest");
	f->registration.photo_digest.len = 32;
	accepted(f);
}

/* A newer sender's field is kept and comes out again. */
static void test_unknown_fields_are_kept(void **state)
{
	(void)state;
	struct fixture *f = fixture();
	struct kw_buf buf, again;
	struct kw_arena arena;
	Kinward__V1__Content *content;
	pack(f, &buf);
	assert_ok(kw_buf_add(&buf, KW_VIEW("\xa2\x06\x03new", 6)));
	kw_buf_init(&again, KW_CONTENT_SIZE_MAX);
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	assert_ok(kw_content_unpack(kw_buf_view(&buf), &arena, &content, &f->fault));
	assert_ok(kw_content_pack(content, &again, &f->fault));
	assert_true(kw_view_equal(kw_buf_view(&buf), kw_buf_view(&again)));
	kw_arena_fini(&arena);
	kw_buf_fini(&buf);
	kw_buf_fini(&again);
}

static void test_an_unknown_kind_of_content_asks_for_an_upgrade(void **state)
{
	(void)state;
	struct kw_fault fault;
	uint8_t bytes[64] = {0x0a, 16};
	const uint8_t rest[] = {0x10, 1, 0x82, 0x7d, 0}; /* created; body 2000, empty */
	memcpy(bytes + 18, rest, sizeof(rest));
	assert_int_equal(unpack_copy(KW_VIEW(bytes, 18 + sizeof(rest)), &fault), KW_EVERSION);
	assert_int_equal(fault.code, KW_EVERSION);
}

static void test_content_size_at_and_over_the_limit(void **state)
{
	(void)state;
	static uint8_t bytes[KW_CONTENT_SIZE_MAX + 1];
	struct fixture *f = fixture();
	struct kw_buf buf;
	pack(f, &buf);
	/* An unknown field fills the rest. */
	size_t rest = KW_CONTENT_SIZE_MAX - buf.size - 5;
	const uint8_t head[] = {0xa2, 0x06, (uint8_t)((rest & 0x7f) | 0x80), (uint8_t)((rest >> 7 & 0x7f) | 0x80),
		(uint8_t)(rest >> 14)};
	memcpy(bytes, buf.data, buf.size);
	memcpy(bytes + buf.size, head, sizeof(head));
	assert_ok(unpack_copy(KW_VIEW(bytes, KW_CONTENT_SIZE_MAX), &f->fault));
	assert_int_equal(unpack_copy(KW_VIEW(bytes, KW_CONTENT_SIZE_MAX + 1), &f->fault), KW_ETOOBIG);
	assert_non_null(strstr(f->fault.rule, "at most 40960"));
	kw_buf_fini(&buf);
}

static void test_pack_refuses_what_the_other_side_would(void **state)
{
	(void)state;
	static char text[4001];
	struct kw_buf buf;
	struct fixture *f = fixture();
	kw_buf_init(&buf, 100000);
	f->request.n_children = 0;
	assert_int_equal(kw_content_pack(&f->content, &buf, &f->fault), KW_EFIELD);
	assert_string_equal(f->fault.field, "referral_request.children");
	assert_int_equal(buf.size, 0);
	/* Each field is right; together they are too much. */
	f = fixture();
	set_receipt(f);
	f->receipt.n_entries = 128;
	assert_ok(kw_content_pack(&f->content, &buf, &f->fault));
	kw_buf_clear(&buf);
	f = fixture();
	Kinward__V1__PriorService prior = KINWARD__V1__PRIOR_SERVICE__INIT;
	Kinward__V1__PriorService *given[16];
	char *others[8];
	static char other[201];
	prior.service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_FOOD;
	prior.note = filled(text, 1000);
	for (unsigned i = 0; i < 16; i++)
		given[i] = &prior;
	for (unsigned i = 0; i < 8; i++)
		others[i] = filled(other, 200);
	f->request.services_given = given;
	f->request.n_services_given = 16;
	f->name.other_names = others;
	f->name.n_other_names = 8;
	f->request.n_children = 16;
	assert_int_equal(kw_content_pack(&f->content, &buf, &f->fault), KW_ETOOBIG);
	assert_int_equal(buf.size, 0);
	kw_buf_fini(&buf);
	kw_buf_init(&buf, 10);
	f = fixture();
	assert_int_equal(kw_content_pack(&f->content, &buf, &f->fault), KW_ETOOBIG);
	kw_buf_fini(&buf);
}

static void test_every_truncation_and_mutation_is_survived(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct fixture *f = fixture();
		struct kw_fault fault;
		struct kw_buf buf;
		if (kind == 1)
			set_receipt(f);
		pack(f, &buf);
		for (size_t size = 0; size < buf.size; size++)
			assert_int_not_equal(unpack_copy(KW_VIEW(buf.data, size), &fault), KW_OK);
		for (size_t at = 0; at < buf.size; at++)
			for (unsigned flip = 1; flip < 256; flip += 2) {
				buf.data[at] ^= (uint8_t)flip;
				(void)unpack_copy(kw_buf_view(&buf), &fault); /* any answer, but an answer */
				buf.data[at] ^= (uint8_t)flip;
			}
		kw_buf_fini(&buf);
	}
}

static void test_arena_gives_up_to_its_limit(void **state)
{
	(void)state;
	struct kw_arena arena;
	kw_arena_init(&arena, 65536);
	assert_non_null(kw_arena_take(&arena, 65536));
	assert_null(kw_arena_take(&arena, 1));
	assert_true(arena.refused);
	kw_arena_fini(&arena);
	assert_null(kw_arena_take(&arena, 65537));
	kw_arena_fini(&arena);
	assert_non_null(kw_arena_take(&arena, 0));
	for (unsigned i = 1; i < 65536 / 16 - 8; i++)
		assert_int_equal((uintptr_t)kw_arena_take(&arena, 1) % _Alignof(max_align_t), 0);
	kw_arena_fini(&arena);
	kw_arena_fini(NULL);

	struct fixture *f = fixture();
	struct kw_buf buf;
	Kinward__V1__Content *content;
	pack(f, &buf);
	kw_arena_init(&arena, sizeof(*content));
	assert_int_equal(kw_content_unpack(kw_buf_view(&buf), &arena, &content, &f->fault), KW_ETOOBIG);
	kw_arena_fini(&arena);
	kw_buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_cover_the_schema),
		cmocka_unit_test(test_content_round_trips),
		cmocka_unit_test(test_fault_names_the_path),
		cmocka_unit_test(test_required_fields_are_required),
		cmocka_unit_test(test_sizes_at_and_over_the_limit),
		cmocka_unit_test(test_every_text_limit_in_the_tables),
		cmocka_unit_test(test_unknown_codes_are_refused_by_name),
		cmocka_unit_test(test_text_is_utf8_without_control_characters),
		cmocka_unit_test(test_codes_of_standards_are_well_formed),
		cmocka_unit_test(test_all_faults_of_a_message_are_found),
		cmocka_unit_test(test_weeks_are_those_of_the_calendar),
		cmocka_unit_test(test_dates_and_ages_make_sense),
		cmocka_unit_test(test_a_referral_needs_consent_or_an_override),
		cmocka_unit_test(test_an_event_has_what_its_state_needs),
		cmocka_unit_test(test_receipts_and_registrations),
		cmocka_unit_test(test_unknown_fields_are_kept),
		cmocka_unit_test(test_an_unknown_kind_of_content_asks_for_an_upgrade),
		cmocka_unit_test(test_content_size_at_and_over_the_limit),
		cmocka_unit_test(test_pack_refuses_what_the_other_side_would),
		cmocka_unit_test(test_every_truncation_and_mutation_is_survived),
		cmocka_unit_test(test_arena_gives_up_to_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
