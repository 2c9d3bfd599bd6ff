/* Dated keys over real sessions (TLS on loopback): a hub as it is, which keeps and gives out the newest batch of each agency, and a
 * hub that lies. Each lie is refused by its rule, which stands in the log, and what was known goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "agent/shell/prekey_peers.h"
#include "agent/shell/prekeys.h"
#include "broker/shell/doors.h"
#include "broker/shell/hub_inner.h"
#include "proto/link/log.h"
#include "proto/link/roles.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"
#include "tests/kit/site.h"

#define DEADLINE_NS (20u * UINT64_C(1000000000))
#define DAY 20700u
#define AT(day) ((int64_t)(day) * KW_PREKEY_DAY_MS)

struct rig {
	struct kit_site site;
	char folders[2][64]; /* of agency-0, who writes, and agency-1, who is written to */
	struct keys keys[2];
	struct kw_directory_entry entries[2];
	struct kw_directory directory;
	int stderr_was;
	FILE *log;
	uv_loop_t loop;
	struct kw_net *net;
	char address[32];

	/* the hub as it is */
	struct config config;
	uv_prepare_t turn_end;
	struct office *office;
	struct doors *doors;
	struct hub *hub;

	/* the one that lies: its answer to any question */
	struct kw_tls_context *context;
	struct kw_link_server *server;
	struct kw_buf lie;
};

/* One agency's side of a session. */
struct side {
	struct rig *rig;
	size_t agency;
	struct kw_tls_context *context;
	struct kw_link *link;
	bool welcome;
	bool told;
	uint32_t through_day;
	uint32_t prekeys; /* frames of them */
	uint32_t wants;   /* about others */
	struct prekey_peers *peers;
	struct kw_buf last; /* PREKEYS that came last */
	enum kw_err error;
	bool closed;
};

static struct kw_name name_of(size_t agency)
{
	struct kw_name out = {.text = {0}};
	(void)snprintf(out.text, sizeof(out.text), "agency-%zu", agency);
	return out;
}

static uint32_t logged(struct rig *rig, const char *words)
{
	char line[2048];
	uint32_t count = 0;
	rewind(rig->log);
	while (fgets(line, sizeof(line), rig->log) != NULL)
		count += strstr(line, words) != NULL;
	assert_int_equal(fseek(rig->log, 0, SEEK_END), 0);
	return count;
}

/* The agencies of the site get identity keys that can sign. */
static void publish_identities(struct rig *rig)
{
	struct kw_digest fingerprint;
	const char *file;
	struct kw_roles *roles = NULL;
	int lock;
	assert_int_equal(kw_spki_digest(rig->site.root.certificate, &fingerprint), KW_OK);
	assert_int_equal(kw_roles_lock(rig->site.dir, 1000, &lock), KW_OK);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &fingerprint, &roles, &file), KW_OK);
	struct kw_directory next = *roles->directory;
	next.entries = calloc(next.count, sizeof(*next.entries));
	memcpy(next.entries, roles->directory->entries, next.count * sizeof(*next.entries));
	for (size_t i = 0; i < 2; i++) {
		memcpy(next.entries[i].identity_key, rig->keys[i].identity.public_key, KW_KEY_SIZE);
		rig->entries[i] = next.entries[i];
	}
	assert_int_equal(kw_roles_publish(roles, &next, (int64_t)time(NULL) * 1000), KW_OK);
	rig->directory = (struct kw_directory){.hub = rig->site.hub, .version = 1, .entries = rig->entries, .count = 2};
	free(next.entries);
	kw_roles_free(roles);
	kw_roles_unlock(lock);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	kit_site_init(&rig->site, 2);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(rig->folders[i], sizeof(rig->folders[i]), "/tmp/kw-agent-XXXXXX");
		assert_non_null(mkdtemp(rig->folders[i]));
		assert_int_equal(keys_generate(&rig->keys[i]), KW_OK);
	}
	publish_identities(rig);
	kw_buf_init(&rig->lie, 8192);
	rig->log = tmpfile();
	assert_non_null(rig->log);
	rig->stderr_was = dup(STDERR_FILENO);
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(kw_net_new(&rig->loop, &rig->net), KW_OK);
	(void)fflush(stderr);
	(void)dup2(fileno(rig->log), STDERR_FILENO);
	*state = rig;
	return 0;
}

