#include "agent/shell/agent_blob.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/link/log.h"

/* Attachments on the local socket: a file comes in by parts and is sealed as it comes, so its plaintext never touches the
 * disk; what has arrived goes out by parts and is opened as it goes. Sealing, opening and the disk are a worker thread's. */

enum desk_op { DESK_BEGIN, DESK_PART, DESK_DROP, DESK_GET };

struct desk_job {
	uv_work_t work;
	struct agent_blobs *blobs;
	struct socket_call *call; /* NULL: nobody waits */
	struct agent_upload *upload;
	enum desk_op op;
	enum kw_err err;
	/* Of the worker's own, so that it looks at nothing that the loop changes. */
	struct kw_blob_folder folder;
	char *path;
	uint8_t folder_key[KW_BLOB_FOLDER_KEY_SIZE];
	struct kw_id id;
	struct kw_blob_keys keys;
	struct kw_blobs_entry entry;
	uint32_t size;   /* of the file */
	uint32_t offset;
	uint32_t part_size;
	bool last;
	uint8_t part[AGENT_PART_SIZE_MAX];
};

static void job_free(struct desk_job *job)
{
	free(job->path);
	kw_wipe(job, sizeof(*job));
	free(job);
}

/* --- the worker's side */

/* Seals chunk `index` of which `plain` may hold less than all: zeros follow. */
static enum kw_err put_chunk(const struct desk_job *job, uint32_t index, struct kw_view plain)
{
	uint8_t padded[KW_BLOB_CHUNK_SIZE] = {0};
	uint8_t sealed[KW_BLOB_SEALED_CHUNK_SIZE];
	struct kw_blob_place place = {.padded_size = job->entry.what.size, .index = index};
	uint32_t size = kw_blob_chunk_size(place.padded_size, index);

	if (plain.size > 0)
		memcpy(padded, plain.data, plain.size);
	enum kw_err err = kw_blob_seal(&job->keys, place, KW_VIEW(padded, size - KW_AEAD_TAG_SIZE), sealed);
	kw_wipe(padded, sizeof(padded));
	return err == KW_OK ? kw_blob_new_write(&job->folder, &job->id, place, KW_VIEW(sealed, size)) : err;
}

static void do_part(struct desk_job *job)
{
	uint32_t index = job->offset / KW_BLOB_CHUNK_SIZE;
	uint32_t done = 0;

	while (job->err == KW_OK && done < job->part_size) {
		uint32_t size = job->part_size - done < KW_BLOB_CHUNK_SIZE ? job->part_size - done : KW_BLOB_CHUNK_SIZE;

		job->err = put_chunk(job, index++, KW_VIEW(job->part + done, size));
		done += size;
	}
	if (job->offset + done < job->size)
		return;
	while (job->err == KW_OK && index < kw_blob_chunks(job->entry.what.size))
		job->err = put_chunk(job, index++, KW_VIEW(NULL, 0));
	if (job->err == KW_OK)
		job->err = kw_blob_new_finish(&job->folder, &job->id, &job->entry);
	job->last = true;
}

static void do_get(struct desk_job *job)
{
	struct kw_blob_chunk_buf *chunk = calloc(1, sizeof(*chunk));
	uint32_t index = job->offset / KW_BLOB_CHUNK_SIZE;

	job->err = chunk == NULL ? KW_ENOMEM : KW_OK;
	while (job->err == KW_OK && job->part_size < AGENT_PART_SIZE_MAX && job->offset + job->part_size < job->size) {
		struct kw_blob_place place = {.padded_size = job->entry.what.size, .index = index};
		uint32_t left = job->size - job->offset - job->part_size;

		job->err = kw_blob_file_read(&job->folder, &job->entry, index, chunk);
		if (job->err == KW_OK)
			job->err = kw_blob_open(&job->keys, place, KW_VIEW(chunk->bytes, chunk->size), job->part + job->part_size);
		job->part_size += left < KW_BLOB_CHUNK_SIZE ? left : KW_BLOB_CHUNK_SIZE;
		index++;
	}
	job->last = job->offset + job->part_size >= job->size;
	free(chunk);
}

