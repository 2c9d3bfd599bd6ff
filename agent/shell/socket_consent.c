#include <stdlib.h>
#include <string.h>

#include "agent/shell/spool_consent.h"
#include "agent/shell/socket_inner.h"
#include "agent/shell/socket_same.h"

/* What was asked about consent: those without an answer first, the oldest of them first, because somebody must see to them. */

struct socket_consent {
	struct spool_erasure erasure;
	Kinward__V1__ConsentRow row;
	char *passed[SPOOL_PASSED_MAX];
	struct socket_same_names *same; /* NULL: none */
	Kinward__V1__ConsentPurpose purposes[7];
};

struct gather {
	struct socket_consents *out;
	const uint8_t *case_tag; /* NULL: all */
	uint64_t case_id;        /* and those of this case; 0: none */
	enum kw_err err;
};

static bool gather_one(void *user, const struct spool_erasure *erasure)
{
	struct gather *gather = user;
	struct socket_consents *out = gather->out;

	if (gather->case_tag != NULL && (gather->case_id == 0 || erasure->case_id != gather->case_id) &&
		memcmp(gather->case_tag, erasure->case_tag, sizeof(erasure->case_tag)) != 0)
		return true;
	if (out->count == out->room) {
		size_t room = out->room == 0 ? 64 : out->room * 2;
		struct socket_consent *list = reallocarray(out->list, room, sizeof(*list));

		if (list == NULL) {
			gather->err = KW_ENOMEM;
			return false;
		}
		out->list = list;
		out->room = room;
	}
	out->list[out->count++] = (struct socket_consent){.erasure = *erasure};
	return true;
}

static int by_need(const void *a, const void *b)
{
	const struct spool_erasure *x = &((const struct socket_consent *)a)->erasure;
	const struct spool_erasure *y = &((const struct socket_consent *)b)->erasure;

	if (spool_erasure_is_open(x) != spool_erasure_is_open(y))
		return spool_erasure_is_open(x) ? -1 : 1;
	if (x->asked_ms != y->asked_ms)
		return x->asked_ms < y->asked_ms ? -1 : 1;
	return strcmp(x->agency.text, y->agency.text);
}

static void fill(struct socket_consent *consent)
{
	struct spool_erasure *erasure = &consent->erasure;
	Kinward__V1__ConsentRow *row = &consent->row;

	kinward__v1__consent_row__init(row);
	row->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = erasure->thread_id.bytes};
	row->agency = erasure->agency.text;
	row->asked_us = erasure->role == SPOOL_ERASURE_HOLDER;
	row->action = (Kinward__V1__ErasureAction)erasure->action;
	row->reason = (Kinward__V1__ErasureReason)erasure->reason;
	row->outcome = (Kinward__V1__ErasureOutcome)erasure->outcome;
	row->legal_ground = (Kinward__V1__LegalGround)erasure->ground;
	row->retained_until_unix_ms = erasure->until_ms;
	row->note = erasure->note;
	row->asked_unix_ms = erasure->asked_ms;
	row->answered_unix_ms = erasure->answered_ms;
	row->question = (Kinward__V1__OutState)erasure->sent;
	if (erasure->failure != KW_OK)
		row->failure = (char *)(uintptr_t)kw_err_name(erasure->failure);
	for (uint32_t i = 0; i < erasure->passed_count; i++)
		consent->passed[i] = erasure->passed[i].text;
	row->passed_to = consent->passed;
	row->n_passed_to = erasure->passed_count;
	row->passed_to_more = erasure->passed_more;
	row->waits_for_us = erasure->due;
	row->passed_on = erasure->passed_on;
	row->limited = erasure->limited;
	row->purposes = consent->purposes;
	for (unsigned i = 0; i < 7; i++)
		if ((erasure->purposes & (1u << i)) != 0)
			consent->purposes[row->n_purposes++] = (Kinward__V1__ConsentPurpose)(i + 1);
}