static void close_hub(struct rig *rig)
{
	struct kw_net_stats stats;
	if (rig->doors != NULL)
		doors_shut(rig->doors);
	kw_link_server_close(rig->server);
	rig->server = NULL;
	do {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		kw_net_stats_get(rig->net, &stats);
	} while (stats.links > 0);
	if (rig->doors == NULL)
		return;
	hub_free(rig->hub);
	uv_close((uv_handle_t *)&rig->turn_end, NULL);
	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
	doors_free(rig->doors);
	office_close(rig->office);
	config_fini(&rig->config);
	rig->doors = NULL;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	(void)dup2(rig->stderr_was, STDERR_FILENO);
	(void)close(rig->stderr_was);
	close_hub(rig);
	kw_net_free(rig->net);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	kw_tls_context_free(rig->context);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	(void)fclose(rig->log);
	kw_buf_fini(&rig->lie);
	for (size_t i = 0; i < 2; i++) {
		keys_fini(&rig->keys[i]);
		assert_int_equal(folder_remove(rig->folders[i]), 0);
	}
	kit_site_fini(&rig->site);
	free(rig);
	return 0;
}

/* ---- an agency */

static void side_on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	(void)user;
	assert_int_equal(peer->kind, KW_PEER_HUB);
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 77, .clock_unix_ms = 1};
	assert_int_equal(kw_frame_hello_add(kw_link_out(link), &hello), KW_OK);
	kw_link_ready(link);
}

static void side_on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct side *side = user;
	const struct kw_name own = name_of(side->agency);
	struct kw_frame_error error;
	struct kw_prekeys_want want;
	(void)link;
	side->welcome = side->welcome || frame->type == KW_FRAME_WELCOME;
	if (frame->type == KW_FRAME_ERROR && kw_frame_error_parse(frame->body, &error) == KW_OK)
		side->error = error.code;
	if (frame->type == KW_FRAME_PREKEYS_WANT) {
		assert_int_equal(kw_prekeys_want_parse(frame->body, &want), KW_OK);
		if (kw_name_equal(&want.agency, &own)) {
			side->told = true;
			side->through_day = want.through_day;
		} else {
			side->wants++;
			prekey_peers_none(side->peers, &want.agency);
		}
	} else if (frame->type == KW_FRAME_PREKEYS) {
		kw_buf_clear(&side->last);
		assert_int_equal(kw_buf_add(&side->last, frame->body), KW_OK);
		assert_int_equal(prekey_peers_take(side->peers, &side->rig->directory, frame->body), KW_OK);
		side->prekeys++;
	}
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void side_on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct side *side = user;
	(void)link;
	(void)err;
	side->closed = true;
}

static void open_peers(struct side *side)
{
	const struct prekey_peers_self self = {
		.folder = side->rig->folders[side->agency], .keys = &side->rig->keys[side->agency], .hub = side->rig->site.hub};
	assert_int_equal(prekey_peers_open(&self, &side->peers), KW_OK);
}

#define RUN_UNTIL(rig, condition) \
	for (uint64_t begin_ = uv_hrtime(); !(condition);) { \
		(void)uv_run(&(rig)->loop, UV_RUN_NOWAIT); \
		assert_true(uv_hrtime() - begin_ < DEADLINE_NS); \
	}

static void dial(struct side *side, struct rig *rig, size_t agency)
{
	*side = (struct side){.rig = rig, .agency = agency, .context = kit_site_context(&rig->site, agency)};
	const struct kw_link_hooks hooks = {.user = side, .on_open = side_on_open, .on_frame = side_on_frame,
		.on_drained = on_drained, .on_close = side_on_close};
	kw_buf_init(&side->last, 8192);
	open_peers(side);
	assert_int_equal(kw_link_connect(rig->net, rig->address, side->context, &hooks, &side->link), KW_OK);
	RUN_UNTIL(rig, side->told || side->welcome || side->closed);
}

