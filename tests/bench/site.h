#ifndef BENCH_SITE_H
#define BENCH_SITE_H

#include "proto/link/pki.h"
#include "proto/link/tls.h"
#include "tests/bench/bench.h"

/* A hub's folder with N agencies already enrolled: keys, certificates, the signed directory and broker.yaml as
 * `kinward hub init` and N enrolments would leave them, and agents/NAME.pem and NAME.key for the other side. */

struct site {
	char folder[256];
	bool temporary;
	struct kw_name hub;
	X509 *root;
	uint32_t count;
	EVP_PKEY **keys; /* of the agencies */
};

/* Makes one in `folder`, which exists and is empty. */
void site_make(struct site *site, const char *folder, const struct bench_options *options);
/* Makes one in a new folder below options->parent. */
void site_make_temporary(struct site *site, const struct bench_options *options);
/* Reads one that site_make left. */
void site_load(struct site *site, const char *folder, uint32_t count);
/* Removes a temporary folder unless options say keep. Accepts a zeroed struct. */
void site_fini(struct site *site, bool keep);

void site_agent_name(uint32_t index, struct kw_name *out);
/* A TLS context of agency `index`. */
struct kw_tls_context *site_context(const struct site *site, uint32_t index);
/* True when syncing to this folder costs nothing, so that figures mean nothing. */
bool site_is_in_memory(const struct site *site);

#endif
