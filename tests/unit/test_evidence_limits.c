/* Every limit of receipts and evidence files, at the maximum and one more, by the bytes of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/wire/evidence.h"
#include "proto/wire/pbscan.h"

static void put(struct kw_buf *out, uint32_t field, struct kw_view bytes)
{
	assert_int_equal(kw_pb_add_bytes(out, field, bytes), KW_OK);
}

struct counts {
	uint32_t receipts;
	uint32_t roots;
	uint32_t directories;
};

/* What a reader that has not verified anything yet says of a file with so many parts. */
static enum kw_err read_with(struct counts counts)
{
	struct kw_evidence_parts parts;
	struct kw_buf file, chain;
	kw_buf_init(&file, KW_EVIDENCE_SIZE_MAX);
	kw_buf_init(&chain, KW_EVIDENCE_SIZE_MAX);
	for (uint32_t i = 0; i < counts.roots; i++)
		put(&chain, 1, kw_view_str("root"));
	put(&chain, 2, kw_view_str("timestamp"));
	put(&chain, 3, kw_view_str("snapshot"));
	for (uint32_t i = 0; i < counts.directories; i++)
		put(&chain, 4, kw_view_str("directory"));
	assert_int_equal(kw_pb_add_uint(&file, 1, KW_EVIDENCE_VERSION), KW_OK);
	put(&file, 2, kw_view_str("envelope"));
	for (uint32_t i = 0; i < counts.receipts; i++)
		put(&file, 3, kw_view_str("receipt"));
	put(&file, 4, kw_buf_view(&chain));
	enum kw_err err = kw_evidence_read(kw_buf_view(&file), &parts);
	if (err == KW_OK) {
		assert_int_equal(parts.receipts_count, counts.receipts);
		assert_int_equal(parts.roles.roots_count, counts.roots);
		assert_int_equal(parts.roles.directories_count, counts.directories);
	}
	kw_buf_fini(&file);
	kw_buf_fini(&chain);
	return err;
}

static void test_parts_of_a_file(void **state)
{
	(void)state;
	struct counts most = {KW_EVIDENCE_RECEIPTS_MAX, KW_ROLE_ROOTS_MAX, KW_EVIDENCE_DIRECTORIES_MAX};
	assert_int_equal(read_with(most), KW_OK);
	most.receipts++;
	assert_int_not_equal(read_with(most), KW_OK);
	most.receipts--;
	most.roots++;
	assert_int_not_equal(read_with(most), KW_OK);
	most.roots--;
	most.directories++;
	assert_int_not_equal(read_with(most), KW_OK);
	assert_int_not_equal(read_with((struct counts){0, 0, 1}), KW_OK);
	assert_int_not_equal(read_with((struct counts){0, 1, 0}), KW_OK);
	assert_int_equal(read_with((struct counts){0, 1, 1}), KW_OK);
}

static enum kw_err read_path(uint32_t count)
{
	struct kw_receipt receipt = {.level = KW_RECEIPT_STORED, .at_unix_ms = 1};
	struct kw_receipt_proof proof;
	struct kw_buf entry, bytes;
	uint8_t signature[KW_SIGNATURE_SIZE] = {1};
	kw_buf_init(&entry, KW_RECEIPT_ENTRY_SIZE_MAX);
	kw_buf_init(&bytes, KW_RECEIPT_PROOF_SIZE_MAX);
	assert_int_equal(kw_receipt_add(&entry, &receipt), KW_OK);
	put(&bytes, 1, kw_buf_view(&entry));
	assert_int_equal(kw_pb_add_uint(&bytes, 3, KW_RECEIPTS_MAX), KW_OK);
	for (uint32_t i = 0; i < count; i++)
		put(&bytes, 4, KW_VIEW_OF(receipt.digest.bytes));
	put(&bytes, 5, KW_VIEW_OF(signature));
	enum kw_err err = kw_receipt_proof_read(kw_buf_view(&bytes), &proof);
	if (err == KW_OK)
		assert_int_equal(proof.path_count, count);
	kw_buf_fini(&entry);
	kw_buf_fini(&bytes);
	return err;
}

static void test_path_of_a_receipt(void **state)
{
	(void)state;
	assert_int_equal(read_path(KW_RECEIPT_PATH_MAX), KW_OK);
	assert_int_not_equal(read_path(KW_RECEIPT_PATH_MAX + 1), KW_OK);
}

static enum kw_err read_failure(size_t size)
{
	static const uint8_t zeros[KW_DIGEST_SIZE];
	struct kw_receipt out;
	struct kw_buf entry;
	char name[KW_RECEIPT_FAILURE_SIZE_MAX + 2];
	memset(name, 'a', sizeof(name));
	kw_buf_init(&entry, 2 * KW_RECEIPT_ENTRY_SIZE_MAX);
	put(&entry, 1, KW_VIEW_OF(zeros));
	put(&entry, 2, KW_VIEW(zeros, KW_ID_SIZE));
	assert_int_equal(kw_pb_add_uint(&entry, 3, KW_RECEIPT_FAILED), KW_OK);
	put(&entry, 4, KW_VIEW(name, size));
	assert_int_equal(kw_pb_add_uint(&entry, 5, 1), KW_OK);
	enum kw_err err = kw_receipt_read(kw_buf_view(&entry), &out);
	if (err == KW_OK)
		assert_int_equal(strlen(out.failure), size);
	kw_buf_fini(&entry);
	return err;
}

static void test_failure_of_a_receipt(void **state)
{
	(void)state;
	assert_int_equal(read_failure(KW_RECEIPT_FAILURE_SIZE_MAX), KW_OK);
	assert_int_not_equal(read_failure(KW_RECEIPT_FAILURE_SIZE_MAX + 1), KW_OK);
	assert_int_not_equal(read_failure(0), KW_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_of_a_file),
		cmocka_unit_test(test_path_of_a_receipt),
		cmocka_unit_test(test_failure_of_a_receipt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
