/* Evidence files: what one proves, and that nothing else can be made of it. The golden file is frozen: other programs and
 * courts keep such files. With KW_GOLDEN_UPDATE=1 in the environment it is written anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/evidence.h"

static struct kit_evidence kit;

static int setup(void **state)
{
	(void)state;
	kit_evidence_init(&kit, 3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kit_evidence_fini(&kit);
	return 0;
}

static enum kw_evidence_fault verify_as(const struct kw_evidence_parts *parts, const struct kw_digest *root, enum kw_err want)
{
	struct kw_buf file;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	kit_evidence_file(parts, &file);
	assert_int_equal(kw_evidence_verify(kw_buf_view(&file), root, &evidence, &why), want);
	kw_buf_fini(&file);
	return why.fault;
}

static enum kw_evidence_fault refused(const struct kw_evidence_parts *parts)
{
	return verify_as(parts, &kit.fingerprint, KW_EAUTH);
}

static void test_a_file_proves_who_wrote_to_whom_and_who_confirmed(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_buf file;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	(void)state;
	kit_evidence_file(&parts, &file);
	assert_int_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why), KW_OK);
	assert_int_equal(why.fault, KW_EVIDENCE_FINE);
	assert_memory_equal(&evidence.digest, &kit.sealed.digest, sizeof(evidence.digest));
	assert_string_equal(evidence.claims.sender.text, "sender-9");
	assert_string_equal(evidence.recipient.text, "agency-0");
	assert_string_equal(evidence.recipient_hub.text, "hub-0");
	assert_int_equal(evidence.receipts_count, 3);
	assert_int_equal(evidence.receipts[2].level, KW_RECEIPT_DECIDED);
	assert_int_equal(evidence.receipts[2].at_unix_ms, KIT_EVIDENCE_MS + 4000);
	assert_int_equal(evidence.root_version, 2);
	assert_true(evidence.held);
	assert_int_equal(evidence.checkpoint.at_unix_ms, KIT_EVIDENCE_MS + 500);
	assert_int_equal(evidence.roles_unix_ms, KIT_EVIDENCE_MS);
	for (size_t i = 0; i + 12 < file.size; i++)
		assert_memory_not_equal(file.data + i, "what nobody", 11);
	print_message("%zu bytes\n", file.size);
	kw_buf_fini(&file);
}

/* The second recipient is at another hub: its directory comes too, or nothing is said about it. */
static void test_a_recipient_at_another_hub_needs_its_directory(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_buf envelope, receipt;
	(void)state;
	kw_buf_init(&envelope, KW_ENVELOPE_PROOF_SIZE_MAX);
	assert_int_equal(kw_envelope_proof_of(&kit.sealed, 1, &envelope), KW_OK);
	assert_int_equal(kw_envelope_proof_of(&kit.sealed, 3, &envelope), KW_EFIELD);
	kit_evidence_receipt(&(struct kit_receipt){.receipt = kit_evidence_about(&kit, KW_RECEIPT_OPENED), .index = 2, .count = 3,
				     .identity = &kit.identities[1]}, &receipt);
	parts.envelope = kw_buf_view(&envelope);
	parts.receipts[0] = kw_buf_view(&receipt);
	parts.receipts_count = 1;
	parts.held = KW_VIEW(NULL, 0);
	assert_int_equal(refused(&parts), KW_EVIDENCE_RECIPIENT);
	parts.roles.directories[parts.roles.directories_count++] = kw_buf_view(&kit.directories[1]);
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_OK), KW_EVIDENCE_FINE);
	/* The first one's receipt, of the same digest, is no receipt of the second. */
	parts.receipts[0] = kw_buf_view(&kit.receipts[0]);
	assert_int_equal(refused(&parts), KW_EVIDENCE_RECEIPT);
	kw_buf_fini(&envelope);
	kw_buf_fini(&receipt);
}

static void test_another_root_is_refused(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_digest other = kit.fingerprint;
	(void)state;
	other.bytes[31] ^= 1;
	assert_int_equal(verify_as(&parts, &other, KW_EAUTH), KW_EVIDENCE_ROLES);
}

