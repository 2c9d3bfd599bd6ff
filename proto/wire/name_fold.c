/* What all foldings share: room, the last step, and the views of folded letters. Declared in name_inner.h. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/name_inner.h"

bool kw_names_is_vowel(char letter)
{
	return letter == 'a' || letter == 'e' || letter == 'i' || letter == 'o' || letter == 'u';
}

bool kw_names_put(struct kw_names_folded *out, const char *letters)
{
	for (; *letters != '\0'; letters++) {
		if (out->count == KW_NAMES_WORD_LETTERS_MAX)
			return false;
		out->letters[out->count++] = *letters;
	}
	out->letters[out->count] = '\0';
	return true;
}

/* y and w are vowels unless one follows; the two ways to write a glide become one: Mariya, Maria; Daoud, Dawud. */
static char without_glide(const struct kw_names_folded *folded, uint32_t at)
{
	char letter = folded->letters[at];
	char next = folded->letters[at + 1];
	if (letter == 'y')
		return at == 0 && kw_names_is_vowel(next) ? 'y' : 'i';
	if (letter == 'w')
		return kw_names_is_vowel(next) ? 'w' : 'u';
	if (letter == 'i' && at == 0 && kw_names_is_vowel(next) && next != 'i')
		return 'y';
	if (letter == 'e' && (next == 'i' || next == 'y'))
		return 'a';
	return letter;
}

/* Doubled letters are one, a final h is silent, and glides are settled. */
static void finish(struct kw_names_folded *folded)
{
	char out[KW_NAMES_WORD_LETTERS_MAX + 1];
	uint32_t count = 0;
	for (uint32_t i = 0; i < folded->count; i++) {
		char letter = without_glide(folded, i);
		/* As in Latin, where dh is d: Medhin. */
		if (letter == 'h' && count > 0 && strchr("dtkg", out[count - 1]) != NULL)
			continue;
		if (count == 0 || out[count - 1] != letter)
			out[count++] = letter;
	}
	if (count > 2 && out[count - 1] == 'h')
		count--;
	out[count] = '\0';
	memcpy(folded->letters, out, count + 1);
	folded->count = count;
}

enum kw_err kw_names_fold(const struct kw_names_word *word, enum kw_names_lang lang, struct kw_names_folded *out)
{
	enum kw_err err = KW_OK;
	out->count = 0;
	out->letters[0] = '\0';
	if (word->servant && !kw_names_put(out, "abd"))
		return KW_ETOOBIG;
	switch (word->script) {
	case KW_NAMES_LATIN:
		err = kw_names_fold_latin(word, lang, out);
		break;
	case KW_NAMES_ARAB:
		err = kw_names_fold_arabic(word, lang, out);
		break;
	case KW_NAMES_ETHIOPIC:
		err = kw_names_fold_ethiopic(word, out);
		break;
	case KW_NAMES_CYRILLIC:
		err = kw_names_fold_cyrillic(word, out);
		break;
	case KW_NAMES_SCRIPT_OTHER:
		break;
	}
	finish(out);
	return err;
}

/* Letters that languages write for one sound. Apart in the folded view, one in the coarser ones. */
static char coarse(char letter)
{
	switch (letter) {
	case 'j':
		return 'g';
	case 'p':
		return 'b';
	default:
		return letter;
	}
}

uint32_t kw_names_skeleton(const struct kw_names_folded *folded, char *out)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < folded->count; i++) {
		char letter = coarse(folded->letters[i]);
		if (kw_names_is_vowel(letter)) {
			if (i == 0)
				out[count++] = 'A';
		} else if (letter != 'w' || i == 0) {
			out[count++] = letter;
		}
	}
	out[count] = '\0';
	return count;
}

uint32_t kw_names_classes(const struct kw_names_folded *folded, char *out)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < folded->count; i++) {
		char letter = coarse(folded->letters[i]);
		if (letter == 'a' || letter == 'e' || letter == 'i')
			letter = 'A';
		else if (letter == 'o' || letter == 'u' || (letter == 'w' && i > 0))
			letter = 'U';
		if (count == 0 || out[count - 1] != letter)
			out[count++] = letter;
	}
	out[count] = '\0';
	return count;
}
