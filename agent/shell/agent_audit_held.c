#include <string.h>

#include "agent/shell/agent_audit.h"
#include "agent/shell/spool_proof.h"
#include "proto/link/log.h"
#include "proto/wire/evidence.h"

/* R0 of a message of ours, kept beside it for evidence; and what witnesses say about the log that it is in. */

void agent_audit_keep(struct agent *agent, uint64_t number, struct kw_view inclusion)
{
	struct spool_op *op = spool_op_new(SPOOL_OP_LOGGED);
	enum kw_err err = op == NULL ? KW_ENOMEM : kw_held_proof_add(&op->proof, kw_buf_view(&agent->log->state.last), inclusion);
	if (err != KW_OK) {
		kw_log(KW_LOG_ERROR, "audit_proof_not_kept", KW_LOG_ERR(err));
		spool_op_free(op);
		return;
	}
	op->u.logged = number;
	op->done = agent_op_done;
	op->user = agent;
	spool_do(agent->spool, op);
}

/* The keys of the witness: of our root, or what the caller says that they are. */
static enum kw_err keys_of(const struct agent *agent, const struct kw_name *witness, const ProtobufCBinaryData *said,
	struct kw_role_keys *out)
{
	*out = (struct kw_role_keys){.threshold = 1};
	if (said->len == KW_KEY_SIZE)
		return kw_role_keys_put(out, said->data);
	return said->len == 0 && agent_roles_log_keys(agent->roles, witness, out) ? KW_OK : KW_EFIELD;
}

void agent_audit_witnessed(struct agent *agent, const Kinward__V1__AuditRequest *request, struct socket_call *call)
{
	struct agent_audit_wait waiting = {.call = call, .witnessed = true};
	struct kw_role_signed role;
	struct kw_witness statement;
	struct kw_role_keys keys;
	uint32_t good;
	enum kw_err err = kw_role_parse(KW_VIEW(request->statement.data, request->statement.len), &role);
	if (err == KW_OK)
		err = kw_witness_read(role.payload, &statement);
	if (err == KW_OK)
		err = kw_checkpoint_read(statement.checkpoint, &waiting.other);
	if (err != KW_OK) {
		socket_call_refuse(call, err, "audit.statement", "It is no statement of a witness: kinward audit witness --out writes one.");
		return;
	}
	err = keys_of(agent, &statement.witness, &request->witness_key, &keys);
	if (err != KW_OK) {
		socket_call_refuse(call, err, "audit.witness_key",
			"Our root does not name this witness: ask its operator for its log key, 64 hex digits, and give it with --key.");
		return;
	}
	if (!kw_name_equal(&waiting.other.hub, &agent->office.hub))
		err = KW_EAUTH;
	if (err == KW_OK)
		err = kw_role_check(&role, KW_ROLE_WITNESS, &keys, &good);
	if (err != KW_OK) {
		kw_log(KW_LOG_WARN, "audit_statement_refused", KW_LOG_STR("witness", statement.witness.text), KW_LOG_ERR(err));
		socket_call_refuse(call, err, "audit.statement", "The witness has not signed it with this key, or it is about another hub's log.");
		return;
	}
	waiting.prove.size_old = waiting.other.size;
	agent_audit_wait_for(agent, &waiting);
}
