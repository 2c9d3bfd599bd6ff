#ifndef BROKER_OFFICE_RENEW_H
#define BROKER_OFFICE_RENEW_H

#include "broker/shell/office.h"
#include "proto/link/tls.h"
#include "proto/wire/renew.h"

/* What agencies renew at the registry office: certificates, and with their identity key's word any of their keys. The directory is
 * signed and on disk before a certificate leaves. And the hub's own certificates, which it renews itself while the authority above
 * them lasts. */

struct office_renewal {
	struct kw_view body;            /* of the RENEW frame */
	const uint8_t *exporter;        /* of its connection, KW_RENEW_EXPORTER_SIZE */
	const struct kw_name *session;  /* whose session it came in; NULL: at the enrolment door */
};

/* So often may an agency change its entry in an hour. Each time costs signatures and files here, and a delta at everybody's, and the
 * enrolment door counts no frames. A new certificate for the same keys is no change. */
#define OFFICE_CHANGES_HOUR_MAX 16u

/* Judges and carries out, and appends a RENEWED frame to `out` either way. agency: who asked, as far as it is proven; else empty.
 * What it gives is for the log, and stands in the frame:
 * KW_EFORMAT, KW_EFIELD
 * KW_EAUTH     no such agency, or not the word of its identity key for this connection
 * KW_EDENIED   it is shut out, or another agency than the session's
 * KW_EEXPIRED  its clock and the hub's differ by more than a day; or the hub's authority has expired
 * KW_EBUSY     it has changed its entry OFFICE_CHANGES_HOUR_MAX times in this hour, or a command signs just now: nothing changed
 * KW_EIO, KW_ENOSPACE and the like: nothing changed */
KW_MUST_USE enum kw_err office_renew(struct office *office, const struct office_renewal *renewal, struct kw_buf *out,
	struct kw_name *agency);

/* An agency has shown this TLS key: if it is the one that is being brought in, it is the only one from now on. Failures are logged; the
 * next time does it. True: the directory has changed. */
bool office_key_used(struct office *office, const struct kw_name *agency, const struct kw_digest *key);

/* When the office opens, and once a second. True: server.pem is another one, to be shown from now on. Renews it at two thirds of its
 * life, or when issuer.pem was replaced; warns of issuer.pem and root.pem from two thirds of theirs. */
bool office_server_tick(struct office *office);
/* What the server shows; path: CONFIG_PATH_SIZE. */
KW_MUST_USE enum kw_err office_server_files(const struct office *office, char *path, struct kw_tls_files *out);

#endif
