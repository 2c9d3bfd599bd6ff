#include "tests/kit/spool_rig.h"

#include "agent/cli/commands.h"
#include "agent/shell/batch.h"
#include "agent/shell/proof.h"
#include "agent/shell/role_files.h"
#include "agent/shell/spool_proof.h"
#include "kinward/v1/receipt.pb-c.h"
#include "tests/kit/evidence.h"

/* Receipts from their signature to the evidence that is made of them: what is believed, what is kept, what is shown. */

#define FEW 5u

static struct kw_ed25519 key_of(uint8_t n)
{
	struct kw_ed25519 key;
	uint8_t seed[KW_KEY_SIZE];
	memset(seed, n, sizeof(seed));
	assert_int_equal(kw_ed25519_from_seed(seed, &key), KW_OK);
	return key;
}

/* --- the signature of a Receipt */

struct made {
	Kinward__V1__Receipt receipt;
	Kinward__V1__ReceiptEntry entries[FEW];
	Kinward__V1__ReceiptEntry *list[FEW];
	struct kw_digest digests[FEW];
	struct kw_id ids[FEW];
	uint8_t signature[KW_SIGNATURE_SIZE];
};

static void make(struct made *made)
{
	kinward__v1__receipt__init(&made->receipt);
	for (uint32_t i = 0; i < FEW; i++) {
		made->digests[i] = digest((uint8_t)(i + 1));
		made->ids[i] = id((uint8_t)(i + 1));
		kinward__v1__receipt_entry__init(&made->entries[i]);
		made->entries[i].digest = (ProtobufCBinaryData){KW_DIGEST_SIZE, made->digests[i].bytes};
		made->entries[i].envelope_id = (ProtobufCBinaryData){KW_ID_SIZE, made->ids[i].bytes};
		made->entries[i].level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_OPENED;
		made->entries[i].at_unix_ms = NOW + i;
		made->list[i] = &made->entries[i];
	}
	made->entries[2].level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_FAILED;
	made->entries[2].failure = (char *)(uintptr_t) "expired";
	made->entries[3].level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_DECIDED;
	made->receipt.entries = made->list;
	made->receipt.n_entries = FEW;
}

static void test_a_signed_receipt_is_believed_with_its_proofs(void **state)
{
	struct kw_ed25519 key = key_of(1);
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	struct made made;
	(void)state;
	make(&made);
	assert_int_equal(batch_sign(&made.receipt, &key, made.signature), KW_OK);
	assert_int_equal(batch_take(&made.receipt, key.public_key, op), KW_OK);
	assert_int_equal(op->u.receive.receipts_count, FEW);
	for (uint32_t i = 0; i < FEW; i++) {
		const struct spool_receipt *one = &op->u.receive.receipts[i];
		struct kw_receipt_proof proof;
		assert_int_equal(kw_receipt_proof_read(KW_VIEW(op->proof.data + one->proof_at, one->proof_size), &proof), KW_OK);
		assert_int_equal(kw_receipt_proof_verify(&proof, key.public_key), KW_OK);
		assert_memory_equal(&proof.receipt.digest, &made.digests[i], KW_DIGEST_SIZE);
	}
	assert_int_equal(op->u.receive.receipts[2].failure, KW_EEXPIRED);
	assert_true(op->u.receive.receipts[3].decided && op->u.receive.receipts[3].opened);
	spool_op_free(op);
}

static void forge_level(struct made *made)
{
	made->entries[0].level = KINWARD__V1__RECEIPT_LEVEL__RECEIPT_LEVEL_DECIDED;
}

static void forge_time(struct made *made)
{
	made->entries[4].at_unix_ms++;
}

static void forge_digest(struct made *made)
{
	made->digests[1].bytes[31] ^= 1;
}

static void forge_less(struct made *made)
{
	made->receipt.n_entries--;
}

static void forge_order(struct made *made)
{
	made->list[0] = &made->entries[1];
	made->list[1] = &made->entries[0];
}

