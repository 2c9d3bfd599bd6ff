/* The code of an enrolment, its proof and phrase, and how a hub judges who comes with it: time is a number here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/wire/enrolment.h"
#include "tests/kit/asker.h"

#define MADE_S INT64_C(1000000)
#define EXPIRES_S (MADE_S + KW_ENROL_LIFE_S)

static const struct kw_digest ROOT = {{1}};
static const struct kw_digest BINDING = {{2}};
static const struct kw_digest OTHER_BINDING = {{3}};

static void test_enrolment_code_survives_a_persons_hand(void **state)
{
	(void)state;
	struct kw_enrol_code code = {.address = "hub.example.org:7443", .agency = {"agency-a"}};
	struct kw_enrol_code got;
	char text[KW_ENROL_TEXT_SIZE_MAX];
	memset(code.secret, 0xa5, sizeof(code.secret));
	memset(code.root_fingerprint.bytes, 0x3c, sizeof(code.root_fingerprint.bytes));
	assert_int_equal(kw_enrol_code_format(&code, text), KW_OK);
	for (char *at = text; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
		else if (*at == '0')
			*at = 'o';
	}
	assert_int_equal(kw_enrol_code_parse(text, &got), KW_OK);
	assert_string_equal(got.address, code.address);
	assert_string_equal(got.agency.text, "agency-a");
	assert_memory_equal(got.secret, code.secret, sizeof(code.secret));
	assert_memory_equal(&got.root_fingerprint, &code.root_fingerprint, sizeof(code.root_fingerprint));
	size_t size = strlen(text);
	for (size_t i = 4; i < size; i++) {
		char old = text[i];
		if (old == '-')
			continue;
		text[i] = old == '7' ? '8' : '7';
		assert_int_not_equal(kw_enrol_code_parse(text, &got), KW_OK);
		text[i] = old;
	}
	assert_int_equal(kw_enrol_code_parse("hello", &got), KW_EFORMAT);
	assert_int_equal(kw_enrol_code_parse("KW2-00000", &got), KW_EVERSION);
	/* The longest names that there are fit, and come back. */
	memset(code.address, 'a', KW_ENROL_ADDRESS_SIZE_MAX);
	memset(code.agency.text, 'b', KW_NAME_SIZE_MAX);
	assert_int_equal(kw_enrol_code_format(&code, text), KW_OK);
	assert_true(strlen(text) < KW_ENROL_TEXT_SIZE_MAX);
	assert_int_equal(kw_enrol_code_parse(text, &got), KW_OK);
	assert_string_equal(got.address, code.address);
	assert_string_equal(got.agency.text, code.agency.text);
	text[strlen(text) - 1] = 'Z';
	(void)snprintf(text + strlen(text), 8, "ZZZZZ"); /* longer than any code */
	assert_int_not_equal(kw_enrol_code_parse(text, &got), KW_OK);
	memset(&code.agency, 0, sizeof(code.agency));
	assert_int_equal(kw_enrol_code_format(&code, text), KW_EFIELD);
	memcpy(code.agency.text, "a", 2);
	code.address[0] = '\0';
	assert_int_equal(kw_enrol_code_format(&code, text), KW_EFIELD);
}

