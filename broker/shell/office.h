#ifndef BROKER_OFFICE_H
#define BROKER_OFFICE_H

#include "broker/shell/config.h"
#include "proto/link/pki.h"
#include "proto/link/roles.h"
#include "proto/wire/enrol.h"
#include "proto/wire/role_frame.h"

/* The hub's registry office: its certificates, the signed roles (proto/link/roles.h), and enrolment.
 *
 * `kinward hub add` leaves one file per code (kw_enrol_file_name) with "AGENCY EXPIRY\n", in seconds since 1970; an agency that brings the secret gets
 * a certificate and a place in the directory, and the file goes. Files: root.pem, issuer.pem, issuer.key, server.pem,
 * server.key, enrol/, and those of the roles. Rare and small work; it runs on the loop thread. */

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

/* Once a second: signs a new timestamp when it is time, and reads what a command in the folder has signed. True: the roles are
 * other ones than before. */
bool office_tick(struct office *office);
/* What an agency has seen of our roles. Later ones than ours, signed with our keys: this folder has gone back, or somebody else has the
 * keys. Logged, once an hour: agents refuse what we sign from then on. */
void office_heard(struct office *office, const struct kw_name *agency, const struct kw_roles_have *have);

/* Judges an EnrolRequest and carries it out. On KW_OK the encoded EnrolReply is appended to `reply`, the new directory is
 * on disk, and `agency` says whom it let in.
 * KW_EAUTH     the secret is unknown, used up or too old, or the proof or CSR does not verify
 * KW_EFORMAT, KW_EFIELD; KW_EIO, KW_ENOSPACE: nothing changed, the code is still good */
KW_MUST_USE enum kw_err office_enrol(struct office *office, struct kw_view request, struct kw_buf *reply,
	struct kw_name *agency);

#endif
