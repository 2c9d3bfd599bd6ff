/* Folding of Ethiopic script: a syllable is a consonant and one of seven vowels. Declared in name_inner.h.
 *
 * Homophones are one, as Amharic has them: the three h, the two s, the two ts, alef and ayn. Tigrinya tells some of them
 * apart, and its names lose a little by it. */

#include "proto/wire/name_inner.h"

/* By rows of eight from U+1200. NULL: no letter there. */
static const char *const ROWS[] = {"h", "l", "h", "m", "s", "r", "s", "x", "k", "kw", "k", "kw", "b", "v", "t", "x", "h",
	"hw", "n", "n", "", "k", "kw", "k", "kw", "w", "", "z", "j", "y", "d", "d", "j", "g", "gw", "g", "t", "x", "p", "s", "s",
	"f", "p"};
#define ROWS_COUNT (sizeof(ROWS) / sizeof(ROWS[0]))

/* U+2D80 and U+AB00 on: older letters and those of other languages, in the same order of vowels. */
static const char *const ROWS_2D80[] = {"l", "m", "x", "b", "x", "x", "p", "z"};

/* The sixth order has a short vowel or none; which, is decided by what stands around it. */
static const char *const VOWELS[] = {"e", "u", "i", "a", "e", "", "o", "wa"};
#define SIXTH 5u

struct syllable {
	const char *consonant;
	uint32_t order;
};

static bool is_guttural(const char *consonant)
{
	return consonant[0] == '\0' || (consonant[0] == 'h' && consonant[1] == '\0');
}

static bool find(uint32_t point, struct syllable *out)
{
	if (point >= 0x1200 && point < 0x1200 + 8 * ROWS_COUNT) {
		*out = (struct syllable){ROWS[(point - 0x1200) / 8], (point - 0x1200) % 8};
		return true;
	}
	if (point >= 0x2D80 && point < 0x2D80 + 8 * 8) {
		*out = (struct syllable){ROWS_2D80[(point - 0x2D80) / 8], (point - 0x2D80) % 8};
		return true;
	}
	return false;
}

/* A row of k, h or g with w: mekonnen, hagos. Its first order is heard as o, and so is the sixth as u. */
static bool put_labial(const struct syllable *syllable, struct kw_names_folded *out)
{
	char consonant[2] = {syllable->consonant[0], '\0'};
	static const char *const HEARD[] = {"o", "u", "wi", "wa", "we", "u", "o", "wa"};
	return kw_names_put(out, consonant) && kw_names_put(out, HEARD[syllable->order]);
}

static bool put(const struct syllable *syllable, bool needs_vowel, struct kw_names_folded *out)
{
	const char *vowel = VOWELS[syllable->order];
	if (syllable->consonant[0] != '\0' && syllable->consonant[1] == 'w')
		return put_labial(syllable, out);
	if (syllable->order == 0 && is_guttural(syllable->consonant))
		vowel = "a";
	if (syllable->order == SIXTH && needs_vowel)
		vowel = syllable->consonant[0] == '\0' ? "e" : "i";
	return kw_names_put(out, syllable->consonant) && kw_names_put(out, vowel);
}

enum kw_err kw_names_fold_ethiopic(const struct kw_names_word *word, struct kw_names_folded *out)
{
	struct syllable syllables[KW_NAMES_WORD_LETTERS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < word->count; i++)
		if (find(word->letters[i], &syllables[count]))
			count++;
	/* A vowelless syllable opens a cluster; a second one in a row, before a third, takes a vowel: mihret, mesfin. */
	bool open = false;
	for (uint32_t i = 0; i < count; i++) {
		bool sixth = syllables[i].order == SIXTH;
		bool last = i + 1 == count;
		bool glide = syllables[i].consonant[0] == 'y' || syllables[i].consonant[0] == 'w';
		bool needs_vowel = sixth && ((i == 0 && !last) || (open && !last) || (i == 0 && last) ||
			(syllables[i].consonant[0] == '\0' && !last));
		/* Mekonnen: one letter twice is parted. */
		needs_vowel = needs_vowel || (sixth && !last && syllables[i].consonant[0] != '\0' &&
			syllables[i].consonant == syllables[i + 1].consonant);
		if (glide && i > 0)
			needs_vowel = false;
		if (!put(&syllables[i], needs_vowel, out))
			return KW_ETOOBIG;
		open = sixth && !needs_vowel && !glide;
	}
	return KW_OK;
}
