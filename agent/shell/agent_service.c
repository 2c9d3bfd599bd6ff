#include <stdlib.h>
#include <string.h>

#include "agent/core/service.h"
#include "agent/shell/agent_prekeys.h"
#include "agent/shell/agent_service.h"
#include "proto/wire/crypt.h"
#include "proto/wire/message.h"

/* Services on the loop thread: what is known of them, seen from one need; publishing ours; and the answer that we may give
 * by ourselves when somebody asks for a place. */

#define ROWS_MAX 200u
#define LOCATIONS_MAX 8u

/* One directory that is looked at; its entries point into the arena. */
struct said {
	struct said *next;
	struct kw_name agency;
	bool own;
	struct kw_arena arena;
	const Kinward__V1__ServiceDirectory *directory;
};

struct entry {
	const struct said *said;
	Kinward__V1__DirectoryService *service;
	struct agt_fit fit;
	int64_t valid_until_ms;
};

struct view {
	struct agt_need need;
	struct said *said;
	struct spool_answer *answers;
	size_t answer_count;
	struct entry *entries;
	size_t count;
	size_t room;
	enum kw_err err;
};

static void view_fini(struct view *view)
{
	while (view->said != NULL) {
		struct said *next = view->said->next;

		kw_arena_fini(&view->said->arena);
		free(view->said);
		view->said = next;
	}
	free(view->answers);
	free(view->entries);
}

static bool gather_answer(void *user, const struct spool_answer *answer)
{
	struct view *view = user;
	struct spool_answer *grown = realloc(view->answers, (view->answer_count + 1) * sizeof(*grown));

	if (grown == NULL) {
		view->err = KW_ENOMEM;
		return false;
	}
	view->answers = grown;
	view->answers[view->answer_count++] = *answer;
	return true;
}

static bool add_entry(struct view *view, const struct entry *entry)
{
	if (view->count == view->room) {
		size_t room = view->room == 0 ? 64 : view->room * 2;
		struct entry *grown = realloc(view->entries, room * sizeof(*grown));

		if (grown == NULL) {
			view->err = KW_ENOMEM;
			return false;
		}
		view->entries = grown;
		view->room = room;
	}
	view->entries[view->count++] = *entry;
	return true;
}

/* The last answer of an agency about a service, where it was asked for the area that is needed, or none is. */
static void find_answer(const struct view *view, const struct kw_name *agency, struct agt_service *out)
{
	for (size_t i = 0; i < view->answer_count; i++) {
		const struct spool_answer *answer = &view->answers[i];
		const struct agt_service_place place = {.pcode = answer->admin2, .admin_level = 2};
		const char *pcode = view->need.pcode;

		if (answer->at_ms == 0 || answer->at_ms <= out->reply.at_ms || answer->service != out->type ||
			!kw_name_equal(&answer->agency, agency))
			continue;
		if (pcode != NULL && pcode[0] != '\0' && agt_service_area(&place, pcode) > AGT_AREA_WITHIN)
			continue;
		out->reply.capacity = (enum agt_capacity)answer->capacity;
		out->reply.wait_days = answer->wait_days;
		out->reply.at_ms = answer->at_ms;
		out->reply.until_ms = answer->until_ms;
	}
}

/* An entry in the core's terms. places: room for LOCATIONS_MAX. */
static void translate(const Kinward__V1__DirectoryService *from, const Kinward__V1__ServiceDirectory *directory,
	struct agt_service_place *places, struct agt_service *out)
{
	memset(out, 0, sizeof(*out));
	out->type = from->type;
	out->active = from->status == KINWARD__V1__SERVICE_STATUS__SERVICE_STATUS_ACTIVE;
	out->minimum_age = from->minimum_age;
	out->maximum_age = from->maximum_age;
	out->sex = from->sex;
	for (size_t i = 0; i < from->n_languages && i < AGT_SERVICE_LANGUAGES_MAX; i++)
		out->languages[out->language_count++] = from->languages[i];
	for (size_t i = 0; i < from->n_locations && i < LOCATIONS_MAX; i++)
		places[out->place_count++] = (struct agt_service_place){
			.pcode = from->locations[i]->pcode, .admin_level = from->locations[i]->admin_level};
	out->places = places;
	out->capacity = (enum agt_capacity)from->capacity;
	out->wait_days = from->wait_days;
	out->assured_ms = from->assured_unix_ms;
	out->valid_until_ms = from->valid_until_unix_ms < directory->valid_until_unix_ms ? from->valid_until_unix_ms
		: directory->valid_until_unix_ms;
}