static void forge_signature(struct made *made)
{
	made->signature[5] ^= 1;
}

static void test_a_forged_receipt_is_not_believed(void **state)
{
	static void (*const forgeries[])(struct made *made) = {
		forge_level, forge_time, forge_digest, forge_less, forge_order, forge_signature};
	struct kw_ed25519 key = key_of(1);
	struct kw_ed25519 other = key_of(2);
	struct made made;
	(void)state;
	for (size_t i = 0; i <= sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		bool foreign = i == sizeof(forgeries) / sizeof(forgeries[0]);
		struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
		make(&made);
		assert_int_equal(batch_sign(&made.receipt, &key, made.signature), KW_OK);
		if (!foreign)
			forgeries[i](&made);
		assert_int_equal(batch_take(&made.receipt, foreign ? other.public_key : key.public_key, op), KW_EAUTH);
		assert_int_equal(op->u.receive.receipts_count, 0);
		spool_op_free(op);
	}
	/* Without a signature it counts, and proves nothing. */
	struct spool_op *op = spool_op_new(SPOOL_OP_RECEIVE);
	make(&made);
	assert_int_equal(batch_take(&made.receipt, key.public_key, op), KW_OK);
	assert_int_equal(op->u.receive.receipts_count, FEW);
	assert_int_equal(op->u.receive.receipts[0].proof_size, 0);
	assert_int_equal(op->proof.size, 0);
	spool_op_free(op);
}

/* --- what the spool keeps */

struct shown {
	uint32_t count;
	uint8_t levels[8];
	size_t sizes[8];
};

static void on_proof(void *user, uint8_t level, struct kw_view bytes)
{
	struct shown *shown = user;
	assert_true(shown->count < 8);
	shown->levels[shown->count] = level;
	shown->sizes[shown->count++] = bytes.size;
}

static struct shown proofs(struct rig *rig, uint8_t n)
{
	struct spool_item item = sent(rig, n);
	struct shown shown = {0};
	assert_int_equal(spool_proofs(rig->spool, &item, on_proof, &shown), KW_OK);
	return shown;
}

static void send_proved(struct rig *rig, uint8_t n, struct kw_view envelope)
{
	struct spool_op *op = append_op(rig, KW_NORMAL, item_of(&(struct said){.n = n, .thread = 200}));
	assert_int_equal(kw_buf_add(&op->proof, envelope), KW_OK);
	fill_content(op, NULL);
	run(rig, op);
}

/* A receipt about message n with this proof; size 0: unsigned. */
static void take(struct rig *rig, const char *from, struct spool_receipt receipt, struct kw_view proof)
{
	static uint8_t fresh = 0;
	struct spool_item item = {.agency = name(from), .at_ms = NOW + 3, .digest = digest(fresh++)};
	struct spool_op *op = arrival_op(SPOOL_RECEIPT, ++rig->arrived, item);
	op->u.receive.item.digest.bytes[0] = 0xee;
	assert_int_equal(kw_buf_add(&op->proof, proof), KW_OK);
	receipt.proof_size = (uint32_t)proof.size;
	op->u.receive.receipts_count = 1;
	op->u.receive.receipts = calloc(1, sizeof(receipt));
	op->u.receive.receipts[0] = receipt;
	run(rig, op);
}

static struct spool_receipt about(uint8_t n, int64_t at_ms)
{
	return (struct spool_receipt){.digest = digest(n), .envelope_id = id(n), .opened = true, .at_ms = at_ms};
}

