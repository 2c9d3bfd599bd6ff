#include "agent/shell/spool_read.h"
#include "tests/kit/spool_rig.h"

#include <sys/wait.h>

/* Offers and directories in a spool: one referral for one winner, whenever the process dies; and what agencies say. */

#define COUNT 8u
#define SECRET "a secret sentence"
#define COORDINATOR "coordination"

/* Operations until the process dies; negative: it lives. */
static int budget = -1;

static void spend(void)
{
	if (budget == 0)
		_exit(7);
	budget -= budget > 0;
}

static void open_with(struct rig *rig, const char *coordinator)
{
	struct kw_name name_of = coordinator ? name(coordinator) : (struct kw_name){0};
	struct spool_options options = {.path = rig->path, .store_key = rig->key, .map_size = 64u << 20,
		.coordinator = coordinator ? &name_of : NULL};
	assert_int_equal(spool_open(&options, &rig->loop, &rig->spool), KW_OK);
	struct agt_start start;
	spool_recover(rig->spool, &start);
	rig->outbox[KW_NORMAL] = start.lanes[KW_NORMAL].next_sequence - 1;
	rig->arrived = start.lanes[KW_NORMAL].received.sequence;
}

static void reopen(struct rig *rig)
{
	close_spool(rig);
	open_with(rig, COORDINATOR);
}

static struct kw_name provider(uint8_t at)
{
	char text[8];
	snprintf(text, sizeof(text), "p%u", at);
	return name(text);
}

static enum kw_err offer(struct rig *rig, bool manual)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_OFFER);
	struct spool_offer *out = &op->u.offer.offer;
	spend();
	out->id = id(1);
	out->message_id = id(2);
	out->referral_thread_id = id(3);
	out->created_ms = NOW;
	out->span_ms = HOUR;
	out->service = 14;
	out->risk = 1;
	agt_offer_init(&out->core, COUNT, manual, NOW + HOUR);
	for (uint8_t i = 0; i < COUNT; i++) {
		out->agencies[i] = provider(i);
		out->threads[i] = id((uint8_t)(10 + i));
	}
	assert_int_equal(kw_buf_add(&op->content, kw_view_str(SECRET)), KW_OK);
	run(rig, op);
	return rig->err;
}

static struct spool_offer the_offer(struct rig *rig)
{
	struct spool_offer out;
	struct kw_id one = id(1);
	assert_int_equal(spool_offer(rig->spool, &(struct spool_offer_key){.id = &one}, &out), KW_OK);
	return out;
}

/* What the agent does with a follow-up, but for the sealing. */
static void say(struct rig *rig, const struct spool_follow *follow)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	struct spool_item *item = &op->u.append.item;
	struct spool_thread thread = {0};
	spend();
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox[KW_NORMAL];
	op->u.append.expiry_hour = NOW / HOUR + 24 * 45; /* what dies on the way is another test */
	op->u.append.now_ms = NOW + 1;
	op->u.append.fresh = true;
	op->u.append.follow_key = follow->key;
	item->thread_id = follow->thread_id;
	item->agency = follow->agency;
	item->at_ms = NOW + 1;
	memset(item->message_id.bytes, 0xaa, KW_ID_SIZE);
	kw_put_u64(item->message_id.bytes, rig->outbox[KW_NORMAL]);
	item->envelope_id = item->message_id;
	op->u.append.envelope_id = item->envelope_id;
	op->u.append.act = (struct spool_act){.kind = follow->kind, .state = follow->state, .risk = KW_RISK_HIGH,
		.opening = follow->what == SPOOL_FOLLOW_OFFER || follow->what == SPOOL_FOLLOW_REFERRAL};
	item->thread_sequence = spool_thread(rig->spool, &item->thread_id, &item->agency, &thread) == KW_OK ? thread.record.next : 1;
	if (follow->what == SPOOL_FOLLOW_REFERRAL)
		assert_int_equal(spool_offer_referral(rig->spool, follow->offer, &op->content), KW_OK);
	else
		assert_int_equal(kw_buf_add(&op->content, kw_view_str("need class")), KW_OK);
	run(rig, op);
}

