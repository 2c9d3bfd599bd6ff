#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/socket_offer.h"
#include "agent/shell/spool_read.h"
#include "proto/wire/clocks.h"

/* Threads as a caseworker asks for them: the list of cases, one case with all that was said in it, and what waits for us.
 *
 * Due times are told from the limits of DOMAIN.md and from when the present state was reached here. The hub, which may have
 * other limits, reminds by its own; what is shown here is for looking, and decides nothing. */

#define CASES_MAX 500u
#define CASES_DEFAULT 100u
/* Most steps of one thread that a reply holds: the whole log and what waits. */
#define STEPS_MAX (SPOOL_LOG_MAX + SPOOL_LOG_RESERVE + SPOOL_EARLY_MAX)

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A thread and its row; the row's views lie in the thread. */
struct shown {
	struct spool_thread thread;
	Kinward__V1__CaseRow row;
};

static Kinward__V1__ThreadParty party_of(enum kw_party party)
{
	return (Kinward__V1__ThreadParty)(party + 1); /* the schema keeps 0 for "not known" */
}

static void fill_clock(const struct agt_thread *record, int64_t at_ms, Kinward__V1__CaseRow *row)
{
	struct kw_clock_thread thread = {.kind = record->kind, .state = record->state, .risk = record->risk};

	row->due_unix_ms = agt_thread_due_ms(record);
	if (row->due_unix_ms == 0)
		return;
	row->clock = (Kinward__V1__ThreadClock)kw_clock_of(&thread); /* the same numbers: unit/test_states_schema */
	row->late_ms = at_ms > row->due_unix_ms ? at_ms - row->due_unix_ms : 0;
}

static void show(struct shown *shown, int64_t at_ms)
{
	struct spool_thread *thread = &shown->thread;
	const struct agt_thread *record = &thread->record;
	Kinward__V1__CaseRow *row = &shown->row;
	const char *name;

	kinward__v1__case_row__init(row);
	row->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread->thread_id.bytes};
	row->kind = (Kinward__V1__ThreadKind)record->kind;
	row->party = party_of(record->party);
	row->agency = thread->agency.text;
	row->state = kw_state_public(record->kind, record->state);
	name = kw_state_name(record->kind, (uint8_t)row->state);
	if (name != NULL)
		row->state_name = (char *)(uintptr_t)name;
	row->risk = (Kinward__V1__Risk)record->risk;
	if (record->kind != KW_THREAD_OFFER) /* there it ties threads together and is no pseudonym */
		row->case_ref = thread->case_ref;
	row->service = (Kinward__V1__ServiceType)thread->service;
	row->since_unix_ms = record->changed_ms;
	fill_clock(record, at_ms, row);
	row->owner = agt_thread_owns(record);
	row->waits_for_us = agt_thread_waits_for_us(record);
	row->open = agt_thread_is_open(record);
	row->opened_unix_ms = record->opened_ms;
	row->reminded = thread->reminded;
	row->unclaimed = thread->unclaimed;
}

struct gather {
	const Kinward__V1__CaseListRequest *filter; /* NULL: all that come */
	struct shown *list;
	uint32_t count;
	uint32_t limit;
	uint64_t last; /* number of the last one that was looked at */
	struct socket_offers unclaimed;
	enum kw_err err;
	struct socket_consents consents; /* todo: those without an answer */
	int64_t at_ms;
};

static bool is_wanted(const struct gather *gather, const struct spool_thread *thread)
{
	const Kinward__V1__CaseListRequest *filter = gather->filter;

	if (filter == NULL)
		return true;
	if (filter->agency[0] != '\0' && strcmp(filter->agency, thread->agency.text) != 0)
		return false;
	return filter->case_ref[0] == '\0' ||
	       (thread->record.kind != KW_THREAD_OFFER && strcmp(filter->case_ref, thread->case_ref) == 0);
}

/* The views of a row lie in its own thread, so a row that was moved is filled again. */
static void settle(struct gather *gather)
{
	for (uint32_t i = 0; i < gather->count; i++)
		show(&gather->list[i], gather->at_ms);
}

static bool gather_case(void *user, const struct spool_thread *thread)
{
	struct gather *gather = user;

	gather->last = thread->number;
	if (is_wanted(gather, thread))
		gather->list[gather->count++].thread = *thread;
	return gather->count < gather->limit;
}

