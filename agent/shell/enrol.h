#ifndef AGENT_SHELL_ENROL_H
#define AGENT_SHELL_ENROL_H

#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"

/* Enrolment of a new agent: makes its keys, asks the hub of the code for a certificate and a place in the directory, and
 * writes the state directory: keys, chain, root, directory, agent.yaml. All or nothing: it is written beside and renamed.
 *
 * Trust: the code carries the root's fingerprint; the hub's TLS chain must end in that root before the secret is sent. */

#define ENROL_DEADLINE_MS 60000u

struct enrol_request {
	const char *code;
	const char *folder;          /* state directory; must not exist, or be empty */
	const char *socket;          /* for agent.yaml */
	const char *passphrase_file; /* for agent.yaml; NULL: none is written */
	struct kw_view passphrase;
};

struct enrol_result {
	struct kw_name agency;
	struct kw_name hub;
	char address[129];
	struct kw_digest identity_fingerprint; /* to be compared with what the hub's operator sees */
	char config[4096];                     /* path of agent.yaml */
	bool refused_by_hub;                   /* on failure, and the only thing written then: the error is what the hub said */
};

/* KW_EFORMAT, KW_EVERSION  not a code; KW_EAUTH: typed wrong, refused by the hub, or the hub is not the code's
 * KW_EEXIST  the folder is not empty, or (refused_by_hub) the hub has an agency of this name; KW_EFIELD: the passphrase is too short
 * KW_ETIMEOUT, KW_ECLOSED, KW_EIO and what the hub refuses with */
KW_MUST_USE enum kw_err agent_enrol(const struct enrol_request *request, struct enrol_result *out);

#endif
