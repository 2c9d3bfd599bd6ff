/* Lookups in the tables that proto/names.py makes of proto/names. Declared in name_inner.h. */

#include <string.h>

#include "proto/wire/name_inner.h"

#define RARITY_UNKNOWN 16u
#define KEY_SIZE (3 * KW_NAMES_WORD_LETTERS_MAX + 1)

/* The capitals for marked letters are spelt without the mark. */
static uint32_t plain(uint32_t letter)
{
	switch (letter) {
	case 'C':
	case 'X':
		return 'c';
	case 'S':
		return 's';
	case 'Z':
		return 'z';
	case 'E':
		return 'e';
	default:
		return letter;
	}
}

static bool spell(const struct kw_names_word *word, char *key)
{
	for (uint32_t i = 0; i < word->count; i++) {
		uint32_t letter = plain(word->letters[i]);
		if (letter >= 0x10000)
			return false;
		if (letter >= 0x800) {
			*key++ = (char)(0xE0 | letter >> 12);
			*key++ = (char)(0x80 | (letter >> 6 & 0x3F));
			*key++ = (char)(0x80 | (letter & 0x3F));
		} else if (letter >= 0x80) {
			*key++ = (char)(0xC0 | letter >> 6);
			*key++ = (char)(0x80 | (letter & 0x3F));
		} else {
			*key++ = (char)letter;
		}
	}
	*key = '\0';
	return true;
}

static const struct kw_names_alias *find(const char *key)
{
	size_t low = 0;
	size_t high = KW_NAMES_ALIASES_COUNT;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(key, KW_NAMES_ALIASES[middle].key);
		if (order == 0)
			return &KW_NAMES_ALIASES[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Muhammed and Muhamed, Faadumo and Fadumo: the tables have the single letters too. ee and oo are other vowels than e and o:
 * Sameer is no Samer. */
static void squeeze(char *key)
{
	char *out = key;
	for (const char *at = key; *at != '\0'; at++)
		if (out == key || *at == 'e' || *at == 'o' || *at != out[-1])
			*out++ = *at;
	*out = '\0';
}

const struct kw_names_alias *kw_names_alias_find(const struct kw_names_word *word)
{
	char key[KEY_SIZE];
	if (!spell(word, key))
		return NULL;
	const struct kw_names_alias *found = find(key);
	if (found == NULL && word->script == KW_NAMES_LATIN) {
		squeeze(key);
		found = find(key);
	}
	return found;
}

uint32_t kw_names_rarity(const char *skeleton)
{
	size_t low = 0;
	size_t high = KW_NAMES_COMMON_COUNT;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(skeleton, KW_NAMES_COMMON[middle].skeleton);
		if (order == 0)
			return KW_NAMES_COMMON[middle].rarity;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return RARITY_UNKNOWN;
}
