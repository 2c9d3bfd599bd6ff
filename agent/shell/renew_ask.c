#include <limits.h>
#include <string.h>

#include "agent/shell/renew_inner.h"
#include "proto/link/log.h"
#include "proto/link/pki.h"
#include "proto/wire/crypt.h"
#include "proto/wire/spki.h"

/* The request, and what comes of its answer. */

/* The share of what is left of a certificate over which the agents of a country spread: three days of thirty. */
#define SPREAD 10

const uint8_t *agent_renew_seed(const struct keys *keys, X509 *leaf)
{
	const uint8_t *const seeds[] = {keys->tls_seed, keys->next.tls_set ? keys->next.tls_seed : NULL};
	const uint8_t *found = NULL;

	for (size_t i = 0; i < 2 && found == NULL; i++) {
		EVP_PKEY *key = NULL;
		if (seeds[i] != NULL && keys_tls_of(seeds[i], &key) == KW_OK && X509_check_private_key(leaf, key) == 1)
			found = seeds[i];
		EVP_PKEY_free(key);
	}
	return found;
}

/* The same after every restart, and another one with each certificate. */
static int64_t jitter_ms(const X509 *leaf, int64_t left_ms)
{
	struct kw_buf der;
	struct kw_digest digest;

	kw_buf_init(&der, KW_PKI_FILE_SIZE_MAX);
	enum kw_err err = kw_pki_cert_add_der((X509 *)(uintptr_t)leaf, &der);
	struct kw_view bytes = kw_buf_view(&der);
	if (err == KW_OK)
		err = kw_sha256(&bytes, 1, &digest);
	kw_buf_fini(&der);
	if (err != KW_OK || left_ms < SPREAD)
		return 0; /* it only spreads */
	return (int64_t)(kw_get_u64(digest.bytes) % (uint64_t)(left_ms / SPREAD));
}

enum kw_err renew_times(struct agent *agent)
{
	struct agent_renew *renew = agent->renew;
	char path[PATH_MAX];
	X509 *leaf = NULL;
	enum kw_err err = agent_path(agent->settings->state, AGENT_CHAIN_FILE, path);

	if (err == KW_OK)
		err = kw_pki_cert_load(path, &leaf);
	if (err == KW_OK)
		err = kw_spki_begins(leaf, &renew->begins_ms);
	if (err == KW_OK)
		err = kw_spki_expires(leaf, &renew->ends_ms);
	if (err == KW_OK)
		err = kw_pki_due(leaf, &renew->due_ms);
	if (err == KW_OK)
		renew->due_ms += jitter_ms(leaf, renew->ends_ms - renew->due_ms);
	if (err == KW_OK)
		renew->shows_next = agent->keys->next.tls_set && agent_renew_seed(agent->keys, leaf) == agent->keys->next.tls_seed;
	X509_free(leaf);
	return err;
}

/* At the door what we knew of hub time may be of a start with a wrong clock, so this machine's counts, and what the hub has said of it
 * there. */
static int64_t now_ms(const struct agent *agent)
{
	return agent->link != NULL ? agent_hub_ms(agent) : agent_now_ms() + agent->renew->apart_ms;
}

static enum kw_err fill(struct agent *agent, struct kw_buf *csr, struct kw_renew *out)
{
	const struct keys *keys = agent->keys;
	EVP_PKEY *key = NULL;

	*out = (struct kw_renew){.agency = agent->office.agency, .unix_ms = now_ms(agent)};
	agent->renew->asked_next = keys->next.tls_set;
	enum kw_err err = keys->next.tls_set ? keys_tls_of(keys->next.tls_seed, &key) : KW_OK;
	if (err == KW_OK)
		err = kw_pki_csr_add(key != NULL ? key : agent->tls_key, csr);
	EVP_PKEY_free(key);
	out->csr = kw_buf_view(csr);
	if (keys->next.sealing_set)
		out->sealing_key = KW_VIEW_OF(keys->next.sealing.public_key);
	if (err != KW_OK || keys->next.identity_reason == 0)
		return err;
	const struct kw_identity_who who = {.agency = &agent->office.agency, .hub = &agent->office.hub};
	out->identity_key = KW_VIEW_OF(keys->next.identity.public_key);
	out->identity_change = (struct kw_identity_change){
		.unix_ms = renew_change_ms(keys->next.identity_reason, out->unix_ms), .reason = keys->next.identity_reason};
	return kw_identity_sign(&who, &keys->identity, &keys->next.identity, &out->identity_change);
}

/* The one that shall be in the directory. A hub of before these keys says bad_format: it is asked without. */
static enum kw_err fill_hybrid(const struct agent *agent, struct kw_hybrid *key, struct kw_renew *out)
{
	const struct keys *keys = agent->keys;
	const struct keys_hybrid *from = keys->next.hybrid.set ? &keys->next.hybrid : &keys->hybrid;

