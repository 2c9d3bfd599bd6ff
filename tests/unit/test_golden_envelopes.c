/* tests/golden/envelopes: sealed envelopes of every suite, which tests/decoder opens as well. Here they are made anew and
 * compared, opened from the file, and refused with one bit changed in each place. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/golden.h"
#include "tests/kit/sealing.h"

static const struct golden_case {
	const char *file;
	enum kw_suite suite;
	size_t recipients;
	size_t content_size;
	size_t step; /* between the places that are flipped */
} CASES[] = {
	{"envelopes/aes_one.txt", KW_SUITE_AES, 1, 44, 1},
	{"envelopes/aes_three.txt", KW_SUITE_AES, 3, 300, 1},
	{"envelopes/aes_eight.txt", KW_SUITE_AES, 8, 0, 7},
	{"envelopes/aes_511.txt", KW_SUITE_AES, 1, 511, 7},
	{"envelopes/aes_512.txt", KW_SUITE_AES, 2, 512, 7},
	{"envelopes/aes_padme.txt", KW_SUITE_AES, 1, 5000, 61},
	{"envelopes/aes_one_chunk.txt", KW_SUITE_AES, 1, 16383, 211},
	{"envelopes/aes_two_chunks.txt", KW_SUITE_AES, 1, 16384, 211},
	{"envelopes/aes_three_chunks.txt", KW_SUITE_AES, 1, 49151, 499},
	{"envelopes/chacha_one.txt", KW_SUITE_CHACHA, 1, 44, 1},
	{"envelopes/chacha_three.txt", KW_SUITE_CHACHA, 3, 300, 7},
	{"envelopes/chacha_two_chunks.txt", KW_SUITE_CHACHA, 1, 20000, 211},
	{"envelopes/hybrid_one.txt", KW_SUITE_HYBRID, 1, 44, 5},
	{"envelopes/hybrid_three.txt", KW_SUITE_HYBRID, 3, 300, 17},
	{"envelopes/hybrid_two_chunks.txt", KW_SUITE_HYBRID, 1, 20000, 211},
};
#define CASES_COUNT (sizeof(CASES) / sizeof(CASES[0]))

struct golden {
	struct kit_sealing kit;
	struct kit_golden text;
	size_t opened;
	size_t recipient;
};

/* Ends in 0x80 and zeros where it is long enough, so that padding after it has to be found from the end. */
static void fill_content(uint8_t *content, size_t size)
{
	for (size_t i = 0; i < size; i++)
		content[i] = (uint8_t)(i * 7 + i / 251 + 13);
	if (size > 8) {
		memset(content + size - 4, 0, 4);
		content[size - 5] = 0x80;
	}
}

static const char *open_verdict(void *user, struct kw_view envelope)
{
	struct golden *g = user;
	struct kw_open_request request = kit_sealing_open(&g->kit, g->recipient, envelope);
	struct kw_opened opened;
	enum kw_open_reason reason;
	if (kw_open(&request, &opened, &reason) == KW_OK)
		kw_opened_fini(&opened);
	return kw_open_reason_name(reason);
}

static void write_people(struct golden *g)
{
	FILE *file = g->text.file;
	const struct kw_claims *claims = &g->kit.request.claims;
	fprintf(file, "sender %s %s", claims->sender.text, claims->sender_hub.text);
	kit_golden_hex(&g->text, kw_key_id_view(&claims->key_id));
	kit_golden_hex(&g->text, KW_VIEW_OF(g->kit.identity.public_key));
	kit_golden_hex(&g->text, KW_VIEW_OF(g->kit.identity.seed));
	fputc('\n', file);
	for (size_t i = 0; i < KW_RECIPIENTS_MAX; i++) { /* of whom the first have an envelope */
		const struct kw_seal_recipient *to = &g->kit.recipients[i];
		fprintf(file, "recipient %s %s", to->agency.text, to->hub.text);
		kit_golden_hex(&g->text, kw_key_id_view(&to->key_id));
		kit_golden_hex(&g->text,
			g->kit.request.suite == KW_SUITE_HYBRID ? KW_VIEW_OF(g->kit.hybrids[i].seed)
													: KW_VIEW_OF(g->kit.secrets[i].secret));
		fputc('\n', file);
	}
}

static void write_message(struct golden *g, const struct kw_sealed *sealed)
{
	FILE *file = g->text.file;
	const struct kw_seal_request *request = &g->kit.request;
	fprintf(file, "header");
	kit_golden_hex(&g->text, KW_VIEW_OF(sealed->envelope_id.bytes));
	fprintf(file, " %s %u %d %u %u\n", request->home_hub.text, request->expiry_hour, (int)request->msg_class,
		sealed->size_bucket, request->hops_max);
	fprintf(file, "claims %lld %u", (long long)request->claims.sent_unix_ms, request->claims.content_type);
	kit_golden_hex(&g->text, KW_VIEW_OF(request->claims.thread_id.bytes));
	struct kw_digest content;
	assert_int_equal(kw_sha256(&request->content, 1, &content), KW_OK);
	fprintf(file, " %llu\ncontent %zu", (unsigned long long)request->claims.thread_sequence, request->content.size);
	kit_golden_hex(&g->text, KW_VIEW_OF(content.bytes));
	fprintf(file, "\ndigest");
	kit_golden_hex(&g->text, KW_VIEW_OF(sealed->digest.bytes));
	fputc('\n', file);
}

