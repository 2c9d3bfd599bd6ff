/* No secret is left in memory once it was let go: all of this process's writable memory is looked through, byte by byte. The secrets are
 * remembered masked, so that the test has no copy of its own; before they are let go the same search finds them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>

#include "agent/shell/keys.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/link/roles_inner.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"
#include "tests/kit/folder.h"
#include "tests/kit/site.h"

#define MASK 0xa5u
#define NEEDLE_SIZE 32u
#define NEEDLES_MAX 16u
#define MAPS_MAX 512u

struct needle {
	const char *what;
	uint8_t masked[NEEDLE_SIZE];
	size_t size;
};

static struct needle needles[NEEDLES_MAX];
static size_t needles_count;
static struct {
	const volatile uint8_t *begin;
	const volatile uint8_t *end;
} maps[MAPS_MAX];
static size_t maps_count;

static void remember(const char *what, const uint8_t *secret, size_t size)
{
	assert_true(needles_count < NEEDLES_MAX && size <= NEEDLE_SIZE);
	struct needle *needle = &needles[needles_count++];
	needle->what = what;
	needle->size = size;
	for (size_t i = 0; i < size; i++)
		needle->masked[i] = secret[i] ^ MASK;
}

/* Without stdio, whose buffers it would look through. */
static void load_maps(void)
{
	static char text[256 * 1024];
	size_t size = 0;
	ssize_t got;
	char *rest = NULL;
	int fd = open("/proc/self/maps", O_RDONLY);
	assert_true(fd >= 0);
	while ((got = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)got;
	(void)close(fd);
	text[size] = '\0';
	maps_count = 0;
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char *at;
		uintptr_t begin = strtoull(line, &at, 16);
		uintptr_t end = strtoull(at + 1, &at, 16);
		if (strncmp(at, " rw", 3) != 0)
			continue;
		assert_true(maps_count < MAPS_MAX);
		maps[maps_count].begin = (const volatile uint8_t *)begin;
		maps[maps_count++].end = (const volatile uint8_t *)end;
	}
	assert_true(maps_count > 3);
}

static bool is_at(const volatile uint8_t *at, const struct needle *needle)
{
	for (size_t i = 0; i < needle->size; i++)
		if ((at[i] ^ MASK) != needle->masked[i])
			return false;
	return true;
}

/* In how many places. */
__attribute__((no_sanitize("address", "thread"))) static uint32_t found(const struct needle *needle)
{
	uint32_t count = 0;
	for (size_t i = 0; i < maps_count; i++)
		for (const volatile uint8_t *at = maps[i].begin; at + needle->size <= maps[i].end; at++)
			if ((at[0] ^ MASK) == needle->masked[0] && is_at(at, needle))
				count++;
	return count;
}

static void all_there(void)
{
	load_maps();
	for (size_t i = 0; i < needles_count; i++)
		if (found(&needles[i]) == 0)
			fail_msg("the search does not find: %s", needles[i].what);
}

static void all_gone(void)
{
	load_maps();
	for (size_t i = 0; i < needles_count; i++) {
		uint32_t count = found(&needles[i]);
		if (count != 0)
			fail_msg("still in memory, %u times: %s", count, needles[i].what);
	}
}

/* What a stack that was used before has of them is overwritten by what runs next; here nothing does, so that it shows. */
static void use(const struct keys *keys)
{
	uint8_t signature[KW_SIGNATURE_SIZE];
	uint8_t shared[KW_KEY_SIZE];
	EVP_PKEY *tls = NULL;
	struct kw_buf csr;
	assert_int_equal(kw_ed25519_sign(&keys->identity, kw_view_str("words"), signature), KW_OK);
	assert_int_equal(kw_x25519_shared(&keys->sealing, keys->next.sealing.public_key, shared), KW_OK);
	kw_wipe(shared, sizeof(shared));
	kw_buf_init(&csr, 4096);
	assert_int_equal(keys_tls(keys, &tls), KW_OK);
	assert_int_equal(kw_pki_csr_add(tls, &csr), KW_OK);
	EVP_PKEY_free(tls);
	kw_buf_fini(&csr);
}

