#include "tests/kit/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES_MAX (1u << 20)

void kit_golden_begin(struct kit_golden *golden)
{
	*golden = (struct kit_golden){.file = NULL};
	golden->file = open_memstream(&golden->text, &golden->size);
	assert_non_null(golden->file);
}

void kit_golden_hex(struct kit_golden *golden, struct kw_view bytes)
{
	if (bytes.size == 0) {
		fputs(" -", golden->file);
		return;
	}
	fputc(' ', golden->file);
	for (size_t i = 0; i < bytes.size; i++)
		fprintf(golden->file, "%02x", bytes.data[i]);
}

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", KW_GOLDEN_DIR, name);
}

/* The whole file, with a zero byte after it. */
static char *read_all(const char *name)
{
	char path[512];
	path_of(path, sizeof(path), name);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		print_error("%s is missing; KW_GOLDEN_UPDATE=1 writes it\n", path);
	assert_non_null(file);
	char *text = NULL;
	size_t size = 0;
	assert_true(getdelim(&text, &size, 0, file) > 0);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void compare(const struct kit_golden *golden, const char *name)
{
	char *have = read_all(name);
	size_t line = 1;
	size_t i = 0;
	while (have[i] != '\0' && have[i] == golden->text[i])
		line += have[i++] == '\n';
	if (have[i] != golden->text[i])
		print_error("%s: line %zu is another one now; that is a change of the protocol\n", name, line);
	assert_true(have[i] == golden->text[i]);
	free(have);
}

void kit_golden_end(struct kit_golden *golden, const char *name)
{
	assert_int_equal(fclose(golden->file), 0);
	if (getenv("KW_GOLDEN_UPDATE") != NULL) {
		char path[512];
		path_of(path, sizeof(path), name);
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fwrite(golden->text, 1, golden->size, file), golden->size);
		assert_int_equal(fclose(file), 0);
	} else {
		compare(golden, name);
	}
	free(golden->text);
}

void kit_golden_each(const char *name, const char *word, kit_golden_line *line, void *user)
{
	char *text = read_all(name);
	char *rest = text;
	for (char *at = strsep(&rest, "\n"); at != NULL; at = strsep(&rest, "\n")) {
		char *words[KIT_GOLDEN_WORDS_MAX];
		int count = 0;
		char *first = strsep(&at, " ");
		if (word == NULL)
			words[count++] = first;
		if (first[0] == '\0' || (word != NULL && strcmp(first, word) != 0))
			continue;
		while (at != NULL && count < KIT_GOLDEN_WORDS_MAX)
			words[count++] = strsep(&at, " ");
		line(user, words, count);
	}
	free(text);
}

void kit_golden_bytes(const char *word, struct kw_buf *out)
{
	size_t size = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
	kw_buf_init(out, BYTES_MAX);
	assert_int_equal(kw_buf_reserve(out, size + 1), KW_OK);
	if (size > 0)
		assert_int_equal(kw_unhex(out->data, size, word), KW_OK);
	out->size = size;
}

void kit_golden_flips(
	struct kit_golden *golden, struct kw_view bytes, size_t step, kit_golden_verdict *verdict, void *user)
{
	uint8_t *copy = malloc(bytes.size);
	const char *run = NULL;
	size_t first = 0;
	size_t last = 0;
	assert_non_null(copy);
	memcpy(copy, bytes.data, bytes.size);
	for (size_t i = 0; i < bytes.size; i = i + step < bytes.size || i == bytes.size - 1 ? i + step : bytes.size - 1) {
		copy[i] ^= 1;
		const char *now = verdict(user, KW_VIEW(copy, bytes.size));
		copy[i] ^= 1;
		if (run == NULL || strcmp(run, now) != 0) {
			if (run != NULL)
				fprintf(golden->file, " %zu-%zu:%s", first, last, run);
			run = now;
			first = i;
		}
		last = i;
	}
	if (run != NULL)
		fprintf(golden->file, " %zu-%zu:%s", first, last, run);
	free(copy);
}
