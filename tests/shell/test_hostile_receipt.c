/* Receipts that lie, against the program kinward-agent: what it has sent stays unconfirmed until the agency that it was for has
 * signed for that very envelope. The hub of the test carries whatever it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/wire/message.h"
#include "proto/wire/receipt.h"
#include "tests/kit/hostile_hub.h"
#include "tests/kit/hostile_letter.h"

struct rig {
	struct hostile_hub hub;
	struct hostile_letter letter;
	struct kw_digest digest; /* of what the victim has sent to agency-1 */
	struct kw_id id;
	uint32_t refused;        /* receipts so far */
};

static bool has_held(struct rig *rig, uint64_t count)
{
	struct hostile_status status;
	hostile_hub_status(&rig->hub, &status);
	return status.held == count;
}

/* The victim writes to agency-1, and hears that the hub has it. */
static void let_send(struct rig *rig)
{
	hostile_hub_let_send(&rig->hub);
	HOSTILE_WAIT(&rig->hub, has_held(rig, 1));
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct kw_envelope_label label;
	assert_non_null(rig);
	hostile_hub_init(&rig->hub);
	hostile_hub_agent_start(&rig->hub);
	let_send(rig);
	struct kw_view sent = kw_buf_view(&rig->hub.heard[rig->hub.heard_count - 1]);
	assert_int_equal(kw_envelope_peek(sent, &label), KW_OK);
	assert_string_equal(hostile_hub_sent_to(sent), "agency-1");
	rig->id = label.id;
	assert_int_equal(kw_envelope_digest(sent, &rig->digest), KW_OK);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	hostile_letter_fini(&rig->letter);
	hostile_hub_fini(&rig->hub);
	free(rig);
	return 0;
}

/* ---- a receipt of two entries: one about the message, one about another of the same agency */

struct said {
	struct kw_digest digest;
	struct kw_id id;
	bool failed;
	const struct keys *signer;   /* of the batch; NULL: not signed */
	const struct keys *envelope; /* who signs the envelope */
	const char *sender;
	bool edited;                 /* after the batch was signed */
	bool signature_edited;
};

static struct said truth(const struct rig *rig)
{
	return (struct said){.digest = rig->digest, .id = rig->id, .signer = &rig->hub.parties[1], .envelope = &rig->hub.parties[1],
		.sender = "agency-1"};
}

static void sign(const struct said *said, const struct kw_receipt *receipts, uint8_t *signature)
{
	static struct kw_receipt_batch batch;
	memset(&batch, 0, sizeof(batch));
	for (int i = 0; i < 2; i++)
		assert_int_equal(kw_receipt_batch_add(&batch, &receipts[i]), KW_OK);
	assert_int_equal(kw_receipt_batch_sign(&batch, &said->signer->identity, signature), KW_OK);
}

static void fill_entry(struct kw_receipt *from, Kinward__V1__ReceiptEntry *entry)
{
	kinward__v1__receipt_entry__init(entry);
	entry->digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = from->digest.bytes};
	entry->envelope_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->envelope_id.bytes};
	entry->level = (Kinward__V1__ReceiptLevel)from->level;
	entry->at_unix_ms = from->at_unix_ms;
	if (from->failure[0])
		entry->failure = from->failure;
}

static void give(struct rig *rig, const struct said *said)
{
	struct kw_receipt receipts[2] = {{.digest = said->digest, .envelope_id = said->id,
		.level = said->failed ? KW_RECEIPT_FAILED : KW_RECEIPT_OPENED, .at_unix_ms = (int64_t)time(NULL) * 1000}};
	Kinward__V1__ReceiptEntry entries[2];
	Kinward__V1__ReceiptEntry *list[2] = {&entries[0], &entries[1]};
	Kinward__V1__Receipt receipt = KINWARD__V1__RECEIPT__INIT;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	uint8_t signature[KW_SIGNATURE_SIZE];
	struct kw_fault fault = {0};
	struct kw_buf bytes;
	struct kw_id id;
	memcpy(receipts[0].failure, "not_found", said->failed ? sizeof("not_found") : 0);
	receipts[1] = receipts[0];
	receipts[1].envelope_id.bytes[0] ^= 1; /* of nothing that we know */
	sign(&(struct said){.signer = said->signer != NULL ? said->signer : said->envelope}, receipts, signature);
	if (said->edited)
		receipts[1].at_unix_ms++;
	if (said->signature_edited)
		signature[9] ^= 1;
	for (int i = 0; i < 2; i++)
		fill_entry(&receipts[i], &entries[i]);
	receipt.n_entries = 2;
	receipt.entries = list;
	if (said->signer != NULL)
		receipt.signature = (ProtobufCBinaryData){.len = sizeof(signature), .data = signature};
	assert_int_equal(kw_random(id.bytes, sizeof(id.bytes)), KW_OK);
	content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id.bytes};
	content.created_unix_ms = (int64_t)time(NULL) * 1000;
	content.body_case = KINWARD__V1__CONTENT__BODY_RECEIPT;
	content.receipt = &receipt;
	kw_buf_init(&bytes, KW_CONTENT_SIZE_MAX);
	assert_int_equal(kw_content_pack(&content, &bytes, &fault), KW_OK);
	hostile_letter_write(&rig->letter, &(struct hostile_writing){.from = said->envelope, .sender = said->sender,
		.to = {&rig->hub.parties[0]}, .content = kw_buf_view(&bytes), .content_type = KINWARD__V1__CONTENT__BODY_RECEIPT});
	kw_buf_fini(&bytes);
	hostile_hub_give(&rig->hub, KW_URGENT, hostile_letter_envelope(&rig->letter, 0));
}

