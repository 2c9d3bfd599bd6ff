#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cli/commands.h"
#include "kinward/v1/proof.pb-c.h"
#include "proto/link/file.h"
#include "proto/wire/evidence.h"
#include "proto/wire/pbscan.h"

/* kinward proof show, verify: evidence about a message that an agency sent. verify needs the file and the root fingerprint, and
 * no agent, no network and no clock. */

enum { OUT, LOG_PROOF };
enum { ROOT };

const char CLI_PROOF_DETAILS[] =
	"show puts together what proves that we sent a message and what the recipient has signed about it, and writes it to a file\n"
	"of its own; verify checks such a file without an agent or a network. Both say in plain words what is proved and what is\n"
	"not. The file has nothing of the case, but it names who wrote to whom.\n\n"
	"  kinward proof show 5f2c...09\n"
	"  kinward proof show 5f2c...09 --out evidence.bin\n"
	"  kinward proof verify evidence.bin --root 9a41...c7\n\n"
	"Exit code 0: all in the file holds. 1: it does not, and nothing is proved by it. 4: no such message or file.\n";

const struct cli_option CLI_PROOF_SHOW_OPTIONS[] = {
	[OUT] = {"out", "FILE", "write the evidence here; it must not be there yet"},
	[LOG_PROOF] = {"log-proof", "FILE", "the hub's word that it logged the message, from this file of kinward audit prove --out instead of asking the hub"},
	{NULL, NULL, NULL},
};
const struct cli_option CLI_PROOF_VERIFY_OPTIONS[] = {
	[ROOT] = {"root", "FINGERPRINT", "the network's root fingerprint, 64 hex digits; required"},
	{NULL, NULL, NULL},
};

static const char *const LEVELS[KW_RECEIPT_LEVEL_COUNT] = {
	[KW_RECEIPT_STORED] = "its agent had it on disk",
	[KW_RECEIPT_OPENED] = "its agent opened it, and found the sender's signature good",
	[KW_RECEIPT_FAILED] = "its agent could not use it",
	[KW_RECEIPT_DECIDED] = "a person there answered what it asks for",
};

static void print_hex(FILE *out, struct kw_view bytes)
{
	ProtobufCBinaryData data = {.len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data};
	cli_print_hex(out, &data);
}

static void print_kind(FILE *out, uint32_t content_type)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(&kinward__v1__content__descriptor, content_type);
	if (field)
		(void)fputs(field->name, out);
	else
		(void)fprintf(out, "kind %" PRIu32, content_type);
}

static void print_sent(FILE *out, const struct kw_evidence *evidence)
{
	(void)fprintf(out, "%s at hub %s sent an envelope to %s at hub %s\n  when        ", evidence->claims.sender.text,
		evidence->claims.sender_hub.text, evidence->recipient.text, evidence->recipient_hub.text);
	cli_print_time(out, evidence->claims.sent_unix_ms);
	(void)fputs(" by its clock\n  what        ", out);
	print_kind(out, evidence->claims.content_type);
	(void)fprintf(out, ", %s, padded to %" PRIu32 " bytes\n  envelope    ", kw_msg_class_name(evidence->msg_class),
		evidence->size_bucket);
	print_hex(out, KW_VIEW_OF(evidence->envelope_id.bytes));
	(void)fputs("\n  digest      ", out);
	print_hex(out, KW_VIEW_OF(evidence->digest.bytes));
	(void)fputs("\n  body        ", out);
	print_hex(out, KW_VIEW_OF(evidence->body_digest.bytes));
	(void)fputs("  (SHA-256, as it was sealed)\n", out);
}

static void print_receipts(FILE *out, const struct kw_evidence *evidence)
{
	if (evidence->held) {
		(void)fprintf(out, "hub %s had logged it\n  by          ", evidence->home_hub.text);
		cli_print_time(out, evidence->checkpoint.at_unix_ms);
		(void)fputc('\n', out);
	}
	if (evidence->receipts_count == 0)
		return;
	(void)fprintf(out, "%s confirmed, by its own clock\n", evidence->recipient.text);
	for (uint32_t i = 0; i < evidence->receipts_count; i++) {
		const struct kw_receipt *receipt = &evidence->receipts[i];
		(void)fputs("  ", out);
		cli_print_time(out, receipt->at_unix_ms);
		(void)fprintf(out, "  %s%s%s\n", LEVELS[receipt->level], receipt->failure[0] ? ": " : "", receipt->failure);
	}
}

static bool has_level(const struct kw_evidence *evidence, enum kw_receipt_level level)
{
	for (uint32_t i = 0; i < evidence->receipts_count; i++)
		if (evidence->receipts[i].level == level)
			return true;
	return false;
}