static void pump(struct rig *rig)
{
	for (struct follow_list list = pending(rig); list.count > 0; list = pending(rig))
		for (uint32_t i = 0; i < list.count; i++)
			say(rig, &list.follows[i]);
}

/* A provider's answer in the thread that it was asked in. */
static void answers(struct rig *rig, uint8_t at, uint8_t state, uint64_t place)
{
	struct spool_offer now = the_offer(rig);
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	spend();
	for (uint8_t i = 0; i < now.core.count; i++) {
		struct kw_name who = provider(at);
		if (kw_name_equal(&now.agencies[i], &who))
			op->u.receive.item.thread_id = now.threads[i];
	}
	op->u.receive.msg_class = KW_NORMAL;
	op->u.receive.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++rig->arrived};
	op->u.receive.arrival = SPOOL_MESSAGE;
	op->u.receive.expiry_hour = NOW / HOUR + 24;
	uint8_t n = (uint8_t)(100 + at * 16 + state * 2 + place + now.core.round * 3);
	op->u.receive.item.message_id = id(n);
	op->u.receive.item.digest = digest(n);
	op->u.receive.item.thread_sequence = place;
	op->u.receive.item.agency = provider(at);
	op->u.receive.item.at_ms = NOW + 2;
	op->u.receive.act = (struct spool_act){.kind = KW_THREAD_OFFER, .state = state};
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("an answer")), KW_OK);
	run(rig, op);
}

static void sweep_at(struct rig *rig, int64_t now_ms)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_SWEEP);
	op->u.sweep.now_ms = now_ms;
	op->u.sweep.rows_max = 100;
	run(rig, op);
}

static enum kw_err picked;
static enum agt_offer_refusal refusal;

static void pick_done(struct spool_op *op, enum kw_err err)
{
	picked = op->u.pick.result;
	refusal = op->u.pick.refusal;
	on_done(op, err);
}

static enum kw_err pick(struct rig *rig, struct kw_id what, bool withdraw)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_PICK);
	op->u.pick.id = what;
	op->u.pick.withdraw = withdraw;
	op->u.pick.now_ms = NOW + 5;
	op->user = rig;
	op->done = pick_done;
	spool_do(rig->spool, op);
	while (spool_pending(rig->spool) > 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	return picked;
}

/* How many threads stand in which state, and who has the referral. */
struct tally {
	uint32_t offers[KW_STATE_MAX];
	uint32_t referrals;
	struct kw_name last;
	struct kw_id referral_thread;
};

static bool count(void *user, const struct spool_thread *thread)
{
	struct tally *tally = user;
	if (thread->record.kind == KW_THREAD_OFFER) {
		tally->offers[thread->record.state]++;
	} else {
		tally->referrals++;
		tally->last = thread->agency;
		tally->referral_thread = thread->thread_id;
	}
	return true;
}

static struct tally tally_of(struct rig *rig)
{
	struct tally tally = {0};
	struct spool_thread_query query = {0};
	uint64_t next = 0;
	assert_int_equal(spool_threads(rig->spool, &query, count, &tally, &next), KW_OK);
	return tally;
}

/* Two claims and a decline. Told again after a death, nothing of it counts twice. */
static void tell(struct rig *rig)
{
	offer(rig, false);
	pump(rig);
	answers(rig, 1, KW_OFFER_DECLINED, 1);
	answers(rig, 5, KW_OFFER_CLAIMED, 1);
	answers(rig, 2, KW_OFFER_CLAIMED, 1);
	pump(rig);
}

static void check_told(struct rig *rig)
{
	struct tally tally = tally_of(rig);
	struct spool_offer now = the_offer(rig);
	assert_int_equal(tally.referrals, 1);
	assert_string_equal(tally.last.text, "p5");
	assert_true(kw_id_equal(&tally.referral_thread, &now.referral_thread_id));
	assert_int_equal(tally.offers[KW_OFFER_LEASED], 1);
	assert_int_equal(tally.offers[KW_OFFER_DECLINED], 1);
	assert_int_equal(tally.offers[KW_OFFER_CLOSED], COUNT - 2);
	assert_int_equal(now.core.state, AGT_OFFER_LEASED);
	assert_string_equal(now.agencies[now.core.winner].text, "p5");
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_SENT), COUNT + 1 + (COUNT - 2) + 1);
	assert_int_equal(pending(rig).count, 0);
}

