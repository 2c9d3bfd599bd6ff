/* RENEW and RENEWED, and the change of an identity key: what is signed is what travels, here and now, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/wire/directory.h"
#include "proto/wire/renew.h"

#define NOW_MS INT64_C(1780000000000)

struct world {
	struct kw_ed25519 identity;
	struct kw_ed25519 next;
	uint8_t sealing[KW_KEY_SIZE];
	uint8_t hybrid[KW_HYBRID_PUBLIC_SIZE + 1];
	uint8_t csr[KW_RENEW_CSR_SIZE_MAX + 1];
	uint8_t exporter[KW_RENEW_EXPORTER_SIZE];
	struct kw_name hub;
	struct kw_renew renew;
	struct kw_renew_where where;
	struct kw_buf frame;
};

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	assert_int_equal(kw_name_from(kw_view_str(text), &name), KW_OK);
	return name;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_int_equal(kw_ed25519_generate(&world->identity), KW_OK);
	assert_int_equal(kw_ed25519_generate(&world->next), KW_OK);
	memset(world->sealing, 7, sizeof(world->sealing));
	memset(world->hybrid, 6, sizeof(world->hybrid));
	memset(world->csr, 8, sizeof(world->csr));
	memset(world->exporter, 9, sizeof(world->exporter));
	world->hub = name_of("hub-0");
	world->where = (struct kw_renew_where){.hub = &world->hub, .exporter = world->exporter};
	world->renew = (struct kw_renew){.agency = name_of("agency-0"), .csr = KW_VIEW(world->csr, 200), .unix_ms = NOW_MS};
	kw_buf_init(&world->frame, KW_FRAME_SIZE_MAX);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	kw_buf_fini(&world->frame);
	free(world);
	return 0;
}

static void with_everything(struct world *world)
{
	const struct kw_identity_who who = {.agency = &world->renew.agency, .hub = &world->hub};
	world->renew.sealing_key = KW_VIEW_OF(world->sealing);
	world->renew.hybrid_key = KW_VIEW(world->hybrid, KW_HYBRID_PUBLIC_SIZE);
	world->renew.identity_key = KW_VIEW_OF(world->next.public_key);
	world->renew.identity_change = (struct kw_identity_change){.unix_ms = NOW_MS, .reason = KW_IDENTITY_STAFF};
	assert_int_equal(kw_identity_sign(&who, &world->identity, &world->next, &world->renew.identity_change), KW_OK);
}

static struct kw_view body_of(const struct world *world)
{
	return KW_VIEW(world->frame.data + KW_FRAME_HEAD_SIZE, world->frame.size - KW_FRAME_HEAD_SIZE);
}

static void test_what_was_asked_comes_back(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	with_everything(world);
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
	assert_int_equal(world->frame.data[3], KW_FRAME_RENEW);
	assert_true(world->frame.size <= KW_FRAME_SIZE_MAX_PREAUTH);
	assert_int_equal(kw_renew_parse(body_of(world), &out), KW_OK);
	assert_true(kw_name_equal(&out.agency, &world->renew.agency));
	assert_true(kw_view_equal(out.csr, world->renew.csr));
	assert_int_equal(out.unix_ms, NOW_MS);
	assert_true(kw_view_equal(out.sealing_key, KW_VIEW_OF(world->sealing)));
	assert_true(kw_view_equal(out.hybrid_key, KW_VIEW(world->hybrid, KW_HYBRID_PUBLIC_SIZE)));
	assert_true(kw_view_equal(out.identity_key, KW_VIEW_OF(world->next.public_key)));
	assert_memory_equal(&out.identity_change, &world->renew.identity_change, sizeof(out.identity_change));
	assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_OK);
}

/* A part that is appended must not be one that can be left away, or put to what was signed without it. */
static void test_a_hybrid_key_is_signed(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	for (int with = 0; with < 2; with++) {
		with_everything(world);
		if (with == 0)
			world->renew.hybrid_key = KW_VIEW(NULL, 0);
		kw_buf_clear(&world->frame);
		assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
		assert_int_equal(kw_renew_parse(body_of(world), &out), KW_OK);
		assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_OK);
		out.hybrid_key = with == 0 ? KW_VIEW(world->hybrid, KW_HYBRID_PUBLIC_SIZE) : KW_VIEW(NULL, 0);
		assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_EAUTH);
	}
	for (int more = -1; more < 2; more += 2) { /* one size alone */
		world->renew.hybrid_key = KW_VIEW(world->hybrid, (size_t)((int)KW_HYBRID_PUBLIC_SIZE + more));
		assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_EFIELD);
	}
}

