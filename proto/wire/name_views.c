/* One word of a name as features: its views, under the aliases that stand for it. Declared in name_inner.h.
 *
 *   b xy   a bigram of the folded letters, 2      ^m mu uh ha am ma ad d$
 *   c xy   a bigram of vowel classes, 2           ^m mU Uh hA Am mA Ad d$
 *   s x..  the consonant skeleton, 4              mhmd
 *   w x..  the folded word, 4                     muhamad
 *   n x..  the name that the tables know it as, 6  muhammad
 *   r R x..  role and vowel classes, 4            C mUhAmAd
 *   o xy   of a script that we do not fold: a bigram of its letters, in UTF-8 */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/name_inner.h"

#define BIGRAM 2u
#define WHOLE 4u
#define KNOWN 6u /* Hasan is not Husayn, and Rosa not Rocio, however near they are spelt */

/* What every feature of one spelling has in common. */
struct pour {
	struct kw_names_features *out;
	uint32_t each; /* rarity * strength of the role: the weight of a feature of 1 */
};

/* The child's own name tells siblings apart, who have all other names in common; whole families share a family name. */
static const struct {
	char letter;
	uint8_t strength; /* in quarters */
} ROLES[KW_NAMES_ROLE_COUNT + 1] = {
	[KW_NAMES_CHILD] = {'C', 12},
	[KW_NAMES_FATHER] = {'F', 4},
	[KW_NAMES_GRANDFATHER] = {'G', 4},
	[KW_NAMES_MOTHER] = {'M', 4},
	[KW_NAMES_MOTHERS_FATHER] = {'P', 4},
	[KW_NAMES_FAMILY] = {'S', 3},
	[KW_NAMES_OTHER] = {0, 4},
	[KW_NAMES_INQUIRER] = {0, 4},
	[KW_NAMES_ROLE_COUNT] = {0, 4},
};

static enum kw_err pour(const struct pour *pour, char kind, struct kw_view text, uint32_t view)
{
	uint8_t bytes[KW_NAMES_FEATURE_SIZE_MAX];
	KW_ASSERT(text.size < sizeof(bytes));
	bytes[0] = (uint8_t)kind;
	memcpy(bytes + 1, text.data, text.size);
	return kw_names_add(pour->out, KW_VIEW(bytes, 1 + text.size), (uint16_t)(view * pour->each));
}

static enum kw_err pour_bigrams(const struct pour *to, char kind, const char *text, uint32_t count)
{
	enum kw_err err = KW_OK;
	for (uint32_t i = 0; err == KW_OK && i <= count; i++) {
		char pair[2] = {i == 0 ? '^' : text[i - 1], i == count ? '$' : text[i]};
		err = pour(to, kind, KW_VIEW(pair, 2), BIGRAM);
	}
	return err;
}

static enum kw_err pour_role(const struct pour *to, enum kw_names_role role, const char *classes, uint32_t count)
{
	char text[KW_NAMES_WORD_LETTERS_MAX + 2];
	if (ROLES[role].letter == 0)
		return KW_OK;
	text[0] = ROLES[role].letter;
	memcpy(text + 1, classes, count);
	return pour(to, 'r', KW_VIEW(text, 1 + count), WHOLE);
}

/* A spelling as it stands; `known` is the name that it is, or NULL. */
static enum kw_err spelling(const struct kw_names_use *use, const char *known, struct kw_names_features *out)
{
	struct kw_names_folded folded;
	char classes[KW_NAMES_WORD_LETTERS_MAX + 1];
	char skeleton[KW_NAMES_WORD_LETTERS_MAX + 1];
	enum kw_err err = kw_names_fold(use->word, use->lang, &folded);
	if (err != KW_OK || folded.count == 0)
		return err;
	uint32_t skeleton_count = kw_names_skeleton(&folded, skeleton);
	uint32_t classes_count = kw_names_classes(&folded, classes);
	struct pour to = {out, kw_names_rarity(skeleton) * ROLES[use->role].strength};
	err = pour_bigrams(&to, 'b', folded.letters, folded.count);
	if (err == KW_OK)
		err = pour_bigrams(&to, 'c', classes, classes_count);
	/* One consonant says next to nothing: Hawa, Haya, Hua. */
	if (err == KW_OK && skeleton_count >= 2)
		err = pour(&to, 's', KW_VIEW(skeleton, skeleton_count), WHOLE);
	if (err == KW_OK)
		err = pour(&to, 'w', KW_VIEW(folded.letters, folded.count), WHOLE);
	if (err == KW_OK && known != NULL)
		err = pour(&to, 'n', kw_view_str(known), KNOWN);
	return err == KW_OK ? pour_role(&to, use->role, classes, classes_count) : err;
}

/* Puts a terminated text in ASCII in the word's place. */
static void spell_out(struct kw_names_word *word, const char *text)
{
	word->script = KW_NAMES_LATIN;
	word->servant = false;
	for (word->count = 0; text[word->count] != '\0'; word->count++)
		word->letters[word->count] = (uint8_t)text[word->count];
}

/* A spelling out of the tables. One that stands for others is plain Latin and no language's own; a full name that stands for
 * itself is folded as it would be where it is written out. */
