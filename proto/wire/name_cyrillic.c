/* Folding of Cyrillic, as Ukraine romanises it (resolution 55 of 2010), with the letters of its neighbours. Declared in
 * name_inner.h. The breve and the diaeresis are gone by NFKD: short i is i, yi is i. */

#include "proto/wire/name_inner.h"

/* U+0430..U+044F */
static const char *const LOWER[] = {"a", "b", "v", "h", "d", "e", "j", "z", "i", "i", "k", "l", "m", "n", "o", "p", "r", "s",
	"t", "u", "f", "k", "s", "x", "x", "x", "", "i", "", "e", "iu", "ia"};

struct letter {
	uint32_t point;
	const char *as;
};
static const struct letter OTHERS[] = {{0x451, "e"}, {0x452, "j"}, {0x454, "ie"}, {0x455, "s"}, {0x456, "i"}, {0x457, "i"},
	{0x458, "i"}, {0x459, "l"}, {0x45A, "n"}, {0x45B, "x"}, {0x45E, "u"}, {0x45F, "j"}, {0x491, "g"}, {0x493, "g"},
	{0x49B, "k"}, {0x4A3, "n"}, {0x4AF, "u"}, {0x4B1, "u"}, {0x4B3, "h"}, {0x4B7, "j"}, {0x4D9, "e"}, {0x4E9, "o"}};

static const char *find(uint32_t point)
{
	if (point >= 0x430 && point <= 0x44F)
		return LOWER[point - 0x430];
	for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
		if (OTHERS[i].point == point)
			return OTHERS[i].as;
	return "";
}

enum kw_err kw_names_fold_cyrillic(const struct kw_names_word *word, struct kw_names_folded *out)
{
	for (uint32_t i = 0; i < word->count; i++)
		if (!kw_names_put(out, find(word->letters[i])))
			return KW_ETOOBIG;
	return KW_OK;
}