static void write_file(struct golden *g, const struct golden_case *c)
{
	struct kw_sealed sealed;
	assert_int_equal(kw_seal(&g->kit.request, &sealed), KW_OK);
	kit_golden_begin(&g->text);
	fprintf(g->text.file, "suite %d\n", (int)c->suite);
	write_people(g);
	write_message(g, &sealed);
	for (size_t i = 0; i < sealed.envelopes_count; i++) {
		fprintf(g->text.file, "envelope");
		kit_golden_hex(&g->text, kw_buf_view(&sealed.envelopes[i]));
		fputc('\n', g->text.file);
	}
	/* The last one: its index and its path are the longest. */
	g->recipient = sealed.envelopes_count - 1;
	fprintf(g->text.file, "flips %zu", c->step);
	kit_golden_flips(&g->text, kw_buf_view(&sealed.envelopes[g->recipient]), c->step, open_verdict, g);
	fputc('\n', g->text.file);
	kit_golden_end(&g->text, c->file);
	kw_sealed_fini(&sealed);
}

/* Frozen bytes open with today's code. */
static void open_line(void *user, char **words, int count)
{
	struct golden *g = user;
	struct kw_buf bytes;
	struct kw_opened opened;
	enum kw_open_reason reason;
	assert_int_equal(count, 1);
	kit_golden_bytes(words[0], &bytes);
	struct kw_open_request request = kit_sealing_open(&g->kit, g->opened, kw_buf_view(&bytes));
	if (g->kit.request.suite == KW_SUITE_HYBRID && !kw_hybrid_able()) {
		assert_int_equal(kw_open(&request, &opened, &reason), KW_EOPEN);
		assert_int_equal(reason, KW_OPEN_SUITE);
	} else {
		assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
		assert_true(kw_view_equal(kw_buf_view(&opened.content), g->kit.request.content));
		kw_opened_fini(&opened);
	}
	g->opened++;
	kw_buf_fini(&bytes);
}

static void test_envelopes_are_frozen(void **state)
{
	(void)state;
	static uint8_t content[KW_SEAL_SIZE_MAX];
	struct golden *g = malloc(sizeof(*g));
	assert_non_null(g);
	for (size_t i = 0; i < CASES_COUNT; i++) {
		const struct golden_case *c = &CASES[i];
		fill_content(content, c->content_size);
		kit_sealing_init(&g->kit, c->suite, c->recipients, KW_VIEW(content, c->content_size));
		g->kit.seed = 100 + i;
		g->kit.request.claims.thread_sequence = i;
		if (c->suite == KW_SUITE_HYBRID && !kw_hybrid_able())
			printf("%s: sealing skipped: no ML-KEM\n", c->file);
		else
			write_file(g, c);
		g->opened = 0;
		kit_golden_each(c->file, "envelope", open_line, g);
		assert_int_equal(g->opened, c->recipients);
	}
	free(g);
}

struct forged {
	struct kit_sealing kit;
	int good;
	int bad;
};

static void forged_line(void *user, char **words, int count)
{
	struct forged *f = user;
	struct kw_buf bytes;
	struct kw_opened opened;
	enum kw_open_reason reason;
	assert_int_equal(count, 3);
	kit_golden_bytes(words[2], &bytes);
	struct kw_open_request request = kit_sealing_open(&f->kit, 0, kw_buf_view(&bytes));
	if (kw_open(&request, &opened, &reason) == KW_OK) {
		kw_opened_fini(&opened);
		f->good++;
	} else {
		f->bad++;
	}
	if (strcmp(kw_open_reason_name(reason), words[1]) != 0)
		print_error("%s is %s, not %s\n", words[0], kw_open_reason_name(reason), words[1]);
	assert_string_equal(kw_open_reason_name(reason), words[1]);
	kw_buf_fini(&bytes);
}

/* Sealed by tests/decoder/forge.py: envelopes of another hand open here, and those that only the holder of a key can make
 * wrong are refused by the same rule. */
static void test_forged_ones_are_refused_by_the_same_rule(void **state)
{
	(void)state;
	struct forged *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	kit_sealing_init(&f->kit, KW_SUITE_AES, 1, KW_VIEW(NULL, 0));
	kit_golden_each("forged.txt", "forged", forged_line, f);
	assert_int_equal(f->good, 5);
	assert_int_equal(f->bad, 104);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelopes_are_frozen),
		cmocka_unit_test(test_forged_ones_are_refused_by_the_same_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
