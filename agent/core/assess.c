#include "agent/core/assess.h"

bool assess_is_site_specific(uint32_t communities)
{
	return communities < ASSESS_SAMPLED_COMMUNITIES_MIN;
}

/* The sites can be visited and the first two weeks are over, or nobody else assesses. */
static struct assess_advice by_communities(uint32_t communities)
{
	if (communities == 0)
		return (struct assess_advice){ASSESS_DESK_REVIEW,
			"How many communities are affected is not known, so no sample can be drawn.",
			"List the affected communities from what exists, then ask again with their number."};
	if (assess_is_site_specific(communities))
		return (struct assess_advice){ASSESS_SITE_SPECIFIC,
			"Fewer than 15 communities are affected: too few to sample, few enough to assess each.",
			"Send one rapid assessment for each site, marked site_specific."};
	return (struct assess_advice){ASSESS_RAPID,
		"15 or more communities are affected and can be visited: a sample of sites speaks for all.",
		"Draw the sites on purpose over area, access and kind of site; send one rapid assessment for each."};
}

struct assess_advice assess_choose(const struct assess_question *question)
{
	if (question->phase == ASSESS_FIRST_72_HOURS)
		return (struct assess_advice){ASSESS_DESK_REVIEW,
			"In the first 72 hours responding comes first, and what was known before tells most.",
			"Prepare child protection questions for the joint assessment of the first two weeks."};
	if (question->access == ASSESS_ACCESS_NONE)
		return (struct assess_advice){ASSESS_DESK_REVIEW,
			"No site can be reached and nobody there can be asked.",
			"Assess as soon as people there can be called or visited."};
	if (question->recent_cp_data)
		return (struct assess_advice){ASSESS_DESK_REVIEW,
			"Communities were asked about child protection since the emergency began; do not ask them again.",
			"Fill gaps by site-specific assessments, and watch changes by weekly separation reports."};
	if (question->phase == ASSESS_FIRST_TWO_WEEKS && question->multi_sector_planned)
		return (struct assess_advice){ASSESS_MULTI_SECTOR,
			"All sectors assess together in the first two weeks; child protection adds its questions.",
			"A rapid assessment of child protection follows from the third week."};
	if (question->access == ASSESS_ACCESS_REMOTE)
		return (struct assess_advice){question->multi_sector_planned ? ASSESS_MULTI_SECTOR : ASSESS_DESK_REVIEW,
			"Sites cannot be visited: calls to key informants add to what exists, but draw no sample.",
			"Mark each call as method key_informant with low or medium confidence."};
	return by_communities(question->communities);
}

const char *assess_choice_name(enum assess_choice choice)
{
	static const char *const NAMES[] = {
		[ASSESS_DESK_REVIEW] = "desk_review",
		[ASSESS_MULTI_SECTOR] = "multi_sector",
		[ASSESS_RAPID] = "rapid",
		[ASSESS_SITE_SPECIFIC] = "site_specific",
	};
	return NAMES[choice];
}