static enum kw_err table_spelling(const struct kw_names_use *use, const char *name, struct kw_names_features *out)
{
	struct kw_names_word word;
	KW_ASSERT(strlen(name) <= KW_NAMES_WORD_LETTERS_MAX);
	spell_out(&word, name);
	word.servant = use->word->servant;
	const struct kw_names_alias *alias = kw_names_alias_find(&word);
	bool alone = alias != NULL && alias->same == NULL;
	(void)kw_names_servant(&word); /* told in the word */
	struct kw_names_use as = {&word, alone ? use->lang : KW_NAMES_ANY, use->role};
	return spelling(&as, name, out);
}

static uint32_t put_utf8(uint8_t *out, uint32_t letter)
{
	if (letter < 0x800) {
		out[0] = (uint8_t)(0xC0 | letter >> 6);
		out[1] = (uint8_t)(0x80 | (letter & 0x3F));
		return 2;
	}
	if (letter < 0x10000) {
		out[0] = (uint8_t)(0xE0 | letter >> 12);
		out[1] = (uint8_t)(0x80 | (letter >> 6 & 0x3F));
		out[2] = (uint8_t)(0x80 | (letter & 0x3F));
		return 3;
	}
	out[0] = (uint8_t)(0xF0 | letter >> 18);
	out[1] = (uint8_t)(0x80 | (letter >> 12 & 0x3F));
	out[2] = (uint8_t)(0x80 | (letter >> 6 & 0x3F));
	out[3] = (uint8_t)(0x80 | (letter & 0x3F));
	return 4;
}

static enum kw_err unfolded(const struct kw_names_use *use, struct kw_names_features *out)
{
	uint8_t text[4 * KW_NAMES_WORD_LETTERS_MAX];
	uint32_t size = 0;
	uint32_t before = 0;
	struct pour to = {out, 16 * ROLES[use->role].strength};
	enum kw_err err = KW_OK;
	for (uint32_t i = 0; err == KW_OK && i < use->word->count; i++) {
		uint32_t at = size;
		size += put_utf8(text + size, use->word->letters[i]);
		if (i > 0)
			err = pour(&to, 'o', KW_VIEW(text + before, size - before), BIGRAM);
		before = at;
	}
	return err == KW_OK ? pour(&to, 'w', KW_VIEW(text, size), WHOLE) : err;
}

/* The whole spelling first: Abdullah is in the tables, and no servant of "llah". */
static const struct kw_names_alias *find_servant(const struct kw_names_word *word)
{
	static const uint32_t LATIN[] = {'a', 'b', 'd', 'u', 'l'};
	static const uint32_t ARABIC[] = {0x639, 0x628, 0x62F, 0x627, 0x644};
	struct kw_names_word whole = {.script = word->script};
	if (word->count + 5 > KW_NAMES_WORD_LETTERS_MAX)
		return NULL;
	memcpy(whole.letters, word->script == KW_NAMES_LATIN ? LATIN : ARABIC, sizeof(LATIN));
	memcpy(whole.letters + 5, word->letters, word->count * sizeof(word->letters[0]));
	whole.count = word->count + 5;
	return kw_names_alias_find(&whole);
}

/* Of a script that tells all vowels, the romanised spelling is looked up too. */
static const struct kw_names_alias *find_romanised(const struct kw_names_use *use)
{
	struct kw_names_folded folded;
	struct kw_names_word latin;
	if (use->word->script != KW_NAMES_ETHIOPIC && use->word->script != KW_NAMES_CYRILLIC)
		return NULL;
	if (kw_names_fold(use->word, use->lang, &folded) != KW_OK)
		return NULL;
	spell_out(&latin, folded.letters);
	return kw_names_alias_find(&latin);
}

static const struct kw_names_alias *find(struct kw_names_word *word, const struct kw_names_use *use)
{
	const struct kw_names_alias *alias = NULL;
	if (word->servant) {
		alias = find_servant(word);
		if (alias != NULL)
			word->servant = false;
	}
	if (alias == NULL)
		alias = kw_names_alias_find(word);
	if (alias == NULL && !word->servant && kw_names_servant(word))
		alias = kw_names_alias_find(word);
	return alias != NULL ? alias : find_romanised(use);
}

enum kw_err kw_names_word_features(const struct kw_names_use *use, struct kw_names_features *out)
{
	struct kw_names_word word = *use->word;
	struct kw_names_use mine = {&word, use->lang, use->role};
	if (word.script == KW_NAMES_SCRIPT_OTHER)
		return unfolded(use, out);
	const struct kw_names_alias *alias = find(&word, &mine);
	if (alias == NULL)
		return spelling(&mine, NULL, out);
	if (alias->same != NULL)
		return table_spelling(&mine, alias->same, out);
	if (alias->formal[0] == NULL)
		return spelling(&mine, alias->key, out);
	/* A nickname is itself, and each of the one or two names that it is short for. */
	enum kw_err err = spelling(&mine, alias->key, out);
	for (size_t i = 0; err == KW_OK && i < 2 && alias->formal[i] != NULL; i++)
		err = table_spelling(&mine, alias->formal[i], out);
	return err;
}
