/* proto/link/blob_file.c, on a real folder. */

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/link/blob_file.h"
#include "proto/wire/merkle.h"
#include "tests/kit/folder.h"

#define assert_ok(e) assert_int_equal(e, KW_OK)
#define CHUNKS 70u /* one sync and some more; the last chunk is short */
#define SIZE ((CHUNKS - 1) * KW_BLOB_CHUNK_SIZE + 4096u)

static char folder[64];
static struct kw_blob_folder there = {.path = folder};
static struct kw_id made_id = {{7}};

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	assert_ok(kw_name_from(kw_view_str(text), &name));
	return name;
}

/* A whole blob in the folder, made as an agent makes one. */
static struct kw_blobs_entry make(void)
{
	static const uint8_t KEY[KW_BLOB_KEY_SIZE] = {9};
	struct kw_blobs_entry entry = {.from = name_of("agency-a"), .to = name_of("agency-b"), .expiry_hour = 480000,
		.giver = KW_BLOBS_NONE, .taker = KW_BLOBS_NONE};
	struct kw_blob_keys keys;
	entry.what.size = kw_blob_padded_size(SIZE);
	assert_ok(kw_blob_keys(KEY, &keys));
	entry.what.commit = keys.commit;
	assert_ok(kw_blob_new_create(&there, &made_id, entry.what.size));
	for (uint32_t i = 0; i < kw_blob_chunks(entry.what.size); i++) {
		struct kw_blob_place place = {entry.what.size, i};
		uint8_t plain[KW_BLOB_CHUNK_SIZE], sealed[KW_BLOB_SEALED_CHUNK_SIZE];
		uint32_t size = kw_blob_chunk_size(entry.what.size, i);
		memset(plain, (int)i, sizeof(plain));
		assert_ok(kw_blob_seal(&keys, place, KW_VIEW(plain, size - KW_AEAD_TAG_SIZE), sealed));
		assert_ok(kw_blob_new_write(&there, &made_id, place, KW_VIEW(sealed, size)));
	}
	assert_ok(kw_blob_new_finish(&there, &made_id, &entry));
	return entry;
}

/* The same blob as a hub takes it. */
static struct kw_blobs_entry take(const struct kw_blobs_entry *made)
{
	struct kw_blobs_entry entry = *made;
	entry.state = KW_BLOB_PART;
	entry.to = name_of("agency-c");
	assert_ok(kw_blob_file_create(&there, &entry));
	return entry;
}

static struct kw_blob_piece piece_of(const struct kw_blobs_entry *made, uint32_t index, struct kw_blob_chunk_buf *buf)
{
	assert_ok(kw_blob_file_read(&there, made, index, buf));
	return (struct kw_blob_piece){index, KW_VIEW(buf->bytes, buf->size), KW_VIEW(buf->path, buf->path_size)};
}

static void copy(const struct kw_blobs_entry *made, const struct kw_blobs_entry *taken, uint32_t from, uint32_t to)
{
	struct kw_blob_chunk_buf buf;
	for (uint32_t i = from; i < to; i++) {
		struct kw_blob_piece piece = piece_of(made, i, &buf);
		assert_ok(kw_blob_file_write(&there, taken, &piece));
	}
}

static void path_of(const struct kw_blobs_entry *entry, const char *suffix, char *out, size_t size)
{
	char hex[65];
	kw_hex(hex, KW_VIEW_OF(entry->what.digest.bytes));
	(void)snprintf(out, size, "%s/%s.%s.%s.%u.%s", folder, hex, entry->from.text, entry->to.text, entry->expiry_hour, suffix);
}

/* Changes one byte `from_end` before the end of the file. */
static void flip(const struct kw_blobs_entry *entry, const char *suffix, off_t from_end)
{
	char path[400];
	uint8_t byte;
	struct stat info;
	path_of(entry, suffix, path, sizeof(path));
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &info), 0);
	off_t at = from_end >= 0 ? info.st_size - from_end : -from_end;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

struct listed {
	uint32_t count;
	struct kw_blobs_entry entries[8];
};

static void each(void *user, const struct kw_blobs_entry *entry)
{
	struct listed *listed = user;
	listed->entries[listed->count++] = *entry;
}