/* Worked out with hashlib and hmac of Python. */
static void test_what_is_derived_of_a_code_is_what_the_protocol_says(void **state)
{
	(void)state;
	uint8_t secret[KW_ENROL_SECRET_SIZE];
	uint8_t id[KW_ENROL_ID_SIZE];
	uint8_t keys[4][KW_KEY_SIZE];
	uint8_t signatures[2][KW_SIGNATURE_SIZE];
	struct kw_digest key;
	struct kw_digest root;
	char text[2 * KW_DIGEST_SIZE + 1];
	char phrase[KW_ENROL_PHRASE_SIZE];
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	assert_int_equal(kw_enrol_code_id(secret, id), KW_OK);
	kw_hex(text, KW_VIEW_OF(id));
	assert_string_equal(text, "b49465929f07dcf1a6bb8c53ba86144a");
	assert_int_equal(kw_enrol_code_key(secret, &key), KW_OK);
	kw_hex(text, KW_VIEW_OF(key.bytes));
	assert_string_equal(text, "76d495ca59fffcb37aa95486970569f80645e47876b5033ad73d9a9438e319de");
	for (int i = 0; i < 4; i++)
		memset(keys[i], 0x11 * (i + 1), KW_KEY_SIZE);
	memset(signatures[0], 0x55, KW_SIGNATURE_SIZE);
	memset(signatures[1], 0x66, KW_SIGNATURE_SIZE);
	memcpy(root.bytes, keys[0], KW_KEY_SIZE);
	struct kw_digest proof;
	struct kw_enrol_ask ask = {.request = kw_view_str("request"), .identity_signature = signatures[0],
		.tls_signature = signatures[1], .proof = proof.bytes, .is = {.identity_key = keys[1], .sealing_key = keys[2]}};
	memcpy(ask.tls_key, keys[3], KW_KEY_SIZE);
	const struct kw_name agency = {"agency-a"};
	assert_int_equal(kw_enrol_phrase(&root, &agency, &ask, phrase), KW_OK);
	assert_string_equal(phrase, "8408 3588 2057 0571 3861 1824");
	struct kw_digest binding;
	memset(binding.bytes, 0x77, sizeof(binding.bytes));
	assert_int_equal(kw_unhex(proof.bytes, KW_DIGEST_SIZE, "e2d40259d7193206d599f20dd2c8703794c46f7359d4b734aa22dd96048d1a6b"), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &key, &binding), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &key, NULL), KW_EAUTH);
	binding.bytes[31] ^= 1;
	assert_int_equal(kw_enrol_ask_prove(&ask, &key, &binding), KW_EAUTH);
	assert_int_equal(kw_unhex(proof.bytes, KW_DIGEST_SIZE, "d0511ac663971ae3663e23ec56eaf215610419a4993061aad1b739b84de0e586"), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &key, NULL), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &key, &binding), KW_EAUTH);
}

static void test_a_phrase_is_compared_by_its_digits(void **state)
{
	(void)state;
	static const char PHRASE[] = "8408 3588 2057 0571 3861 1824";
	assert_true(kw_enrol_phrase_equal(PHRASE, PHRASE));
	assert_true(kw_enrol_phrase_equal(PHRASE, "840835882057057138611824"));
	assert_true(kw_enrol_phrase_equal(PHRASE, " 8408-3588.2057 0571 3861 1824 "));
	assert_false(kw_enrol_phrase_equal(PHRASE, "8408 3588 2057 0571 3861 1825"));
	assert_false(kw_enrol_phrase_equal(PHRASE, "8408 3588 2057 0571 3861"));
	assert_false(kw_enrol_phrase_equal(PHRASE, "8408 3588 2057 0571 3861 18240"));
	assert_false(kw_enrol_phrase_equal(PHRASE, "8408 3588 2057 0571 3861 1824x"));
	assert_false(kw_enrol_phrase_equal(PHRASE, ""));
}

/* Every key, the agency's name and the root change the phrase. */
static void test_a_phrase_is_of_all_keys_the_name_and_the_root(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrol_ask ask;
	struct kw_buf bytes;
	char phrase[KW_ENROL_PHRASE_SIZE];
	char other[KW_ENROL_PHRASE_SIZE];
	const struct kw_name agency = {"agency-a"};
	const struct kw_name agency_b = {"agency-b"};
	struct kw_digest root = ROOT;
	uint8_t key[KW_KEY_SIZE] = {9};
	kit_asker_init(&asker, 1);
	kw_buf_init(&bytes, KW_ENROL_ASK_SIZE_MAX);
	kit_asker_ask(&asker, NULL, &bytes);
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_OK);
	assert_memory_equal(ask.tls_key, asker.tls.public_key, KW_KEY_SIZE);
	assert_int_equal(kw_enrol_phrase(&root, &agency, &ask, phrase), KW_OK);
	assert_int_equal(kw_enrol_phrase(&root, &agency_b, &ask, other), KW_OK);
	assert_string_not_equal(phrase, other);
	root.bytes[0] ^= 1;
	assert_int_equal(kw_enrol_phrase(&root, &agency, &ask, other), KW_OK);
	assert_string_not_equal(phrase, other);
	struct kw_enrol_ask changed = ask;
	changed.is.identity_key = key;
	assert_int_equal(kw_enrol_phrase(&ROOT, &agency, &changed, other), KW_OK);
	assert_string_not_equal(phrase, other);
	changed = ask;
	changed.is.sealing_key = key;
	assert_int_equal(kw_enrol_phrase(&ROOT, &agency, &changed, other), KW_OK);
	assert_string_not_equal(phrase, other);
	changed = ask;
	changed.tls_key[31] ^= 1;
	assert_int_equal(kw_enrol_phrase(&ROOT, &agency, &changed, other), KW_OK);
	assert_string_not_equal(phrase, other);
	kw_buf_fini(&bytes);
	kit_asker_fini(&asker);
}

