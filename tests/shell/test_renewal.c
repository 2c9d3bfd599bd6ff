/* Renewal at a hub as it is, over TLS on loopback: in a session, at the enrolment door after expiry, and what is refused there. A new TLS
 * key shuts nobody out. The hub's own certificate is renewed by itself. */
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

#include "broker/shell/doors.h"
#include "broker/shell/office_inner.h"
#include "proto/wire/envelope.h"
#include "broker/shell/office_renew.h"
#include "proto/link/file.h"
#include "proto/wire/renew.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"
#include "tests/kit/live_hub.h"
#include "tests/kit/site.h"

#define DEADLINE_NS (20u * UINT64_C(1000000000))
#define DAY_MS INT64_C(86400000)

struct rig {
	struct kit_site site;
	struct kw_digest fingerprint;
	struct kw_ed25519 identities[2];
	int stderr_was;
	FILE *log;
	uv_loop_t loop;
	struct kw_net *net;
	char address[KIT_LIVE_HUB_ADDRESS_SIZE];
	struct config config;
	uv_prepare_t turn_end;
	struct office *office;
	struct doors *doors;
	struct hub *hub;
};

/* One connection of an agency: says HELLO if it is a session, then RENEW. */
struct caller {
	struct rig *rig;
	struct kw_link *link;
	bool session;
	bool silent;             /* no RENEW */
	struct kw_renew renew;
	const struct kw_ed25519 *identity;
	const struct kw_buf *replay; /* a frame of another connection, instead */
	struct kw_buf said;      /* the frame that was sent */
	int answers;
	enum kw_err problem;     /* of the last answer */
	X509 *leaf;              /* of the last answer */
	X509 *issuer;
	bool welcome;
	enum kw_err error;       /* an ERROR frame */
	bool closed;
	int64_t hub_expires_ms;  /* of the hub's certificate */
};

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static void edit(struct rig *rig, void (*change)(struct rig *rig, struct kw_directory *directory))
{
	const char *file;
	struct kw_roles *roles = NULL;
	int lock;
	assert_int_equal(kw_roles_lock(rig->site.dir, 1000, &lock), KW_OK);
	assert_int_equal(kw_roles_load(rig->site.dir, &rig->site.hub, &rig->fingerprint, &roles, &file), KW_OK);
	struct kw_directory next = *roles->directory;
	next.entries = calloc(next.count + 1, sizeof(*next.entries));
	memcpy(next.entries, roles->directory->entries, next.count * sizeof(*next.entries));
	change(rig, &next);
	assert_int_equal(kw_roles_publish(roles, &next, now_ms()), KW_OK);
	free(next.entries);
	kw_roles_free(roles);
	kw_roles_unlock(lock);
}

static void give_identities(struct rig *rig, struct kw_directory *directory)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kw_ed25519_generate(&rig->identities[i]), KW_OK);
		memcpy(directory->entries[i].identity_key, rig->identities[i].public_key, KW_KEY_SIZE);
	}
}

static void shut_out_first(struct rig *rig, struct kw_directory *directory)
{
	(void)rig;
	directory->entries[0].revoked = true;
}