static void on_work(uv_work_t *work)
{
	struct desk_job *job = work->data;

	switch (job->op) {
	case DESK_BEGIN:
		job->err = kw_blob_new_create(&job->folder, &job->id, job->entry.what.size);
		break;
	case DESK_PART:
		do_part(job);
		break;
	case DESK_DROP:
		kw_blob_new_drop(&job->folder, &job->id);
		break;
	case DESK_GET:
		do_get(job);
		break;
	}
}

/* --- the loop's side */

static void on_worked(uv_work_t *work, int status);

/* Takes the call on KW_OK. */
static enum kw_err start(struct agent_blobs *blobs, struct desk_job *job)
{
	job->blobs = blobs;
	job->work.data = job;
	const struct kw_blob_folder *folder = kw_blob_node_folder(blobs->node);
	job->path = strdup(folder->path);
	job->folder = (struct kw_blob_folder){.path = job->path, .own = folder->own};
	if (folder->key != NULL) {
		memcpy(job->folder_key, folder->key, sizeof(job->folder_key));
		job->folder.key = job->folder_key;
	}
	if (job->path == NULL || uv_queue_work(&blobs->agent->loop, &job->work, on_work, on_worked) != 0) {
		job_free(job);
		return KW_ENOMEM;
	}
	return KW_OK;
}

static struct desk_job *job_new(enum desk_op op, struct agent_upload *upload)
{
	struct desk_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->op = op;
	job->upload = upload;
	if (upload != NULL) {
		job->id = upload->id;
		job->keys = upload->keys;
		job->entry = upload->entry;
		job->size = upload->size;
	}
	return job;
}

/* Its room is free again. */
static void upload_end(struct agent_blobs *blobs, struct agent_upload *upload)
{
	kw_blob_node_room(blobs->node, upload->entry.what.size, false);
	kw_wipe(upload, sizeof(*upload));
}

static void drop(struct agent_blobs *blobs, struct agent_upload *upload)
{
	struct desk_job *job = job_new(DESK_DROP, upload);

	upload_end(blobs, upload);
	if (job != NULL)
		job->upload = NULL;
	if (job != NULL && start(blobs, job) != KW_OK)
		kw_log(KW_LOG_WARN, "upload_left"); /* the next start removes the file */
}

static ProtobufCBinaryData bytes_of(const void *data, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)(uintptr_t)data};
}

static void reply_attached(const struct desk_job *job)
{
	struct agent_upload *upload = job->upload;
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__AttachReply body = KINWARD__V1__ATTACH_REPLY__INIT;
	Kinward__V1__AttachmentRef ref = KINWARD__V1__ATTACHMENT_REF__INIT;

	body.upload_id = bytes_of(job->id.bytes, KW_ID_SIZE);
	body.next_offset = upload->next;
	if (job->last) {
		ref.digest = bytes_of(job->entry.what.digest.bytes, KW_DIGEST_SIZE);
		ref.size = upload->size;
		ref.media_type = upload->media_type;
		ref.name = upload->name;
		ref.kind = (Kinward__V1__AttachmentKind)upload->kind;
		ref.key = bytes_of(upload->key, sizeof(upload->key));
		ref.expiry_hour = job->entry.expiry_hour;
		body.ref = &ref;
	}
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ATTACHED;
	reply.attached = &body;
	socket_call_reply(job->call, &reply);
}

static void reply_part(const struct desk_job *job)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__AttachmentPart body = KINWARD__V1__ATTACHMENT_PART__INIT;

	body.part = bytes_of(job->part, job->part_size);
	body.last = job->last;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ATTACHMENT_PART;
	reply.attachment_part = &body;
	socket_call_reply(job->call, &reply);
}

static void uploaded(struct desk_job *job)
{
	struct agent_blobs *blobs = job->blobs;
	struct agent_upload *upload = job->upload;

	upload->busy = false;
	upload->touched_ms = uv_now(&blobs->agent->loop);
	if (job->err != KW_OK) {
		socket_call_refuse(job->call, job->err, NULL, NULL);
		drop(blobs, upload);
		return;
	}
	upload->next += job->part_size;
	reply_attached(job);
	if (!job->last)
		return;
	upload_end(blobs, upload);
	KW_ASSERT(kw_blob_node_add(blobs->node, &job->entry) == KW_OK); /* its room was kept from the begin on */
}

