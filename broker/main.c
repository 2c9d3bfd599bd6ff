/* kinward-broker CONFIG: the hub. Happy path: read the configuration → open the office (keys, directory) → open the store
 * and recover → listen → serve until SIGTERM → say goodbye → commit → exit 0. Each step that fails says why in one line and
 * exits 1; a store that cannot commit exits 1 at once, with nothing more acknowledged. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <uv.h>

#include "broker/shell/config.h"
#include "broker/shell/doors.h"
#include "broker/shell/hub.h"
#include "broker/shell/log_verify.h"
#include "broker/shell/office.h"
#include "broker/shell/office_log.h"
#include "proto/link/harden.h"
#include "proto/link/log.h"

#define MAP_SIZE_MIB_DEFAULT 65536u
#define TICK_MS 1000u

struct server {
	uv_loop_t loop;
	uv_timer_t tick;
	uv_prepare_t turn_end;
	uv_signal_t on_term;
	uv_signal_t on_int;
	struct config config;
	struct kw_net *net;
	struct office *office;
	struct kw_ed25519 log_key;
	struct doors *doors;
	struct hub *hub;
	enum kw_err fatal;
	bool stopping;
	bool time_was_reset; /* on the last tick: the file that asked for it goes */
	bool reset_stuck;    /* and could not go; said once */
};

static void fatal(void *user, enum kw_err err)
{
	struct server *server = user;
	(void)server;
	kw_log(KW_LOG_ERROR, "store_failed", KW_LOG_ERR(err), KW_LOG_STR("action", "stopping; nothing more is acknowledged"));
	/* Not exit(): no handler may run that could still write an ack. */
	_Exit(EXIT_FAILURE);
}

/* `kinward hub time --reset` leaves a file. It goes on the next tick, when the time is in the store: a crash in between
 * resets twice, which does no harm. */
static void look_for_reset(struct server *server)
{
	char path[CONFIG_PATH_SIZE];
	bool asked = config_path(&server->config, KW_TIME_RESET_FILE, path) == KW_OK && access(path, F_OK) == 0;
	if (asked && server->time_was_reset && unlink(path) != 0 && !server->reset_stuck) {
		server->reset_stuck = true;
		kw_log(KW_LOG_ERROR, "hub_time_reset", KW_LOG_STR("path", path),
			KW_LOG_STR("text", "this file cannot be removed: remove it, or the next start resets hub time again"));
	}
	if (asked && !server->time_was_reset)
		hub_time_reset(server->hub);
	server->time_was_reset = asked;
}

static void on_tick(uv_timer_t *timer)
{
	struct server *server = timer->data;
	look_for_reset(server);
	hub_tick(server->hub);
	if (!server->stopping)
		doors_tick(server->doors);
}

static void on_turn_end(uv_prepare_t *prepare)
{
	struct server *server = prepare->data;
	hub_kick(server->hub);
}