static void open_hub(struct rig *rig)
{
	kit_live_hub_open(&(const struct kit_live_hub){.config_file = kit_site_path(&rig->site, "broker.yaml"), .loop = &rig->loop, .net = rig->net,
		.conns_max = 16, .config = &rig->config, .office = &rig->office, .doors = &rig->doors, .hub = &rig->hub, .address = rig->address,
		.turn_end = &rig->turn_end});
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	kit_site_init(&rig->site, 2);
	assert_int_equal(kw_spki_digest(rig->site.root.certificate, &rig->fingerprint), KW_OK);
	edit(rig, give_identities);
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

static uint32_t logged(struct rig *rig, const char *event, const char *words)
{
	char line[2048];
	uint32_t count = 0;
	rewind(rig->log);
	while (fgets(line, sizeof(line), rig->log) != NULL)
		count += strstr(line, event) != NULL && strstr(line, words) != NULL;
	assert_int_equal(fseek(rig->log, 0, SEEK_END), 0);
	return count;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	struct kw_net_stats stats;
	(void)dup2(rig->stderr_was, STDERR_FILENO);
	(void)close(rig->stderr_was);
	if (rig->doors != NULL) {
		doors_shut(rig->doors);
		do {
			(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
			kw_net_stats_get(rig->net, &stats);
		} while (stats.links > 0);
		hub_free(rig->hub);
		uv_close((uv_handle_t *)&rig->turn_end, NULL);
	}
	kw_net_free(rig->net);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	if (rig->doors != NULL) {
		doors_free(rig->doors);
		office_close(rig->office);
		config_fini(&rig->config);
	}
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	(void)fclose(rig->log);
	kit_site_fini(&rig->site);
	free(rig);
	return 0;
}

/* ---- a caller */

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct caller *caller = user;
	uint8_t exporter[KW_RENEW_EXPORTER_SIZE];
	const struct kw_renew_where where = {.hub = &caller->rig->site.hub, .exporter = exporter};
	const struct kw_frame_hello hello = {.version_min = 1, .version_max = 1, .epoch = 77, .clock_unix_ms = 1};
	assert_int_equal(peer->kind, KW_PEER_HUB);
	caller->hub_expires_ms = peer->expires_unix_ms;
	if (caller->session)
		assert_int_equal(kw_frame_hello_add(kw_link_out(link), &hello), KW_OK);
	if (!caller->silent && caller->replay == NULL) {
		assert_int_equal(kw_link_export(link, KW_RENEW_EXPORTER, exporter, sizeof(exporter)), KW_OK);
		assert_int_equal(kw_renew_add(&caller->said, &caller->renew, &where, caller->identity), KW_OK);
	}
	const struct kw_buf *frame = caller->replay != NULL ? caller->replay : &caller->said;
	assert_int_equal(kw_buf_add(kw_link_out(link), kw_buf_view(frame)), KW_OK);
	kw_link_ready(link);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct caller *caller = user;
	struct kw_frame_error error;
	struct kw_renewed renewed;
	(void)link;
	if (frame->type == KW_FRAME_WELCOME)
		caller->welcome = true;
	if (frame->type == KW_FRAME_ERROR && kw_frame_error_parse(frame->body, &error) == KW_OK)
		caller->error = error.code;
	if (frame->type != KW_FRAME_RENEWED)
		return;
	assert_int_equal(kw_renewed_parse(frame->body, &renewed), KW_OK);
	caller->answers++;
	caller->problem = renewed.problem;
	assert_true(renewed.clock_unix_ms >= now_ms() - 5000);
	if (renewed.problem != KW_OK)
		return;
	assert_int_equal(renewed.certificates_count, 2);
	X509_free(caller->leaf);
	X509_free(caller->issuer);
	assert_int_equal(kw_pki_cert_from_der(renewed.certificates[0], &caller->leaf), KW_OK);
	assert_int_equal(kw_pki_cert_from_der(renewed.certificates[1], &caller->issuer), KW_OK);
}

static void on_drained(void *user, struct kw_link *link)
{
	(void)user;
	(void)link;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct caller *caller = user;
	(void)link;
	(void)err;
	caller->closed = true;
}

static struct kw_name agency_name(size_t agency)
{
	char text[32];
	struct kw_name name;
	(void)snprintf(text, sizeof(text), "agency-%zu", agency);
	assert_int_equal(kw_name_from(kw_view_str(text), &name), KW_OK);
	return name;
}

/* A call of an agency with its own identity, for the TLS key of `key` (NULL: the one it has). */
static void begin(struct caller *caller, struct rig *rig, size_t agency, EVP_PKEY *key)
{
	*caller = (struct caller){.rig = rig, .identity = &rig->identities[agency]};
	struct kw_buf csr;
	static uint8_t der[KW_RENEW_CSR_SIZE_MAX];
	kw_buf_init(&csr, KW_RENEW_CSR_SIZE_MAX);
	assert_int_equal(kw_pki_csr_add(key != NULL ? key : rig->site.agency_keys[agency], &csr), KW_OK);
	memcpy(der, csr.data, csr.size);
	caller->renew = (struct kw_renew){.agency = agency_name(agency), .csr = KW_VIEW(der, csr.size), .unix_ms = now_ms()};
	kw_buf_fini(&csr);
	kw_buf_init(&caller->said, KW_FRAME_SIZE_MAX);
}

static void turn_until(struct rig *rig, const bool *done, const int *count, int want)
{
	uint64_t begin_ns = uv_hrtime();
	while (!(done != NULL && *done) && !(count != NULL && *count >= want)) {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		assert_true(uv_hrtime() - begin_ns < DEADLINE_NS);
	}
}

/* Dials, waits for the answer or the end, and hangs up. */
static void call(struct caller *caller, struct kw_tls_context *context)
{
	const struct kw_link_hooks hooks = {
		.user = caller, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained, .on_close = on_close};
	assert_int_equal(kw_link_connect(caller->rig->net, caller->rig->address, context, &hooks, &caller->link), KW_OK);
	if (caller->silent)
		turn_until(caller->rig, &caller->closed, (int *)&(int){0}, 1);
	else
		turn_until(caller->rig, &caller->closed, &caller->answers, 1);
}

static void end(struct caller *caller)
{
	if (!caller->closed)
		kw_link_close(caller->link, KW_OK);
	turn_until(caller->rig, &caller->closed, NULL, 0);
	kw_buf_fini(&caller->said);
	X509_free(caller->leaf);
	X509_free(caller->issuer);
}

static struct kw_tls_context *door_context(const struct rig *rig)
{
	struct kw_tls_context *context;
	const struct kw_tls_files files = {.root_fingerprint = rig->fingerprint};
	assert_int_equal(kw_tls_context_new(KW_TLS_ENROL, &files, &context), KW_OK);
	return context;
}

/* The context of a certificate that was made at some time, for any key. */
static struct kw_tls_context *context_of(const struct rig *rig, size_t agency, EVP_PKEY *key, int64_t made_ms)
{
	const struct kw_pki_agency whom = {.agency = agency_name(agency), .hub = rig->site.hub};
	struct kw_tls_context *context;
	struct kw_buf csr;
	X509 *leaf;
	kw_buf_init(&csr, KW_RENEW_CSR_SIZE_MAX);
	assert_int_equal(kw_pki_csr_add(key, &csr), KW_OK);
	assert_int_equal(kw_pki_agency_issue(&rig->site.issuing, kw_buf_view(&csr), &whom, made_ms, &leaf), KW_OK);
	X509 *const chain[] = {leaf, rig->site.issuing.certificate};
	assert_int_equal(kw_pki_certs_save(kit_site_path(&rig->site, "some.pem"), chain, 2), KW_OK);
	const struct kw_tls_files files = {
		.chain = kit_site_path(&rig->site, "some.pem"), .key = key, .root = rig->site.root.certificate};
	assert_int_equal(kw_tls_context_new(KW_TLS_AGENT, &files, &context), KW_OK);
	X509_free(leaf);
	kw_buf_fini(&csr);
	return context;
}

static const struct kw_directory_entry *entry_of(const struct rig *rig, size_t agency)
{
	const struct kw_name name = agency_name(agency);
	return kw_directory_find(office_directory(rig->office), &name);
}

/* One call that must be answered so. */
static void answered(struct rig *rig, struct kw_tls_context *context, struct caller *caller, enum kw_err problem)
{
	call(caller, context);
	assert_int_equal(caller->answers, 1);
	assert_int_equal(caller->problem, problem);
	(void)rig;
}

/* ---- the cases */

static void test_a_session_renews_and_goes_on(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	int64_t ends;
	int64_t due;
	open_hub(rig);
	uint64_t version = office_directory(rig->office)->version;
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	answered(rig, context, &caller, KW_OK);
	assert_int_equal(X509_check_private_key(caller.leaf, rig->site.agency_keys[0]), 1);
	assert_int_equal(kw_spki_expires(caller.leaf, &ends), KW_OK);
	assert_true(ends > now_ms() + 89 * DAY_MS && ends <= now_ms() + 90 * DAY_MS);
	assert_int_equal(kw_pki_due(caller.leaf, &due), KW_OK);
	assert_true(due > now_ms() + 59 * DAY_MS && due < now_ms() + 61 * DAY_MS);
	X509 *const chain[] = {caller.leaf, caller.issuer};
	assert_int_equal(kw_pki_chain_check(chain, 2, rig->site.root.certificate, now_ms()), KW_OK);
	assert_int_equal(kw_pki_chain_check(chain, 2, rig->site.root.certificate, ends + 1000), KW_EEXPIRED);
	assert_int_equal(kw_pki_chain_check(chain, 1, rig->site.root.certificate, now_ms()), KW_EAUTH);
	assert_int_equal(kw_pki_chain_check(chain, 2, caller.issuer, now_ms()), KW_EAUTH);
	/* The directory is as it was, and the session too: a second one at once is only put off. */
	assert_int_equal(office_directory(rig->office)->version, version);
	assert_true(caller.welcome && !caller.closed);
	assert_int_equal(kw_buf_add(kw_link_out(caller.link), kw_buf_view(&caller.said)), KW_OK);
	kw_link_ready(caller.link);
	turn_until(rig, &caller.closed, &caller.answers, 2);
	assert_int_equal(caller.problem, KW_EBUSY);
	assert_false(caller.closed);
	end(&caller);
	kw_tls_context_free(context);
	assert_int_equal(logged(rig, "\"event\":\"renewal\"", "\"agency\":\"agency-0\",\"door\":\"session\",\"error\":\"ok\""), 1);
}

static void test_who_is_not_the_agency_gets_nothing(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct kw_buf seen;
	open_hub(rig);
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	/* With the TLS key and not the identity key: a thief of the certificate alone. */
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	caller.identity = &rig->identities[1];
	answered(rig, context, &caller, KW_EAUTH);
	end(&caller);
	/* For another agency, with that one's own word, in our session. */
	begin(&caller, rig, 1, NULL);
	caller.session = true;
	answered(rig, context, &caller, KW_EDENIED);
	end(&caller);
	/* The word of another connection, replayed: in a session and at the door. */
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	answered(rig, context, &caller, KW_OK);
	kw_buf_init(&seen, KW_FRAME_SIZE_MAX);
	assert_int_equal(kw_buf_add(&seen, kw_buf_view(&caller.said)), KW_OK);
	end(&caller);
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	caller.replay = &seen;
	answered(rig, context, &caller, KW_EAUTH);
	end(&caller);
	struct kw_tls_context *door = door_context(rig);
	begin(&caller, rig, 0, NULL);
	caller.replay = &seen;
	answered(rig, door, &caller, KW_EAUTH);
	end(&caller);
	/* Nobody of that name: the same answer as to a wrong word, because the asker is nobody yet. */
	begin(&caller, rig, 0, NULL);
	caller.renew.agency = agency_name(7);
	answered(rig, door, &caller, KW_EAUTH);
	end(&caller);
	kw_buf_fini(&seen);
	kw_tls_context_free(door);
	kw_tls_context_free(context);
	assert_int_equal(logged(rig, "\"event\":\"renewal\"", "\"error\":\"not_authentic\""), 4);
	assert_int_equal(logged(rig, "\"event\":\"renewal\"", "\"error\":\"denied\""), 1);
}

static void test_a_clock_that_is_wrong_is_told_so(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	static const struct {
		int64_t apart_ms;
		enum kw_err problem;
	} cases[] = {{-KW_RENEW_WINDOW_MS + 60000, KW_OK}, {KW_RENEW_WINDOW_MS - 60000, KW_OK}, {-KW_RENEW_WINDOW_MS - 1000, KW_EEXPIRED},
		{KW_RENEW_WINDOW_MS + 60000, KW_EEXPIRED}, {-3 * 365 * DAY_MS, KW_EEXPIRED}};
	open_hub(rig);
	struct kw_tls_context *door = door_context(rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&caller, rig, 0, NULL);
		caller.renew.unix_ms += cases[i].apart_ms;
		answered(rig, door, &caller, cases[i].problem);
		end(&caller);
	}
	kw_tls_context_free(door);
}