static void test_offer_has_one_winner_wherever_it_dies(void **state)
{
	struct rig *rig = *state;
	int steps = 0;
	close_spool(rig);
	for (bool died = true; died; steps++) {
		assert_true(folder_remove(rig->path) == 0);
		pid_t child = fork();
		if (child == 0) {
			budget = steps;
			uv_loop_init(&rig->loop);
			open_with(rig, COORDINATOR);
			tell(rig);
			_exit(0);
		}
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7));
		died = WEXITSTATUS(status) == 7;
		open_with(rig, COORDINATOR);
		tell(rig);
		check_told(rig);
		close_spool(rig);
	}
	assert_int_equal(steps, 1 + 8 + 3 + 8 + 1); /* each operation was the last one once, and then none */
	open_with(rig, COORDINATOR);
}

static void test_offer_leases_to_nobody_else(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	offer(rig, false);
	pump(rig);
	answers(rig, 5, KW_OFFER_CLAIMED, 1);
	answers(rig, 2, KW_OFFER_CLAIMED, 1);
	struct spool_follow forged = {.thread_id = id(12), .agency = provider(2), .kind = KW_THREAD_OFFER,
		.state = KW_OFFER_LEASED, .what = SPOOL_FOLLOW_LEASE, .offer = 1};
	say(rig, &forged); /* claimed, and not the first */
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	pump(rig);
	say(rig, &forged);
	assert_int_equal(rig->fault, AGT_FAULT_STATE);
	assert_int_equal(tally_of(rig).offers[KW_OFFER_LEASED], 1);
	offer(rig, false); /* the same again */
	assert_true(rig->repeat);
	assert_int_equal(pending(rig).count, 0);
}

/* The claim is given back while LEASED is not under way yet: it goes to the next, and the first gets nothing. */
static void test_offer_claim_given_back(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	offer(rig, false);
	pump(rig);
	answers(rig, 5, KW_OFFER_CLAIMED, 1);
	answers(rig, 2, KW_OFFER_CLAIMED, 1);
	answers(rig, 5, KW_OFFER_DECLINED, 2);
	reopen(rig);
	pump(rig);
	struct tally tally = tally_of(rig);
	assert_int_equal(tally.referrals, 1);
	assert_string_equal(tally.last.text, "p2");
	assert_int_equal(tally.offers[KW_OFFER_LEASED], 1);
	assert_int_equal(tally.offers[KW_OFFER_DECLINED], 1);
}

static void test_offer_lease_given_back_is_offered_again(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	tell(rig);
	struct kw_id first = the_offer(rig).referral_thread_id;
	answers(rig, 5, KW_OFFER_DECLINED, 2);
	struct spool_offer now = the_offer(rig);
	assert_int_equal(now.core.round, 2);
	assert_int_equal(now.core.count, COUNT - 2); /* neither who declined nor who gave back */
	assert_false(kw_id_equal(&first, &now.referral_thread_id));
	reopen(rig);
	pump(rig);
	answers(rig, 0, KW_OFFER_CLAIMED, 1);
	pump(rig);
	struct tally tally = tally_of(rig);
	assert_int_equal(tally.referrals, 2);
	assert_string_equal(tally.last.text, "p0");
}

static bool count_offer(void *user, const struct spool_offer *offer)
{
	(void)offer;
	(*(uint32_t *)user)++;
	return true;
}

static uint32_t unclaimed(struct rig *rig, int64_t now_ms)
{
	uint32_t out = 0;
	assert_int_equal(spool_offers_unclaimed(rig->spool, now_ms, count_offer, &out), KW_OK);
	return out;
}

