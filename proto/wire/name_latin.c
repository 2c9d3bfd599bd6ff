/* Folding of Latin letters: a table of spellings, by language. Declared in name_inner.h. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/name_inner.h"

#define BIT(lang) (1u << (lang))
#define ALL (BIT(KW_NAMES_LANG_COUNT) - 1u)
#define FR (BIT(KW_NAMES_FRENCH) | BIT(KW_NAMES_HAITIAN))
#define HT BIT(KW_NAMES_HAITIAN)
#define EN BIT(KW_NAMES_ENGLISH)
#define ES BIT(KW_NAMES_SPANISH)
#define SW BIT(KW_NAMES_SWAHILI)
#define SO BIT(KW_NAMES_SOMALI)
#define FA BIT(KW_NAMES_PERSIAN)

enum where {
	ANYWHERE,
	START,          /* at the beginning */
	START_ROUND,    /* there, before o or u */
	END,            /* at the end */
	END_CONS,       /* at the end, after a consonant */
	END_VOWEL,      /* at the end, after a vowel */
	END_NARROW,     /* at the end, after i, o or u */
	END_SONORANT,   /* at the end, after n, r or l */
	FRONT,          /* before e, i or y */
	VOWEL,          /* before a vowel */
	BETWEEN,        /* between two */
	CODA,           /* before a consonant or at the end, after a vowel */
};

struct rule {
	const char *from;
	const char *to;
	enum where where;
	uint32_t langs;
};

/* The first rule that fits wins, so the longer and the narrower stand first. What no rule names stays as it is.
 * kh = k, ph = f, sh = ch = x, th = t, dh = d, gh = g, ou = oo = u, ee = i: romanisers choose between these. */
static const struct rule RULES[] = {
	{"ault", "o", END, FR},
	{"au", "o", ANYWHERE, FR},
	{"ain", "en", END, FR},
	{"ai", "e", ANYWHERE, FR},
	{"ay", "e", END, FR},
	{"cch", "x", ANYWHERE, ALL},
	{"chr", "kr", START, ALL},
	{"chae", "kae", ANYWHERE, ALL},
	{"ch", "x", ANYWHERE, ALL},
	{"ck", "k", ANYWHERE, ALL},
	{"cq", "k", ANYWHERE, ALL},
	{"cz", "x", ANYWHERE, ALL},
	{"c", "s", FRONT, ALL},
	{"c", "k", ANYWHERE, ALL},
	{"dj", "j", ANYWHERE, ALL},
	{"dzh", "j", ANYWHERE, ALL},
	{"dh", "d", ANYWHERE, ALL},
	{"d", "", END_SONORANT, FR},
	{"eaux", "o", END, FR},
	{"eau", "o", ANYWHERE, FR},
	{"ein", "en", END, FR},
	{"ei", "e", ANYWHERE, FR},
	{"eu", "e", ANYWHERE, FR},
	{"ee", "i", ANYWHERE, ALL},
	{"ea", "i", ANYWHERE, EN},
	{"ey", "i", END, EN},
	{"e", "", END_CONS, FR | EN},
	{"ght", "t", ANYWHERE, EN},
	{"gh", "g", ANYWHERE, ALL},
	{"gn", "n", ANYWHERE, ALL},
	{"gu", "g", FRONT, ALL},
	{"g", "h", FRONT, ES},
	{"g", "j", FRONT, FR | EN},
	{"h", "", ANYWHERE, FR | ES},
	{"ie", "i", END, EN},
	{"in", "en", END, FR},
	{"i", "", END_CONS, SW},
	{"j", "h", ANYWHERE, ES},
	{"kh", "k", ANYWHERE, ALL},
	{"kn", "n", START, EN},
	{"ll", "i", VOWEL, ES},
	{"ng", "n", ANYWHERE, SW},
	{"nde", "n", END, HT},
	{"nd", "n", END, HT},
	{"oi", "wa", ANYWHERE, FR},
	{"ou", "u", ANYWHERE, ALL},
	{"oo", "u", ANYWHERE, ALL},
	{"ow", "u", CODA, ALL},
	{"ph", "f", ANYWHERE, ALL},
	{"que", "k", END, ALL},
	{"qu", "k", FRONT, ALL},
	{"qu", "kw", VOWEL, EN},
	{"q", "k", ANYWHERE, ALL},
	{"r", "", CODA, HT},
	{"sch", "x", ANYWHERE, ALL},
	{"sc", "s", FRONT, ALL},
	{"sh", "x", ANYWHERE, ALL},
	{"s", "z", BETWEEN, FR},
	{"s", "", END_VOWEL, FR},
	{"tch", "x", ANYWHERE, ALL},
	{"tsh", "x", ANYWHERE, ALL},
	{"tz", "s", ANYWHERE, ALL},
	{"ts", "s", ANYWHERE, ALL},
	{"th", "t", ANYWHERE, ALL},
	{"t", "", END_SONORANT, FR},
	{"t", "", END_NARROW, FR},
	{"u", "", END_CONS, SW},
	{"v", "b", ANYWHERE, ES},
	{"v", "w", ANYWHERE, FA},
	{"wr", "r", START, EN},
	{"wh", "w", ANYWHERE, EN},
	{"w", "r", START_ROUND, HT},
	{"x", "h", ANYWHERE, SO | ES},
	{"x", "", END_VOWEL, FR},
	{"x", "s", START, ALL},
	{"x", "ks", ANYWHERE, ALL},
	{"zh", "j", ANYWHERE, ALL},
	{"z", "s", ANYWHERE, ES},
	{"C", "s", ANYWHERE, ALL},
	{"E", "e", ANYWHERE, ALL},
	{"S", "x", ANYWHERE, ALL},
	{"X", "x", ANYWHERE, ALL},
	{"Z", "j", ANYWHERE, ALL},
};
#define RULES_COUNT (sizeof(RULES) / sizeof(RULES[0]))