static void test_an_expired_certificate_gets_no_session_and_a_new_one(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	open_hub(rig);
	struct kw_tls_context *expired = context_of(rig, 0, rig->site.agency_keys[0], now_ms() - 91 * DAY_MS);
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	caller.silent = true;
	call(&caller, expired);
	assert_int_equal(caller.error, KW_EEXPIRED);
	assert_false(caller.welcome);
	end(&caller);
	/* Nor may it renew where a session is needed. */
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	call(&caller, expired);
	assert_int_equal(caller.error, KW_EEXPIRED);
	assert_int_equal(caller.answers, 0);
	end(&caller);
	assert_int_equal(logged(rig, "\"event\":\"connection_refused\"", "\"agency\":\"agency-0\",\"error\":\"expired\""), 2);
	struct kw_tls_context *door = door_context(rig);
	begin(&caller, rig, 0, NULL);
	answered(rig, door, &caller, KW_OK);
	assert_int_equal(X509_check_private_key(caller.leaf, rig->site.agency_keys[0]), 1);
	turn_until(rig, &caller.closed, NULL, 0); /* the door closes behind it */
	end(&caller);
	kw_tls_context_free(door);
	kw_tls_context_free(expired);
}

static void test_who_was_shut_out_renews_nowhere(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	open_hub(rig);
	edit(rig, shut_out_first);
	doors_tick(rig->doors);
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	struct kw_tls_context *door = door_context(rig);
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	call(&caller, context);
	assert_int_equal(caller.error, KW_EDENIED);
	assert_int_equal(caller.answers, 0);
	end(&caller);
	begin(&caller, rig, 0, NULL);
	answered(rig, door, &caller, KW_EDENIED);
	end(&caller);
	/* That it was shut out hears only who has its identity key. */
	begin(&caller, rig, 0, NULL);
	caller.identity = &rig->identities[1];
	answered(rig, door, &caller, KW_EAUTH);
	end(&caller);
	kw_tls_context_free(door);
	kw_tls_context_free(context);
}