static void test_proofs_lie_beside_the_message(void **state)
{
	struct rig *rig = *state;
	send_proved(rig, 1, kw_view_str("envelope"));
	send_proved(rig, 2, kw_view_str("other"));
	assert_int_equal(proofs(rig, 1).count, 1);
	take(rig, THEM, about(1, NOW + 2), kw_view_str("opened, signed"));
	take(rig, THEM, about(1, NOW + 9), kw_view_str("the same, told again")); /* the first one stands */
	struct shown shown = proofs(rig, 1);
	assert_int_equal(shown.count, 2);
	assert_int_equal(shown.levels[0], SPOOL_PROOF_ENVELOPE);
	assert_int_equal(shown.levels[1], KW_RECEIPT_OPENED);
	assert_int_equal(shown.sizes[1], strlen("opened, signed"));
	assert_int_equal(sent(rig, 1).signed_levels, 1u << KW_RECEIPT_OPENED);
	take(rig, THEM, about(2, NOW + 2), KW_VIEW(NULL, 0)); /* of an older agent: it counts, unsigned */
	assert_int_equal(sent(rig, 2).state, SPOOL_OPENED);
	assert_int_equal(sent(rig, 2).signed_levels, 0);
	assert_int_equal(proofs(rig, 2).count, 1);
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(proofs(rig, 1).count, 2);
	assert_int_equal(sent(rig, 1).signed_levels, 1u << KW_RECEIPT_OPENED);
}

static void test_anothers_receipt_is_not_kept(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt receipt = about(1, NOW + 2);
	send_proved(rig, 1, kw_view_str("envelope"));
	take(rig, "agency-c", receipt, kw_view_str("well signed, by agency-c"));
	assert_int_equal(rig->strangers, 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	assert_int_equal(proofs(rig, 1).count, 1);
	receipt.digest.bytes[3] ^= 1; /* another envelope under this id */
	take(rig, THEM, receipt, kw_view_str("well signed"));
	assert_int_equal(rig->strangers, 1);
	assert_int_equal(sent(rig, 1).state, SPOOL_QUEUED);
	take(rig, THEM, about(1, NOW + 2), kw_view_str("good"));
	assert_int_equal(rig->strangers, 0);
	assert_int_equal(sent(rig, 1).state, SPOOL_OPENED);
}

/* A person's word may overtake the agent's, which waited for company. */
static void test_a_decision_is_kept_with_its_time(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt decided = about(1, NOW + 7);
	send_proved(rig, 1, kw_view_str("envelope"));
	decided.decided = true;
	take(rig, THEM, decided, kw_view_str("decided"));
	assert_int_equal(sent(rig, 1).state, SPOOL_OPENED);
	assert_int_equal(sent(rig, 1).decided_ms, NOW + 7);
	take(rig, THEM, about(1, NOW + 2), kw_view_str("opened"));
	assert_int_equal(sent(rig, 1).opened_ms, NOW + 2);
	assert_int_equal(sent(rig, 1).decided_ms, NOW + 7);
	assert_int_equal(proofs(rig, 1).count, 3);
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(sent(rig, 1).decided_ms, NOW + 7);
	assert_int_equal(sent(rig, 1).signed_levels, 1u << KW_RECEIPT_OPENED | 1u << KW_RECEIPT_DECIDED);
	assert_int_equal(sent(rig, 1).passed, false);
}

/* --- R3: what a person decides here is said to the author */

static uint32_t decided_dues(struct rig *rig, struct spool_receipt *last)
{
	struct dues all = dues(rig);
	uint32_t count = 0;
	for (uint32_t i = 0; i < all.count; i++)
		if (all.list[i].decided) {
			*last = all.list[i];
			count++;
		}
	return count;
}

static void test_a_decision_makes_a_receipt_due_once(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt last = {0};
	theirs(rig, OPENS(.n = 9, .thread = 210)); /* so that numbers in the inbox and among ours differ */
	theirs(rig, OPENS(.n = 1));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 2, .sequence = 1, .by_person = true));
	assert_false(rig->decided); /* seen is not decided */
	assert_int_equal(decided_dues(rig, &last), 0);
	ours(rig, MOVES(ACCEPTED, .n = 3, .sequence = 2, .by_person = true, .now_ms = NOW + 500));
	assert_true(rig->decided);
	assert_int_equal(decided_dues(rig, &last), 1);
	struct kw_digest opening = digest(1);
	assert_memory_equal(&last.digest, &opening, sizeof(opening));
	assert_int_equal(last.envelope_id.bytes[15], 1);
	assert_int_equal(last.at_ms, NOW + 500);
	assert_string_equal(last.agency.text, THEM);
	assert_false(last.tracked); /* the hub hears of the event itself */
	ours(rig, MOVES(COMPLETED, .n = 4, .sequence = 3, .by_person = true));
	assert_false(rig->decided); /* nothing new was asked */
	theirs(rig, MOVES(CLOSED, .n = 5, .sequence = 2));
	assert_int_equal(decided_dues(rig, &last), 1);
	close_spool(rig);
	open_spool(rig);
	assert_int_equal(decided_dues(rig, &last), 1);
}

