/* Enrolment at a whole hub in this process: real TLS on loopback, real files. What the agency's program does with the answers is in
 * tests/e2e/test_story_enrolment.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

#include "broker/shell/doors.h"
#include "broker/shell/office.h"
#include "proto/link/enrolments.h"
#include "proto/wire/spki.h"
#include "tests/kit/asker.h"
#include "tests/kit/live_hub.h"
#include "tests/kit/site.h"

#define DEADLINE_MS 10000u

struct rig {
	struct kit_site site;
	struct config config;
	uv_loop_t loop;
	struct kw_net *net;
	struct office *office;
	struct doors *doors;
	struct hub *hub;
	char address[KIT_LIVE_HUB_ADDRESS_SIZE];
};

static void rig_open(struct rig *rig)
{
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(kw_net_new(&rig->loop, &rig->net), KW_OK);
	kit_live_hub_open(&(const struct kit_live_hub){.config_file = kit_site_path(&rig->site, "broker.yaml"), .loop = &rig->loop, .net = rig->net,
		.conns_max = 64, .config = &rig->config, .office = &rig->office, .doors = &rig->doors, .hub = &rig->hub, .address = rig->address});
}

static void rig_close(struct rig *rig)
{
	doors_shut(rig->doors);
	struct kw_net_stats stats;
	do {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		kw_net_stats_get(rig->net, &stats);
	} while (stats.links > 0);
	hub_free(rig->hub);
	kw_net_free(rig->net);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	doors_free(rig->doors);
	office_close(rig->office);
	config_fini(&rig->config);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	kit_site_init(&rig->site, 4);
	rig_open(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	rig_close(rig);
	kit_site_fini(&rig->site);
	free(rig);
	return 0;
}

/* As `kinward hub add` does. */
static void leave_code(const struct rig *rig, const struct kit_asker *asker, const char *agency, int64_t expires_s)
{
	struct kw_enrolment enrolment = {.key = asker->code_key, .made_by = "Jo Bol", .made_s = 1, .expires_s = expires_s};
	assert_int_equal(kw_name_from(kw_view_str(agency), &enrolment.agency), KW_OK);
	memcpy(enrolment.id, asker->code_id, sizeof(enrolment.id));
	assert_int_equal(kw_enrolments_save(rig->site.dir, &enrolment), KW_OK);
}

static void load(const struct rig *rig, const struct kit_asker *asker, struct kw_enrolment *out)
{
	assert_int_equal(kw_enrolments_load(rig->site.dir, asker->code_id, out), KW_OK);
}

static enum kw_enrolment_state state_of(const struct rig *rig, const struct kit_asker *asker)
{
	struct kw_enrolment enrolment;
	load(rig, asker, &enrolment);
	enum kw_enrolment_state found = enrolment.state;
	kw_enrolment_fini(&enrolment);
	return found;
}

/* As `kinward hub approve` does, and other hands. */
static void set_state(const struct rig *rig, const struct kit_asker *asker, enum kw_enrolment_state next)
{
	struct kw_enrolment enrolment;
	load(rig, asker, &enrolment);
	enrolment.state = next;
	assert_int_equal(kw_enrolments_save(rig->site.dir, &enrolment), KW_OK);
	kw_enrolment_fini(&enrolment);
}

/* --- the agency's side of one connection */

struct visit {
	const struct kit_asker *asker; /* asks; NULL: `body` as it is */
	bool wrong;                    /* with the proof of another connection */
	struct kw_buf body;            /* what went out */
	bool open;
	bool closed;
	struct kw_buf error;           /* body of an ERROR frame */
	struct kw_enrol_state said;
	struct kw_buf reply;
	int frames;
};

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct visit *visit = user;
	struct kw_digest binding = peer->binding;
	visit->open = true;
	binding.bytes[0] ^= visit->wrong;
	if (visit->asker != NULL)
		kit_asker_ask(visit->asker, &binding, &visit->body);
	assert_int_equal(kw_frame_add(kw_link_out(link), KW_FRAME_ENROL, kw_buf_view(&visit->body)), KW_OK);
	kw_link_ready(link);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct visit *visit = user;
	(void)link;
	visit->frames++;
	if (frame->type == KW_FRAME_ENROL_STATE)
		assert_int_equal(kw_enrol_state_parse(frame->body, &visit->said), KW_OK);
	else if (frame->type == KW_FRAME_ENROLLED)
		assert_int_equal(kw_buf_add(&visit->reply, frame->body), KW_OK);
	else if (frame->type == KW_FRAME_ERROR)
		assert_int_equal(kw_buf_add(&visit->error, frame->body), KW_OK);
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	(void)link;
	(void)err;
	((struct visit *)user)->closed = true;
}