static void test_offer_unclaimed_goes_to_the_coordinator(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	offer(rig, false);
	pump(rig);
	assert_int_equal(unclaimed(rig, NOW + HOUR - 1), 0);
	assert_int_equal(unclaimed(rig, NOW + HOUR), 1); /* also before the sweep comes to it */
	sweep_at(rig, NOW + HOUR - 1);
	assert_int_equal(pending(rig).count, 0);
	sweep_at(rig, NOW + HOUR);
	struct follow_list list = pending(rig);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.follows[0].agency.text, COORDINATOR);
	assert_int_equal(list.follows[0].what, SPOOL_FOLLOW_OFFER);
	sweep_at(rig, NOW + HOUR + 1);
	assert_int_equal(pending(rig).count, 1); /* once */
	pump(rig);
	assert_int_equal(tally_of(rig).referrals, 0);
	assert_int_equal(unclaimed(rig, NOW), 1);
	answers(rig, 3, KW_OFFER_CLAIMED, 1); /* late */
	pump(rig);
	assert_int_equal(unclaimed(rig, NOW + 9 * HOUR), 0);
	assert_string_equal(tally_of(rig).last.text, "p3");
	assert_int_equal(tally_of(rig).offers[KW_OFFER_CLOSED], COUNT); /* the coordinator too */

	/* Without a coordinator it is only on our own list. */
	close_spool(rig);
	assert_int_equal(folder_remove(rig->path), 0);
	open_with(rig, NULL);
	offer(rig, false);
	pump(rig);
	sweep_at(rig, NOW + HOUR);
	assert_int_equal(pending(rig).count, 0);
	assert_int_equal(unclaimed(rig, NOW), 1);
}

/* The hub's reminder about the offer to one agency, in a state that it declares. */
static void hub_says(struct rig *rig, uint8_t at, uint8_t state)
{
	static uint8_t said;
	struct spool_op *op = spool_op_new(SPOOL_OP_NOTICE);
	op->u.notice.cursor = (struct kw_cursor){.epoch = 9, .sequence = ++said};
	op->u.notice.now_ms = NOW + 2;
	op->u.notice.item = (struct spool_item){
		.message_id = id((uint8_t)(200 + said)), .agency = provider(at), .thread_id = id((uint8_t)(10 + at)), .at_ms = NOW + 2};
	op->u.notice.act = (struct spool_act){.kind = KW_THREAD_OFFER, .state = state};
	op->u.notice.step = 100;
	assert_int_equal(kw_buf_add(&op->content, kw_view_str("a reminder")), KW_OK);
	run(rig, op);
	assert_int_equal(rig->err, KW_OK);
}

/* The hub's limit may be shorter than the time that the offer names. */
static void test_offer_unclaimed_by_the_hubs_word(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	offer(rig, false);
	pump(rig);
	hub_says(rig, 2, KW_OFFER_OFFERED); /* a reminder alone */
	assert_int_equal(pending(rig).count, 0);
	hub_says(rig, 2, KW_OFFER_UNCLAIMED);
	assert_int_equal(unclaimed(rig, NOW), 1);
	struct follow_list list = pending(rig);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.follows[0].agency.text, COORDINATOR);
	pump(rig);
	hub_says(rig, 3, KW_OFFER_UNCLAIMED);
	assert_int_equal(pending(rig).count, 0); /* once */
	answers(rig, 3, KW_OFFER_CLAIMED, 1);
	pump(rig);
	hub_says(rig, 4, KW_OFFER_UNCLAIMED); /* was on its way */
	assert_int_equal(unclaimed(rig, NOW), 0);
	assert_string_equal(tally_of(rig).last.text, "p3");
}

static void test_offer_that_cannot_be_said(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	offer(rig, false);
	for (uint32_t left = COUNT; left > 0; left--) {
		struct spool_op *op = spool_op_new(SPOOL_OP_UNFOLLOW);
		struct follow_list list = pending(rig);
		assert_int_equal(list.count, left);
		op->u.unfollow.follow = list.follows[0];
		op->u.unfollow.now_ms = NOW;
		run(rig, op);
	}
	assert_string_equal(pending(rig).follows[0].agency.text, COORDINATOR); /* nobody is left: at once */
	assert_int_equal(unclaimed(rig, NOW), 1);
}