static uint32_t refusals(struct rig *rig)
{
	return kit_daemon_logged(&rig->hub.agent, "\"event\":\"receipt_refused\"", "\"error\":\"not_authentic\"");
}

static void message_is(struct rig *rig, uint64_t held, uint64_t opened)
{
	struct hostile_status status;
	hostile_hub_status(&rig->hub, &status);
	assert_int_equal(status.held, held);
	assert_int_equal(status.opened, opened);
	assert_int_equal(status.dead, 0);
	assert_int_equal(status.received, 0); /* a receipt is nothing for the inbox */
}

static void is_refused(struct rig *rig, const struct said *said)
{
	give(rig, said);
	assert_int_equal(refusals(rig), ++rig->refused);
	message_is(rig, 1, 0);
}

static void test_a_receipt_is_its_recipients_and_about_its_message(void **state)
{
	struct rig *rig = *state;
	struct hostile_hub *hub = &rig->hub;
	const struct keys *other = &hub->parties[2];
	struct said said = truth(rig);
	/* Another agency, in its own name: that it was opened, that it was refused. */
	said.sender = "agency-2";
	said.envelope = said.signer = other;
	is_refused(rig, &said);
	said.failed = true;
	is_refused(rig, &said);
	/* The right one's batch in another one's envelope, and the other way round. */
	said = truth(rig);
	said.sender = "agency-2";
	said.envelope = other;
	is_refused(rig, &said);
	said = truth(rig);
	said.signer = other;
	is_refused(rig, &said);
	/* About another envelope than ours, changed after it was signed, with a signature that was changed, and unsigned of another. */
	said = truth(rig);
	said.digest.bytes[0] ^= 1;
	is_refused(rig, &said);
	said = truth(rig);
	said.edited = true;
	is_refused(rig, &said);
	said = truth(rig);
	said.signature_edited = true;
	is_refused(rig, &said);
	said = truth(rig);
	said.sender = "agency-2";
	said.envelope = other;
	said.signer = NULL;
	is_refused(rig, &said);
	/* After a restart it is as before. */
	hostile_hub_agent_stop(hub);
	hostile_hub_agent_start(hub);
	message_is(rig, 1, 0);
	/* The true one, and then nobody changes it any more. */
	said = truth(rig);
	give(rig, &said);
	message_is(rig, 0, 1);
	said.sender = "agency-2";
	said.envelope = said.signer = other;
	said.failed = true;
	give(rig, &said);
	message_is(rig, 0, 1);
}

/* An envelope with a receipt is replayed like any other: it counts once. */
static void test_a_receipt_that_is_replayed_counts_once(void **state)
{
	struct rig *rig = *state;
	struct said said = truth(rig);
	give(rig, &said);
	message_is(rig, 0, 1);
	let_send(rig);
	message_is(rig, 1, 1);
	hostile_hub_give(&rig->hub, KW_URGENT, hostile_letter_envelope(&rig->letter, 0));
	assert_int_equal(kit_daemon_logged(&rig->hub.agent, "\"event\":\"repeat\"", "\"agency\":\"agency-1\""), 1);
	message_is(rig, 1, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* argument: only the cases of this pattern */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_receipt_is_its_recipients_and_about_its_message),
		CASE(test_a_receipt_that_is_replayed_counts_once),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