struct cursor {
	const char *text; /* terminated */
	uint32_t at;
};

static bool vowel_like(char letter)
{
	return kw_names_is_vowel(letter) || letter == 'y' || letter == 'E';
}

static bool fits_end(const struct cursor *cursor, enum where where)
{
	char before = cursor->at > 0 ? cursor->text[cursor->at - 1] : '\0';
	/* What folds away must leave something: a name keeps three letters. */
	bool long_enough = cursor->at >= 3;
	switch (where) {
	case END:
		return cursor->at > 0;
	case END_CONS:
		return long_enough && !vowel_like(before);
	case END_VOWEL:
		return cursor->at >= 2 && vowel_like(before);
	case END_SONORANT:
		return long_enough && (before == 'n' || before == 'r' || before == 'l');
	case END_NARROW:
		return cursor->at >= 2 && (before == 'i' || before == 'o' || before == 'u');
	default:
		return false;
	}
}

static bool fits(const struct cursor *cursor, const struct rule *rule)
{
	size_t size = strlen(rule->from);
	if (strncmp(cursor->text + cursor->at, rule->from, size) != 0)
		return false;
	char next = cursor->text[cursor->at + size];
	char before = cursor->at > 0 ? cursor->text[cursor->at - 1] : '\0';
	switch (rule->where) {
	case ANYWHERE:
		return true;
	case START:
		return cursor->at == 0;
	case START_ROUND:
		return cursor->at == 0 && (next == 'o' || next == 'u');
	case FRONT:
		return next == 'e' || next == 'i' || next == 'y';
	case VOWEL:
		return vowel_like(next);
	case BETWEEN:
		return vowel_like(before) && vowel_like(next);
	case CODA:
		return !vowel_like(next) && next != 'h' && (vowel_like(before) || vowel_like(rule->from[0])) && next != rule->from[0];
	default:
		return next == '\0' && fits_end(cursor, rule->where);
	}
}

/* The first rule of a letter; they stand in the order of letters, capitals last. */
static size_t first_of(char letter)
{
	size_t low = 0;
	size_t high = RULES_COUNT;
	bool capital = letter < 'a';
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		char here = RULES[middle].from[0];
		bool here_capital = here < 'a';
		if (here_capital == capital ? here < letter : !here_capital)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct rule *find(const struct cursor *cursor, enum kw_names_lang lang)
{
	char letter = cursor->text[cursor->at];
	for (size_t i = first_of(letter); i < RULES_COUNT && RULES[i].from[0] == letter; i++)
		if ((RULES[i].langs & BIT(lang)) != 0 && fits(cursor, &RULES[i]))
			return &RULES[i];
	return NULL;
}

enum kw_err kw_names_fold_latin(const struct kw_names_word *word, enum kw_names_lang lang, struct kw_names_folded *out)
{
	char text[KW_NAMES_WORD_LETTERS_MAX + 1];
	for (uint32_t i = 0; i < word->count; i++)
		text[i] = (char)word->letters[i];
	text[word->count] = '\0';
	struct cursor cursor = {text, 0};
	while (cursor.at < word->count) {
		const struct rule *found = find(&cursor, lang);
		char same[2] = {text[cursor.at], '\0'};
		if (!kw_names_put(out, found != NULL ? found->to : same))
			return KW_ETOOBIG;
		cursor.at += found != NULL ? (uint32_t)strlen(found->from) : 1;
	}
	return KW_OK;
}
