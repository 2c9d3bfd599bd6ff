/* Words that are no names of their own: articles, "son of", and the halves of compound names. Declared in name_inner.h. */

#include <string.h>

#include "proto/wire/name_inner.h"

#define ALEF 0x627u
#define LAM 0x644u

/* In Arabic script, as it is after NFKD. */
static const uint32_t SERVANT[] = {0x639, 0x628, 0x62F};             /* abd */
static const uint32_t FAITH[] = {0x627, 0x644, 0x62F, 0x64A, 0x646}; /* al-din */
static const uint32_t FAITH_FARSI[] = {0x627, 0x644, 0x62F, 0x6CC, 0x646};

/* Dropped where something else is left, in any place but `not_first`. */
struct particle {
	const char *word;
	bool not_first;
};
static const struct particle LATIN[] = {{"al", false}, {"el", false}, {"ul", true}, {"ur", true}, {"as", true},
	{"ar", true}, {"bin", true}, {"ibn", false}, {"ben", true}, {"bint", true}, {"bent", true}, {"binti", true},
	{"ould", true}, {"wad", true}, {"wled", true}, {"de", false}, {"del", false}, {"la", true}, {"las", true},
	{"los", true}, {"du", true}, {"des", true}, {"da", true}, {"dos", true}, {"y", true}};
static const char *const ARABIC[] = {"\u0627\u0644", "\u0628\u0646", "\u0627\u0628\u0646", "\u0628\u0646\u062A"};

/* Joined with the word that follows. */
static const char *const FATHER_OF[] = {"abu", "abou", "abo", "abi", "aba", "umm", "um", "oum", "oumm"};
static const char *const FATHER_OF_ARABIC[] = {"\u0627\u0628\u0648", "\u0627\u0628\u064A", "\u0627\u0645"};
/* Abdi, Abdu and Abdo are names alone, and so are not joined. */
static const char *const SERVANT_LATIN[] = {"abd", "abdul", "abdel", "abdal", "abdoul", "abdoel", "abdur", "abdus", "abder",
	"abdes", "abdil"};
static const char *const FAITH_LATIN[] = {"din", "deen", "dine", "eddine", "eddin", "uddin", "addin", "aldin", "eldin",
	"eddeen", "udeen", "udin", "aldeen", "eldeen", "iddin"};

/* Written as one word or as two: Muhammad-Riza, Amir-Ali. Parted, in Arabic script and, in Persian, in Latin. */
static const char *const FIRST_OF_TWO[] = {"\u0645\u062D\u0645\u062F", "\u0627\u0645\u064A\u0631", "mohammad", "muhammad",
	"amir"};
static const char *const SECOND_OF_TWO[] = {"\u0631\u0636\u0627", "reza", "riza"};

/* Ge'ez compounds. The first half as folded, because Tesfaye is none of them; the second by its skeleton. */
static const char *const GEEZ_FIRST[] = {"gebre", "gebra", "gabra", "welde", "wolde", "walda", "tekle", "takle", "haile",
	"habte", "sahle", "tesfa", "kidane", "berhane", "birhane", "birhan", "berhan", "lete", "welete", "wolete", "amete", "fikre",
	"zere", "zera", "hateme"};
static const char *const GEEZ_SECOND[] = {"mrm", "mkl", "mxl", "ssl", "sls", "sl", "mdn", "mdhn", "gzbhr", "Agzbhr", "Agzr",
	"grgs", "krsts", "krstn", "kdn", "yss", "Ayss", "Amlk", "yhns", "sdk", "hwt", "ht", "mskl", "hmnt", "rfl", "hrt"};

/* A word in ASCII or UTF-8; false when it does not fit, and then it is none of ours. */
static bool word_is(const struct kw_names_word *word, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	for (uint32_t i = 0; i < word->count; i++) {
		uint32_t letter = *at;
		if (letter == 0)
			return false;
		at++;
		if (letter >= 0xC0)
			letter = (letter & 0x1F) << 6 | (*at++ & 0x3Fu);
		if (letter != word->letters[i])
			return false;
	}
	return *at == 0;
}