static void visit_init(struct visit *visit, const struct kit_asker *asker, bool wrong)
{
	*visit = (struct visit){.asker = asker, .wrong = wrong};
	kw_buf_init(&visit->body, KW_FRAME_SIZE_MAX_PREAUTH);
	kw_buf_init(&visit->error, KW_FRAME_SIZE_MAX);
	kw_buf_init(&visit->reply, KW_FRAME_SIZE_MAX);
}

static void visit_fini(struct visit *visit)
{
	kw_buf_fini(&visit->body);
	kw_buf_fini(&visit->error);
	kw_buf_fini(&visit->reply);
}

static void go(struct rig *rig, struct visit *visit, bool right_root)
{
	struct kw_tls_context *context;
	struct kw_link *link;
	struct kw_tls_files files = {.chain = NULL};
	assert_int_equal(kw_spki_digest(rig->site.root.certificate, &files.root_fingerprint), KW_OK);
	files.root_fingerprint.bytes[0] ^= !right_root;
	assert_int_equal(kw_tls_context_new(KW_TLS_ENROL, &files, &context), KW_OK);
	const struct kw_link_hooks hooks = {
		.user = visit, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	assert_int_equal(kw_link_connect(rig->net, rig->address, context, &hooks, &link), KW_OK);
	uint64_t start = uv_hrtime();
	while (!visit->closed) {
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
		assert_true(uv_hrtime() - start < (uint64_t)DEADLINE_MS * 1000000u);
	}
	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
	kw_tls_context_free(context);
}

/* The error of an answer; KW_OK when there was none. */
static enum kw_err error_of(const struct visit *visit)
{
	struct kw_frame_error error;
	if (visit->error.size == 0)
		return KW_OK;
	assert_int_equal(kw_frame_error_parse(kw_buf_view(&visit->error), &error), KW_OK);
	return error.code;
}

/* What the hub says to a right proof: 0 with a reply that fits. */
static enum kw_enrol_phase ask(struct rig *rig, const struct kit_asker *asker, const char *agency)
{
	struct visit visit;
	visit_init(&visit, asker, false);
	go(rig, &visit, true);
	assert_int_equal(error_of(&visit), KW_OK);
	assert_int_equal(visit.frames, 1);
	enum kw_enrol_phase phase = visit.said.phase;
	if (phase == 0) {
		struct kw_enrol_reply reply;
		assert_int_equal(kw_enrol_reply_parse(kw_buf_view(&visit.reply), &reply), KW_OK);
		assert_string_equal(reply.agency.text, agency);
		assert_string_equal(reply.hub.text, "hub-0");
	} else {
		assert_string_equal(visit.said.agency.text, agency);
	}
	visit_fini(&visit);
	return phase;
}

static void ask_wrongly(struct rig *rig, const struct kit_asker *asker)
{
	struct visit visit;
	visit_init(&visit, asker, true);
	go(rig, &visit, true);
	assert_int_equal(error_of(&visit), KW_EAUTH);
	visit_fini(&visit);
}

static const int64_t FUTURE_S = 4102444800;

static void test_an_agency_is_in_when_a_person_has_approved(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	struct visit visit;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	/* A hub with another root hears nothing. */
	visit_init(&visit, &asker, false);
	go(rig, &visit, false);
	assert_false(visit.open);
	visit_fini(&visit);
	assert_int_equal(state_of(rig, &asker), KW_ENROLMENT_WAITING);

	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	assert_int_equal(office_directory(rig->office)->count, 4);
	rig_close(rig);
	rig_open(rig);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	set_state(rig, &asker, KW_ENROLMENT_APPROVED);
	assert_int_equal(ask(rig, &asker, "newcomer"), 0);
	assert_int_equal(state_of(rig, &asker), KW_ENROLMENT_DONE);
	const struct kw_name name = {"newcomer"};
	const struct kw_directory_entry *entry = kw_directory_find(office_directory(rig->office), &name);
	assert_non_null(entry);
	assert_memory_equal(entry->identity_key, asker.identity.public_key, KW_KEY_SIZE);
	assert_memory_equal(entry->sealing_keys[0].public_key, asker.sealing.public_key, KW_KEY_SIZE);
	/* The reply was lost: it is there for who asks again, after a restart too. */
	assert_int_equal(ask(rig, &asker, "newcomer"), 0);
	rig_close(rig);
	rig_open(rig);
	assert_int_equal(ask(rig, &asker, "newcomer"), 0);
	assert_int_equal(office_directory(rig->office)->count, 5);
	kit_asker_fini(&asker);
}

static void test_what_is_approved_is_carried_out_without_the_agency(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	doors_tick(rig->doors);
	assert_int_equal(office_directory(rig->office)->count, 4);
	set_state(rig, &asker, KW_ENROLMENT_APPROVED);
	doors_tick(rig->doors);
	assert_int_equal(office_directory(rig->office)->count, 5);
	assert_int_equal(state_of(rig, &asker), KW_ENROLMENT_DONE);
	kit_asker_fini(&asker);
}

/* The broker died between the directory and the reply. */
static void test_a_stop_in_between_is_mended(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	set_state(rig, &asker, KW_ENROLMENT_APPROVED);
	doors_tick(rig->doors);
	struct kw_enrolment enrolment;
	load(rig, &asker, &enrolment);
	enrolment.state = KW_ENROLMENT_APPROVED;
	kw_buf_fini(&enrolment.reply);
	assert_int_equal(kw_enrolments_save(rig->site.dir, &enrolment), KW_OK);
	kw_enrolment_fini(&enrolment);
	rig_close(rig);
	rig_open(rig);
	assert_int_equal(ask(rig, &asker, "newcomer"), 0);
	assert_int_equal(office_directory(rig->office)->count, 5);
	kit_asker_fini(&asker);
}

/* Two codes for one name, both approved: the second would give the agency other keys. */
static void test_a_name_is_given_once(void **state)
{
	struct rig *rig = *state;
	struct kit_asker first;
	struct kit_asker second;
	struct kit_asker third;
	kit_asker_init(&first, 1);
	kit_asker_init(&second, 2);
	kit_asker_init(&third, 3);
	leave_code(rig, &first, "newcomer", FUTURE_S);
	leave_code(rig, &second, "newcomer", FUTURE_S);
	leave_code(rig, &third, "newcomer", FUTURE_S);
	assert_int_equal(ask(rig, &first, "newcomer"), KW_ENROL_ASKED);
	assert_int_equal(ask(rig, &second, "newcomer"), KW_ENROL_ASKED);
	set_state(rig, &first, KW_ENROLMENT_APPROVED);
	assert_int_equal(ask(rig, &first, "newcomer"), 0);
	set_state(rig, &second, KW_ENROLMENT_APPROVED);
	doors_tick(rig->doors);
	assert_int_equal(state_of(rig, &second), KW_ENROLMENT_REFUSED);
	assert_int_equal(ask(rig, &second, "newcomer"), KW_ENROL_REFUSED);
	assert_int_equal(ask(rig, &third, "newcomer"), KW_ENROL_EXISTS);
	const struct kw_name name = {"newcomer"};
	assert_memory_equal(kw_directory_find(office_directory(rig->office), &name)->identity_key, first.identity.public_key, KW_KEY_SIZE);
	kit_asker_fini(&first);
	kit_asker_fini(&second);
	kit_asker_fini(&third);
}

static void test_a_captured_request_is_worth_nothing_on_another_connection(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	struct visit first;
	struct visit replay;
	struct kw_enrolment enrolment;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	visit_init(&first, &asker, false);
	go(rig, &first, true);
	assert_int_equal(first.said.phase, KW_ENROL_ASKED);
	visit_init(&replay, NULL, false);
	assert_int_equal(kw_buf_add(&replay.body, kw_buf_view(&first.body)), KW_OK);
	go(rig, &replay, true);
	assert_int_equal(error_of(&replay), KW_EAUTH);
	assert_int_equal(replay.frames, 1);
	load(rig, &asker, &enrolment);
	assert_int_equal(enrolment.tries, 1);
	kw_enrolment_fini(&enrolment);
	visit_fini(&first);
	visit_fini(&replay);
	kit_asker_fini(&asker);
}

static void test_a_code_is_burnt_after_five_wrong_tries_also_over_a_restart(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	for (uint32_t tries = KW_ENROL_TRIES_MAX - 1; tries <= KW_ENROL_TRIES_MAX + 1; tries++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "newcomer-%u", tries);
		kit_asker_init(&asker, (uint8_t)tries);
		leave_code(rig, &asker, name, FUTURE_S);
		for (uint32_t i = 0; i < tries; i++) {
			ask_wrongly(rig, &asker);
			rig_close(rig);
			rig_open(rig);
		}
		assert_int_equal(state_of(rig, &asker), tries < KW_ENROL_TRIES_MAX ? KW_ENROLMENT_WAITING : KW_ENROLMENT_BURNT);
		assert_int_equal(ask(rig, &asker, name), tries < KW_ENROL_TRIES_MAX ? KW_ENROL_ASKED : KW_ENROL_BURNT);
		kit_asker_fini(&asker);
	}
}

