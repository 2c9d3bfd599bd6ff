/* Text to words: UTF-8, NFKD, case and marks. Declared in name_inner.h. */

#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include "proto/base/check.h"
#include "proto/wire/name_inner.h"

/* What NFKD makes of one part at most: U+FDFA, three bytes, becomes eighteen letters. */
#define UNITS_MAX (KW_NAMES_PART_SIZE_MAX * 6u + 32u)

/* Characters that a later Unicode gave a meaning are no letters here, on any ICU: so a newer one changes nothing. */
static const UVersionInfo PINNED = {15, 0, 0, 0};

struct range {
	uint32_t first;
	uint32_t last;
	enum kw_names_script script;
};

static const struct range RANGES[] = {
	{0x61, 0x7A, KW_NAMES_LATIN},
	{0x400, 0x52F, KW_NAMES_CYRILLIC},
	{0x620, 0x6FF, KW_NAMES_ARAB},
	{0x750, 0x77F, KW_NAMES_ARAB},
	{0x1200, 0x139F, KW_NAMES_ETHIOPIC},
	{0x2D80, 0x2DDF, KW_NAMES_ETHIOPIC},
	{0xAB00, 0xAB2F, KW_NAMES_ETHIOPIC},
};

/* Latin letters that NFKD leaves whole. */
struct whole {
	uint32_t letter;
	const char *as;
};
static const struct whole WHOLE[] = {{0xDF, "ss"}, {0xE6, "ae"}, {0xF0, "d"}, {0xF8, "o"}, {0xFE, "t"}, {0x111, "d"},
	{0x127, "h"}, {0x131, "i"}, {0x142, "l"}, {0x14B, "n"}, {0x153, "oe"}, {0x18D, "o"}, {0x199, "k"}, {0x1B4, "y"},
	{0x253, "b"}, {0x254, "o"}, {0x256, "d"}, {0x257, "d"}, {0x259, "e"}, {0x25B, "e"}, {0x28B, "v"}, {0x292, "j"}};

/* A Latin letter that its mark makes another consonant. */
struct marked {
	uint32_t letter;
	uint32_t mark;
	uint32_t as;
};
static const struct marked MARKED[] = {{'c', 0x327, 'C'}, {'s', 0x327, 'S'}, {'s', 0x326, 'S'}, {'s', 0x30C, 'S'},
	{'s', 0x302, 'S'}, {'s', 0x301, 'S'}, {'z', 0x30C, 'Z'}, {'c', 0x30C, 'X'}, {'c', 0x301, 'X'}, {'c', 0x307, 'X'},
	{'e', 0x300, 'E'}};

/* One letter, typed on keyboards of other languages or by habit of one: ya and alef maqsura, kaf, ha and taa marbuta. */
static const struct {
	uint32_t letter;
	uint32_t as;
} ALIKE[] = {{0x649, 0x64A}, {0x6CC, 0x64A}, {0x6A9, 0x643}, {0x629, 0x647}, {0x6C0, 0x647}, {0x6C1, 0x647},
	{0x6C3, 0x647}, {0x6D5, 0x647}, {0x671, 0x627}};

/* Stand inside a word and do not end it: apostrophes, the letters that romanisers write for ayn and hamza, joiners. */
static bool is_silent(uint32_t c)
{
	return c == '\'' || c == '`' || c == 0xAD || (c >= 0x2B0 && c <= 0x2FF) || c == 0x640 ||
		(c >= 0x200B && c <= 0x200F) || c == 0x2018 || c == 0x2019 || c == 0x201B || c == 0x2032 || c == 0xFEFF;
}

static bool is_mark(uint32_t c)
{
	return (U_GET_GC_MASK((UChar32)c) & U_GC_M_MASK) != 0;
}

static enum kw_err put_letter(struct kw_names_words *out, bool *open, enum kw_names_script script, uint32_t letter)
{
	struct kw_names_word *word = out->count > 0 ? &out->list[out->count - 1] : NULL;
	if (!*open || word == NULL || word->script != script) {
		if (out->count == KW_NAMES_RAW_WORDS)
			return KW_ETOOBIG;
		word = &out->list[out->count++];
		word->script = script;
		word->servant = false;
		word->count = 0;
		*open = true;
	}
	if (word->count == KW_NAMES_WORD_LETTERS_MAX)
		return KW_ETOOBIG;
	word->letters[word->count++] = letter;
	return KW_OK;
}

