#ifndef AGENT_CORE_SURVEILLANCE_H
#define AGENT_CORE_SURVEILLANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Weekly separation reports: which two cases may be the same child (DOMAIN.md §3: village, sex, age ±2, cause, within
 * four weeks). A candidate is for a person to look at; nothing is merged or dropped. Pure. */

#define SURVEILLANCE_WEEKS 4u
#define SURVEILLANCE_YEARS 2u
#define SURVEILLANCE_PCODE_SIZE_MAX 20u
/* Cases compared at once. */
#define SURVEILLANCE_CASES_MAX 20000u

struct surveillance_case {
	char village_pcode[SURVEILLANCE_PCODE_SIZE_MAX + 1];
	uint32_t week;    /* weeks since 1970-01-05, by surveillance_week_from */
	uint8_t sex;      /* a code; 0 = missing */
	uint8_t cause;    /* a code; 0 = missing */
	uint8_t age_low;  /* completed years, low..high; an age that is known has low == high */
	uint8_t age_high;
	bool age_known;   /* false: missing, whatever low and high say */
	uint32_t handle;  /* the caller's */
};

/* Two cases that may be one child. */
struct surveillance_pair {
	uint32_t first; /* handles, in the order of weeks */
	uint32_t second;
	uint8_t missing; /* how many of sex, age and cause one of them does not say: less to go by */
};

/* Compares all and calls `each` for every candidate until it returns false. Reorders `cases`. What is missing is missing
 * and never a mismatch. */
void surveillance_candidates(struct surveillance_case *cases, size_t count,
	bool (*each)(void *user, const struct surveillance_pair *pair), void *user);

/* "2026-W48" to weeks since the week of 1970-01-05 (ISO 8601). False when there is no such week. */
bool surveillance_week_from(const char *text, uint32_t *out);
#define SURVEILLANCE_WEEK_SIZE 9u
/* The other way, for weeks of the years 1971 to 2200; the empty text for others. */
void surveillance_week_text(uint32_t week, char out[SURVEILLANCE_WEEK_SIZE]);

#endif
