#include "broker/shell/doors.h"

#include <stdlib.h>
#include <string.h>

#include "broker/shell/herald.h"
#include "broker/shell/office_renew.h"
#include "proto/base/check.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"

/* What an agent is told to wait when the hub stops for maintenance. */
#define GOAWAY_MS 2000u
/* A session's next RENEW: each costs signatures. */
#define RENEW_AGAIN_MS 10000

struct door {
	struct doors *doors;
	struct kw_link *link;
	struct kw_name agency;
	uint32_t conn;
	bool enrolling;
	bool greeted; /* HELLO was seen: the hub knows the connection */
	struct kw_tls_peer peer;
	struct herald_talk talk;
	int64_t renewed_unix_ms; /* its last RENEW */
};

struct doors {
	struct doors_options options;
	struct kw_tls_context *context;
	struct kw_link_server *server;
	struct hub *hub;
	struct herald *herald;
	uint64_t told; /* version of the timestamp that the herald has */
	struct door **by_conn;
	uint32_t *free_conns;
	uint32_t free_count;
};

static void refuse_link(struct kw_link *link, enum kw_err err)
{
	struct kw_buf *out = kw_link_out(link);
	if (out != NULL) {
		struct kw_frame_error error = {
			.code = err,
			.scope = 3,
			.retryable = kw_err_class(err) == KW_CLASS_RETRY,
			.retry_after_ms = kw_err_class(err) == KW_CLASS_RETRY ? GOAWAY_MS : 0,
		};
		if (kw_frame_error_add(out, &error) != KW_OK)
			err = KW_ENOMEM; /* then the close alone says it */
	}
	kw_link_close(link, err);
}

static void refuse(struct door *door, enum kw_err err)
{
	refuse_link(door->link, err);
}

/* The certificate must be of this hub, and its key the one in the directory: an old certificate of a new key holder, or of
 * an agency that was shut out, opens nothing. Nor does one that has expired, also while a session goes on. */
static enum kw_err check_peer(const struct doors *doors, const struct kw_tls_peer *peer)
{
	const struct kw_directory *directory = office_directory(doors->options.office);
	if (peer->kind != KW_PEER_AGENCY || !kw_name_equal(&peer->hub, &directory->hub))
		return KW_EDENIED;
	const struct kw_directory_entry *entry = kw_directory_find(directory, &peer->agency);
	if (entry == NULL || entry->revoked)
		return KW_EDENIED;
	if (!kw_directory_tls_key(entry, &peer->key))
		return KW_EDENIED;
	return peer->expires_unix_ms > office_now_ms() ? KW_OK : KW_EEXPIRED;
}

static void on_open(void *user, struct kw_link *link, const struct kw_tls_peer *peer)
{
	struct doors *doors = user;
	enum kw_err err = peer->enrolling ? KW_OK : check_peer(doors, peer);
	struct door *door = doors->free_count == 0 ? NULL : calloc(1, sizeof(*door));
	if (door == NULL || err != KW_OK) {
		free(door);
		kw_log(KW_LOG_WARN, "connection_refused", KW_LOG_STR("address", kw_link_address(link)),
			KW_LOG_STR("agency", peer->kind == KW_PEER_AGENCY ? peer->agency.text : NULL),
			KW_LOG_ERR(err != KW_OK ? err : KW_EBUSY));
		refuse_link(link, err != KW_OK ? err : KW_EBUSY);
		return;
	}
	if (!peer->enrolling)
		(void)office_key_used(doors->options.office, &peer->agency, &peer->key); /* others hear of it with its HELLO, or the next tick */
	door->doors = doors;
	door->link = link;
	door->enrolling = peer->enrolling;
	door->agency = peer->agency;
	door->peer = *peer;
	door->conn = doors->free_conns[--doors->free_count];
	doors->by_conn[door->conn] = door;
	kw_link_user_set(link, door);
}