static bool is_one_of(const struct kw_names_word *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (word_is(word, list[i]))
			return true;
	return false;
}
#define IS_ONE_OF(word, list) is_one_of((word), (list), sizeof(list) / sizeof((list)[0]))

static bool starts(const struct kw_names_word *word, const uint32_t *with, uint32_t count)
{
	return word->count >= count && memcmp(word->letters, with, count * sizeof(*with)) == 0;
}

static bool ends(const struct kw_names_word *word, const uint32_t *with, uint32_t count)
{
	return word->count > count && memcmp(word->letters + word->count - count, with, count * sizeof(*with)) == 0;
}

static void drop_front(struct kw_names_word *word, uint32_t count)
{
	word->count -= count;
	memmove(word->letters, word->letters + count, word->count * sizeof(*word->letters));
}

static void remove_word(struct kw_names_words *words, uint32_t at)
{
	memmove(&words->list[at], &words->list[at + 1], (words->count - at - 1) * sizeof(words->list[0]));
	words->count--;
}

static bool is_letter_vowel(uint32_t letter)
{
	return letter < 0x80 && kw_names_is_vowel((char)letter);
}

/* abd, abdu, abdou, abdi; then the article, as l or as the letter that it became: abdul-aziz, abdur-rahman. */
static bool servant_latin(struct kw_names_word *word)
{
	uint32_t at = 3;
	if (word->count < 7 || word->letters[0] != 'a' || word->letters[1] != 'b' || word->letters[2] != 'd')
		return false;
	while (at < word->count && at < 5 && is_letter_vowel(word->letters[at]))
		at++;
	if (at == 3 && word->letters[3] != 'r' && word->letters[3] != 'l')
		return false;
	if (word->count >= at + 4 && (word->letters[at] == 'l' || word->letters[at] == word->letters[at + 1]))
		at++;
	if (word->count < at + 2 || (word->count < at + 3 && word->letters[at] != 'l'))
		return false;
	drop_front(word, at);
	return true;
}

static void drop_article(struct kw_names_word *word)
{
	if (word->script == KW_NAMES_ARAB && word->count >= 4 && word->letters[0] == ALEF && word->letters[1] == LAM)
		drop_front(word, 2);
}

bool kw_names_servant(struct kw_names_word *word)
{
	if (word->servant)
		return true;
	if (word->script == KW_NAMES_LATIN) {
		word->servant = servant_latin(word);
	} else if (word->script == KW_NAMES_ARAB && word->count >= 5 && starts(word, SERVANT, 3)) {
		drop_front(word, 3);
		drop_article(word);
		word->servant = true;
	}
	return word->servant;
}

/* words->list[at + 1] goes onto the end of list[at]. */
static enum kw_err append(struct kw_names_words *words, uint32_t at)
{
	struct kw_names_word *to = &words->list[at];
	const struct kw_names_word *from = &words->list[at + 1];
	if (to->count + from->count > KW_NAMES_WORD_LETTERS_MAX)
		return KW_ETOOBIG;
	memcpy(to->letters + to->count, from->letters, from->count * sizeof(from->letters[0]));
	to->count += from->count;
	remove_word(words, at + 1);
	return KW_OK;
}

static bool is_geez_compound(const struct kw_names_word *first, const struct kw_names_word *second)
{
	struct kw_names_folded folded;
	char skeleton[KW_NAMES_WORD_LETTERS_MAX + 1];
	bool known = false;
	if (kw_names_fold(first, KW_NAMES_ANY, &folded) != KW_OK)
		return false;
	for (size_t i = 0; i < sizeof(GEEZ_FIRST) / sizeof(GEEZ_FIRST[0]); i++)
		known = known || strcmp(folded.letters, GEEZ_FIRST[i]) == 0;
	if (!known || kw_names_fold(second, KW_NAMES_ANY, &folded) != KW_OK)
		return false;
	(void)kw_names_skeleton(&folded, skeleton); /* terminated */
	for (size_t i = 0; i < sizeof(GEEZ_SECOND) / sizeof(GEEZ_SECOND[0]); i++)
		if (strcmp(skeleton, GEEZ_SECOND[i]) == 0)
			return true;
	return false;
}

