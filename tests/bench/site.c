#include "tests/bench/site.h"

#include <ftw.h>
#include <linux/magic.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "proto/link/file.h"
#include "proto/link/roles.h"
#include "proto/wire/curve.h"
#include "proto/wire/directory.h"
#include "proto/wire/spki.h"

#define PATH_SIZE 512u

struct authority {
	struct kw_pki_issuer root;
	struct kw_pki_issuer issuing;
	int64_t now_unix_ms;
};

static void path_of(const struct site *site, const char *name, char out[PATH_SIZE])
{
	(void)snprintf(out, PATH_SIZE, "%s/%s", site->folder, name);
}

static void agent_path(const struct site *site, uint32_t index, const char *ending, char out[PATH_SIZE])
{
	(void)snprintf(out, PATH_SIZE, "%s/agents/agency-%05u.%s", site->folder, index, ending);
}

void site_agent_name(uint32_t index, struct kw_name *out)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "agency-%05u", index);
	bench_must(kw_name_from(kw_view_str(text), out), "agency name");
}

static void save_key(const struct site *site, const char *name, EVP_PKEY *key)
{
	char path[PATH_SIZE];
	path_of(site, name, path);
	bench_must(kw_pki_key_save(path, key), path);
}

static void save_certs(const struct site *site, const char *name, X509 *const *certificates, size_t count)
{
	char path[PATH_SIZE];
	path_of(site, name, path);
	bench_must(kw_pki_certs_save(path, certificates, count), path);
}

