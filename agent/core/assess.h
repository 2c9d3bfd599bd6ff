#ifndef AGENT_CORE_ASSESS_H
#define AGENT_CORE_ASSESS_H

#include <stdbool.h>
#include <stdint.h>

/* Which assessment to make, and which form of the rapid one. Pure. The order of the assessments in an emergency follows
 * the Child Protection Rapid Assessment Toolkit (Global Protection Cluster, 2012); the border between sampling and
 * assessing each site is DOMAIN.md §3. It advises; people decide. */

/* With fewer distinct affected communities than this each one is assessed (site-specific); from here on they are sampled. */
#define ASSESS_SAMPLED_COMMUNITIES_MIN 15u
#define ASSESS_COMMUNITIES_MAX 100000u

enum assess_phase {
	ASSESS_FIRST_72_HOURS,
	ASSESS_FIRST_TWO_WEEKS,
	ASSESS_LATER
};

enum assess_access {
	ASSESS_ACCESS_NONE,   /* nobody can reach the sites */
	ASSESS_ACCESS_REMOTE, /* people there can be called, sites cannot be visited */
	ASSESS_ACCESS_SITES   /* teams can visit sites */
};

struct assess_question {
	enum assess_phase phase;
	enum assess_access access;
	uint32_t communities;      /* distinct affected ones, 0..ASSESS_COMMUNITIES_MAX; 0 = not known */
	bool recent_cp_data;       /* a child protection assessment of the same area since the emergency began */
	bool multi_sector_planned; /* a joint assessment of all sectors that takes child protection questions */
};

enum assess_choice {
	ASSESS_DESK_REVIEW,
	ASSESS_MULTI_SECTOR,
	ASSESS_RAPID,
	ASSESS_SITE_SPECIFIC
};

struct assess_advice {
	enum assess_choice choice;
	const char *reason; /* one English sentence, static */
	const char *next;   /* what comes after it, likewise */
};

/* Always answers. */
struct assess_advice assess_choose(const struct assess_question *question);
/* "desk_review", "multi_sector", "rapid", "site_specific". */
const char *assess_choice_name(enum assess_choice choice);
/* Must a rapid assessment use the site-specific form? communities: 1 or more. */
bool assess_is_site_specific(uint32_t communities);

#endif