static void test_receipts_of_others_or_of_other_messages_are_refused(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kit_receipt what = {.receipt = kit_evidence_about(&kit, KW_RECEIPT_STORED), .index = 1, .count = 4,
		.identity = &kit.identities[2]};
	struct kw_buf receipt;
	(void)state;
	kit_evidence_receipt(&what, &receipt); /* agency-2, known and at the same hub */
	parts.receipts[0] = kw_buf_view(&receipt);
	assert_int_equal(refused(&parts), KW_EVIDENCE_RECEIPT);
	kw_buf_fini(&receipt);
	what.identity = &kit.identities[0];
	what.receipt.digest.bytes[0] ^= 1;
	kit_evidence_receipt(&what, &receipt); /* its own, about another envelope */
	parts.receipts[0] = kw_buf_view(&receipt);
	assert_int_equal(refused(&parts), KW_EVIDENCE_ENVELOPE);
	kw_buf_fini(&receipt);
	what.receipt.digest.bytes[0] ^= 1;
	what.receipt.envelope_id.bytes[0] ^= 1;
	kit_evidence_receipt(&what, &receipt);
	parts.receipts[0] = kw_buf_view(&receipt);
	assert_int_equal(refused(&parts), KW_EVIDENCE_ENVELOPE);
	kw_buf_fini(&receipt);
	/* The same one twice, or out of order, would be a second encoding. */
	parts = kit_evidence_parts(&kit);
	parts.receipts[1] = parts.receipts[0];
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_EFIELD), KW_EVIDENCE_FORM);
}

static void test_another_senders_message_is_refused(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	static struct kit_evidence other;
	struct kw_buf envelope;
	(void)state;
	/* Signed by somebody who is not the sender whom the claims name. */
	kit_evidence_init(&other, 1);
	kw_sealed_fini(&other.sealed);
	other.sealing.request.identity = &kit.identities[4];
	assert_int_equal(kw_seal(&other.sealing.request, &other.sealed), KW_OK);
	kw_buf_init(&envelope, KW_ENVELOPE_PROOF_SIZE_MAX);
	assert_int_equal(kw_envelope_proof_of(&other.sealed, 0, &envelope), KW_OK);
	parts.envelope = kw_buf_view(&envelope);
	assert_int_equal(refused(&parts), KW_EVIDENCE_SIGNATURE);
	/* Nobody of that name. */
	kw_sealed_fini(&other.sealed);
	memcpy(other.sealing.request.claims.sender.text, "sender-8", 9);
	assert_int_equal(kw_seal(&other.sealing.request, &other.sealed), KW_OK);
	kw_buf_clear(&envelope);
	assert_int_equal(kw_envelope_proof_of(&other.sealed, 0, &envelope), KW_OK);
	parts.envelope = kw_buf_view(&envelope);
	assert_int_equal(refused(&parts), KW_EVIDENCE_SENDER);
	kw_buf_fini(&envelope);
	kit_evidence_fini(&other);
}

static void test_roles_that_do_not_belong_together_are_refused(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	(void)state;
	parts.roles.roots_count = 1; /* its registrar is another */
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_ESTATE), KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&kit);
	parts.roles.roots[0] = parts.roles.roots[1];
	assert_int_not_equal(verify_as(&parts, &kit.fingerprint, KW_EVERSION), KW_EVIDENCE_FINE);
	parts = kit_evidence_parts(&kit);
	parts.roles.roots[2] = parts.roles.roots[1]; /* given twice */
	parts.roles.roots_count = 3;
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_EFIELD), KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&kit);
	parts.roles.directories[1] = parts.roles.directories[0];
	parts.roles.directories_count = 2;
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_EFIELD), KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&kit);
	parts.roles.snapshot = parts.roles.timestamp;
	assert_int_equal(refused(&parts), KW_EVIDENCE_ROLES);
}

static void test_a_log_that_has_not_the_message_is_refused(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_view checkpoint, inclusion;
	struct kw_buf held;
	uint8_t copy[256];
	(void)state;
	parts.held = KW_VIEW(NULL, 0); /* a file without the hub's word is one all the same */
	assert_int_equal(verify_as(&parts, &kit.fingerprint, KW_OK), KW_EVIDENCE_FINE);
	assert_int_equal(kw_held_proof_read(kw_buf_view(&kit.held), &checkpoint, &inclusion), KW_OK);
	assert_true(inclusion.size <= sizeof(copy));
	memcpy(copy, inclusion.data, inclusion.size);
	copy[inclusion.size - 1] ^= 1; /* of the path */
	kw_buf_init(&held, 8192);
	assert_int_equal(kw_held_proof_add(&held, checkpoint, KW_VIEW(copy, inclusion.size)), KW_OK);
	parts.held = kw_buf_view(&held);
	assert_int_equal(refused(&parts), KW_EVIDENCE_HELD);
	kw_buf_clear(&held);
	/* Signed by the hub, and no checkpoint. */
	assert_int_equal(kw_held_proof_add(&held, kw_buf_view(&kit.timestamp_role), inclusion), KW_OK);
	parts.held = kw_buf_view(&held);
	assert_int_equal(refused(&parts), KW_EVIDENCE_HELD);
	parts.held = kw_view_str("of a newer version");
	assert_int_not_equal(verify_as(&parts, &kit.fingerprint, KW_EFIELD), KW_EVIDENCE_FINE);
	kw_buf_fini(&held);
}

