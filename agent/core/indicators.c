#include "agent/core/indicators.h"

#include <string.h>

#include "agent/core/suppress.h"
#include "agent/core/surveillance.h"
#include "proto/wire/states.h"

#define WEEK_MS (INT64_C(7) * 86400000)
/* 1970-01-05, from which weeks are counted. */
#define FIRST_MONDAY_MS (INT64_C(4) * 86400000)

/* Codes of ReferralReason that are no want of a provider. */
enum { REASON_DUPLICATE = 5, REASON_INSUFFICIENT_INFORMATION, REASON_DECLINED_BY_CLIENT, REASON_UNREACHABLE };
/* Codes of ReferralOutcome. */
enum {
	OUTCOME_SERVICE_PROVIDED = 1, OUTCOME_PARTLY_PROVIDED, OUTCOME_NOT_PROVIDED, OUTCOME_DECLINED_BY_CLIENT,
	OUTCOME_UNREACHABLE, OUTCOME_NOT_ELIGIBLE, OUTCOME_SERVICE_UNAVAILABLE
};

/* Codes of CareArrangement from parents, step_parent, customary_caregiver, adult_sibling, kinship, foster to kafala and
 * independent_living: what counts as reunified or in appropriate care. */
#define CARE_IS_APPROPRIATE(code) (((code) >= 1 && (code) <= 6) || (code) == 8 || (code) == 9)

bool indicators_week_from(const char *text, struct indicators_week *out)
{
	uint32_t week = 0;

	if (!surveillance_week_from(text, &week))
		return false;
	out->from_ms = FIRST_MONDAY_MS + WEEK_MS * week;
	out->to_ms = out->from_ms + WEEK_MS;
	return true;
}

