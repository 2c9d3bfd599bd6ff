/* tests/golden/evidence_*.txt: evidence files, good ones and such as do not hold together, each with the rule by which it is
 * refused; made anew and compared. tests/decoder verifies the same. One more is in evidence.txt (unit/test_evidence). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/evidence.h"
#include "tests/kit/golden.h"

#define FILE_NAME "evidence_cases.txt"

struct world {
	struct kit_evidence kit;
	struct kit_evidence other; /* sealed by somebody else, or about something else */
	struct kit_golden text;
	int lines;
};

static const char *verify(void *user, struct kw_view bytes)
{
	struct world *w = user;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	enum kw_err err = kw_evidence_verify(bytes, &w->kit.fingerprint, &evidence, &why);
	assert_true((err == KW_OK) == (why.fault == KW_EVIDENCE_FINE));
	return err == KW_OK ? "ok" : kw_evidence_fault_name(why.fault);
}

static void tell(struct world *w, const char *name, const struct kw_evidence_parts *parts, enum kw_evidence_fault fault)
{
	struct kw_buf file;
	const char *wanted = fault == KW_EVIDENCE_FINE ? "ok" : kw_evidence_fault_name(fault);
	kit_evidence_file(parts, &file);
	const char *got = verify(w, kw_buf_view(&file));
	if (strcmp(got, wanted) != 0)
		print_error("%s: %s instead of %s\n", name, got, wanted);
	assert_string_equal(got, wanted);
	fprintf(w->text.file, "file %s %s", name, wanted);
	kit_golden_hex(&w->text, kw_buf_view(&file));
	fputc('\n', w->text.file);
	kw_buf_fini(&file);
}

static void tell_receipt(
	struct world *w, const char *name, const struct kit_receipt *what, enum kw_evidence_fault fault)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	struct kw_buf receipt;
	kit_evidence_receipt(what, &receipt);
	parts.receipts[0] = kw_buf_view(&receipt);
	parts.receipts_count = 1;
	tell(w, name, &parts, fault);
	kw_buf_fini(&receipt);
}

static void tell_receipts(struct world *w)
{
	struct kit_receipt what = {.receipt = kit_evidence_about(&w->kit, KW_RECEIPT_FAILED),
		.index = 1,
		.count = 4,
		.identity = &w->kit.identities[0]};
	tell_receipt(w, "failed", &what, KW_EVIDENCE_FINE);
	what.receipt.digest.bytes[0] ^= 1;
	tell_receipt(w, "receipt_of_other_digest", &what, KW_EVIDENCE_ENVELOPE);
	what.receipt.digest.bytes[0] ^= 1;
	what.receipt.envelope_id.bytes[0] ^= 1;
	tell_receipt(w, "receipt_of_other_id", &what, KW_EVIDENCE_ENVELOPE);
	what.receipt.envelope_id.bytes[0] ^= 1;
	what.identity = &w->kit.identities[2];
	tell_receipt(w, "receipt_of_other_agency", &what, KW_EVIDENCE_RECEIPT);
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	parts.receipts[1] = parts.receipts[0];
	tell(w, "receipt_twice", &parts, KW_EVIDENCE_FORM);
	parts = kit_evidence_parts(&w->kit);
	parts.receipts[0] = parts.receipts[2];
	tell(w, "receipts_out_of_order", &parts, KW_EVIDENCE_FORM);
	parts.receipts_count = 0;
	tell(w, "no_receipts", &parts, KW_EVIDENCE_FINE);
}

static void tell_roles(struct world *w)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	parts.roles.roots_count = 1;
	tell(w, "root_2_is_missing", &parts, KW_EVIDENCE_ROLES);
	parts.roles.roots[0] = parts.roles.roots[1];
	tell(w, "root_1_is_missing", &parts, KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&w->kit);
	parts.roles.roots[parts.roles.roots_count++] = parts.roles.roots[1];
	tell(w, "root_2_twice", &parts, KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&w->kit);
	parts.roles.directories[parts.roles.directories_count++] = parts.roles.directories[0];
	tell(w, "directory_twice", &parts, KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&w->kit);
	parts.roles.snapshot = parts.roles.timestamp;
	tell(w, "timestamp_for_snapshot", &parts, KW_EVIDENCE_ROLES);
	parts = kit_evidence_parts(&w->kit);
	parts.roles.directories[0] = kw_buf_view(&w->kit.directories[1]);
	tell(w, "other_directory", &parts, KW_EVIDENCE_SENDER);
	parts = kit_evidence_parts(&w->kit);
	parts.envelope = kw_view_str("x");
	tell(w, "no_envelope", &parts, KW_EVIDENCE_FORM);
}

/* The second recipient is at another hub: its directory comes too, or nothing is said about it. */
static void tell_other_hub(struct world *w)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	struct kw_buf envelope, receipt;
	kw_buf_init(&envelope, KW_ENVELOPE_PROOF_SIZE_MAX);
	assert_int_equal(kw_envelope_proof_of(&w->kit.sealed, 1, &envelope), KW_OK);
	kit_evidence_receipt(&(struct kit_receipt){.receipt = kit_evidence_about(&w->kit, KW_RECEIPT_OPENED),
							 .index = 2,
							 .count = 3,
							 .identity = &w->kit.identities[1]},
		&receipt);
	parts.envelope = kw_buf_view(&envelope);
	tell(w, "recipient_unknown", &parts, KW_EVIDENCE_RECIPIENT);
	parts.roles.directories[parts.roles.directories_count++] = kw_buf_view(&w->kit.directories[1]);
	tell(w, "receipts_of_the_first_recipient", &parts, KW_EVIDENCE_RECEIPT);
	parts.receipts[0] = kw_buf_view(&receipt);
	parts.receipts_count = 1;
	tell(w, "recipient_at_another_hub", &parts, KW_EVIDENCE_FINE);
	kw_buf_fini(&envelope);
	kw_buf_fini(&receipt);
}

