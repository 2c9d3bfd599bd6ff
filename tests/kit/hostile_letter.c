#include "tests/kit/hostile_letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"

#define CONTENT_BUF_SIZE ((size_t)KW_CONTENT_SIZE_MAX * 2)

uint32_t hostile_hour_in(int hours)
{
	return (uint32_t)((int)(time(NULL) / 3600) + hours);
}

static struct kw_name name_of(const char *text)
{
	struct kw_name name = {{0}};
	assert_int_equal(kw_name_from(kw_view_str(text), &name), KW_OK);
	return name;
}

/* The sender's randomness, which the test sees: the second draw is the message key. */
struct watched {
	struct kw_seal_random random;
	uint32_t draws;
	uint8_t *dek;
};

static enum kw_err watched_fill(void *user, void *out, size_t size)
{
	struct watched *watched = user;
	enum kw_err err = kw_random(out, size);
	if (err == KW_OK && watched->draws++ == 1) {
		assert_int_equal(size, KW_DEK_SIZE);
		memcpy(watched->dek, out, size);
	}
	return err;
}

/* A field that nobody knows makes a content as long as it may be wanted. */
static void lengthen(struct kw_buf *content, size_t size)
{
	if (content->size + 5 >= size)
		return;
	size_t rest = size - content->size - 5;
	const uint8_t head[5] = {0xfa, 0x3e, (uint8_t)(0x80 | (rest & 0x7f)), (uint8_t)(0x80 | (rest >> 7 & 0x7f)), (uint8_t)(rest >> 14)};
	assert_int_equal(kw_buf_add(content, KW_VIEW_OF(head)), KW_OK);
	assert_int_equal(kw_buf_reserve(content, rest), KW_OK);
	memset(content->data + content->size, 'x', rest);
	content->size += rest;
}

static void ask_for_places(struct hostile_letter *letter)
{
	struct kw_fault fault = {0};
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__CapacityQuery query = KINWARD__V1__CAPACITY_QUERY__INIT;
	char place[] = "SS0101";
	assert_int_equal(kw_random(letter->message_id.bytes, KW_ID_SIZE), KW_OK);
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = letter->message_id.bytes};
	content.created_unix_ms = (int64_t)time(NULL) * 1000;
	content.body_case = KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY;
	content.capacity_query = &query;
	query.service = KINWARD__V1__SERVICE_TYPE__SERVICE_TYPE_SHELTER;
	query.admin2_pcode = place;
	assert_int_equal(kw_content_pack(&content, &letter->content, &fault), KW_OK);
}

static void make_request(struct hostile_letter *letter, const struct hostile_writing *writing, struct kw_seal_request *request,
	struct kw_seal_recipient *recipients)
{
	static const char *const NAMES[] = {"agency-0", "agency-2", "agency-3", "agency-4"};
	*request = (struct kw_seal_request){.suite = writing->suite != 0 ? writing->suite : KW_SUITE_AES, .recipients = recipients,
		.identity = &writing->from->identity, .home_hub = name_of(writing->home_hub != NULL ? writing->home_hub : "hub-0"),
		.msg_class = KW_URGENT, .expiry_hour = writing->expiry_hour != 0 ? writing->expiry_hour : hostile_hour_in(240),
		.hops_max = 2, .content = kw_buf_view(&letter->content)};
	for (size_t i = 0; i < 4 && writing->to[i] != NULL; i++) {
		struct kw_seal_recipient *to = &recipients[request->recipients_count++];
		to->agency = name_of(writing->to_name[i] != NULL ? writing->to_name[i] : NAMES[i]);
		to->hub = name_of("hub-0");
		assert_int_equal(kw_key_id_from(KW_VIEW_OF(writing->to[i]->sealing_id), &to->key_id), KW_OK);
		memcpy(to->public_key, writing->to[i]->sealing.public_key, KW_KEY_SIZE);
	}
	request->claims = (struct kw_claims){.sender = name_of(writing->sender != NULL ? writing->sender : "agency-1"),
		.sender_hub = name_of(writing->sender_hub != NULL ? writing->sender_hub : "hub-0"),
		.sent_unix_ms = (int64_t)time(NULL) * 1000,
		.content_type = writing->content_type != 0 ? writing->content_type : KINWARD__V1__CONTENT__BODY_CAPACITY_QUERY};
	assert_int_equal(kw_key_id_from(KW_VIEW_OF(writing->from->identity_id), &request->claims.key_id), KW_OK);
	assert_int_equal(kw_random(request->claims.thread_id.bytes, KW_ID_SIZE), KW_OK);
}

