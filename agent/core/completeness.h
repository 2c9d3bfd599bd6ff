#ifndef AGENT_CORE_COMPLETENESS_H
#define AGENT_CORE_COMPLETENESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Weekly separation reports: who has reported and who has not (DOMAIN.md §6, separation surveillance). A week without reports
 * is no week without cases, so the number of cases never stands alone. Pure.
 *
 * A site is one focal point in one village. A zero report is a report. Of several reports of a site and week the last taken
 * counts, as a correction does. */

#define COMPLETENESS_SITES_MAX 4000u
#define COMPLETENESS_WEEKS_MAX 104u

struct completeness_site {
	uint32_t expected_from; /* the first week, as by surveillance_week_from, of which a report is expected */
	uint32_t children;      /* in the village; 0 when not known */
};

struct completeness_cell {
	bool reported;
	bool zero;
	uint32_t cases;
	uint32_t verified; /* new ones: a caseworker verified them, and they were not in an earlier report */
};

/* What was taken; the arrays are the caller's. */
struct completeness_book {
	const struct completeness_site *sites;
	size_t sites_count;              /* 0..COMPLETENESS_SITES_MAX */
	uint32_t first_week;
	uint32_t weeks_count;            /* 0..COMPLETENESS_WEEKS_MAX */
	struct completeness_cell *cells; /* sites_count × weeks_count, site by site, zeroed at the beginning */
};

/* One week, or several together. */
struct completeness_sum {
	uint32_t expected; /* reports: one for each site and week */
	uint32_t reported; /* of these, 0..expected */
	uint32_t zero;     /* of these */
	uint32_t cases;    /* in all reports */
	uint32_t verified;
	uint64_t child_weeks; /* children × weeks of the sites that reported and whose children are known */
	uint32_t verified_there; /* new verified cases of these sites: the incidence is verified_there ÷ child_weeks */
};

/* One report. False when the site or the week is not in the book. */
bool completeness_take(struct completeness_book *book, size_t site, uint32_t week, const struct completeness_cell *report);
/* Adds one week to a sum. A site is not expected before its first week; one that reported before it is expected all the same. */
void completeness_add(const struct completeness_book *book, uint32_t week, struct completeness_sum *sum);
/* Is the report of this site and week still missing? */
bool completeness_is_missing(const struct completeness_book *book, size_t site, uint32_t week);

#endif
