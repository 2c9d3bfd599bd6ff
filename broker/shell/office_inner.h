#ifndef BROKER_OFFICE_INNER_H
#define BROKER_OFFICE_INNER_H

#include "broker/shell/office.h"
#include "proto/link/roles.h"

/* Shared by office.c (certificates, enrolment) and office_roles.c (who is who, signed). */

struct office {
	const struct config *config;
	X509 *root;
	X509 *issuer;
	EVP_PKEY *issuer_key;
	EVP_PKEY *server_key;
	struct kw_roles *roles;
	int64_t tried_unix_ms; /* the last signing that failed */
	bool root_warned;
	int64_t looked_unix_ms;   /* office_server.c */
	int64_t reminded_unix_ms;
	int64_t behind_unix_ms; /* when somebody was last found ahead of us */
};

/* Says which file is at fault and what to do, once; gives err. `text` NULL: the usual words. */
enum kw_err office_blame(const struct config *config, const char *file, enum kw_err err, const char *text);

KW_MUST_USE enum kw_err office_roles_open(struct office *office);
/* One agency more, signed and on disk, or changed. KW_EEXIST: it is there already; KW_EFULL; KW_EBUSY: a command signs just now;
 * KW_EAUTH and the like: nothing changed. */
KW_MUST_USE enum kw_err office_roles_extend(struct office *office, const struct kw_directory_entry *entry);

/* Another entry in the place of the one of this name, signed and on disk. KW_ENOAGENCY: there is none; else as above. */
KW_MUST_USE enum kw_err office_roles_change(struct office *office, const struct kw_directory_entry *entry);

#endif