static void reseal(struct world *w, struct kw_buf *envelope)
{
	kw_sealed_fini(&w->other.sealed);
	assert_int_equal(kw_seal(&w->other.sealing.request, &w->other.sealed), KW_OK);
	kw_buf_clear(envelope);
	assert_int_equal(kw_envelope_proof_of(&w->other.sealed, 0, envelope), KW_OK);
}

static void tell_senders(struct world *w)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	struct kw_claims *claims = &w->other.sealing.request.claims;
	const struct kw_claims good = *claims;
	struct kw_buf envelope;
	kw_buf_init(&envelope, KW_ENVELOPE_PROOF_SIZE_MAX);
	w->other.sealing.request.identity = &w->kit.identities[4];
	reseal(w, &envelope);
	parts.envelope = kw_buf_view(&envelope);
	tell(w, "signed_by_another", &parts, KW_EVIDENCE_SIGNATURE);
	memcpy(claims->sender.text, "sender-8", 9);
	reseal(w, &envelope);
	parts.envelope = kw_buf_view(&envelope);
	tell(w, "sender_unknown", &parts, KW_EVIDENCE_SENDER);
	*claims = good;
	claims->key_id.bytes[0] ^= 1;
	reseal(w, &envelope);
	parts.envelope = kw_buf_view(&envelope);
	tell(w, "sender_of_another_key", &parts, KW_EVIDENCE_SENDER);
	kw_buf_fini(&envelope);
}

static void tell_held(struct world *w)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	struct kw_view checkpoint, inclusion;
	struct kw_buf held;
	uint8_t copy[256];
	parts.held = KW_VIEW(NULL, 0);
	tell(w, "not_held", &parts, KW_EVIDENCE_FINE);
	assert_int_equal(kw_held_proof_read(kw_buf_view(&w->kit.held), &checkpoint, &inclusion), KW_OK);
	memcpy(copy, inclusion.data, inclusion.size);
	copy[inclusion.size - 1] ^= 1;
	kw_buf_init(&held, 8192);
	assert_int_equal(kw_held_proof_add(&held, checkpoint, KW_VIEW(copy, inclusion.size)), KW_OK);
	parts.held = kw_buf_view(&held);
	tell(w, "held_by_another_path", &parts, KW_EVIDENCE_HELD);
	kw_buf_clear(&held);
	assert_int_equal(kw_held_proof_add(&held, kw_buf_view(&w->kit.timestamp_role), inclusion), KW_OK);
	parts.held = kw_buf_view(&held);
	tell(w, "held_by_no_checkpoint", &parts, KW_EVIDENCE_HELD);
	parts.held = kw_view_str("of a newer version");
	tell(w, "held_is_no_proof", &parts, KW_EVIDENCE_HELD);
	kw_buf_fini(&held);
}

static void read_line(void *user, char **words, int count)
{
	struct world *w = user;
	struct kw_buf bytes;
	assert_int_equal(count, 3);
	kit_golden_bytes(words[2], &bytes);
	const char *got = verify(w, kw_buf_view(&bytes));
	if (strcmp(got, words[1]) != 0)
		print_error("%s: %s instead of %s\n", words[0], got, words[1]);
	assert_string_equal(got, words[1]);
	kw_buf_fini(&bytes);
	w->lines++;
}

static void test_evidence_is_frozen(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct kw_buf file;
	(void)state;
	assert_non_null(w);
	kit_evidence_init(&w->kit, 3);
	kit_evidence_init(&w->other, 1);
	kit_golden_begin(&w->text);
	fputs("root", w->text.file);
	kit_golden_hex(&w->text, KW_VIEW_OF(w->kit.fingerprint.bytes));
	fputc('\n', w->text.file);
	struct kw_evidence_parts parts = kit_evidence_parts(&w->kit);
	tell(w, "whole", &parts, KW_EVIDENCE_FINE);
	tell_receipts(w);
	tell_roles(w);
	tell_other_hub(w);
	tell_senders(w);
	tell_held(w);
	kit_evidence_file(&parts, &file);
	fputs("flips", w->text.file);
	kit_golden_hex(&w->text, kw_buf_view(&file));
	fputs(" 3", w->text.file);
	kit_golden_flips(&w->text, kw_buf_view(&file), 3, verify, w);
	fputc('\n', w->text.file);
	kit_golden_end(&w->text, FILE_NAME);
	kit_golden_each(FILE_NAME, "file", read_line, w);
	assert_int_equal(w->lines, 25);
	kw_buf_fini(&file);
	kit_evidence_fini(&w->kit);
	kit_evidence_fini(&w->other);
	free(w);
}

/* Made by tests/decoder/forge_signed.py out of evidence.txt: what breaks a form, or is signed anew for something else. */
static void test_evidence_that_was_put_together_anew_is_refused(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	(void)state;
	assert_non_null(w);
	kit_evidence_init(&w->kit, 3);
	kit_golden_each("forged_evidence.txt", "file", read_line, w);
	assert_int_equal(w->lines, 46);
	kit_evidence_fini(&w->kit);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evidence_is_frozen),
		cmocka_unit_test(test_evidence_that_was_put_together_anew_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