static void on_worked(uv_work_t *work, int status)
{
	struct desk_job *job = work->data;

	(void)status; /* never cancelled */
	if (job->call == NULL) {
		job_free(job);
		return;
	}
	if (job->blobs->node == NULL)
		socket_call_refuse(job->call, KW_ECLOSED, NULL, NULL);
	else if (job->op != DESK_GET)
		uploaded(job);
	else if (job->err != KW_OK)
		socket_call_refuse(job->call, job->err, job->err == KW_EOPEN ? "attachment_get.ref.key" : NULL, NULL);
	else
		reply_part(job);
	job_free(job);
}

static enum kw_err refuse(struct agent_desk_refusal *refusal, enum kw_err err, const char *field, const char *text)
{
	*refusal = (struct agent_desk_refusal){.field = field, .text = text};
	return err;
}

static enum kw_err check_agency(const struct agent *agent, const char *text, struct kw_name *out, struct agent_desk_refusal *refusal)
{
	if (kw_name_from(kw_view_str(text), out) != KW_OK)
		return refuse(refusal, KW_EFIELD, "attach.agency", "Name the agency that it is for: 1 to 63 of a-z, 0-9 and '-'.");
	const struct kw_directory_entry *entry = agent->directory != NULL ? kw_directory_find(agent->directory, out) : NULL;
	if (entry == NULL)
		return refuse(refusal, KW_ENOAGENCY, "attach.agency", NULL);
	return entry->revoked ? refuse(refusal, KW_EDENIED, "attach.agency", "This agency is shut out.") : KW_OK;
}

static enum kw_err check_about(const Kinward__V1__AttachRequest *request, struct agent_desk_refusal *refusal)
{
	const Kinward__V1__AttachmentRef *about = request->about;

	if (about == NULL || about->size < 1 || about->size > KW_BLOB_SIZE_MAX)
		return refuse(refusal, about != NULL && about->size > KW_BLOB_SIZE_MAX ? KW_ETOOBIG : KW_EFIELD, "attach.about.size",
			"An attachment has 1 to 67108864 bytes (64 MiB); make it smaller or split it.");
	if (about->media_type[0] == '\0' || strlen(about->media_type) > AGENT_MEDIA_TYPE_SIZE_MAX)
		return refuse(refusal, KW_EFIELD, "attach.about.media_type", "Say what it is, such as image/jpeg: 1 to 100 bytes.");
	if (strlen(about->name) > AGENT_FILE_NAME_SIZE_MAX)
		return refuse(refusal, KW_EFIELD, "attach.about.name", "A name has at most 200 bytes.");
	if (request->lifetime_hours > AGENT_LIFETIME_HOURS_MAX)
		return refuse(refusal, KW_EFIELD, "attach.lifetime_hours", "An attachment waits 1 to 1080 hours; 0 means 720.");
	return KW_OK;
}

static enum kw_err check_room(const struct agent_blobs *blobs, uint32_t padded_size, struct agent_desk_refusal *refusal)
{
	struct kw_blobs_counts counts;
	const struct kw_blobs_limits *limits = kw_blob_node_limits(blobs->node);
	uint64_t coming = kw_blob_sealed_size(padded_size);
	uint32_t count = 0;

	kw_blobs_counts_get(kw_blob_node_blobs(blobs->node), &counts);
	for (uint32_t i = 0; i < AGENT_UPLOADS_MAX; i++)
		count += blobs->uploads[i].used;
	if (count == AGENT_UPLOADS_MAX)
		return refuse(refusal, KW_EBUSY, NULL, NULL);
	if (counts.own >= AGENT_BLOBS_OWN_MAX)
		return refuse(refusal, KW_EFULL, "attach",
			"2048 attachments of ours are here; remove those that expired (kinward attachment remove), or wait for deliveries.");
	if (counts.bytes + coming > limits->bytes_max || counts.entries >= limits->entries_max)
		return refuse(refusal, KW_EFULL, "attach.about.size",
			"The room for attachments (blob_store_mib) is full; older ones leave it when they are delivered or expire.");
	return KW_OK;
}