static void test_an_unknown_code_is_answered_as_a_wrong_proof(void **state)
{
	struct rig *rig = *state;
	struct kit_asker known;
	struct kit_asker unknown;
	struct visit wrong;
	struct visit stranger;
	kit_asker_init(&known, 1);
	kit_asker_init(&unknown, 2);
	leave_code(rig, &known, "newcomer", FUTURE_S);
	visit_init(&wrong, &known, true);
	go(rig, &wrong, true);
	visit_init(&stranger, &unknown, false);
	go(rig, &stranger, true);
	assert_int_equal(error_of(&wrong), KW_EAUTH);
	assert_true(kw_view_equal(kw_buf_view(&wrong.error), kw_buf_view(&stranger.error)));
	assert_int_equal(wrong.frames, stranger.frames);
	visit_fini(&wrong);
	visit_fini(&stranger);
	kit_asker_fini(&known);
	kit_asker_fini(&unknown);
}

static void test_a_code_that_is_too_old_is_void(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", (int64_t)time(NULL) - 1);
	ask_wrongly(rig, &asker);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_EXPIRED);
	assert_int_equal(state_of(rig, &asker), KW_ENROLMENT_EXPIRED);
	kit_asker_fini(&asker);
}

static void test_a_stolen_code_is_an_alarm_and_the_first_request_is_held(void **state)
{
	struct rig *rig = *state;
	struct kit_asker agency;
	struct kit_asker thief;
	struct kw_enrolment enrolment;
	kit_asker_init(&agency, 1);
	kit_asker_init(&thief, 1);
	leave_code(rig, &agency, "newcomer", FUTURE_S);
	assert_int_equal(ask(rig, &agency, "newcomer"), KW_ENROL_ASKED);
	assert_int_equal(ask(rig, &thief, "newcomer"), KW_ENROL_TAKEN);
	load(rig, &agency, &enrolment);
	assert_int_equal(enrolment.alarms, 1);
	assert_int_equal(enrolment.state, KW_ENROLMENT_ASKED);
	kw_enrolment_fini(&enrolment);
	assert_int_equal(ask(rig, &agency, "newcomer"), KW_ENROL_ASKED);
	set_state(rig, &agency, KW_ENROLMENT_APPROVED);
	assert_int_equal(ask(rig, &thief, "newcomer"), KW_ENROL_TAKEN);
	assert_int_equal(ask(rig, &agency, "newcomer"), 0);
	assert_int_equal(ask(rig, &thief, "newcomer"), KW_ENROL_TAKEN);
	kit_asker_fini(&agency);
	kit_asker_fini(&thief);
}