static void test_a_blob_passes_from_file_to_file(void **state)
{
	(void)state;
	struct kw_blobs_entry made = make();
	uint32_t chunks = kw_blob_chunks(made.what.size);
	struct kw_blobs_entry taken = take(&made);
	struct listed listed = {0};
	uint32_t damaged, have;
	copy(&made, &taken, 0, chunks);
	assert_ok(kw_blob_file_recover(&there, &taken, &have));
	assert_int_equal(have, chunks);
	assert_ok(kw_blob_file_finish(&there, &taken, 480100));
	assert_ok(kw_blob_folder_list(&there, each, &listed, &damaged));
	assert_int_equal(listed.count, 2);
	assert_int_equal(damaged, 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(listed.entries[i].state, KW_BLOB_WHOLE);
		assert_memory_equal(&listed.entries[i].what, &made.what, sizeof(made.what));
		assert_string_equal(listed.entries[i].from.text, "agency-a");
	}
	/* And what the second gives is what the first gave. */
	taken.state = KW_BLOB_WHOLE;
	taken.expiry_hour = 480100;
	for (uint32_t i = 0; i < chunks; i++) {
		struct kw_blob_chunk_buf a, b;
		(void)piece_of(&made, i, &a);
		(void)piece_of(&taken, i, &b);
		assert_int_equal(a.size, b.size);
		assert_memory_equal(a.bytes, b.bytes, a.size);
		assert_memory_equal(a.path, b.path, a.path_size);
	}
	/* Given: the name stays, the room comes back. */
	char path[400];
	struct stat info;
	assert_ok(kw_blob_file_give(&there, &taken));
	path_of(&taken, "given", path, sizeof(path));
	assert_int_equal(stat(path, &info), 0);
	assert_true(info.st_size <= 128);
	assert_int_equal(kw_blob_file_give(&there, &taken), KW_ENOTFOUND);
	taken.state = KW_BLOB_GIVEN;
	assert_ok(kw_blob_file_remove(&there, &taken));
	assert_ok(kw_blob_file_remove(&there, &taken));
	assert_int_equal(stat(path, &info), -1);
}

static void test_a_chunk_that_does_not_belong_is_not_stored(void **state)
{
	(void)state;
	struct kw_blobs_entry made = make();
	struct kw_blobs_entry taken = take(&made);
	struct kw_blob_chunk_buf buf;
	uint32_t have;
	struct kw_blob_piece piece = piece_of(&made, 3, &buf);
	piece.index = 4; /* reordered */
	assert_int_equal(kw_blob_file_write(&there, &taken, &piece), KW_EAUTH);
	piece.index = 3;
	piece.bytes.size--; /* cut */
	assert_int_equal(kw_blob_file_write(&there, &taken, &piece), KW_EAUTH);
	piece.bytes.size++;
	buf.bytes[100] ^= 1; /* flipped */
	assert_int_equal(kw_blob_file_write(&there, &taken, &piece), KW_EAUTH);
	buf.bytes[100] ^= 1;
	piece.index = kw_blob_chunks(made.what.size); /* extended */
	assert_int_equal(kw_blob_file_write(&there, &taken, &piece), KW_EAUTH);
	assert_ok(kw_blob_file_recover(&there, &taken, &have));
	assert_int_equal(have, 0);
	piece.index = 3;
	assert_ok(kw_blob_file_write(&there, &taken, &piece));
	/* Without all chunks it is no blob, whatever is called. */
	assert_int_equal(kw_blob_file_finish(&there, &taken, 480100), KW_EAUTH);
}