/* Old and new are good until the new one was used; then the old one opens nothing, and the session that it has ends. */
static void test_a_new_tls_key_shuts_nobody_out(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct caller other;
	EVP_PKEY *key = NULL;
	open_hub(rig);
	assert_int_equal(kw_pki_key_new(&key), KW_OK);
	struct kw_tls_context *old = kit_site_context(&rig->site, 0);
	struct kw_tls_context *new = context_of(rig, 0, key, now_ms());
	const struct kw_digest before = entry_of(rig, 0)->tls_key_digest;
	/* Before the hub has heard of it, the new key is nobody's. */
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	call(&caller, new);
	assert_int_equal(caller.error, KW_EDENIED);
	end(&caller);
	begin(&caller, rig, 0, key);
	caller.session = true;
	answered(rig, old, &caller, KW_OK);
	assert_int_equal(X509_check_private_key(caller.leaf, key), 1);
	assert_memory_equal(&entry_of(rig, 0)->tls_key_digest, &before, sizeof(before));
	doors_tick(rig->doors);
	assert_false(caller.closed);
	/* The old one still opens. */
	begin(&other, rig, 0, NULL);
	other.session = true;
	answered(rig, old, &other, KW_OK);
	end(&other);
	begin(&other, rig, 0, key);
	other.session = true;
	answered(rig, new, &other, KW_OK);
	assert_true(memcmp(&entry_of(rig, 0)->tls_key_digest, &before, sizeof(before)) != 0);
	static const struct kw_digest none;
	assert_memory_equal(&entry_of(rig, 0)->next_tls_key_digest, &none, sizeof(none));
	end(&other);
	begin(&other, rig, 0, NULL);
	other.session = true;
	call(&other, old);
	assert_int_equal(other.error, KW_EDENIED);
	end(&other);
	end(&caller);
	kw_tls_context_free(old);
	kw_tls_context_free(new);
	EVP_PKEY_free(key);
}