/* Nothing when there is nothing new. */
static void tell_all(struct doors *doors)
{
	const struct kw_roles *roles = office_roles(doors->options.office);
	if (doors->told == roles->client->timestamp.version || herald_set(doors->herald, roles) != KW_OK)
		return;
	doors->told = roles->client->timestamp.version;
	for (uint32_t conn = 0; conn < doors->options.conns_max; conn++) {
		struct door *door = doors->by_conn[conn];
		if (door != NULL && door->greeted) {
			herald_again(doors->herald, &door->talk);
			herald_go_on(doors->herald, &door->talk, door->link);
		}
	}
}

/* WELCOME, then the roles, and behind them what waited for the agency: some of it may be signed with a key that only the directory which
 * is told now has. What of a large directory does not fit in one go comes beside the messages. */
static void welcome(struct door *door, const struct kw_frame_hello *hello, const struct kw_roles_have *have)
{
	struct doors *doors = door->doors;
	struct kw_buf behind;
	struct kw_frame first;
	size_t first_size = 0;
	hub_hello(doors->hub, door->conn, &door->agency, hello);
	struct kw_buf *out = kw_link_out(door->link);
	if (out == NULL)
		return; /* it was refused */
	kw_buf_init(&behind, KW_LINK_OUT_SIZE_MAX);
	/* Nothing was written on this link before; what is not as expected stays in its order. */
	enum kw_err err = kw_frame_next(kw_buf_view(out), KW_FRAME_SIZE_MAX, &first, &first_size);
	if (err == KW_OK && first_size < out->size && first_size > 0)
		err = kw_buf_add(&behind, KW_VIEW(out->data + first_size, out->size - first_size));
	if (err == KW_OK && behind.size > 0)
		out->size = first_size;
	herald_begin(doors->herald, &door->talk, have);
	herald_go_on(doors->herald, &door->talk, door->link);
	out = kw_link_out(door->link);
	if (out != NULL && behind.size > 0 && err == KW_OK && kw_buf_add(out, kw_buf_view(&behind)) != KW_OK)
		kw_link_close(door->link, KW_ENOMEM); /* it was not acknowledged: the next session brings it */
	kw_buf_fini(&behind);
}

static void greet(struct door *door, const struct kw_frame *frame)
{
	struct kw_frame_hello hello;
	struct doors *doors = door->doors;
	enum kw_err err = frame->type == KW_FRAME_HELLO ? kw_frame_hello_parse(frame->body, &hello) : KW_EPROTO;
	if (err != KW_OK) {
		refuse(door, err);
		return;
	}
	const struct kw_roles_have have = {.root = hello.root_version,
		.timestamp = hello.timestamp_version,
		.snapshot = hello.snapshot_version,
		.directory = hello.directory_version};
	tell_all(doors); /* its TLS key may have changed the directory just now */
	door->greeted = true;
	office_heard(doors->options.office, &door->agency, &have);
	welcome(door, &hello, &have);
}

/* Whom the directory has let in or shut out by a command. */
static enum kw_err know_all(struct doors *doors)
{
	const struct kw_directory *directory = office_directory(doors->options.office);
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < directory->count; i++)
		err = hub_agency(doors->hub, &directory->entries[i].agency, directory->entries[i].revoked);
	return err;
}

/* The server's certificate is another one; who is connected already does not notice. */
static void show_server(struct doors *doors)
{
	char path[CONFIG_PATH_SIZE];
	struct kw_tls_files files;
	enum kw_err err = office_server_files(doors->options.office, path, &files);
	if (err == KW_OK)
		err = kw_tls_context_reload(doors->context, &files);
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "server_certificate_not_shown", KW_LOG_ERR(err),
			KW_LOG_STR("text", "the renewed server.pem cannot be used: start the broker again, which says why"));
}