static void test_an_agent_decides_nothing(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt last;
	theirs(rig, OPENS(.n = 1));
	ours(rig, MOVES(ACKNOWLEDGED, .n = 2, .sequence = 1));
	ours(rig, MOVES(ACCEPTED, .n = 3, .sequence = 2)); /* of its own accord */
	assert_int_equal(decided_dues(rig, &last), 0);
	/* Nor does who opens a thread. */
	ours(rig, OPENS(.n = 7, .thread = 201, .by_person = true));
	assert_false(rig->decided);
}

static void test_a_step_that_is_refused_decides_nothing(void **state)
{
	struct rig *rig = *state;
	struct spool_receipt last;
	theirs(rig, OPENS(.n = 1));
	ours(rig, MOVES(COMPLETED, .n = 2, .sequence = 1, .by_person = true));
	assert_int_not_equal(rig->fault, AGT_FAULT_NONE);
	assert_int_equal(decided_dues(rig, &last), 0);
}

/* --- replay */

static void arrive(struct rig *rig, uint64_t epoch, uint64_t sequence, struct said said)
{
	struct spool_op *op = arrival_op(SPOOL_MESSAGE, sequence, item_of(&said));
	op->u.receive.cursor.epoch = epoch; /* the log of a hub */
	op->u.receive.act = act_from(&said);
	fill_content(op, NULL);
	run(rig, op);
}

/* An envelope that comes again is known by its digest: from the same hub, from another that got hold of it, after a restart. */
static void test_a_replayed_envelope_does_nothing(void **state)
{
	struct rig *rig = *state;
	struct said said = OPENS(.n = 1);
	arrive(rig, 9, 1, said);
	assert_false(rig->repeat);
	arrive(rig, 9, 2, said);
	assert_true(rig->repeat);
	arrive(rig, 4711, 1, said);
	assert_true(rig->repeat);
	close_spool(rig);
	open_spool(rig);
	arrive(rig, 9, 3, said);
	assert_true(rig->repeat);
	arrive(rig, 4712, 1, said);
	assert_true(rig->repeat);
	assert_int_equal(inbox(rig, NULL), 1);
	assert_int_equal(steps(rig).count, 1);
	assert_int_equal(spool_count(rig->spool, SPOOL_COUNT_REPEATS), 4);
}

/* --- the file */

static struct kit_evidence kit;

static int kit_setup(void **state)
{
	kit_evidence_init(&kit, 1);
	return setup(state);
}

static int kit_teardown(void **state)
{
	kit_evidence_fini(&kit);
	return teardown(state);
}

static struct kw_view kept_receipt(enum kw_receipt_level level)
{
	return kw_buf_view(&kit.receipts[level == KW_RECEIPT_DECIDED ? 2 : level - 1]);
}

static enum kw_err make_file(struct rig *rig, const struct kw_digest *root, struct kw_buf *out, struct kw_evidence_refusal *why)
{
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct spool_item item = sent(rig, 1);
	struct proof_request request = {.spool = rig->spool, .item = &item, .roles = &parts.roles, .root_fingerprint = root};
	kw_buf_init(out, KW_EVIDENCE_SIZE_MAX);
	return proof_file(&request, out, why);
}

