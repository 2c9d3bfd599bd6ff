#ifndef AGENT_CORE_SERVICE_H
#define AGENT_CORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which entry of a service directory suits whom, and in which order to try them. Pure: time comes in, texts are borrowed,
 * numbers are those of the schema's enums. Nothing here hides an entry: what speaks against it is said beside it. */

#define AGT_SERVICE_ASSURED_MS (90 * INT64_C(86400000)) /* assured longer ago than this: stale */
#define AGT_SERVICE_REPLY_MS (7 * INT64_C(86400000))    /* an answer that names no end counts so long */
#define AGT_SERVICE_LANGUAGES_MAX 8u

enum agt_capacity { AGT_CAPACITY_UNKNOWN, AGT_CAPACITY_AVAILABLE, AGT_CAPACITY_WAITLIST, AGT_CAPACITY_NONE };

/* How the place of a service lies to the place where it is needed, nearest first. */
enum agt_area {
	AGT_AREA_SAME,     /* the same area */
	AGT_AREA_COVERS,   /* given for a larger area, in which it is */
	AGT_AREA_WITHIN,   /* given in a part of the area */
	AGT_AREA_NEAR,     /* both lie in one area of level 2 */
	AGT_AREA_PROVINCE, /* both lie in one area of level 1 */
	AGT_AREA_COUNTRY,  /* the same country */
	AGT_AREA_ABROAD
};

/* What speaks against an entry. */
enum agt_against {
	AGT_AGAINST_INACTIVE = 1u << 0,
	AGT_AGAINST_AGE = 1u << 1,
	AGT_AGAINST_SEX = 1u << 2,
	AGT_AGAINST_LANGUAGE = 1u << 3,
	AGT_AGAINST_FAR = 1u << 4,  /* not in the same area of level 1 */
	AGT_AGAINST_FULL = 1u << 5, /* no place, or the last answer said so */
	AGT_AGAINST_STALE = 1u << 6 /* assured too long ago, or past its end */
};
/* With one of these it is not for this person at all. */
#define AGT_AGAINST_UNFIT \
	(AGT_AGAINST_INACTIVE | AGT_AGAINST_AGE | AGT_AGAINST_SEX | AGT_AGAINST_LANGUAGE | AGT_AGAINST_FAR)

struct agt_service_place {
	const char *pcode;
	uint32_t admin_level;
};

struct agt_service {
	uint32_t type;
	bool active;
	uint32_t minimum_age;
	uint32_t maximum_age; /* 0: no limit */
	uint32_t sex;         /* 0: all */
	const char *languages[AGT_SERVICE_LANGUAGES_MAX];
	size_t language_count; /* 0: not said, which speaks against nothing */
	const struct agt_service_place *places;
	size_t place_count;
	enum agt_capacity capacity;
	uint32_t wait_days;
	int64_t assured_ms;
	int64_t valid_until_ms; /* of the entry or of the directory, whichever is first */
	/* The agency's last answer about this service; at_ms 0: none. */
	struct {
		enum agt_capacity capacity;
		uint32_t wait_days;
		int64_t at_ms;
		int64_t until_ms; /* 0: it names no end */
	} reply;
};

struct agt_need {
	uint32_t type;        /* 0: any */
	const char *pcode;    /* NULL or empty: anywhere */
	bool has_age;
	uint32_t age;
	uint32_t sex;         /* 0: not said */
	const char *language; /* NULL or empty: not said */
	int64_t now_ms;
};

struct agt_fit {
	uint32_t against;  /* enum agt_against */
	enum agt_area area;
	enum agt_capacity capacity; /* the answer's where there is one that still counts */
	uint32_t wait_days;
	bool answered;
	int64_t assured_ms;
};

/* false: another type of service. */
bool agt_service_fit(const struct agt_service *service, const struct agt_need *need, struct agt_fit *out);
/* How a place lies to `pcode`. A P-code begins with the code of its parent area; how long the codes of a level are is told
 * from the place's own level. */
enum agt_area agt_service_area(const struct agt_service_place *place, const char *pcode);
/* Of two fits: below 0 when `a` is to be tried first, 0 when nothing tells them apart. */
int agt_service_order(const struct agt_fit *a, const struct agt_fit *b);
/* What a provider may answer by itself to a question for this need, from its own entry: the capacity, or
 * AGT_CAPACITY_UNKNOWN when a person must answer because the entry is stale. age band: ages from..to. */
enum agt_capacity agt_service_answer(const struct agt_service *service, const struct agt_need *need, uint32_t age_from,
	uint32_t age_to);

#endif
