#include "proto/link/blob_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/link/blob_file_inner.h"
#include "proto/wire/merkle.h"

#define HEAD_SIZE 128u
#define HEAD_USED 72u /* without the checksum */
#define SYNC_CHUNKS 64u

static enum kw_err from_errno(void)
{
	switch (errno) {
	case ENOENT:
		return KW_ENOTFOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return KW_EDENIED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return KW_ENOSPACE;
	case EEXIST:
		return KW_EEXIST;
	default:
		return KW_EIO;
	}
}

/* --- bytes */

static enum kw_err write_at(int fd, const void *data, size_t size, off_t at)
{
	const uint8_t *from = data;
	while (size > 0) {
		ssize_t put = pwrite(fd, from, size, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? from_errno() : KW_EIO;
		from += put;
		size -= (size_t)put;
		at += put;
	}
	return KW_OK;
}

/* KW_ECORRUPT when the file ends before. */
static enum kw_err read_at(int fd, void *data, size_t size, off_t at)
{
	uint8_t *to = data;
	while (size > 0) {
		ssize_t got = pread(fd, to, size, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? KW_EIO : KW_ECORRUPT;
		to += got;
		size -= (size_t)got;
		at += got;
	}
	return KW_OK;
}

static off_t node_at(uint32_t place)
{
	return (off_t)(HEAD_SIZE + (uint64_t)place * KW_DIGEST_SIZE);
}

static off_t chunk_at(uint32_t padded_size, uint32_t index)
{
	return node_at(kw_blob_tree_count(kw_blob_chunks(padded_size))) + (off_t)index * (off_t)KW_BLOB_SEALED_CHUNK_SIZE;
}

static enum kw_err sync_folder(const struct kw_blob_folder *folder)
{
	int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return from_errno();
	enum kw_err err = fsync(fd) == 0 ? KW_OK : KW_EIO;
	(void)close(fd); /* only synced */
	return err;
}

static void head_encode(const struct kw_blob_what *what, uint8_t *out)
{
	memset(out, 0, HEAD_SIZE);
	memcpy(out, "KWB1", 4);
	kw_put_u32(out + 4, what->size);
	memcpy(out + 8, what->digest.bytes, KW_DIGEST_SIZE);
	memcpy(out + 40, what->commit.bytes, KW_DIGEST_SIZE);
	kw_put_u32(out + HEAD_USED, kw_crc32c(0, out, HEAD_USED));
}

static enum kw_err head_read(int fd, struct kw_blob_what *what)
{
	uint8_t head[HEAD_SIZE];
	enum kw_err err = read_at(fd, head, sizeof(head), 0);
	if (err != KW_OK)
		return err;
	if (memcmp(head, "KWB1", 4) != 0 || kw_get_u32(head + HEAD_USED) != kw_crc32c(0, head, HEAD_USED) ||
		memcmp(head + 8, what->digest.bytes, KW_DIGEST_SIZE) != 0 || !kw_blob_size_ok(kw_get_u32(head + 4)))
		return KW_ECORRUPT;
	what->size = kw_get_u32(head + 4);
	memcpy(what->commit.bytes, head + 40, KW_DIGEST_SIZE);
	return KW_OK;
}

/* --- the folder */

enum kw_err kw_blob_folder_make(const struct kw_blob_folder *folder)
{
	if (strlen(folder->path) + 256 > KW_BLOB_FILE_PATH_MAX)
		return KW_ETOOBIG;
	if (mkdir(folder->path, 0700) != 0 && errno != EEXIST)
		return from_errno();
	return KW_OK;
}

static enum kw_err list_one(const struct kw_blob_folder *folder, const char *name, struct kw_blobs_entry *entry)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", folder->path, name); /* both were measured */
	bool cut = entry->state == KW_BLOB_GIVEN || entry->state == KW_BLOB_LOST;
	int fd = open(path, (cut ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return KW_ECORRUPT;
	enum kw_err err = head_read(fd, &entry->what);
	/* Again, because a crash may have come between the rename and this; a failure costs room and no more. */
	if (err == KW_OK && cut)
		(void)!ftruncate(fd, (off_t)HEAD_SIZE);
	(void)close(fd); /* nothing that counts was written */
	return err;
}

static void set_aside(const struct kw_blob_folder *folder, const char *name)
{
	char path[KW_BLOB_FILE_PATH_MAX], bad[KW_BLOB_FILE_PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	int size = snprintf(bad, sizeof(bad), "%s/%s.bad", folder->path, name);
	if (size > 0 && (size_t)size < sizeof(bad))
		(void)rename(path, bad); /* else it is met again at the next start */
}

/* Of a folder from before names were sealed. */
static enum kw_err seal_name(const struct kw_blob_folder *folder, const char *name, const struct kw_blobs_entry *entry)
{
	char path[KW_BLOB_FILE_PATH_MAX], sealed[KW_BLOB_FILE_PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", folder->path, name); /* both were measured */
	enum kw_err err = blob_file_path(folder, entry, sealed);
	return err == KW_OK && rename(path, sealed) != 0 ? from_errno() : err;
}

enum kw_err kw_blob_folder_list(const struct kw_blob_folder *folder, void (*each)(void *user, const struct kw_blobs_entry *entry),
	void *user, uint32_t *damaged)
{
	DIR *dir = opendir(folder->path);
	const struct dirent *file;
	if (dir == NULL)
		return from_errno();
	*damaged = 0;
	while ((file = readdir(dir)) != NULL) {
		struct kw_blobs_entry entry;
		if (strncmp(file->d_name, "new-", 4) == 0) {
			(void)unlinkat(dirfd(dir), file->d_name, 0);
			continue;
		}
		bool clear;
		if (!blob_file_parse(folder, file->d_name, &entry, &clear))
			continue;
		enum kw_err err = list_one(folder, file->d_name, &entry);
		if (err == KW_OK && clear && folder->key != NULL)
			err = seal_name(folder, file->d_name, &entry);
		if (err == KW_OK) {
			each(user, &entry);
		} else {
			set_aside(folder, file->d_name);
			(*damaged)++;
		}
	}
	(void)closedir(dir); /* only read from */
	return KW_OK;
}

/* --- one file */

static enum kw_err open_entry(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, int flags, int *fd)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	enum kw_err err = blob_file_path(folder, entry, path);
	if (err != KW_OK)
		return err;
	*fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? from_errno() : KW_OK;
}

static enum kw_err close_written(int fd, enum kw_err err)
{
	return close(fd) != 0 && err == KW_OK ? KW_EIO : err;
}

/* What is left of the disk serves the store beside us: messages and their acks come first. */
static enum kw_err check_disk(int fd, off_t size)
{
	struct statvfs disk;
	if (fstatvfs(fd, &disk) != 0)
		return KW_EIO;
	uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
	uint64_t kept = (uint64_t)disk.f_blocks * disk.f_frsize / 100 * KW_BLOB_DISK_KEPT_PERCENT;
	return free_bytes < kept + (uint64_t)size ? KW_ENOSPACE : KW_OK;
}

/* Sparse: holes are leaves of zeros. */
static enum kw_err make_file(const char *path, uint32_t padded_size)
{
	uint32_t last = kw_blob_chunks(padded_size) - 1;
	off_t size = chunk_at(padded_size, last) + (off_t)kw_blob_chunk_size(padded_size, last);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return from_errno();
	enum kw_err err = check_disk(fd, size);
	if (err == KW_OK && ftruncate(fd, size) != 0)
		err = from_errno();
	err = close_written(fd, err);
	if (err != KW_OK)
		(void)unlink(path); /* else the next start does it */
	return err;
}

/* Head on, synced, and under its own name. */
static enum kw_err settle(const struct kw_blob_folder *folder, int fd, const char *path, const struct kw_blobs_entry *entry)
{
	char final[KW_BLOB_FILE_PATH_MAX];
	uint8_t head[HEAD_SIZE];
	head_encode(&entry->what, head);
	enum kw_err err = blob_file_path(folder, entry, final);
	if (err == KW_OK)
		err = write_at(fd, head, sizeof(head), 0);
	if (err == KW_OK && fsync(fd) != 0)
		err = KW_EIO;
	if (err == KW_OK && rename(path, final) != 0)
		err = from_errno();
	return err == KW_OK ? sync_folder(folder) : err;
}

enum kw_err kw_blob_file_create(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	struct kw_id id;
	enum kw_err err = kw_random(&id, sizeof(id));
	if (err == KW_OK)
		err = blob_file_new_path(folder, &id, path);
	if (err == KW_OK)
		err = make_file(path, entry->what.size);
	if (err != KW_OK)
		return err;
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 ? from_errno() : close_written(fd, settle(folder, fd, path, entry));
	if (err != KW_OK)
		(void)unlink(path); /* a next start would do it too */
	return err;
}

enum kw_err kw_blob_file_recover(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t *chunks)
{
	uint8_t bytes[KW_BLOB_SEALED_CHUNK_SIZE];
	uint32_t count = kw_blob_chunks(entry->what.size);
	uint32_t at = 0;
	int fd;
	enum kw_err err = open_entry(folder, entry, O_RDONLY, &fd);
	if (err != KW_OK)
		return err;
	for (; at < count; at++) {
		struct kw_digest leaf, now;
		struct kw_view chunk = KW_VIEW(bytes, kw_blob_chunk_size(entry->what.size, at));
		err = read_at(fd, leaf.bytes, sizeof(leaf.bytes), node_at(at));
		if (err == KW_OK)
			err = read_at(fd, bytes, chunk.size, chunk_at(entry->what.size, at));
		if (err == KW_OK)
			err = kw_merkle_leaf(chunk, &now);
		if (err != KW_OK || memcmp(leaf.bytes, now.bytes, sizeof(leaf.bytes)) != 0)
			break;
	}
	(void)close(fd); /* only read from */
	if (err == KW_OK || err == KW_ECORRUPT) {
		*chunks = at;
		return KW_OK;
	}
	return err;
}

/* The bytes first: a leaf without them is told by recover, but cheaper not made. */
static enum kw_err put_chunk(int fd, struct kw_blob_place place, struct kw_view bytes, const struct kw_digest *leaf)
{
	enum kw_err err = write_at(fd, bytes.data, bytes.size, chunk_at(place.padded_size, place.index));
	if (err == KW_OK)
		err = write_at(fd, leaf->bytes, sizeof(leaf->bytes), node_at(place.index));
	if (err == KW_OK && place.index % SYNC_CHUNKS == SYNC_CHUNKS - 1 && fdatasync(fd) != 0)
		err = KW_EIO;
	return err;
}

enum kw_err kw_blob_file_write(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, const struct kw_blob_piece *piece)
{
	struct kw_digest leaf;
	int fd;
	enum kw_err err = kw_blob_check(&entry->what, piece->index, piece->bytes, piece->path, &leaf);
	if (err == KW_OK)
		err = open_entry(folder, entry, O_WRONLY, &fd);
	if (err != KW_OK)
		return err;
	struct kw_blob_place place = {.padded_size = entry->what.size, .index = piece->index};
	return close_written(fd, put_chunk(fd, place, piece->bytes, &leaf));
}

/* Builds the tree over the leaves that stand in the file and writes it there. */
static enum kw_err build_tree(int fd, uint32_t padded_size, struct kw_digest *root)
{
	uint32_t chunks = kw_blob_chunks(padded_size);
	uint32_t count = kw_blob_tree_count(chunks);
	struct kw_digest *nodes = malloc(count * sizeof(*nodes));
	if (nodes == NULL)
		return KW_ENOMEM;
	enum kw_err err = read_at(fd, nodes, chunks * sizeof(*nodes), node_at(0));
	if (err == KW_OK)
		err = kw_blob_tree_build(chunks, nodes);
	if (err == KW_OK)
		err = write_at(fd, nodes + chunks, (count - chunks) * sizeof(*nodes), node_at(chunks));
	if (err == KW_OK)
		*root = nodes[count - 1];
	free(nodes);
	return err;
}

enum kw_err kw_blob_file_finish(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t expiry_hour)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	struct kw_blobs_entry whole = *entry;
	struct kw_digest root, name;
	int fd;
	whole.state = KW_BLOB_WHOLE;
	whole.expiry_hour = expiry_hour;
	enum kw_err err = blob_file_path(folder, entry, path);
	if (err == KW_OK)
		err = open_entry(folder, entry, O_RDWR, &fd);
	if (err != KW_OK)
		return err;
	err = build_tree(fd, entry->what.size, &root);
	if (err == KW_OK)
		err = kw_blob_name(entry->what.size, &entry->what.commit, &root, &name);
	if (err == KW_OK && memcmp(name.bytes, entry->what.digest.bytes, KW_DIGEST_SIZE) != 0)
		err = KW_EAUTH;
	if (err == KW_OK)
		err = settle(folder, fd, path, &whole);
	return close_written(fd, err);
}

enum kw_err kw_blob_file_read(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t index,
	struct kw_blob_chunk_buf *out)
{
	uint32_t places[KW_BLOB_PATH_MAX];
	uint32_t chunks = kw_blob_chunks(entry->what.size);
	struct kw_digest leaf, now;
	int fd;
	if (index >= chunks)
		return KW_ENOTFOUND;
	enum kw_err err = open_entry(folder, entry, O_RDONLY, &fd);
	if (err != KW_OK)
		return err;
	out->size = kw_blob_chunk_size(entry->what.size, index);
	uint32_t count = kw_blob_tree_path(chunks, index, places);
	out->path_size = count * KW_DIGEST_SIZE;
	err = read_at(fd, out->bytes, out->size, chunk_at(entry->what.size, index));
	if (err == KW_OK)
		err = read_at(fd, leaf.bytes, sizeof(leaf.bytes), node_at(index));
	for (uint32_t i = 0; i < count && err == KW_OK; i++)
		err = read_at(fd, out->path + i * KW_DIGEST_SIZE, KW_DIGEST_SIZE, node_at(places[i]));
	if (err == KW_OK)
		err = kw_merkle_leaf(KW_VIEW(out->bytes, out->size), &now);
	if (err == KW_OK && memcmp(leaf.bytes, now.bytes, sizeof(leaf.bytes)) != 0)
		err = KW_ECORRUPT;
	(void)close(fd); /* only read from */
	return err;
}

static enum kw_err cut(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, enum kw_blob_state state)
{
	char path[KW_BLOB_FILE_PATH_MAX], final[KW_BLOB_FILE_PATH_MAX];
	struct kw_blobs_entry given = *entry;
	given.state = state;
	enum kw_err err = blob_file_path(folder, entry, path);
	if (err == KW_OK)
		err = blob_file_path(folder, &given, final);
	if (err == KW_OK && rename(path, final) != 0)
		err = from_errno();
	/* A crash here leaves such a file with all its bytes: the next start cuts them off. */
	if (err == KW_OK && truncate(final, (off_t)HEAD_SIZE) != 0)
		err = from_errno();
	return err == KW_OK ? sync_folder(folder) : err;
}

enum kw_err kw_blob_file_give(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry)
{
	return cut(folder, entry, KW_BLOB_GIVEN);
}

enum kw_err kw_blob_file_lose(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry)
{
	return cut(folder, entry, KW_BLOB_LOST);
}

enum kw_err kw_blob_file_keep(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t expiry_hour)
{
	char path[KW_BLOB_FILE_PATH_MAX], final[KW_BLOB_FILE_PATH_MAX];
	struct kw_blobs_entry kept = *entry;
	kept.expiry_hour = expiry_hour;
	enum kw_err err = blob_file_path(folder, entry, path);
	if (err == KW_OK)
		err = blob_file_path(folder, &kept, final);
	if (err == KW_OK && rename(path, final) != 0)
		err = from_errno();
	return err == KW_OK ? sync_folder(folder) : err;
}

enum kw_err kw_blob_file_remove(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	enum kw_err err = blob_file_path(folder, entry, path);
	if (err == KW_OK && unlink(path) != 0 && errno != ENOENT)
		err = from_errno();
	return err; /* not synced: what comes back after a crash expires again */
}

/* --- making one */

enum kw_err kw_blob_new_create(const struct kw_blob_folder *folder, const struct kw_id *id, uint32_t padded_size)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	enum kw_err err = blob_file_new_path(folder, id, path);
	return err == KW_OK ? make_file(path, padded_size) : err;
}

enum kw_err kw_blob_new_write(const struct kw_blob_folder *folder, const struct kw_id *id, struct kw_blob_place place, struct kw_view sealed)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	struct kw_digest leaf;
	enum kw_err err = blob_file_new_path(folder, id, path);
	if (err == KW_OK)
		err = kw_merkle_leaf(sealed, &leaf);
	if (err != KW_OK)
		return err;
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return from_errno();
	return close_written(fd, put_chunk(fd, place, sealed, &leaf));
}

enum kw_err kw_blob_new_finish(const struct kw_blob_folder *folder, const struct kw_id *id, struct kw_blobs_entry *entry)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	struct kw_digest root;
	enum kw_err err = blob_file_new_path(folder, id, path);
	if (err != KW_OK)
		return err;
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return from_errno();
	entry->state = KW_BLOB_WHOLE;
	err = build_tree(fd, entry->what.size, &root);
	if (err == KW_OK)
		err = kw_blob_name(entry->what.size, &entry->what.commit, &root, &entry->what.digest);
	if (err == KW_OK)
		err = settle(folder, fd, path, entry);
	return close_written(fd, err);
}

void kw_blob_new_drop(const struct kw_blob_folder *folder, const struct kw_id *id)
{
	char path[KW_BLOB_FILE_PATH_MAX];
	if (blob_file_new_path(folder, id, path) == KW_OK)
		(void)unlink(path); /* else the next start does it */
}
