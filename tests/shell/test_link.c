/* Links over real loopback TLS: who gets in, who does not, and what a slow or broken peer can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <uv.h>

#include "proto/link/link_inner.h"
#include "proto/link/pki.h"
#include "proto/link/tls_inner.h"
#include "proto/wire/spki.h"

#define DAY_MS 86400000ll
#define PATIENCE_MS 8000

/* What one side has seen. */
struct seen {
	uint32_t opens;
	uint32_t closes;
	uint32_t frames;
	uint32_t drains;
	uint64_t frame_bytes;
	uint8_t last_type;
	enum kw_err err;
	struct kw_tls_peer peer;
	struct kw_link *link; /* the last that opened and has not closed */
	bool resumed;
	bool echo;
	bool pause;
};

struct authority {
	struct kw_name hub;
	struct kw_pki_issuer root;
	struct kw_pki_issuer issuing;
};

struct world {
	char dir[32];
	struct authority a;
	EVP_PKEY *hub_key;
	EVP_PKEY *agency_key;
	struct kw_tls_context *hub;
	struct kw_tls_context *agency;
	uv_loop_t loop;
	struct kw_net *net;
	struct kw_link_server *server;
	char address[32];
	char group[32];
	struct seen at_hub;
	struct seen at_agency;
};

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	assert_int_equal(kw_name_from(kw_view_str(text), &name), KW_OK);
	return name;
}

static void authority_init(struct authority *authority, const char *hub)
{
	authority->hub = name_of(hub);
	assert_int_equal(kw_pki_key_new(&authority->root.key), KW_OK);
	assert_int_equal(kw_pki_key_new(&authority->issuing.key), KW_OK);
	assert_int_equal(kw_pki_root_new(authority->root.key, "test", now_ms(), &authority->root.certificate), KW_OK);
	assert_int_equal(kw_pki_issuing_new(&authority->root, authority->issuing.key, &authority->hub, now_ms(),
		&authority->issuing.certificate), KW_OK);
}

static void authority_fini(struct authority *authority)
{
	EVP_PKEY_free(authority->root.key);
	EVP_PKEY_free(authority->issuing.key);
	X509_free(authority->root.certificate);
	X509_free(authority->issuing.certificate);
}

/* A chain file of leaf and issuing authority; the leaf is the caller's to free through the file only. */
static void save_chain(struct world *world, X509 *leaf, X509 *issuing, char path[64])
{
	static int count;
	X509 *const chain[] = {leaf, issuing};
	(void)snprintf(path, 64, "%s/%d.pem", world->dir, count++);
	assert_int_equal(kw_pki_certs_save(path, chain, 2), KW_OK);
	X509_free(leaf);
}

/* An agency's context: certificate of `issuer` for hub `hub`, made `at_ms`; it trusts world's root. */
static struct kw_tls_context *agency_context(struct world *world, const struct kw_pki_issuer *issuer,
	const struct kw_name *hub, int64_t at_ms)
{
	char path[64];
	X509 *leaf;
	struct kw_buf csr;
	struct kw_tls_context *context;
	kw_buf_init(&csr, 4096);
	assert_int_equal(kw_pki_csr_add(world->agency_key, &csr), KW_OK);
	struct kw_pki_agency whom = {.agency = name_of("agency-a"), .hub = *hub};
	assert_int_equal(kw_pki_agency_issue(issuer, kw_buf_view(&csr), &whom, at_ms, &leaf), KW_OK);
	kw_buf_fini(&csr);
	save_chain(world, leaf, issuer->certificate, path);
	struct kw_tls_files files = {.chain = path, .key = world->agency_key, .root = world->a.root.certificate};
	assert_int_equal(kw_tls_context_new(KW_TLS_AGENT, &files, &context), KW_OK);
	return context;
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct seen *seen = user;
	seen->opens++;
	seen->peer = *peer;
	seen->link = link;
	seen->resumed = kw_tls_resumed(link->tls);
	if (seen->pause)
		kw_link_pause(link);
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	struct seen *seen = user;
	seen->frames++;
	seen->frame_bytes += frame->body.size;
	seen->last_type = frame->type;
	if (!seen->echo)
		return;
	assert_int_equal(kw_frame_add(kw_link_out(link), frame->type, frame->body), KW_OK);
	kw_link_ready(link);
}

