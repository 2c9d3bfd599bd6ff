#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/commands.h"
#include "agent/shell/attach_ref.h"
#include "proto/wire/blob.h"
#include "proto/wire/crypt.h"

/* kinward attach, attachment, attachments. */

#define PART_SIZE (3u * KW_BLOB_CHUNK_SIZE)

enum { KIND, NAME, MEDIA_TYPE, LIFETIME };
const struct cli_option CLI_ATTACH_OPTIONS[] = {
	[KIND] = {"kind", "CODE", "photo, document, consent_form, case_file, recording or other (default: photo for an image, else other)"},
	[NAME] = {"name", "TEXT", "what a person would call it; default: the file's name"},
	[MEDIA_TYPE] = {"media-type", "TYPE", "such as image/jpeg; default: by the file's ending"},
	[LIFETIME] = {"lifetime", "HOURS", "dropped undelivered after 1 to 1080 hours (default 720)"},
	{NULL, NULL, NULL},
};

enum { OUT, MESSAGE };
const struct cli_option CLI_ATTACHMENT_OPTIONS[] = {
	[OUT] = {"out", "FILE", "where to write it; must not exist"},
	[MESSAGE] = {"message", "ID", "the message that names it; default: looked for in the inbox"},
	{NULL, NULL, NULL},
};

