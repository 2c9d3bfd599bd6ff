/* Consent and erasure, and what goes to coordination: what holds across their fields. */

#include <string.h>

#include "kinward/v1/consent.pb-c.h"
#include "kinward/v1/monitoring.pb-c.h"
#include "kinward/v1/services.pb-c.h"
#include "kinward/v1/supervision.pb-c.h"
#include "proto/wire/validate_across.h"
#include "proto/wire/validate_clash.h"

/* With fewer communities than this each site is assessed. */
#define SITE_SPECIFIC_COMMUNITIES 15u
/* A number from 1 to below this could lead to a person. Zero is told: it leads to nobody. */
#define COUNT_SMALL 5u
/* The same of a service that is sensitive by itself. */
#define COUNT_SMALL_SENSITIVE 10u
/* A safehouse is never placed finer than this level. */
#define SAFEHOUSE_LEVEL_MAX 2u
/* The longest P-codes there are: three letters for the country, three characters for each level. */
#define PCODE_COUNTRY_SIZE_MAX 3u
#define PCODE_LEVEL_SIZE_MAX 3u

/* The answer for a purpose in the new consent. */
static Kinward__V1__ConsentAnswer answer_for(const Kinward__V1__Consent *consent, Kinward__V1__ConsentPurpose purpose)
{
	switch (purpose) {
	case KW_CODE(CONSENT_PURPOSE, SERVICES):
		return consent->services;
	case KW_CODE(CONSENT_PURPOSE, SHARE_OTHER_ORGS):
		return consent->share_other_orgs;
	case KW_CODE(CONSENT_PURPOSE, TRACING):
		return consent->tracing;
	case KW_CODE(CONSENT_PURPOSE, REPORTING):
		return consent->reporting;
	case KW_CODE(CONSENT_PURPOSE, PUBLIC_NAME):
		return consent->public_name;
	case KW_CODE(CONSENT_PURPOSE, PUBLIC_PHOTO):
		return consent->public_photo;
	case KW_CODE(CONSENT_PURPOSE, AUTHORITIES):
		return consent->authorities;
	default:
		return KW_CODE(CONSENT_ANSWER, UNSPECIFIED);
	}
}

static bool given_and_withdrawn(const Kinward__V1__ConsentUpdate *update)
{
	for (size_t i = 0; update->consent != NULL && i < update->n_withdrawn; i++)
		if (answer_for(update->consent, update->withdrawn[i]) == KW_CODE(CONSENT_ANSWER, GIVEN))
			return true;
	return false;
}