static void test_a_file_is_made_of_what_is_kept(void **state)
{
	struct rig *rig = *state;
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	struct kw_digest other = kit.fingerprint;
	struct kw_buf file;
	struct spool_receipt decided = about(1, NOW + 7);
	send_proved(rig, 1, kw_buf_view(&kit.envelope));
	decided.decided = true;
	take(rig, THEM, about(1, NOW + 2), kept_receipt(KW_RECEIPT_OPENED));
	take(rig, THEM, decided, kept_receipt(KW_RECEIPT_DECIDED));
	assert_int_equal(make_file(rig, &kit.fingerprint, &file, &why), KW_OK);
	assert_int_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why), KW_OK);
	assert_int_equal(evidence.receipts_count, 2);
	kw_buf_fini(&file);
	other.bytes[0] ^= 1; /* nothing is handed out that would not verify */
	assert_int_equal(make_file(rig, &other, &file, &why), KW_EAUTH);
	assert_int_equal(why.fault, KW_EVIDENCE_ROLES);
	kw_buf_fini(&file);
}

static void test_of_an_older_agents_message_there_is_no_file(void **state)
{
	struct rig *rig = *state;
	struct kw_evidence_refusal why;
	struct kw_buf file;
	send_proved(rig, 1, KW_VIEW(NULL, 0));
	assert_int_equal(make_file(rig, &kit.fingerprint, &file, &why), KW_ENOTFOUND);
	kw_buf_fini(&file);
}

static void put_file(struct rig *rig, const char *file, struct kw_view bytes)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", rig->folder, file);
	FILE *out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(bytes.data, 1, bytes.size, out), bytes.size);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static void test_roles_are_read_from_the_state_folder(void **state)
{
	struct rig *rig = *state;
	struct role_files *files = malloc(sizeof(*files));
	put_file(rig, "root.bin", kw_buf_view(&kit.roots[1]));
	put_file(rig, "timestamp.bin", kw_buf_view(&kit.timestamp_role));
	put_file(rig, "snapshot.bin", kw_buf_view(&kit.snapshot_role));
	put_file(rig, "directory.bin", kw_buf_view(&kit.directories[0]));
	assert_int_equal(role_files_read(rig->folder, files), KW_ENOTFOUND); /* version 1 */
	role_files_fini(files);
	assert_int_equal(role_files_keep_root(rig->folder, 1, kw_buf_view(&kit.roots[0])), KW_OK);
	assert_int_equal(role_files_read(rig->folder, files), KW_OK);
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_evidence evidence;
	struct kw_evidence_refusal why;
	struct kw_buf file;
	parts.roles = files->roles;
	kit_evidence_file(&parts, &file);
	assert_int_equal(kw_evidence_verify(kw_buf_view(&file), &kit.fingerprint, &evidence, &why), KW_OK);
	kw_buf_fini(&file);
	role_files_fini(files);
	put_file(rig, "root.bin", kw_view_str("no root"));
	assert_int_not_equal(role_files_read(rig->folder, files), KW_OK);
	role_files_fini(files);
	free(files);
}

/* --- the command */

static char said_out[16384];
static char said_err[4096];

static int command(struct rig *rig, const char *file, const char *root, bool json)
{
	char path[160];
	char words[6][160] = {"kinward", "proof", "verify", "", "--root", ""};
	char last[] = "--json";
	char *argv[8];
	snprintf(path, sizeof(path), "%s/%s", rig->folder, file);
	memcpy(words[3], path, sizeof(path));
	snprintf(words[5], sizeof(words[5]), "%s", root);
	for (int i = 0; i < 6; i++)
		argv[i] = words[i];
	argv[6] = json ? last : NULL;
	argv[7] = NULL;
	said_out[0] = said_err[0] = 0;
	FILE *out = fmemopen(said_out, sizeof(said_out), "w");
	FILE *err = fmemopen(said_err, sizeof(said_err), "w");
	int code = cli_main(json ? 7 : 6, argv, out, err);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(fclose(err), 0);
	return code;
}