static enum kw_err begin(struct agent_blobs *blobs, const Kinward__V1__AttachRequest *request, struct socket_call *call,
	struct agent_desk_refusal *refusal)
{
	struct agent_upload upload = {.used = true, .busy = true};
	uint32_t hour = (uint32_t)(agent_now_ms() / AGENT_HOUR_MS);
	uint32_t at = 0;
	enum kw_err err = check_agency(blobs->agent, request->agency, &upload.entry.to, refusal);

	if (err == KW_OK)
		err = check_about(request, refusal);
	if (err == KW_OK)
		err = check_room(blobs, kw_blob_padded_size(request->about->size), refusal);
	if (err == KW_OK)
		err = kw_random(upload.key, sizeof(upload.key));
	if (err == KW_OK)
		err = kw_random(&upload.id, sizeof(upload.id));
	if (err == KW_OK)
		err = kw_blob_keys(upload.key, &upload.keys);
	if (err != KW_OK)
		return err;
	upload.size = request->about->size;
	upload.kind = (int)request->about->kind;
	upload.touched_ms = uv_now(&blobs->agent->loop);
	memcpy(upload.media_type, request->about->media_type, strlen(request->about->media_type));
	memcpy(upload.name, request->about->name, strlen(request->about->name));
	upload.entry.from = blobs->agent->office.agency;
	upload.entry.what.size = kw_blob_padded_size(upload.size);
	upload.entry.what.commit = upload.keys.commit;
	upload.entry.expiry_hour = hour + (request->lifetime_hours != 0 ? request->lifetime_hours : AGENT_LIFETIME_HOURS) + 1;
	upload.entry.giver = KW_BLOBS_NONE;
	while (blobs->uploads[at].used)
		at++;
	blobs->uploads[at] = upload;
	kw_blob_node_room(blobs->node, upload.entry.what.size, true);
	struct desk_job *job = job_new(DESK_BEGIN, &blobs->uploads[at]);
	if (job != NULL)
		job->call = call;
	err = job != NULL ? start(blobs, job) : KW_ENOMEM;
	if (err != KW_OK)
		upload_end(blobs, &blobs->uploads[at]);
	kw_wipe(&upload, sizeof(upload));
	return err;
}

static struct agent_upload *find_upload(struct agent_blobs *blobs, const ProtobufCBinaryData *id)
{
	for (uint32_t i = 0; i < AGENT_UPLOADS_MAX && id->len == KW_ID_SIZE; i++) {
		if (blobs->uploads[i].used && memcmp(blobs->uploads[i].id.bytes, id->data, KW_ID_SIZE) == 0)
			return &blobs->uploads[i];
	}
	return NULL;
}

static enum kw_err add_part(struct agent_blobs *blobs, const Kinward__V1__AttachRequest *request, struct socket_call *call,
	struct agent_desk_refusal *refusal)
{
	struct agent_upload *upload = find_upload(blobs, &request->upload_id);
	size_t size = request->part.len;

	if (upload == NULL)
		return refuse(refusal, KW_ENOTFOUND, "attach.upload_id", "No such upload; begin again.");
	if (upload->busy)
		return refuse(refusal, KW_EBUSY, "attach.upload_id", "A part is under way; wait for its reply.");
	if (request->offset != upload->next)
		return refuse(refusal, KW_EFIELD, "attach.offset", "Go on where the last reply says.");
	if (size == 0 || size > AGENT_PART_SIZE_MAX || size > upload->size - upload->next ||
		(size % KW_BLOB_CHUNK_SIZE != 0 && size != upload->size - upload->next))
		return refuse(refusal, KW_EFIELD, "attach.part",
			"A part has 16384, 32768 or 49152 bytes, and the last one what is left of the size.");
	struct desk_job *job = job_new(DESK_PART, upload);
	if (job == NULL)
		return KW_ENOMEM;
	job->call = call;
	job->offset = upload->next;
	job->part_size = (uint32_t)size;
	memcpy(job->part, request->part.data, size);
	upload->busy = true;
	enum kw_err err = start(blobs, job);
	if (err != KW_OK)
		upload->busy = false;
	return err;
}

void agent_desk_tick(struct agent_blobs *blobs)
{
	for (uint32_t i = 0; i < AGENT_UPLOADS_MAX; i++) {
		struct agent_upload *upload = &blobs->uploads[i];

		if (upload->used && !upload->busy && uv_now(&blobs->agent->loop) - upload->touched_ms > AGENT_UPLOAD_IDLE_MS)
			drop(blobs, upload);
	}
}

