#ifndef BROKER_OFFICE_H
#define BROKER_OFFICE_H

#include "broker/shell/config.h"
#include "proto/link/pki.h"
#include "proto/link/roles.h"
#include "proto/wire/enrol.h"
#include "proto/wire/role_frame.h"

/* The hub's registry office: its certificates, the signed roles (proto/link/roles.h), and enrolment.
 *
 * `kinward hub add` makes a code and its record in enrol/ (proto/link/enrolments.h); an agency that brings the code leaves its
 * request there, `kinward hub approve` a person's word, and the office makes certificate and place in the directory of it.
 * Files: root.pem, issuer.pem, issuer.key, server.pem, server.key, enrol/, and those of the roles. Rare and small work; it runs
 * on the loop thread. */

struct office;

/* A failure is logged here, with the file or setting that is at fault and what to do. KW_EAUTH when keys and certificates do
 * not fit, or the directory is not signed by us; KW_EFIELD when they are of another hub than the configuration says;
 * KW_ENOTFOUND, KW_EDENIED, KW_EIO. */
KW_MUST_USE enum kw_err office_open(const struct config *config, struct office **out);
/* Accepts NULL. */
void office_close(struct office *office);

/* The hub's clock. */
int64_t office_now_ms(void);
X509 *office_root(const struct office *office);
EVP_PKEY *office_server_key(const struct office *office);
const struct kw_directory *office_directory(const struct office *office);
/* Valid until the next office_enrol or office_tick, as the directory. */
const struct kw_roles *office_roles(const struct office *office);

/* Once a second: carries out approved enrolments, signs a new timestamp when it is time, and reads what a command in the folder
 * has signed. True: the roles are other ones than before. */
bool office_tick(struct office *office);
/* What an agency has seen of our roles. Later ones than ours, signed with our keys: this folder has gone back, or somebody else has the
 * keys. Logged, once an hour: agents refuse what we sign from then on. */
void office_heard(struct office *office, const struct kw_name *agency, const struct kw_roles_have *have);

struct office_answer {
	struct kw_name agency;     /* of the code; on KW_OK */
	enum kw_enrol_phase phase; /* 0: done, and `reply` is the encoded EnrolReply; else an encoded EnrolState */
	struct kw_buf *reply;      /* the caller's, empty */
};
/* Judges an EnrolAsk that came on the connection with this exporter. What changes is on disk before it returns; what happened
 * is logged here. An approved one is carried out on the way.
 * KW_EAUTH     no such code, or a wrong proof: the same answer
 * KW_EFORMAT, KW_EFIELD; KW_EBUSY, KW_EIO, KW_ENOSPACE: nothing changed */
KW_MUST_USE enum kw_err office_enrol(struct office *office, struct kw_view body, const struct kw_digest *binding,
	const char *address, struct office_answer *out);

#endif
