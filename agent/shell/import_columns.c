#include <string.h>

#include "agent/shell/import_row.h"
#include "kinward/v1/referral.pb-c.h"
#include "kinward/v1/tracing.pb-c.h"
#include "kinward/v1/types.pb-c.h"
#include "proto/base/check.h"

/* The columns that an import knows: Primero's field names first (primero/primero, db/configuration/forms), then plain
 * names and those of the Febrl data as aliases. To add one, add a line. */

#define CODES(name) .codes = &kinward__v1__##name##__descriptor
#define TEXT(column, other, at) {.name = column, .aliases = other, .type = CELL_TEXT, .path = at}
#define APPEND(column, other, at) {.name = column, .aliases = other, .type = CELL_APPEND, .path = at}
#define TEXTS(column, other, at) {.name = column, .aliases = other, .type = CELL_TEXTS, .path = at}
#define PART(column, other, at, as) {.name = column, .aliases = other, .type = CELL_PART, .path = at, .role = as}
#define NAME(column, other, at) {.name = column, .aliases = other, .type = CELL_NAME, .path = at}
#define CODE(column, other, at, of) {.name = column, .aliases = other, .type = CELL_CODE, .path = at, CODES(of)}
#define LIST(column, other, at, of) {.name = column, .aliases = other, .type = CELL_CODES, .path = at, CODES(of)}
#define NUMBER(column, other, at) {.name = column, .aliases = other, .type = CELL_NUMBER, .path = at}
#define BOOL(column, other, at) {.name = column, .aliases = other, .type = CELL_BOOL, .path = at}
#define DATE(column, other, at) {.name = column, .aliases = other, .type = CELL_DATE, .path = at}

#define CONSENT(at) \
	CODE("consent_for_services", "consent_services", at "services", consent_answer), \
	CODE("disclosure_other_orgs", "consent_share_other_orgs", at "share_other_orgs", consent_answer), \
	CODE("consent_for_tracing", "consent_tracing", at "tracing", consent_answer), \
	CODE("consent_reporting", "", at "reporting", consent_answer), \
	CODE("disclosure_authorities", "consent_authorities", at "authorities", consent_answer), \
	CODE("consent_source", "consent_obtained_from", at "obtained_from", consent_source), \
	CODE("child_assent", "", at "child_assent", consent_answer), \
	TEXT("consent_override_reason", "", at "override.reason"), \
	TEXT("consent_override_approver", "", at "override.approver")

#define CAREGIVER(at) \
	NAME("name_caregiver", "caregiver_name|caregiver", at "name"), \
	CODE("relationship_caregiver", "caregiver_relation", at "relation", relation), \
	TEXT("telephone_caregiver", "caregiver_phone", at "contact.phone"), \
	BOOL("caregiver_informed", "", at "informed")

#define PLACE_AT(column, other, kind) APPEND(column, other, "locations." kind ".place.text")
#define PCODE_AT(column, other, kind) TEXT(column, other, "locations." kind ".place.pcode")

