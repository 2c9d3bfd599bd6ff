#include "agent/shell/letter.h"

#include <string.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "proto/wire/evidence.h"
#include "proto/wire/open.h"
#include "proto/wire/pbscan.h"
#include "proto/wire/seal.h"

/* A key of the day in place of the directory's, where one is known: else that is the last resort. */
static enum kw_err take_dated(const struct letter_office *office, const struct kw_directory_entry *entry, struct kw_view gone,
	struct kw_seal_recipient *out)
{
	struct prekey_choice dated;
	enum kw_err err = office->peers == NULL ? KW_ENOTFOUND : prekey_peers_choose(office->peers, entry, office->day, &dated);

	if (err != KW_OK || kw_view_equal(gone, KW_VIEW_OF(dated.key_id)))
		return err == KW_ENOTFOUND || err == KW_EEXPIRED ? KW_OK : err;
	memcpy(out->public_key, dated.public_key, sizeof(out->public_key));
	return kw_key_id_from(KW_VIEW_OF(dated.key_id), &out->key_id);
}

static enum kw_err recipient_of(const struct letter_office *office, const struct letter *letter,
	struct kw_seal_recipient *out, enum kw_suite *suite)
{
	const struct kw_directory_entry *entry =
		office->directory == NULL ? NULL : kw_directory_find(office->directory, &letter->to);

	if (entry == NULL || entry->sealing_keys_count == 0)
		return KW_ENOAGENCY;
	if (entry->revoked)
		return KW_EDENIED;
	struct kw_directory_choice choice;
	enum kw_err err = kw_directory_choose(entry, kw_hybrid_able(), &choice);
	if (err == KW_OK && choice.hybrid_key != NULL && kw_view_equal(letter->gone_key_id, KW_VIEW(choice.key_id, KW_DIRECTORY_KEY_ID_SIZE)))
		err = kw_directory_choose(entry, false, &choice); /* its ML-KEM may be gone with a libcrypto */
	if (err == KW_OK)
		err = kw_key_id_from(KW_VIEW(choice.key_id, KW_DIRECTORY_KEY_ID_SIZE), &out->key_id);
	if (err != KW_OK)
		return err;
	*suite = (enum kw_suite)choice.suite;
	out->hybrid_key = choice.hybrid_key;
	out->agency = entry->agency;
	out->hub = office->hub;
	if (choice.public_key != NULL)
		memcpy(out->public_key, choice.public_key, sizeof(out->public_key));
	return choice.public_key != NULL ? take_dated(office, entry, letter->gone_key_id, out) : KW_OK;
}

/* The content with the gaps behind it. Without them when both are too much for one message: the next one says so too. */
static enum kw_err with_gaps(const struct letter *letter, struct kw_buf *out)
{
	static const struct kw_id own;
	Kinward__V1__ThreadGap gaps[SPOOL_GAPS_MAX];
	Kinward__V1__ThreadGap *list[SPOOL_GAPS_MAX];
	Kinward__V1__Content extra = KINWARD__V1__CONTENT__INIT;
	enum kw_err err = kw_buf_add(out, letter->content);

	for (uint32_t i = 0; i < letter->gaps_count; i++) {
		kinward__v1__thread_gap__init(&gaps[i]);
		gaps[i].thread_sequence = (uint32_t)letter->gaps[i].sequence; /* far below, as the log of a thread is short */
		gaps[i].state = letter->gaps[i].state;
		if (!kw_id_equal(&letter->gaps[i].thread_id, &own))
			gaps[i].thread_id = (ProtobufCBinaryData){
				.len = KW_ID_SIZE, .data = (uint8_t *)(uintptr_t)letter->gaps[i].thread_id.bytes};
		list[i] = &gaps[i];
	}
	extra.n_gaps = letter->gaps_count;
	extra.gaps = list;
	if (err == KW_OK)
		err = kw_buf_reserve(out, kinward__v1__content__get_packed_size(&extra));
	if (err != KW_OK)
		return err;
	out->size += kinward__v1__content__pack(&extra, out->data + out->size);
	if (out->size > KW_CONTENT_SIZE_MAX ||
		kw_pb_prescan(kw_buf_view(out), &kinward__v1__content__descriptor, KW_PB_LIMITS) != KW_OK)
		out->size = letter->content.size;
	return KW_OK;
}

enum kw_err letter_seal(const struct letter_office *office, const struct letter *letter, struct letter_sealed *out)
{
	return letter_seal_proved(office, letter, NULL, out);
}

enum kw_err letter_seal_proved(const struct letter_office *office, const struct letter *letter, struct kw_buf *proof,
	struct letter_sealed *out)
{
	struct kw_seal_recipient recipient = {0};
	struct kw_seal_request request = {.recipients = &recipient,
		.recipients_count = 1,
		.identity = &office->keys->identity,
		.home_hub = office->hub,
		.msg_class = letter->msg_class,
		.expiry_hour = letter->expiry_hour,
		.hops_max = LETTER_HOPS_MAX,
		.content = letter->content};
	struct kw_sealed sealed;
	enum kw_err err = recipient_of(office, letter, &recipient, &request.suite);