static void reply_cases(struct socket_conn *conn, uint64_t id, struct gather *gather, uint64_t next)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__CaseList body = KINWARD__V1__CASE_LIST__INIT;
	Kinward__V1__CaseRow **rows = calloc((size_t)gather->count + 1, sizeof(*rows));
	uint8_t position[KW_ID_SIZE] = {0};

	if (rows == NULL) {
		socket_refuse(conn, id, KW_ENOMEM, &(struct socket_detail){0});
		return;
	}
	for (uint32_t i = 0; i < gather->count; i++)
		rows[i] = &gather->list[i].row;
	body.cases = rows;
	body.n_cases = gather->count;
	body.n_unclaimed = gather->unclaimed.count;
	body.unclaimed = gather->unclaimed.pointers;
	body.consents = gather->consents.rows;
	body.n_consents = gather->consents.count;
	if (next != 0) {
		kw_put_u64(position + 8, next);
		body.next_after = (ProtobufCBinaryData){.len = sizeof(position), .data = position};
	}
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_CASES;
	reply.cases = &body;
	socket_reply(conn, &reply);
	free(rows);
}

static void refuse_limit(struct socket_conn *conn, uint64_t id, const char *field)
{
	socket_refuse(conn, id, KW_EFIELD, &(struct socket_detail){.field = field, .text = "A list has at most 500 cases."});
}

static void gather_fini(struct gather *gather)
{
	if (gather->list != NULL)
		kw_wipe(gather->list, (size_t)gather->limit * sizeof(gather->list[0]));
	free(gather->list);
	socket_offers_fini(&gather->unclaimed);
	socket_consents_fini(&gather->consents);
}

void socket_do_cases(struct socket_conn *conn, uint64_t id, const Kinward__V1__CaseListRequest *request)
{
	struct gather gather = {
		.filter = request, .limit = request->limit != 0 ? request->limit : CASES_DEFAULT, .at_ms = now_ms()};
	struct spool_thread_query query = {.open = !request->all, .kind = (enum kw_thread_kind)request->kind};
	uint64_t next = 0;

	if (request->limit > CASES_MAX) {
		refuse_limit(conn, id, "cases.limit");
		return;
	}
	if (request->after.len != 0 && request->after.len != KW_ID_SIZE) {
		socket_refuse(conn, id, KW_EFIELD, &(struct socket_detail){.field = "cases.after",
			.text = "Give the 16 bytes of next_after as they came, or nothing."});
		return;
	}
	if ((unsigned)request->kind >= KW_THREAD_KIND_COUNT) {
		socket_refuse(conn, id, KW_EFIELD, &(struct socket_detail){.field = "cases.kind",
			.text = "1 referral, 2 transfer, 3 tracing, 4 match, 5 offer; 0 for all."});
		return;
	}
	if (request->after.len != 0)
		query.after = kw_get_u64(request->after.data + 8);
	gather.list = calloc(gather.limit, sizeof(gather.list[0]));
	enum kw_err err = gather.list == NULL ? KW_ENOMEM
		: spool_threads(conn->socket->host.spool, &query, gather_case, &gather, &next);
	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){0});
	} else {
		settle(&gather);
		reply_cases(conn, id, &gather, next);
	}
	gather_fini(&gather);
}

#define UNCLAIMED_MAX 100u

static bool gather_unclaimed(void *user, const struct spool_offer *offer)
{
	struct gather *gather = user;

	gather->err = socket_offers_add(&gather->unclaimed, offer);
	return gather->err == KW_OK && gather->unclaimed.count < UNCLAIMED_MAX;
}

static enum kw_err find_unclaimed(struct spool *spool, struct gather *gather)
{
	Kinward__V1__OfferRow **rows;
	enum kw_err err = spool_offers_unclaimed(spool, gather->at_ms, gather_unclaimed, gather);

	if (err == KW_OK)
		err = gather->err;
	return err != KW_OK ? err : socket_offers_rows(&gather->unclaimed, &rows);
}

void socket_do_todo(struct socket_conn *conn, uint64_t id, const Kinward__V1__TodoRequest *request)
{
	struct gather gather = {.limit = request->limit != 0 ? request->limit : CASES_DEFAULT, .at_ms = now_ms()};
	Kinward__V1__ConsentListRequest asked = KINWARD__V1__CONSENT_LIST_REQUEST__INIT;

	asked.open = true;
	if (request->limit > CASES_MAX) {
		refuse_limit(conn, id, "todo.limit");
		return;
	}
	gather.list = calloc(gather.limit, sizeof(gather.list[0]));
	enum kw_err err = gather.list == NULL ? KW_ENOMEM
		: spool_todo(conn->socket->host.spool, gather_case, &gather);
	if (err == KW_OK)
		err = find_unclaimed(conn->socket->host.spool, &gather);
	if (err == KW_OK)
		err = socket_consents(conn->socket->host.spool, &asked, &gather.consents);
	if (err != KW_OK) {
		socket_refuse(conn, id, err, &(struct socket_detail){0});
	} else {
		settle(&gather);
		reply_cases(conn, id, &gather, 0);
	}
	gather_fini(&gather);
}