void hostile_letter_write(struct hostile_letter *letter, const struct hostile_writing *writing)
{
	struct kw_seal_recipient recipients[4] = {0};
	struct kw_seal_request request;
	struct watched watched = {.random = {.fill = watched_fill}, .dek = letter->dek};
	hostile_letter_fini(letter);
	kw_buf_init(&letter->content, CONTENT_BUF_SIZE);
	kw_buf_init(&letter->header, 512);
	kw_buf_init(&letter->slot, 4096);
	kw_buf_init(&letter->body, KW_ENVELOPE_SIZE_MAX);
	kw_buf_init(&letter->bytes, (size_t)KW_ENVELOPE_SIZE_MAX * 2);
	if (writing->content.size > 0)
		assert_int_equal(kw_buf_add(&letter->content, writing->content), KW_OK);
	else
		ask_for_places(letter);
	lengthen(&letter->content, writing->content_size);
	make_request(letter, writing, &request, recipients);
	watched.random.user = &watched;
	request.random = &watched.random;
	assert_int_equal(kw_seal(&request, &letter->sealed), KW_OK);
	letter->claims = request.claims;
	hostile_letter_take_apart(letter, 0);
	hostile_letter_new_keys(letter, letter->dek);
	assert_memory_equal(letter->commit, letter->parts.commit, KW_DIGEST_SIZE); /* it is the message key */
	hostile_letter_take_apart(letter, 0);
}

void hostile_letter_fini(struct hostile_letter *letter)
{
	kw_sealed_fini(&letter->sealed);
	kw_buf_fini(&letter->content);
	kw_buf_fini(&letter->header);
	kw_buf_fini(&letter->slot);
	kw_buf_fini(&letter->body);
	kw_buf_fini(&letter->bytes);
	memset(letter, 0, sizeof(*letter));
}

struct kw_view hostile_letter_envelope(const struct hostile_letter *letter, size_t recipient)
{
	assert_true(recipient < letter->sealed.envelopes_count);
	return kw_buf_view(&letter->sealed.envelopes[recipient]);
}

void hostile_letter_take_apart(struct hostile_letter *letter, size_t recipient)
{
	assert_int_equal(kw_envelope_parse(hostile_letter_envelope(letter, recipient), &letter->parts), KW_OK);
}

struct kw_view hostile_letter_encode(struct hostile_letter *letter)
{
	kw_buf_clear(&letter->bytes);
	assert_int_equal(kw_envelope_add(&letter->bytes, &letter->parts), KW_OK);
	return kw_buf_view(&letter->bytes);
}

void hostile_letter_new_header(struct hostile_letter *letter)
{
	kw_buf_clear(&letter->header);
	assert_int_equal(kw_envelope_add_header(&letter->header, &letter->parts.label), KW_OK);
	letter->parts.header = kw_buf_view(&letter->header);
}

void hostile_letter_new_slot(struct hostile_letter *letter)
{
	kw_buf_clear(&letter->slot);
	assert_int_equal(kw_envelope_add_slot(&letter->slot, &letter->parts), KW_OK);
	letter->parts.slot = kw_buf_view(&letter->slot);
}

void hostile_letter_new_keys(struct hostile_letter *letter, const uint8_t *dek)
{
	struct kw_digest header_hash;
	assert_int_equal(kw_sha256(&letter->parts.header, 1, &header_hash), KW_OK);
	assert_int_equal(kw_suite_keys(letter->parts.label.suite, &header_hash, dek, &letter->keys), KW_OK);
	memcpy(letter->commit, letter->keys.commit, KW_DIGEST_SIZE);
	letter->parts.commit = letter->commit;
}

void hostile_letter_seal_slot(struct hostile_letter *letter, const uint8_t *dek, const struct kw_x25519 *to)
{
	struct kw_slot_info info;
	struct kw_digest header_hash;
	assert_int_equal(kw_sha256(&letter->parts.header, 1, &header_hash), KW_OK);
	kw_slot_info(&letter->parts, &header_hash, &info);
	struct kw_hpke_send send = {
		.suite = {.mode = KW_HPKE_BASE, .kem = kw_suite_kem(letter->parts.label.suite),
			.aead = (uint16_t)kw_suite_aead(letter->parts.label.suite), .info = KW_VIEW(info.bytes, info.size)},
		.recipient = to->public_key,
	};
	assert_int_equal(kw_hpke_seal_once(&send, KW_VIEW(dek, KW_DEK_SIZE), letter->enc), KW_OK);
	letter->parts.enc = letter->enc;
	letter->parts.sealed_key = KW_VIEW(letter->enc + KW_HPKE_ENC_SIZE, KW_SEALED_KEY_SIZE);
	hostile_letter_new_slot(letter);
}

