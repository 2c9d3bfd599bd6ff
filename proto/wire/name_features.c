/* The names of a record, part by part and word by word. Declared in name_features.h. */

#include <string.h>

#include "proto/wire/name_inner.h"

#define ROLE_NONE KW_NAMES_ROLE_COUNT
#define STEPS 3u

/* Whose name the words of a patronymic are, from the first on: own, father's, grandfather's. ROLE_NONE: nobody's that a
 * record tells, and the word counts without a role. SKIP: of nobody's in the child's record. */
#define SKIP (KW_NAMES_ROLE_COUNT + 1)
static const int LINE[KW_NAMES_ROLE_COUNT][STEPS] = {
	[KW_NAMES_CHILD] = {KW_NAMES_CHILD, KW_NAMES_FATHER, KW_NAMES_GRANDFATHER},
	[KW_NAMES_FATHER] = {KW_NAMES_FATHER, KW_NAMES_GRANDFATHER, ROLE_NONE},
	[KW_NAMES_GRANDFATHER] = {KW_NAMES_GRANDFATHER, ROLE_NONE, ROLE_NONE},
	[KW_NAMES_MOTHER] = {KW_NAMES_MOTHER, KW_NAMES_MOTHERS_FATHER, ROLE_NONE},
	[KW_NAMES_MOTHERS_FATHER] = {KW_NAMES_MOTHERS_FATHER, ROLE_NONE, ROLE_NONE},
	[KW_NAMES_FAMILY] = {KW_NAMES_FAMILY, KW_NAMES_FAMILY, KW_NAMES_FAMILY},
	[KW_NAMES_OTHER] = {KW_NAMES_OTHER, KW_NAMES_OTHER, KW_NAMES_OTHER},
	[KW_NAMES_INQUIRER] = {ROLE_NONE, ROLE_NONE, ROLE_NONE},
};
static const int ASKING[KW_NAMES_RELATION_COUNT][STEPS] = {
	[KW_NAMES_IS_NOT_SAID] = {ROLE_NONE, ROLE_NONE, ROLE_NONE},
	[KW_NAMES_IS_MOTHER] = {KW_NAMES_MOTHER, KW_NAMES_MOTHERS_FATHER, ROLE_NONE},
	[KW_NAMES_IS_FATHER] = {KW_NAMES_FATHER, KW_NAMES_GRANDFATHER, ROLE_NONE},
	[KW_NAMES_IS_FATHERS_FATHER] = {KW_NAMES_GRANDFATHER, ROLE_NONE, ROLE_NONE},
	[KW_NAMES_IS_MOTHERS_FATHER] = {KW_NAMES_MOTHERS_FATHER, ROLE_NONE, ROLE_NONE},
	[KW_NAMES_IS_SIBLING] = {SKIP, KW_NAMES_FATHER, KW_NAMES_GRANDFATHER},
	[KW_NAMES_IS_FATHERS_SIBLING] = {SKIP, KW_NAMES_GRANDFATHER, ROLE_NONE},
	[KW_NAMES_IS_MOTHERS_SIBLING] = {SKIP, KW_NAMES_MOTHERS_FATHER, ROLE_NONE},
};

/* Endings of Ukrainian patronymics: what is left is the father's name. In Cyrillic after NFKD, and as romanised. */
static const char *const CYRILLIC_ENDINGS[] = {"\u043E\u0432\u0438\u0447", "\u0435\u0432\u0438\u0447",
	"\u0456\u0432\u043D\u0430", "\u043E\u0432\u043D\u0430", "\u0435\u0432\u043D\u0430"};
static const char *const LATIN_ENDINGS[] = {"ovych", "ovich", "evych", "evich", "ivna", "ovna", "evna"};

struct state {
	const struct kw_names_record *record;
	struct kw_names_features *out;
	bool told[KW_NAMES_ROLE_COUNT]; /* which roles have a part of their own */
};

static bool is_patronymic(const struct kw_names_record *record, const struct kw_names_words *words)
{
	enum kw_names_script script = words->list[0].script;
	return record->lang == KW_NAMES_ARABIC || record->lang == KW_NAMES_AMHARIC || record->lang == KW_NAMES_SOMALI ||
		(record->lang == KW_NAMES_ANY && (script == KW_NAMES_ARAB || script == KW_NAMES_ETHIOPIC));
}