static bool look_at(struct view *view, struct said *said)
{
	for (size_t i = 0; i < said->directory->n_services; i++) {
		struct agt_service_place places[LOCATIONS_MAX];
		struct agt_service service;
		struct entry entry = {.said = said, .service = said->directory->services[i]};

		translate(entry.service, said->directory, places, &service);
		find_answer(view, &said->agency, &service);
		entry.valid_until_ms = service.valid_until_ms;
		if (agt_service_fit(&service, &view->need, &entry.fit) && !add_entry(view, &entry))
			return false;
	}
	return true;
}

static bool gather_services(void *user, const struct spool_services *from)
{
	struct view *view = user;
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct said *said = calloc(1, sizeof(*said));

	if (said == NULL) {
		view->err = KW_ENOMEM;
		return false;
	}
	said->agency = from->agency;
	said->own = from->own;
	said->next = view->said;
	view->said = said;
	kw_arena_init(&said->arena, KW_CONTENT_ARENA_MAX);
	if (kw_content_unpack(from->content, &said->arena, &content, &fault) != KW_OK ||
		content->body_case != KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY)
		return true; /* of a version that we do not read */
	said->directory = content->service_directory;
	return look_at(view, said);
}

static int by_fit(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;
	int order = agt_service_order(&x->fit, &y->fit);

	if (order == 0)
		order = strcmp(x->said->agency.text, y->said->agency.text);
	return order != 0 ? order : strcmp(x->service->service_id, y->service->service_id);
}

static void fill_row(const struct entry *entry, Kinward__V1__ServiceRow *row)
{
	uint32_t against = entry->fit.against;

	kinward__v1__service_row__init(row);
	row->agency = (char *)(uintptr_t)entry->said->agency.text;
	row->organization = entry->said->directory->organization;
	row->service = entry->service;
	row->own = entry->said->own;
	row->suited = (against & AGT_AGAINST_UNFIT) == 0;
	row->full = (against & AGT_AGAINST_FULL) != 0;
	row->stale = (against & AGT_AGAINST_STALE) != 0;
	row->inactive = (against & AGT_AGAINST_INACTIVE) != 0;
	row->wrong_age = (against & AGT_AGAINST_AGE) != 0;
	row->wrong_sex = (against & AGT_AGAINST_SEX) != 0;
	row->wrong_language = (against & AGT_AGAINST_LANGUAGE) != 0;
	row->far = (against & AGT_AGAINST_FAR) != 0;
	row->area = (Kinward__V1__ServiceArea)(entry->fit.area + 1); /* the schema keeps 0 for "not known" */
	row->capacity = (Kinward__V1__Capacity)entry->fit.capacity;
	row->wait_days = entry->fit.wait_days;
	row->assured_unix_ms = entry->fit.assured_ms;
	row->answered = entry->fit.answered;
	row->valid_until_unix_ms = entry->valid_until_ms;
}