static const char *media_type_of(const char *path)
{
	static const struct { const char *ending, *type; } TYPES[] = {
		{".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".png", "image/png"}, {".webp", "image/webp"},
		{".gif", "image/gif"}, {".heic", "image/heic"}, {".pdf", "application/pdf"}, {".txt", "text/plain"},
		{".csv", "text/csv"}, {".mp3", "audio/mpeg"}, {".ogg", "audio/ogg"}, {".m4a", "audio/mp4"}, {".mp4", "video/mp4"},
		{".doc", "application/msword"},
		{".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot && i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
		if (strcasecmp(dot, TYPES[i].ending) == 0)
			return TYPES[i].type;
	return "application/octet-stream";
}

static int fail_file(struct cli_call *call, const char *path, int code, const char *what)
{
	char text[600];
	(void)snprintf(text, sizeof(text), "cannot %s %.400s: %s", what, path, strerror(code));
	return cli_fail_err(call, code == ENOENT ? KW_ENOTFOUND : code == EEXIST ? KW_EEXIST : KW_EDENIED, text);
}

/* Sends the parts of a file whose upload has begun; each reply makes room for the next. */
static int send_parts(struct cli_call *call, struct kinward *agent, struct kw_view file, Kinward__V1__LocalReply **reply)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__AttachRequest attach = KINWARD__V1__ATTACH_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	int code = CLI_OK;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACH;
	request.attach = &attach;
	while (code == CLI_OK && !(*reply)->attached->ref) {
		if ((*reply)->attached->upload_id.len != KW_ID_SIZE || (*reply)->attached->next_offset >= file.size)
			return cli_fail_err(call, KW_EVERSION, NULL);
		memcpy(id, (*reply)->attached->upload_id.data, KW_ID_SIZE);
		attach.upload_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
		attach.offset = (*reply)->attached->next_offset;
		size_t left = file.size - attach.offset;
		attach.part = (ProtobufCBinaryData){.len = left < PART_SIZE ? left : PART_SIZE,
			.data = (uint8_t *)(uintptr_t)file.data + attach.offset};
		kinward_reply_free(*reply);
		*reply = NULL;
		code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ATTACHED, reply);
	}
	return code;
}

/* Whole, so that what is sealed is what was digested. */
static int read_file(struct cli_call *call, const char *path, struct cli_file *out)
{
	struct stat file;
	size_t size = 0;
	ssize_t got = 1;
	int code = CLI_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_file(call, path, errno, "read");
	if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
		code = cli_fail_err(call, KW_EDENIED, "An attachment is a file.");
	else if (file.st_size < 1 || file.st_size > (off_t)KW_BLOB_SIZE_MAX)
		code = cli_fail_err(call, KW_ETOOBIG, "An attachment has 1 to 67108864 bytes (64 MiB); make it smaller or split it.");
	else if ((out->bytes = malloc((size_t)file.st_size)) == NULL)
		code = cli_fail_err(call, KW_ENOMEM, NULL);
	else
		out->size = (size_t)file.st_size;
	for (; code == CLI_OK && got > 0 && size < out->size; size += got > 0 ? (size_t)got : 0)
		got = read(fd, out->bytes + size, out->size - size);
	if (code == CLI_OK && size < out->size)
		code = cli_fail_err(call, KW_EDENIED, "The file changed or cannot be read any more; attach it again.");
	(void)close(fd); /* only read from */
	const struct kw_view view = KW_VIEW(out->bytes, out->size);
	if (code == CLI_OK && kw_sha256(&view, 1, &out->digest) != KW_OK)
		code = cli_fail_err(call, KW_ECRYPTO, NULL);
	return code;
}

int cli_file_read(struct cli_call *call, const char *path, struct cli_file *out)
{
	*out = (struct cli_file){.bytes = NULL};
	int code = read_file(call, path, out);
	if (code != CLI_OK)
		cli_file_free(out);
	return code;
}

void cli_file_free(struct cli_file *file)
{
	if (file->bytes)
		kw_wipe(file->bytes, file->size);
	free(file->bytes);
	*file = (struct cli_file){.bytes = NULL};
}

int cli_attach(struct cli_call *call, struct kinward *agent, const struct cli_attach *attach,
	Kinward__V1__LocalReply **reply)
{
	Kinward__V1__AttachRequest body = KINWARD__V1__ATTACH_REQUEST__INIT;
	Kinward__V1__AttachmentRef about = KINWARD__V1__ATTACHMENT_REF__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	const char *slash = strrchr(attach->path, '/');
	const char *type = attach->media_type ? attach->media_type : media_type_of(attach->path);
	int kind = strncmp(type, "image/", 6) == 0 ? KINWARD__V1__ATTACHMENT_KIND__ATTACHMENT_KIND_PHOTO
						    : KINWARD__V1__ATTACHMENT_KIND__ATTACHMENT_KIND_OTHER;
	if (attach->kind) {
		int code = cli_code_option(call, &kinward__v1__attachment_kind__descriptor, "--kind", attach->kind, &kind);
		if (code != CLI_OK)
			return code;
	}
	about.size = (uint32_t)attach->file->size;
	about.media_type = (char *)(uintptr_t)type;
	about.name = (char *)(uintptr_t)(attach->name ? attach->name : slash ? slash + 1 : attach->path);
	about.kind = (Kinward__V1__AttachmentKind)kind;
	body.agency = (char *)(uintptr_t)attach->agency;
	body.about = &about;
	body.lifetime_hours = attach->lifetime_hours;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACH;
	request.attach = &body;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ATTACHED, reply);
	if (code == CLI_OK)
		code = send_parts(call, agent, KW_VIEW(attach->file->bytes, attach->file->size), reply);
	Kinward__V1__AttachmentRef *ref = code == CLI_OK ? (*reply)->attached->ref : NULL;
	uint8_t *digest = ref ? malloc(KW_DIGEST_SIZE) : NULL;
	if (digest && ref->file_digest.len == 0) { /* the reply's now, and freed with it */
		memcpy(digest, attach->file->digest.bytes, KW_DIGEST_SIZE);
		ref->file_digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = digest};
		digest = NULL;
	}
	free(digest);
	return code;
}