enum kw_err kw_across_consent_update(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ConsentUpdate *update = message;
	bool action = update->action != KW_CODE(ERASURE_ACTION, UNSPECIFIED);
	const struct kw_clash clashes[] = {
		{update->n_withdrawn == 0 && update->consent == NULL, "withdrawn",
			"a withdrawn purpose or the new consent is required; fill in one"},
		{update->n_withdrawn > 0 && !action, "action", "is required with withdrawn purposes; choose one of its codes"},
		{update->n_withdrawn == 0 && action, "action", "goes with withdrawn purposes only; leave it out"},
		{given_and_withdrawn(update), "consent", "says that a withdrawn purpose is given; correct one of them"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_erase(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Erase *erase = message;
	if (erase->reason == KW_CODE(ERASURE_REASON, OTHER) && kw_clash_empty(erase->note))
		return kw_validate_refuse(walk, KW_EFIELD, "note", KW_NEEDS_OTHER);
	return KW_OK;
}

enum kw_err kw_across_erase_ack(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__EraseAck *ack = message;
	bool retained = ack->outcome == KW_CODE(ERASURE_OUTCOME, RETAINED);
	bool failed = ack->outcome == KW_CODE(ERASURE_OUTCOME, FAILED);
	bool ground = ack->legal_ground != KW_CODE(LEGAL_GROUND, UNSPECIFIED);
	const struct kw_clash clashes[] = {
		{retained != ground, "legal_ground", "goes with RETAINED, and only with it; correct one of them"},
		{!retained && ack->retained_until_unix_ms != 0, "retained_until_unix_ms", "goes with RETAINED only; leave it out"},
		{failed == kw_clash_empty(ack->failure), "failure", "goes with FAILED, and only with it; correct one of them"},
		{ack->legal_ground == KW_CODE(LEGAL_GROUND, OTHER) && kw_clash_empty(ack->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}

/* True when a child of that age is in the band. */
static bool in_band(uint32_t years, Kinward__V1__AgeBand band)
{
	if (years <= 5)
		return band == KW_CODE(AGE_BAND, 0_TO_5);
	if (years <= 11)
		return band == KW_CODE(AGE_BAND, 6_TO_11);
	return band == (years <= 14 ? KW_CODE(AGE_BAND, 12_TO_14) : years <= 17 ? KW_CODE(AGE_BAND, 15_TO_17) :
		KW_CODE(AGE_BAND, 18_OR_MORE));
}

enum kw_err kw_across_separation_case(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__SeparationCase *one = message;
	bool known = one->known_age_case == KINWARD__V1__SEPARATION_CASE__KNOWN_AGE_AGE_YEARS;
	const struct kw_clash clashes[] = {
		{one->status == KW_CODE(SEPARATION_STATUS, NEITHER), "status",
			"must be UNACCOMPANIED or SEPARATED here; leave out other children"},
		{one->age_band == KW_CODE(AGE_BAND, 18_OR_MORE), "age_band", "must be a child's; leave out adults"},
		{known && !in_band(one->age_years, one->age_band), "age_years", "is not in the age band; correct one of them"},
	};
	return KW_CLASHES(walk, clashes);
}

static bool number_repeats(const Kinward__V1__SeparationReport *report)
{
	for (size_t i = 0; i < report->n_cases; i++)
		for (size_t j = 0; j < i; j++)
			if (report->cases[i]->local_number == report->cases[j]->local_number)
				return true;
	return false;
}

static bool occurred_later(const Kinward__V1__SeparationReport *report)
{
	for (size_t i = 0; i < report->n_cases; i++)
		if (!kw_clash_empty(report->cases[i]->week_occurred) && strcmp(report->cases[i]->week_occurred, report->week) > 0)
			return true;
	return false;
}

enum kw_err kw_across_separation_report(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__SeparationReport *report = message;
	const struct kw_clash clashes[] = {
		{report->zero_report && report->n_cases > 0, "cases", "must be none in a zero report; correct one of them"},
		{!report->zero_report && report->n_cases == 0, "zero_report",
			"must be true when there is no case; say so, or add the cases"},
		{number_repeats(report), "cases", "have a local number twice; correct one of them"},
		{occurred_later(report), "cases", "have a week_occurred after the report's week; correct it"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_separation_survey(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__SeparationSurvey *survey = message;
	bool neighbours = survey->method == KW_CODE(SURVEY_METHOD, NEIGHBOURHOOD);
	const struct kw_clash clashes[] = {
		{kw_clash_before(survey->end, survey->start), "end", "must not be before the start; correct one of them"},
		{survey->separated > survey->children, "separated", "must not be above the children counted; correct one of them"},
		{survey->unaccompanied > survey->separated, "unaccompanied",
			"must not be above the separated children; correct one of them"},
		{survey->ci_low_ppm > survey->prevalence_ppm, "ci_low_ppm", "must not be above the prevalence; correct one of them"},
		{survey->ci_high_ppm < survey->prevalence_ppm, "ci_high_ppm",
			"must not be below the prevalence; correct one of them"},
		{!neighbours && survey->neighbour_separated > 0, "neighbour_separated", "goes with NEIGHBOURHOOD only; leave it out"},
		{survey->own_separated + survey->neighbour_separated > survey->separated, "own_separated",
			"must not make more than all separated with the neighbours'; correct one of them"},
		{survey->method == KW_CODE(SURVEY_METHOD, OTHER) && kw_clash_empty(survey->note), "note", KW_NEEDS_OTHER},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_rapid_assessment(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__RapidAssessment *assessment = message;
	const struct kw_clash clashes[] = {
		{assessment->communities < SITE_SPECIFIC_COMMUNITIES && !assessment->site_specific, "site_specific",
			"must be true with fewer than 15 communities; assess each site"},
		{assessment->method == KW_CODE(ASSESSMENT_METHOD, KEY_INFORMANT) && assessment->informants == 0, "informants",
			"is required with KEY_INFORMANT; fill it in"},
		{assessment->separation_seen == KW_CODE(ANSWER, NO) && assessment->n_causes > 0, "causes",
			"do not go with no separation seen; correct one of them"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_service_schedule(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ServiceSchedule *schedule = message;
	if (schedule->closes_minute <= schedule->opens_minute)
		return kw_validate_refuse(walk, KW_EFIELD, "closes_minute", "must be after opens_minute; correct one of them");
	return KW_OK;
}

/* True when the place of a safehouse could be found by what is said of it. */
static bool gives_away(const Kinward__V1__DirectoryService *service)
{
	for (size_t i = 0; i < service->n_locations; i++)
		if (service->locations[i]->admin_level > SAFEHOUSE_LEVEL_MAX || !kw_clash_empty(service->locations[i]->name))
			return true;
	return false;
}

/* True when a P-code is longer than one of that level can be: it is of a finer one. Some countries fill theirs up with zeros,
 * which say nothing. */
static bool is_finer(const char *pcode, uint32_t level)
{
	size_t size = strlen(pcode);
	while (size > 0 && pcode[size - 1] == '0')
		size--;
	return size > PCODE_COUNTRY_SIZE_MAX + PCODE_LEVEL_SIZE_MAX * level;
}

/* True when what is said of a safehouse's level cannot be so. A level that is left out is 0, the country's. */
static bool understates(const Kinward__V1__DirectoryService *service)
{
	for (size_t i = 0; i < service->n_locations; i++)
		if (is_finer(service->locations[i]->pcode, service->locations[i]->admin_level))
			return true;
	return false;
}

enum kw_err kw_across_directory_service(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__DirectoryService *service = message;
	const struct kw_clash clashes[] = {
		{service->maximum_age != 0 && service->maximum_age < service->minimum_age, "maximum_age",
			"must not be below minimum_age; correct one of them"},
		{service->capacity_maximum != 0 && service->capacity_available > service->capacity_maximum, "capacity_available",
			"must not be above capacity_maximum; correct one of them"},
		{service->capacity == KW_CODE(CAPACITY, NONE) && service->capacity_available > 0, "capacity_available",
			"does not go with the capacity NONE; correct one of them"},
		{service->valid_until_unix_ms <= service->assured_unix_ms, "valid_until_unix_ms",
			"must be after assured_unix_ms; correct one of them"},
		{service->type == KW_CODE(SERVICE_TYPE, SAFEHOUSE) && gives_away(service), "locations",
			"of a safehouse must not be finer than level 2 and have no name; a safehouse that is found is safe no more"},
		{service->type == KW_CODE(SERVICE_TYPE, SAFEHOUSE) && understates(service), "locations",
			"of a safehouse have a P-code that is finer than their level says; give the P-code of level 1 or 2, and that level"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_service_directory(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ServiceDirectory *directory = message;
	bool repeats = false;
	for (size_t i = 0; i < directory->n_services; i++)
		for (size_t j = 0; j < i; j++)
			repeats = repeats || strcmp(directory->services[i]->service_id, directory->services[j]->service_id) == 0;
	const struct kw_clash clashes[] = {
		{directory->valid_until_unix_ms <= directory->issued_unix_ms, "valid_until_unix_ms",
			"must be after issued_unix_ms; correct one of them"},
		{repeats, "services", "have a service_id twice; correct one of them"},
	};
	return KW_CLASHES(walk, clashes);
}

enum kw_err kw_across_supervision_return(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__SupervisionReturn *given = message;
	const struct kw_clash clashes[] = {
		{given->month->month == 0, "month.month", "is required: the return is of one month; fill it in"},
		{given->month->day != 0, "month.day", "does not go here: the return is of a whole month; leave it out"},
	};
	return KW_CLASHES(walk, clashes);
}

static bool is_small(const Kinward__V1__IndicatorCell *cell, uint32_t count)
{
	bool sensitive = cell->service == KW_CODE(SERVICE_TYPE, SAFEHOUSE);
	return count > 0 && count < (sensitive ? COUNT_SMALL_SENSITIVE : COUNT_SMALL);
}

/* The count, or what is missing from a rate, or of how few it is. */
static bool tells_small(const Kinward__V1__IndicatorCell *cell)
{
	if (is_small(cell, cell->numerator) || is_small(cell, cell->denominator))
		return true;
	return cell->denominator > cell->numerator && is_small(cell, cell->denominator - cell->numerator);
}

enum kw_err kw_across_indicator_cell(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__IndicatorCell *cell = message;
	bool by_service = cell->indicator == KW_CODE(INDICATOR, UNMET_DEMAND) ||
		cell->indicator == KW_CODE(INDICATOR, COMPLETED_SERVICE);
	bool service = cell->service != KW_CODE(SERVICE_TYPE, UNSPECIFIED);
	bool care = cell->care_arrangement != KW_CODE(CARE_ARRANGEMENT, UNSPECIFIED);
	bool rate = cell->denominator > 0;
	const struct kw_clash clashes[] = {
		{by_service != service, "service",
			"goes with UNMET_DEMAND and COMPLETED_SERVICE, and only with them; correct one of them"},
		{by_service == kw_clash_empty(cell->admin1_pcode), "admin1_pcode",
			"goes with UNMET_DEMAND and COMPLETED_SERVICE, and only with them; correct one of them"},
		{care != (cell->indicator == KW_CODE(INDICATOR, CARE_ARRANGEMENT)), "care_arrangement",
			"goes with CARE_ARRANGEMENT, and only with it; correct one of them"},
		{cell->suppressed && (cell->numerator > 0 || rate), "numerator", "must be left out when suppressed; leave it out"},
		{rate && cell->numerator > cell->denominator, "denominator", "must not be below the numerator; correct one of them"},
		{tells_small(cell), "suppressed",
			"must be true for a number from 1 to 4, of a safehouse 1 to 9, or a rate that gives one away; suppress it"},
	};
	return KW_CLASHES(walk, clashes);
}

static bool same_cell(const Kinward__V1__IndicatorCell *a, const Kinward__V1__IndicatorCell *b)
{
	return a->indicator == b->indicator && a->service == b->service && a->care_arrangement == b->care_arrangement &&
		strcmp(a->admin1_pcode, b->admin1_pcode) == 0;
}

enum kw_err kw_across_indicator_return(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__IndicatorReturn *given = message;
	for (size_t i = 0; i < given->n_cells; i++)
		for (size_t j = 0; j < i; j++)
			if (same_cell(given->cells[i], given->cells[j]))
				return kw_validate_refuse(walk, KW_EFIELD, "cells", "have the same cell twice; keep one of them");
	return KW_OK;
}
