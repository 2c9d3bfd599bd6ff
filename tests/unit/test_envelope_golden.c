/* The composed envelope, frozen: tests/golden/envelope_suite_*.txt. A change here is a change of the protocol: old and new
 * agents would no longer understand each other. With KW_GOLDEN_UPDATE=1 in the environment the files are written anew.
 *
 * Each file has one "name = hex" a line: the DEK, T, the content, and one envelope per recipient. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/sealing.h"

#define GOLDEN_RECIPIENTS 3u
#define LINE_SIZE_MAX 131072u

static const char CONTENT[] = "golden content of the first protocol version";

static void path_of(char *path, size_t size, enum kw_suite suite)
{
	snprintf(path, size, "%s/envelope_suite_%d.txt", KW_GOLDEN_DIR, (int)suite);
}

static void write_line(FILE *file, const char *name, struct kw_view bytes)
{
	char *hex = malloc(2 * bytes.size + 1);
	assert_non_null(hex);
	kw_hex(hex, bytes);
	fprintf(file, "%s = %s\n", name, hex);
	free(hex);
}

/* The next line, which must have this name. */
static void read_line(FILE *file, const char *name, struct kw_buf *out)
{
	char *line = malloc(LINE_SIZE_MAX);
	assert_non_null(line);
	assert_non_null(fgets(line, LINE_SIZE_MAX, file));
	line[strcspn(line, "\n")] = '\0';
	char *hex = strstr(line, " = ");
	assert_non_null(hex);
	*hex = '\0';
	hex += 3;
	assert_string_equal(line, name);
	size_t size = strlen(hex) / 2;
	kw_buf_clear(out);
	assert_int_equal(kw_buf_reserve(out, size), KW_OK);
	assert_int_equal(kw_unhex(out->data, size, hex), KW_OK);
	out->size = size;
	free(line);
}

static void write_golden(FILE *file, const struct kit_sealing *kit, const uint8_t *dek, const struct kw_sealed *sealed)
{
	char name[32];
	write_line(file, "dek", KW_VIEW(dek, KW_DEK_SIZE));
	write_line(file, "digest", KW_VIEW_OF(sealed->digest.bytes));
	write_line(file, "content", kit->request.content);
	for (size_t i = 0; i < sealed->envelopes_count; i++) {
		snprintf(name, sizeof(name), "envelope_%zu", i);
		write_line(file, name, kw_buf_view(&sealed->envelopes[i]));
	}
}

/* Opens frozen bytes: an old message must open with today's code. */
static void check_opens(struct kit_sealing *kit, size_t index, struct kw_view envelope, const struct kw_sealed *sealed)
{
	struct kw_open_request request = kit_sealing_open(kit, index, envelope);
	struct kw_opened opened;
	struct kw_digest digest;
	enum kw_open_reason reason;
	assert_int_equal(kw_open(&request, &opened, &reason), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&opened.content), kit->request.content));
	assert_int_equal(kw_envelope_digest(envelope, &digest), KW_OK);
	assert_memory_equal(&digest, &opened.digest, sizeof(digest));
	assert_memory_equal(&digest, &sealed->digest, sizeof(digest));
	kw_opened_fini(&opened);
}

static void read_golden(FILE *file, struct kit_sealing *kit, const uint8_t *dek, const struct kw_sealed *sealed)
{
	struct kw_buf buf;
	char name[32];
	kw_buf_init(&buf, LINE_SIZE_MAX);
	read_line(file, "dek", &buf);
	assert_true(kw_view_equal(kw_buf_view(&buf), KW_VIEW(dek, KW_DEK_SIZE)));
	read_line(file, "digest", &buf);
	assert_true(kw_view_equal(kw_buf_view(&buf), KW_VIEW_OF(sealed->digest.bytes)));
	read_line(file, "content", &buf);
	assert_true(kw_view_equal(kw_buf_view(&buf), kit->request.content));
	for (size_t i = 0; i < GOLDEN_RECIPIENTS; i++) {
		snprintf(name, sizeof(name), "envelope_%zu", i);
		read_line(file, name, &buf);
		assert_true(kw_view_equal(kw_buf_view(&buf), kw_buf_view(&sealed->envelopes[i])));
		check_opens(kit, i, kw_buf_view(&buf), sealed);
	}
	assert_int_equal(fgetc(file), EOF);
	kw_buf_fini(&buf);
}

static void check_suite(enum kw_suite suite)
{
	char path[512];
	uint8_t dek[KW_DEK_SIZE];
	struct kit_sealing kit;
	struct kw_sealed sealed;
	bool update = getenv("KW_GOLDEN_UPDATE") != NULL;
	kit_sealing_init(&kit, suite, GOLDEN_RECIPIENTS, kw_view_str(CONTENT));
	kit_sealing_dek(&kit, dek);
	assert_int_equal(kw_seal(&kit.request, &sealed), KW_OK);
	path_of(path, sizeof(path), suite);
	FILE *file = fopen(path, update ? "w" : "r");
	assert_non_null(file);
	if (update)
		write_golden(file, &kit, dek, &sealed);
	else
		read_golden(file, &kit, dek, &sealed);
	assert_int_equal(fclose(file), 0);
	kw_sealed_fini(&sealed);
}

static void test_envelope_is_frozen_with_aes(void **state)
{
	(void)state;
	check_suite(KW_SUITE_AES);
}

static void test_envelope_is_frozen_with_chacha(void **state)
{
	(void)state;
	check_suite(KW_SUITE_CHACHA);
}

/* Frozen where libcrypto has ML-KEM. Elsewhere the frozen bytes still have a label and a digest, which is all that a hub
 * wants of them, and do not open. */
static void test_envelope_is_frozen_with_hybrid(void **state)
{
	(void)state;
	static struct kit_sealing kit;
	char path[512];
	struct kw_buf digest;
	struct kw_buf envelope;
	struct kw_digest computed;
	struct kw_opened opened;
	enum kw_open_reason reason;
	if (kw_hybrid_able()) {
		check_suite(KW_SUITE_HYBRID);
		return;
	}
	printf("envelope_suite_17.txt: opening skipped: no ML-KEM\n");
	kit_sealing_init(&kit, KW_SUITE_HYBRID, GOLDEN_RECIPIENTS, kw_view_str(CONTENT));
	kw_buf_init(&digest, LINE_SIZE_MAX);
	kw_buf_init(&envelope, LINE_SIZE_MAX);
	path_of(path, sizeof(path), KW_SUITE_HYBRID);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	read_line(file, "dek", &digest);
	read_line(file, "digest", &digest);
	read_line(file, "content", &envelope);
	read_line(file, "envelope_0", &envelope);
	assert_int_equal(kw_envelope_digest(kw_buf_view(&envelope), &computed), KW_OK);
	assert_true(kw_view_equal(kw_buf_view(&digest), KW_VIEW_OF(computed.bytes)));
	struct kw_open_request request = kit_sealing_open(&kit, 0, kw_buf_view(&envelope));
	assert_int_equal(kw_open(&request, &opened, &reason), KW_EOPEN);
	assert_int_equal(reason, KW_OPEN_SUITE);
	kw_buf_fini(&digest);
	kw_buf_fini(&envelope);
	assert_int_equal(fclose(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope_is_frozen_with_aes),
		cmocka_unit_test(test_envelope_is_frozen_with_chacha),
		cmocka_unit_test(test_envelope_is_frozen_with_hybrid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