static void test_an_ask_is_refused_with_any_bit_changed(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kit_asker other;
	struct kw_enrol_ask ask;
	struct kw_buf bytes;
	kit_asker_init(&asker, 1);
	kit_asker_init(&other, 1);
	kw_buf_init(&bytes, KW_ENROL_ASK_SIZE_MAX);
	kit_asker_ask(&asker, &BINDING, &bytes);
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &asker.code_key, &BINDING), KW_OK);
	assert_int_equal(kw_enrol_ask_prove(&ask, &asker.code_key, &OTHER_BINDING), KW_EAUTH);
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 4;
		assert_true(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask) != KW_OK ||
			kw_enrol_ask_prove(&ask, &asker.code_key, &BINDING) != KW_OK);
		bytes.data[i] ^= 4;
	}
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(kw_enrol_ask_parse(KW_VIEW(bytes.data, size), &ask), KW_OK);
	/* The TLS key's signature of somebody else, the identity key's of somebody else. */
	for (int i = 0; i < 2; i++) {
		struct kw_enrol_asker mixed = {.identity = i == 0 ? &asker.identity : &other.identity,
			.tls = i == 0 ? &other.tls : &asker.tls, .code_key = asker.code_key};
		kw_buf_clear(&bytes);
		assert_int_equal(kw_enrol_ask_add(&bytes, kw_buf_view(&asker.request), &mixed), KW_OK);
		assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_EAUTH);
	}
	kw_buf_fini(&bytes);
	kit_asker_fini(&asker);
	kit_asker_fini(&other);
}

/* Both keys sign it, so only the CSR itself is at fault. */
static void test_a_csr_that_its_key_has_not_signed_is_refused(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrol_ask ask;
	struct kw_buf bytes;
	kit_asker_init(&asker, 1);
	kw_buf_init(&bytes, KW_ENROL_ASK_SIZE_MAX);
	kit_asker_ask(&asker, NULL, &bytes);
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_OK);
	size_t last = (size_t)(ask.is.csr.data - ask.request.data) + ask.is.csr.size - 1;
	asker.request.data[last] ^= 1;
	kw_buf_clear(&bytes);
	kit_asker_ask(&asker, NULL, &bytes);
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_EAUTH);
	kw_buf_fini(&bytes);
	kit_asker_fini(&asker);
}

static void test_sizes_of_a_request_have_limits(void **state)
{
	(void)state;
	static uint8_t csr[KW_ENROL_CSR_SIZE_MAX + 1];
	static const uint8_t key[KW_KEY_SIZE];
	struct kw_enrol_request request = {.csr = KW_VIEW(csr, KW_ENROL_CSR_SIZE_MAX), .identity_key = key, .sealing_key = key,
		.code_id = key};
	struct kw_ed25519 signer;
	struct kw_buf bytes;
	struct kw_buf ask;
	assert_int_equal(kw_ed25519_generate(&signer), KW_OK);
	kw_buf_init(&bytes, KW_ENROL_REQUEST_SIZE_MAX);
	kw_buf_init(&ask, KW_ENROL_ASK_SIZE_MAX);
	assert_int_equal(kw_enrol_request_add(&bytes, &request), KW_OK);
	const struct kw_enrol_asker asker = {.identity = &signer, .tls = &signer};
	assert_int_equal(kw_enrol_ask_add(&ask, kw_buf_view(&bytes), &asker), KW_OK);
	struct kw_enrol_ask got;
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&ask), &got), KW_EFORMAT); /* that is no CSR; the sizes are well */
	kw_buf_clear(&bytes);
	request.csr.size++;
	assert_int_equal(kw_enrol_request_add(&bytes, &request), KW_EFIELD);
	kw_buf_fini(&bytes);
	kw_buf_fini(&ask);
}

