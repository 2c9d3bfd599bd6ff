#include "tests/kit/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/base/check.h"
#include "proto/link/file.h"
#include "proto/link/roles.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"

const char *kit_site_path(const struct kit_site *site, const char *name)
{
	static char path[256];
	int size = snprintf(path, sizeof(path), "%s/%s", site->dir, name);
	KW_ASSERT(size > 0 && (size_t)size < sizeof(path));
	return path;
}

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static void make_authority(struct kit_site *site)
{
	X509 *server;
	KW_ASSERT(kw_pki_key_new(&site->root.key) == KW_OK);
	KW_ASSERT(kw_pki_key_new(&site->issuing.key) == KW_OK);
	KW_ASSERT(kw_pki_key_new(&site->server_key) == KW_OK);
	KW_ASSERT(kw_pki_root_new(site->root.key, "test", now_ms(), &site->root.certificate) == KW_OK);
	KW_ASSERT(kw_pki_issuing_new(&site->root, site->issuing.key, &site->hub, now_ms(), &site->issuing.certificate) ==
		  KW_OK);
	KW_ASSERT(kw_pki_server_new(&site->issuing, site->server_key, &site->hub, now_ms(), &server) == KW_OK);
	X509 *const chain[] = {server, site->issuing.certificate, site->root.certificate};
	KW_ASSERT(kw_pki_certs_save(kit_site_path(site, "server.pem"), chain, 3) == KW_OK);
	KW_ASSERT(kw_pki_certs_save(kit_site_path(site, "root.pem"), &site->root.certificate, 1) == KW_OK);
	KW_ASSERT(kw_pki_certs_save(kit_site_path(site, "issuer.pem"), &site->issuing.certificate, 1) == KW_OK);
	KW_ASSERT(kw_pki_key_save(kit_site_path(site, "server.key"), site->server_key) == KW_OK);
	KW_ASSERT(kw_pki_key_save(kit_site_path(site, "issuer.key"), site->issuing.key) == KW_OK);
	X509_free(server);
}

static void make_agency(struct kit_site *site, size_t index, struct kw_directory_entry *entry)
{
	char text[32];
	char chain_name[64];
	X509 *leaf;
	struct kw_pki_agency whom = {.hub = site->hub};
	struct kw_buf csr;
	kw_buf_init(&csr, 4096);
	(void)snprintf(text, sizeof(text), "agency-%zu", index);
	(void)snprintf(chain_name, sizeof(chain_name), "%s.pem", text);
	KW_ASSERT(kw_name_from(kw_view_str(text), &whom.agency) == KW_OK);
	KW_ASSERT(kw_pki_key_new(&site->agency_keys[index]) == KW_OK);
	KW_ASSERT(kw_pki_csr_add(site->agency_keys[index], &csr) == KW_OK);
	KW_ASSERT(kw_pki_agency_issue(&site->issuing, kw_buf_view(&csr), &whom, now_ms(), &leaf) == KW_OK);
	X509 *const chain[] = {leaf, site->issuing.certificate};
	KW_ASSERT(kw_pki_certs_save(kit_site_path(site, chain_name), chain, 2) == KW_OK);

	*entry = (struct kw_directory_entry){.agency = whom.agency, .sealing_keys_count = 1};
	struct kw_directory_sealing_key *key = &entry->sealing_keys[0];
	memset(key->public_key, (int)index + 1, sizeof(key->public_key));
	key->suites[0] = 1;
	key->suites_count = 1;
	KW_ASSERT(kw_directory_key_id(key->public_key, key->key_id) == KW_OK);
	KW_ASSERT(kw_spki_digest(leaf, &entry->tls_key_digest) == KW_OK);
	X509_free(leaf);
	kw_buf_fini(&csr);
}

void kit_site_init(struct kit_site *site, size_t agencies_count)
{
	static const char CONFIG[] = "hub: hub-0\nlisten: 127.0.0.1:0\nmap_size_mib: 64\nhandshakes_per_s_max: 0\n";
	struct kw_directory_entry entries[KIT_AGENCIES_MAX];
	KW_ASSERT(agencies_count <= KIT_AGENCIES_MAX);
	*site = (struct kit_site){.dir = "/tmp/kw-site-XXXXXX", .agencies_count = agencies_count};
	KW_ASSERT(mkdtemp(site->dir) != NULL);
	KW_ASSERT(kw_name_from(kw_view_str("hub-0"), &site->hub) == KW_OK);
	make_authority(site);
	for (size_t i = 0; i < agencies_count; i++)
		make_agency(site, i, &entries[i]);
	struct kw_directory directory = {.entries = entries, .count = agencies_count};
	const struct kw_roles_plan plan = {.folder = site->dir, .hub = site->hub, .root_key = site->root.key, .root_keys = 3,
		.root_threshold = 2, .directory = &directory, .now_unix_ms = now_ms()};
	KW_ASSERT(kw_roles_create(&plan) == KW_OK);
	KW_ASSERT(kw_file_write_atomic(kit_site_path(site, "broker.yaml"), kw_view_str(CONFIG), 0644) == KW_OK);
	KW_ASSERT(mkdir(kit_site_path(site, "enrol"), 0700) == 0);
}

void kit_site_fini(struct kit_site *site)
{
	EVP_PKEY_free(site->root.key);
	EVP_PKEY_free(site->issuing.key);
	EVP_PKEY_free(site->server_key);
	X509_free(site->root.certificate);
	X509_free(site->issuing.certificate);
	for (size_t i = 0; i < site->agencies_count; i++)
		EVP_PKEY_free(site->agency_keys[i]);
	KW_ASSERT(folder_remove(site->dir) == 0);
}

struct kw_tls_context *kit_site_context(const struct kit_site *site, size_t agency)
{
	char name[32];
	struct kw_tls_context *context;
	(void)snprintf(name, sizeof(name), "agency-%zu.pem", agency);
	struct kw_tls_files files = {
		.chain = kit_site_path(site, name),
		.key = site->agency_keys[agency],
		.root = site->root.certificate,
	};
	KW_ASSERT(kw_tls_context_new(KW_TLS_AGENT, &files, &context) == KW_OK);
	return context;
}