static bool cut_ending(struct kw_names_word *word, const char *ending)
{
	uint32_t letters[8];
	uint32_t count = 0;
	for (const uint8_t *at = (const uint8_t *)ending; *at != 0; at++) {
		if (*at >= 0xC0) {
			letters[count++] = (*at & 0x1Fu) << 6 | (at[1] & 0x3Fu);
			at++;
		} else {
			letters[count++] = *at;
		}
	}
	if (word->count < count + 3 || memcmp(word->letters + word->count - count, letters, count * sizeof(letters[0])) != 0)
		return false;
	word->count -= count;
	return true;
}

static bool cut_patronymic(struct kw_names_word *word, enum kw_names_lang lang)
{
	bool cyrillic = word->script == KW_NAMES_CYRILLIC;
	if (!cyrillic && (word->script != KW_NAMES_LATIN || lang != KW_NAMES_UKRAINIAN))
		return false;
	size_t count = cyrillic ? sizeof(CYRILLIC_ENDINGS) / sizeof(CYRILLIC_ENDINGS[0]) :
		sizeof(LATIN_ENDINGS) / sizeof(LATIN_ENDINGS[0]);
	for (size_t i = 0; i < count; i++)
		if (cut_ending(word, cyrillic ? CYRILLIC_ENDINGS[i] : LATIN_ENDINGS[i]))
			return true;
	return false;
}

/* The role of word `at` of a part that has `line` for its words. */
static int role_of(const struct state *state, const struct kw_names_part *part, const int *line, uint32_t at)
{
	int role = at < STEPS ? line[at] : ROLE_NONE;
	/* Nobody's name twice: where the father has a part of his own, the child's second word is the child's. */
	if (at > 0 && role < ROLE_NONE && role != (int)part->role && state->told[role])
		return part->role == KW_NAMES_INQUIRER ? role : (int)part->role;
	return role;
}

static enum kw_err add_part(const struct state *state, const struct kw_names_part *part)
{
	struct kw_names_words words;
	enum kw_names_lang lang = state->record->lang;
	enum kw_err err = kw_names_split(part->text, &words);
	uint32_t used = words.count + words.count; /* parting a compound adds one at most for each */
	if (err == KW_OK)
		err = kw_names_join(&words, lang);
	if (err != KW_OK || words.count == 0) {
		kw_wipe(&words, sizeof(words));
		return err;
	}
	const int *line = part->role == KW_NAMES_INQUIRER ? ASKING[state->record->relation] : LINE[part->role];
	bool patronymic = is_patronymic(state->record, &words);
	for (uint32_t at = 0; err == KW_OK && at < words.count; at++) {
		int role = patronymic ? role_of(state, part, line, at) : line[0];
		if (at > 0 && cut_patronymic(&words.list[at], lang))
			role = line[1];
		if (role == (int)SKIP && patronymic && words.count > 1)
			continue;
		struct kw_names_use use = {&words.list[at], lang, role == (int)SKIP ? ROLE_NONE : (enum kw_names_role)role};
		err = kw_names_word_features(&use, state->out);
	}
	used = used < KW_NAMES_RAW_WORDS ? used : KW_NAMES_RAW_WORDS;
	kw_wipe(words.list, used * sizeof(words.list[0]));
	return err;
}

/* Whether a part names somebody: a dash or a question mark in the father's place does not. What is wrong with it is told
 * when it is added. */
static bool names_somebody(struct kw_view text)
{
	struct kw_names_words words;
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i] | 0x20u;
		if (c >= 'a' && c <= 'z')
			return true;
		if (c >= 0x80)
			return kw_names_split(text, &words) != KW_OK || words.count > 0;
	}
	return false;
}

enum kw_err kw_names_features(const struct kw_names_record *record, struct kw_names_features *out)
{
	struct state state = {.record = record, .out = out};
	out->count = 0;
	out->used = 0;
	out->weight_total = 0;
	memset(out->slot, 0, sizeof(out->slot));
	if ((unsigned)record->lang >= KW_NAMES_LANG_COUNT || (unsigned)record->relation >= KW_NAMES_RELATION_COUNT)
		return KW_EFIELD;
	if (record->parts_count > KW_NAMES_PARTS_MAX)
		return KW_ETOOBIG;
	for (size_t i = 0; i < record->parts_count; i++) {
		if ((unsigned)record->parts[i].role >= KW_NAMES_ROLE_COUNT)
			return KW_EFIELD;
		state.told[record->parts[i].role] |= names_somebody(record->parts[i].text);
	}
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < record->parts_count; i++)
		err = add_part(&state, &record->parts[i]);
	return err;
}

const char *kw_names_parameters(void)
{
	return KW_NAMES_PARAMETERS;
}