static void test_recover_counts_what_is_whole_and_no_more(void **state)
{
	(void)state;
	struct kw_blobs_entry made = make();
	struct kw_blobs_entry taken = take(&made);
	struct listed listed = {0};
	uint32_t damaged, have, chunks = kw_blob_chunks(made.what.size);
	copy(&made, &taken, 0, 20);
	copy(&made, &taken, 21, 30); /* a hole, as a power loss may leave one */
	assert_ok(kw_blob_file_recover(&there, &taken, &have));
	assert_int_equal(have, 20);
	copy(&made, &taken, 20, 21);
	assert_ok(kw_blob_file_recover(&there, &taken, &have));
	assert_int_equal(have, 30);
	/* A byte of chunk 10 that the disk lost. */
	off_t chunk_10 = (off_t)(128 + 32 * kw_blob_tree_count(chunks) + 10 * KW_BLOB_SEALED_CHUNK_SIZE + 5);
	flip(&taken, "part", -chunk_10);
	assert_ok(kw_blob_file_recover(&there, &taken, &have));
	assert_int_equal(have, 10);
	copy(&made, &taken, 10, chunks);
	assert_ok(kw_blob_file_finish(&there, &taken, 480100));
	/* Bit rot in a whole file is seen when it is read. */
	struct kw_blob_chunk_buf buf;
	taken.state = KW_BLOB_WHOLE;
	taken.expiry_hour = 480100;
	flip(&taken, "whole", 1);
	assert_int_equal(kw_blob_file_read(&there, &taken, chunks - 1, &buf), KW_ECORRUPT);
	assert_ok(kw_blob_file_read(&there, &taken, chunks - 2, &buf));
	assert_int_equal(kw_blob_file_read(&there, &taken, chunks, &buf), KW_ENOTFOUND);
	/* And a head that is damaged sets the file aside, at the start. */
	flip(&taken, "whole", -20);
	assert_ok(kw_blob_folder_list(&there, each, &listed, &damaged));
	assert_int_equal(damaged, 1);
	assert_int_equal(listed.count, 1);
	listed.count = 0;
	assert_ok(kw_blob_folder_list(&there, each, &listed, &damaged));
	assert_int_equal(damaged, 0);
}

