#ifndef KW_TEST_KIT_KEYS_RIG_H
#define KW_TEST_KIT_KEYS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shell/keys.h"
#include "tests/kit/folder.h"

/* A key file in a folder of its own, for each test. Failures are assertions. */

#define NOW_MS INT64_C(1780000000000)

static char folder[64];
static char path[96];
static const char secret[] = "correct horse battery";

static inline int keys_rig_setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/kinward-keys-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/keys", folder);
	return 0;
}

static inline int keys_rig_teardown(void **state)
{
	(void)state;
	assert_int_equal(folder_remove(folder), 0);
	return 0;
}

/* Fresh ones, from a file that was just made. */
static inline void begin(struct keys *keys)
{
	struct keys made;
	memset(&made, 0, sizeof(made));
	assert_int_equal(keys_generate(&made), KW_OK);
	assert_int_equal(keys_save(path, &made, kw_view_str(secret)), KW_OK);
	assert_int_equal(keys_save_again(path, &made), KW_ESTATE); /* it has no passphrase yet */
	assert_int_equal(keys_load(path, kw_view_str(secret), keys), KW_OK);
	keys_fini(&made);
}

/* Saved, and loaded as after a restart. */
static inline void again(struct keys *keys)
{
	struct stat file;
	assert_int_equal(keys_save_again(path, keys), KW_OK);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0400);
	keys_fini(keys);
	assert_int_equal(keys_load(path, kw_view_str(secret), keys), KW_OK);
}

#endif
