#include "broker/shell/office_inner.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/link/enrolments.h"
#include "proto/link/log.h"
#include "proto/wire/crypt.h"
#include "proto/wire/frame.h"
#include "proto/wire/spki.h"

/* Enrolment at the hub: an agency asks with its code, a person approves, and the office carries it out.
 *
 * Write first: the request is on disk before the agency hears that it was taken, a wrong try before it is refused, and the
 * directory before the reply. A crash in between is mended by who asks or approves again: the same request is the same claim, and
 * an agency that stands in the directory with just these keys only lacks its certificate. */

#define LOCK_WAIT_MS 200u
#define AGAIN_MS 5000 /* after one that could not be carried out */

/* SHA-256 of the identity key in hex, as in `kinward hub list`. */
static const char *identity_of(const struct kw_enrol_ask *ask, char out[2 * KW_DIGEST_SIZE + 1])
{
	struct kw_digest digest;
	const struct kw_view key = KW_VIEW(ask->is.identity_key, KW_KEY_SIZE);
	if (kw_sha256(&key, 1, &digest) != KW_OK)
		return NULL;
	kw_hex(out, KW_VIEW_OF(digest.bytes));
	return out;
}

/* Certificate, directory, reply. An entry with other keys than these is another agency of the same name. */
static enum kw_err make_agency(struct office *office, struct kw_enrolment *enrolment, const struct kw_enrol_ask *ask)
{
	const struct kw_pki_issuer issuer = {.key = office->issuer_key, .certificate = office->issuer};
	const struct kw_pki_agency whom = {.agency = enrolment->agency, .hub = office->config->hub};
	struct kw_directory_entry entry;
	X509 *leaf = NULL;
	enum kw_err err = kw_pki_agency_issue(&issuer, ask->is.csr, &whom, office_now_ms(), &leaf);
	if (err == KW_OK)
		err = office_describe(&ask->is, &whom.agency, leaf, &entry);
	const struct kw_directory_entry *there = kw_directory_find(office->roles->directory, &whom.agency);
	if (err == KW_OK && there == NULL)
		err = office_roles_extend(office, &entry);
	else if (err == KW_OK && (there->revoked || memcmp(there->identity_key, entry.identity_key, KW_KEY_SIZE) != 0 ||
		memcmp(&there->tls_key_digest, &entry.tls_key_digest, sizeof(entry.tls_key_digest)) != 0))
		err = KW_EEXIST;
	if (err == KW_OK) {
		kw_buf_fini(&enrolment->reply);
		kw_buf_init(&enrolment->reply, KW_FRAME_SIZE_MAX);
		err = office_add_reply(office, &whom.agency, leaf, &enrolment->reply);
	}
	X509_free(leaf);
	return err;
}

/* With the lock. What can never be done is refused, so that it does not stand there for ever. */
static enum kw_err carry_out(struct office *office, struct kw_enrolment *enrolment)
{
	struct kw_enrol_ask ask;
	char identity[2 * KW_DIGEST_SIZE + 1];
	enum kw_err err = kw_enrol_ask_parse(kw_buf_view(&enrolment->ask), &ask);
	const char *shown = err == KW_OK ? identity_of(&ask, identity) : NULL;
	bool never = err != KW_OK;
	if (err == KW_OK) {
		err = make_agency(office, enrolment, &ask);
		never = err == KW_EEXIST;
	}
	if (err == KW_OK || never) {
		enrolment->state = err == KW_OK ? KW_ENROLMENT_DONE : KW_ENROLMENT_REFUSED;
		enum kw_err saved = kw_enrolments_save(office->config->folder, enrolment);
		err = err != KW_OK ? err : saved;
	}
	kw_log(err == KW_OK ? KW_LOG_INFO : KW_LOG_WARN, "enrolment", KW_LOG_STR("agency", enrolment->agency.text),
		KW_LOG_STR("identity", shown), KW_LOG_INT("alone", enrolment->alone), KW_LOG_INT("alarms", enrolment->alarms),
		KW_LOG_ERR(err));
	return err;
}

struct round {
	struct office *office;
	bool later; /* something is left to do */
};