static void test_offer_picked_and_withdrawn(void **state)
{
	struct rig *rig = *state;
	struct kw_buf body;
	reopen(rig);
	offer(rig, true);
	pump(rig);
	answers(rig, 5, KW_OFFER_CLAIMED, 1);
	assert_int_equal(pending(rig).count, 0);
	assert_int_equal(pick(rig, id(99), false), KW_ENOTFOUND);
	assert_int_equal(pick(rig, id(12), false), KW_EILLEGAL);
	assert_int_equal(refusal, AGT_OFFER_NOT_CLAIMED);
	assert_int_equal(pick(rig, id(15), false), KW_OK);
	assert_int_equal(pending(rig).count, 1);
	assert_int_equal(pick(rig, id(1), true), KW_OK); /* before LEASED was said */
	pump(rig);
	struct tally tally = tally_of(rig);
	assert_int_equal(tally.referrals, 0);
	assert_int_equal(tally.offers[KW_OFFER_CLOSED], COUNT);
	kw_buf_init(&body, 4096);
	assert_int_equal(spool_offer_referral(rig->spool, 1, &body), KW_ENOTFOUND); /* what is not needed is not kept */
	kw_buf_fini(&body);
}

/* Nothing arrives: each offer is out when it expires, and so is the lease of who had claimed. */
static void test_offer_what_never_arrives_is_out(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	tell(rig);
	sweep_at(rig, NOW + 46 * 24 * (int64_t)HOUR);
	struct spool_offer now = the_offer(rig);
	assert_int_equal(now.core.state, AGT_OFFER_OPEN);
	assert_int_equal(now.core.round, 2);
	for (uint8_t i = 0; i < now.core.count; i++)
		assert_string_not_equal(now.agencies[i].text, "p5");
}

static void test_offer_referral_is_kept_for_a_while(void **state)
{
	struct rig *rig = *state;
	struct kw_buf body;
	reopen(rig);
	tell(rig);
	kw_buf_init(&body, 4096);
	sweep_at(rig, NOW + 1 + SPOOL_OFFER_KEEP_MS - 1);
	assert_int_equal(spool_offer_referral(rig->spool, 1, &body), KW_OK);
	sweep_at(rig, NOW + 1 + SPOOL_OFFER_KEEP_MS);
	assert_int_equal(spool_offer_referral(rig->spool, 1, &body), KW_ENOTFOUND);
	kw_buf_fini(&body);
}

static void test_offer_pages_show_nothing(void **state)
{
	struct rig *rig = *state;
	reopen(rig);
	tell(rig);
	close_spool(rig);
	char path[128];
	snprintf(path, sizeof(path), "%s/data.mdb", rig->path);
	int fd = open(path, O_RDONLY);
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	uint8_t *bytes = malloc((size_t)file.st_size);
	assert_int_equal(read(fd, bytes, (size_t)file.st_size), file.st_size);
	assert_null(memmem(bytes, (size_t)file.st_size, SECRET, strlen(SECRET)));
	/* One alone is there by chance now and then: the end of something sealed, before what is empty. */
	assert_true(memmem(bytes, (size_t)file.st_size, "p4\0\0\0\0\0\0", 8) == NULL ||
		memmem(bytes, (size_t)file.st_size, "p5\0\0\0\0\0\0", 8) == NULL ||
		memmem(bytes, (size_t)file.st_size, "p6\0\0\0\0\0\0", 8) == NULL);
	free(bytes);
	close(fd);
	open_with(rig, COORDINATOR);
}

/* ------------------------------------------------------------------------------------------------------------ services */

static void says_services(struct rig *rig, uint8_t n, const char *agency, int64_t issued)
{
	char json[600];
	snprintf(json, sizeof(json), "{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1\",\"serviceDirectory\":{"
		"\"issuedUnixMs\":\"%lld\",\"validUntilUnixMs\":\"%lld\",\"organization\":\"issue %u\"}}", (long long)issued,
		(long long)issued + 1000, n);
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = n, .agency = agency, .thread = n}));
	op->u.receive.act.content_type = KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY;
	fill_content(op, json);
	run(rig, op);
}

static bool find_issue(void *user, const struct spool_services *said)
{
	if (strcmp(said->agency.text, THEM) == 0)
		*(int64_t *)user = said->issued_ms;
	return true;
}

static int64_t issue(struct rig *rig)
{
	int64_t out = 0;
	assert_int_equal(spool_services(rig->spool, find_issue, &out), KW_OK);
	return out;
}

