/* Folding of Arabic script, with the letters of Persian, Pashto and Urdu. Declared in name_inner.h.
 *
 * It is written without short vowels. Most of them are a, e or i, which are one class in the coarser views, so an a is put
 * where a syllable needs a vowel; the skeleton leaves all of them out again (mhmd). */

#include "proto/wire/name_inner.h"

enum sound {
	CONSONANT,
	ALEF,  /* a long a, or a bare carrier at the beginning; ayn and hamza carry a vowel too */
	WAW,   /* w, or a long u */
	YEH,   /* y, or a long i */
	FINAL_H, /* taa marbuta, and h where it ends a word: often the same thing */
};

struct letter {
	uint32_t point;
	enum sound sound;
	const char *as;
};

/* By code point. Hamza and madda are marks by now, and gone; letters that are one letter have become one (name_text.c). */
static const struct letter LETTERS[] = {
	{0x621, ALEF, ""}, {0x627, ALEF, "a"}, {0x628, CONSONANT, "b"}, {0x62A, CONSONANT, "t"},
	{0x62B, CONSONANT, "t"}, {0x62C, CONSONANT, "j"}, {0x62D, CONSONANT, "h"}, {0x62E, CONSONANT, "k"},
	{0x62F, CONSONANT, "d"}, {0x630, CONSONANT, "z"}, {0x631, CONSONANT, "r"}, {0x632, CONSONANT, "z"},
	{0x633, CONSONANT, "s"}, {0x634, CONSONANT, "x"}, {0x635, CONSONANT, "s"}, {0x636, CONSONANT, "d"},
	{0x637, CONSONANT, "t"}, {0x638, CONSONANT, "z"}, {0x639, ALEF, "a"}, {0x63A, CONSONANT, "g"},
	{0x641, CONSONANT, "f"}, {0x642, CONSONANT, "k"}, {0x643, CONSONANT, "k"}, {0x644, CONSONANT, "l"},
	{0x645, CONSONANT, "m"}, {0x646, CONSONANT, "n"}, {0x647, FINAL_H, "a"}, {0x648, WAW, "w"},
	{0x64A, YEH, "i"}, {0x679, CONSONANT, "t"}, {0x67C, CONSONANT, "t"}, {0x67E, CONSONANT, "p"},
	{0x681, CONSONANT, "z"}, {0x685, CONSONANT, "s"}, {0x686, CONSONANT, "x"}, {0x688, CONSONANT, "d"},
	{0x689, CONSONANT, "d"}, {0x691, CONSONANT, "r"}, {0x693, CONSONANT, "r"}, {0x696, CONSONANT, "j"},
	{0x698, CONSONANT, "j"}, {0x69A, CONSONANT, "x"}, {0x6A4, CONSONANT, "v"},
	{0x6AB, CONSONANT, "g"}, {0x6AF, CONSONANT, "g"}, {0x6BA, CONSONANT, "n"}, {0x6BC, CONSONANT, "n"},
	{0x6BE, CONSONANT, "h"}, 
	{0x6CD, YEH, "i"}, {0x6D0, YEH, "e"}, {0x6D2, YEH, "e"},
};

static const struct letter *find(uint32_t point)
{
	for (size_t i = 0; i < sizeof(LETTERS) / sizeof(LETTERS[0]); i++)
		if (LETTERS[i].point == point)
			return &LETTERS[i];
	return NULL;
}

/* The letters of a word that sound. */
struct spelling {
	bool persian;
	const struct letter *list[KW_NAMES_WORD_LETTERS_MAX];
	uint32_t count;
};

static enum sound sound_at(const struct spelling *word, uint32_t at)
{
	enum sound sound = word->list[at]->sound;
	return sound == FINAL_H && (at + 1 < word->count || word->count <= 2) ? CONSONANT : sound;
}

static bool is_long_vowel(const struct spelling *word, uint32_t at)
{
	return at < word->count && sound_at(word, at) != CONSONANT;
}

/* Whether a short vowel stands between the consonant at `at` - 1 and the one at `at`. */
static bool parts_pair(const struct spelling *word, uint32_t at)
{
	bool last = at + 1 >= word->count;
	/* ahmad, ibrahim: a bare alef closes its syllable; amal does not. */
	if (at == 2 && sound_at(word, 0) == ALEF)
		return last;
	/* mahmud, salman: a second consonant closes the syllable before one that has a long vowel. */
	return at == 1 || !is_long_vowel(word, at + 1);
}

static bool put_vowel(const struct spelling *word, uint32_t at, struct kw_names_folded *out)
{
	bool after_consonant = at > 0 && sound_at(word, at - 1) == CONSONANT;
	bool before_alef = at + 1 < word->count && sound_at(word, at + 1) == ALEF;
	switch (sound_at(word, at)) {
	case WAW:
		if (at == 0 && is_long_vowel(word, 1))
			return kw_names_put(out, "w");
		if (at == 0)
			return kw_names_put(out, "wa");
		if (before_alef)
			return kw_names_put(out, after_consonant ? "aw" : "w");
		return kw_names_put(out, "u");
	case YEH:
		if (at == 0)
			return kw_names_put(out, is_long_vowel(word, 1) ? "y" : "ya");
		return kw_names_put(out, word->list[at]->as);
	case ALEF:
		/* Eesa: ayn before a long vowel only carries it. */
		if (at == 0 && word->list[0]->point != 0x627 && at + 1 < word->count && sound_at(word, 1) == YEH)
			return true;
		return kw_names_put(out, word->list[at]->as);
	case FINAL_H:
	case CONSONANT:
		break;
	}
	return kw_names_put(out, "a");
}

static bool put_consonant(const struct spelling *word, uint32_t at, struct kw_names_folded *out)
{
	if (at > 0 && sound_at(word, at - 1) == CONSONANT && parts_pair(word, at) && !kw_names_put(out, "a"))
		return false;
	/* Iran and Afghanistan read tha as s: Soraya. */
	if (word->persian && word->list[at]->point == 0x62B)
		return kw_names_put(out, "s");
	if (word->list[at]->sound == FINAL_H)
		return kw_names_put(out, at + 1 == word->count ? "ha" : "h"); /* Taha */
	return kw_names_put(out, word->list[at]->as);
}

enum kw_err kw_names_fold_arabic(const struct kw_names_word *word, enum kw_names_lang lang,
	struct kw_names_folded *out)
{
	struct spelling spelling = {.persian = lang == KW_NAMES_PERSIAN};
	for (uint32_t i = 0; i < word->count; i++) {
		const struct letter *letter = find(word->letters[i]);
		if (letter != NULL)
			spelling.list[spelling.count++] = letter;
	}
	for (uint32_t i = 0; i < spelling.count; i++) {
		bool room = sound_at(&spelling, i) == CONSONANT ? put_consonant(&spelling, i, out) : put_vowel(&spelling, i, out);
		if (!room)
			return KW_ETOOBIG;
	}
	return KW_OK;
}