static const struct import_column REGISTRATION[] = {
	{.name = "case_id", .aliases = "record_id|unique_identifier|registration_no|rec_id|local_id|id", .type = CELL_ID},
	PART("name_first", "given_name|first_name", "name.parts", "NAME_ROLE_GIVEN"),
	PART("name_father", "", "name.parts", "NAME_ROLE_FATHER"),
	PART("name_middle", "middle_name", "name.parts", "NAME_ROLE_OTHER"),
	PART("name_grandfather", "", "name.parts", "NAME_ROLE_GRANDFATHER"),
	PART("name_last", "surname|last_name|family_name", "name.parts", "NAME_ROLE_FAMILY"),
	TEXT("name_nickname", "nickname", "name.nickname"),
	TEXTS("name_other", "other_names", "name.other_names"),
	CODE("sex", "gender", "sex", sex),
	DATE("date_of_birth", "birth_date", "birth_date"),
	BOOL("date_of_birth_estimated", "", "birth_date.estimated"),
	NUMBER("age", "", "age.years"),
	BOOL("estimated", "age_estimated", "age.estimated"),
	DATE("registration_date", "age_as_of|date_of_registration", "age.as_of"),
	TEXT("place_of_birth", "birthplace|location_of_birth", "birthplace.text"),
	TEXT("country_of_birth", "", "birthplace.country"),
	TEXTS("nationality", "nationalities", "nationalities"),
	TEXTS("language", "languages", "languages"),
	TEXT("ethnicity", "", "ethnicity"),
	TEXT("distinguishing_marks", "characteristics", "characteristics"),
	DATE("date_of_separation", "separation_date", "separation.date"),
	TEXT("location_separation", "separation_place", "separation.place.text"),
	TEXT("separation_pcode", "", "separation.place.pcode"),
	LIST("separation_cause", "separation_causes", "separation.causes", separation_cause),
	CODE("protection_status", "separation_status", "separation.status", separation_status),
	TEXT("separation_details", "separation_additional_details|narrative", "separation.narrative"),
	PLACE_AT("location_current", "current_location", "LOCATION_KIND_CURRENT"),
	PLACE_AT("address_current", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("street_number", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("address_1", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("address_2", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("suburb", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("postcode", "", "LOCATION_KIND_CURRENT"),
	PLACE_AT("state", "", "LOCATION_KIND_CURRENT"),
	PCODE_AT("location_current_pcode", "current_pcode", "LOCATION_KIND_CURRENT"),
	PLACE_AT("location_found", "found_location", "LOCATION_KIND_FOUND"),
	PCODE_AT("location_found_pcode", "found_pcode", "LOCATION_KIND_FOUND"),
	PLACE_AT("location_last", "location_home|home_location|location_before_separation", "LOCATION_KIND_HOME"),
	PCODE_AT("location_home_pcode", "home_pcode", "LOCATION_KIND_HOME"),
	PLACE_AT("location_wished", "", "LOCATION_KIND_WISHED"),
	NAME("mother_name", "", "relatives.RELATION_MOTHER.name"),
	CODE("mother_alive", "mother_is_alive", "relatives.RELATION_MOTHER.alive", alive),
	NAME("father_name", "", "relatives.RELATION_FATHER.name"),
	CODE("father_alive", "father_is_alive", "relatives.RELATION_FATHER.alive", alive),
	CODE("care_arrangements_type", "care_arrangement|care_arrangements", "care_arrangement", care_arrangement),
	CAREGIVER("caregiver."),
	TEXT("unhcr_individual_no", "unhcr_id_no|unhcr_id", "other_ids.UNHCR.id"),
	TEXT("icrc_ref_no", "icrc_id", "other_ids.ICRC.id"),
	TEXT("other_agency_id", "", "other_ids.other agency.id"),
	TEXT("soc_sec_id", "", "other_ids.soc_sec_id.id"),
	TEXT("wishes", "child_wishes", "wishes"),
	LIST("protection_concerns", "concerns", "concerns", concern),
	CONSENT("consent."),
};

static const struct import_column REFERRAL[] = {
	{.name = "case_ref", .aliases = "case_id|record_id|local_id|id", .type = CELL_ID, .path = "case_ref"},
	CODE("service_type", "service", "service", service_type),
	CODE("requested_by", "", "requested_by", requested_by),
	CODE("risk_level", "risk", "risk", risk),
	TEXT("reason", "service_referral_notes|referral_reason", "reason"),
	PART("name_first", "given_name|first_name", "children.0.name.parts", "NAME_ROLE_GIVEN"),
	PART("name_father", "", "children.0.name.parts", "NAME_ROLE_FATHER"),
	PART("name_middle", "middle_name", "children.0.name.parts", "NAME_ROLE_OTHER"),
	PART("name_last", "surname|last_name|family_name", "children.0.name.parts", "NAME_ROLE_FAMILY"),
	NAME("name", "full_name", "children.0.name"),
	TEXT("name_nickname", "nickname", "children.0.name.nickname"),
	TEXT("child_code", "code", "children.0.code"),
	NUMBER("age", "", "children.0.age.years"),
	BOOL("estimated", "age_estimated", "children.0.age.estimated"),
	DATE("registration_date", "age_as_of|date_of_registration", "children.0.age.as_of"),
	CODE("sex", "gender", "children.0.sex", sex),
	TEXTS("language", "languages", "children.0.languages"),
	CODE("protection_status", "separation_status", "children.0.separation_status", separation_status),
	LIST("protection_concerns", "concerns", "children.0.concerns", concern),
	CAREGIVER("caregiver."),
	TEXT("safe_contact_instructions", "", "safe_contact_instructions"),
	TEXT("referrer_name", "owned_by_text", "referrer.name"),
	TEXT("referrer_position", "", "referrer.position"),
	TEXT("referrer_phone", "", "referrer.contact.phone"),
	APPEND("location_current", "current_location", "location.text"),
	APPEND("address_current", "", "location.text"),
	TEXT("location_current_pcode", "current_pcode", "location.pcode"),
	CONSENT("consent."),
};

/* An entry of Primero's family_details_section. */
static const struct import_column RELATIVE[] = {
	NAME("relation_name", "name", "name"),
	TEXT("relation_nickname", "", "name.nickname"),
	CODE("relation", "relationship", "relation", relation),
	CODE("relation_is_alive", "alive", "alive", alive),
	NUMBER("relation_age", "age", "age.years"),
	DATE("relation_age_as_of", "", "age.as_of"),
	TEXT("relation_location_current", "relation_location_last", "last_place.text"),
	BOOL("relation_child_lived_with", "with_child", "with_child"),
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const struct import_columns *import_columns(enum import_kind kind)
{
	static const struct import_columns ALL[] = {
		[IMPORT_REGISTRATION] = {&kinward__v1__uasc_registration__descriptor, REGISTRATION, COUNT(REGISTRATION), "age"},
		[IMPORT_REFERRAL] = {&kinward__v1__referral_request__descriptor, REFERRAL, COUNT(REFERRAL), "children.0.age"},
		[IMPORT_RELATIVE] = {&kinward__v1__relative__descriptor, RELATIVE, COUNT(RELATIVE), "age"},
	};
	KW_ASSERT((size_t)kind < COUNT(ALL));
	return &ALL[kind];
}

static bool names(const char *header, size_t size, const char *name, size_t name_size)
{
	if (size != name_size)
		return false;
	for (size_t i = 0; i < size; i++) {
		char c = header[i] == ' ' || header[i] == '-' ? '_' : header[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != name[i])
			return false;
	}
	return true;
}

const struct import_column *import_column_find(const struct import_columns *columns, const char *header)
{
	header += strspn(header, " \t");
	size_t size = strlen(header);
	while (size > 0 && strchr(" \t\r\n", header[size - 1]))
		size--;
	for (size_t i = 0; i < columns->count; i++) {
		const struct import_column *column = &columns->columns[i];
		if (names(header, size, column->name, strlen(column->name)))
			return column;
		for (const char *alias = column->aliases; *alias;) {
			size_t alias_size = strcspn(alias, "|");
			if (names(header, size, alias, alias_size))
				return column;
			alias += alias_size + (alias[alias_size] == '|' ? 1 : 0);
		}
	}
	return NULL;
}

void import_describe(enum import_kind kind, void (*each)(void *context, const char *name, const char *aliases,
	const char *field), void *context)
{
	const struct import_columns *columns = import_columns(kind);
	for (size_t i = 0; i < columns->count; i++) {
		const struct import_column *column = &columns->columns[i];
		each(context, column->name, column->aliases, column->path ? column->path : "local_id");
	}
}
