#ifndef KW_TEST_KIT_GOLDEN_H
#define KW_TEST_KIT_GOLDEN_H

#include <stdio.h>

#include "proto/base/bytes.h"

/* Golden files of words: a test makes the whole text anew from fixed keys and randomness, and it must be the file's, byte by
 * byte; with KW_GOLDEN_UPDATE=1 in the environment it is written instead. tests/golden/README.md says what is in them.
 *
 * A line is words with one space between; bytes are hex, or - for none. */

struct kit_golden {
	FILE *file; /* in memory */
	char *text;
	size_t size;
};

void kit_golden_begin(struct kit_golden *golden);
/* A space, then hex. */
void kit_golden_hex(struct kit_golden *golden, struct kw_view bytes);
/* Compares with the file, or writes it; frees. Fails the test on a difference, which it names. */
void kit_golden_end(struct kit_golden *golden, const char *name);

/* Calls `line` with each line of a golden file that begins with this word: the words after it, cut at spaces. word NULL: with
 * every line, and all its words. */
#define KIT_GOLDEN_WORDS_MAX 16
typedef void kit_golden_line(void *user, char **words, int count);
void kit_golden_each(const char *name, const char *word, kit_golden_line *line, void *user);
/* Bytes of a word: *out is to be freed by kw_buf_fini. */
void kit_golden_bytes(const char *word, struct kw_buf *out);

/* What one flipped bit in each place of `bytes` does: " first-last:verdict" for each run of places with one verdict, looking
 * at every step-th place and always at the last. */
typedef const char *kit_golden_verdict(void *user, struct kw_view bytes);
void kit_golden_flips(
	struct kit_golden *golden, struct kw_view bytes, size_t step, kit_golden_verdict *verdict, void *user);

#endif