static void on_drained(void *user, struct kw_link *link)
{
	struct seen *seen = user;
	(void)link;
	seen->drains++;
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct seen *seen = user;
	seen->closes++;
	seen->err = err;
	if (seen->link == link)
		seen->link = NULL;
}

static struct kw_link_hooks hooks_of(struct seen *seen)
{
	return (struct kw_link_hooks){.user = seen, .on_open = on_open, .on_frame = on_frame, .on_drained = on_drained,
		.on_close = on_close};
}

static void world_init(struct world *world)
{
	X509 *leaf;
	char path[64];
	memset(world, 0, sizeof(*world));
	memcpy(world->dir, "/tmp/kw-link-XXXXXX", 20);
	assert_non_null(mkdtemp(world->dir));
	authority_init(&world->a, "hub-a");
	assert_int_equal(kw_pki_key_new(&world->hub_key), KW_OK);
	assert_int_equal(kw_pki_key_new(&world->agency_key), KW_OK);
	assert_int_equal(kw_pki_server_new(&world->a.issuing, world->hub_key, &world->a.hub, now_ms(), &leaf), KW_OK);
	save_chain(world, leaf, world->a.issuing.certificate, path);
	struct kw_tls_files files = {.chain = path, .key = world->hub_key, .root = world->a.root.certificate};
	assert_int_equal(kw_tls_context_new(KW_TLS_HUB, &files, &world->hub), KW_OK);
	world->agency = agency_context(world, &world->a.issuing, &world->a.hub, now_ms());
	assert_int_equal(uv_loop_init(&world->loop), 0);
	assert_int_equal(kw_net_new(&world->loop, &world->net), KW_OK);
	struct kw_link_hooks hooks = hooks_of(&world->at_hub);
	assert_int_equal(kw_link_listen(world->net, "127.0.0.1:0", world->hub, &hooks, &world->server), KW_OK);
	(void)snprintf(world->address, sizeof(world->address), "127.0.0.1:%d", kw_link_server_port(world->server));
}