int cli_run_attach(struct cli_call *call)
{
	struct kinward agent = {.fd = -1};
	Kinward__V1__LocalReply *reply = NULL;
	uint64_t hours = 0;
	if (call->option[LIFETIME] && cli_number_from(call->option[LIFETIME], 1, 1080, &hours) != KW_OK)
		return cli_fail_usage(call, "--lifetime is 1 to 1080 hours");
	struct cli_file file;
	const struct cli_attach attach = {.agency = call->args[0], .file = &file, .path = call->args[1], .media_type = call->option[MEDIA_TYPE],
		.name = call->option[NAME], .kind = call->option[KIND], .lifetime_hours = (uint32_t)hours};
	int code = cli_file_read(call, call->args[1], &file);
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_attach(call, &agent, &attach, &reply);
	if (code == CLI_OK && call->json) {
		code = cli_print_message_json(call, &reply->attached->ref->base);
	} else if (code == CLI_OK) {
		(void)fputs("sealed; name it in a message with the reference below (its key opens it: keep it as you keep the file)\n",
			call->out);
		cli_print_tree(call->out, &reply->attached->ref->base);
	}
	cli_file_free(&file);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

/* --- getting one */

struct wanted {
	uint8_t digest[KW_DIGEST_SIZE];
	bool found;
	Kinward__V1__AttachmentRef ref;
	uint8_t key[KW_BLOB_KEY_SIZE];
};

static bool take_ref(void *user, const Kinward__V1__AttachmentRef *ref)
{
	struct wanted *wanted = user;
	if (ref->digest.len != KW_DIGEST_SIZE || memcmp(ref->digest.data, wanted->digest, KW_DIGEST_SIZE) != 0 ||
		ref->key.len != KW_BLOB_KEY_SIZE)
		return true;
	memcpy(wanted->key, ref->key.data, KW_BLOB_KEY_SIZE);
	kinward__v1__attachment_ref__init(&wanted->ref);
	wanted->ref.digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = wanted->digest};
	wanted->ref.key = (ProtobufCBinaryData){.len = KW_BLOB_KEY_SIZE, .data = wanted->key};
	wanted->ref.size = ref->size;
	wanted->ref.expiry_hour = ref->expiry_hour;
	wanted->found = true;
	return false;
}

static int find_in_message(struct cli_call *call, struct kinward *agent, struct wanted *wanted)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	if (cli_id_from(call->option[MESSAGE], id) != KW_OK)
		return cli_fail_usage(call, "--message is an id of 32 hex digits, as kinward inbox prints them");
	show.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEM, &reply);
	if (code == CLI_OK && reply->item->content)
		(void)attach_ref_each(&reply->item->content->base, take_ref, wanted); /* found says it */
	kinward_reply_free(reply);
	return code;
}

static int find_in_inbox(struct cli_call *call, struct kinward *agent, struct wanted *wanted)
{
	Kinward__V1__ListRequest list = KINWARD__V1__LIST_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	uint64_t next;
	list.limit = 500;
	list.all = true;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_INBOX;
	request.inbox = &list;
	do {
		Kinward__V1__LocalReply *reply = NULL;
		int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEMS, &reply);
		if (code != CLI_OK)
			return code;
		for (size_t i = 0; !wanted->found && i < reply->items->n_items; i++)
			if (reply->items->items[i]->content)
				(void)attach_ref_each(&reply->items->items[i]->content->base, take_ref, wanted); /* as above */
		next = reply->items->next_after > list.after ? reply->items->next_after : 0;
		list.after = next;
		kinward_reply_free(reply);
	} while (!wanted->found && next != 0);
	return CLI_OK;
}

static int write_parts(struct cli_call *call, struct kinward *agent, struct wanted *wanted, int fd)
{
	Kinward__V1__AttachmentGetRequest get = KINWARD__V1__ATTACHMENT_GET_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	bool last = false;
	get.ref = &wanted->ref;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_GET;
	request.attachment_get = &get;
	while (!last) {
		Kinward__V1__LocalReply *reply = NULL;
		int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ATTACHMENT_PART, &reply);
		if (code != CLI_OK)
			return code;
		ProtobufCBinaryData part = reply->attachment_part->part;
		last = reply->attachment_part->last;
		bool bad = part.len == 0 || part.len > wanted->ref.size - get.offset;
		for (size_t done = 0; !bad && done < part.len;) {
			ssize_t put = write(fd, part.data + done, part.len - done);
			bad = put <= 0;
			done += put > 0 ? (size_t)put : 0;
		}
		get.offset += (uint32_t)part.len;
		kinward_reply_free(reply);
		if (bad)
			return cli_fail_err(call, KW_ENOSPACE, "The file cannot be written; is the disk full?");
	}
	if (get.offset != wanted->ref.size || fsync(fd) != 0)
		return cli_fail_err(call, KW_ENOSPACE, "The file cannot be written; is the disk full?");
	return CLI_OK;
}

