#include "agent/core/service.h"

#include <string.h>

#define COUNTRY_SIZE 2u /* a P-code begins with the country */
#define LEVEL_SIZE 2u   /* what most countries add for each level */

/* Characters that each level adds, where the place tells them. */
static size_t level_size(const struct agt_service_place *place, size_t size)
{
	size_t rest = size - COUNTRY_SIZE;

	if (place->admin_level == 0 || rest == 0 || rest % place->admin_level != 0)
		return LEVEL_SIZE;
	return rest / place->admin_level;
}

static size_t common_size(const char *a, const char *b)
{
	size_t size = 0;

	while (a[size] != '\0' && a[size] == b[size])
		size++;
	return size;
}

enum agt_area agt_service_area(const struct agt_service_place *place, const char *pcode)
{
	size_t ours = strlen(place->pcode);
	size_t theirs = strlen(pcode);
	size_t common = common_size(place->pcode, pcode);

	if (ours < COUNTRY_SIZE || common < COUNTRY_SIZE)
		return AGT_AREA_ABROAD;
	if (common == ours && common == theirs)
		return AGT_AREA_SAME;
	size_t level = (common - COUNTRY_SIZE) / level_size(place, ours);
	if (common == ours)
		return AGT_AREA_COVERS;
	if (common == theirs)
		return AGT_AREA_WITHIN;
	if (level >= 2)
		return AGT_AREA_NEAR;
	return level == 1 ? AGT_AREA_PROVINCE : AGT_AREA_COUNTRY;
}

static enum agt_area nearest(const struct agt_service *service, const char *pcode)
{
	enum agt_area best = AGT_AREA_ABROAD;

	if (pcode == NULL || pcode[0] == '\0')
		return AGT_AREA_SAME;
	for (size_t i = 0; i < service->place_count; i++) {
		enum agt_area area = agt_service_area(&service->places[i], pcode);

		best = area < best ? area : best;
	}
	return best;
}

static bool speaks(const struct agt_service *service, const char *language)
{
	if (language == NULL || language[0] == '\0' || service->language_count == 0)
		return true;
	for (size_t i = 0; i < service->language_count; i++) {
		if (strcmp(service->languages[i], language) == 0)
			return true;
	}
	return false;
}

static bool is_stale(const struct agt_service *service, int64_t now_ms)
{
	return now_ms - service->assured_ms > AGT_SERVICE_ASSURED_MS || now_ms >= service->valid_until_ms;
}

static bool reply_counts(const struct agt_service *service, int64_t now_ms)
{
	if (service->reply.at_ms == 0 || service->reply.at_ms < service->assured_ms)
		return false; /* none, or the entry was looked at since */
	if (service->reply.until_ms != 0)
		return now_ms < service->reply.until_ms;
	return now_ms - service->reply.at_ms < AGT_SERVICE_REPLY_MS;
}

bool agt_service_fit(const struct agt_service *service, const struct agt_need *need, struct agt_fit *out)
{
	if (need->type != 0 && need->type != service->type)
		return false;
	*out = (struct agt_fit){.area = nearest(service, need->pcode),
		.capacity = service->capacity,
		.wait_days = service->wait_days,
		.assured_ms = service->assured_ms};
	out->answered = reply_counts(service, need->now_ms);
	if (out->answered) {
		out->capacity = service->reply.capacity;
		out->wait_days = service->reply.wait_days;
		out->assured_ms = service->reply.at_ms;
	}
	if (!service->active)
		out->against |= AGT_AGAINST_INACTIVE;
	if (need->has_age && (need->age < service->minimum_age ||
		(service->maximum_age != 0 && need->age > service->maximum_age)))
		out->against |= AGT_AGAINST_AGE;
	if (need->sex != 0 && service->sex != 0 && need->sex != service->sex)
		out->against |= AGT_AGAINST_SEX;
	if (!speaks(service, need->language))
		out->against |= AGT_AGAINST_LANGUAGE;
	if (out->area > AGT_AREA_PROVINCE)
		out->against |= AGT_AGAINST_FAR;
	if (out->capacity == AGT_CAPACITY_NONE)
		out->against |= AGT_AGAINST_FULL;
	/* An answer of today says more than the entry's age. */
	if (is_stale(service, need->now_ms) && !out->answered)
		out->against |= AGT_AGAINST_STALE;
	return true;
}

/* The first that differs decides. */
static int by(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

int agt_service_order(const struct agt_fit *a, const struct agt_fit *b)
{
	int order = by((a->against & AGT_AGAINST_UNFIT) != 0, (b->against & AGT_AGAINST_UNFIT) != 0);

	if (order == 0)
		order = by((a->against & AGT_AGAINST_FULL) != 0, (b->against & AGT_AGAINST_FULL) != 0);
	if (order == 0)
		order = by((a->against & AGT_AGAINST_STALE) != 0, (b->against & AGT_AGAINST_STALE) != 0);
	if (order == 0)
		order = by(a->capacity == AGT_CAPACITY_WAITLIST, b->capacity == AGT_CAPACITY_WAITLIST);
	if (order == 0)
		order = by(a->area, b->area);
	if (order == 0)
		order = by(a->wait_days, b->wait_days);
	return order != 0 ? order : by(b->assured_ms, a->assured_ms);
}

enum agt_capacity agt_service_answer(const struct agt_service *service, const struct agt_need *need, uint32_t age_from,
	uint32_t age_to)
{
	struct agt_fit fit;

	if (!agt_service_fit(service, need, &fit) || !service->active || fit.area > AGT_AREA_NEAR ||
		age_to < service->minimum_age || (service->maximum_age != 0 && age_from > service->maximum_age))
		return AGT_CAPACITY_NONE;
	return (fit.against & AGT_AGAINST_STALE) != 0 ? AGT_CAPACITY_UNKNOWN : service->capacity;
}
