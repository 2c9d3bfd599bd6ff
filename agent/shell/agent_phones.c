#include "agent/shell/agent_phones.h"

#include <string.h>

#include "agent/core/service.h"
#include "agent/shell/spool_offer.h"
#include "proto/wire/message.h"

static void add(struct agent_phones *phones, const char *phone)
{
	size_t size = strlen(phone);

	if (size > AGENT_PHONE_SIZE_MAX || phones->count == AGENT_PHONES_MAX)
		return;
	for (size_t i = 0; i < phones->count; i++)
		if (strcmp(phones->texts[i], phone) == 0)
			return;
	memcpy(phones->texts[phones->count], phone, size + 1);
	phones->list[phones->count] = phones->texts[phones->count];
	phones->count++;
}

void agent_phones_of(struct agent *agent, const struct kw_name *agency, uint32_t service, struct agent_phones *out)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;
	struct kw_buf bytes;

	out->count = 0;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	if (spool_services_of(agent->spool, agency, &bytes) != KW_OK ||
		kw_content_unpack(kw_buf_view(&bytes), &arena, &content, &fault) != KW_OK ||
		content->body_case != KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY)
		goto out; /* a reminder without a phone is better than none */
	for (int other = 0; other <= 1; other++) {
		for (size_t i = 0; i < content->service_directory->n_services; i++) {
			const Kinward__V1__DirectoryService *offered = content->service_directory->services[i];

			if (((uint32_t)offered->type != service) != (other == 1))
				continue;
			for (size_t k = 0; k < offered->n_phones; k++)
				add(out, offered->phones[k]);
		}
	}
out:
	kw_buf_fini(&bytes);
	kw_arena_fini(&arena);
}

#define PLACES_MAX 16u
#define PCODE_SIZE_MAX 20u

struct search {
	const struct agent *agent;
	const struct kw_name *agency;
	uint32_t service;
	int64_t now_ms;
	size_t place_count;
	char places[PLACES_MAX][PCODE_SIZE_MAX + 1]; /* where `agency` offers it */
	struct agent_alternates *out;
};

/* How near a service is to where it is needed; AGT_AREA_ABROAD when that is not known and so nothing is far. */
static enum agt_area area_of(const struct search *search, const Kinward__V1__DirectoryService *offered)
{
	enum agt_area nearest = AGT_AREA_ABROAD;

	for (size_t i = 0; i < offered->n_locations; i++) {
		const struct agt_service_place place = {
			.pcode = offered->locations[i]->pcode, .admin_level = offered->locations[i]->admin_level};

		for (size_t k = 0; k < search->place_count; k++) {
			enum agt_area area = agt_service_area(&place, search->places[k]);

			nearest = area < nearest ? area : nearest;
		}
	}
	return nearest;
}

static void add_places(struct search *search, const Kinward__V1__DirectoryService *offered)
{
	for (size_t i = 0; i < offered->n_locations && search->place_count < PLACES_MAX; i++) {
		size_t size = strlen(offered->locations[i]->pcode);

		if (size <= PCODE_SIZE_MAX)
			memcpy(search->places[search->place_count++], offered->locations[i]->pcode, size + 1);
	}
}

/* Its place among the others, or the one that it has; NULL when all are nearer. */
static struct agent_alternate *place_of(struct agent_alternates *out, const struct kw_name *agency, enum agt_area area)
{
	size_t at = 0;

	for (size_t i = 0; i < out->count; i++)
		if (kw_name_equal(&out->list[i].agency, agency))
			return &out->list[i]; /* its services are met one after the other; the first says how near it is */
	while (at < out->count && out->list[at].area <= (int)area)
		at++;
	if (at == AGENT_ALTERNATES_MAX)
		return NULL;
	out->count += out->count < AGENT_ALTERNATES_MAX;
	memmove(&out->list[at + 1], &out->list[at], (out->count - at - 1) * sizeof(out->list[0]));
	out->list[at] = (struct agent_alternate){.agency = *agency, .area = (int)area};
	return &out->list[at];
}

static void add_alternate(struct search *search, const struct kw_name *agency, const Kinward__V1__DirectoryService *offered)
{
	enum agt_area area = area_of(search, offered);
	struct agent_alternate *alternate =
		search->place_count == 0 || area <= AGT_AREA_NEAR ? place_of(search->out, agency, area) : NULL;

	for (size_t i = 0; alternate != NULL && i < offered->n_phones && alternate->count < AGENT_ALTERNATE_PHONES_MAX; i++) {
		size_t size = strlen(offered->phones[i]);
		bool there = size > AGENT_PHONE_SIZE_MAX;

		for (size_t k = 0; k < alternate->count; k++)
			there = there || strcmp(alternate->texts[k], offered->phones[i]) == 0;
		if (!there)
			memcpy(alternate->texts[alternate->count++], offered->phones[i], size + 1);
	}
}

static bool has_room(const struct search *search, const Kinward__V1__DirectoryService *offered,
	const Kinward__V1__ServiceDirectory *directory)
{
	return offered->status == KINWARD__V1__SERVICE_STATUS__SERVICE_STATUS_ACTIVE &&
	       offered->capacity != KINWARD__V1__CAPACITY__CAPACITY_NONE && offered->valid_until_unix_ms > search->now_ms &&
	       directory->valid_until_unix_ms > search->now_ms;
}

static void look_at(struct search *search, const struct kw_name *agency, struct kw_view bytes, bool places)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;

	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	if (kw_content_unpack(bytes, &arena, &content, &fault) == KW_OK &&
		content->body_case == KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY) {
		const Kinward__V1__ServiceDirectory *directory = content->service_directory;

		for (size_t i = 0; i < directory->n_services; i++) {
			if ((uint32_t)directory->services[i]->type != search->service)
				continue;
			if (places)
				add_places(search, directory->services[i]);
			else if (has_room(search, directory->services[i], directory))
				add_alternate(search, agency, directory->services[i]);
		}
	}
	kw_arena_fini(&arena);
}

static bool gather(void *user, const struct spool_services *said)
{
	struct search *search = user;

	if (!said->own && !kw_name_equal(&said->agency, search->agency))
		look_at(search, &said->agency, said->content, false);
	return true;
}

void agent_alternates_of(struct agent *agent, const struct kw_name *agency, uint32_t service, struct agent_alternates *out)
{
	struct search search = {.agent = agent, .agency = agency, .service = service, .now_ms = agent_now_ms(), .out = out};
	struct kw_buf bytes;

	out->count = 0;
	if (service == 0)
		return;
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	if (spool_services_of(agent->spool, agency, &bytes) == KW_OK)
		look_at(&search, agency, kw_buf_view(&bytes), true);
	kw_buf_fini(&bytes);
	if (spool_services(agent->spool, gather, &search) != KW_OK)
		out->count = 0; /* a reminder without them is better than none */
}
