#ifndef AGENT_CORE_INDICATORS_H
#define AGENT_CORE_INDICATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an agency tells coordination about one week of its own work (DOMAIN.md §6), counted and suppressed here. Pure.
 *
 * A week is one of ISO 8601, Monday 00:00 to Monday 00:00 UTC, and counts what this agency's store took down in it; later
 * steps do not change it. Only the opener of a thread counts it, so no referral is counted by two agencies. All but the
 * care arrangements are counts of what happened in the week and not running totals, which would leak by difference.
 *
 *   unmet demand       referrals that came to their end in the week without a provider: expired, undeliverable, and rejected,
 *                      not provided or completed for a reason of the provider's. One that came back to life and failed
 *                      again is counted once.
 *   completed service  of the accepted referrals that ended in the week (completed, not provided, cancelled) those with
 *                      the service provided, whole or in part
 *   follow-up coverage of the reunifications whose 30 days were over in the week those that were followed up within them
 *   care arrangement   registered children in an arrangement, at the time of counting
 *   in care            of the same children those with a parent, or in care that a family or the child's own community gives
 *                      and that can last: caregiver by custom, adult sibling, kin, foster family, kafala, and living by oneself
 *                      with support. Not those in an institution or with an unrelated adult, in a household that a child
 *                      heads, or in none
 *
 * One whose consent was withdrawn is in none of them. */

#define INDICATORS_FOLLOW_UP_MS (INT64_C(30) * 86400000)
#define INDICATORS_SERVICES_MAX 19u /* codes of ServiceType, from 1 */
#define INDICATORS_CARES_MAX 13u    /* codes of CareArrangement, from 1 */
#define INDICATORS_AREAS_MAX 32u
#define INDICATORS_AREA_SIZE_MAX 20u
#define INDICATORS_CELLS_MAX (2u * INDICATORS_SERVICES_MAX * INDICATORS_AREAS_MAX + INDICATORS_CARES_MAX + 2u)
/* ServiceType of which nothing below 10 is told: a safehouse says what somebody fled from. */
#define INDICATORS_SENSITIVE_SERVICE 1u
#define INDICATORS_DIGITS_DEFAULT 2u
#define INDICATORS_DIGITS_MAX 9u

struct indicators_week {
	int64_t from_ms; /* milliseconds since 1970 */
	int64_t to_ms;   /* the first one after it */
};
/* "2026-W48". False when there is no such week. */
bool indicators_week_from(const char *text, struct indicators_week *out);

struct indicators_place {
	const char *country; /* ISO 3166-1 alpha-2, or empty */
	const char *pcode;   /* or empty */
	uint32_t level;      /* of the P-code; 0 also when it is not said */
	uint32_t digits;     /* of a P-code of level 1 after the country's letters, 1..INDICATORS_DIGITS_MAX */
};
/* The P-code of level 1 in which a place is. One that says that it is of level 1 stands; of another the country's two
 * letters and the first `digits` digits are taken, as the common operational datasets make them; one that is too short, or
 * none, gives the country. False when that is not known either. */
bool indicators_area_from(const struct indicators_place *place, char out[INDICATORS_AREA_SIZE_MAX + 1]);

/* One step of a thread that counts: not refused, no repeat, not waiting. In the order of the thread. */
struct indicators_step {
	uint8_t state;   /* kw_referral_state or kw_tracing_state */
	uint8_t reason;  /* ReferralReason; 0 = not known */
	uint8_t outcome; /* ReferralOutcome; 0 = not known */
	int64_t at_ms;
};
struct indicators_thread {
	const struct indicators_step *steps;
	size_t count;
};

struct indicators_rate {
	uint32_t numerator;
	uint32_t denominator;
};

struct indicators_book {
	struct indicators_week week;
	uint32_t areas_count;
	char areas[INDICATORS_AREAS_MAX][INDICATORS_AREA_SIZE_MAX + 1];
	uint32_t unmet[INDICATORS_SERVICES_MAX][INDICATORS_AREAS_MAX];
	struct indicators_rate completed[INDICATORS_SERVICES_MAX][INDICATORS_AREAS_MAX];
	struct indicators_rate follow_up;
	uint32_t cares[INDICATORS_CARES_MAX];
};

enum indicators_result {
	INDICATORS_NOTHING, /* it is in no count of this week */
	INDICATORS_COUNTED,
	INDICATORS_NO_PLACE, /* it would be, but for want of a service or an area */
	INDICATORS_FULL      /* more than INDICATORS_AREAS_MAX areas */
};
/* A referral of ours. area: empty when not known. */
enum indicators_result indicators_referral(struct indicators_book *book, const struct indicators_thread *thread,
	uint32_t service, const char *area);
/* A child that we look for family of. */
void indicators_tracing(struct indicators_book *book, const struct indicators_thread *thread);
/* So many registered children in an arrangement; a code that is not known is left out. */
void indicators_care(struct indicators_book *book, uint32_t care_arrangement, uint32_t count);

/* Numbers of Indicator in supervision.proto. */
enum indicators_kind { INDICATORS_UNMET = 1, INDICATORS_COMPLETED, INDICATORS_FOLLOW_UP, INDICATORS_CARE, INDICATORS_IN_CARE };
struct indicators_cell {
	enum indicators_kind kind;
	uint32_t service;          /* 0: none */
	uint32_t care_arrangement; /* 0: none */
	const char *area;          /* in the book; empty: none */
	uint32_t numerator;        /* both 0 when hidden */
	uint32_t denominator;      /* 0: a plain count */
	bool hidden;
};
/* Suppressed, by indicator, service and area; zeros that nothing hides are left out. cells: INDICATORS_CELLS_MAX. */
size_t indicators_cells(const struct indicators_book *book, struct indicators_cell *cells);

#endif