/* Every bit of a file: it is refused, or says exactly the same. */
static void test_no_flipped_bit_makes_a_file_say_something_else(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_buf file;
	struct kw_evidence good, evidence;
	struct kw_evidence_refusal why;
	size_t same = 0;
	size_t flips = 0;
	(void)state;
	kit_evidence_file(&parts, &file);
	assert_int_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &good, &why), KW_OK);
	for (size_t i = 0; i < file.size; i++)
		for (unsigned bit = 0; bit < 8; bit += i % 3 ? 7 : 1, flips++) { /* all bits of every third byte, two of the others */
			file.data[i] ^= (uint8_t)(1u << bit);
			if (kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why) == KW_OK) {
				assert_true(kit_evidence_same(&good, &evidence));
				same++;
			} else {
				assert_int_not_equal(why.fault, KW_EVIDENCE_FINE);
				assert_int_not_equal(why.fault, KW_EVIDENCE_LOCAL);
			}
			file.data[i] ^= (uint8_t)(1u << bit);
		}
	print_message("%zu bytes, %zu flips, %zu of them say the same\n", file.size, flips, same);
	assert_int_equal(same, 0);
	for (size_t size = 0; size < file.size; size += 7)
		assert_int_not_equal(kw_evidence_verify(KW_VIEW(file.data, size), &kit.fingerprint, &evidence, &why), KW_OK);
	assert_int_equal(kw_buf_add_u8(&file, 0), KW_OK);
	assert_int_not_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why), KW_OK);
	kw_buf_fini(&file);
}

static void test_every_fault_has_words(void **state)
{
	(void)state;
	for (int i = 0; i < KW_EVIDENCE_FAULT_COUNT; i++) {
		assert_true(strlen(kw_evidence_fault_name((enum kw_evidence_fault)i)) > 2);
		assert_true(strlen(kw_evidence_fault_text((enum kw_evidence_fault)i)) > 10);
	}
}

/* Two lines of hex: the root fingerprint, and the file. */
static void test_evidence_is_frozen(void **state)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_buf file;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	char path[512];
	(void)state;
	kit_evidence_file(&parts, &file);
	snprintf(path, sizeof(path), "%s/evidence.txt", KW_GOLDEN_DIR);
	char *hex = malloc(2 * file.size + 1);
	char *line = malloc(2 * file.size + 64);
	bool update = getenv("KW_GOLDEN_UPDATE") != NULL;
	FILE *golden = fopen(path, update ? "w" : "r");
	assert_non_null(golden);
	if (update) {
		kw_hex(hex, KW_VIEW_OF(kit.fingerprint.bytes));
		fprintf(golden, "root = %s\n", hex);
		kw_hex(hex, kw_buf_view(&file));
		fprintf(golden, "file = %s\n", hex);
	} else {
		assert_non_null(fgets(line, (int)(2 * file.size + 64), golden));
		assert_non_null(fgets(line, (int)(2 * file.size + 64), golden));
		line[strcspn(line, "\n")] = '\0';
		assert_int_equal(strlen(line), 7 + 2 * file.size);
		assert_int_equal(kw_unhex(file.data, file.size, line + 7), KW_OK);
		assert_int_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why), KW_OK);
		kw_hex(hex, kw_buf_view(&file));
		assert_string_equal(line + 7, hex);
		struct kw_buf again;
		kit_evidence_file(&parts, &again);
		assert_true(kw_view_equal(kw_buf_view(&file), kw_buf_view(&again)));
		kw_buf_fini(&again);
	}
	assert_int_equal(fclose(golden), 0);
	free(hex);
	free(line);
	kw_buf_fini(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_proves_who_wrote_to_whom_and_who_confirmed),
		cmocka_unit_test(test_a_recipient_at_another_hub_needs_its_directory),
		cmocka_unit_test(test_another_root_is_refused),
		cmocka_unit_test(test_receipts_of_others_or_of_other_messages_are_refused),
		cmocka_unit_test(test_another_senders_message_is_refused),
		cmocka_unit_test(test_roles_that_do_not_belong_together_are_refused),
		cmocka_unit_test(test_a_log_that_has_not_the_message_is_refused),
		cmocka_unit_test(test_no_flipped_bit_makes_a_file_say_something_else),
		cmocka_unit_test(test_every_fault_has_words),
		cmocka_unit_test(test_evidence_is_frozen),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