	if (err != KW_OK)
		return err;
	request.claims = (struct kw_claims){.sender = office->agency,
		.sender_hub = office->hub,
		.sent_unix_ms = letter->now_ms,
		.content_type = letter->content_type,
		.thread_id = letter->thread_id,
		.thread_sequence = letter->thread_sequence};
	struct kw_buf content;
	kw_buf_init(&content, (size_t)KW_CONTENT_SIZE_MAX * 2);
	err = kw_key_id_from(KW_VIEW_OF(office->keys->identity_id), &request.claims.key_id);
	if (err == KW_OK && letter->gaps_count > 0) {
		err = with_gaps(letter, &content);
		request.content = kw_buf_view(&content);
	}
	if (err == KW_OK)
		err = kw_seal(&request, &sealed);
	kw_buf_fini(&content);
	if (err != KW_OK)
		return err;
	if (proof != NULL)
		err = kw_envelope_proof_of(&sealed, 0, proof);
	struct spool_box *box = err == KW_OK ? spool_box_new(kw_buf_view(&sealed.envelopes[0])) : NULL;
	if (err == KW_OK && box == NULL)
		err = KW_ENOMEM;
	if (err == KW_OK)
		*out = (struct letter_sealed){.envelope_id = sealed.envelope_id, .digest = sealed.digest, .box = box};
	kw_sealed_fini(&sealed);
	return err;
}

/* Of one opening. */
struct lookup {
	const struct letter_office *office;
	uint8_t sender_key[KW_KEY_SIZE];
};

static enum kw_err find_secret(void *user, struct kw_view key_id, struct kw_x25519 *out)
{
	const struct letter_office *office = ((const struct lookup *)user)->office;

	enum kw_err err = keys_sealing_find(office->keys, key_id, out);

	return err != KW_ENOTFOUND || office->prekeys == NULL ? err : prekeys_find(office->prekeys, key_id, out);
}

static enum kw_err find_hybrid(void *user, struct kw_view key_id, struct kw_hybrid *out)
{
	return keys_hybrid_find(((const struct lookup *)user)->office->keys, key_id, out);
}

static enum kw_err find_identity(void *user, const struct kw_open_sender *sender, uint8_t *out)
{
	struct lookup *lookup = user;
	const struct letter_office *office = lookup->office;

	if (office->directory == NULL || !kw_name_equal(sender->hub, &office->hub))
		return KW_ENOTFOUND;
	const struct kw_directory_entry *entry = kw_directory_find(office->directory, sender->agency);
	if (entry == NULL || entry->revoked)
		return KW_ENOTFOUND;
	const uint8_t *key = kw_directory_identity(entry, sender->key_id, sender->sent_unix_ms, office->now_ms);
	if (key == NULL)
		return KW_ENOTFOUND;
	memcpy(lookup->sender_key, key, KW_KEY_SIZE);
	memcpy(out, key, KW_KEY_SIZE);
	return KW_OK;
}

static bool lists(const uint8_t *suites, uint8_t count, enum kw_suite suite)
{
	return memchr(suites, (int)suite, count) != NULL;
}

/* Whether we ever said that one may seal to us in this suite. *weaker: we said that there is a better one. */
static bool is_listed(const struct letter_office *office, enum kw_suite suite, bool *weaker)
{
	const struct kw_directory_entry *own =
		office->directory == NULL ? NULL : kw_directory_find(office->directory, &office->agency);
	bool found = own == NULL; /* no directory: nobody is known either */

	*weaker = own != NULL && own->hybrid_keys_count > 0 && suite != KW_SUITE_HYBRID;
	for (uint8_t i = 0; own != NULL && i < own->sealing_keys_count; i++)
		found = found || lists(own->sealing_keys[i].suites, own->sealing_keys[i].suites_count, suite);
	for (uint8_t i = 0; own != NULL && i < own->hybrid_keys_count; i++)
		found = found || lists(own->hybrid_keys[i].suites, own->hybrid_keys[i].suites_count, suite);
	return found;
}

/* What kw_open leaves to us: what we said of ourselves, and that the header names the home of who signed. */
static enum kw_err check_opened(const struct letter_office *office, const struct kw_opened *opened, bool *weaker,
	enum kw_open_reason *why)
{
	bool home = kw_name_equal(&opened->home_hub, &opened->claims.sender_hub);

	if (is_listed(office, opened->suite, weaker) && home)
		return KW_OK;
	*why = home ? KW_OPEN_SUITE : KW_OPEN_CLAIMS;
	return KW_EOPEN;
}

enum kw_err letter_open(const struct letter_office *office, struct kw_view envelope, struct letter_opened *out,
	const char **reason)
{
	struct lookup lookup = {.office = office};
	struct kw_open_request request = {.envelope = envelope,
		.agency = office->agency,
		.hub = office->hub,
		.find_secret = find_secret,
		.find_hybrid = find_hybrid,
		.find_identity = find_identity,
		.user = &lookup};
	struct kw_opened opened;
	enum kw_open_reason why;
	bool weaker = false;
	enum kw_err err = kw_open(&request, &opened, &why);

	if (err == KW_OK) {
		err = check_opened(office, &opened, &weaker, &why);
		if (err != KW_OK)
			kw_opened_fini(&opened);
	}
	*reason = kw_open_reason_name(why);
	if (err != KW_OK)
		return err;
	memset(out, 0, sizeof(*out));
	out->weaker = weaker;
	out->item.thread_id = opened.claims.thread_id;
	out->item.thread_sequence = opened.claims.thread_sequence;
	out->item.agency = opened.claims.sender;
	out->item.envelope_id = opened.envelope_id;
	out->item.digest = opened.digest;
	out->expiry_hour = opened.expiry_hour;
	out->content_type = opened.claims.content_type;
	memcpy(out->sender_key, lookup.sender_key, KW_KEY_SIZE);
	out->content = opened.content; /* moved */
	memset(&opened.content, 0, sizeof(opened.content));
	kw_opened_fini(&opened);
	return KW_OK;
}

void letter_opened_fini(struct letter_opened *opened)
{
	kw_buf_fini(&opened->content);
}

struct kw_id letter_id(struct kw_view envelope)
{
	struct kw_envelope_label label = {0};

	if (kw_envelope_peek(envelope, &label) != KW_OK)
		return (struct kw_id){0};
	return label.id;
}