static void test_identity_and_sealing_keys_are_replaced_once(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct kw_ed25519 next;
	struct kw_x25519 sealing;
	open_hub(rig);
	assert_int_equal(kw_ed25519_generate(&next), KW_OK);
	assert_int_equal(kw_x25519_generate(&sealing), KW_OK);
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	const struct kw_identity_who who = {.agency = &(struct kw_name){.text = "agency-0"}, .hub = &rig->site.hub};
	uint64_t version = office_directory(rig->office)->version;
	for (int i = 0; i < 2; i++) { /* the second time as if the answer had been lost */
		begin(&caller, rig, 0, NULL);
		caller.session = true;
		caller.renew.sealing_key = KW_VIEW_OF(sealing.public_key);
		caller.renew.identity_key = KW_VIEW_OF(next.public_key);
		caller.renew.identity_change = (struct kw_identity_change){.unix_ms = now_ms() + i, .reason = KW_IDENTITY_SCHEDULED};
		assert_int_equal(kw_identity_sign(&who, &rig->identities[0], &next, &caller.renew.identity_change), KW_OK);
		answered(rig, context, &caller, KW_OK);
		end(&caller);
		const struct kw_directory_entry *entry = entry_of(rig, 0);
		assert_memory_equal(entry->identity_key, next.public_key, KW_KEY_SIZE);
		assert_memory_equal(entry->sealing_keys[0].public_key, sealing.public_key, KW_KEY_SIZE);
		assert_int_equal(entry->sealing_keys_count, 1);
		assert_int_equal(kw_identity_verify(&who, entry->identity_key, &entry->identity_change), KW_OK);
		assert_int_equal(office_directory(rig->office)->version, version + 1);
	}
	assert_int_equal(logged(rig, "\"event\":\"identity_key_replaced\"", "\"reason\":\"scheduled\""), 1);
	/* The former key can do nothing else any more. */
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	answered(rig, context, &caller, KW_EAUTH);
	end(&caller);
	/* And a change that was dated ahead, so that the former key would be good for longer, is none. */
	struct kw_ed25519 third;
	assert_int_equal(kw_ed25519_generate(&third), KW_OK);
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	caller.identity = &next;
	caller.renew.identity_key = KW_VIEW_OF(third.public_key);
	caller.renew.identity_change = (struct kw_identity_change){.unix_ms = now_ms() + 2 * DAY_MS, .reason = KW_IDENTITY_SCHEDULED};
	assert_int_equal(kw_identity_sign(&who, &next, &third, &caller.renew.identity_change), KW_OK);
	answered(rig, context, &caller, KW_EEXPIRED);
	end(&caller);
	kw_tls_context_free(context);
}