static void test_an_agents_keys_leave_nothing(void **state)
{
	char folder[] = "/tmp/kinward-wiped-XXXXXX";
	char path[64];
	char file[64];
	struct kw_buf passphrase;
	struct keys *keys = calloc(1, sizeof(*keys));
	(void)state;
	needles_count = 0;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/keys", folder);
	(void)snprintf(file, sizeof(file), "%s/pass", folder);
	/* A passphrase that is no literal of this program. */
	uint8_t word[24];
	assert_int_equal(kw_random(word, sizeof(word)), KW_OK);
	for (size_t i = 0; i < sizeof(word); i++)
		word[i] = (uint8_t)('a' + word[i] % 26);
	remember("the passphrase", word, sizeof(word));
	assert_int_equal(kw_file_write_atomic(file, KW_VIEW_OF(word), 0400), KW_OK);
	kw_wipe(word, sizeof(word));
	kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
	assert_int_equal(keys_passphrase(file, false, &passphrase), KW_OK);
	assert_int_equal(keys_generate(keys), KW_OK);
	assert_int_equal(keys_save(path, keys, kw_buf_view(&passphrase)), KW_OK);
	keys_fini(keys);
	assert_int_equal(keys_load(path, kw_buf_view(&passphrase), keys), KW_OK);
	/* A hybrid key is a seed like the others, so it needs no ML-KEM here. */
	keys->hybrid.set = true;
	keys->next.hybrid.set = true;
	assert_int_equal(kw_random(keys->hybrid.seed, sizeof(keys->hybrid.seed)), KW_OK);
	assert_int_equal(kw_random(keys->next.hybrid.seed, sizeof(keys->next.hybrid.seed)), KW_OK);
	for (int i = 0; i < KEYS_HYBRID; i++)
		assert_int_equal(keys_next_make(keys, (enum keys_which)i, 1), KW_OK);
	remember("the identity", keys->identity.seed, KW_KEY_SIZE);
	remember("the sealing key", keys->sealing.secret, KW_KEY_SIZE);
	remember("the TLS key", keys->tls_seed, KW_KEY_SIZE);
	remember("the key of the spool", keys->store, KEYS_STORE_SIZE);
	remember("the key-encryption key", keys->kek, KW_KEY_SIZE);
	remember("the next identity", keys->next.identity.seed, KW_KEY_SIZE);
	remember("the next sealing key", keys->next.sealing.secret, KW_KEY_SIZE);
	remember("the hybrid key", keys->hybrid.seed, KW_HYBRID_SEED_SIZE);
	remember("the next hybrid key", keys->next.hybrid.seed, KW_HYBRID_SEED_SIZE);
	remember("the next TLS key", keys->next.tls_seed, KW_KEY_SIZE);
	use(keys);
	all_there();
	for (int i = 0; i < KEYS_WHICH_COUNT; i++)
		assert_int_equal(keys_next_take(keys, (enum keys_which)i, 1), KW_OK);
	assert_int_equal(keys_save_again(path, keys), KW_OK);
	(void)keys_former_drop(keys, 2);
	load_maps();
	assert_int_equal(found(&needles[1]), 0); /* the former identity, while the others are in use */
	assert_int_equal(found(&needles[2]), 0); /* and the sealing key whose time is over */
	keys_fini(keys);
	/* A wrong passphrase, and a damaged file, on the way too. */
	assert_int_equal(keys_load(path, kw_view_str("wrong passphrase"), keys), KW_EAUTH);
	assert_int_equal(keys_load(path, kw_buf_view(&passphrase), keys), KW_OK);
	keys_fini(keys);
	kw_buf_fini(&passphrase);
	free(keys);
	all_gone();
	assert_int_equal(folder_remove(folder), 0);
}

static void remember_file(const struct kit_site *site, const char *name)
{
	EVP_PKEY *key = NULL;
	uint8_t seed[KW_KEY_SIZE];
	size_t size = sizeof(seed);
	assert_int_equal(kw_pki_key_load(kit_site_path(site, name), &key), KW_OK);
	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PRIV_KEY, seed, sizeof(seed), &size), 1);
	remember(name, seed, sizeof(seed));
	kw_wipe(seed, sizeof(seed));
	EVP_PKEY_free(key);
}

/* The hub's role keys lie in files that only its user reads, and are in memory only while something is signed. */
static void test_a_hubs_role_keys_are_in_memory_only_while_it_signs(void **state)
{
	struct kit_site site;
	struct kw_digest digest;
	struct kw_roles *roles = NULL;
	const char *file;
	(void)state;
	needles_count = 0;
	kit_site_init(&site, 1);
	remember_file(&site, "registrar.key");
	remember_file(&site, "snapshot.key");
	remember_file(&site, "timestamp.key");
	remember_file(&site, "log.key");
	remember_file(&site, "root-keys/2.key");
	assert_int_equal(kw_spki_digest(site.root.certificate, &digest), KW_OK);
	assert_int_equal(kw_roles_load(site.dir, &site.hub, &digest, &roles, &file), KW_OK);
	struct kw_directory directory = *roles->directory;
	assert_int_equal(kw_roles_publish(roles, &directory, (int64_t)time(NULL) * 1000), KW_OK);
	all_gone(); /* before what follows uses the same memory again */
	struct kw_roles_rotation rotation = {.which = KW_ROLES_LOG, .root_keys = kit_site_path(&site, "root-keys"), .new_keys = 1,
		.new_threshold = 1, .now_unix_ms = (int64_t)time(NULL) * 1000};
	char keys_folder[256];
	(void)snprintf(keys_folder, sizeof(keys_folder), "%s", rotation.root_keys);
	rotation.root_keys = keys_folder;
	assert_int_equal(kw_roles_rotate(roles, &rotation), KW_OK);
	kw_roles_free(roles);
	all_gone();
	/* One key alone, looked for at once. */
	struct kw_ed25519 online;
	assert_int_equal(roles_key_load(kit_site_path(&site, "timestamp.key"), &online), KW_OK);
	kw_wipe(&online, sizeof(online));
	all_gone();
	/* The search would find them: one that is held. */
	EVP_PKEY *key = NULL;
	assert_int_equal(kw_pki_key_load(kit_site_path(&site, "timestamp.key"), &key), KW_OK);
	load_maps();
	assert_true(found(&needles[2]) > 0);
	EVP_PKEY_free(key);
	load_maps();
	assert_int_equal(found(&needles[2]), 0);
	kit_site_fini(&site);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)printf("skipped: a sanitizer keeps freed memory, and has too much of its own to look through\n");
	return 0;
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_agents_keys_leave_nothing),
		cmocka_unit_test(test_a_hubs_role_keys_are_in_memory_only_while_it_signs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