static void test_no_bit_can_be_changed(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	with_everything(world);
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
	for (size_t i = KW_FRAME_HEAD_SIZE; i < world->frame.size; i++) {
		world->frame.data[i] ^= 1;
		enum kw_err err = kw_renew_parse(body_of(world), &out);
		if (err == KW_OK)
			err = kw_renew_verify(&out, &world->where, world->identity.public_key);
		assert_int_not_equal(err, KW_OK);
		world->frame.data[i] ^= 1;
	}
	/* Cut before the hybrid key, the last part, it has a form still; its signature says that there was one. */
	for (size_t size = 0; size < body_of(world).size; size++) {
		enum kw_err err = kw_renew_parse(KW_VIEW(body_of(world).data, size), &out);
		if (err == KW_OK)
			err = kw_renew_verify(&out, &world->where, world->identity.public_key);
		assert_int_not_equal(err, KW_OK);
	}
}

static void test_it_is_good_for_one_hub_and_one_connection(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	struct kw_name other = name_of("hub-1");
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
	assert_int_equal(kw_renew_parse(body_of(world), &out), KW_OK);
	assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_OK);
	assert_int_equal(kw_renew_verify(&out, &world->where, world->next.public_key), KW_EAUTH);
	world->exporter[31] ^= 1; /* another connection */
	assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_EAUTH);
	world->exporter[31] ^= 1;
	world->where.hub = &other;
	assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_EAUTH);
}

static void test_a_request_has_limits(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	world->renew.csr = KW_VIEW(world->csr, KW_RENEW_CSR_SIZE_MAX + 1);
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_EFIELD);
	world->renew.csr = KW_VIEW(world->csr, KW_RENEW_CSR_SIZE_MAX);
	with_everything(world);
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
	assert_true(world->frame.size <= KW_FRAME_SIZE_MAX_PREAUTH);
	assert_int_equal(kw_renew_parse(body_of(world), &out), KW_OK);
	world->renew.unix_ms = 0;
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_EFIELD);
	world->renew.unix_ms = NOW_MS;
	world->renew.identity_change.reason = 0; /* a key without its statement */
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_EFIELD);
	world->renew.identity_key = KW_VIEW(NULL, 0);
	world->renew.sealing_key = KW_VIEW(world->sealing, KW_KEY_SIZE - 1);
	assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_EFIELD);
}

/* The request itself is well signed; what it says of the identity key is not. */
static void test_a_new_identity_key_needs_both_signatures(void **state)
{
	struct world *world = *state;
	struct kw_renew out;
	struct kw_ed25519 third;
	const struct kw_identity_who who = {.agency = &world->renew.agency, .hub = &world->hub};
	assert_int_equal(kw_ed25519_generate(&third), KW_OK);
	for (int i = 0; i < 3; i++) {
		with_everything(world);
		if (i == 0)
			world->renew.identity_change.signature[0] ^= 1;
		else if (i == 1)
			world->renew.identity_change.former_signature[0] ^= 1;
		else /* from a key that never was ours */
			assert_int_equal(kw_identity_sign(&who, &third, &world->next, &world->renew.identity_change), KW_OK);
		kw_buf_clear(&world->frame);
		assert_int_equal(kw_renew_add(&world->frame, &world->renew, &world->where, &world->identity), KW_OK);
		assert_int_equal(kw_renew_parse(body_of(world), &out), KW_OK);
		assert_int_equal(kw_renew_verify(&out, &world->where, world->identity.public_key), KW_EAUTH);
	}
}

