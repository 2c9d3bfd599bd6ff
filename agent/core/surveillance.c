#include "agent/core/surveillance.h"

#include <string.h>

/* Years whose weeks are known. */
#define YEAR_MIN 1971u
#define YEAR_MAX 2200u

/* By village, then week: candidates stand close to each other. */
static int order(const struct surveillance_case *a, const struct surveillance_case *b)
{
	int village = strcmp(a->village_pcode, b->village_pcode);
	if (village != 0)
		return village;
	return a->week < b->week ? -1 : a->week > b->week;
}

static void sift(struct surveillance_case *cases, size_t root, size_t count)
{
	while (root * 2 + 1 < count) {
		size_t child = root * 2 + 1;
		if (child + 1 < count && order(&cases[child], &cases[child + 1]) < 0)
			child++;
		if (order(&cases[root], &cases[child]) >= 0)
			return;
		struct surveillance_case keep = cases[root];
		cases[root] = cases[child];
		cases[child] = keep;
		root = child;
	}
}

/* Heap sort: no memory, no recursion, no bad case. */
static void sort(struct surveillance_case *cases, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sift(cases, i, count);
	for (size_t end = count; end-- > 1;) {
		struct surveillance_case keep = cases[0];
		cases[0] = cases[end];
		cases[end] = keep;
		sift(cases, 0, end);
	}
}

static bool ages_agree(const struct surveillance_case *a, const struct surveillance_case *b)
{
	return (uint32_t)a->age_low <= (uint32_t)b->age_high + SURVEILLANCE_YEARS &&
		(uint32_t)b->age_low <= (uint32_t)a->age_high + SURVEILLANCE_YEARS;
}

/* Same village and near weeks are given. */
static bool may_be_one(const struct surveillance_case *a, const struct surveillance_case *b, uint8_t *missing)
{
	*missing = 0;
	if (a->sex == 0 || b->sex == 0)
		(*missing)++;
	else if (a->sex != b->sex)
		return false;
	if (a->cause == 0 || b->cause == 0)
		(*missing)++;
	else if (a->cause != b->cause)
		return false;
	if (!a->age_known || !b->age_known)
		(*missing)++;
	else if (!ages_agree(a, b))
		return false;
	return true;
}

void surveillance_candidates(struct surveillance_case *cases, size_t count,
	bool (*each)(void *user, const struct surveillance_pair *pair), void *user)
{
	sort(cases, count);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = i + 1; k < count; k++) {
			const struct surveillance_case *a = &cases[i];
			const struct surveillance_case *b = &cases[k];
			struct surveillance_pair pair = {.first = a->handle, .second = b->handle};
			if (strcmp(a->village_pcode, b->village_pcode) != 0 || b->week - a->week > SURVEILLANCE_WEEKS)
				break;
			if (may_be_one(a, b, &pair.missing) && !each(user, &pair))
				return;
		}
	}
}

/* Days since 1970-01-01 of 1 January (proleptic Gregorian). year: 1970 or later. */
static uint32_t new_year(uint32_t year)
{
	uint32_t before = year - 1;
	return before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

/* Days since 1970-01-05, a Monday, of the Monday of week 1: the week with 4 January in it. */
static uint32_t week_one(uint32_t year)
{
	uint32_t fourth = new_year(year) + 3; /* since 1970-01-01, a Thursday */
	return fourth - (fourth + 3) % 7 - 4;
}

bool surveillance_week_from(const char *text, uint32_t *out)
{
	uint32_t year = 0;
	uint32_t week = 0;
	if (strlen(text) != 8 || text[4] != '-' || text[5] != 'W')
		return false;
	for (int i = 0; i < 8; i++) {
		if (i == 4 || i == 5)
			continue;
		if (text[i] < '0' || text[i] > '9')
			return false;
		uint32_t digit = (uint32_t)(text[i] - '0');
		if (i < 4)
			year = year * 10 + digit;
		else
			week = week * 10 + digit;
	}
	if (year < YEAR_MIN || year > YEAR_MAX || week < 1)
		return false;
	uint32_t weeks = (week_one(year + 1) - week_one(year)) / 7;
	if (week > weeks)
		return false;
	*out = week_one(year) / 7 + week - 1;
	return true;
}

void surveillance_week_text(uint32_t week, char out[SURVEILLANCE_WEEK_SIZE])
{
	uint32_t year = YEAR_MIN;
	out[0] = '\0';
	while (year <= YEAR_MAX && week_one(year + 1) / 7 <= week)
		year++;
	if (year > YEAR_MAX || week < week_one(YEAR_MIN) / 7)
		return;
	uint32_t number = week - week_one(year) / 7 + 1;
	for (int i = 3; i >= 0; i--, year /= 10)
		out[i] = (char)('0' + year % 10);
	out[4] = '-';
	out[5] = 'W';
	out[6] = (char)('0' + number / 10);
	out[7] = (char)('0' + number % 10);
	out[8] = '\0';
}