/* One case in a reply. */
struct detail {
	struct shown shown;
	struct spool_step *steps;
	Kinward__V1__CaseEvent *events;
	Kinward__V1__CaseEvent **list;
	size_t count;
};

static void gather_step(void *user, const struct spool_step *step)
{
	struct detail *detail = user;

	if (detail->count < STEPS_MAX)
		detail->steps[detail->count++] = *step;
}

static Kinward__V1__EventVerdict verdict_of(const struct spool_step *step)
{
	if (step->early)
		return KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_EARLY;
	if (step->refused || step->reason == KW_EILLEGAL)
		return KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REFUSED;
	return step->repeat ? KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_REPEATED
			    : KINWARD__V1__EVENT_VERDICT__EVENT_VERDICT_APPLIED;
}

static void fill_event(const struct agt_thread *record, struct spool_step *step, Kinward__V1__CaseEvent *out)
{
	enum kw_party other = record->party == KW_PARTY_OPENER ? KW_PARTY_OTHER : KW_PARTY_OPENER;
	const char *name = kw_state_name(record->kind, kw_state_public(record->kind, step->state));

	kinward__v1__case_event__init(out);
	out->at_unix_ms = step->at_ms;
	if (step->author == AGT_THREAD_HUB)
		out->author = KINWARD__V1__THREAD_PARTY__THREAD_PARTY_HUB;
	else
		out->author = party_of(step->author == AGT_THREAD_OURS ? record->party : other);
	if (step->author <= AGT_THREAD_THEIRS && step->number != 0)
		out->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = step->message_id.bytes};
	out->content_type = step->content_type;
	out->state = kw_state_public(record->kind, step->state);
	if (name != NULL)
		out->state_name = (char *)(uintptr_t)name;
	out->thread_sequence = step->sequence;
	out->verdict = verdict_of(step);
	out->out_state = (Kinward__V1__OutState)step->sent;
}

static void reply_detail(struct socket_conn *conn, uint64_t id, struct detail *detail)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__CaseDetail body = KINWARD__V1__CASE_DETAIL__INIT;

	for (size_t i = 0; i < detail->count; i++) {
		fill_event(&detail->shown.thread.record, &detail->steps[i], &detail->events[i]);
		detail->list[i] = &detail->events[i];
	}
	show(&detail->shown, now_ms());
	body.row = &detail->shown.row;
	body.events = detail->list;
	body.n_events = detail->count;
	reply.id = id;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_CASE_DETAIL;
	reply.case_detail = &body;
	socket_reply(conn, &reply);
}

void socket_do_case(struct socket_conn *conn, uint64_t id, const Kinward__V1__CaseShowRequest *request)
{
	struct spool *spool = conn->socket->host.spool;
	struct detail detail = {.steps = calloc(STEPS_MAX, sizeof(struct spool_step)),
		.events = calloc(STEPS_MAX, sizeof(Kinward__V1__CaseEvent)),
		.list = calloc(STEPS_MAX, sizeof(Kinward__V1__CaseEvent *))};
	struct socket_detail why = {0};
	struct kw_id thread_id;
	enum kw_err err = KW_OK;

	if (request->thread_id.len != KW_ID_SIZE) {
		err = KW_EFIELD;
		why = (struct socket_detail){.field = "case_show.thread_id", .text = "A thread id has 16 bytes."};
	} else if (detail.steps == NULL || detail.events == NULL || detail.list == NULL) {
		err = KW_ENOMEM;
	} else {
		memcpy(thread_id.bytes, request->thread_id.data, KW_ID_SIZE);
		err = spool_thread(spool, &thread_id, NULL, &detail.shown.thread);
		why.field = err == KW_ENOTFOUND ? "case_show.thread_id" : NULL;
	}
	if (err == KW_OK)
		err = spool_steps(spool, &detail.shown.thread, gather_step, &detail);
	if (err == KW_OK)
		reply_detail(conn, id, &detail);
	else
		socket_refuse(conn, id, err, &why);
	kw_wipe(&detail.shown, sizeof(detail.shown));
	free(detail.steps);
	free(detail.events);
	free(detail.list);
}