static void print_not(FILE *out, const struct kw_evidence *evidence)
{
	(void)fputs("NOT PROVED\n  what the message says: the file has only a digest of it as it was sealed\n"
		    "  that the clocks were right: each time is the word of who signed it\n"
		    "  that nobody else had the keys of these agencies\n", out);
	if (evidence->receipts_count == 0)
		(void)fprintf(out, "  that it arrived: %s has confirmed nothing in this file\n", evidence->recipient.text);
	if (!has_level(evidence, KW_RECEIPT_DECIDED))
		(void)fputs("  that a person has seen it there: only agents have spoken\n", out);
	if (!evidence->held)
		(void)fputs("  that a hub has logged it\n", out);
	if (evidence->sender_revoked)
		(void)fprintf(out, "  NOTE: %s was shut out of the network by the time of the directory in the file\n",
			evidence->claims.sender.text);
	if (evidence->recipient_revoked)
		(void)fprintf(out, "  NOTE: %s was shut out of the network by the time of the directory in the file\n",
			evidence->recipient.text);
	(void)fputs("The keys are those of a directory of ", out);
	cli_print_time(out, evidence->roles_unix_ms);
	(void)fprintf(out, ", root version %" PRIu64 ".\n", evidence->root_version);
	(void)fputs("PERSONAL DATA in this file: who wrote to whom and when, what kind of message it was, the number of its case thread,\n"
		    "when the other answered. Nothing of the case itself. Keep it as you keep the case file.\n", out);
}

static json_t *hex_of(struct kw_view bytes)
{
	char text[2 * KW_DIGEST_SIZE + 1];
	kw_hex(text, bytes);
	return json_string(text);
}

static void print_json(struct cli_call *call, const struct kw_evidence *evidence)
{
	json_t *receipts = json_array();
	for (uint32_t i = 0; i < evidence->receipts_count; i++) {
		const ProtobufCEnumValue *level = protobuf_c_enum_descriptor_get_value(&kinward__v1__receipt_level__descriptor,
			(int)evidence->receipts[i].level);
		(void)json_array_append_new(receipts, json_pack("{s:s, s:I, s:s}", "level", level->name, "atUnixMs",
			(json_int_t)evidence->receipts[i].at_unix_ms, "failure", evidence->receipts[i].failure));
	}
	cli_print_json(call->out, json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:b, s:o, s:I}", "verified", 1,
		"sender", evidence->claims.sender.text, "senderHub", evidence->claims.sender_hub.text, "recipient",
		evidence->recipient.text, "recipientHub", evidence->recipient_hub.text, "sentUnixMs",
		(json_int_t)evidence->claims.sent_unix_ms, "contentType", (json_int_t)evidence->claims.content_type, "envelopeId",
		hex_of(KW_VIEW_OF(evidence->envelope_id.bytes)), "digest", hex_of(KW_VIEW_OF(evidence->digest.bytes)), "bodyDigest",
		hex_of(KW_VIEW_OF(evidence->body_digest.bytes)), "held", evidence->held, "receipts", receipts, "rolesUnixMs",
		(json_int_t)evidence->roles_unix_ms));
}

/* Verifies and says what of it holds. */
static int judge(struct cli_call *call, struct kw_view file, const struct kw_digest *root)
{
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	char text[512];
	enum kw_err err = kw_evidence_verify(file, root, &evidence, &why);
	if (err != KW_OK) {
		bool rule = why.fault == KW_EVIDENCE_ROLES && why.rule != KW_ROLE_RULE_NONE &&
			why.rule != KW_ROLE_RULE_FINGERPRINT; /* that one the fault has said already */
		(void)snprintf(text, sizeof(text), "NOT PROVED: this file %s%s%s", kw_evidence_fault_text(why.fault),
			rule ? "; one of the roles " : "", rule ? kw_role_rule_text(why.rule) : "");
		return cli_fail(call, &(struct cli_failure){.code = kw_err_name(err), .field = kw_evidence_fault_name(why.fault),
			.text = text, .exit = why.fault == KW_EVIDENCE_LOCAL ? CLI_RETRY : CLI_REFUSED});
	}
	if (call->json) {
		print_json(call, &evidence);
		return CLI_OK;
	}
	(void)fputs("PROVED, by signatures that lead to root ", call->out);
	print_hex(call->out, KW_VIEW_OF(root->bytes));
	(void)fputc('\n', call->out);
	print_sent(call->out, &evidence);
	print_receipts(call->out, &evidence);
	print_not(call->out, &evidence);
	return CLI_OK;
}

/* The file again, with the hub's word in it. */
static enum kw_err add_held(struct kw_view checkpoint, struct kw_view inclusion, struct kw_buf *file)
{
	struct kw_evidence_parts parts;
	struct kw_buf held, out;
	kw_buf_init(&held, CLI_FILE_SIZE_MAX);
	kw_buf_init(&out, KW_EVIDENCE_SIZE_MAX);
	enum kw_err err = kw_held_proof_add(&held, checkpoint, inclusion);
	if (err == KW_OK)
		err = kw_evidence_read(kw_buf_view(file), &parts);
	if (err == KW_OK) {
		parts.held = kw_buf_view(&held);
		err = kw_evidence_add(&out, &parts);
	}
	if (err == KW_OK) {
		kw_buf_fini(file);
		*file = out;
		kw_buf_init(&out, 0);
	}
	kw_buf_fini(&held);
	kw_buf_fini(&out);
	return err;
}