/* Under another name until it is whole, so that half a photo is never taken for one. */
static int write_file(struct cli_call *call, struct kinward *agent, struct wanted *wanted)
{
	const char *path = call->option[OUT];
	char part[4096];
	int size = snprintf(part, sizeof(part), "%s.part", path);
	if (size < 0 || (size_t)size >= sizeof(part))
		return cli_fail_usage(call, "--out is too long");
	if (access(path, F_OK) == 0)
		return fail_file(call, path, EEXIST, "write");
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_file(call, part, errno, "write");
	int code = write_parts(call, agent, wanted, fd);
	if (close(fd) != 0 && code == CLI_OK)
		code = fail_file(call, part, errno, "write");
	/* link, because rename would replace a file that came meanwhile */
	if (code == CLI_OK && link(part, path) != 0)
		code = fail_file(call, path, errno, "write");
	(void)unlink(part); /* nothing depends on it */
	return code;
}

static int remove_one(struct cli_call *call, struct kinward *agent, uint8_t *digest)
{
	Kinward__V1__AttachmentRemoveRequest remove = KINWARD__V1__ATTACHMENT_REMOVE_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	remove.digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = digest};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_ATTACHMENT_REMOVE;
	request.attachment_remove = &remove;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ACKED, &reply);
	if (code == CLI_OK && !call->json)
		(void)fputs("removed here\n", call->out);
	kinward_reply_free(reply);
	return code;
}

int cli_run_attachment(struct cli_call *call)
{
	struct kinward agent = {.fd = -1};
	struct wanted wanted = {.found = false};
	bool removing = strcmp(call->args[0], "remove") == 0;
	if (!removing && strcmp(call->args[0], "get") != 0)
		return cli_fail_usage(call, "what can be done with an attachment is get and remove");
	if (!removing && !call->option[OUT])
		return cli_fail_usage(call, "say where to write it: --out FILE");
	if (kw_unhex(wanted.digest, KW_DIGEST_SIZE, call->args[1]) != KW_OK) {
		struct kw_buf bytes;
		kw_buf_init(&bytes, KW_DIGEST_SIZE);
		enum kw_err err = json_unbase64(kw_view_str(call->args[1]), &bytes);
		if (err == KW_OK && bytes.size == KW_DIGEST_SIZE)
			memcpy(wanted.digest, bytes.data, KW_DIGEST_SIZE);
		else
			err = KW_EFORMAT;
		kw_buf_fini(&bytes);
		if (err != KW_OK)
			return cli_fail_usage(call, "DIGEST is 64 hex digits, or base64 as --json prints it");
	}
	int code = cli_connect(call, &agent);
	if (code == CLI_OK && removing) {
		code = remove_one(call, &agent, wanted.digest);
		kinward_close(&agent);
		return code;
	}
	if (code == CLI_OK)
		code = call->option[MESSAGE] ? find_in_message(call, &agent, &wanted) : find_in_inbox(call, &agent, &wanted);
	if (code == CLI_OK && !wanted.found)
		code = cli_fail_err(call, KW_ENOTFOUND, "No message here names this attachment; only a message has its key.");
	if (code == CLI_OK)
		code = write_file(call, &agent, &wanted);
	if (code == CLI_OK && !call->json)
		(void)fprintf(call->out, "%" PRIu32 " bytes written\n", wanted.ref.size);
	kinward_close(&agent);
	kw_wipe(&wanted, sizeof(wanted));
	return code;
}