static void test_verify_says_what_is_proved_and_what_not(void **state)
{
	struct rig *rig = *state;
	struct kw_evidence_parts parts = kit_evidence_parts(&kit);
	struct kw_buf file;
	char root[2 * KW_DIGEST_SIZE + 1];
	kw_hex(root, KW_VIEW_OF(kit.fingerprint.bytes));
	kit_evidence_file(&parts, &file);
	put_file(rig, "evidence.bin", kw_buf_view(&file));
	assert_int_equal(command(rig, "evidence.bin", root, false), CLI_OK);
	assert_non_null(strstr(said_out, "PROVED, by signatures that lead to root"));
	assert_non_null(strstr(said_out, "sender-9 at hub hub-0 sent an envelope to agency-0 at hub hub-0"));
	assert_non_null(strstr(said_out, "a person there answered"));
	assert_non_null(strstr(said_out, "NOT PROVED\n"));
	assert_non_null(strstr(said_out, "PERSONAL DATA"));
	assert_null(strstr(said_out, "that a hub has logged it"));
	assert_int_equal(command(rig, "evidence.bin", root, true), CLI_OK);
	assert_non_null(strstr(said_out, "\"verified\""));
	assert_non_null(strstr(said_out, "RECEIPT_LEVEL_DECIDED"));
	root[0] = root[0] == '0' ? '1' : '0';
	assert_int_equal(command(rig, "evidence.bin", root, false), CLI_REFUSED);
	assert_non_null(strstr(said_err, "NOT PROVED"));
	assert_int_equal(strlen(said_out), 0);
	assert_int_equal(command(rig, "evidence.bin", "00", false), CLI_USAGE);
	assert_int_equal(command(rig, "nothing.bin", root, false), CLI_NOT_FOUND);
	kw_hex(root, KW_VIEW_OF(kit.fingerprint.bytes));
	file.data[file.size / 2] ^= 0x10;
	put_file(rig, "evidence.bin", kw_buf_view(&file));
	assert_int_equal(command(rig, "evidence.bin", root, false), CLI_REFUSED);
	kw_buf_fini(&file);
	/* Without receipts it says that nobody has confirmed anything. */
	parts.receipts_count = 0;
	parts.held = KW_VIEW(NULL, 0);
	kit_evidence_file(&parts, &file);
	put_file(rig, "evidence.bin", kw_buf_view(&file));
	assert_int_equal(command(rig, "evidence.bin", root, false), CLI_OK);
	assert_non_null(strstr(said_out, "agency-0 has confirmed nothing in this file"));
	assert_non_null(strstr(said_out, "that a hub has logged it"));
	kw_buf_fini(&file);
}

#define KIT_CASE(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_signed_receipt_is_believed_with_its_proofs),
		cmocka_unit_test(test_a_forged_receipt_is_not_believed),
		SPOOL_CASE(test_proofs_lie_beside_the_message),
		SPOOL_CASE(test_anothers_receipt_is_not_kept),
		SPOOL_CASE(test_a_decision_is_kept_with_its_time),
		SPOOL_CASE(test_a_decision_makes_a_receipt_due_once),
		SPOOL_CASE(test_an_agent_decides_nothing),
		SPOOL_CASE(test_a_step_that_is_refused_decides_nothing),
		SPOOL_CASE(test_a_replayed_envelope_does_nothing),
		KIT_CASE(test_a_file_is_made_of_what_is_kept),
		KIT_CASE(test_of_an_older_agents_message_there_is_no_file),
		KIT_CASE(test_roles_are_read_from_the_state_folder),
		KIT_CASE(test_verify_says_what_is_proved_and_what_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