static void touch(const char *name)
{
	char path[400];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static uint32_t files(void)
{
	uint32_t count = 0;
	DIR *dir = opendir(folder);
	for (const struct dirent *file; (file = readdir(dir)) != NULL;)
		count += file->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void test_the_folder_is_read_with_care(void **state)
{
	(void)state;
	struct listed listed = {0};
	uint32_t damaged;
	struct kw_blobs_entry made = make();
	char hex[65], name[300];
	kw_hex(hex, KW_VIEW_OF(made.what.digest.bytes));
	touch("new-00000000000000000000000000000001"); /* half-made by a crash */
	touch("README");
	(void)snprintf(name, sizeof(name), "%s.a.b.1x.whole", hex);
	touch(name);
	(void)snprintf(name, sizeof(name), "%s.a.b.1.holy", hex);
	touch(name);
	(void)snprintf(name, sizeof(name), "%s.a.B!.1.whole", hex);
	touch(name);
	(void)snprintf(name, sizeof(name), "%s.a.b.1.whole.bad", hex);
	touch(name);
	assert_int_equal(files(), 7);
	assert_ok(kw_blob_folder_list(&there, each, &listed, &damaged));
	assert_int_equal(listed.count, 1);
	assert_int_equal(damaged, 0);
	assert_int_equal(files(), 6);
	assert_int_equal(kw_blob_new_create(&there, &made_id, 512), KW_OK);
	assert_int_equal(kw_blob_new_create(&there, &made_id, 512), KW_EEXIST);
	kw_blob_new_drop(&there, &made_id);
	assert_int_equal(files(), 6);
}

static void test_a_crash_between_rename_and_cut_costs_no_room(void **state)
{
	(void)state;
	struct kw_blobs_entry made = make();
	struct listed listed = {0};
	char whole[400], given[400];
	uint32_t damaged;
	struct stat info;
	path_of(&made, "whole", whole, sizeof(whole));
	path_of(&made, "given", given, sizeof(given));
	assert_int_equal(rename(whole, given), 0);
	assert_ok(kw_blob_folder_list(&there, each, &listed, &damaged));
	assert_int_equal(listed.count, 1);
	assert_int_equal(listed.entries[0].state, KW_BLOB_GIVEN);
	assert_int_equal(stat(given, &info), 0);
	assert_true(info.st_size <= 128);
}

/* Does a file name hold this text? */
static bool shown(const char *text)
{
	DIR *dir = opendir(folder);
	const struct dirent *file;
	bool found = false;
	assert_non_null(dir);
	while ((file = readdir(dir)) != NULL)
		found = found || strstr(file->d_name, text) != NULL;
	(void)closedir(dir);
	return found;
}

static void list_all(struct listed *listed)
{
	uint32_t damaged;
	memset(listed, 0, sizeof(*listed));
	assert_ok(kw_blob_folder_list(&there, each, listed, &damaged));
	assert_int_equal(damaged, 0);
}

static void test_with_a_key_no_name_shows_an_agency(void **state)
{
	static const uint8_t KEY[KW_BLOB_FOLDER_KEY_SIZE] = {9, 8, 7}, OTHER[KW_BLOB_FOLDER_KEY_SIZE] = {1};
	(void)state;
	struct listed listed;
	/* Of a folder from before: in clear, and sealed at the next start. */
	struct kw_blobs_entry made = make();
	assert_true(shown(made.to.text));
	there.key = KEY;
	there.own = made.from;
	list_all(&listed);
	assert_int_equal(listed.count, 1);
	assert_false(shown(made.to.text) || shown(made.from.text));
	/* One for us from an agency with the longest name, and one from nobody known. */
	struct kw_blobs_entry longest = made, nobody = made;
	longest.state = nobody.state = KW_BLOB_PART;
	longest.to = nobody.to = there.own;
	longest.what.digest.bytes[0] ^= 1;
	nobody.what.digest.bytes[0] ^= 2;
	nobody.from = (struct kw_name){.text = ""};
	memset(longest.from.text, 'z', KW_NAME_SIZE_MAX);
	longest.expiry_hour = UINT32_MAX;
	assert_ok(kw_blob_file_create(&there, &longest));
	assert_ok(kw_blob_file_create(&there, &nobody));
	assert_false(shown("zz") || shown(made.from.text) || shown("-"));
	list_all(&listed);
	assert_int_equal(listed.count, 3);
	/* Each is what it was, and its file is found. */
	uint32_t chunks;
	struct kw_blob_chunk_buf buf;
	assert_ok(kw_blob_file_recover(&there, &longest, &chunks));
	assert_ok(kw_blob_file_read(&there, &made, 0, &buf));
	/* Another key opens no name: the files are left alone. */
	there.key = OTHER;
	list_all(&listed);
	assert_int_equal(listed.count, 0);
	there.key = KEY;
	list_all(&listed);
	assert_int_equal(listed.count, 3);
}

static void test_what_is_lost_or_kept_is_so_after_a_start(void **state)
{
	(void)state;
	struct listed listed;
	struct kw_blobs_entry made = make();
	assert_ok(kw_blob_file_keep(&there, &made, made.expiry_hour + 77));
	list_all(&listed);
	assert_int_equal(listed.entries[0].expiry_hour, made.expiry_hour + 77);
	made.expiry_hour += 77;
	assert_ok(kw_blob_file_lose(&there, &made));
	list_all(&listed);
	assert_int_equal(listed.count, 1);
	assert_int_equal(listed.entries[0].state, KW_BLOB_LOST);
	struct kw_blob_chunk_buf buf;
	assert_int_equal(kw_blob_file_read(&there, &listed.entries[0], 0, &buf), KW_ECORRUPT); /* only the name is left */
	/* Late news: it was delivered all the same. */
	assert_ok(kw_blob_file_give(&there, &listed.entries[0]));
	list_all(&listed);
	assert_int_equal(listed.entries[0].state, KW_BLOB_GIVEN);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/kw-blobs-XXXXXX");
	there = (struct kw_blob_folder){.path = folder};
	return mkdtemp(folder) != NULL && kw_blob_folder_make(&there) == KW_OK ? 0 : 1;
}

static int teardown(void **state)
{
	(void)state;
	return folder_remove(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_blob_passes_from_file_to_file),
		TEST(test_a_chunk_that_does_not_belong_is_not_stored),
		TEST(test_recover_counts_what_is_whole_and_no_more),
		TEST(test_the_folder_is_read_with_care),
		TEST(test_with_a_key_no_name_shows_an_agency),
		TEST(test_what_is_lost_or_kept_is_so_after_a_start),
		TEST(test_a_crash_between_rename_and_cut_costs_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