static enum kw_err reply_services(const struct agent *agent, struct view *view, struct socket_call *call)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__ServiceList body = KINWARD__V1__SERVICE_LIST__INIT;
	size_t count = view->count < ROWS_MAX ? view->count : ROWS_MAX;
	Kinward__V1__ServiceRow *rows = calloc(count + 1, sizeof(*rows));
	Kinward__V1__ServiceRow **list = calloc(count + 1, sizeof(*list));
	enum kw_err err = rows == NULL || list == NULL ? KW_ENOMEM : KW_OK;

	for (size_t i = 0; err == KW_OK && i < count; i++) {
		fill_row(&view->entries[i], &rows[i]);
		rows[i].dormant = !rows[i].own && agent_prekeys_dormant(agent, &view->entries[i].said->agency) != 0;
		list[i] = &rows[i];
	}
	body.rows = list;
	body.n_rows = count;
	body.more = view->count > count;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_SERVICES;
	reply.services = &body;
	if (err == KW_OK)
		socket_call_reply(call, &reply);
	free(rows);
	free(list);
	return err;
}

enum kw_err agent_services(struct agent *agent, const Kinward__V1__ServicesRequest *request, struct socket_call *call)
{
	struct view view = {.need = {.type = request->service,
		.pcode = request->pcode,
		.has_age = request->has_age,
		.age = request->age,
		.sex = request->sex,
		.language = request->language,
		.now_ms = agent_now_ms()}};
	enum kw_err err = spool_answers(agent->spool, gather_answer, &view);

	if (err == KW_OK && view.err == KW_OK)
		err = spool_services(agent->spool, gather_services, &view);
	if (err == KW_OK)
		err = view.err;
	if (err == KW_OK && view.count > 1)
		qsort(view.entries, view.count, sizeof(view.entries[0]), by_fit);
	if (err == KW_OK)
		err = reply_services(agent, &view, call);
	view_fini(&view);
	return err;
}

static void publish_done(struct spool_op *op, enum kw_err err)
{
	struct agent_service_call *wait = op->user;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__PublishReply body = KINWARD__V1__PUBLISH_REPLY__INIT;

	body.count = op->count;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_PUBLISHED;
	reply.published = &body;
	if (err != KW_OK)
		socket_call_refuse(wait->call, err, NULL, NULL);
	else
		socket_call_reply(wait->call, &reply);
	op->user = wait->agent;
	free(wait);
	agent_op_done(op, err);
}

/* Every agency of the directory that is not shut out, but ourselves; or those named. */
static enum kw_err choose_agencies(struct agent *agent, const Kinward__V1__PublishRequest *request, struct spool_op *op,
	struct agent_refusal *refusal)
{
	const struct kw_directory *directory = agent->directory;
	size_t known = directory != NULL ? directory->count : 0;
	size_t room = request->n_agencies != 0 ? request->n_agencies : known;
	struct kw_name *names = calloc(room + 1, sizeof(*names));
	uint32_t count = 0;

	op->u.publish.agencies = names;
	if (names == NULL)
		return KW_ENOMEM;
	for (size_t i = 0; request->n_agencies == 0 && i < known; i++) {
		if (!directory->entries[i].revoked && !kw_name_equal(&directory->entries[i].agency, &agent->office.agency))
			names[count++] = directory->entries[i].agency;
	}
	for (size_t i = 0; i < request->n_agencies; i++) {
		enum kw_err err = agent_service_agency(agent, request->agencies[i], &names[count]);

		if (err != KW_OK) {
			(void)snprintf(refusal->path, sizeof(refusal->path), "publish.agencies[%zu]", i);
			refusal->field = refusal->path;
			return err;
		}
		count++;
	}
	op->u.publish.count = count;
	return KW_OK;
}