static bool carry_out_one(void *user, struct kw_enrolment *enrolment, enum kw_err err)
{
	struct round *round = user;
	if (err == KW_OK && enrolment->state == KW_ENROLMENT_APPROVED && carry_out(round->office, enrolment) != KW_OK &&
		enrolment->state == KW_ENROLMENT_APPROVED)
		round->later = true;
	return true;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A file of the folder that changes is renamed into it, which changes the folder's time. */
bool office_enrol_tick(struct office *office)
{
	char path[CONFIG_PATH_SIZE];
	struct stat info;
	struct round round = {.office = office};
	int lock;
	int64_t now = office_now_ms();
	uint64_t version = office->roles->directory->version;
	if (config_path(office->config, "enrol", path) != KW_OK || stat(path, &info) != 0 ||
		same_time(&info.st_mtim, &office->enrol_seen) || now - office->enrol_tried_unix_ms < AGAIN_MS)
		return false;
	enum kw_err err = kw_enrolments_lock(office->config->folder, 0, &lock);
	if (err != KW_OK)
		return false; /* the next tick */
	err = kw_enrolments_each(office->config->folder, carry_out_one, &round);
	/* The time as it is after our own writing, and not of the second that is not over yet. */
	if (err == KW_OK && !round.later && stat(path, &info) == 0 && now / 1000 > info.st_mtim.tv_sec)
		office->enrol_seen = info.st_mtim;
	if (err != KW_OK || round.later)
		office->enrol_tried_unix_ms = now;
	kw_enrolments_unlock(lock);
	return office->roles->directory->version != version;
}

static void tell(const struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	const struct kw_enrolment_verdict *verdict, enum kw_enrolment_state was, const char *address)
{
	char identity[2 * KW_DIGEST_SIZE + 1];
	const char *agency = enrolment->agency.text;
	if (enrolment->state == KW_ENROLMENT_BURNT && was != KW_ENROLMENT_BURNT)
		kw_log(KW_LOG_ERROR, "code_burnt", KW_LOG_STR("agency", agency), KW_LOG_STR("address", address),
			KW_LOG_INT("tries", enrolment->tries), KW_LOG_STR("text", "too many wrong tries of a code: it enrols nobody any more. "
				"Make another one with kinward hub add, and ask who has seen this one"));
	else if (enrolment->state == KW_ENROLMENT_EXPIRED && was != KW_ENROLMENT_EXPIRED)
		kw_log(KW_LOG_WARN, "code_expired", KW_LOG_STR("agency", agency), KW_LOG_STR("address", address));
	else if (enrolment->state == KW_ENROLMENT_ASKED && was == KW_ENROLMENT_WAITING)
		kw_log(KW_LOG_INFO, "enrolment_asked", KW_LOG_STR("agency", agency), KW_LOG_STR("address", address),
			KW_LOG_STR("identity", identity_of(visit->ask, identity)));
	if (verdict->alarm)
		kw_log(KW_LOG_ERROR, "enrolment_alarm", KW_LOG_STR("agency", agency), KW_LOG_STR("address", address),
			KW_LOG_STR("identity", identity_of(visit->ask, identity)), KW_LOG_STR("text", "a second, other request came with a code "
				"that is claimed: somebody has it who should not. Look at kinward hub enrolments before anything is approved"));
}

/* The visit under the lock; the answer is in *out. */
static enum kw_err judge(struct office *office, struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	const char *address, struct office_answer *out)
{
	struct kw_enrolment_verdict verdict;
	enum kw_enrolment_state was = enrolment->state;
	enum kw_err err = kw_enrolment_visit(enrolment, visit, &verdict);
	if (verdict.changed) {
		enum kw_err saved = kw_enrolments_save(office->config->folder, enrolment);
		err = err != KW_OK ? err : saved;
		if (saved != KW_OK)
			kw_log(KW_LOG_ERROR, "enrolment_not_stored", KW_LOG_STR("agency", enrolment->agency.text), KW_LOG_ERR(saved));
	}
	if (err == KW_OK || err == KW_EAUTH)
		tell(enrolment, visit, &verdict, was, address);
	if (err == KW_OK && verdict.phase == KW_ENROL_APPROVED) {
		(void)carry_out(office, enrolment); /* logged there; else the next tick or visit */
		verdict.phase = enrolment->state == KW_ENROLMENT_DONE ? 0 : enrolment->state == KW_ENROLMENT_REFUSED ? KW_ENROL_EXISTS
			: KW_ENROL_APPROVED;
	}
	if (err != KW_OK)
		return err;
	out->agency = enrolment->agency;
	out->phase = verdict.phase;
	if (verdict.phase == 0)
		return kw_buf_add(out->reply, kw_buf_view(&enrolment->reply));
	const struct kw_enrol_state state = {.phase = verdict.phase, .agency = enrolment->agency};
	return kw_enrol_state_add(out->reply, &state);
}

enum kw_err office_enrol(struct office *office, struct kw_view body, const struct kw_digest *binding, const char *address,
	struct office_answer *out)
{
	struct kw_enrol_ask ask;
	struct kw_enrolment enrolment;
	struct kw_digest root;
	int lock;
	enum kw_err err = kw_enrol_ask_parse(body, &ask);
	if (err == KW_OK)
		err = kw_spki_digest(office->root, &root);
	if (err == KW_OK)
		err = kw_enrolments_lock(office->config->folder, LOCK_WAIT_MS, &lock);
	if (err == KW_OK) {
		err = kw_enrolments_load(office->config->folder, ask.is.code_id, &enrolment);
		const struct kw_enrolment_visit visit = {.ask = &ask,
			.bytes = body,
			.binding = binding,
			.root_fingerprint = &root,
			.now_s = office_now_ms() / 1000,
			.exists = err == KW_OK && kw_directory_find(office->roles->directory, &enrolment.agency) != NULL};
		if (err == KW_OK)
			err = judge(office, &enrolment, &visit, address, out);
		else if (err == KW_ENOTFOUND)
			err = KW_EAUTH; /* as a wrong proof: nobody learns which codes there are */
		kw_enrolment_fini(&enrolment);
		kw_enrolments_unlock(lock);
	}
	if (err != KW_OK)
		kw_log(KW_LOG_WARN, "enrolment_refused", KW_LOG_STR("address", address), KW_LOG_ERR(err));
	return err;
}