/* --- the hub's judgement */

static void make_waiting(struct kw_enrolment *enrolment, const struct kit_asker *asker)
{
	*enrolment = (struct kw_enrolment){.agency = {"agency-a"}, .key = asker->code_key, .made_by = "Jo Bol", .made_s = MADE_S,
		.expires_s = EXPIRES_S};
	memcpy(enrolment->id, asker->code_id, sizeof(enrolment->id));
}

struct visitor {
	const struct kit_asker *asker;
	bool wrong;
	bool by_file;
	bool exists;
	int64_t now_s;
};

static enum kw_err visit(struct kw_enrolment *enrolment, struct visitor visitor, struct kw_enrolment_verdict *verdict)
{
	struct kw_buf bytes;
	struct kw_enrol_ask ask;
	kw_buf_init(&bytes, KW_ENROL_ASK_SIZE_MAX);
	const struct kw_digest *binding = visitor.by_file ? NULL : &BINDING;
	kit_asker_ask(visitor.asker, visitor.wrong ? &OTHER_BINDING : binding, &bytes);
	assert_int_equal(kw_enrol_ask_parse(kw_buf_view(&bytes), &ask), KW_OK);
	const struct kw_enrolment_visit event = {.ask = &ask, .bytes = kw_buf_view(&bytes), .binding = binding,
		.root_fingerprint = &ROOT, .now_s = visitor.now_s != 0 ? visitor.now_s : MADE_S + 1, .exists = visitor.exists};
	enum kw_err err = kw_enrolment_visit(enrolment, &event, verdict);
	kw_buf_fini(&bytes);
	return err;
}

static void test_a_code_lives_for_72_hours_to_the_second(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrolment enrolment;
	struct kw_enrolment_verdict verdict;
	kit_asker_init(&asker, 1);
	make_waiting(&enrolment, &asker);
	assert_int_equal(KW_ENROL_LIFE_S, 259200);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .now_s = EXPIRES_S}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_ASKED);
	assert_true(verdict.changed);
	/* What was asked in time waits for people as long as they need. */
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .now_s = EXPIRES_S + 1}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_ASKED);
	assert_false(verdict.changed);
	kw_enrolment_fini(&enrolment);

	make_waiting(&enrolment, &asker);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .now_s = EXPIRES_S + 1}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_EXPIRED);
	assert_true(verdict.changed);
	assert_int_equal(enrolment.state, KW_ENROLMENT_EXPIRED);
	/* A clock that goes back does not revive it. */
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_EXPIRED);
	kw_enrolment_fini(&enrolment);
	kit_asker_fini(&asker);
}

static void test_five_wrong_tries_burn_a_code_and_four_do_not(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrolment_verdict verdict;
	kit_asker_init(&asker, 1);
	for (uint32_t tries = KW_ENROL_TRIES_MAX - 1; tries <= KW_ENROL_TRIES_MAX + 1; tries++) {
		struct kw_enrolment enrolment;
		make_waiting(&enrolment, &asker);
		for (uint32_t i = 1; i <= tries; i++) {
			assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .wrong = true}, &verdict), KW_EAUTH);
			assert_int_equal(verdict.changed, i <= KW_ENROL_TRIES_MAX);
			assert_int_equal(enrolment.state, i < KW_ENROL_TRIES_MAX ? KW_ENROLMENT_WAITING : KW_ENROLMENT_BURNT);
		}
		assert_int_equal(enrolment.tries, tries < KW_ENROL_TRIES_MAX ? tries : KW_ENROL_TRIES_MAX);
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
		assert_int_equal(verdict.phase, tries < KW_ENROL_TRIES_MAX ? KW_ENROL_ASKED : KW_ENROL_BURNT);
		kw_enrolment_fini(&enrolment);
	}
	kit_asker_fini(&asker);
}