void hostile_letter_new_body(struct hostile_letter *letter, struct kw_view content)
{
	struct kw_buf padded;
	size_t size = letter->parts.label.size_bucket;
	kw_buf_init(&padded, KW_BODY_SIZE_MAX);
	assert_int_equal(kw_buf_add(&padded, content), KW_OK);
	assert_int_equal(kw_pad_add(&padded, size), KW_OK);
	kw_buf_clear(&letter->body);
	assert_int_equal(kw_buf_reserve(&letter->body, kw_body_sealed_size(size)), KW_OK);
	assert_int_equal(kw_body_seal(&letter->keys, kw_buf_view(&padded), letter->body.data), KW_OK);
	letter->body.size = kw_body_sealed_size(size);
	letter->parts.body = kw_buf_view(&letter->body);
	kw_buf_fini(&padded);
}

void hostile_letter_digest(const struct hostile_letter *letter, struct kw_digest *out)
{
	struct kw_digest header_hash;
	assert_int_equal(kw_sha256(&letter->parts.header, 1, &header_hash), KW_OK);
	assert_int_equal(kw_envelope_digest_of(&letter->parts, &header_hash, out), KW_OK);
}

/* The true signature, which whoever knows the message key can read. */
static void take_signature(struct hostile_letter *letter)
{
	uint8_t block[KW_AUTH_SIZE_MAX];
	size_t size;
	struct kw_envelope first;
	struct kw_suite_keys keys;
	struct kw_digest header_hash;
	struct kw_auth_block parts;
	assert_int_equal(kw_envelope_parse(hostile_letter_envelope(letter, 0), &first), KW_OK);
	assert_int_equal(kw_sha256(&first.header, 1, &header_hash), KW_OK);
	assert_int_equal(kw_suite_keys(first.label.suite, &header_hash, letter->dek, &keys), KW_OK);
	assert_int_equal(kw_auth_open(&keys, &letter->sealed.digest, first.auth, block), KW_OK);
	assert_int_equal(kw_pad_strip(KW_VIEW(block, first.auth.size - KW_AEAD_TAG_SIZE), &size), KW_OK);
	assert_int_equal(kw_auth_block_parse(KW_VIEW(block, size), &parts), KW_OK);
	memcpy(letter->signature, parts.signature.data, KW_SIGNATURE_SIZE);
}

void hostile_letter_new_auth(struct hostile_letter *letter, const struct kw_claims *claims, const struct kw_ed25519 *signer)
{
	struct kw_digest digest;
	struct kw_signed signed_bytes;
	struct kw_buf claims_bytes;
	struct kw_buf block;
	kw_buf_init(&claims_bytes, KW_AUTH_SIZE_MAX);
	kw_buf_init(&block, KW_AUTH_SIZE_MAX);
	assert_int_equal(kw_claims_add(&claims_bytes, claims), KW_OK);
	hostile_letter_digest(letter, &digest);
	kw_signed_from(&digest, kw_buf_view(&claims_bytes), &signed_bytes);
	if (signer != NULL)
		assert_int_equal(kw_ed25519_sign(signer, KW_VIEW(signed_bytes.bytes, signed_bytes.size), letter->signature), KW_OK);
	else
		take_signature(letter);
	const struct kw_auth_block parts = {kw_buf_view(&claims_bytes), KW_VIEW_OF(letter->signature)};
	assert_int_equal(kw_auth_block_add(&block, &parts), KW_OK);
	assert_int_equal(kw_pad_add(&block, kw_pad_auth_size(block.size)), KW_OK);
	assert_int_equal(kw_auth_seal(&letter->keys, &digest, kw_buf_view(&block), letter->auth), KW_OK);
	letter->parts.auth = KW_VIEW(letter->auth, block.size + KW_AEAD_TAG_SIZE);
	kw_buf_fini(&claims_bytes);
	kw_buf_fini(&block);
}