enum kw_err socket_consent_of(struct spool *spool, const struct spool_thread *thread, struct socket_consents *out)
{
	*out = (struct socket_consents){.list = calloc(1, sizeof(struct socket_consent)), .room = 1};
	if (out->list == NULL)
		return KW_ENOMEM;
	enum kw_err err = spool_erasure(spool, &thread->thread_id, &thread->agency, &out->list[0].erasure);
	if (err == KW_ENOTFOUND || err == KW_ECORRUPT)
		return KW_OK;
	if (err == KW_OK)
		out->rows = calloc(1, sizeof(out->rows[0]));
	if (err != KW_OK || out->rows == NULL)
		return err != KW_OK ? err : KW_ENOMEM;
	fill(&out->list[0]);
	out->rows[out->count++] = &out->list[0].row;
	return KW_OK;
}

void socket_same_names_fill(struct socket_same_names *same)
{
	for (uint32_t i = 0; i < same->list.count; i++) {
		struct spool_same_name *from = &same->list.list[i];

		kinward__v1__same_name__init(&same->body[i]);
		same->body[i].thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->thread_id.bytes};
		same->body[i].agency = from->agency.text;
		same->rows[i] = &same->body[i];
	}
}

/* Those that nobody was asked in, though they are called alike: a person says whether it is the same child. */
static enum kw_err fill_same(struct spool *spool, struct socket_consent *consent)
{
	struct spool_same_names same;
	enum kw_err err = spool_same_names(spool, 0, &consent->erasure.thread_id, &same);

	if (err != KW_OK || same.count == 0)
		return err;
	consent->same = calloc(1, sizeof(*consent->same));
	if (consent->same == NULL)
		return KW_ENOMEM;
	consent->same->list = same;
	socket_same_names_fill(consent->same);
	consent->row.same_name = consent->same->rows;
	consent->row.n_same_name = same.count;
	return KW_OK;
}

enum kw_err socket_consents(struct spool *spool, const Kinward__V1__ConsentListRequest *request,
	struct socket_consents *out)
{
	uint8_t tag[sizeof(((struct spool_erasure *)0)->case_tag)];
	struct gather gather = {.out = out};
	enum kw_err err = KW_OK;

	*out = (struct socket_consents){0};
	if (request->case_ref[0] != '\0') {
		if (strlen(request->case_ref) > SPOOL_CASE_REF_SIZE_MAX)
			return KW_EFIELD;
		gather.case_tag = tag;
		err = spool_case_tag(spool, request->case_ref, tag);
		if (err == KW_OK)
			err = spool_case_of(spool, request->case_ref, &gather.case_id);
	}
	if (err == KW_OK)
		err = spool_erasures(spool, request->open, gather_one, &gather);
	if (err == KW_OK)
		err = gather.err;
	if (err == KW_OK)
		out->rows = calloc(out->count + 1, sizeof(struct socket_consent *));
	if (err == KW_OK && out->rows == NULL)
		err = KW_ENOMEM;
	if (err != KW_OK || out->count == 0)
		return err;
	qsort(out->list, out->count, sizeof(out->list[0]), by_need);
	for (size_t i = 0; err == KW_OK && i < out->count; i++) {
		fill(&out->list[i]);
		out->rows[i] = &out->list[i].row;
		err = fill_same(spool, &out->list[i]);
	}
	return err;
}

void socket_consents_fini(struct socket_consents *consents)
{
	for (size_t i = 0; i < consents->count; i++)
		free(consents->list[i].same);
	free(consents->list);
	free(consents->rows);
	*consents = (struct socket_consents){0};
}

void socket_do_consents(struct socket_conn *conn, uint64_t id, const Kinward__V1__ConsentListRequest *request)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__ConsentList body = KINWARD__V1__CONSENT_LIST__INIT;
	struct socket_consents consents;
	struct socket_clears clears = {0};
	enum kw_err err = socket_consents(conn->socket->host.spool, request, &consents);

	if (err == KW_OK)
		err = socket_clears(conn->socket->host.spool, &clears);

	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){.field = err == KW_EFIELD ? "consent_list.case_ref" : NULL});
	} else {
		body.rows = consents.rows;
		body.n_rows = consents.count;
		body.clears = clears.rows;
		body.n_clears = clears.count;
		reply.id = id;
		reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_CONSENTS;
		reply.consents = &body;
		socket_reply(conn, &reply);
	}
	socket_consents_fini(&consents);
	socket_clears_fini(&clears);
}