/* The hub needs no ML-KEM: it looks at the size alone. Of the right size it stands in the directory at once, once, and stays. */
static void test_a_hybrid_key_is_put_into_the_directory(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	uint8_t key[KW_HYBRID_PUBLIC_SIZE];
	uint8_t id[KW_DIRECTORY_KEY_ID_SIZE];
	open_hub(rig);
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	uint64_t version = office_directory(rig->office)->version;
	assert_int_equal(entry_of(rig, 0)->hybrid_keys_count, 0);
	for (int i = 0; i < 4; i++) { /* a first one, again, without one, another one */
		memset(key, i < 3 ? 5 : 6, sizeof(key));
		begin(&caller, rig, 0, NULL);
		caller.session = true;
		if (i != 2)
			caller.renew.hybrid_key = KW_VIEW_OF(key);
		answered(rig, context, &caller, KW_OK);
		end(&caller);
		const struct kw_directory_entry *entry = entry_of(rig, 0);
		assert_int_equal(entry->hybrid_keys_count, 1);
		assert_memory_equal(entry->hybrid_keys[0].public_key, key, sizeof(key));
		assert_int_equal(kw_directory_hybrid_key_id(key, id), KW_OK);
		assert_memory_equal(entry->hybrid_keys[0].key_id, id, sizeof(id));
		assert_int_equal(entry->hybrid_keys[0].suites_count, 1);
		assert_int_equal(entry->hybrid_keys[0].suites[0], KW_SUITE_HYBRID);
		assert_int_equal(entry->sealing_keys_count, 1);
		assert_int_equal(office_directory(rig->office)->version, version + (i < 3 ? 1 : 2));
	}
	assert_int_equal(logged(rig, "\"event\":\"hybrid_key_replaced\"", "agency-0"), 2);
	kw_tls_context_free(context);
}

/* Who has stolen the former key reads the change of identity in the directory, and copies it. */
static void test_a_former_key_alone_gets_nothing(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct kw_ed25519 next;
	struct kw_x25519 sealing;
	EVP_PKEY *stranger = NULL;
	open_hub(rig);
	assert_int_equal(kw_ed25519_generate(&next), KW_OK);
	assert_int_equal(kw_x25519_generate(&sealing), KW_OK);
	assert_int_equal(kw_pki_key_new(&stranger), KW_OK);
	struct kw_tls_context *context = kit_site_context(&rig->site, 0);
	struct kw_tls_context *door = door_context(rig);
	const struct kw_identity_who who = {.agency = &(struct kw_name){.text = "agency-0"}, .hub = &rig->site.hub};
	begin(&caller, rig, 0, NULL);
	caller.session = true;
	caller.renew.identity_key = KW_VIEW_OF(next.public_key);
	caller.renew.identity_change = (struct kw_identity_change){.unix_ms = now_ms(), .reason = KW_IDENTITY_COMPROMISED};
	assert_int_equal(kw_identity_sign(&who, &rig->identities[0], &next, &caller.renew.identity_change), KW_OK);
	answered(rig, context, &caller, KW_OK);
	end(&caller);
	const struct kw_directory_entry before = *entry_of(rig, 0);
	begin(&caller, rig, 0, stranger);
	caller.renew.sealing_key = KW_VIEW_OF(sealing.public_key);
	caller.renew.identity_key = KW_VIEW_OF(before.identity_key);
	caller.renew.identity_change = before.identity_change;
	answered(rig, door, &caller, KW_EAUTH);
	assert_null(caller.leaf);
	end(&caller);
	assert_memory_equal(entry_of(rig, 0), &before, sizeof(before));
	EVP_PKEY_free(stranger);
	kw_tls_context_free(context);
	kw_tls_context_free(door);
}

