#ifndef AGENT_SHELL_ENROL_INNER_H
#define AGENT_SHELL_ENROL_INNER_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "agent/shell/enrol.h"
#include "agent/shell/keys.h"

/* Shared by enrol.c (the order of things), enrol_ask.c (one question to the hub) and enrol_state.c (what is on disk). */

struct enrol {
	const struct enrol_request *request;
	struct enrol_result *out;
	struct keys keys;
	struct kw_ed25519 tls;
	struct kw_digest code_key;
	/* As enrol_state.c stores it, without the secret: */
	char address[KW_ENROL_ADDRESS_SIZE_MAX + 1];
	struct kw_name agency;
	struct kw_digest root_fingerprint;
	uint8_t code_id[KW_ENROL_ID_SIZE];
	struct kw_buf asks; /* EnrolRequest, encoded */
	/* The answer: */
	struct kw_buf reply; /* EnrolReply */
	X509 *root;
	int lock;            /* of FOLDER.new; -1: none */
};

/* One connection. On KW_OK *phase is 0 and reply and root are there, or it says how far it is. With out->fault ENROL_FAULT_HUB
 * the hub said the error. */
KW_MUST_USE enum kw_err enrol_ask(struct enrol *enrol, enum kw_enrol_phase *phase);

/* The state directory must be new or empty. KW_EEXIST, KW_EIO. */
KW_MUST_USE enum kw_err enrol_check_folder(const char *folder);
/* Takes up FOLDER.new, or makes it with new keys: `code` NULL takes up only. */
KW_MUST_USE enum kw_err enrol_begin(struct enrol *enrol, const struct kw_enrol_code *code);
/* Checks the reply and makes FOLDER.new the state directory. KW_EAUTH: it does not fit. */
KW_MUST_USE enum kw_err enrol_finish(struct enrol *enrol);
/* Removes FOLDER.new: the hub has refused for good. */
void enrol_give_up(struct enrol *enrol);
/* The request as a file. */
KW_MUST_USE enum kw_err enrol_write_request(struct enrol *enrol);
/* Fills reply and root from the reply file. */
KW_MUST_USE enum kw_err enrol_read_reply(struct enrol *enrol);
/* Appends an EnrolAsk; binding NULL: by file. */
KW_MUST_USE enum kw_err enrol_add_ask(const struct enrol *enrol, const struct kw_digest *binding, struct kw_buf *out);

#endif
