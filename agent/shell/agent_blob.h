#ifndef AGENT_SHELL_AGENT_BLOB_H
#define AGENT_SHELL_AGENT_BLOB_H

#include "agent/shell/agent_inner.h"
#include "proto/link/blob_node.h"

/* Shared by agent_blob.c (attachments on the link) and agent_desk.c (attachments on the local socket). */

#define AGENT_BLOB_STORE_MIB_DEFAULT 1024u
#define AGENT_BLOBS_MAX 4096u
/* Ours, and those from others: neither takes the other's places. */
#define AGENT_BLOBS_OWN_MAX (AGENT_BLOBS_MAX / 2)
#define AGENT_BLOB_PEER_MIB_DEFAULT 256u
#define AGENT_BLOB_PEER_COUNT_DEFAULT 512u
/* One that no message names stays so long. */
#define AGENT_BLOB_UNNAMED_HOURS 48u
/* An attachment that has come stays so long, unless the spool's own rules say less. */
#define AGENT_BLOB_KEEP_HOURS 2160u

/* Files being sealed at once, for all callers; one that nothing is added to for so long is dropped. */
#define AGENT_UPLOADS_MAX 8u
#define AGENT_UPLOAD_IDLE_MS 120000u
/* Bytes of a file in one request or reply. */
#define AGENT_PART_SIZE_MAX (3u * KW_BLOB_CHUNK_SIZE)

#define AGENT_MEDIA_TYPE_SIZE_MAX 100u
#define AGENT_FILE_NAME_SIZE_MAX 200u

struct agent_upload {
	bool used;
	bool busy; /* a part is on its way to the disk */
	struct kw_id id;
	uint8_t key[KW_BLOB_KEY_SIZE];
	struct kw_blob_keys keys;
	struct kw_blobs_entry entry;
	uint32_t size;
	uint32_t next; /* bytes that are here */
	int kind;
	uint64_t touched_ms; /* monotonic */
	char media_type[AGENT_MEDIA_TYPE_SIZE_MAX + 1];
	char name[AGENT_FILE_NAME_SIZE_MAX + 1];
};

struct agent_blobs {
	struct agent *agent;
	struct kw_blob_node *node; /* NULL once it is closed */
	struct agent_upload uploads[AGENT_UPLOADS_MAX];
};

/* Drops the uploads that nobody goes on with. */
void agent_desk_tick(struct agent_blobs *blobs);
/* Removes one here; replies to the call on KW_OK. */
struct agent_desk_refusal {
	const char *field;
	const char *text;
};
KW_MUST_USE enum kw_err agent_desk_remove(const struct agent_blobs *blobs,
	const Kinward__V1__AttachmentRemoveRequest *request, struct socket_call *call, struct agent_desk_refusal *refusal);
/* agent_desk_list.c: replies to the call on KW_OK. A limit over SPOOL_LIST_MAX is cut to it. KW_ENOMEM. */
KW_MUST_USE enum kw_err agent_desk_list(const struct agent_blobs *blobs, const Kinward__V1__AttachmentListRequest *request,
	struct socket_call *call);

#endif