/* Salah al-Din, Noureddine, Nuruddin: the second half is always written din. */
static void settle_faith(struct kw_names_word *word)
{
	static const uint32_t DIN[] = {'d', 'i', 'n'};
	uint32_t count = word->count;
	if (ends(word, FAITH, 5) || ends(word, FAITH_FARSI, 5)) {
		word->letters[count - 5] = 0x62F;
		word->letters[count - 4] = 0x64A;
		word->letters[count - 3] = 0x646;
		word->count = count - 2;
		return;
	}
	if (word->script != KW_NAMES_LATIN || count < 7)
		return;
	if (word->letters[count - 1] == 'e')
		count--;
	if (count < 7 || word->letters[count - 1] != 'n')
		return;
	count -= word->letters[count - 2] == 'e' && word->letters[count - 3] == 'e' ? 3 : 2;
	/* A vowel and two d before it: Claudine is none. */
	if (word->letters[count - 1] != 'd' || word->letters[count - 2] != 'd' || !is_letter_vowel(word->letters[count - 3]))
		return;
	count -= 3;
	memcpy(word->letters + count, DIN, sizeof(DIN));
	word->count = count + 3;
}

static enum kw_err join_faith(struct kw_names_words *words, uint32_t at)
{
	static const uint32_t DIN[] = {0x62F, 0x64A, 0x646};
	struct kw_names_word *next = &words->list[at + 1];
	if (words->list[at].script == KW_NAMES_LATIN && next->script == KW_NAMES_LATIN && IS_ONE_OF(next, FAITH_LATIN)) {
		memcpy(next->letters, (const uint32_t[]){'d', 'i', 'n'}, 3 * sizeof(uint32_t));
		next->count = 3;
		return append(words, at);
	}
	bool arabic = next->script == KW_NAMES_ARAB && next->count == 3 && next->letters[0] == DIN[0] &&
		next->letters[2] == DIN[2];
	return arabic && words->list[at].script == KW_NAMES_ARAB ? append(words, at) : KW_OK;
}

/* One look at a word and the next. */
static enum kw_err join_at(struct kw_names_words *words, uint32_t at, enum kw_names_lang lang)
{
	struct kw_names_word *word = &words->list[at];
	const struct kw_names_word *next = &words->list[at + 1];
	if (word->script != next->script)
		return KW_OK;
	bool latin = word->script == KW_NAMES_LATIN;
	if ((latin && IS_ONE_OF(word, SERVANT_LATIN)) ||
		(word->script == KW_NAMES_ARAB && word->count == 3 && starts(word, SERVANT, 3))) {
		remove_word(words, at);
		words->list[at].servant = true;
		return KW_OK;
	}
	if ((latin && IS_ONE_OF(word, FATHER_OF)) || IS_ONE_OF(word, FATHER_OF_ARABIC))
		return append(words, at);
	bool geez = word->script == KW_NAMES_ETHIOPIC || (latin && (lang == KW_NAMES_ANY || lang == KW_NAMES_AMHARIC));
	if (geez && is_geez_compound(word, next))
		return append(words, at);
	return join_faith(words, at);
}