static void test_a_statement_is_of_one_agency_hub_and_pair(void **state)
{
	struct world *world = *state;
	struct kw_name other = name_of("other");
	const struct kw_identity_who who = {.agency = &world->renew.agency, .hub = &world->hub};
	const struct kw_identity_who at_other = {.agency = &world->renew.agency, .hub = &other};
	const struct kw_identity_who of_other = {.agency = &other, .hub = &world->hub};
	with_everything(world);
	struct kw_identity_change change = world->renew.identity_change;
	assert_int_equal(kw_identity_verify(&who, world->next.public_key, &change), KW_OK);
	assert_int_equal(kw_identity_verify(&at_other, world->next.public_key, &change), KW_EAUTH);
	assert_int_equal(kw_identity_verify(&of_other, world->next.public_key, &change), KW_EAUTH);
	assert_int_equal(kw_identity_verify(&who, world->identity.public_key, &change), KW_EAUTH);
	change.reason = KW_IDENTITY_SCHEDULED;
	assert_int_equal(kw_identity_verify(&who, world->next.public_key, &change), KW_EAUTH);
	change.reason = KW_IDENTITY_REASON_COUNT;
	assert_int_equal(kw_identity_verify(&who, world->next.public_key, &change), KW_EFIELD);
	change = world->renew.identity_change;
	change.unix_ms++;
	assert_int_equal(kw_identity_verify(&who, world->next.public_key, &change), KW_EAUTH);
	assert_int_equal(kw_identity_sign(&who, &world->identity, &world->identity, &change), KW_OK);
	assert_int_equal(kw_identity_verify(&who, world->identity.public_key, &change), KW_EAUTH); /* to itself */
	for (uint8_t i = 1; i < KW_IDENTITY_REASON_COUNT; i++)
		assert_int_equal(kw_identity_reason_from(kw_identity_reason_name(i)), i);
	assert_int_equal(kw_identity_reason_from("because"), 0);
}

static struct kw_directory_entry entry_of(const struct world *world)
{
	struct kw_directory_entry entry = {.agency = world->renew.agency, .sealing_keys_count = 1};
	memcpy(entry.identity_key, world->next.public_key, KW_KEY_SIZE);
	entry.sealing_keys[0].suites[0] = 1;
	entry.sealing_keys[0].suites_count = 1;
	assert_int_equal(kw_directory_key_id(entry.sealing_keys[0].public_key, entry.sealing_keys[0].key_id), KW_OK);
	memset(&entry.tls_key_digest, 1, sizeof(entry.tls_key_digest));
	return entry;
}

static void test_the_directory_carries_both(void **state)
{
	struct world *world = *state;
	struct kw_directory *out = NULL;
	with_everything(world);
	struct kw_directory_entry entry = entry_of(world);
	struct kw_digest other = {.bytes = {2}};
	const struct kw_digest none = {.bytes = {0}};
	const struct kw_directory directory = {
		.hub = world->hub, .version = 1, .signed_unix_ms = 1, .expires_unix_ms = 2, .entries = &entry, .count = 1};
	assert_true(kw_directory_tls_key(&entry, &entry.tls_key_digest));
	assert_false(kw_directory_tls_key(&entry, &other));
	assert_false(kw_directory_tls_key(&entry, &none)); /* no next one is not one of zeros */
	entry.identity_change = world->renew.identity_change;
	entry.next_tls_key_digest = other;
	assert_true(kw_directory_tls_key(&entry, &other));
	assert_int_equal(kw_directory_pack(&directory, &world->frame), KW_OK);
	assert_int_equal(kw_directory_read(kw_buf_view(&world->frame), &out), KW_OK);
	assert_memory_equal(&out->entries[0].identity_change, &entry.identity_change, sizeof(entry.identity_change));
	assert_memory_equal(&out->entries[0].next_tls_key_digest, &other, sizeof(other));
	kw_directory_free(out);
	entry.identity_change.reason = KW_IDENTITY_REASON_COUNT; /* of a version that we do not know */
	kw_buf_clear(&world->frame);
	assert_int_equal(kw_directory_pack(&directory, &world->frame), KW_OK);
	assert_int_equal(kw_directory_read(kw_buf_view(&world->frame), &out), KW_EFIELD);
}

