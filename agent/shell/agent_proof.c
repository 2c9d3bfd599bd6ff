#include <string.h>

#include "agent/shell/agent_inner.h"
#include "agent/shell/proof.h"
#include "agent/shell/role_files.h"
#include "proto/link/log.h"

/* Evidence for a caller of the local socket. */

static void reply(struct agent *agent, const struct kw_buf *file, struct socket_call *call)
{
	Kinward__V1__LocalReply message = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__ProofReply body = KINWARD__V1__PROOF_REPLY__INIT;

	body.file = (ProtobufCBinaryData){.len = file->size, .data = file->data};
	body.root_fingerprint = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = agent->root_fingerprint.bytes};
	message.body_case = KINWARD__V1__LOCAL_REPLY__BODY_PROOF;
	message.proof = &body;
	socket_call_reply(call, &message);
}

static enum kw_err make(struct agent *agent, const struct spool_item *item, struct kw_buf *out, const char **text)
{
	struct proof_request request = {.spool = agent->spool, .item = item, .root_fingerprint = &agent->root_fingerprint};
	struct kw_evidence_refusal why = {.fault = KW_EVIDENCE_FINE};
	struct role_files files;
	enum kw_err err = role_files_read(agent->settings->state, &files);

	if (err == KW_ENOTFOUND || err == KW_EFORMAT || err == KW_EFIELD) {
		*text = "The signed roles of the hub, root.bin and those under it, are not all in the state directory: nobody could check "
			"whose keys they are. They come from the hub.";
		role_files_fini(&files);
		return KW_ESTATE;
	}
	request.roles = &files.roles;
	if (err == KW_OK)
		err = proof_file(&request, out, &why);
	role_files_fini(&files);
	if (err == KW_ENOTFOUND) {
		*text = "Nothing to show was kept when this was sent, by an older agent.";
		return KW_ESTATE;
	}
	if (why.fault == KW_EVIDENCE_RECEIPT || why.fault == KW_EVIDENCE_SENDER)
		*text = "A signature is by a key that is not in the directory any more: the agency has another identity key since.";
	else if (why.fault != KW_EVIDENCE_FINE)
		*text = kw_evidence_fault_text(why.fault);
	return err;
}

void agent_proof(void *user, const Kinward__V1__LocalRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	const ProtobufCBinaryData *wanted = &request->proof->message_id;
	struct spool_item item;
	struct kw_buf content;
	struct kw_buf file;
	struct kw_id id;
	const char *text = NULL;
	bool received = false;

	if (wanted->len != KW_ID_SIZE) {
		socket_call_refuse(call, KW_EFIELD, "proof.message_id", "A message id has 16 bytes.");
		return;
	}
	memcpy(id.bytes, wanted->data, KW_ID_SIZE);
	kw_buf_init(&content, KW_FRAME_SIZE_MAX * 2);
	kw_buf_init(&file, KW_EVIDENCE_SIZE_MAX);
	enum kw_err err = spool_show(agent->spool, &id, &item, &received, &content);
	kw_buf_fini(&content); /* it has no place in evidence */
	if (err == KW_OK && received) {
		err = KW_ESTATE;
		text = "Evidence is kept of what we sent; of a message that came to us its sender has it.";
	} else if (err == KW_OK) {
		err = make(agent, &item, &file, &text);
	}
	if (err == KW_OK)
		reply(agent, &file, call);
	else
		socket_call_refuse(call, err, err == KW_ENOTFOUND || received ? "proof.message_id" : NULL, text);
	kw_buf_fini(&file);
}