	if (!from->set || !kw_hybrid_able() || agent->renew->problem == KW_EFORMAT)
		return KW_OK;
	enum kw_err err = kw_hybrid_from_seed(from->seed, key);
	if (err == KW_OK)
		out->hybrid_key = KW_VIEW_OF(key->public_key);
	return err;
}

enum kw_err renew_ask(struct agent *agent, struct kw_link *link)
{
	uint8_t exporter[KW_RENEW_EXPORTER_SIZE];
	struct kw_buf csr;
	struct kw_renew renew;
	struct kw_hybrid hybrid;
	struct kw_buf *out = kw_link_out(link);
	const struct kw_renew_where where = {.hub = &agent->office.hub, .exporter = exporter};

	if (out == NULL)
		return KW_ECLOSED;
	kw_buf_init(&csr, KW_RENEW_CSR_SIZE_MAX);
	enum kw_err err = kw_link_export(link, KW_RENEW_EXPORTER, exporter, sizeof(exporter));
	if (err == KW_OK)
		err = fill(agent, &csr, &renew);
	if (err == KW_OK)
		err = fill_hybrid(agent, &hybrid, &renew);
	if (err == KW_OK)
		err = kw_renew_add(out, &renew, &where, &agent->keys->identity);
	kw_buf_fini(&csr);
	kw_wipe(&hybrid, sizeof(hybrid));
	return err;
}

/* It must be ours in name and key, good now, and end at our root: one that is not would lock us out. */
static enum kw_err check(const struct agent *agent, X509 *const *certificates, size_t count)
{
	struct kw_spki_name name;
	int64_t now = now_ms(agent);
	const uint8_t *asked = agent->renew->asked_next ? agent->keys->next.tls_seed : NULL;
	enum kw_err err = kw_spki_name_of(certificates[0], &name);

	if (err == KW_OK && (name.kind != KW_SPKI_AGENCY || !kw_name_equal(&name.agency, &agent->office.agency) ||
		!kw_name_equal(&name.hub, &agent->office.hub)))
		err = KW_EAUTH;
	if (err == KW_OK && asked != NULL && agent_renew_seed(agent->keys, certificates[0]) != asked)
		err = KW_EAUTH;
	if (err == KW_OK && asked == NULL && X509_check_private_key(certificates[0], agent->tls_key) != 1)
		err = KW_EAUTH;
	return err != KW_OK ? err : kw_pki_chain_check(certificates, count, agent->root, now);
}

/* From now on new connections show it. */
static enum kw_err use_chain(struct agent *agent, X509 *leaf, const char *path)
{
	EVP_PKEY *key = NULL;
	const uint8_t *seed = agent_renew_seed(agent->keys, leaf);
	enum kw_err err = seed == NULL ? KW_EAUTH : keys_tls_of(seed, &key);

	if (err == KW_OK) {
		const struct kw_tls_files files = {.chain = path, .key = key, .root = agent->root};
		err = kw_tls_context_reload(agent->tls, &files);
	}
	if (err != KW_OK) {
		EVP_PKEY_free(key);
		return err;
	}
	EVP_PKEY_free(agent->tls_key);
	agent->tls_key = key;
	return renew_times(agent);
}

static enum kw_err store(struct agent *agent, const struct kw_renewed *renewed)
{
	X509 *certificates[KW_RENEW_CERTIFICATES_MAX] = {0};
	char path[PATH_MAX];
	enum kw_err err = agent_path(agent->settings->state, AGENT_CHAIN_FILE, path);

	for (size_t i = 0; err == KW_OK && i < renewed->certificates_count; i++)
		err = kw_pki_cert_from_der(renewed->certificates[i], &certificates[i]);
	if (err == KW_OK)
		err = check(agent, certificates, renewed->certificates_count);
	if (err == KW_OK)
		err = kw_pki_certs_save(path, certificates, renewed->certificates_count);
	if (err == KW_OK)
		err = use_chain(agent, certificates[0], path);
	for (size_t i = 0; i < KW_RENEW_CERTIFICATES_MAX; i++)
		X509_free(certificates[i]);
	return err;
}

enum kw_err renew_take(struct agent *agent, struct kw_view body)
{
	struct agent_renew *renew = agent->renew;
	struct kw_renewed renewed;
	enum kw_err err = kw_renewed_parse(body, &renewed);

	if (err != KW_OK)
		return err;
	renew->problem = renewed.problem;
	if (renewed.problem == KW_EEXPIRED)
		renew->apart_ms = renewed.clock_unix_ms - agent_now_ms();
	if (renewed.problem != KW_OK)
		return KW_OK;
	err = store(agent, &renewed);
	if (err == KW_OK)
		kw_log(KW_LOG_INFO, "certificate_renewed", KW_LOG_INT("days", (renew->ends_ms - now_ms(agent)) / 86400000),
			KW_LOG_STR("key", renew->asked_next ? "new" : "as before"));
	renew->problem = err;
	if (err == KW_OK)
		renew->apart_ms = 0;
	return err == KW_EFORMAT || err == KW_EFIELD ? KW_EAUTH : err;
}
