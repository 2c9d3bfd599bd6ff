#ifndef KW_LINK_BLOB_FILE_H
#define KW_LINK_BLOB_FILE_H

#include "proto/wire/blobs.h"

/* One file per blob, in a folder of its own beside the store, and not rows in the store: 16 KiB chunks would push the
 * store's small hot pages out of memory and lengthen its group commits, and a delivered blob gives its room back at once.
 *
 * The file's name is its label, so a change of state is one rename: digest.from.to.expiry.state, "-" for an agency that is
 * not known; state is part, whole, given or lost. With a key the agencies stand there as one sealed word, so that a stolen
 * disk does not show who works with whom: digest.word.expiry.state. The file:
 *
 *   head     128 bytes: "KWB1", u32 padded size, digest, commit, CRC-32C of these, zeros
 *   nodes    the Merkle tree, leaves first (blob.h); a leaf of zeros is a chunk that is not here
 *   chunks   sealed
 *
 * A chunk counts when its leaf stands there and its bytes hash to it: so nothing has to be written in order, and what a
 * crash took is seen when a transfer goes on, at any length of torn write. Data is synced each 1 MiB, and wholly before a
 * file is called whole. All calls block: they are for a worker thread. */

#define KW_BLOB_FILE_PATH_MAX 4096u
/* No blob is begun that would leave less of the disk than this. */
#define KW_BLOB_DISK_KEPT_PERCENT 5u

/* Valid as long as the caller keeps what it points to. */
struct kw_blob_folder {
	const char *path;
	const uint8_t *key; /* KW_BLOB_FOLDER_KEY_SIZE bytes; NULL: agencies in clear */
	struct kw_name own; /* with a key: one side of every blob */
};
#define KW_BLOB_FOLDER_KEY_SIZE 32u

/* Makes the folder (mode 0700) if it is not there. KW_EIO, KW_EDENIED, KW_ENOSPACE, KW_ETOOBIG. */
KW_MUST_USE enum kw_err kw_blob_folder_make(const struct kw_blob_folder *folder);
/* Each blob in the folder; giver and taker are KW_BLOBS_NONE. Files of other names are left alone, but what a crash left
 * half-made is removed, and a file with a damaged head is set aside (its name gets ".bad") and counted in *damaged. With a key, files that
 * show their agencies are renamed. */
KW_MUST_USE enum kw_err kw_blob_folder_list(const struct kw_blob_folder *folder, void (*each)(void *user, const struct kw_blobs_entry *entry),
	void *user, uint32_t *damaged);

/* The file of an entry. KW_ENOSPACE and KW_EIO besides what is named. */
KW_MUST_USE enum kw_err kw_blob_file_create(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry);
/* Chunks from the front that are here for certain. */
KW_MUST_USE enum kw_err kw_blob_file_recover(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t *chunks);
/* One sealed chunk. path: as in kw_blob_check. KW_EAUTH when it does not belong. */
struct kw_blob_piece {
	uint32_t index;
	struct kw_view bytes;
	struct kw_view path;
};
KW_MUST_USE enum kw_err kw_blob_file_write(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry,
	const struct kw_blob_piece *piece);
/* All chunks are here: builds the tree, proves the name, syncs, renames to whole with this expiry. KW_EAUTH. */
KW_MUST_USE enum kw_err kw_blob_file_finish(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t expiry_hour);

/* A chunk of a whole file. KW_ENOTFOUND, KW_ECORRUPT (the bytes do not hash to their leaf). */
struct kw_blob_chunk_buf {
	uint32_t size;
	uint32_t path_size;
	uint8_t bytes[KW_BLOB_SEALED_CHUNK_SIZE];
	uint8_t path[KW_BLOB_PATH_SIZE_MAX];
};
KW_MUST_USE enum kw_err kw_blob_file_read(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry, uint32_t index,
	struct kw_blob_chunk_buf *out);
/* Cuts the bytes off and renames to given. */
KW_MUST_USE enum kw_err kw_blob_file_give(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry);
/* The same, to lost. */
KW_MUST_USE enum kw_err kw_blob_file_lose(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry);
/* Under another expiry hour. */
KW_MUST_USE enum kw_err kw_blob_file_keep(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry,
	uint32_t expiry_hour);
/* KW_OK also when there is none. */
KW_MUST_USE enum kw_err kw_blob_file_remove(const struct kw_blob_folder *folder, const struct kw_blobs_entry *entry);

/* --- making one: the name is not known before the end */

/* A file "new-ID" for a blob of this padded size; id is random. KW_EEXIST. */
KW_MUST_USE enum kw_err kw_blob_new_create(const struct kw_blob_folder *folder, const struct kw_id *id, uint32_t padded_size);
KW_MUST_USE enum kw_err kw_blob_new_write(const struct kw_blob_folder *folder, const struct kw_id *id, struct kw_blob_place place,
	struct kw_view sealed);
/* Builds the tree, gives entry->what.digest its value (size and commit are set), syncs, renames to whole. */
KW_MUST_USE enum kw_err kw_blob_new_finish(const struct kw_blob_folder *folder, const struct kw_id *id, struct kw_blobs_entry *entry);
void kw_blob_new_drop(const struct kw_blob_folder *folder, const struct kw_id *id);

#endif