static void hang_up(struct side *side)
{
	if (!side->closed)
		kw_link_close(side->link, KW_OK);
	RUN_UNTIL(side->rig, side->closed);
	prekey_peers_close(side->peers);
	kw_tls_context_free(side->context);
	kw_buf_fini(&side->last);
}

/* agency-0 asks for agency-1, and has its answer. */
static void ask(struct side *side, bool renew)
{
	struct prekey_choice choice;
	uint32_t answers = side->prekeys + side->wants;
	enum kw_err known = prekey_peers_choose(side->peers, &side->rig->entries[1], DAY, &choice);
	assert_true(known == KW_OK || known == KW_ENOTFOUND);
	if (renew)
		prekey_peers_renew(side->peers, &side->rig->entries[1].agency);
	size_t before = kw_link_out(side->link)->size;
	assert_int_equal(prekey_peers_tick(side->peers, DAY, kw_link_out(side->link)), KW_OK);
	assert_true(kw_link_out(side->link)->size > before);
	kw_link_ready(side->link);
	RUN_UNTIL(side->rig, side->prekeys + side->wants > answers);
}

static void give(struct side *side, struct kw_view batch)
{
	assert_int_equal(kw_frame_add(kw_link_out(side->link), KW_FRAME_PREKEYS, batch), KW_OK);
	kw_link_ready(side->link);
}

static void make(struct kw_prekeys *batch, const char *agency, uint32_t first_day, uint8_t fill)
{
	*batch = (struct kw_prekeys){.first_day = first_day, .count = 46};
	(void)snprintf(batch->agency.text, sizeof(batch->agency.text), "%s", agency);
	(void)snprintf(batch->hub.text, sizeof(batch->hub.text), "hub-0");
	for (uint32_t i = 0; i < batch->count; i++) {
		memset(batch->keys[i], fill, KW_KEY_SIZE);
		kw_put_u32(batch->keys[i], first_day + i);
	}
}

static void sign_as(struct rig *rig, struct kw_prekeys *batch, size_t agency, struct kw_buf *out)
{
	kw_buf_clear(out);
	assert_int_equal(kw_prekeys_sign(batch, &rig->keys[agency].identity, out), KW_OK);
}

/* ---- the hub as it is */

static void on_fatal(void *user, enum kw_err err)
{
	(void)user;
	fail_msg("%s", kw_err_name(err));
}

static void on_turn_end(uv_prepare_t *prepare)
{
	hub_kick(((struct rig *)prepare->data)->hub);
}

static void open_hub(struct rig *rig)
{
	struct kw_config_fault fault;
	char chain[CONFIG_PATH_SIZE];
	char db[CONFIG_PATH_SIZE];
	assert_int_equal(config_load(kit_site_path(&rig->site, "broker.yaml"), &rig->config, &fault), KW_OK);
	assert_int_equal(office_open(&rig->config, &rig->office), KW_OK);
	assert_int_equal(config_path(&rig->config, "server.pem", chain), KW_OK);
	assert_int_equal(config_path(&rig->config, "db", db), KW_OK);
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	limits.handshakes_per_s_max = 0;
	const struct doors_options options = {.net = rig->net, .office = rig->office, .listen = rig->config.values->listen,
		.limits = limits, .conns_max = 64, .fatal = on_fatal, .user = rig};
	assert_int_equal(doors_new(&options, chain, &rig->doors), KW_OK);
	struct hub_options hub = {.limits = BRK_LIMITS_DEFAULT, .name = rig->config.hub};
	hub.limits.conns_max = 64;
	hub.store = (struct store_options){.path = db, .map_size = 64u << 20};
	const struct hub_wire wire = doors_wire(rig->doors);
	assert_int_equal(hub_new(&hub, &rig->loop, &wire, &rig->hub), KW_OK);
	assert_int_equal(doors_open(rig->doors, rig->hub), KW_OK);
	(void)snprintf(rig->address, sizeof(rig->address), "127.0.0.1:%u", doors_port(rig->doors));
	(void)uv_prepare_init(&rig->loop, &rig->turn_end);
	rig->turn_end.data = rig;
	(void)uv_prepare_start(&rig->turn_end, on_turn_end);
	uv_unref((uv_handle_t *)&rig->turn_end);
}