/* The enrolment door counts no frames, and each change costs everybody. */
static void test_an_agency_changes_its_entry_so_often_in_an_hour(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct kw_x25519 sealing;
	open_hub(rig);
	struct kw_tls_context *door = door_context(rig);
	while (time(NULL) % 3600 > 3540)
		(void)sleep(1); /* within one hour */
	uint64_t version = office_directory(rig->office)->version;
	for (uint32_t i = 0; i < OFFICE_CHANGES_HOUR_MAX + 1; i++) {
		assert_int_equal(kw_x25519_generate(&sealing), KW_OK);
		begin(&caller, rig, 0, NULL);
		caller.renew.sealing_key = KW_VIEW_OF(sealing.public_key);
		answered(rig, door, &caller, i < OFFICE_CHANGES_HOUR_MAX ? KW_OK : KW_EBUSY);
		end(&caller);
	}
	assert_int_equal(office_directory(rig->office)->version, version + OFFICE_CHANGES_HOUR_MAX);
	/* Its certificate is renewed all the same, and so is everything of the others. */
	begin(&caller, rig, 0, NULL);
	answered(rig, door, &caller, KW_OK);
	end(&caller);
	begin(&caller, rig, 1, NULL);
	caller.renew.sealing_key = KW_VIEW_OF(sealing.public_key);
	answered(rig, door, &caller, KW_OK);
	end(&caller);
	kw_tls_context_free(door);
}

static int64_t server_ends(const struct rig *rig)
{
	X509 *leaf;
	int64_t ends;
	assert_int_equal(kw_pki_cert_load(kit_site_path(&rig->site, "server.pem"), &leaf), KW_OK);
	assert_int_equal(kw_spki_expires(leaf, &ends), KW_OK);
	X509_free(leaf);
	return ends;
}

static void write_server(const struct rig *rig, int64_t made_ms)
{
	X509 *leaf;
	assert_int_equal(kw_pki_server_new(&rig->site.issuing, rig->site.server_key, &rig->site.hub, made_ms, &leaf), KW_OK);
	X509 *const chain[] = {leaf, rig->site.issuing.certificate, rig->site.root.certificate};
	assert_int_equal(kw_pki_certs_save(kit_site_path(&rig->site, "server.pem"), chain, 3), KW_OK);
	X509_free(leaf);
}

static int64_t shown_ends(struct rig *rig)
{
	struct caller caller;
	struct kw_tls_context *context = kit_site_context(&rig->site, 1);
	begin(&caller, rig, 1, NULL);
	caller.session = true;
	answered(rig, context, &caller, KW_OK);
	end(&caller);
	kw_tls_context_free(context);
	return caller.hub_expires_ms;
}

/* Two thirds of a year are 243 days and a third. Renewed while it runs, it is shown to who connects then. */
static void test_the_hub_renews_its_own_certificate(void **state)
{
	struct rig *rig = *state;
	write_server(rig, now_ms() - 242 * DAY_MS);
	open_hub(rig);
	assert_true(server_ends(rig) < now_ms() + 124 * DAY_MS); /* not due yet */
	assert_true(shown_ends(rig) < now_ms() + 124 * DAY_MS);
	assert_int_equal(logged(rig, "\"event\":\"server_certificate_renewed\"", ""), 0);
	write_server(rig, now_ms() - 244 * DAY_MS);
	rig->office->looked_unix_ms = 0; /* a minute later */
	doors_tick(rig->doors);
	assert_true(server_ends(rig) > now_ms() + 364 * DAY_MS);
	assert_true(shown_ends(rig) > now_ms() + 364 * DAY_MS);
	assert_int_equal(logged(rig, "\"event\":\"server_certificate_renewed\"", ""), 1);
}

