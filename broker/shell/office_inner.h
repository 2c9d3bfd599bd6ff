#ifndef BROKER_OFFICE_INNER_H
#define BROKER_OFFICE_INNER_H

#include "broker/shell/office.h"
#include "proto/link/roles.h"

/* Shared by office.c (certificates), office_enrol.c (enrolment) and office_roles.c (who is who, signed). */

struct office {
	const struct config *config;
	X509 *root;
	X509 *issuer;
	EVP_PKEY *issuer_key;
	EVP_PKEY *server_key;
	struct kw_roles *roles;
	int64_t tried_unix_ms; /* the last signing that failed */
	bool root_warned;
	struct timespec enrol_seen; /* of the folder enrol/, when all that is approved was carried out */
	int64_t enrol_tried_unix_ms; /* the last time that it could not be */
	int64_t behind_unix_ms; /* when somebody was last found ahead of us */
	int64_t looked_unix_ms;   /* office_server.c */
	int64_t reminded_unix_ms;
	struct office_changes *changes; /* office_renew.c: of each agency in this hour */
};

/* Says which file is at fault and what to do, once; gives err. `text` NULL: the usual words. */
enum kw_err office_blame(const struct config *config, const char *file, enum kw_err err, const char *text);

/* What the directory says of an agency with these keys and this certificate. */
KW_MUST_USE enum kw_err office_describe(const struct kw_enrol_request *request, const struct kw_name *agency, const X509 *leaf,
	struct kw_directory_entry *out);
/* Appends the EnrolReply for a certificate. */
KW_MUST_USE enum kw_err office_add_reply(const struct office *office, const struct kw_name *agency, X509 *leaf,
	struct kw_buf *reply);
/* Once a second: carries out what people have approved. True: the directory is another one than before. */
bool office_enrol_tick(struct office *office);

/* Forgets how often each agency has changed its entry. */
void office_changes_free(struct office *office);

KW_MUST_USE enum kw_err office_roles_open(struct office *office);
/* One agency more, signed and on disk, or changed. KW_EEXIST: it is there already; KW_EFULL; KW_EBUSY: a command signs just now;
 * KW_EAUTH and the like: nothing changed. */
KW_MUST_USE enum kw_err office_roles_extend(struct office *office, const struct kw_directory_entry *entry);

/* Another entry in the place of the one of this name, signed and on disk. KW_ENOAGENCY: there is none; else as above. */
KW_MUST_USE enum kw_err office_roles_change(struct office *office, const struct kw_directory_entry *entry);

#endif
