#ifndef AGENT_SHELL_ENROL_H
#define AGENT_SHELL_ENROL_H

#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/base/id.h"
#include "proto/wire/enrol.h"

/* Enrolment of a new agent: makes its keys, asks the hub of the code for a certificate and a place in the directory, waits for
 * the people there, and writes the state directory: keys, chain, root, agent.yaml.
 *
 * Until it is done all lies in FOLDER.new, and whoever calls again with the same code goes on with the same keys, whatever ended
 * the first call. Then it is renamed. What the hub has refused for good leaves nothing.
 *
 * Trust: the code carries the root's fingerprint; the hub's TLS chain must end in that root before anything is said. */

#define ENROL_DEADLINE_MS 60000u /* of one connection */
/* Between two questions whether it is approved. */
#define ENROL_PAUSE_MIN_MS 250u
#define ENROL_PAUSE_MAX_MS 30000u

struct enrol_request {
	const char *code;            /* NULL with reply_file */
	const char *folder;          /* state directory; must not exist, or be empty */
	const char *socket;          /* for agent.yaml; as the next, taken when the keys are made */
	const char *passphrase_file; /* for agent.yaml; NULL: none is written */
	struct kw_view passphrase;
	const char *request_file;    /* not NULL: write the request there and ask nobody */
	const char *reply_file;      /* not NULL: the answer is there; asks nobody */
	int64_t wait_s;              /* for the approval; -1: for as long as it takes */
	/* Once, when the request is with the hub, or in its file; may be NULL. */
	void (*on_asked)(void *user, const struct kw_name *agency, const char *phrase);
	void *user;
};

enum enrol_fault {
	ENROL_FAULT_NONE,       /* the error says it */
	ENROL_FAULT_HUB,        /* the hub said so; phase is what, or 0 for an ERROR */
	ENROL_FAULT_KEYS,       /* the keys in FOLDER.new do not open with this passphrase */
	ENROL_FAULT_OTHER_CODE, /* FOLDER.new is of another code */
	ENROL_FAULT_NO_REQUEST, /* there is no FOLDER.new that a reply could be for */
	ENROL_FAULT_REQUEST_FILE,
	ENROL_FAULT_REPLY_FILE, /* cannot be read, or does not fit the request */
	ENROL_FAULT_RUNNING     /* another call is at work on FOLDER.new */
};

struct enrol_result {
	bool done;                             /* false with KW_OK: the request is in its file */
	struct kw_name agency;
	struct kw_name hub;
	char address[KW_ENROL_ADDRESS_SIZE_MAX + 1];
	char phrase[KW_ENROL_PHRASE_SIZE];
	struct kw_digest identity_fingerprint; /* as `kinward hub list` shows it */
	char config[4096];                     /* path of agent.yaml */
	enum enrol_fault fault;                /* on failure */
	enum kw_enrol_phase phase;
};

/* KW_EFORMAT, KW_EVERSION  not a code, or not a file; KW_EAUTH: typed wrong, refused by the hub, the hub is not the code's, or a
 * reply that does not fit
 * KW_EEXIST  the folder is not empty; KW_EFIELD: the passphrase is too short
 * KW_ESTATE  see fault; KW_EBUSY: not approved within wait_s, or another call is at work
 * KW_ETIMEOUT, KW_ECLOSED, KW_EIO and what the hub refuses with */
KW_MUST_USE enum kw_err agent_enrol(const struct enrol_request *request, struct enrol_result *out);

#endif