static bool is_letter(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* size 0: none. */
static void set_area(char out[INDICATORS_AREA_SIZE_MAX + 1], const char *text, size_t size)
{
	memcpy(out, text, size);
	out[size] = '\0';
}

bool indicators_area_from(const struct indicators_place *place, char out[INDICATORS_AREA_SIZE_MAX + 1])
{
	size_t size = strlen(place->pcode);
	bool lettered = size >= 2 && is_letter(place->pcode[0]) && is_letter(place->pcode[1]);
	size_t digits = 0;

	if (size > INDICATORS_AREA_SIZE_MAX)
		return false;
	if (place->level == 1 && size >= 2) {
		set_area(out, place->pcode, size);
		return true;
	}
	while (lettered && digits < place->digits && place->pcode[2 + digits] >= '0' && place->pcode[2 + digits] <= '9')
		digits++;
	if (lettered) {
		set_area(out, place->pcode, digits == place->digits ? 2 + digits : 2);
		return true;
	}
	if (strlen(place->country) != 2)
		return false;
	set_area(out, place->country, 2);
	return true;
}

static bool provider_lacked(const struct indicators_step *step)
{
	switch (step->state) {
	case KW_REFERRAL_EXPIRED:
	case KW_REFERRAL_UNDELIVERABLE:
		return true;
	case KW_REFERRAL_REJECTED:
	case KW_REFERRAL_NOT_PROVIDED:
		return step->reason != REASON_DUPLICATE && step->reason != REASON_INSUFFICIENT_INFORMATION &&
			step->reason != REASON_DECLINED_BY_CLIENT && step->reason != REASON_UNREACHABLE;
	case KW_REFERRAL_COMPLETED:
		return step->outcome == OUTCOME_NOT_PROVIDED || step->outcome == OUTCOME_NOT_ELIGIBLE ||
			step->outcome == OUTCOME_SERVICE_UNAVAILABLE;
	default:
		return false;
	}
}

static bool is_end(uint8_t state)
{
	return state == KW_REFERRAL_EXPIRED || state == KW_REFERRAL_UNDELIVERABLE || state == KW_REFERRAL_REJECTED ||
		state == KW_REFERRAL_NOT_PROVIDED || state == KW_REFERRAL_COMPLETED || state == KW_REFERRAL_CANCELLED;
}

/* How a referral stands at the week's end. */
struct standing {
	const struct indicators_step *end; /* NULL: it goes on */
	bool accepted;
	bool unmet_before; /* counted in an earlier week */
	bool withdrawn;
};

static void follow(const struct indicators_book *book, const struct indicators_thread *thread, struct standing *out)
{
	for (size_t i = 0; i < thread->count && thread->steps[i].at_ms < book->week.to_ms; i++) {
		const struct indicators_step *step = &thread->steps[i];

		if (step->state == KW_REFERRAL_CLOSED) /* the opener has put the file away: how it ended stands */
			continue;
		/* What came to an end goes on after all, or ends otherwise. */
		if (out->end != NULL && out->end->at_ms < book->week.from_ms && provider_lacked(out->end))
			out->unmet_before = true;
		out->end = is_end(step->state) ? step : NULL;
		out->withdrawn = out->withdrawn || step->state == KW_REFERRAL_CONSENT_WITHDRAWN;
		out->accepted = out->accepted || step->state == KW_REFERRAL_ACCEPTED || step->state == KW_REFERRAL_SCHEDULED ||
			step->state == KW_REFERRAL_IN_PROGRESS || step->state == KW_REFERRAL_COMPLETED;
	}
}

/* INDICATORS_AREAS_MAX when there is no room. */
static uint32_t area_of(struct indicators_book *book, const char *area)
{
	uint32_t i = 0;

	while (i < book->areas_count && strcmp(book->areas[i], area) != 0)
		i++;
	if (i == book->areas_count && i < INDICATORS_AREAS_MAX) {
		set_area(book->areas[i], area, strlen(area));
		book->areas_count++;
	}
	return i;
}

enum indicators_result indicators_referral(struct indicators_book *book, const struct indicators_thread *thread,
	uint32_t service, const char *area)
{
	struct standing standing = {0};

	follow(book, thread, &standing);
	const struct indicators_step *end = standing.end;
	if (standing.withdrawn || end == NULL || end->at_ms < book->week.from_ms)
		return INDICATORS_NOTHING;
	bool unmet = provider_lacked(end) && !standing.unmet_before;
	bool served = standing.accepted && (end->state == KW_REFERRAL_COMPLETED || end->state == KW_REFERRAL_NOT_PROVIDED ||
		end->state == KW_REFERRAL_CANCELLED);
	if (!unmet && !served)
		return INDICATORS_NOTHING;
	if (service == 0 || service > INDICATORS_SERVICES_MAX || area[0] == '\0' || strlen(area) > INDICATORS_AREA_SIZE_MAX)
		return INDICATORS_NO_PLACE;
	uint32_t column = area_of(book, area);
	if (column == INDICATORS_AREAS_MAX)
		return INDICATORS_FULL;
	book->unmet[service - 1][column] += unmet ? 1 : 0;
	if (served) {
		struct indicators_rate *rate = &book->completed[service - 1][column];

		rate->denominator++;
		rate->numerator += end->state == KW_REFERRAL_COMPLETED &&
			(end->outcome == OUTCOME_SERVICE_PROVIDED || end->outcome == OUTCOME_PARTLY_PROVIDED);
	}
	return INDICATORS_COUNTED;
}

/* Was it followed up in time, and is it still said that the child was reunified? */
static bool visited(const struct indicators_thread *thread, size_t reunified, bool *invalid)
{
	int64_t due_ms = thread->steps[reunified].at_ms + INDICATORS_FOLLOW_UP_MS;
	bool seen = false;

	*invalid = false;
	for (size_t i = reunified + 1; i < thread->count && thread->steps[i].at_ms <= due_ms; i++) {
		seen = seen || thread->steps[i].state == KW_TRACING_FOLLOW_UP;
		*invalid = *invalid || thread->steps[i].state == KW_TRACING_INVALID;
	}
	return seen;
}

void indicators_tracing(struct indicators_book *book, const struct indicators_thread *thread)
{
	for (size_t i = 0; i < thread->count; i++) {
		int64_t due_ms = thread->steps[i].at_ms + INDICATORS_FOLLOW_UP_MS;
		bool invalid = false;

		if (thread->steps[i].state != KW_TRACING_REUNIFIED || due_ms < book->week.from_ms || due_ms >= book->week.to_ms)
			continue;
		bool seen = visited(thread, i, &invalid);
		if (invalid)
			continue;
		book->follow_up.denominator++;
		book->follow_up.numerator += seen ? 1 : 0;
	}
}

void indicators_care(struct indicators_book *book, uint32_t care_arrangement, uint32_t count)
{
	if (care_arrangement > 0 && care_arrangement <= INDICATORS_CARES_MAX)
		book->cares[care_arrangement - 1] += count;
}

static void put(struct indicators_cell *cells, size_t *used, const struct indicators_cell *cell,
	const struct suppress_cell *value)
{
	if (!value->hidden && value->numerator == 0 && value->denominator == 0)
		return;
	cells[*used] = *cell;
	cells[*used].hidden = value->hidden;
	cells[*used].numerator = value->hidden ? 0 : value->numerator;
	cells[*used].denominator = value->hidden ? 0 : value->denominator;
	(*used)++;
}

/* One row a service, one column an area. */
static void put_services(const struct indicators_book *book, enum indicators_kind kind, struct indicators_cell *cells,
	size_t *used)
{
	struct suppress_cell values[INDICATORS_SERVICES_MAX * INDICATORS_AREAS_MAX];
	bool sensitive[INDICATORS_SERVICES_MAX] = {[INDICATORS_SENSITIVE_SERVICE - 1] = true};
	uint32_t columns = book->areas_count;
	struct suppress_table table = {INDICATORS_SERVICES_MAX, columns, values, sensitive};

	for (uint32_t row = 0; row < INDICATORS_SERVICES_MAX; row++)
		for (uint32_t column = 0; column < columns; column++) {
			const struct indicators_rate *rate = &book->completed[row][column];

			values[row * columns + column] = kind == INDICATORS_UNMET ?
				(struct suppress_cell){book->unmet[row][column], 0, false} :
				(struct suppress_cell){rate->numerator, rate->denominator, false};
		}
	if (columns > 0)
		suppress_apply(&table);
	for (uint32_t row = 0; row < INDICATORS_SERVICES_MAX; row++)
		for (uint32_t column = 0; column < columns; column++)
			put(cells, used, &(struct indicators_cell){.kind = kind, .service = row + 1, .area = book->areas[column]},
				&values[row * columns + column]);
}

/* What is told of all children and of those in care divides the arrangements in two lines, whose sums are known then. Each has
 * to hide by itself: no cell, or two that count enough together. */
static bool line_gives_away(const struct suppress_cell *cares, bool appropriate)
{
	uint32_t hidden = 0;
	uint64_t together = 0;

	for (uint32_t i = 0; i < INDICATORS_CARES_MAX; i++) {
		if (!cares[i].hidden || CARE_IS_APPROPRIATE(i + 1) != appropriate)
			continue;
		hidden++;
		together += cares[i].numerator;
	}
	return hidden > 0 && (hidden < 2 || together < SUPPRESS_BELOW);
}

/* cares: suppressed already. */
static void put_in_care(const struct suppress_cell *cares, struct indicators_cell *cells, size_t *used)
{
	struct suppress_cell rate = {0};

	for (uint32_t i = 0; i < INDICATORS_CARES_MAX; i++) {
		rate.denominator += cares[i].numerator;
		rate.numerator += CARE_IS_APPROPRIATE(i + 1) ? cares[i].numerator : 0;
	}
	rate.hidden = suppress_is_small(&rate, false) || line_gives_away(cares, true) || line_gives_away(cares, false);
	put(cells, used, &(struct indicators_cell){.kind = INDICATORS_IN_CARE, .area = ""}, &rate);
}

size_t indicators_cells(const struct indicators_book *book, struct indicators_cell *cells)
{
	struct suppress_cell cares[INDICATORS_CARES_MAX];
	struct suppress_cell visits = {book->follow_up.numerator, book->follow_up.denominator, false};
	bool plain = false;
	struct suppress_table visits_table = {1, 1, &visits, &plain};
	struct suppress_table cares_table = {1, INDICATORS_CARES_MAX, cares, &plain};
	size_t used = 0;

	put_services(book, INDICATORS_UNMET, cells, &used);
	put_services(book, INDICATORS_COMPLETED, cells, &used);
	suppress_apply(&visits_table);
	put(cells, &used, &(struct indicators_cell){.kind = INDICATORS_FOLLOW_UP, .area = ""}, &visits);
	for (uint32_t i = 0; i < INDICATORS_CARES_MAX; i++)
		cares[i] = (struct suppress_cell){book->cares[i], 0, false};
	suppress_apply(&cares_table);
	for (uint32_t i = 0; i < INDICATORS_CARES_MAX; i++)
		put(cells, &used, &(struct indicators_cell){.kind = INDICATORS_CARE, .care_arrangement = i + 1, .area = ""}, &cares[i]);
	put_in_care(cares, cells, &used);
	return used;
}
