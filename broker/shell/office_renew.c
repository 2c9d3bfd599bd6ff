#include "broker/shell/office_renew.h"

#include <stdlib.h>
#include <string.h>

/* The default hash falls through between case labels, which clang warns of. */
#define HASH_FUNCTION(key, size, hash) HASH_OAT(key, size, hash)
#include <uthash.h>

#include "broker/shell/office_inner.h"
#include "proto/link/log.h"
#include "proto/wire/envelope.h"
#include "proto/wire/spki.h"

/* Steps: who asks, and is it his word for this connection → may he, and is it of today → a certificate for the key of the request →
 * what changes in the directory, signed and durable → the reply. */

static bool near(int64_t a, int64_t b)
{
	return a > b - KW_RENEW_WINDOW_MS && a < b + KW_RENEW_WINDOW_MS;
}

/* The change of the identity key may have been carried out, and the reply been lost: then the former key asks again. Who asks has made
 * the change anew, for which he needs the new key as well: the one in the directory is there for all to copy, and who has the former
 * key alone may be the one because of whom it was replaced. */
static enum kw_err check_word(const struct kw_renew *renew, const struct kw_renew_where *where,
	const struct kw_directory_entry *entry)
{
	enum kw_err err = kw_renew_verify(renew, where, entry->identity_key);
	if (err != KW_EAUTH || entry->identity_change.reason == 0 ||
		!kw_view_equal(renew->identity_key, KW_VIEW_OF(entry->identity_key)) ||
		renew->identity_change.unix_ms == entry->identity_change.unix_ms)
		return err;
	return kw_renew_verify(renew, where, entry->identity_change.former_key);
}

static enum kw_err judge(const struct office *office, const struct office_renewal *renewal, const struct kw_renew *renew,
	const struct kw_directory_entry **out)
{
	const struct kw_renew_where where = {.hub = &office->config->hub, .exporter = renewal->exporter};
	const struct kw_directory_entry *entry = kw_directory_find(office->roles->directory, &renew->agency);
	int64_t now = office_now_ms();
	if (renewal->session != NULL && !kw_name_equal(renewal->session, &renew->agency))
		return KW_EDENIED;
	/* Who is shut out, and who is here at all, hears only who has proven that it is he. */
	enum kw_err err = entry == NULL ? KW_EAUTH : check_word(renew, &where, entry);
	if (err != KW_OK)
		return err;
	*out = entry;
	if (entry->revoked)
		return KW_EDENIED;
	if (!near(renew->unix_ms, now) ||
		(renew->identity_change.reason != 0 && !near(renew->identity_change.unix_ms, now)))
		return KW_EEXPIRED;
	return KW_OK;
}

static enum kw_err replace_sealing(struct kw_directory_entry *entry, struct kw_view public_key)
{
	struct kw_directory_sealing_key key = {.suites = {1, 2}, .suites_count = 2};
	memcpy(key.public_key, public_key.data, KW_DIRECTORY_KEY_SIZE);
	enum kw_err err = kw_directory_key_id(key.public_key, key.key_id);
	if (err != KW_OK)
		return err;
	memset(entry->sealing_keys, 0, sizeof(entry->sealing_keys));
	entry->sealing_keys[0] = key;
	entry->sealing_keys_count = 1;
	return KW_OK;
}

static enum kw_err replace_hybrid(struct kw_directory_entry *entry, struct kw_view public_key)
{
	struct kw_directory_hybrid_key key = {.suites = {KW_SUITE_HYBRID}, .suites_count = 1};
	memcpy(key.public_key, public_key.data, KW_HYBRID_PUBLIC_SIZE);
	enum kw_err err = kw_directory_hybrid_key_id(key.public_key, key.key_id);
	if (err != KW_OK)
		return err;
	memset(entry->hybrid_keys, 0, sizeof(entry->hybrid_keys));
	entry->hybrid_keys[0] = key;
	entry->hybrid_keys_count = 1;
	return KW_OK;
}

/* What the directory shall say; the same as before when only the certificate is new. */
static enum kw_err next_entry(const struct kw_renew *renew, const X509 *leaf, struct kw_directory_entry *entry)
{
	struct kw_digest tls;
	enum kw_err err = kw_spki_digest(leaf, &tls);
	if (err == KW_OK && memcmp(&tls, &entry->tls_key_digest, sizeof(tls)) != 0)
		entry->next_tls_key_digest = tls;
	if (err == KW_OK && renew->sealing_key.size > 0 &&
		memcmp(renew->sealing_key.data, entry->sealing_keys[0].public_key, KW_DIRECTORY_KEY_SIZE) != 0)
		err = replace_sealing(entry, renew->sealing_key);
	if (err == KW_OK && renew->hybrid_key.size > 0 && (entry->hybrid_keys_count == 0 ||
		memcmp(renew->hybrid_key.data, entry->hybrid_keys[0].public_key, KW_HYBRID_PUBLIC_SIZE) != 0))
		err = replace_hybrid(entry, renew->hybrid_key);
	if (err == KW_OK && renew->identity_key.size > 0 &&
		memcmp(renew->identity_key.data, entry->identity_key, KW_DIRECTORY_KEY_SIZE) != 0) {
		memcpy(entry->identity_key, renew->identity_key.data, KW_DIRECTORY_KEY_SIZE);
		entry->identity_change = renew->identity_change;
	}
	return err;
}

