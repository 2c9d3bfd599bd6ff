#include "agent/shell/keys_prekey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/link/file.h"
#include "proto/wire/crypt.h"

#define MAGIC "KWP1"
#define MAGIC_SIZE 4u
#define HEAD_SIZE (MAGIC_SIZE + KW_AEAD_NONCE_SIZE)
#define ROW_SIZE (4u + KW_KEY_SIZE)
#define PLAIN_SIZE_MAX (4u + KEYS_PREKEYS_MAX * ROW_SIZE)
#define FILE_SIZE_MAX (HEAD_SIZE + PLAIN_SIZE_MAX + KW_AEAD_TAG_SIZE)
#define OLD ".old"
#define NEW ".new"
#define WIPE_SIZE 4096u

static enum kw_err path_of(const char *folder, const char *ending, char *out)
{
	int size = snprintf(out, PATH_MAX, "%s/" KEYS_PREKEY_FILE "%s", folder, ending);
	return size < 0 || size >= PATH_MAX ? KW_ETOOBIG : KW_OK;
}

static enum kw_err sys_err(void)
{
	return errno == ENOSPC || errno == EDQUOT ? KW_ENOSPACE : KW_EIO;
}

static enum kw_err sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return KW_EIO;
	enum kw_err err = fsync(fd) == 0 ? KW_OK : KW_EIO;
	(void)close(fd); /* only synced */
	return err;
}

static enum kw_err overwrite(int fd)
{
	static const uint8_t zeros[WIPE_SIZE];
	struct stat file;
	if (fstat(fd, &file) != 0)
		return KW_EIO;
	for (off_t at = 0; at < file.st_size;) {
		size_t left = (size_t)(file.st_size - at);
		ssize_t n = pwrite(fd, zeros, left < WIPE_SIZE ? left : WIPE_SIZE, at);
		if (n <= 0)
			return sys_err();
		at += n;
	}
	return fsync(fd) == 0 ? KW_OK : KW_EIO;
}

/* Overwrites, then unlinks. KW_OK also when there is none. */
static enum kw_err wipe(const char *folder, const char *ending)
{
	char path[PATH_MAX];
	enum kw_err err = path_of(folder, ending, path);
	int fd = err == KW_OK ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (err != KW_OK || (fd < 0 && errno == ENOENT))
		return err;
	if (fd < 0)
		return KW_EIO;
	err = overwrite(fd);
	if (close(fd) != 0 && err == KW_OK)
		err = KW_EIO;
	if (err == KW_OK && unlink(path) != 0)
		err = KW_EIO;
	return err != KW_OK ? err : sync_folder(folder);
}

/* A crash between the two names: "old" is still the file itself, and must not be overwritten. */
static enum kw_err drop_same_old(const char *folder)
{
	char path[PATH_MAX];
	char old[PATH_MAX];
	struct stat file;
	struct stat other;
	enum kw_err err = path_of(folder, "", path);
	if (err == KW_OK)
		err = path_of(folder, OLD, old);
	if (err != KW_OK || lstat(old, &other) != 0 || lstat(path, &file) != 0 || file.st_ino != other.st_ino)
		return err;
	return unlink(old) == 0 ? KW_OK : KW_EIO;
}

static enum kw_err finish(const char *folder)
{
	enum kw_err err = drop_same_old(folder);
	if (err == KW_OK)
		err = wipe(folder, OLD);
	return err != KW_OK ? err : wipe(folder, NEW);
}

enum kw_err keys_prekey_drop(const char *folder)
{
	enum kw_err err = finish(folder);
	return err != KW_OK ? err : wipe(folder, "");
}

static enum kw_err derive(const struct keys *keys, uint8_t *key)
{
	const struct kw_view info = kw_view_str("kw1 prekeys file");
	const struct kw_hkdf hkdf = {.key = KW_VIEW_OF(keys->store), .parts = &info, .parts_count = 1};
	return kw_hkdf_expand(&hkdf, key, KW_AEAD_KEY_SIZE_MAX);
}

enum kw_err keys_prekey_make(uint32_t day, struct keys_prekey *out)
{
	out->day = day;
	enum kw_err err = kw_x25519_generate(&out->pair);
	return err != KW_OK ? err : kw_prekey_id(out->pair.public_key, out->id);
}

static enum kw_err read_rows(const uint8_t *plain, size_t size, struct keys_prekeys *out)
{
	uint32_t count = size >= 4 ? kw_get_u32(plain) : UINT32_MAX;
	if (count > KEYS_PREKEYS_MAX || size != 4 + (size_t)count * ROW_SIZE)
		return KW_EFORMAT;
	for (uint32_t i = 0; i < count; i++) {
		struct keys_prekey *prekey = &out->list[i];
		const uint8_t *row = plain + 4 + (size_t)i * ROW_SIZE;
		prekey->day = kw_get_u32(row);
		if (i > 0 && prekey->day <= out->list[i - 1].day)
			return KW_EFORMAT;
		enum kw_err err = kw_x25519_from_secret(row + 4, &prekey->pair);
		if (err == KW_OK)
			err = kw_prekey_id(prekey->pair.public_key, prekey->id);
		if (err != KW_OK)
			return err;
	}
	out->count = count;
	return KW_OK;
}