/* Without the syncs of kw_pki_*_save: thousands of them, and losing them loses nothing. */
static void save_agent(const struct site *site, uint32_t index, X509 *leaf, X509 *issuing)
{
	char path[PATH_SIZE];
	agent_path(site, index, "pem", path);
	FILE *file = fopen(path, "w");
	if (file == NULL || PEM_write_X509(file, leaf) != 1 || PEM_write_X509(file, issuing) != 1 || fclose(file) != 0)
		bench_die("cannot write %s", path);
	agent_path(site, index, "key", path);
	file = fopen(path, "w");
	if (file == NULL || fchmod(fileno(file), 0600) != 0 ||
		PEM_write_PrivateKey(file, site->keys[index], NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
		bench_die("cannot write %s", path);
}

static void make_authority(struct authority *authority, const struct kw_name *hub)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	authority->now_unix_ms = (int64_t)now.tv_sec * 1000;
	bench_must(kw_pki_key_new(&authority->root.key), "root key");
	bench_must(kw_pki_key_new(&authority->issuing.key), "issuing key");
	bench_must(kw_pki_root_new(authority->root.key, "bench", authority->now_unix_ms, &authority->root.certificate),
		"root certificate");
	bench_must(kw_pki_issuing_new(&authority->root, authority->issuing.key, hub, authority->now_unix_ms,
			   &authority->issuing.certificate),
		"issuing certificate");
}

static void make_hub_files(const struct site *site, const struct authority *authority)
{
	EVP_PKEY *key = NULL;
	X509 *server = NULL;
	bench_must(kw_pki_key_new(&key), "server key");
	bench_must(kw_pki_server_new(&authority->issuing, key, &site->hub, authority->now_unix_ms, &server),
		"server certificate");
	X509 *chain[2] = {server, authority->issuing.certificate};
	save_certs(site, "root.pem", &authority->root.certificate, 1);
	save_certs(site, "issuer.pem", &authority->issuing.certificate, 1);
	save_certs(site, "server.pem", chain, 2);
	save_key(site, "issuer.key", authority->issuing.key);
	save_key(site, "server.key", key);
	X509_free(server);
	EVP_PKEY_free(key);
}

static void enrol(const struct site *site, const struct authority *authority, uint32_t index,
	struct kw_directory_entry *entry)
{
	struct kw_pki_agency whom = {.hub = site->hub};
	X509 *leaf = NULL;
	struct kw_buf csr;
	kw_buf_init(&csr, 4096);
	site_agent_name(index, &whom.agency);
	bench_must(kw_pki_key_new(&site->keys[index]), "agency key");
	bench_must(kw_pki_csr_add(site->keys[index], &csr), "certificate request");
	bench_must(kw_pki_agency_issue(&authority->issuing, kw_buf_view(&csr), &whom, authority->now_unix_ms, &leaf),
		"agency certificate");
	kw_buf_fini(&csr);
	*entry = (struct kw_directory_entry){.agency = whom.agency, .sealing_keys_count = 1};
	struct kw_ed25519 identity;
	struct kw_x25519 sealing;
	bench_must(kw_ed25519_generate(&identity), "identity key");
	bench_must(kw_x25519_generate(&sealing), "sealing key");
	struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
	memcpy(entry->identity_key, identity.public_key, KW_KEY_SIZE);
	memcpy(key->public_key, sealing.public_key, KW_KEY_SIZE);
	key->suites[0] = 1;
	key->suites_count = 1;
	bench_must(kw_directory_key_id(key->public_key, key->key_id), "key id");
	bench_must(kw_spki_digest(leaf, &entry->tls_key_digest), "key digest");
	save_agent(site, index, leaf, authority->issuing.certificate);
	X509_free(leaf);
}

static void make_directory(const struct site *site, const struct authority *authority)
{
	struct kw_directory directory = {.entries = calloc(site->count, sizeof(struct kw_directory_entry)), .count = site->count};
	if (directory.entries == NULL)
		bench_die("out of memory");
	for (uint32_t i = 0; i < site->count; i++)
		enrol(site, authority, i, &directory.entries[i]);
	const struct kw_roles_plan plan = {.folder = site->folder, .hub = site->hub, .root_key = authority->root.key, .root_keys = 1,
		.root_threshold = 1, .directory = &directory, .now_unix_ms = authority->now_unix_ms};
	bench_must(kw_roles_create(&plan), "roles");
	free(directory.entries);
}

/* Limits that a benchmark of one machine against itself needs; the rest as shipped. */
static void make_config(const struct site *site, const char *listen)
{
	char path[PATH_SIZE];
	char text[1024];
	int size = snprintf(text, sizeof(text),
		"hub: %s\nlisten: \"%s\"\nconnections_max: %u\nhalf_open_max: 4096\nhalf_open_per_address_max: 4096\n"
		"handshakes_per_s_max: 100000\nqueue_messages_max: 100000000\nqueue_size_mib_max: 65536\n",
		site->hub.text, listen, site->count + 64);
	path_of(site, "broker.yaml", path);
	bench_must(kw_file_write_atomic(path, KW_VIEW(text, (size_t)size), 0644), path);
}

void site_make(struct site *site, const char *folder, const struct bench_options *options)
{
	char path[PATH_SIZE];
	struct authority authority;
	*site = (struct site){.count = options->agents};
	(void)snprintf(site->folder, sizeof(site->folder), "%s", folder);
	site->keys = calloc(site->count, sizeof(EVP_PKEY *));
	bench_must(kw_name_from(kw_view_str("bench"), &site->hub), "hub name");
	path_of(site, "agents", path);
	if (site->keys == NULL || mkdir(path, 0700) != 0)
		bench_die("cannot make %s", path);
	path_of(site, "enrol", path);
	if (mkdir(path, 0700) != 0)
		bench_die("cannot make %s", path);
	make_authority(&authority, &site->hub);
	make_hub_files(site, &authority);
	make_directory(site, &authority);
	make_config(site, options->listen != NULL ? options->listen : "127.0.0.1:0");
	site->root = authority.root.certificate;
	EVP_PKEY_free(authority.root.key);
	EVP_PKEY_free(authority.issuing.key);
	X509_free(authority.issuing.certificate);
}

void site_make_temporary(struct site *site, const struct bench_options *options)
{
	char folder[200];
	const char *parent = options->parent != NULL ? options->parent : getenv("TMPDIR");
	(void)snprintf(folder, sizeof(folder), "%s/kinward-bench-XXXXXX", parent != NULL ? parent : "/var/tmp");
	if (mkdtemp(folder) == NULL)
		bench_die("cannot make a folder below %s", parent != NULL ? parent : "/var/tmp");
	site_make(site, folder, options);
	site->temporary = true;
}

void site_load(struct site *site, const char *folder, uint32_t count)
{
	char path[PATH_SIZE];
	*site = (struct site){.count = count};
	(void)snprintf(site->folder, sizeof(site->folder), "%s", folder);
	bench_must(kw_name_from(kw_view_str("bench"), &site->hub), "hub name");
	path_of(site, "root.pem", path);
	bench_must(kw_pki_cert_load(path, &site->root), path);
	site->keys = calloc(count, sizeof(EVP_PKEY *));
	if (site->keys == NULL)
		bench_die("out of memory");
	for (uint32_t i = 0; i < count; i++) {
		agent_path(site, i, "key", path);
		bench_must(kw_pki_key_load(path, &site->keys[i]), path);
	}
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
	(void)stat;
	(void)kind;
	(void)walk;
	(void)remove(path); /* what stays is seen by the person who looks */
	return 0;
}

void site_fini(struct site *site, bool keep)
{
	for (uint32_t i = 0; site->keys != NULL && i < site->count; i++)
		EVP_PKEY_free(site->keys[i]);
	free(site->keys);
	X509_free(site->root);
	if (site->temporary && keep)
		(void)fprintf(stderr, "kinward-bench: kept %s\n", site->folder);
	else if (site->temporary)
		(void)nftw(site->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	*site = (struct site){.count = 0};
}

struct kw_tls_context *site_context(const struct site *site, uint32_t index)
{
	char chain[PATH_SIZE];
	struct kw_tls_context *context = NULL;
	agent_path(site, index, "pem", chain);
	struct kw_tls_files files = {.chain = chain, .key = site->keys[index], .root = site->root};
	bench_must(kw_tls_context_new(KW_TLS_AGENT, &files, &context), chain);
	return context;
}

bool site_is_in_memory(const struct site *site)
{
	struct statfs found;
	return statfs(site->folder, &found) == 0 && (found.f_type == TMPFS_MAGIC || found.f_type == RAMFS_MAGIC);
}