static void test_tries_count_while_a_request_waits_and_not_when_it_is_decided(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrolment enrolment;
	struct kw_enrolment_verdict verdict;
	kit_asker_init(&asker, 1);
	make_waiting(&enrolment, &asker);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .wrong = true}, &verdict), KW_EAUTH);
	assert_int_equal(enrolment.tries, 1);
	/* A damaged file is no guess. */
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .wrong = true, .by_file = true}, &verdict), KW_EAUTH);
	assert_int_equal(enrolment.tries, 1);
	assert_false(verdict.changed);
	enrolment.state = KW_ENROLMENT_APPROVED;
	for (uint32_t i = 0; i < KW_ENROL_TRIES_MAX; i++)
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .wrong = true}, &verdict), KW_EAUTH);
	assert_int_equal(enrolment.state, KW_ENROLMENT_APPROVED);
	kw_enrolment_fini(&enrolment);
	kit_asker_fini(&asker);
}

static void test_one_request_claims_a_code_and_another_is_an_alarm(void **state)
{
	(void)state;
	struct kit_asker first;
	struct kit_asker second;
	struct kw_enrolment enrolment;
	struct kw_enrolment_verdict verdict;
	char phrase[KW_ENROL_PHRASE_SIZE];
	static const enum kw_enrolment_state STATES[] = {KW_ENROLMENT_ASKED, KW_ENROLMENT_APPROVED, KW_ENROLMENT_DONE};
	kit_asker_init(&first, 1);
	kit_asker_init(&second, 1);
	for (size_t i = 0; i < 3; i++) {
		make_waiting(&enrolment, &first);
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &first}, &verdict), KW_OK);
		memcpy(phrase, enrolment.phrase, sizeof(phrase));
		enrolment.state = STATES[i];
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &second}, &verdict), KW_OK);
		assert_int_equal(verdict.phase, KW_ENROL_TAKEN);
		assert_true(verdict.alarm && verdict.changed);
		assert_int_equal(enrolment.alarms, 1);
		assert_string_not_equal(enrolment.alarm_phrase, phrase);
		assert_string_equal(enrolment.phrase, phrase);
		/* Again and again is one alarm, and no reason to write. */
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &second}, &verdict), KW_OK);
		assert_true(verdict.alarm && !verdict.changed);
		assert_int_equal(enrolment.alarms, 1);
		/* The first one is held, by link and by file. */
		assert_int_equal(visit(&enrolment, (struct visitor){.asker = &first, .by_file = true}, &verdict), KW_OK);
		assert_false(verdict.alarm || verdict.changed);
		assert_int_equal(verdict.phase, i == 0 ? KW_ENROL_ASKED : i == 1 ? KW_ENROL_APPROVED : 0);
		kw_enrolment_fini(&enrolment);
	}
	kit_asker_fini(&first);
	kit_asker_fini(&second);
}

static void test_what_is_refused_or_there_already_is_said(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrolment enrolment;
	struct kw_enrolment_verdict verdict;
	kit_asker_init(&asker, 1);
	make_waiting(&enrolment, &asker);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker, .exists = true}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_EXISTS);
	assert_false(verdict.changed);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
	enrolment.state = KW_ENROLMENT_REFUSED;
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
	assert_int_equal(verdict.phase, KW_ENROL_REFUSED);
	kw_enrolment_fini(&enrolment);
	kit_asker_fini(&asker);
}

/* --- its record */

static void assert_same(const struct kw_enrolment *a, const struct kw_enrolment *b)
{
	assert_string_equal(a->agency.text, b->agency.text);
	assert_int_equal(a->state, b->state);
	assert_memory_equal(&a->key, &b->key, sizeof(a->key));
	assert_string_equal(a->made_by, b->made_by);
	assert_true(a->made_s == b->made_s && a->expires_s == b->expires_s && a->asked_s == b->asked_s && a->alarm_s == b->alarm_s &&
		a->decided_s == b->decided_s);
	assert_int_equal(a->tries, b->tries);
	assert_int_equal(a->alarms, b->alarms);
	assert_int_equal(a->alone, b->alone);
	assert_string_equal(a->phrase, b->phrase);
	assert_string_equal(a->alarm_phrase, b->alarm_phrase);
	assert_string_equal(a->decided_by, b->decided_by);
	assert_true(kw_view_equal(kw_buf_view(&a->ask), kw_buf_view(&b->ask)));
	assert_true(kw_view_equal(kw_buf_view(&a->reply), kw_buf_view(&b->reply)));
}