static enum kw_err unwrap(struct kw_view file, const struct keys *keys, struct keys_prekeys *out)
{
	uint8_t plain[PLAIN_SIZE_MAX];
	uint8_t key[KW_AEAD_KEY_SIZE_MAX];
	size_t size = file.size - HEAD_SIZE - KW_AEAD_TAG_SIZE;
	enum kw_err err = derive(keys, key);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = file.data + MAGIC_SIZE};
		err = kw_aead_open(&aead, KW_VIEW(file.data, HEAD_SIZE), KW_VIEW(file.data + HEAD_SIZE, file.size - HEAD_SIZE), plain);
	}
	kw_wipe(key, sizeof(key));
	if (err == KW_OK)
		err = read_rows(plain, size, out);
	kw_wipe(plain, sizeof(plain));
	return err == KW_EOPEN ? KW_EAUTH : err;
}

enum kw_err keys_prekey_load(const char *folder, const struct keys *keys, struct keys_prekeys *out)
{
	char path[PATH_MAX];
	struct kw_buf file;
	out->count = 0;
	enum kw_err err = finish(folder);
	if (err == KW_OK)
		err = path_of(folder, "", path);
	if (err != KW_OK)
		return err;
	kw_buf_init(&file, FILE_SIZE_MAX + 1);
	err = kw_file_read(path, KW_FILE_SECRET, &file);
	if (err == KW_ENOTFOUND) {
		kw_buf_fini(&file);
		return KW_OK;
	}
	if (err == KW_ETOOBIG || (err == KW_OK && (file.size < HEAD_SIZE + 4 + KW_AEAD_TAG_SIZE || file.size > FILE_SIZE_MAX ||
		memcmp(file.data, MAGIC, MAGIC_SIZE) != 0)))
		err = KW_EFORMAT;
	if (err == KW_OK)
		err = unwrap(kw_buf_view(&file), keys, out);
	kw_buf_fini(&file);
	return err;
}

static enum kw_err write_new(const char *path, struct kw_view bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return sys_err();
	enum kw_err err = KW_OK;
	while (err == KW_OK && bytes.size > 0) {
		ssize_t n = write(fd, bytes.data, bytes.size);
		if (n < 0 && errno != EINTR)
			err = sys_err();
		bytes = n > 0 ? KW_VIEW(bytes.data + n, bytes.size - (size_t)n) : bytes;
	}
	if (err == KW_OK && fsync(fd) != 0)
		err = KW_EIO;
	if (close(fd) != 0 && err == KW_OK)
		err = KW_EIO;
	return err;
}

static enum kw_err replace(const char *folder, struct kw_view bytes)
{
	char path[PATH_MAX];
	char old[PATH_MAX];
	char new[PATH_MAX];
	enum kw_err err = finish(folder);
	if (err == KW_OK)
		err = path_of(folder, "", path);
	if (err == KW_OK)
		err = path_of(folder, OLD, old);
	if (err == KW_OK)
		err = path_of(folder, NEW, new);
	if (err == KW_OK)
		err = write_new(new, bytes);
	if (err == KW_OK && link(path, old) != 0 && errno != ENOENT)
		err = KW_EIO;
	if (err == KW_OK && rename(new, path) != 0)
		err = KW_EIO;
	if (err == KW_OK)
		err = sync_folder(folder);
	return err != KW_OK ? err : finish(folder);
}

enum kw_err keys_prekey_save(const char *folder, const struct keys *keys, const struct keys_prekeys *prekeys)
{
	uint8_t file[FILE_SIZE_MAX] = MAGIC;
	uint8_t plain[PLAIN_SIZE_MAX];
	uint8_t key[KW_AEAD_KEY_SIZE_MAX];
	size_t size = 4 + (size_t)prekeys->count * ROW_SIZE;
	kw_put_u32(plain, prekeys->count);
	for (uint32_t i = 0; i < prekeys->count; i++) {
		uint8_t *row = plain + 4 + (size_t)i * ROW_SIZE;
		kw_put_u32(row, prekeys->list[i].day);
		memcpy(row + 4, prekeys->list[i].pair.secret, KW_KEY_SIZE);
	}
	enum kw_err err = kw_random(file + MAGIC_SIZE, KW_AEAD_NONCE_SIZE);
	if (err == KW_OK)
		err = derive(keys, key);
	if (err == KW_OK) {
		struct kw_aead aead = {.id = KW_AEAD_AES_256_GCM, .key = key, .nonce = file + MAGIC_SIZE};
		err = kw_aead_seal(&aead, KW_VIEW(file, HEAD_SIZE), KW_VIEW(plain, size), file + HEAD_SIZE);
	}
	kw_wipe(plain, sizeof(plain));
	kw_wipe(key, sizeof(key));
	return err != KW_OK ? err : replace(folder, KW_VIEW(file, HEAD_SIZE + size + KW_AEAD_TAG_SIZE));
}