static void test_services_the_newest_counts(void **state)
{
	struct rig *rig = *state;
	says_services(rig, 1, THEM, 500);
	assert_int_equal(issue(rig), 500);
	says_services(rig, 2, THEM, 700);
	says_services(rig, 3, THEM, 699); /* overtaken */
	says_services(rig, 4, "agency-c", 900); /* another's */
	assert_int_equal(issue(rig), 700);
	says_services(rig, 5, THEM, 700); /* the same moment: what came last */
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(issue(rig), 700);
}

static void asks(struct rig *rig, uint8_t n, const char *agency, const char *area)
{
	char json[300];
	struct spool_op *op = spool_op_new(SPOOL_OP_APPEND);
	snprintf(json, sizeof(json), "{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1\",\"capacityQuery\":{"
		"\"service\":\"SERVICE_TYPE_SHELTER\",\"admin2Pcode\":\"%s\"}}", area);
	op->box = spool_box_new(kw_view_str("sealed envelope"));
	op->u.append.msg_class = KW_NORMAL;
	op->u.append.sequence = ++rig->outbox[KW_NORMAL];
	op->u.append.now_ms = NOW;
	op->u.append.fresh = true;
	op->u.append.item = item_of(&(struct said){.n = n, .agency = agency, .thread = n});
	op->u.append.envelope_id = id(n);
	op->u.append.act.content_type = KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY;
	fill_content(op, json);
	run(rig, op);
}

static void replies(struct rig *rig, uint8_t n, const char *agency, uint8_t thread)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, ++rig->arrived, item_of(&(struct said){.n = n, .agency = agency, .thread = thread}));
	op->u.receive.act.content_type = KINWARD__V1__CONTENT__BODY_CAPACITY_REPLY;
	fill_content(op, "{\"messageId\":\"AQIDBAUGBwgJCgsMDQ4PEA==\",\"createdUnixMs\":\"1\",\"capacityReply\":{"
					 "\"capacity\":\"CAPACITY_WAITLIST\",\"waitDays\":4}}");
	run(rig, op);
}

struct answers_seen {
	uint32_t count;
	uint32_t answered;
};

static bool see(void *user, const struct spool_answer *answer)
{
	struct answers_seen *seen = user;
	seen->count++;
	seen->answered += answer->at_ms != 0 && answer->wait_days == 4;
	return true;
}

static void answers_are(struct rig *rig, uint32_t rows, uint32_t answered)
{
	struct answers_seen seen = {0};
	assert_int_equal(spool_answers(rig->spool, see, &seen), KW_OK);
	assert_int_equal(seen.count, rows);
	assert_int_equal(seen.answered, answered);
}

static void test_services_answers_belong_to_their_question(void **state)
{
	struct rig *rig = *state;
	asks(rig, 1, THEM, "SS0101");
	answers_are(rig, 1, 0);
	replies(rig, 51, "agency-c", 1); /* who was not asked */
	replies(rig, 52, THEM, 9);       /* in another thread */
	answers_are(rig, 1, 0);
	replies(rig, 53, THEM, 1);
	answers_are(rig, 1, 1);
	asks(rig, 2, THEM, "SS0101"); /* the last answer stands while the new question waits */
	answers_are(rig, 2, 1);
	replies(rig, 54, THEM, 2);
	answers_are(rig, 1, 1);
	asks(rig, 3, THEM, "SS0202"); /* about another area */
	answers_are(rig, 2, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_offer_has_one_winner_wherever_it_dies),
		CASE(test_offer_leases_to_nobody_else),
		CASE(test_offer_claim_given_back),
		CASE(test_offer_lease_given_back_is_offered_again),
		CASE(test_offer_unclaimed_goes_to_the_coordinator),
		CASE(test_offer_unclaimed_by_the_hubs_word),
		CASE(test_offer_that_cannot_be_said),
		CASE(test_offer_picked_and_withdrawn),
		CASE(test_offer_what_never_arrives_is_out),
		CASE(test_offer_referral_is_kept_for_a_while),
		CASE(test_offer_pages_show_nothing),
		CASE(test_services_the_newest_counts),
		CASE(test_services_answers_belong_to_their_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