/* A LogProofFile is envelope digest, checkpoint and inclusion; the digest is in the evidence already. */
static int add_log_proof(struct cli_call *call, const char *path, struct kw_buf *file)
{
	struct kw_buf log;
	kw_buf_init(&log, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, path, &log);
	if (code == CLI_OK) {
		struct kw_pb pb = kw_pb_from(kw_buf_view(&log));
		(void)kw_pb_need_bytes(&pb, 1, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
		struct kw_view checkpoint = kw_pb_need_bytes(&pb, 2, 1, CLI_FILE_SIZE_MAX);
		struct kw_view inclusion = kw_pb_need_bytes(&pb, 3, 1, CLI_FILE_SIZE_MAX);
		enum kw_err err = kw_pb_end(&pb);
		if (err == KW_OK)
			err = add_held(checkpoint, inclusion, file);
		if (err != KW_OK)
			code = cli_fail_err(call, err, "the file of --log-proof is none of kinward audit prove --out");
	}
	kw_buf_fini(&log);
	return code;
}

/* The hub's word as it gives it now, if it does; what the agent has kept of it before is in the file else. */
static void ask_held(struct kinward *agent, const ProtobufCBinaryData *id, struct kw_buf *file)
{
	Kinward__V1__AuditRequest body = KINWARD__V1__AUDIT_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	body.id = *id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_AUDIT;
	request.audit = &body;
	if (kinward_ask(agent, &request, &reply) != KW_OK)
		return;
	/* A file that it cannot go into is as it was. */
	if (reply->body_case == KINWARD__V1__LOCAL_REPLY__BODY_AUDIT)
		(void)!add_held(KW_VIEW(reply->audit->checkpoint.data, reply->audit->checkpoint.len),
			KW_VIEW(reply->audit->inclusion.data, reply->audit->inclusion.len), file);
	kinward_reply_free(reply);
}

/* Before anything is said: what stands on the screen shall not look as if it were in the file. */
static int check_out(struct cli_call *call, const char *path)
{
	struct stat old;
	return lstat(path, &old) != 0 ? CLI_OK : cli_fail_err(call, KW_EEXIST, "the file of --out is there already; name another");
}

static int write_out(struct cli_call *call, const char *path, const struct kw_buf *file)
{
	enum kw_err err = kw_file_write_atomic(path, kw_buf_view(file), 0600);
	if (err != KW_OK)
		return cli_fail_err(call, err, "the file of --out cannot be written: look at its folder and the disk");
	(void)fprintf(call->err, "Evidence written to %s: %zu bytes. It names who wrote to whom; give it only to whom that concerns.\n",
		path, file->size);
	return CLI_OK;
}

int cli_run_proof_show(struct cli_call *call)
{
	uint8_t id[KW_ID_SIZE];
	Kinward__V1__ProofRequest body = KINWARD__V1__PROOF_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	struct kw_digest root;
	struct kw_buf file;
	if (cli_id_from(call->args[0], id) != KW_OK)
		return cli_fail_usage(call, "MESSAGE is an id of 32 hex digits, as kinward outbox prints them");
	body.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_PROOF;
	request.proof = &body;
	kw_buf_init(&file, KW_EVIDENCE_SIZE_MAX);
	int code = call->option[OUT] ? check_out(call, call->option[OUT]) : CLI_OK;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_PROOF, &reply);
	if (code == CLI_OK && (reply->proof->root_fingerprint.len != KW_DIGEST_SIZE ||
		kw_buf_add(&file, KW_VIEW(reply->proof->file.data, reply->proof->file.len)) != KW_OK))
		code = cli_fail_err(call, KW_EFORMAT, "the agent's answer is none that this version knows");
	if (code == CLI_OK && call->option[LOG_PROOF])
		code = add_log_proof(call, call->option[LOG_PROOF], &file);
	else if (code == CLI_OK)
		ask_held(&agent, &body.message_id, &file);
	if (code == CLI_OK) {
		memcpy(root.bytes, reply->proof->root_fingerprint.data, KW_DIGEST_SIZE);
		code = judge(call, kw_buf_view(&file), &root);
	}
	if (code == CLI_OK && call->option[OUT])
		code = write_out(call, call->option[OUT], &file);
	kw_buf_fini(&file);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

int cli_run_proof_verify(struct cli_call *call)
{
	struct kw_digest root;
	struct kw_buf file;
	const char *text = call->option[ROOT];
	if (text == NULL || strlen(text) != 2u * KW_DIGEST_SIZE || kw_unhex(root.bytes, KW_DIGEST_SIZE, text) != KW_OK)
		return cli_fail_usage(call, "--root is the network's root fingerprint, 64 hex digits, as kinward keys and hub init print it;"
					    " take it from somebody you trust, not from who gave you the file");
	kw_buf_init(&file, KW_EVIDENCE_SIZE_MAX);
	int code = cli_read_file(call, call->args[0], &file);
	if (code == CLI_OK)
		code = judge(call, kw_buf_view(&file), &root);
	kw_buf_fini(&file);
	return code;
}