/* Sessions outlive certificates, and certificates expire without anybody's doing. */
static void send_away(struct doors *doors)
{
	for (uint32_t conn = 0; conn < doors->options.conns_max; conn++) {
		struct door *door = doors->by_conn[conn];
		enum kw_err err = door == NULL || door->enrolling ? KW_OK : check_peer(doors, &door->peer);
		if (err == KW_OK)
			continue;
		kw_log(KW_LOG_WARN, "session_ended", KW_LOG_STR("agency", door->agency.text), KW_LOG_ERR(err), KW_LOG_STR("text",
			err == KW_EEXPIRED ? "its certificate has expired, and it has not come with a new one"
				: "the directory has shut this agency out, or gives it another key"));
		refuse(door, err);
	}
}

void doors_tick(struct doors *doors)
{
	if (office_server_tick(doors->options.office))
		show_server(doors);
	tell_all(doors);
	uint64_t version = office_directory(doors->options.office)->version;
	if (!office_tick(doors->options.office))
		return;
	if (office_directory(doors->options.office)->version != version) {
		enum kw_err err = know_all(doors);
		if (err != KW_OK)
			kw_log(KW_LOG_ERROR, "directory_not_applied", KW_LOG_ERR(err));
	}
	send_away(doors); /* who may not be here any more leaves before the others hear of it */
	tell_all(doors);
}

/* The fingerprint that the agency's people read out: SHA-256 of its identity key, in hex, as in `kinward hub list`. */
static const char *identity_of(const struct doors *doors, const struct kw_name *agency, char out[2 * KW_DIGEST_SIZE + 1])
{
	const struct kw_directory_entry *entry = kw_directory_find(office_directory(doors->options.office), agency);
	struct kw_digest digest;
	if (entry == NULL)
		return NULL;
	struct kw_view key = KW_VIEW_OF(entry->identity_key);
	if (kw_sha256(&key, 1, &digest) != KW_OK)
		return NULL;
	kw_hex(out, KW_VIEW_OF(digest.bytes));
	return out;
}

static void enrol(struct door *door, const struct kw_frame *frame)
{
	struct doors *doors = door->doors;
	struct kw_name agency;
	char identity[2 * KW_DIGEST_SIZE + 1];
	struct kw_buf reply;
	kw_buf_init(&reply, KW_FRAME_SIZE_MAX);
	enum kw_err err = KW_EPROTO;
	if (frame->type == KW_FRAME_ENROL)
		err = office_enrol(doors->options.office, frame->body, &reply, &agency);
	struct kw_buf *out = kw_link_out(door->link);
	if (err == KW_OK)
		err = hub_agency(doors->hub, &agency, false);
	if (err == KW_OK && out != NULL)
		err = kw_frame_add(out, KW_FRAME_ENROLLED, kw_buf_view(&reply));
	kw_buf_fini(&reply);
	kw_log(err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, "enrolment", KW_LOG_STR("address", kw_link_address(door->link)),
		KW_LOG_STR("agency", err == KW_OK ? agency.text : NULL),
		KW_LOG_STR("identity", err == KW_OK ? identity_of(doors, &agency, identity) : NULL), KW_LOG_ERR(err));
	tell_all(doors); /* after a refusal too: it may have been found out by reading what a command has signed */
	if (err != KW_OK)
		refuse(door, err);
	else
		kw_link_close(door->link, KW_OK);
}

