/* Certificates and enrolment: each refusal beside its success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/enrol.h"
#include "proto/wire/spki.h"

#define NOW_MS 1780000000000ll /* 2026 */
#define DAY_MS 86400000ll

struct site {
	struct kw_name hub;
	struct kw_pki_issuer root;
	struct kw_pki_issuer issuing;
};

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	assert_int_equal(kw_name_from(kw_view_str(text), &name), KW_OK);
	return name;
}

static void site_init(struct site *site, const char *hub)
{
	site->hub = name_of(hub);
	assert_int_equal(kw_pki_key_new(&site->root.key), KW_OK);
	assert_int_equal(kw_pki_key_new(&site->issuing.key), KW_OK);
	assert_int_equal(kw_pki_root_new(site->root.key, hub, NOW_MS, &site->root.certificate), KW_OK);
	assert_int_equal(
		kw_pki_issuing_new(&site->root, site->issuing.key, &site->hub, NOW_MS, &site->issuing.certificate), KW_OK);
}

static void site_fini(struct site *site)
{
	EVP_PKEY_free(site->root.key);
	EVP_PKEY_free(site->issuing.key);
	X509_free(site->root.certificate);
	X509_free(site->issuing.certificate);
}

static void test_certificate_names_what_the_authority_says(void **state)
{
	(void)state;
	struct site site;
	site_init(&site, "hub-a");
	EVP_PKEY *key;
	X509 *leaf;
	struct kw_buf csr;
	kw_buf_init(&csr, 4096);
	assert_int_equal(kw_pki_key_new(&key), KW_OK);
	assert_int_equal(kw_pki_csr_add(key, &csr), KW_OK);
	struct kw_pki_agency whom = {.agency = name_of("agency-a"), .hub = site.hub};
	assert_int_equal(kw_pki_agency_issue(&site.issuing, kw_buf_view(&csr), &whom, NOW_MS, &leaf), KW_OK);
	struct kw_spki_name name;
	assert_int_equal(kw_spki_name_of(leaf, &name), KW_OK);
	assert_int_equal(name.kind, KW_SPKI_AGENCY);
	assert_string_equal(name.agency.text, "agency-a");
	assert_string_equal(name.hub.text, "hub-a");
	assert_int_equal(X509_verify(leaf, site.issuing.key), 1);
	X509 *bad = NULL;
	for (size_t i = 0; i < csr.size; i++) {
		csr.data[i] ^= 1;
		enum kw_err err = kw_pki_agency_issue(&site.issuing, kw_buf_view(&csr), &whom, NOW_MS, &bad);
		assert_true(err == KW_EFORMAT || err == KW_EAUTH);
		csr.data[i] ^= 1;
	}
	X509_free(leaf);
	EVP_PKEY_free(key);
	kw_buf_fini(&csr);
	site_fini(&site);
}

static void test_enrolment_code_survives_a_persons_hand(void **state)
{
	(void)state;
	struct kw_enrol_code code = {.address = "hub.example.org:7443"};
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
	memset(code.address, 'a', KW_ENROL_ADDRESS_SIZE_MAX);
	assert_int_equal(kw_enrol_code_format(&code, text), KW_OK);
	code.address[0] = '\0';
	assert_int_equal(kw_enrol_code_format(&code, text), KW_EFIELD);
}

static void test_enrolment_request_is_bound_to_its_keys(void **state)
{
	(void)state;
	struct kw_ed25519 identity;
	uint8_t secret[KW_ENROL_SECRET_SIZE] = {9};
	uint8_t sealing[KW_KEY_SIZE] = {3};
	struct kw_buf bytes;
	kw_buf_init(&bytes, 4096);
	assert_int_equal(kw_ed25519_generate(&identity), KW_OK);
	struct kw_enrol_request request = {.secret = secret, .csr = kw_view_str("csr"), .sealing_key = sealing};
	struct kw_enrol_request got;
	assert_int_equal(kw_enrol_request_add(&bytes, &request, &identity), KW_OK);
	assert_int_equal(kw_enrol_request_parse(kw_buf_view(&bytes), &got), KW_OK);
	assert_memory_equal(got.sealing_key, sealing, sizeof(sealing));
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 4;
		assert_int_not_equal(kw_enrol_request_parse(kw_buf_view(&bytes), &got), KW_OK);
		bytes.data[i] ^= 4;
	}
	kw_buf_fini(&bytes);
}

static void test_a_secret_file_that_others_may_read_is_refused(void **state)
{
	(void)state;
	char dir[] = "/tmp/kw-pki-XXXXXX";
	char path[64];
	char link[64];
	struct kw_buf bytes;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	(void)snprintf(link, sizeof(link), "%s/link", dir);
	EVP_PKEY *key;
	EVP_PKEY *got;
	assert_int_equal(kw_pki_key_new(&key), KW_OK);
	assert_int_equal(kw_pki_key_save(path, key), KW_OK);
	assert_int_equal(kw_pki_key_load(path, &got), KW_OK);
	assert_int_equal(EVP_PKEY_eq(key, got), 1);
	EVP_PKEY_free(got);
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(kw_pki_key_load(path, &got), KW_EDENIED);
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(kw_pki_key_load(link, &got), KW_EDENIED);
	kw_buf_init(&bytes, 4);
	assert_int_equal(kw_file_read(path, KW_FILE_SECRET, &bytes), KW_ETOOBIG);
	kw_buf_fini(&bytes);
	(void)snprintf(link + strlen(dir), sizeof(link) - strlen(dir), "/none");
	kw_buf_init(&bytes, 4096);
	assert_int_equal(kw_file_read(link, KW_FILE_SECRET, &bytes), KW_ENOTFOUND);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificate_names_what_the_authority_says),
		cmocka_unit_test(test_enrolment_code_survives_a_persons_hand),
		cmocka_unit_test(test_enrolment_request_is_bound_to_its_keys),
		cmocka_unit_test(test_a_secret_file_that_others_may_read_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