enum kw_err agent_publish(struct agent *agent, const Kinward__V1__PublishRequest *request, struct socket_call *call,
	struct agent_refusal *refusal)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	struct spool_op *op;
	uint8_t id[KW_ID_SIZE];

	refusal->field = "publish.directory";
	if (request->directory == NULL)
		return KW_EFIELD;
	op = spool_op_new(SPOOL_OP_PUBLISH);
	struct agent_service_call *wait = agent_service_wait(agent, call);
	enum kw_err err = op == NULL || wait == NULL ? KW_ENOMEM : kw_random(id, sizeof(id));
	if (err != KW_OK)
		goto fail;
	op->u.publish.own = agent->office.agency;
	op->u.publish.issued_ms = request->directory->issued_unix_ms;
	op->u.publish.now_ms = agent_now_ms();
	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	content.created_unix_ms = op->u.publish.now_ms;
	content.body_case = KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY;
	content.service_directory = request->directory;
	err = kw_content_pack(&content, &op->content, &refusal->fault);
	if (err == KW_OK)
		err = choose_agencies(agent, request, op, refusal);
	if (err == KW_OK && spool_space(agent->spool) != SPOOL_SPACE_OK)
		err = KW_ENOSPACE;
	if (err != KW_OK)
		goto fail;
	op->done = publish_done;
	op->user = wait;
	spool_do(agent->spool, op);
	return KW_OK;
fail:
	spool_op_free(op);
	free(wait);
	return err;
}

/* --------------------------------------------------------------------------------------------- answering by ourselves */

static void ages_of(Kinward__V1__AgeBand band, uint32_t *from, uint32_t *to)
{
	static const struct {
		uint32_t from;
		uint32_t to;
	} ages[] = {{0, 120}, {0, 5}, {6, 11}, {12, 14}, {15, 17}, {18, 120}};
	size_t at = (size_t)band < sizeof(ages) / sizeof(ages[0]) ? (size_t)band : 0;

	*from = ages[at].from;
	*to = ages[at].to;
}

/* The best that our own directory says for a query; UNKNOWN as soon as a person must look. */
static enum agt_capacity best_answer(const Kinward__V1__ServiceDirectory *directory, const Kinward__V1__CapacityQuery *query,
	Kinward__V1__CapacityReply *reply)
{
	struct agt_need need = {.type = query->service, .pcode = query->admin2_pcode, .now_ms = agent_now_ms()};
	enum agt_capacity best = AGT_CAPACITY_NONE;
	uint32_t from;
	uint32_t to;

	ages_of(query->age_band, &from, &to);
	for (size_t i = 0; i < directory->n_services; i++) {
		struct agt_service_place places[LOCATIONS_MAX];
		struct agt_service service;

		translate(directory->services[i], directory, places, &service);
		enum agt_capacity capacity = agt_service_answer(&service, &need, from, to);
		if (capacity == AGT_CAPACITY_UNKNOWN)
			return capacity;
		if (capacity > best || (capacity == best && best == AGT_CAPACITY_NONE))
			continue;
		best = capacity;
		reply->until_unix_ms = service.valid_until_ms;
		reply->wait_days = capacity == AGT_CAPACITY_WAITLIST ? service.wait_days : 0;
	}
	reply->capacity = (Kinward__V1__Capacity)best;
	return best;
}

enum kw_err agent_answer_capacity(struct agent *agent, const Kinward__V1__CapacityQuery *query, struct kw_buf *out)
{
	Kinward__V1__CapacityReply reply = KINWARD__V1__CAPACITY_REPLY__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__Content *own = NULL;
	struct kw_fault fault;
	struct kw_arena arena;
	struct kw_buf bytes;
	uint8_t id[KW_ID_SIZE];

	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	enum kw_err err = spool_services_of(agent->spool, &agent->office.agency, &bytes);
	if (err == KW_OK)
		err = kw_content_unpack(kw_buf_view(&bytes), &arena, &own, &fault);
	if (err == KW_OK && own->body_case == KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY &&
		best_answer(own->service_directory, query, &reply) != AGT_CAPACITY_UNKNOWN) {
		err = kw_random(id, sizeof(id));
		content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
		content.created_unix_ms = agent_now_ms();
		content.body_case = KINWARD__V1__CONTENT__BODY_CAPACITY_REPLY;
		content.capacity_reply = &reply;
		if (err == KW_OK)
			err = kw_content_pack(&content, out, &fault);
	}
	kw_buf_fini(&bytes);
	kw_arena_fini(&arena);
	/* Nothing published, or something unreadable: a person answers. */
	return err == KW_ENOMEM ? err : KW_OK;
}