/* The root's key has signed issuer.pem anew, which a command brings; one of another root is not taken. */
static void test_a_new_issuer_is_taken_while_the_hub_runs(void **state)
{
	struct rig *rig = *state;
	struct caller caller;
	struct kw_pki_issuer other = {0};
	X509 *issuer;
	open_hub(rig);
	assert_int_equal(kw_pki_key_new(&other.key), KW_OK);
	assert_int_equal(kw_pki_root_new(other.key, "other", now_ms(), &other.certificate), KW_OK);
	for (int i = 0; i < 2; i++) {
		const struct kw_pki_issuer *root = i == 0 ? &other : &rig->site.root;
		assert_int_equal(kw_pki_issuing_new(root, rig->site.issuing.key, &rig->site.hub, now_ms() + DAY_MS / 48, &issuer), KW_OK);
		assert_int_equal(kw_pki_certs_save(kit_site_path(&rig->site, "issuer.pem"), &issuer, 1), KW_OK);
		rig->office->looked_unix_ms = 0;
		doors_tick(rig->doors);
		struct kw_tls_context *door = door_context(rig);
		begin(&caller, rig, 0, NULL);
		answered(rig, door, &caller, KW_OK);
		assert_int_equal(X509_cmp(caller.issuer, issuer) == 0, i == 1);
		end(&caller);
		kw_tls_context_free(door);
		X509_free(issuer);
	}
	assert_int_equal(logged(rig, "\"event\":\"issuer_refused\"", ""), 1);
	assert_int_equal(logged(rig, "\"event\":\"issuer_renewed\"", ""), 1);
	EVP_PKEY_free(other.key);
	X509_free(other.certificate);
}

/* Near the end of issuer.pem what it signs ends with it, and after that nothing is signed. */
static void test_no_certificate_outlives_its_issuer(void **state)
{
	struct rig *rig = *state;
	struct kw_pki_issuer issuing = {.key = rig->site.issuing.key};
	const struct kw_pki_agency whom = {.agency = agency_name(0), .hub = rig->site.hub};
	struct kw_buf csr;
	X509 *leaf;
	int64_t ends;
	int64_t issuer_ends;
	int64_t now = now_ms();
	kw_buf_init(&csr, KW_RENEW_CSR_SIZE_MAX);
	assert_int_equal(kw_pki_csr_add(rig->site.agency_keys[0], &csr), KW_OK);
	assert_int_equal(kw_pki_issuing_new(&rig->site.root, issuing.key, &rig->site.hub, now - 1815 * DAY_MS, &issuing.certificate), KW_OK);
	assert_int_equal(kw_spki_expires(issuing.certificate, &issuer_ends), KW_OK);
	assert_int_equal(kw_pki_agency_issue(&issuing, kw_buf_view(&csr), &whom, now, &leaf), KW_OK);
	assert_int_equal(kw_spki_expires(leaf, &ends), KW_OK);
	assert_int_equal(ends, issuer_ends);
	X509_free(leaf);
	assert_int_equal(kw_pki_agency_issue(&issuing, kw_buf_view(&csr), &whom, issuer_ends, &leaf), KW_EEXPIRED);
	X509_free(issuing.certificate);
	kw_buf_fini(&csr);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_session_renews_and_goes_on),
		CASE(test_who_is_not_the_agency_gets_nothing),
		CASE(test_a_clock_that_is_wrong_is_told_so),
		CASE(test_an_expired_certificate_gets_no_session_and_a_new_one),
		CASE(test_who_was_shut_out_renews_nowhere),
		CASE(test_a_new_tls_key_shuts_nobody_out),
		CASE(test_identity_and_sealing_keys_are_replaced_once),
		CASE(test_a_hybrid_key_is_put_into_the_directory),
		CASE(test_a_former_key_alone_gets_nothing),
		CASE(test_an_agency_changes_its_entry_so_often_in_an_hour),
		CASE(test_the_hub_renews_its_own_certificate),
		CASE(test_a_new_issuer_is_taken_while_the_hub_runs),
		CASE(test_no_certificate_outlives_its_issuer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