/* In a session the answer is all: it goes on, whatever the answer is. */
static enum kw_err renew(struct door *door, const struct kw_frame *frame)
{
	struct doors *doors = door->doors;
	uint8_t exporter[KW_RENEW_EXPORTER_SIZE];
	struct kw_name agency;
	struct kw_buf *out = kw_link_out(door->link);
	int64_t now = office_now_ms();
	if (out == NULL)
		return KW_OK; /* it is closing */
	kw_link_ready(door->link);
	if (now - door->renewed_unix_ms < RENEW_AGAIN_MS && now >= door->renewed_unix_ms)
		return kw_renewed_add(out, &(struct kw_renewed){.problem = KW_EBUSY, .clock_unix_ms = now});
	door->renewed_unix_ms = now;
	enum kw_err err = kw_link_export(door->link, KW_RENEW_EXPORTER, exporter, sizeof(exporter));
	if (err != KW_OK)
		return err;
	const struct office_renewal renewal = {
		.body = frame->body, .exporter = exporter, .session = door->enrolling ? NULL : &door->agency};
	err = office_renew(doors->options.office, &renewal, out, &agency);
	kw_log(err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, "renewal", KW_LOG_STR("address", kw_link_address(door->link)),
		KW_LOG_STR("agency", agency.text[0] != '\0' ? agency.text : NULL),
		KW_LOG_STR("door", door->enrolling ? "enrolment" : "session"), KW_LOG_ERR(err));
	tell_all(doors);
	if (door->enrolling)
		kw_link_close(door->link, KW_OK);
	return KW_OK;
}

static void on_frame(void *user, struct kw_link *link, const struct kw_frame *frame)
{
	(void)user;
	struct door *door = kw_link_user(link);
	if (door == NULL)
		return;
	if (door->enrolling) {
		if (frame->type != KW_FRAME_RENEW)
			enrol(door, frame);
		else if (renew(door, frame) != KW_OK)
			refuse(door, KW_ECRYPTO);
		return;
	}
	if (!door->greeted) {
		greet(door, frame);
		return;
	}
	enum kw_err err = KW_OK;
	uint64_t nonce;
	if (frame->type == KW_FRAME_PING) {
		struct kw_buf *out = kw_link_out(link);
		err = kw_frame_ping_parse(frame->body, &nonce);
		if (err == KW_OK && out != NULL)
			err = kw_frame_ping_add(out, KW_FRAME_PONG, nonce);
		kw_link_ready(link);
	} else if (frame->type == KW_FRAME_RENEW) {
		err = renew(door, frame);
	} else if (kw_frame_is_blob(frame->type)) {
		err = hub_blob_frame(door->doors->hub, door->conn, frame);
	} else if (frame->type == KW_FRAME_ROLES_WANT) {
		struct kw_roles_have have;
		err = kw_roles_want_parse(frame->body, &have);
		if (err == KW_OK) {
			herald_begin(door->doors->herald, &door->talk, &have);
			herald_go_on(door->doors->herald, &door->talk, link);
		}
	} else if (frame->type == KW_FRAME_RECALL ||
		(frame->type != KW_FRAME_PONG && frame->type != KW_FRAME_ERROR && frame->type < 0x80)) {
		err = hub_frame(door->doors->hub, door->conn, &door->agency, frame);
	}
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "frame_refused", KW_LOG_STR("agency", door->agency.text), KW_LOG_ERR(err),
			KW_LOG_INT("type", frame->type));
		refuse(door, err);
	}
}

static void on_drained(void *user, struct kw_link *link)
{
	struct doors *doors = user;
	struct door *door = kw_link_user(link);
	if (door == NULL || !door->greeted)
		return;
	/* The roles first, some at a time: behind messages that never end they would wait for ever. */
	herald_go_on(doors->herald, &door->talk, link);
	hub_drained(doors->hub, door->conn);
}

static void on_close(void *user, struct kw_link *link, enum kw_err err)
{
	struct doors *doors = user;
	struct door *door = kw_link_user(link);
	if (door == NULL)
		return;
	if (err != KW_OK && err != KW_ECLOSED)
		kw_log(KW_LOG_WARN, "connection_ended", KW_LOG_STR("agency", door->enrolling ? NULL : door->agency.text),
			KW_LOG_STR("address", kw_link_address(link)), KW_LOG_ERR(err));
	if (door->greeted)
		hub_conn_down(doors->hub, door->conn);
	herald_end(&door->talk);
	doors->by_conn[door->conn] = NULL;
	doors->free_conns[doors->free_count++] = door->conn;
	free(door);
}

