#ifndef KW_TEST_KIT_SITE_H
#define KW_TEST_KIT_SITE_H

#include "proto/link/pki.h"
#include "proto/link/tls.h"
#include "proto/wire/directory.h"

/* A hub's folder as `kinward hub init` makes it, in a new directory under /tmp, with agencies that are enrolled already:
 * "agency-0".. of hub "hub-0", the names that kit_sealing uses. Failures are assertions. */

#define KIT_AGENCIES_MAX 8u

struct kit_site {
	char dir[64];
	struct kw_name hub;
	struct kw_pki_issuer root;
	struct kw_pki_issuer issuing;
	EVP_PKEY *server_key;
	size_t agencies_count;
	EVP_PKEY *agency_keys[KIT_AGENCIES_MAX]; /* TLS */
};

void kit_site_init(struct kit_site *site, size_t agencies_count);
/* Removes the directory. */
void kit_site_fini(struct kit_site *site);
/* dir + "/" + name; valid until the next call. */
const char *kit_site_path(const struct kit_site *site, const char *name);
/* A client context of an agency; free with kw_tls_context_free. */
struct kw_tls_context *kit_site_context(const struct kit_site *site, size_t agency);

#endif