static void log_changes(const struct kw_directory_entry *before, const struct kw_directory_entry *after)
{
	const char *agency = after->agency.text;
	if (memcmp(&before->next_tls_key_digest, &after->next_tls_key_digest, sizeof(before->next_tls_key_digest)) != 0)
		kw_log(KW_LOG_INFO, "tls_key_announced", KW_LOG_STR("agency", agency));
	if (memcmp(before->sealing_keys[0].public_key, after->sealing_keys[0].public_key, KW_DIRECTORY_KEY_SIZE) != 0)
		kw_log(KW_LOG_INFO, "sealing_key_replaced", KW_LOG_STR("agency", agency));
	if (memcmp(before->hybrid_keys, after->hybrid_keys, sizeof(before->hybrid_keys)) != 0)
		kw_log(KW_LOG_INFO, "hybrid_key_replaced", KW_LOG_STR("agency", agency));
	if (memcmp(before->identity_key, after->identity_key, KW_DIRECTORY_KEY_SIZE) != 0)
		kw_log(KW_LOG_WARN, "identity_key_replaced", KW_LOG_STR("agency", agency),
			KW_LOG_STR("reason", kw_identity_reason_name(after->identity_change.reason)));
}

struct office_changes {
	struct kw_name agency;
	int64_t hour;
	uint32_t count;
	UT_hash_handle hh;
};

void office_changes_free(struct office *office)
{
	struct office_changes *one;
	struct office_changes *next;
	HASH_ITER(hh, office->changes, one, next) {
		HASH_DEL(office->changes, one);
		free(one);
	}
}

/* Only who has proven who he is comes here: there are no more of them than agencies. */
static enum kw_err count_change(struct office *office, const struct kw_name *agency)
{
	struct office_changes *one;
	int64_t hour = office_now_ms() / KW_ROLES_HOUR_MS;
	HASH_FIND_STR(office->changes, agency->text, one);
	if (one == NULL) {
		one = calloc(1, sizeof(*one));
		if (one == NULL)
			return KW_ENOMEM;
		one->agency = *agency;
		HASH_ADD_STR(office->changes, agency.text, one);
	}
	if (one->hour != hour) {
		one->hour = hour;
		one->count = 0;
	}
	if (one->count == OFFICE_CHANGES_HOUR_MAX)
		return KW_EBUSY;
	one->count++;
	return KW_OK;
}

static enum kw_err change_directory(struct office *office, const struct kw_directory_entry *before,
	const struct kw_renew *renew, const X509 *leaf)
{
	/* A copy: what `before` points to goes with the directory. */
	const struct kw_directory_entry was = *before;
	struct kw_directory_entry entry = was;
	enum kw_err err = next_entry(renew, leaf, &entry);
	if (err != KW_OK || memcmp(&entry, &was, sizeof(entry)) == 0)
		return err;
	err = count_change(office, &entry.agency);
	if (err == KW_OK)
		err = office_roles_change(office, &entry);
	if (err == KW_OK)
		log_changes(&was, &entry);
	return err;
}

static enum kw_err carry_out(struct office *office, const struct office_renewal *renewal, struct kw_name *agency, X509 **leaf)
{
	struct kw_renew renew;
	const struct kw_directory_entry *entry = NULL;
	enum kw_err err = kw_renew_parse(renewal->body, &renew);
	if (err == KW_OK)
		err = judge(office, renewal, &renew, &entry);
	if (entry != NULL)
		*agency = renew.agency;
	if (err != KW_OK)
		return err;
	const struct kw_pki_issuer issuer = {.key = office->issuer_key, .certificate = office->issuer};
	const struct kw_pki_agency whom = {.agency = renew.agency, .hub = office->config->hub};
	err = kw_pki_agency_issue(&issuer, renew.csr, &whom, office_now_ms(), leaf);
	return err != KW_OK ? err : change_directory(office, entry, &renew, *leaf);
}

enum kw_err office_renew(struct office *office, const struct office_renewal *renewal, struct kw_buf *out,
	struct kw_name *agency)
{
	struct kw_renewed renewed = {.clock_unix_ms = office_now_ms()};
	struct kw_buf der[2];
	X509 *leaf = NULL;
	kw_buf_init(&der[0], KW_RENEW_CERTIFICATE_SIZE_MAX);
	kw_buf_init(&der[1], KW_RENEW_CERTIFICATE_SIZE_MAX);
	*agency = (struct kw_name){.text = ""};
	enum kw_err err = carry_out(office, renewal, agency, &leaf);
	if (err == KW_OK)
		err = kw_pki_cert_add_der(leaf, &der[0]);
	if (err == KW_OK)
		err = kw_pki_cert_add_der(office->issuer, &der[1]);
	if (err == KW_OK) {
		renewed.certificates_count = 2;
		renewed.certificates[0] = kw_buf_view(&der[0]);
		renewed.certificates[1] = kw_buf_view(&der[1]);
	}
	renewed.problem = err;
	enum kw_err sent = kw_renewed_add(out, &renewed);
	kw_buf_fini(&der[0]);
	kw_buf_fini(&der[1]);
	X509_free(leaf);
	return err != KW_OK ? err : sent;
}

bool office_key_used(struct office *office, const struct kw_name *agency, const struct kw_digest *key)
{
	const struct kw_directory_entry *entry = kw_directory_find(office->roles->directory, agency);
	if (entry == NULL || memcmp(&entry->tls_key_digest, key, sizeof(*key)) == 0 || !kw_directory_tls_key(entry, key))
		return false;
	struct kw_directory_entry next = *entry;
	next.tls_key_digest = *key;
	next.next_tls_key_digest = (struct kw_digest){.bytes = {0}};
	enum kw_err err = office_roles_change(office, &next);
	kw_log(err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, "tls_key_replaced", KW_LOG_STR("agency", agency->text), KW_LOG_ERR(err));
	return err == KW_OK;
}