static void settle(struct rig *rig)
{
	struct hub_stats stats;
	do {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		hub_kick(rig->hub);
		hub_stats_get(rig->hub, &stats);
	} while (stats.store.pending_ops > 0);
}

static void test_the_hub_keeps_the_newest_batch_and_gives_it_out(void **state)
{
	struct rig *rig = *state;
	struct side writer, written;
	struct kw_prekeys batch;
	struct kw_buf first;
	struct prekey_choice choice;
	kw_buf_init(&first, 8192);
	open_hub(rig);
	dial(&written, rig, 1);
	RUN_UNTIL(rig, written.told);
	assert_int_equal(written.through_day, 0); /* it lacks them */
	dial(&writer, rig, 0);
	ask(&writer, false);
	assert_int_equal(writer.wants, 1); /* it has none */
	make(&batch, "agency-1", DAY, 1);
	sign_as(rig, &batch, 1, &first);
	give(&written, kw_buf_view(&first));
	RUN_UNTIL(rig, logged(rig, "\"event\":\"prekeys\",\"agency\":\"agency-1\"") == 1);
	settle(rig);
	ask(&writer, true);
	assert_int_equal(writer.prekeys, 1);
	assert_true(kw_view_equal(kw_buf_view(&writer.last), kw_buf_view(&first)));
	assert_int_equal(prekey_peers_choose(writer.peers, &rig->entries[1], DAY + 7, &choice), KW_OK);
	assert_memory_equal(choice.public_key, batch.keys[7], KW_KEY_SIZE);
	hang_up(&written);
	hang_up(&writer);
	close_hub(rig); /* durable */
	open_hub(rig);
	dial(&written, rig, 1);
	RUN_UNTIL(rig, written.told);
	assert_int_equal(written.through_day, DAY + 45);
	hang_up(&written);
	kw_buf_fini(&first);
}

static void test_the_hub_takes_no_batch_that_nobody_would_accept(void **state)
{
	struct rig *rig = *state;
	struct side side;
	struct kw_prekeys batch;
	struct kw_buf bytes;
	kw_buf_init(&bytes, 8192);
	open_hub(rig);
	dial(&side, rig, 1);
	RUN_UNTIL(rig, side.told);
	make(&batch, "agency-1", DAY, 1);
	sign_as(rig, &batch, 1, &bytes);
	give(&side, kw_buf_view(&bytes));
	make(&batch, "agency-0", DAY, 1); /* another agency's */
	sign_as(rig, &batch, 1, &bytes);
	give(&side, kw_buf_view(&bytes));
	make(&batch, "agency-1", DAY, 2); /* another's key */
	sign_as(rig, &batch, 0, &bytes);
	give(&side, kw_buf_view(&bytes));
	give(&side, kw_view_str("no batch"));
	RUN_UNTIL(rig, logged(rig, "prekeys_refused") == 3);
	settle(rig); /* what goes back is judged by what is on the disk */
	make(&batch, "agency-1", DAY - 1, 3);
	sign_as(rig, &batch, 1, &bytes);
	give(&side, kw_buf_view(&bytes));
	RUN_UNTIL(rig, logged(rig, "prekeys_refused") == 4);
	const char *const rules[] = {"agency", "key", "form", "rollback"};
	for (size_t i = 0; i < 4; i++) {
		char words[64];
		(void)snprintf(words, sizeof(words), "\"rule\":\"%s\"", rules[i]);
		assert_int_equal(logged(rig, words), 1);
	}
	assert_false(side.closed); /* it ends nothing */
	/* A question that breaks the form does. */
	assert_int_equal(kw_frame_add(kw_link_out(side.link), KW_FRAME_PREKEYS_WANT, KW_VIEW(NULL, 0)), KW_OK);
	kw_link_ready(side.link);
	RUN_UNTIL(rig, side.closed);
	assert_int_equal(side.error, KW_EFIELD);
	hang_up(&side);
	dial(&side, rig, 1);
	RUN_UNTIL(rig, side.told);
	assert_int_equal(side.through_day, DAY + 45);
	hang_up(&side);
	kw_buf_fini(&bytes);
}