/* A mark goes; on some Latin letters it leaves another letter behind. */
static void put_mark(struct kw_names_words *out, bool open, uint32_t mark)
{
	if (!open)
		return;
	struct kw_names_word *word = &out->list[out->count - 1];
	for (size_t i = 0; i < sizeof(MARKED) / sizeof(MARKED[0]); i++)
		if (MARKED[i].mark == mark && MARKED[i].letter == word->letters[word->count - 1])
			word->letters[word->count - 1] = MARKED[i].as;
}

static enum kw_err put_whole(struct kw_names_words *out, bool *open, const char *letters)
{
	enum kw_err err = KW_OK;
	for (; err == KW_OK && *letters != '\0'; letters++)
		err = put_letter(out, open, KW_NAMES_LATIN, (uint32_t)*letters);
	return err;
}

/* One code point, after NFKD. */
static enum kw_err put_point(struct kw_names_words *out, bool *open, uint32_t c)
{
	if (is_silent(c))
		return KW_OK;
	if (c >= 0x80 && is_mark(c)) {
		put_mark(out, *open, c);
		return KW_OK;
	}
	c = c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : (uint32_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT);
	if (c >= 0x80 && !u_isalpha((UChar32)c)) {
		*open = false;
		return KW_OK;
	}
	for (size_t i = 0; c >= 0x600 && i < sizeof(ALIKE) / sizeof(ALIKE[0]); i++)
		if (c == ALIKE[i].letter)
			return put_letter(out, open, KW_NAMES_ARAB, ALIKE[i].as);
	for (size_t i = 0; i < sizeof(RANGES) / sizeof(RANGES[0]); i++)
		if (c >= RANGES[i].first && c <= RANGES[i].last)
			return put_letter(out, open, RANGES[i].script, c);
	for (size_t i = 0; i < sizeof(WHOLE) / sizeof(WHOLE[0]); i++)
		if (c == WHOLE[i].letter)
			return put_whole(out, open, WHOLE[i].as);
	if (c >= 0x80)
		return put_letter(out, open, KW_NAMES_SCRIPT_OTHER, c);
	*open = false;
	return KW_OK;
}

static bool is_ascii(struct kw_view text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] >= 0x80)
			return false;
	return true;
}

static enum kw_err split_ascii(struct kw_view text, struct kw_names_words *out)
{
	bool open = false;
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < text.size; i++)
		err = put_point(out, &open, text.data[i]);
	return err;
}

/* Strict UTF-8 to UTF-16; what the pinned Unicode does not know becomes a space. */
static enum kw_err to_units(struct kw_view text, UChar *units, int32_t *count)
{
	int32_t at = 0;
	*count = 0;
	while (at < (int32_t)text.size) {
		UChar32 c;
		U8_NEXT(text.data, at, (int32_t)text.size, c);
		if (c < 0)
			return KW_EFORMAT;
		UVersionInfo age;
		u_charAge(c, age);
		uint32_t known = age[0] == 0 || memcmp(age, PINNED, 2) > 0 ? ' ' : (uint32_t)c;
		U16_APPEND_UNSAFE(units, *count, known);
	}
	return KW_OK;
}

static bool is_older_than_pinned(void)
{
	UVersionInfo have;
	u_getUnicodeVersion(have);
	return memcmp(have, PINNED, 2) < 0;
}

enum kw_err kw_names_split(struct kw_view text, struct kw_names_words *out)
{
	out->count = 0;
	if (text.size > KW_NAMES_PART_SIZE_MAX)
		return KW_ETOOBIG;
	if (is_ascii(text))
		return split_ascii(text, out);
	UChar units[KW_NAMES_PART_SIZE_MAX];
	UChar normal[UNITS_MAX];
	int32_t count;
	enum kw_err err = to_units(text, units, &count);
	if (err != KW_OK)
		return err;
	if (is_older_than_pinned())
		return KW_EVERSION;
	UErrorCode status = U_ZERO_ERROR;
	const UNormalizer2 *nfkd = unorm2_getNFKDInstance(&status);
	int32_t size = U_SUCCESS(status) ? unorm2_normalize(nfkd, units, count, normal, (int32_t)UNITS_MAX, &status) : 0;
	if (U_FAILURE(status))
		return status == U_MEMORY_ALLOCATION_ERROR ? KW_ENOMEM : KW_EVERSION;
	KW_ASSERT(size <= (int32_t)UNITS_MAX);
	bool open = false;
	for (int32_t at = 0; err == KW_OK && at < size;) {
		uint32_t c = normal[at++];
		if (c >= 0xD800 && c < 0xDC00 && at < size)
			c = 0x10000 + ((c - 0xD800) << 10) + (normal[at++] - 0xDC00u);
		err = put_point(out, &open, c);
	}
	return err;
}