static void test_a_record_comes_back_whole_in_every_state(void **state)
{
	(void)state;
	struct kit_asker asker;
	struct kw_enrolment enrolment;
	struct kw_enrolment_verdict verdict;
	kit_asker_init(&asker, 1);
	make_waiting(&enrolment, &asker);
	assert_int_equal(visit(&enrolment, (struct visitor){.asker = &asker}, &verdict), KW_OK);
	kw_buf_init(&enrolment.reply, 100);
	assert_int_equal(kw_buf_add(&enrolment.reply, kw_view_str("reply")), KW_OK);
	memset(enrolment.decided_by, 'x', KW_ENROL_BY_SIZE_MAX);
	enrolment.decided_s = 77;
	enrolment.alone = true;
	enrolment.tries = 3;
	enrolment.alarms = 2;
	enrolment.alarm_s = 78;
	memcpy(enrolment.alarm_phrase, enrolment.phrase, sizeof(enrolment.phrase));
	for (int i = 0; i < KW_ENROLMENT_STATE_COUNT; i++) {
		struct kw_enrolment got = {.tries = 0};
		struct kw_buf text;
		enrolment.state = (enum kw_enrolment_state)i;
		kw_buf_init(&text, 65536);
		assert_int_equal(kw_enrolment_format(&enrolment, &text), KW_OK);
		assert_int_equal(kw_enrolment_parse(kw_buf_view(&text), &got), KW_OK);
		assert_same(&enrolment, &got);
		kw_enrolment_fini(&got);
		/* Cut short it is refused: the last line is needed, or lacks its end. */
		for (size_t size = 0; i == KW_ENROLMENT_DONE && size < text.size; size += size + 40 < text.size ? 37 : 1) {
			struct kw_enrolment cut = {.tries = 0};
			assert_int_not_equal(kw_enrolment_parse(KW_VIEW(text.data, size), &cut), KW_OK);
			kw_enrolment_fini(&cut);
		}
		kw_buf_fini(&text);
	}
	kw_enrolment_fini(&enrolment);
	kit_asker_fini(&asker);
}

static void test_a_record_of_another_kind_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum kw_err err;
	} ROWS[] = {
		{"newcomer 4102444800\n", KW_EFORMAT},
		{"kinward enrolment 2\nagency a\nexpires 5\n", KW_EVERSION},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5\n", KW_OK},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate waiting\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency A\nstate waiting\nexpires 5\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate other\nexpires 5\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate asked\nexpires 5\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5x\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5\ntries -1\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5\nkey 00\n", KW_EFORMAT},
		{"kinward enrolment 1\nagency a\nstate waiting\nexpires 5\nnew thing\n", KW_EFORMAT},
	};
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
		struct kw_enrolment got = {.tries = 0};
		assert_int_equal(kw_enrolment_parse(kw_view_str(ROWS[i].text), &got), ROWS[i].err);
		kw_enrolment_fini(&got);
	}
}

static void test_a_persons_name_has_rules(void **state)
{
	(void)state;
	char name[KW_ENROL_BY_SIZE_MAX + 2] = "";
	assert_false(kw_enrolment_by_good(name));
	memset(name, 'n', KW_ENROL_BY_SIZE_MAX);
	assert_true(kw_enrolment_by_good(name));
	name[KW_ENROL_BY_SIZE_MAX] = 'n';
	assert_false(kw_enrolment_by_good(name));
	assert_true(kw_enrolment_by_good("Jo Bol"));
	assert_false(kw_enrolment_by_good(" Jo"));
	assert_false(kw_enrolment_by_good("Jo "));
	assert_false(kw_enrolment_by_good("Jo\nstate done"));
	assert_true(kw_enrolment_by_equal("jo bol", "Jo Bol"));
	assert_false(kw_enrolment_by_equal("Jo Bol", "Jo Bold"));
}