static void test_the_former_key_is_believed_for_a_while(void **state)
{
	struct world *world = *state;
	uint8_t id[KW_DIRECTORY_KEY_ID_SIZE];
	uint8_t former_id[KW_DIRECTORY_KEY_ID_SIZE];
	with_everything(world);
	struct kw_directory_entry entry = entry_of(world);
	assert_int_equal(kw_directory_key_id(entry.identity_key, id), KW_OK);
	assert_int_equal(kw_directory_key_id(world->identity.public_key, former_id), KW_OK);
	struct kw_view former = KW_VIEW_OF(former_id);
	assert_null(kw_directory_identity(&entry, former, NOW_MS, NOW_MS)); /* it says of no former one */
	entry.identity_change = world->renew.identity_change;
	int64_t last = NOW_MS + KW_IDENTITY_FORMER_MS;
	assert_ptr_equal(kw_directory_identity(&entry, KW_VIEW_OF(id), NOW_MS + 1, NOW_MS), entry.identity_key);
	assert_memory_equal(kw_directory_identity(&entry, former, NOW_MS, NOW_MS), world->identity.public_key, KW_KEY_SIZE);
	assert_non_null(kw_directory_identity(&entry, former, 1, last));
	assert_null(kw_directory_identity(&entry, former, 1, last + 1));
	assert_null(kw_directory_identity(&entry, former, NOW_MS + 1, NOW_MS + 1)); /* it had been replaced by then */
	entry.identity_change.reason = KW_IDENTITY_COMPROMISED;
	assert_null(kw_directory_identity(&entry, former, 1, NOW_MS));
	assert_non_null(kw_directory_identity(&entry, KW_VIEW_OF(id), 1, NOW_MS));
}

static void test_an_answer_has_certificates_or_a_problem(void **state)
{
	struct world *world = *state;
	static const uint8_t der[KW_RENEW_CERTIFICATE_SIZE_MAX + 1] = {1};
	struct kw_renewed renewed = {.clock_unix_ms = NOW_MS};
	struct kw_renewed out;
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_EFIELD);
	renewed.problem = KW_EDENIED;
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_OK);
	assert_int_equal(kw_renewed_parse(body_of(world), &out), KW_OK);
	assert_int_equal(out.problem, KW_EDENIED);
	assert_int_equal(out.clock_unix_ms, NOW_MS);
	renewed.certificates_count = 1;
	renewed.certificates[0] = KW_VIEW(der, 1);
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_EFIELD);
	renewed.problem = KW_OK;
	renewed.certificates_count = KW_RENEW_CERTIFICATES_MAX + 1;
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_EFIELD);
	renewed.certificates_count = KW_RENEW_CERTIFICATES_MAX;
	for (size_t i = 0; i < KW_RENEW_CERTIFICATES_MAX; i++)
		renewed.certificates[i] = KW_VIEW(der, KW_RENEW_CERTIFICATE_SIZE_MAX);
	kw_buf_clear(&world->frame);
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_OK);
	assert_int_equal(kw_renewed_parse(body_of(world), &out), KW_OK);
	assert_int_equal(out.certificates_count, KW_RENEW_CERTIFICATES_MAX);
	assert_int_equal(out.certificates[2].size, KW_RENEW_CERTIFICATE_SIZE_MAX);
	renewed.certificates[0] = KW_VIEW(der, KW_RENEW_CERTIFICATE_SIZE_MAX + 1);
	assert_int_equal(kw_renewed_add(&world->frame, &renewed), KW_ETOOBIG);
	/* One more certificate than fits, and a problem that we do not know. */
	static const uint8_t many[] = {0x0a, 1, 'a', 0x0a, 1, 'b', 0x0a, 1, 'c', 0x0a, 1, 'd'};
	static const uint8_t later[] = {0x12, 3, 'n', 'e', 'w'};
	assert_int_equal(kw_renewed_parse(KW_VIEW_OF(many), &out), KW_EFIELD);
	assert_int_equal(kw_renewed_parse(KW_VIEW(many, 9), &out), KW_OK);
	assert_int_equal(kw_renewed_parse(KW_VIEW_OF(later), &out), KW_OK);
	assert_int_equal(out.problem, KW_EPROTO);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_was_asked_comes_back),
		CASE(test_a_hybrid_key_is_signed),
		CASE(test_no_bit_can_be_changed),
		CASE(test_it_is_good_for_one_hub_and_one_connection),
		CASE(test_a_request_has_limits),
		CASE(test_a_new_identity_key_needs_both_signatures),
		CASE(test_a_statement_is_of_one_agency_hub_and_pair),
		CASE(test_the_directory_carries_both),
		CASE(test_the_former_key_is_believed_for_a_while),
		CASE(test_an_answer_has_certificates_or_a_problem),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