static void stop(struct server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	kw_log(KW_LOG_INFO, "stopping");
	doors_shut(server->doors);
	uv_close((uv_handle_t *)&server->tick, NULL);
	uv_close((uv_handle_t *)&server->on_term, NULL);
	uv_close((uv_handle_t *)&server->on_int, NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
	(void)number;
	stop(signal->data);
}

/* Keys in memory stay out of core files and of other processes' reach. */
static bool harden(void)
{
	(void)umask(0077);
	return kw_harden(getenv("KW_DEBUG_DUMPABLE") != NULL) == KW_OK;
}

static struct hub_options hub_options_of(const struct config *config, const char *db)
{
	const struct config_values *values = config->values;
	struct hub_options options = {.limits = BRK_LIMITS_DEFAULT, .name = config->hub};
	options.limits.threads = config->threads;
	options.limits.coordinator = config->coordinator;
	options.store.path = db;
	options.store.map_size = (values->map_size_mib != NULL ? *values->map_size_mib : MAP_SIZE_MIB_DEFAULT) << 20;
#ifdef KW_UNSAFE_TESTS
	options.store.unsafe_no_sync = getenv("KW_UNSAFE_NO_SYNC") != NULL;
#endif
	options.store.new_epoch = getenv("KW_NEW_EPOCH") != NULL;
	if (values->connections_max != NULL)
		options.limits.conns_max = *values->connections_max;
	if (values->queue_messages_max != NULL)
		options.limits.queue_messages_max = *values->queue_messages_max;
	if (values->queue_size_mib_max != NULL)
		options.limits.queue_bytes_max = *values->queue_size_mib_max << 20;
	if (values->urgent_messages_max != NULL)
		options.limits.urgent_messages_max = *values->urgent_messages_max;
	if (values->threads_open_max != NULL)
		options.limits.threads_open_max = *values->threads_open_max;
	return options;
}

static void blob_options_of(const struct config *config, const char *folder, struct hub_options *options)
{
	const struct config_values *values = config->values;
	options->blob_limits = HUB_BLOB_LIMITS_DEFAULT;
	if (values->blob_store_mib != NULL)
		options->blob_limits.bytes_max = *values->blob_store_mib << 20;
	if (values->blob_agency_mib != NULL)
		options->blob_limits.giver_bytes_max = *values->blob_agency_mib << 20;
	if (values->blob_agency_count_max != NULL)
		options->blob_limits.giver_count_max = *values->blob_agency_count_max;
	if (options->blob_limits.bytes_max > 0)
		options->blob_folder = folder;
}

static struct kw_link_limits link_limits_of(const struct config *config)
{
	const struct config_values *values = config->values;
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	if (values->connections_max != NULL)
		limits.connections_max = *values->connections_max;
	if (values->half_open_max != NULL)
		limits.half_open_max = *values->half_open_max;
	if (values->half_open_per_address_max != NULL)
		limits.half_open_per_address_max = *values->half_open_per_address_max;
	if (values->handshakes_per_s_max != NULL)
		limits.handshakes_per_s_max = *values->handshakes_per_s_max;
	return limits;
}

/* One line for a step of the start that failed: which setting or file is at fault, and what to do. */
static enum kw_err tell(const struct server *server, const char *field, enum kw_err err, const char *text)
{
	if (err != KW_OK)
		kw_log(KW_LOG_ERROR, "start_failed", KW_LOG_STR("folder", server->config.folder), KW_LOG_STR("field", field),
			KW_LOG_ERR(err), KW_LOG_STR("text", text != NULL ? text : kw_err_text(err)));
	return err;
}

static const char *store_text(enum kw_err err)
{
	switch (err) {
	case KW_EBUSY:
		return "another broker runs on this store: stop that one first, or start this one with another hub's configuration";
	case KW_ECORRUPT:
		return "the store is damaged: move this folder away, put a backup in its place, and start once with KW_NEW_EPOCH=1";
	case KW_EVERSION:
		return "the store was made by a later version: start that version";
#ifdef KW_UNSAFE_TESTS
	case KW_EDENIED:
		return "KW_UNSAFE_NO_SYNC is for the tests alone: unset it";
#endif
	case KW_EIO:
		return "the folder cannot be written or synced: look at its owner, its mode and the disk, then start again";
	default:
		return NULL;
	}
}

static const char *listen_text(enum kw_err err)
{
	switch (err) {
	case KW_EBUSY:
		return "another program listens at this address and port (ss -ltnp shows which): stop it, or write another listen";
	case KW_ENOTFOUND:
		return "this machine has no such address (ip address lists them): write one of its own, or 0.0.0.0 for all";
	case KW_EDENIED:
		return "this port is not for this user: write one above 1023, or start with CAP_NET_BIND_SERVICE";
	default:
		return NULL;
	}
}

static enum kw_err open_all(struct server *server)
{
	char db[CONFIG_PATH_SIZE];
	char chain[CONFIG_PATH_SIZE];
	char blobs[CONFIG_PATH_SIZE];
	char forget[CONFIG_PATH_SIZE];
	enum kw_err err = office_open(&server->config, &server->office);
	if (err == KW_OK)
		err = office_log_open(server->office, &server->log_key);
	if (err != KW_OK)
		return err; /* told already */
	err = config_path(&server->config, "db", db);
	if (err == KW_OK)
		err = config_path(&server->config, "server.pem", chain);
	if (err == KW_OK)
		err = config_path(&server->config, "blobs", blobs);
	if (err == KW_OK)
		err = config_path(&server->config, "forget", forget);
	if (err == KW_OK)
		err = kw_net_new(&server->loop, &server->net);
	if (err != KW_OK)
		return tell(server, "", err, NULL);
	struct hub_options options = hub_options_of(&server->config, db);
	blob_options_of(&server->config, blobs, &options);
	options.log_key = &server->log_key;
	options.forget_folder = forget;
	const struct doors_options doors_options = {
		.net = server->net,
		.office = server->office,
		.listen = server->config.values->listen,
		.limits = link_limits_of(&server->config),
		.conns_max = options.limits.conns_max,
		.fatal = fatal,
		.user = server,
	};
	err = doors_new(&doors_options, chain, &server->doors);
	if (err != KW_OK)
		return tell(server, "server.pem", err, err == KW_ENOMEM ? NULL
			: "server.pem, server.key and root.pem do not fit each other: put them back from a backup");
	const struct hub_wire wire = doors_wire(server->doors);
	err = hub_new(&options, &server->loop, &wire, &server->hub);
	if (err != KW_OK)
		return tell(server, "db", err, store_text(err));
	err = doors_open(server->doors, server->hub);
	return tell(server, "listen", err, listen_text(err));
}

static void start_handles(struct server *server)
{
	/* These only fill structs and cannot fail. */
	(void)uv_timer_init(&server->loop, &server->tick);
	(void)uv_prepare_init(&server->loop, &server->turn_end);
	(void)uv_signal_init(&server->loop, &server->on_term);
	(void)uv_signal_init(&server->loop, &server->on_int);
	server->tick.data = server;
	server->turn_end.data = server;
	server->on_term.data = server;
	server->on_int.data = server;
	(void)uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS);
	(void)uv_prepare_start(&server->turn_end, on_turn_end);
	(void)uv_signal_start(&server->on_term, on_signal, SIGTERM);
	(void)uv_signal_start(&server->on_int, on_signal, SIGINT);
	uv_unref((uv_handle_t *)&server->turn_end);
}