static void test_a_file_says_what_it_is(void **state)
{
	(void)state;
	static uint8_t big[KW_ENROL_PAPER_SIZE_MAX + 1];
	struct kw_buf paper;
	struct kw_view body;
	kw_buf_init(&paper, KW_ENROL_PAPER_SIZE_MAX);
	assert_int_equal(kw_enrol_paper_add(&paper, KW_ENROL_PAPER_REQUEST, kw_view_str("body")), KW_OK);
	assert_int_equal(kw_enrol_paper_parse(kw_buf_view(&paper), KW_ENROL_PAPER_REQUEST, &body), KW_OK);
	assert_true(kw_view_equal(body, kw_view_str("body")));
	assert_int_equal(kw_enrol_paper_parse(kw_buf_view(&paper), KW_ENROL_PAPER_REPLY, &body), KW_EFIELD);
	assert_int_equal(kw_enrol_paper_parse(kw_view_str("kinward enrolment request 2\nbody"), KW_ENROL_PAPER_REQUEST, &body), KW_EVERSION);
	assert_int_equal(kw_enrol_paper_parse(kw_view_str("hello"), KW_ENROL_PAPER_REQUEST, &body), KW_EFORMAT);
	memcpy(big, paper.data, paper.size);
	assert_int_equal(kw_enrol_paper_parse(KW_VIEW(big, KW_ENROL_PAPER_SIZE_MAX), KW_ENROL_PAPER_REQUEST, &body), KW_OK);
	assert_int_equal(kw_enrol_paper_parse(KW_VIEW(big, KW_ENROL_PAPER_SIZE_MAX + 1), KW_ENROL_PAPER_REQUEST, &body), KW_ETOOBIG);
	kw_buf_fini(&paper);
}

static void test_a_state_comes_back_whole(void **state)
{
	(void)state;
	struct kw_enrol_state got;
	struct kw_buf bytes;
	kw_buf_init(&bytes, 100);
	for (int phase = 0; phase <= KW_ENROL_EXISTS + 1; phase++) {
		const struct kw_enrol_state said = {.phase = (enum kw_enrol_phase)phase, .agency = {"agency-a"}};
		bool good = phase >= KW_ENROL_ASKED && phase <= KW_ENROL_EXISTS;
		kw_buf_clear(&bytes);
		assert_int_equal(kw_enrol_state_add(&bytes, &said), KW_OK);
		assert_int_equal(kw_enrol_state_parse(kw_buf_view(&bytes), &got), good ? KW_OK : KW_EFIELD);
		if (good)
			assert_true(got.phase == said.phase && kw_name_equal(&got.agency, &said.agency));
	}
	kw_buf_fini(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enrolment_code_survives_a_persons_hand),
		cmocka_unit_test(test_what_is_derived_of_a_code_is_what_the_protocol_says),
		cmocka_unit_test(test_a_phrase_is_compared_by_its_digits),
		cmocka_unit_test(test_a_phrase_is_of_all_keys_the_name_and_the_root),
		cmocka_unit_test(test_an_ask_is_refused_with_any_bit_changed),
		cmocka_unit_test(test_a_csr_that_its_key_has_not_signed_is_refused),
		cmocka_unit_test(test_sizes_of_a_request_have_limits),
		cmocka_unit_test(test_a_code_lives_for_72_hours_to_the_second),
		cmocka_unit_test(test_five_wrong_tries_burn_a_code_and_four_do_not),
		cmocka_unit_test(test_tries_count_while_a_request_waits_and_not_when_it_is_decided),
		cmocka_unit_test(test_one_request_claims_a_code_and_another_is_an_alarm),
		cmocka_unit_test(test_what_is_refused_or_there_already_is_said),
		cmocka_unit_test(test_a_record_comes_back_whole_in_every_state),
		cmocka_unit_test(test_a_record_of_another_kind_is_refused),
		cmocka_unit_test(test_a_persons_name_has_rules),
		cmocka_unit_test(test_a_file_says_what_it_is),
		cmocka_unit_test(test_a_state_comes_back_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