static struct kw_buf *wire_out(void *user, uint32_t conn)
{
	const struct doors *doors = user;
	const struct door *door = doors->by_conn[conn];
	return door == NULL ? NULL : kw_link_out(door->link);
}

static void wire_ready(void *user, uint32_t conn)
{
	const struct doors *doors = user;
	if (doors->by_conn[conn] != NULL)
		kw_link_ready(doors->by_conn[conn]->link);
}

static size_t wire_pending(void *user, uint32_t conn)
{
	const struct doors *doors = user;
	return doors->by_conn[conn] == NULL ? SIZE_MAX : kw_link_pending_bytes(doors->by_conn[conn]->link);
}

static void wire_close(void *user, uint32_t conn, enum kw_err err)
{
	const struct doors *doors = user;
	if (doors->by_conn[conn] != NULL)
		kw_link_close(doors->by_conn[conn]->link, err);
}

static void wire_fatal(void *user, enum kw_err err)
{
	const struct doors *doors = user;
	doors->options.fatal(doors->options.user, err);
}

enum kw_err doors_new(const struct doors_options *options, const char *chain, struct doors **out)
{
	struct doors *doors = calloc(1, sizeof(*doors));
	if (doors == NULL)
		return KW_ENOMEM;
	doors->options = *options;
	doors->by_conn = calloc(options->conns_max, sizeof(struct door *));
	doors->free_conns = calloc(options->conns_max, sizeof(uint32_t));
	struct kw_tls_files files = {
		.chain = chain,
		.key = office_server_key(options->office),
		.root = office_root(options->office),
	};
	enum kw_err err = KW_ENOMEM;
	if (doors->by_conn != NULL && doors->free_conns != NULL)
		err = kw_tls_context_new(KW_TLS_HUB, &files, &doors->context);
	if (err == KW_OK)
		err = herald_new(&doors->herald);
	if (err == KW_OK)
		err = herald_set(doors->herald, office_roles(options->office));
	if (err == KW_OK)
		doors->told = office_roles(options->office)->client->timestamp.version;
	if (err != KW_OK) {
		doors_free(doors);
		return err;
	}
	for (uint32_t i = options->conns_max; i > 0; i--)
		doors->free_conns[doors->free_count++] = i - 1;
	*out = doors;
	return KW_OK;
}

struct hub_wire doors_wire(struct doors *doors)
{
	return (struct hub_wire){
		.user = doors,
		.out = wire_out,
		.ready = wire_ready,
		.pending = wire_pending,
		.close = wire_close,
		.fatal = wire_fatal,
	};
}

enum kw_err doors_open(struct doors *doors, struct hub *hub)
{
	doors->hub = hub;
	enum kw_err err = know_all(doors);
	if (err != KW_OK)
		return err;
	const struct kw_link_hooks hooks = {
		.user = doors,
		.on_open = on_open,
		.on_frame = on_frame,
		.on_drained = on_drained,
		.on_close = on_close,
	};
	err = kw_link_listen(doors->options.net, doors->options.listen, doors->context, &hooks, &doors->server);
	if (err == KW_OK)
		kw_link_server_limits(doors->server, &doors->options.limits);
	return err;
}

uint16_t doors_port(const struct doors *doors)
{
	return kw_link_server_port(doors->server);
}

void doors_shut(struct doors *doors)
{
	kw_link_server_close(doors->server);
	doors->server = NULL;
	for (uint32_t conn = 0; conn < doors->options.conns_max; conn++) {
		struct door *door = doors->by_conn[conn];
		struct kw_buf *out = door == NULL ? NULL : kw_link_out(door->link);
		enum kw_err err = out == NULL ? KW_OK : kw_frame_goaway_add(out, GOAWAY_MS);
		if (door != NULL)
			kw_link_close(door->link, err);
	}
}

void doors_free(struct doors *doors)
{
	if (doors == NULL)
		return;
	kw_tls_context_free(doors->context);
	herald_free(doors->herald);
	free(doors->by_conn);
	free(doors->free_conns);
	free(doors);
}