static void test_keys_that_were_lost_are_replaced(void **state)
{
	struct rig *rig = *state;
	struct side writer, written;
	struct kw_prekeys batch;
	struct kw_buf bytes;
	kw_buf_init(&bytes, 8192);
	open_hub(rig);
	dial(&written, rig, 1);
	dial(&writer, rig, 0);
	for (uint8_t n = 1; n <= 2; n++) { /* the same days, other keys */
		make(&batch, "agency-1", DAY, n);
		sign_as(rig, &batch, 1, &bytes);
		give(&written, kw_buf_view(&bytes));
		RUN_UNTIL(rig, logged(rig, "\"event\":\"prekeys\",\"agency\":\"agency-1\"") == n);
		settle(rig);
		ask(&writer, n > 1);
		assert_true(kw_view_equal(kw_buf_view(&writer.last), kw_buf_view(&bytes)));
	}
	assert_int_equal(logged(rig, "prekeys_refused"), 0);
	hang_up(&written);
	hang_up(&writer);
	kw_buf_fini(&bytes);
}

/* Each costs a signature and a write. */
static void test_8_batches_in_a_minute_and_no_more(void **state)
{
	struct rig *rig = *state;
	struct side side;
	struct kw_prekeys batch;
	struct kw_buf bytes;
	kw_buf_init(&bytes, 8192);
	open_hub(rig);
	dial(&side, rig, 1);
	while (uv_now(&rig->loop) % 60000u > 50000u) /* within one minute of the loop's clock */
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
	for (uint32_t i = 1; i <= HUB_PREKEYS_MINUTE_MAX + 4; i++) { /* of those beyond it the first is told */
		make(&batch, "agency-1", DAY + i, (uint8_t)i);
		sign_as(rig, &batch, 1, &bytes);
		give(&side, kw_buf_view(&bytes));
	}
	RUN_UNTIL(rig, logged(rig, "prekeys_refused") == 1);
	settle(rig);
	assert_int_equal(logged(rig, "\"event\":\"prekeys\""), HUB_PREKEYS_MINUTE_MAX);
	assert_int_equal(logged(rig, "\"error\":\"busy\""), 1);
	assert_false(side.closed);
	hang_up(&side);
	kw_buf_fini(&bytes);
}

/* ---- the one that lies */

static void liar_on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	(void)peer;
	kw_link_user_set(link, user);
}

static void liar_on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct rig *rig = user;
	struct kw_prekeys_want want = {.agency = name_of(0)};
	if (frame->type == KW_FRAME_HELLO)
		assert_int_equal(kw_prekeys_want_add(kw_link_out(link), &want), KW_OK);
	if (frame->type == KW_FRAME_PREKEYS_WANT)
		assert_int_equal(kw_frame_add(kw_link_out(link), KW_FRAME_PREKEYS, kw_buf_view(&rig->lie)), KW_OK);
	kw_link_ready(link);
}

static void liar_on_close(void *user, struct kw_link *link, enum kw_err err)
{
	(void)user;
	(void)link;
	(void)err;
}

