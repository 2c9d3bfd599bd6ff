#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/shell/keys.h"

static char folder[64];
static char path[96];
static const char secret[] = "correct horse battery";

static struct kw_view pass(const char *text)
{
	return kw_view_str(text);
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/kinward-keys-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/keys", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static void test_keys_come_back_with_the_passphrase(void **state)
{
	struct keys made;
	struct keys loaded;
	struct stat file;
	(void)state;
	assert_int_equal(keys_generate(&made), KW_OK);
	assert_int_equal(keys_save(path, &made, pass(secret)), KW_OK);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0400);
	memset(&loaded, 0, sizeof(loaded));
	assert_int_equal(keys_load(path, pass(secret), &loaded), KW_OK);
	assert_memory_equal(&made.identity, &loaded.identity, sizeof(made.identity));
	assert_memory_equal(&made.sealing, &loaded.sealing, sizeof(made.sealing));
	assert_memory_equal(made.store, loaded.store, sizeof(made.store));
	assert_memory_equal(made.tls_seed, loaded.tls_seed, sizeof(made.tls_seed));
	assert_memory_equal(made.identity_id, loaded.identity_id, sizeof(made.identity_id));

	uint8_t id[KEYS_ID_SIZE];
	assert_int_equal(keys_id(loaded.sealing.public_key, id), KW_OK);
	assert_memory_equal(id, loaded.sealing_id, sizeof(id));
	EVP_PKEY *tls = NULL;
	assert_int_equal(keys_tls(&loaded, &tls), KW_OK);
	EVP_PKEY_free(tls);
	keys_fini(&made);
	keys_fini(&loaded);
	static const struct keys zero;
	assert_memory_equal(&loaded, &zero, sizeof(zero));
}

static void test_keys_refuse_another_passphrase(void **state)
{
	struct keys keys;
	struct keys loaded;
	(void)state;
	assert_int_equal(keys_generate(&keys), KW_OK);
	assert_int_equal(keys_save(path, &keys, pass("short")), KW_EFIELD);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(keys_save(path, &keys, pass(secret)), KW_OK);
	assert_int_equal(keys_load(path, pass("correct horse batterz"), &loaded), KW_EAUTH);
	assert_int_equal(keys_load(path, pass(""), &loaded), KW_EAUTH);
	keys_fini(&keys);
}

static void rewrite(long offset, uint8_t flip)
{
	uint8_t byte;
	assert_int_equal(chmod(path, 0600), 0);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= flip;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

static void test_keys_refuse_every_damage(void **state)
{
	struct keys keys;
	struct keys loaded;
	static const long places[] = {8, 24, 30, 36, 100, 179};
	(void)state;
	assert_int_equal(keys_generate(&keys), KW_OK);
	assert_int_equal(keys_save(path, &keys, pass(secret)), KW_OK);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		rewrite(places[i], 1);
		assert_int_equal(keys_load(path, pass(secret), &loaded), KW_EAUTH);
		rewrite(places[i], 1);
	}
	rewrite(0, 1);
	assert_int_equal(keys_load(path, pass(secret), &loaded), KW_EFORMAT);
	rewrite(0, 1);
	rewrite(4, 0x80); /* a cost that would ask for all memory */
	assert_int_equal(keys_load(path, pass(secret), &loaded), KW_EFORMAT);
	rewrite(4, 0x80);
	assert_int_equal(keys_load(path, pass(secret), &loaded), KW_OK);
	keys_fini(&loaded);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(keys_load(path, pass(secret), &loaded), KW_EFORMAT);
	keys_fini(&keys);
}

static void test_keys_refuse_loose_modes_and_links(void **state)
{
	struct keys keys;
	char link_path[128];
	(void)state;
	assert_int_equal(keys_generate(&keys), KW_OK);
	assert_int_equal(keys_save(path, &keys, pass(secret)), KW_OK);
	keys_fini(&keys);
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(keys_load(path, pass(secret), &keys), KW_EDENIED);
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(keys_load(path, pass(secret), &keys), KW_EDENIED);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(keys_load(path, pass(secret), &keys), KW_OK);
	keys_fini(&keys);
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(symlink(path, link_path), 0);
	assert_int_equal(keys_load(link_path, pass(secret), &keys), KW_EDENIED);
	assert_int_equal(unlink(link_path), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(keys_load(path, pass(secret), &keys), KW_ENOTFOUND);
}

static void test_keys_passphrase_from_file_or_environment(void **state)
{
	struct kw_buf out;
	(void)state;
	int fd = open(path, O_CREAT | O_WRONLY, 0400);
	assert_int_equal(write(fd, "from a file\r\n", 13), 13);
	close(fd);
	kw_buf_init(&out, KEYS_PASSPHRASE_SIZE_MAX + 2);
	assert_int_equal(setenv(KEYS_PASSPHRASE_ENV, "from the environment", 1), 0);
	assert_int_equal(keys_passphrase(path, false, &out), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&out), kw_view_str("from a file")));
	kw_buf_clear(&out);
	assert_int_equal(keys_passphrase(NULL, false, &out), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&out), kw_view_str("from the environment")));
	assert_null(getenv(KEYS_PASSPHRASE_ENV)); /* children do not inherit it */
	kw_buf_clear(&out);
	assert_int_equal(setenv(KEYS_PASSPHRASE_ENV, "seven77", 1), 0);
	assert_int_equal(keys_passphrase(NULL, false, &out), KW_EFIELD);
	assert_int_equal(chmod(path, 0444), 0);
	kw_buf_clear(&out);
	assert_int_equal(keys_passphrase(path, false, &out), KW_EDENIED);
	kw_buf_fini(&out);
}

static void test_keys_harden_leaves_no_core(void **state)
{
	struct rlimit limit;
	(void)state;
	assert_int_equal(keys_harden(), KW_OK);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_max, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keys_come_back_with_the_passphrase, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_refuse_another_passphrase, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_refuse_every_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_refuse_loose_modes_and_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_passphrase_from_file_or_environment, setup, teardown),
		cmocka_unit_test(test_keys_harden_leaves_no_core),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