static void close_all(struct server *server)
{
	hub_free(server->hub);
	uv_close((uv_handle_t *)&server->turn_end, NULL);
	kw_net_free(server->net);
	(void)uv_run(&server->loop, UV_RUN_DEFAULT);
	doors_free(server->doors);
	office_close(server->office);
	kw_wipe(&server->log_key, sizeof(server->log_key));
	config_fini(&server->config);
	(void)uv_loop_close(&server->loop); /* busy only after a leak, and we are leaving */
}

static int serve(struct server *server)
{
	enum kw_err err = open_all(server);
	if (err != KW_OK)
		return EXIT_FAILURE;
	start_handles(server);
	kw_log(KW_LOG_INFO, "ready", KW_LOG_STR("hub", server->config.hub.text),
		KW_LOG_STR("listen", server->config.values->listen), KW_LOG_INT("port", doors_port(server->doors)));
	(void)sd_notify(0, "READY=1");
	(void)uv_run(&server->loop, UV_RUN_DEFAULT);
	close_all(server);
	kw_log(KW_LOG_INFO, "stopped");
	return EXIT_SUCCESS;
}

/* --verify-log: what `kinward audit verify` runs. */
static int verify_log(struct server *server)
{
	struct log_verified found;
	struct log_keys keys;
	char db[CONFIG_PATH_SIZE], root[2 * KW_DIGEST_SIZE + 1];
	const char *fault = NULL;
	enum kw_err err = office_log_keys(&server->config, &keys);
	if (err == KW_OK)
		err = config_path(&server->config, "db", db);
	if (err == KW_OK)
		err = log_verify(db, &server->config.hub, &keys, &found, &fault);
	free(keys.keys);
	if (err != KW_OK) {
		(void)printf("NOT VERIFIED: %s", fault != NULL ? fault : kw_err_text(err));
		(void)(fault != NULL ? printf(" (at %llu)\n", (unsigned long long)found.at) : printf("\n"));
		return EXIT_FAILURE;
	}
	kw_hex(root, KW_VIEW_OF(found.root.bytes));
	(void)printf("verified: %llu leaves, %llu with their salt, %llu checkpoints that were shown\nroot %s\n",
		(unsigned long long)found.leaves, (unsigned long long)found.salts, (unsigned long long)found.checkpoints, root);
	return EXIT_SUCCESS;
}

static const char USAGE[] =
	"Usage: kinward-broker CONFIG | --verify-log CONFIG | --help | --version\n\n"
	"Runs a hub in the foreground; its log is one JSON object a line on standard error. Make CONFIG with\n"
	"`kinward hub init`; man kinward-broker has every setting.\n\n"
	"  kinward hub init --dir /var/lib/kinward/hub --name ke-hub --address hub.example.org:7443\n"
	"  kinward-broker /var/lib/kinward/hub/broker.yaml\n"
	"  kinward-broker --verify-log /var/lib/kinward/hub/broker.yaml      checks its audit log, and ends\n\n"
	"Exit codes:\n"
	"  0   stopped by SIGTERM or SIGINT\n"
	"  1   it cannot start, or the store failed; the log says what to do\n"
	"  2   wrong command line or configuration\n";

int main(int argc, char **argv)
{
	static struct server server;
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(USAGE, stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)puts("kinward-broker " KW_VERSION);
		return EXIT_SUCCESS;
	}
	bool verify = argc == 3 && strcmp(argv[1], "--verify-log") == 0;
	if (verify) {
		argv++;
		argc--;
	}
	if (argc != 2 || argv[1][0] == '-') {
		(void)fprintf(stderr, "kinward-broker: %s%s\n%s", argc == 2 ? "no such option: " : "give one configuration file",
			argc == 2 ? argv[1] : "", USAGE);
		return 2;
	}
	if (!harden()) {
		(void)fputs("kinward-broker: the process cannot be hardened: it needs setrlimit and prctl\n", stderr);
		return EXIT_FAILURE;
	}
	struct kw_config_fault fault;
	if (config_load(argv[1], &server.config, &fault) != KW_OK) {
		(void)fprintf(stderr, "kinward-broker: %s\n", fault.text);
		return 2;
	}
	if (verify)
		return verify_log(&server);
	(void)uv_loop_init(&server.loop);
	return serve(&server);
}