static void open_liar(struct rig *rig)
{
	struct kw_tls_files files = {.chain = kit_site_path(&rig->site, "server.pem"), .key = rig->site.server_key,
		.root = rig->site.root.certificate};
	const struct kw_link_hooks hooks = {.user = rig, .on_open = liar_on_open, .on_frame = liar_on_frame,
		.on_drained = on_drained, .on_close = liar_on_close};
	assert_int_equal(kw_tls_context_new(KW_TLS_HUB, &files, &rig->context), KW_OK);
	assert_int_equal(kw_link_listen(rig->net, "127.0.0.1:0", rig->context, &hooks, &rig->server), KW_OK);
	(void)snprintf(rig->address, sizeof(rig->address), "127.0.0.1:%u", kw_link_server_port(rig->server));
}

/* What the hub says now is refused by this rule, and the key of the day stays the one of `known`; also after a restart. */
static void refuses(struct rig *rig, enum kw_prekey_rule rule, const struct kw_prekeys *known)
{
	struct prekey_choice choice;
	char words[64];
	(void)snprintf(words, sizeof(words), "\"rule\":\"%s\"", kw_prekey_rule_name(rule));
	for (int again = 0; again < 2; again++) {
		struct side side;
		uint32_t before = logged(rig, words);
		dial(&side, rig, 0);
		ask(&side, known != NULL);
		assert_int_equal(logged(rig, words), before + 1);
		enum kw_err err = prekey_peers_choose(side.peers, &rig->entries[1], DAY + 3, &choice);
		assert_int_equal(err, known != NULL ? KW_OK : KW_ENOTFOUND);
		if (known != NULL)
			assert_memory_equal(choice.public_key, known->keys[DAY + 3 - known->first_day], KW_KEY_SIZE);
		assert_false(side.closed);
		hang_up(&side);
	}
}

static void test_a_swapped_batch_is_refused(void **state)
{
	struct rig *rig = *state;
	struct kw_prekeys batch;
	open_liar(rig);
	make(&batch, "agency-0", DAY, 1); /* the batch of another agency, which it has signed */
	sign_as(rig, &batch, 0, &rig->lie);
	refuses(rig, KW_PREKEY_RULE_AGENCY, NULL);
	make(&batch, "agency-1", DAY, 1); /* in its name, signed by another key */
	sign_as(rig, &batch, 0, &rig->lie);
	refuses(rig, KW_PREKEY_RULE_KEY, NULL);
	/* A batch of its own, in which the hub has put a key of its own. */
	make(&batch, "agency-1", DAY, 1);
	sign_as(rig, &batch, 1, &rig->lie);
	rig->lie.data[rig->lie.size - 80] ^= 1;
	refuses(rig, KW_PREKEY_RULE_SIGNATURE, NULL);
	/* Nothing of that is remembered: the right one is taken. */
	sign_as(rig, &batch, 1, &rig->lie);
	struct side side;
	struct prekey_choice choice;
	dial(&side, rig, 0);
	ask(&side, false);
	assert_int_equal(prekey_peers_choose(side.peers, &rig->entries[1], DAY, &choice), KW_OK);
	hang_up(&side);
}

static void test_a_rolled_back_batch_is_refused(void **state)
{
	struct rig *rig = *state;
	struct kw_prekeys batch, old;
	struct side side;
	open_liar(rig);
	make(&batch, "agency-1", DAY - 2, 2);
	sign_as(rig, &batch, 1, &rig->lie);
	dial(&side, rig, 0);
	ask(&side, false);
	hang_up(&side);
	make(&old, "agency-1", DAY - 20, 1); /* well signed, and of then */
	sign_as(rig, &old, 1, &rig->lie);
	refuses(rig, KW_PREKEY_RULE_ROLLBACK, &batch);
	old.count = 3;
	old.first_day = DAY - 2;
	sign_as(rig, &old, 1, &rig->lie); /* begins the same day, and ends earlier: dormant before its time */
	refuses(rig, KW_PREKEY_RULE_ROLLBACK, &batch);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_hub_keeps_the_newest_batch_and_gives_it_out),
		T(test_the_hub_takes_no_batch_that_nobody_would_accept),
		T(test_keys_that_were_lost_are_replaced),
		T(test_8_batches_in_a_minute_and_no_more),
		T(test_a_swapped_batch_is_refused),
		T(test_a_rolled_back_batch_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