static void drop_particles(struct kw_names_words *words)
{
	for (uint32_t at = 0; at < words->count && words->count > 1;) {
		bool drop = words->list[at].script == KW_NAMES_ARAB && IS_ONE_OF(&words->list[at], ARABIC);
		for (size_t i = 0; i < sizeof(LATIN) / sizeof(LATIN[0]) && words->list[at].script == KW_NAMES_LATIN; i++)
			drop = drop || (word_is(&words->list[at], LATIN[i].word) && (at > 0 || !LATIN[i].not_first));
		if (drop)
			remove_word(words, at);
		else
			at++;
	}
}

/* A Somali c is an ayn, its x an h. Cabdi says so itself, whatever the record says. */
static void settle_somali(struct kw_names_word *word, enum kw_names_lang lang)
{
	static const uint32_t CABD[] = {'c', 'a', 'b', 'd'};
	uint32_t count = 0;
	if (word->script != KW_NAMES_LATIN || (lang != KW_NAMES_SOMALI && !(lang == KW_NAMES_ANY && starts(word, CABD, 4))))
		return;
	for (uint32_t i = 0; i < word->count; i++) {
		uint32_t letter = word->letters[i];
		bool is_ch = i + 1 < word->count && word->letters[i + 1] == 'h';
		if (letter == 'c' && !is_ch)
			continue;
		word->letters[count++] = letter == 'x' ? 'h' : letter;
	}
	if (count > 0)
		word->count = count;
}

/* How many letters `text` has, if the word has them at `at`; 0 if not. */
static uint32_t has(const struct kw_names_word *word, uint32_t at, const char *text)
{
	struct kw_names_word part = {.script = word->script};
	while (at + part.count < word->count && part.count < KW_NAMES_WORD_LETTERS_MAX) {
		part.letters[part.count] = word->letters[at + part.count];
		part.count++;
		if (word_is(&part, text))
			return part.count;
	}
	return 0;
}

/* Where the word falls into two names; 0 if it does not. Each has three letters at least. */
static uint32_t seam(const struct kw_names_word *word)
{
	for (size_t i = 0; i < sizeof(FIRST_OF_TWO) / sizeof(FIRST_OF_TWO[0]); i++) {
		uint32_t count = has(word, 0, FIRST_OF_TWO[i]);
		if (count > 0 && word->count >= count + 3)
			return count;
	}
	for (uint32_t at = 3; at < word->count; at++)
		for (size_t i = 0; i < sizeof(SECOND_OF_TWO) / sizeof(SECOND_OF_TWO[0]); i++)
			if (at + has(word, at, SECOND_OF_TWO[i]) == word->count)
				return at;
	return 0;
}

static enum kw_err part_compounds(struct kw_names_words *words, enum kw_names_lang lang)
{
	for (uint32_t at = 0; at < words->count; at++) {
		struct kw_names_word *word = &words->list[at];
		if (word->script != KW_NAMES_ARAB && (word->script != KW_NAMES_LATIN || lang != KW_NAMES_PERSIAN))
			continue;
		uint32_t count = seam(word);
		if (count == 0)
			continue;
		if (words->count == KW_NAMES_RAW_WORDS)
			return KW_ETOOBIG;
		memmove(word + 1, word, (words->count - at) * sizeof(*word));
		words->count++;
		word->count = count;
		drop_front(word + 1, count);
	}
	return KW_OK;
}

enum kw_err kw_names_join(struct kw_names_words *words, enum kw_names_lang lang)
{
	for (uint32_t at = 0; at < words->count; at++) {
		settle_somali(&words->list[at], lang);
		drop_article(&words->list[at]);
	}
	enum kw_err err = part_compounds(words, lang);
	drop_particles(words);
	for (uint32_t at = 0; err == KW_OK && at + 1 < words->count;) {
		uint32_t before = words->count;
		err = join_at(words, at, lang);
		at += before == words->count ? 1 : 0;
	}
	for (uint32_t at = 0; at < words->count; at++)
		settle_faith(&words->list[at]);
	if (err != KW_OK)
		return err;
	return words->count > KW_NAMES_WORDS_MAX ? KW_ETOOBIG : KW_OK;
}
