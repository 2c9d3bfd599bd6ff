#ifndef KW_LINK_BLOB_NODE_H
#define KW_LINK_BLOB_NODE_H

#include "proto/link/blob_file.h"
#include "proto/wire/blobs.h"

/* Drives the exchange (proto/wire/blobs.h) for a hub or an agent: frames to events, effects to frames and to the disk.
 *
 *   frame → event → kw_blobs_step → plan → { frames out, disk work } → … → worker thread → event → …
 *
 * The loop thread never touches the disk after the start: one worker carries out all disk work in order. What can fail: a
 * file (its blob is refused or taken again, nothing else suffers) and memory (hooks->fatal). Loop thread only. */

struct kw_blob_node;
struct uv_loop_s;

struct kw_blob_node_hooks {
	void *user;
	/* Where to append frames for a session; NULL: they are dropped. */
	struct kw_buf *(*out)(void *user, uint32_t session);
	/* Something was appended. */
	void (*ready)(void *user, uint32_t session);
	/* Bytes of this session that the network has not taken yet. */
	size_t (*pending)(void *user, uint32_t session);
	void (*close)(void *user, uint32_t session, enum kw_err err);
	/* An offer came: may it be taken, whose is it, whom is it for, does a message name it? Errors are told to the giver. from
	 * may stay zeroed. */
	enum kw_err (*admit)(void *user, uint32_t session, const struct kw_frame_blob_offer *offer,
		struct kw_blobs_entry *label);
	/* At the start: giver and taker, and named_hour, of a file that was found. False: not ours to carry; it is left alone. */
	bool (*find)(void *user, struct kw_blobs_entry *entry);
	void (*fatal)(void *user, enum kw_err err);
};

struct kw_blob_node_options {
	const char *folder;
	const uint8_t *key; /* as in kw_blob_folder; copied */
	struct kw_name own;
	struct kw_blobs_limits limits;
};

/* Makes the folder and looks through it. Errors of kw_blob_folder_make, KW_ENOMEM. Options and hooks are copied. */
KW_MUST_USE enum kw_err kw_blob_node_open(const struct kw_blob_node_options *options, struct uv_loop_s *loop,
	const struct kw_blob_node_hooks *hooks, struct kw_blob_node **out);
/* Work that is under way is finished first: run the loop once more. Accepts NULL. */
void kw_blob_node_free(struct kw_blob_node *node);

void kw_blob_node_up(struct kw_blob_node *node, uint32_t session);
void kw_blob_node_down(struct kw_blob_node *node, uint32_t session);
/* A frame of kw_frame_is_blob. An error: it does not parse; the session should end. */
KW_MUST_USE enum kw_err kw_blob_node_frame(struct kw_blob_node *node, uint32_t session, const struct kw_frame *frame);
/* The connection is empty. */
void kw_blob_node_drained(struct kw_blob_node *node, uint32_t session);
/* About once a second. */
void kw_blob_node_tick(struct kw_blob_node *node);
/* Room for a blob that is about to be made; taken false gives it back. */
void kw_blob_node_room(struct kw_blob_node *node, uint32_t padded_size, bool taken);
/* A message that names it is stored. */
void kw_blob_node_named(struct kw_blob_node *node, const struct kw_digest *digest);
/* A person wants it gone here. */
void kw_blob_node_drop(struct kw_blob_node *node, const struct kw_digest *digest);
/* A whole file was made in the folder. KW_EFULL: there is no entry for it; the file is the caller's. */
KW_MUST_USE enum kw_err kw_blob_node_add(struct kw_blob_node *node, const struct kw_blobs_entry *entry);

/* For looking. */
const struct kw_blobs *kw_blob_node_blobs(const struct kw_blob_node *node);
const struct kw_blob_folder *kw_blob_node_folder(const struct kw_blob_node *node);
const struct kw_blobs_limits *kw_blob_node_limits(const struct kw_blob_node *node);

#endif