/* Somebody else holds the lock: nothing is promised, and the code stays good. */
static void test_a_busy_folder_is_said(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	struct visit visit;
	int lock;
	int again;
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	assert_int_equal(kw_enrolments_lock(rig->site.dir, 0, &lock), KW_OK);
	assert_int_equal(kw_enrolments_lock(rig->site.dir, 0, &again), KW_EBUSY);
	visit_init(&visit, &asker, false);
	go(rig, &visit, true);
	assert_int_equal(error_of(&visit), KW_EBUSY);
	visit_fini(&visit);
	kw_enrolments_unlock(lock);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	kit_asker_fini(&asker);
}

/* A write that fails must not let the request in: it is said to be stored only when it is. */
static void test_nothing_is_said_that_is_not_on_disk(void **state)
{
	struct rig *rig = *state;
	struct kit_asker asker;
	struct visit visit;
	char path[128];
	kit_asker_init(&asker, 1);
	leave_code(rig, &asker, "newcomer", FUTURE_S);
	/* In the way of the temporary file that is renamed. */
	char id[2 * KW_ENROL_ID_SIZE + 1];
	kw_hex(id, KW_VIEW_OF(asker.code_id));
	(void)snprintf(path, sizeof(path), "%s/enrol/%s.new", rig->site.dir, id);
	assert_int_equal(mkdir(path, 0700), 0);
	visit_init(&visit, &asker, false);
	go(rig, &visit, true);
	assert_int_not_equal(error_of(&visit), KW_OK);
	assert_int_equal(visit.said.phase, 0);
	assert_int_equal(visit.reply.size, 0);
	visit_fini(&visit);
	assert_int_equal(state_of(rig, &asker), KW_ENROLMENT_WAITING);
	assert_int_equal(remove(path), 0);
	assert_int_equal(ask(rig, &asker, "newcomer"), KW_ENROL_ASKED);
	kit_asker_fini(&asker);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_an_agency_is_in_when_a_person_has_approved),
		CASE(test_what_is_approved_is_carried_out_without_the_agency),
		CASE(test_a_stop_in_between_is_mended),
		CASE(test_a_name_is_given_once),
		CASE(test_a_captured_request_is_worth_nothing_on_another_connection),
		CASE(test_a_code_is_burnt_after_five_wrong_tries_also_over_a_restart),
		CASE(test_an_unknown_code_is_answered_as_a_wrong_proof),
		CASE(test_a_code_that_is_too_old_is_void),
		CASE(test_a_stolen_code_is_an_alarm_and_the_first_request_is_held),
		CASE(test_a_busy_folder_is_said),
		CASE(test_nothing_is_said_that_is_not_on_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