/* The one with this digest that is ours to read: it came for us, or we made it and still have it. */
static enum kw_err find_readable(const struct agent_blobs *blobs, const Kinward__V1__AttachmentRef *ref,
	struct kw_blobs_entry *out, struct agent_desk_refusal *refusal)
{
	struct kw_blobs_view view;
	enum kw_err err = KW_ENOTFOUND;

	for (uint32_t i = 0; i < AGENT_BLOBS_MAX; i++) {
		if (!kw_blobs_look(kw_blob_node_blobs(blobs->node), i, &view) ||
			memcmp(view.entry.what.digest.bytes, ref->digest.data, KW_DIGEST_SIZE) != 0)
			continue;
		*out = view.entry;
		if (view.entry.state == KW_BLOB_WHOLE)
			return KW_OK;
		err = view.entry.state == KW_BLOB_PART ? KW_EBUSY : err;
	}
	/* The message says until when it would be carried. */
	if (ref->expiry_hour != 0 && (int64_t)ref->expiry_hour <= agent_now_ms() / AGENT_HOUR_MS)
		return refuse(refusal, KW_EEXPIRED, "attachment_get.ref.digest", "It expired; ask the sender to send it again.");
	return refuse(refusal, err, "attachment_get.ref.digest", err == KW_EBUSY ?
		"It has not arrived yet; kinward attachments shows how far it is." :
		"It is not here: not arrived yet, removed, or delivered and given away.");
}

static enum kw_err get(struct agent_blobs *blobs, const Kinward__V1__AttachmentGetRequest *request,
	struct socket_call *call, struct agent_desk_refusal *refusal)
{
	const Kinward__V1__AttachmentRef *ref = request->ref;
	struct kw_blobs_entry entry;

	if (ref == NULL || ref->digest.len != KW_DIGEST_SIZE || ref->key.len != KW_BLOB_KEY_SIZE)
		return refuse(refusal, KW_EFIELD, "attachment_get.ref", "Give the reference as the message has it.");
	if (ref->size < 1 || ref->size > KW_BLOB_SIZE_MAX || request->offset >= ref->size ||
		request->offset % KW_BLOB_CHUNK_SIZE != 0)
		return refuse(refusal, KW_EFIELD, "attachment_get.offset", "An offset is a multiple of 16384 below the size.");
	enum kw_err err = find_readable(blobs, ref, &entry, refusal);
	if (err != KW_OK)
		return err;
	struct desk_job *job = job_new(DESK_GET, NULL);
	if (job == NULL)
		return KW_ENOMEM;
	err = kw_blob_keys(ref->key.data, &job->keys);
	/* The name binds size and key: another of either would be another blob. */
	if (err == KW_OK && (kw_blob_padded_size(ref->size) != entry.what.size ||
		memcmp(job->keys.commit.bytes, entry.what.commit.bytes, KW_DIGEST_SIZE) != 0))
		err = refuse(refusal, KW_EOPEN, "attachment_get.ref", "Key or size are not those of this attachment.");
	if (err != KW_OK) {
		job_free(job);
		return err;
	}
	job->call = call;
	job->entry = entry;
	job->size = ref->size;
	job->offset = request->offset;
	return start(blobs, job);
}

void agent_attachment(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	const struct agent *agent = user;
	struct agent_desk_refusal refusal = {0};
	enum kw_err err;

	if (agent->stopping || agent->blobs == NULL || agent->blobs->node == NULL)
		err = KW_ECLOSED;
	else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENTS)
		err = agent_desk_list(agent->blobs, request->attachments, call);
	else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_GET)
		err = get(agent->blobs, request->attachment_get, call, &refusal);
	else if (request->body_case == KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_REMOVE)
		err = agent_desk_remove(agent->blobs, request->attachment_remove, call, &refusal);
	else if (request->attach->upload_id.len == 0)
		err = begin(agent->blobs, request->attach, call, &refusal);
	else
		err = add_part(agent->blobs, request->attach, call, &refusal);
	if (err != KW_OK)
		socket_call_refuse(call, err, refusal.field, refusal.text);
}