static void on_late(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Turns the loop until *count reaches `want`; false when patience ends. */
static bool until(struct world *world, const uint32_t *count, uint32_t want)
{
	uv_timer_t timer;
	bool late = false;
	assert_int_equal(uv_timer_init(&world->loop, &timer), 0);
	timer.data = &late;
	assert_int_equal(uv_timer_start(&timer, on_late, PATIENCE_MS, 0), 0);
	while (*count < want && !late)
		(void)uv_run(&world->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&world->loop, UV_RUN_NOWAIT);
	return *count >= want;
}

static void run_for(struct world *world, uint64_t ms)
{
	uv_timer_t timer;
	bool late = false;
	assert_int_equal(uv_timer_init(&world->loop, &timer), 0);
	timer.data = &late;
	assert_int_equal(uv_timer_start(&timer, on_late, ms, 0), 0);
	while (!late)
		(void)uv_run(&world->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void world_fini(struct world *world)
{
	char command[64];
	if (world->at_agency.link != NULL)
		kw_link_close(world->at_agency.link, KW_OK);
	kw_link_server_close(world->server);
	(void)uv_run(&world->loop, UV_RUN_DEFAULT);
	kw_net_free(world->net);
	(void)uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	kw_tls_context_free(world->hub);
	kw_tls_context_free(world->agency);
	authority_fini(&world->a);
	EVP_PKEY_free(world->hub_key);
	EVP_PKEY_free(world->agency_key);
	for (int i = 0; i < 64; i++) {
		(void)snprintf(command, sizeof(command), "%s/%d.pem", world->dir, i);
		(void)unlink(command);
	}
	assert_int_equal(rmdir(world->dir), 0);
}

static struct kw_link *dial(struct world *world, struct kw_tls_context *context)
{
	struct kw_link *link;
	struct kw_link_hooks hooks = hooks_of(&world->at_agency);
	assert_int_equal(kw_link_connect(world->net, world->address, context, &hooks, &link), KW_OK);
	return link;
}

static void send_frame(struct kw_link *link, uint8_t type, size_t body_size)
{
	static uint8_t body[KW_FRAME_SIZE_MAX];
	assert_int_equal(kw_frame_add(kw_link_out(link), type, KW_VIEW(body, body_size)), KW_OK);
	kw_link_ready(link);
}

/* Dials with a context that must not get in: the hub never opens it. */
static void refused(struct world *world, struct kw_tls_context *context, enum kw_err at_hub)
{
	(void)dial(world, context);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_true(until(world, &world->at_agency.closes, 1));
	assert_int_equal(world->at_hub.opens, 0);
	assert_int_equal(world->at_hub.err, at_hub);
	assert_int_not_equal(world->at_agency.err, KW_OK);
}

static void test_two_ends_know_each_other_and_exchange_frames(void **state)
{
	struct world *world = *state;
	struct kw_digest digest;
	world->at_hub.echo = true;
	struct kw_link *link = dial(world, world->agency);
	assert_null(kw_link_out(link));
	assert_true(until(world, &world->at_agency.opens, 1));
	assert_int_equal(world->at_agency.peer.kind, KW_PEER_HUB);
	assert_string_equal(world->at_agency.peer.hub.text, "hub-a");
	send_frame(link, KW_FRAME_HELLO, KW_FRAME_SIZE_MAX_PREAUTH - KW_FRAME_HEAD_SIZE);
	send_frame(link, KW_FRAME_MESSAGE, KW_FRAME_SIZE_MAX - KW_FRAME_HEAD_SIZE);
	send_frame(link, KW_FRAME_PING, 0);
	assert_true(until(world, &world->at_agency.frames, 3));
	assert_int_equal(world->at_agency.last_type, KW_FRAME_PING);
	assert_int_equal(world->at_agency.frame_bytes, KW_FRAME_SIZE_MAX + KW_FRAME_SIZE_MAX_PREAUTH - 8);
	assert_int_equal(world->at_hub.peer.kind, KW_PEER_AGENCY);
	assert_string_equal(world->at_hub.peer.agency.text, "agency-a");
	assert_false(world->at_hub.peer.enrolling);
	X509 *own = SSL_CTX_get0_certificate(world->agency->ssl);
	assert_int_equal(kw_spki_digest(own, &digest), KW_OK);
	assert_memory_equal(&digest, &world->at_hub.peer.key, sizeof(digest));
	assert_string_equal(kw_link_address(world->at_hub.link), "127.0.0.1");
	assert_int_equal(kw_link_pending_bytes(link), 0);
	assert_int_equal(link->out.cap + link->partial.cap + link->writing.cap + link->tls->out.cap, 0);
	struct kw_link_stats stats;
	kw_link_stats_get(link, &stats);
	assert_true(stats.bytes_in > world->at_agency.frame_bytes && stats.bytes_out > world->at_agency.frame_bytes);
	kw_link_close(link, KW_OK);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_true(until(world, &world->at_agency.closes, 1));
	assert_int_equal(world->at_agency.err, KW_OK);
	assert_int_equal(world->at_hub.err, KW_ECLOSED);
}

static void test_a_certificate_of_another_root_is_refused(void **state)
{
	struct world *world = *state;
	struct authority b;
	authority_init(&b, "hub-a");
	struct kw_tls_context *context = agency_context(world, &b.issuing, &b.hub, now_ms());
	refused(world, context, KW_EAUTH);
	kw_tls_context_free(context);
	authority_fini(&b);
}

static void test_a_hub_of_another_root_is_refused(void **state)
{
	struct world *world = *state;
	struct authority b;
	struct kw_tls_context *context;
	authority_init(&b, "hub-a");
	struct kw_tls_files files = {.root = b.root.certificate};
	assert_int_equal(kw_tls_context_new(KW_TLS_AGENT, &files, &context), KW_OK);
	(void)dial(world, context);
	assert_true(until(world, &world->at_agency.closes, 1));
	assert_int_equal(world->at_agency.opens, 0);
	assert_int_equal(world->at_agency.err, KW_EAUTH);
	kw_tls_context_free(context);
	authority_fini(&b);
}

/* Hub B's authority is of the same root, but may not make agencies of hub A. */
static void test_one_hub_cannot_make_agencies_of_another(void **state)
{
	struct world *world = *state;
	struct kw_name hub_b = name_of("hub-b");
	struct kw_pki_issuer b;
	assert_int_equal(kw_pki_key_new(&b.key), KW_OK);
	assert_int_equal(kw_pki_issuing_new(&world->a.root, b.key, &hub_b, now_ms(), &b.certificate), KW_OK);
	struct kw_tls_context *context = agency_context(world, &b, &world->a.hub, now_ms());
	refused(world, context, KW_EAUTH);
	kw_tls_context_free(context);
	X509_free(b.certificate);
	EVP_PKEY_free(b.key);
}

static void test_no_certificate_is_refused(void **state)
{
	struct world *world = *state;
	struct kw_tls_context *context;
	struct kw_tls_files files = {.root = world->a.root.certificate};
	assert_int_equal(kw_tls_context_new(KW_TLS_AGENT, &files, &context), KW_OK);
	refused(world, context, KW_EAUTH);
	kw_tls_context_free(context);
}

/* It opens the link, so that it can be told what is wrong; whoever serves it looks at expires_unix_ms (broker/shell/doors.c). */
static void test_an_expired_certificate_is_named_as_such(void **state)
{
	struct world *world = *state;
	struct kw_tls_context *context =
		agency_context(world, &world->a.issuing, &world->a.hub, now_ms() - 400 * DAY_MS);
	struct kw_link *link = dial(world, context);
	assert_true(until(world, &world->at_hub.opens, 1));
	assert_int_equal(world->at_hub.peer.kind, KW_PEER_AGENCY);
	assert_true(world->at_hub.peer.expires_unix_ms < now_ms());
	kw_link_close(link, KW_OK);
	assert_true(until(world, &world->at_agency.closes, 1));
	kw_tls_context_free(context);
}

/* Expired and also of a foreign authority is not let in to be told anything. */
static void test_an_expired_certificate_of_another_authority_is_refused(void **state)
{
	struct world *world = *state;
	struct authority other;
	authority_init(&other, "hub-a");
	struct kw_tls_context *context = agency_context(world, &other.issuing, &world->a.hub, now_ms() - 400 * DAY_MS);
	refused(world, context, KW_EAUTH);
	kw_tls_context_free(context);
	authority_fini(&other);
}

static void test_a_certificate_of_the_future_is_refused_for_its_time(void **state)
{
	struct world *world = *state;
	struct kw_tls_context *context =
		agency_context(world, &world->a.issuing, &world->a.hub, now_ms() + 2 * DAY_MS);
	refused(world, context, KW_EEXPIRED);
	kw_tls_context_free(context);
}

static void test_another_alpn_is_refused(void **state)
{
	struct world *world = *state;
	assert_int_equal(SSL_CTX_set_alpn_protos(world->agency->ssl, (const unsigned char *)"\x09kinward/2", 10), 0);
	refused(world, world->agency, KW_EAUTH);
}

static void test_tls_1_2_is_refused(void **state)
{
	struct world *world = *state;
	assert_int_equal(SSL_CTX_set_max_proto_version(world->agency->ssl, 0), 1);
	assert_int_equal(SSL_CTX_set_min_proto_version(world->agency->ssl, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(world->agency->ssl, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_CTX_set_cipher_list(world->agency->ssl, "DEFAULT"), 1);
	refused(world, world->agency, KW_EAUTH);
}

static void test_enrolment_needs_the_fingerprint_and_no_certificate(void **state)
{
	struct world *world = *state;
	struct kw_tls_context *context;
	struct kw_tls_files files = {0};
	assert_int_equal(kw_spki_digest(world->a.root.certificate, &files.root_fingerprint), KW_OK);
	assert_int_equal(kw_tls_context_new(KW_TLS_ENROL, &files, &context), KW_OK);
	struct kw_link *link = dial(world, context);
	assert_true(until(world, &world->at_agency.opens, 1));
	send_frame(link, KW_FRAME_ENROL, 10);
	assert_true(until(world, &world->at_hub.frames, 1));
	assert_true(world->at_hub.peer.enrolling);
	assert_int_equal(world->at_hub.peer.kind, KW_PEER_NONE);
	assert_int_equal(X509_cmp(kw_tls_context_root(context), world->a.root.certificate), 0);
	/* Both ends export the same, and on the next connection another one. */
	const struct kw_digest first = world->at_hub.peer.binding;
	assert_memory_equal(&first, &world->at_agency.peer.binding, sizeof(first));
	kw_link_close(link, KW_OK);
	assert_true(until(world, &world->at_agency.closes, 1));
	link = dial(world, context);
	assert_true(until(world, &world->at_agency.opens, 2));
	send_frame(link, KW_FRAME_ENROL, 10);
	assert_true(until(world, &world->at_hub.frames, 2));
	assert_memory_not_equal(&first, &world->at_hub.peer.binding, sizeof(first));
	kw_link_close(link, KW_OK);
	assert_true(until(world, &world->at_agency.closes, 2));
	kw_tls_context_free(context);

	files.root_fingerprint.bytes[31] ^= 1;
	assert_int_equal(kw_tls_context_new(KW_TLS_ENROL, &files, &context), KW_OK);
	(void)dial(world, context);
	assert_true(until(world, &world->at_agency.closes, 3));
	assert_int_equal(world->at_agency.opens, 2);
	assert_int_equal(world->at_agency.err, KW_EAUTH);
	assert_null(kw_tls_context_root(context));
	kw_tls_context_free(context);
}

static void test_a_first_frame_over_4_kib_ends_the_link(void **state)
{
	struct world *world = *state;
	struct kw_link *link = dial(world, world->agency);
	assert_true(until(world, &world->at_agency.opens, 1));
	send_frame(link, KW_FRAME_HELLO, KW_FRAME_SIZE_MAX_PREAUTH - KW_FRAME_HEAD_SIZE + 1);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_int_equal(world->at_hub.err, KW_ETOOBIG);
	assert_int_equal(world->at_hub.frames, 0);
	assert_true(until(world, &world->at_agency.closes, 1));
}

static int raw_connect(const struct world *world)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(kw_link_server_port(world->server))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void test_a_silent_peer_is_cut_off(void **state)
{
	struct world *world = *state;
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	limits.handshake_ms = 300;
	limits.first_frame_ms = 300;
	kw_link_server_limits(world->server, &limits);
	int fd = raw_connect(world);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_int_equal(world->at_hub.err, KW_ETIMEOUT);
	assert_int_equal(world->at_hub.opens, 0);
	close(fd);
	(void)dial(world, world->agency); /* says nothing after the handshake */
	assert_true(until(world, &world->at_hub.closes, 2));
	assert_int_equal(world->at_hub.opens, 1);
	assert_int_equal(world->at_hub.err, KW_ETIMEOUT);
	assert_true(until(world, &world->at_agency.closes, 1));

	struct kw_link *link = dial(world, world->agency); /* says hello, then may be silent */
	assert_true(until(world, &world->at_agency.opens, 2));
	send_frame(link, KW_FRAME_HELLO, 10);
	assert_true(until(world, &world->at_hub.frames, 1));
	run_for(world, 900);
	assert_int_equal(world->at_hub.closes, 2);
}

static void test_half_open_links_are_few_per_address(void **state)
{
	struct world *world = *state;
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	limits.half_open_per_address_max = 2;
	kw_link_server_limits(world->server, &limits);
	int fds[3];
	for (int i = 0; i < 3; i++)
		fds[i] = raw_connect(world);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_int_equal(world->at_hub.err, KW_EBUSY);
	run_for(world, 100);
	assert_int_equal(world->at_hub.closes, 1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_true(until(world, &world->at_hub.closes, 3));
}

static void test_handshakes_over_the_rate_wait_and_are_served(void **state)
{
	struct world *world = *state;
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	limits.handshakes_per_s_max = 2;
	kw_link_server_limits(world->server, &limits);
	struct kw_link *links[5];
	for (int i = 0; i < 5; i++)
		links[i] = dial(world, world->agency);
	run_for(world, 300);
	assert_int_equal(world->at_hub.opens, 2);
	assert_true(until(world, &world->at_agency.opens, 5));
	assert_true(until(world, &world->at_hub.opens, 5));
	for (int i = 0; i < 5; i++)
		kw_link_close(links[i], KW_OK);
	assert_true(until(world, &world->at_hub.closes, 5));
}

/* A client in another thread, over a blocking socket, that sends one byte at a time. */
struct dribble {
	struct world *world;
	int fd;
	enum kw_err err;
};

static void dribble_out(int fd, struct kw_tls *tls)
{
	struct kw_view pending = kw_tls_pending(tls);
	for (size_t i = 0; i < pending.size; i++)
		(void)!write(fd, pending.data + i, 1);
	kw_tls_sent(tls, pending.size);
}

static void *dribble_run(void *user)
{
	struct dribble *dribble = user;
	struct kw_tls *tls = kw_tls_new(dribble->world->agency);
	struct kw_buf buf;
	uint8_t in[1024];
	kw_buf_init(&buf, 1 << 20);
	dribble->err = kw_tls_handshake(tls);
	while (dribble->err == KW_OK && !kw_tls_ready(tls)) {
		dribble_out(dribble->fd, tls);
		ssize_t got = read(dribble->fd, in, sizeof(in));
		dribble->err = got > 0 ? kw_tls_receive(tls, KW_VIEW(in, (size_t)got), &buf) : KW_ECLOSED;
	}
	kw_buf_clear(&buf);
	for (int i = 0; i < 3 && dribble->err == KW_OK; i++)
		dribble->err = kw_frame_add(&buf, KW_FRAME_PING, kw_view_str("0123456789"));
	/* One record per plaintext byte, one segment per ciphertext byte. */
	for (size_t i = 0; i < buf.size && dribble->err == KW_OK; i++) {
		dribble->err = kw_tls_send(tls, KW_VIEW(buf.data + i, 1));
		dribble_out(dribble->fd, tls);
	}
	kw_buf_fini(&buf);
	kw_tls_free(tls);
	return NULL;
}

static void test_frames_arrive_whole_byte_by_byte(void **state)
{
	struct world *world = *state;
	struct dribble dribble = {.world = world, .fd = raw_connect(world)};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, dribble_run, &dribble), 0);
	assert_true(until(world, &world->at_hub.frames, 3));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(dribble.err, KW_OK);
	assert_int_equal(world->at_hub.frame_bytes, 30);
	assert_int_equal(world->at_hub.link->partial.cap, 0);
	close(dribble.fd);
	assert_true(until(world, &world->at_hub.closes, 1));
}

static void test_half_a_frame_is_none(void **state)
{
	struct world *world = *state;
	struct kw_link *link = dial(world, world->agency);
	assert_true(until(world, &world->at_agency.opens, 1));
	assert_int_equal(kw_buf_add(kw_link_out(link), KW_VIEW("\0\0\x0a\x01half", 8)), KW_OK);
	kw_link_close(link, KW_OK);
	assert_true(until(world, &world->at_hub.closes, 1));
	assert_int_equal(world->at_hub.opens, 1);
	assert_int_equal(world->at_hub.frames, 0);
	assert_int_equal(world->at_hub.err, KW_ECLOSED);
	assert_true(until(world, &world->at_agency.closes, 1));
}

/* What the last of handshake_bytes took. */
static const char *group_of(const struct world *world)
{
	return world->group;
}

static bool is_hybrid(const struct world *world)
{
	return strcmp(world->group, "X25519MLKEM768") == 0;
}

static uint64_t handshake_bytes(struct world *world, uint32_t nth, bool politely)
{
	struct kw_link_stats stats;
	struct kw_link *link = dial(world, world->agency);
	assert_true(until(world, &world->at_agency.opens, nth));
	assert_true(until(world, &world->at_hub.opens, nth));
	run_for(world, 20); /* the session that the hub gives out comes after */
	kw_link_stats_get(link, &stats);
	(void)snprintf(world->group, sizeof(world->group), "%s", kw_link_group(link));
	send_frame(link, KW_FRAME_HELLO, 0);
	assert_true(until(world, &world->at_hub.frames, nth));
	run_for(world, 20);
	if (politely)
		kw_link_close(link, KW_OK);
	else
		link_drop(link, KW_ECLOSED);
	assert_true(until(world, &world->at_agency.closes, nth));
	assert_true(until(world, &world->at_hub.closes, nth));
	return stats.bytes_in + stats.bytes_out;
}

static void test_a_known_agency_resumes_even_after_a_broken_line(void **state)
{
	struct world *world = *state;
	uint64_t full = handshake_bytes(world, 1, true);
	assert_false(world->at_hub.resumed);
	struct kw_tls_peer peer = world->at_hub.peer;
	uint64_t resumed = handshake_bytes(world, 2, false);
	assert_true(world->at_hub.resumed && world->at_agency.resumed);
	assert_memory_equal(&peer, &world->at_hub.peer, sizeof(peer));
	(void)handshake_bytes(world, 3, true);
	assert_true(world->at_hub.resumed);
	print_message("handshake: %d bytes full, %d resumed, group %s\n", (int)full, (int)resumed, group_of(world));
	/* The budget is for X25519; the hybrid group adds its two key shares, which nothing can make smaller. */
	uint64_t extra = is_hybrid(world) ? 1184 + 1088 : 0;
	assert_true(full < 2000 + extra && resumed < 700 + extra);
}

/* After a change of authority: same name, same root, another key. Nobody leaves away what the other does not have. */
static void test_an_agency_of_the_next_authority_is_known(void **state)
{
	struct world *world = *state;
	struct kw_pki_issuer next;
	assert_int_equal(kw_pki_key_new(&next.key), KW_OK);
	assert_int_equal(kw_pki_issuing_new(&world->a.root, next.key, &world->a.hub, now_ms(), &next.certificate), KW_OK);
	uint64_t known = handshake_bytes(world, 1, true);
	struct kw_tls_context *old = world->agency;
	world->agency = agency_context(world, &next, &world->a.hub, now_ms());
	uint64_t next_bytes = handshake_bytes(world, 2, true);
	assert_int_equal(world->at_hub.peer.kind, KW_PEER_AGENCY);
	print_message("handshake: %d bytes when both know the authority, %d when neither does\n", (int)known, (int)next_bytes);
	assert_true(next_bytes > known + 600);
	kw_tls_context_free(world->agency);
	world->agency = old;
	X509_free(next.certificate);
	EVP_PKEY_free(next.key);
}

/* An agent of before says nothing of what it knows, and sends all. */
static void test_an_agent_that_knows_no_marks_gets_the_whole_chain(void **state)
{
	struct world *world = *state;
	uint64_t known = handshake_bytes(world, 1, true);
	SSL_CTX_set_cert_cb(world->agency->ssl, NULL, NULL);
	X509_NAME_free(world->agency->mark);
	world->agency->mark = NULL;
	SSL_SESSION_free(world->agency->session);
	world->agency->session = NULL;
	uint64_t whole = handshake_bytes(world, 2, true);
	assert_false(world->at_hub.resumed);
	assert_true(whole > known + 600);
}

static void test_the_group_is_the_best_that_both_have(void **state)
{
	struct world *world = *state;
	bool have = SSL_CTX_set1_groups_list(world->agency->ssl, "X25519MLKEM768:X25519") == 1;
	ERR_clear_error();
	(void)handshake_bytes(world, 1, true);
	print_message("group: %s%s\n", group_of(world), have ? "" : "; X25519MLKEM768 skipped: no ML-KEM");
	assert_int_equal(is_hybrid(world), have);
	/* A hub whose libcrypto is older. */
	assert_int_equal(SSL_CTX_set1_groups_list(world->hub->ssl, "X25519"), 1);
	SSL_SESSION_free(world->agency->session);
	world->agency->session = NULL;
	(void)handshake_bytes(world, 2, true);
	assert_int_equal(strcasecmp(group_of(world), "X25519"), 0);
}

static void test_a_session_is_good_for_one_resumption(void **state)
{
	struct world *world = *state;
	(void)handshake_bytes(world, 1, true);
	SSL_SESSION *old = world->agency->session;
	assert_non_null(old);
	assert_int_equal(SSL_SESSION_up_ref(old), 1);
	(void)handshake_bytes(world, 2, true);
	assert_true(world->at_hub.resumed);
	SSL_SESSION_free(world->agency->session);
	world->agency->session = old;
	(void)handshake_bytes(world, 3, true);
	assert_false(world->at_hub.resumed);
	assert_int_equal(world->at_hub.peer.kind, KW_PEER_AGENCY);
}

static void test_a_slow_reader_pushes_back(void **state)
{
	struct world *world = *state;
	world->at_hub.pause = true;
	struct kw_link *link = dial(world, world->agency);
	assert_true(until(world, &world->at_agency.opens, 1));
	send_frame(link, KW_FRAME_HELLO, 0);
	assert_true(until(world, &world->at_hub.opens, 1));
	uint32_t sent = 1;
	run_for(world, 20);
	for (; sent < 1000 && kw_link_pending_bytes(link) < 1000000; sent++) {
		send_frame(link, KW_FRAME_MESSAGE, 60000);
		(void)uv_run(&world->loop, UV_RUN_NOWAIT);
	}
	assert_in_range(sent, 2, 999);
	uint32_t drains = world->at_agency.drains;
	run_for(world, 50);
	assert_int_equal(world->at_agency.drains, drains);
	kw_link_resume(world->at_hub.link);
	assert_true(until(world, &world->at_hub.frames, sent));
	assert_true(until(world, &world->at_agency.drains, drains + 1));
	assert_int_equal(kw_link_pending_bytes(link), 0);
}

static void test_output_has_a_limit(void **state)
{
	struct world *world = *state;
	static uint8_t body[60000];
	struct kw_link *link = dial(world, world->agency);
	assert_true(until(world, &world->at_agency.opens, 1));
	enum kw_err err = KW_OK;
	size_t count = 0;
	for (; err == KW_OK && count < 1000; count++)
		err = kw_frame_add(kw_link_out(link), KW_FRAME_MESSAGE, KW_VIEW_OF(body));
	assert_int_equal(err, KW_ETOOBIG);
	assert_int_equal(count - 1, KW_LINK_OUT_SIZE_MAX / (sizeof(body) + KW_FRAME_HEAD_SIZE));
}

static void test_nobody_at_home_is_offline(void **state)
{
	struct world *world = *state;
	struct kw_link *link;
	struct kw_link_hooks hooks = hooks_of(&world->at_agency);
	static const char *const BAD[] = {"", "host", ":1", "host:", "host:x", "host:65536", "[::1:7"};
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		assert_int_equal(kw_link_connect(world->net, BAD[i], world->agency, &hooks, &link), KW_EFIELD);
	assert_int_equal(kw_link_connect(world->net, "127.0.0.1:1", world->agency, &hooks, &link), KW_OK);
	assert_true(until(world, &world->at_agency.closes, 1));
	assert_int_equal(world->at_agency.err, KW_EOFFLINE);
	assert_int_equal(kw_link_connect(world->net, world->address, world->agency, &hooks, &link), KW_OK);
	kw_link_close(link, KW_OK); /* before it could begin */
	assert_true(until(world, &world->at_agency.closes, 2));
	struct kw_link_server *second;
	assert_int_equal(kw_link_listen(world->net, world->address, world->hub, &hooks, &second), KW_EBUSY);
	assert_int_equal(kw_link_listen(world->net, "192.0.2.1:0", world->hub, &hooks, &second), KW_ENOTFOUND);
	assert_int_equal(kw_link_listen(world->net, "localhost:0", world->hub, &hooks, &second), KW_EFIELD);
}

static int setup(void **state)
{
	struct world *world = malloc(sizeof(*world));
	assert_non_null(world);
	world_init(world);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	free(*state);
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_two_ends_know_each_other_and_exchange_frames),
		CASE(test_a_certificate_of_another_root_is_refused),
		CASE(test_a_hub_of_another_root_is_refused),
		CASE(test_one_hub_cannot_make_agencies_of_another),
		CASE(test_no_certificate_is_refused),
		CASE(test_an_expired_certificate_is_named_as_such),
		CASE(test_an_expired_certificate_of_another_authority_is_refused),
		CASE(test_a_certificate_of_the_future_is_refused_for_its_time),
		CASE(test_another_alpn_is_refused),
		CASE(test_tls_1_2_is_refused),
		CASE(test_enrolment_needs_the_fingerprint_and_no_certificate),
		CASE(test_a_first_frame_over_4_kib_ends_the_link),
		CASE(test_a_silent_peer_is_cut_off),
		CASE(test_half_open_links_are_few_per_address),
		CASE(test_handshakes_over_the_rate_wait_and_are_served),
		CASE(test_frames_arrive_whole_byte_by_byte),
		CASE(test_half_a_frame_is_none),
		CASE(test_a_known_agency_resumes_even_after_a_broken_line),
		CASE(test_an_agency_of_the_next_authority_is_known),
		CASE(test_an_agent_that_knows_no_marks_gets_the_whole_chain),
		CASE(test_the_group_is_the_best_that_both_have),
		CASE(test_a_session_is_good_for_one_resumption),
		CASE(test_a_slow_reader_pushes_back),
		CASE(test_output_has_a_limit),
		CASE(test_nobody_at_home_is_offline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
