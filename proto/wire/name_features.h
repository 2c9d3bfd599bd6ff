#ifndef KW_WIRE_NAME_FEATURES_H
#define KW_WIRE_NAME_FEATURES_H

#include "proto/base/bytes.h"

/* The names of one record as a set of weighted features, for an encoder that hashes each under a key. Two records of one
 * person share most of the weight, whatever script, spelling convention or order the names were written in; two persons of
 * one family do not. proto/NAMES.md says how names become features, and why.
 *
 * Agent side, and in the clear: whoever holds features holds the names. Nothing here hashes, keeps, allocates (ICU apart),
 * or asks a clock. Equal input gives equal bytes, on every machine and with every ICU from the pinned one on.
 *
 * Nothing below compares spellings: normalising only makes the features, and the features are evidence, not a decision. */

#define KW_NAMES_PART_SIZE_MAX 256u     /* bytes of one part, UTF-8 */
#define KW_NAMES_PARTS_MAX 24u          /* parts of one record: 8 and 8 of a child and an inquirer, and other names */
#define KW_NAMES_WORDS_MAX 12u          /* words in one part, after joining */
#define KW_NAMES_WORD_LETTERS_MAX 48u   /* letters of one word, and of its folded form */
#define KW_NAMES_FEATURES_MAX 1024u     /* of one record: some eight full names of four words */
#define KW_NAMES_FEATURE_SIZE_MAX 200u  /* bytes of one feature */
#define KW_NAMES_FEATURES_BYTES_MAX 16384u /* of all features of one record */

/* Weights are in this unit: a bigram of a rare word weighs 2 of them, a whole word 4 (LINKAGE.md, stage 1). */
#define KW_NAMES_WEIGHT_ONE 64u

/* The language whose spelling conventions a record follows. It steers folding only: no feature tells it. Take it from the
 * country of origin (kw_names_lang_by_country), not from what a clerk believes, so that two agencies take the same.
 * ANY is a good answer: Arabic, Ethiopic and Cyrillic are known by their script, and Latin is folded without the
 * conventions that contradict each other (a Somali c and x, a Spanish j, a Creole r). */
enum kw_names_lang {
	KW_NAMES_ANY,
	KW_NAMES_ARABIC,
	KW_NAMES_AMHARIC, /* and Tigrinya, Oromo */
	KW_NAMES_PERSIAN, /* Dari and Farsi, and Pashto's letters */
	KW_NAMES_FRENCH,
	KW_NAMES_HAITIAN, /* Creole and French, as written in Haiti */
	KW_NAMES_ENGLISH,
	KW_NAMES_SPANISH,
	KW_NAMES_SWAHILI,
	KW_NAMES_SOMALI,
	KW_NAMES_UKRAINIAN,
	KW_NAMES_LANG_COUNT
};

/* What a part names. All parts lie in one set without order; the role is one more feature of each word. */
enum kw_names_role {
	KW_NAMES_CHILD,
	KW_NAMES_FATHER,
	KW_NAMES_GRANDFATHER, /* the father's father */
	KW_NAMES_MOTHER,
	KW_NAMES_MOTHERS_FATHER,
	KW_NAMES_FAMILY, /* a surname or a clan: whole families share it, so it is weak */
	KW_NAMES_OTHER,  /* a nickname, or a name that the child is also known by */
	KW_NAMES_INQUIRER, /* who asks; the record's relation says what they are to the child */
	KW_NAMES_ROLE_COUNT
};

/* What an inquirer is to the child. The patronymic of a sibling is the child's father, of an aunt the child's grandfather,
 * so that "Almaz Tesfaye" asking as a mother gives the mother and the mother's father. */
enum kw_names_relation {
	KW_NAMES_IS_NOT_SAID, /* or some other relation: the names count, without a role */
	KW_NAMES_IS_MOTHER,
	KW_NAMES_IS_FATHER,
	KW_NAMES_IS_FATHERS_FATHER,
	KW_NAMES_IS_MOTHERS_FATHER,
	KW_NAMES_IS_SIBLING,
	KW_NAMES_IS_FATHERS_SIBLING,
	KW_NAMES_IS_MOTHERS_SIBLING,
	KW_NAMES_RELATION_COUNT
};

struct kw_names_part {
	enum kw_names_role role;
	struct kw_view text; /* 0..KW_NAMES_PART_SIZE_MAX bytes of UTF-8; empty, or without a letter, adds nothing */
};

struct kw_names_record {
	enum kw_names_lang lang;
	enum kw_names_relation relation; /* of the parts that are INQUIRER */
	const struct kw_names_part *parts;
	size_t parts_count; /* 0..KW_NAMES_PARTS_MAX */
};

/* One feature: bytes that say it whole, and its weight in 1/KW_NAMES_WEIGHT_ONE. */
struct kw_names_feature {
	uint32_t at; /* into kw_names_features.bytes */
	uint16_t size;   /* 1..KW_NAMES_FEATURE_SIZE_MAX */
	uint16_t weight; /* 1.. */
};

#define KW_NAMES_SLOTS 2048u

/* A set: no two have the same bytes. The order is that of the names and says nothing. About 28 KiB; wipe it after use
 * (kw_wipe), it is as personal as the names. */
struct kw_names_features {
	uint32_t count;
	uint32_t used;         /* bytes */
	uint64_t weight_total; /* of all features */
	struct kw_names_feature list[KW_NAMES_FEATURES_MAX];
	uint8_t bytes[KW_NAMES_FEATURES_BYTES_MAX];
	uint16_t slot[KW_NAMES_SLOTS]; /* where a feature is, by a hash of its bytes; 0 is nobody */
};

/* The features of one record's names. Parts without letters add nothing and cost nothing: a record without a name has
 * no features and is KW_OK.
 *   out   written whole on KW_OK; without meaning on an error
 * KW_EFORMAT   a part is not UTF-8 (overlong forms, surrogates and a cut last letter are not)
 * KW_EFIELD    a role, relation or language that is none
 * KW_ETOOBIG   over one of the limits above: a part's bytes, parts, words, a word's letters, features or their bytes
 * KW_EVERSION  ICU is older than the pinned version (kw_names_parameters) */
KW_MUST_USE enum kw_err kw_names_features(const struct kw_names_record *record, struct kw_names_features *out);

/* Adds one feature of another field, a birth year or a village, to the set; one that is there already keeps the larger
 * weight. Features of names begin with a small letter, so begin others with something else.
 * KW_ETOOBIG: feature over KW_NAMES_FEATURE_SIZE_MAX, or no room; KW_EFIELD: empty, or a weight of 0. */
KW_MUST_USE enum kw_err kw_names_add(struct kw_names_features *set, struct kw_view feature, uint16_t weight);

/* Weighted Dice, 2 * shared / (a + b), in thousandths, rounded down; shared counts the lesser of two weights. 0 when
 * either is empty: a missing name is not evidence. For tests and measurements; agents compare encodings. */
uint32_t kw_names_dice(const struct kw_names_features *a, const struct kw_names_features *b);

/* By ISO 3166-1 alpha-2 or alpha-3, either case, the language that names from there are written by; ANY if we know none. */
enum kw_names_lang kw_names_lang_by_country(struct kw_view code);

/* What has to be equal for features to be: version of the folding, Unicode version of the normalisation, and a digest of
 * the tables of aliases and rarity. Two encodings may be compared only if they were made under the same text. A static
 * string such as "kw-names-1 nfkd-15.0 tables-0123456789abcdef". */
const char *kw_names_parameters(void);

#endif
