/* proto/wire/name_features.h: names that must and must not be near, by language, from public lists (tests/data/names), and
 * whole records: the same child told apart from its siblings. Limits and refusals are in test_names_limits.c.
 *
 * Near is a weighted Dice of NEAR and more. For one name it is the name alone, without a role; the threshold of records is
 * higher, because siblings share most of a record. Each "miss" is a pair that should be near and is not: it must stay so,
 * or become "near" in the table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/name_inner.h"

#define NEAR 550u
#define NEAR_RECORD 800u
#define PAIRS_MIN 400u
#define LINE_SIZE 1024u

static const char *const LANGS[KW_NAMES_LANG_COUNT] = {"any", "ar", "am", "fa", "fr", "ht", "en", "es", "sw", "so", "uk"};

static struct kw_names_features one;
static struct kw_names_features two;

static enum kw_names_lang lang_of(const char *text)
{
	for (int i = 0; i < KW_NAMES_LANG_COUNT; i++)
		if (strcmp(text, LANGS[i]) == 0)
			return (enum kw_names_lang)i;
	fail_msg("no such language: %s", text);
	return KW_NAMES_ANY;
}

static void features_of(enum kw_names_lang lang, const char *name, struct kw_names_features *out)
{
	struct kw_names_part part = {KW_NAMES_OTHER, kw_view_str(name)};
	struct kw_names_record record = {lang, KW_NAMES_IS_NOT_SAID, &part, 1};
	assert_int_equal(kw_names_features(&record, out), KW_OK);
	assert_true(out->count > 0);
}

static uint32_t near(enum kw_names_lang lang, const char *a, const char *b)
{
	features_of(lang, a, &one);
	features_of(lang, b, &two);
	uint32_t dice = kw_names_dice(&one, &two);
	assert_int_equal(dice, kw_names_dice(&two, &one));
	return dice;
}

static FILE *open_data(const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/names/%s", KW_TEST_DATA_DIR, name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	return file;
}

/* Cuts a line at its tabs; false for a comment. */
static bool cells(char *line, char **cell, size_t count)
{
	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '#' || line[0] == '\0')
		return false;
	for (size_t i = 0; i < count; i++) {
		assert_non_null(line);
		cell[i] = line;
		line = strchr(line, '\t');
		if (line != NULL)
			*line++ = '\0';
	}
	return true;
}

struct tally {
	unsigned near, far, missed, failed;
	unsigned near_untold; /* of the near, how many are near when the record says no language */
};

static void look_at(char **cell, struct tally *tallies)
{
	enum kw_names_lang lang = lang_of(cell[0]);
	struct tally *tally = &tallies[lang];
	uint32_t dice = near(lang, cell[2], cell[3]);
	bool should = strcmp(cell[1], "near") == 0;
	if (strcmp(cell[1], "miss") == 0)
		tally->missed++;
	else if (should)
		tally->near++;
	else
		tally->far++;
	if (should != (dice >= NEAR)) {
		print_message("%s %s: %s and %s have %u\n", cell[0], cell[1], cell[2], cell[3], dice);
		tally->failed++;
	}
	if (should)
		tally->near_untold += near(KW_NAMES_ANY, cell[2], cell[3]) >= NEAR;
}

static void test_names_are_near_or_far_as_people_say(void **state)
{
	(void)state;
	static const char *const FILES[] = {"pairs.tsv", "pairs_gff.tsv"};
	struct tally tallies[KW_NAMES_LANG_COUNT] = {{0}};
	struct tally all = {0};
	char line[LINE_SIZE];
	char *cell[5];
	for (size_t i = 0; i < 2; i++) {
		FILE *file = open_data(FILES[i]);
		while (fgets(line, sizeof(line), file) != NULL)
			if (cells(line, cell, 5))
				look_at(cell, tallies);
		fclose(file);
	}
	print_message("language  near  far  known misses  failed  near without a language told\n");
	for (int i = 0; i < KW_NAMES_LANG_COUNT; i++) {
		const struct tally *of = &tallies[i];
		print_message("%-8s %5u %4u %13u %7u %5u\n", LANGS[i], of->near, of->far, of->missed, of->failed, of->near_untold);
		all.near += of->near;
		all.far += of->far;
		all.missed += of->missed;
		all.failed += of->failed;
		if (i != KW_NAMES_ANY) {
			assert_true(of->near >= 20);
			assert_true(of->far >= 10);
		}
	}
	assert_true(all.near + all.far >= PAIRS_MIN);
	/* The tables are no place to put what does not work. */
	assert_true(all.missed * 20 < all.near);
	assert_int_equal(all.failed, 0);
}

/* ---- records */

struct text_record {
	struct kw_names_part parts[KW_NAMES_PARTS_MAX];
	struct kw_names_record record;
};

static enum kw_names_relation relation_of(const char *text)
{
	static const char *const RELATIONS[] = {"", "mother", "father", "fathers_father", "mothers_father", "sibling",
		"fathers_sibling", "mothers_sibling"};
	for (int i = 0; i < KW_NAMES_RELATION_COUNT; i++)
		if (strcmp(text, RELATIONS[i]) == 0)
			return (enum kw_names_relation)i;
	fail_msg("no such relation: %s", text);
	return KW_NAMES_IS_NOT_SAID;
}

/* C=child;F=father;G=grandfather;M=mother;P=mother's father;S=family;O=other;Q=inquirer;R=relation */
static void parse(const char *lang, char *text, struct text_record *out)
{
	static const char ROLES[] = "CFGMPSOQ";
	memset(out, 0, sizeof(*out));
	out->record.lang = lang_of(lang);
	out->record.parts = out->parts;
	while (text != NULL) {
		char *next = strchr(text, ';');
		if (next != NULL)
			*next++ = '\0';
		assert_int_equal(text[1], '=');
		if (text[0] == 'R') {
			out->record.relation = relation_of(text + 2);
		} else {
			const char *role = strchr(ROLES, text[0]);
			assert_non_null(role);
			struct kw_names_part part = {(enum kw_names_role)(role - ROLES), kw_view_str(text + 2)};
			out->parts[out->record.parts_count++] = part;
		}
		text = next;
	}
}

static uint32_t near_records(const char *lang, const char *a, const char *b)
{
	char texts[2][LINE_SIZE];
	struct text_record records[2];
	snprintf(texts[0], LINE_SIZE, "%s", a);
	snprintf(texts[1], LINE_SIZE, "%s", b);
	parse(lang, texts[0], &records[0]);
	parse(lang, texts[1], &records[1]);
	assert_int_equal(kw_names_features(&records[0].record, &one), KW_OK);
	assert_int_equal(kw_names_features(&records[1].record, &two), KW_OK);
	return kw_names_dice(&one, &two);
}

static void test_names_tell_a_child_from_its_siblings(void **state)
{
	(void)state;
	char line[LINE_SIZE];
	char *cell[4];
	unsigned failed = 0;
	unsigned counts[3] = {0};
	uint32_t lowest = 1000, highest = 0;
	FILE *file = open_data("records.tsv");
	while (fgets(line, sizeof(line), file) != NULL) {
		if (!cells(line, cell, 4))
			continue;
		uint32_t dice = near_records(cell[0], cell[2], cell[3]);
		bool same = strcmp(cell[1], "same") == 0;
		counts[same ? 0 : strcmp(cell[1], "sibling") == 0 ? 1 : 2]++;
		if (getenv("KW_NAMES_ALL") != NULL)
			print_message("%u %s %s %s | %s\n", dice, cell[1], cell[0], cell[2], cell[3]);
		if (same != (dice >= NEAR_RECORD)) {
			print_message("%s %s: %s and %s have %u\n", cell[0], cell[1], cell[2], cell[3], dice);
			failed++;
		}
		if (same && dice < lowest)
			lowest = dice;
		if (!same && dice > highest)
			highest = dice;
	}
	fclose(file);
	print_message("records: %u same, lowest %u; %u siblings and %u others, highest %u; near is %u\n", counts[0], lowest,
		counts[1], counts[2], highest, NEAR_RECORD);
	assert_true(counts[0] >= 20 && counts[1] >= 12);
	assert_int_equal(failed, 0);
}

/* ---- roles */

static bool has(const struct kw_names_features *set, const char *feature)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (kw_view_equal(KW_VIEW(set->bytes + set->list[i].at, set->list[i].size), kw_view_str(feature)))
			return true;
	return false;
}

static void features_of_record(const char *lang, const char *text, struct kw_names_features *out)
{
	char copy[LINE_SIZE];
	struct text_record record;
	snprintf(copy, sizeof(copy), "%s", text);
	parse(lang, copy, &record);
	assert_int_equal(kw_names_features(&record.record, out), KW_OK);
}

static void test_names_put_an_inquirer_in_the_role_of_the_relation(void **state)
{
	(void)state;
	features_of_record("am", "Q=Almaz Kebede;R=mother", &one);
	assert_true(has(&one, "rMAlmAz") && has(&one, "rPkAbAdA"));
	assert_false(has(&one, "rFAlmAz"));
	features_of_record("am", "Q=Abebe Bekele;R=father", &one);
	assert_true(has(&one, "rFAbAbA") && has(&one, "rGbAkAlA"));
	features_of_record("am", "Q=Bekele Desta;R=fathers_father", &one);
	assert_true(has(&one, "rGbAkAlA"));
	assert_false(has(&one, "rPbAkAlA") || has(&one, "rGdAstA"));
	features_of_record("am", "Q=Kebede Desta;R=mothers_father", &one);
	assert_true(has(&one, "rPkAbAdA"));
	/* A sibling's own name is not in the child's record; their father is the child's. */
	features_of_record("am", "Q=Hiwot Abebe Bekele;R=sibling", &one);
	assert_true(has(&one, "rFAbAbA") && has(&one, "rGbAkAlA"));
	assert_false(has(&one, "whiwot"));
	features_of_record("am", "Q=Hiwot Bekele;R=fathers_sibling", &one);
	assert_true(has(&one, "rGbAkAlA"));
	features_of_record("am", "Q=Hiwot Kebede;R=mothers_sibling", &one);
	assert_true(has(&one, "rPkAbAdA"));
	/* Without a relation the names count, and have no role. */
	features_of_record("am", "Q=Abebe Bekele", &one);
	assert_true(has(&one, "wabebe") && has(&one, "wbekele"));
	assert_false(has(&one, "rFAbAbA") || has(&one, "rGbAkAlA"));
	/* Where names are no patronymics, all of an inquirer's names are the inquirer's. */
	features_of_record("ht", "Q=Guerda Dorvil;R=mother", &one);
	assert_true(has(&one, "rMgArdA") || has(&one, "rMgAdA"));
	assert_true(has(&one, "rMdUwAl") || has(&one, "rMdUvAl"));
}

static void test_names_read_patronymics(void **state)
{
	(void)state;
	features_of_record("so", "C=Nuur Xuseen Cabdirashiid", &one);
	assert_true(has(&one, "rCnUr") && has(&one, "rFhUsAn") && has(&one, "rGAbdrAxAd"));
	/* The father has a part of his own: then the second word is the child's. */
	features_of_record("so", "C=Nuur Xuseen;F=Faarax", &one);
	assert_true(has(&one, "rChUsAn") && has(&one, "rFfArA"));
	assert_false(has(&one, "rFhUsAn"));
	features_of_record("en", "C=John Fitzgerald", &one);
	assert_false(has(&one, "rFfAtsgArAld"));
	features_of_record("uk", "C=Ольга Іванівна", &one);
	assert_true(has(&one, "rFAvAn"));
	features_of_record("any", "C=Ольга Іванович", &one);
	assert_true(has(&one, "rFAvAn"));
	features_of_record("uk", "C=Olha Ivanivna", &one);
	assert_true(has(&one, "rFAvAn"));
	/* Ivanna alone is a given name. */
	features_of_record("uk", "C=Іванна", &one);
	assert_false(has(&one, "rFAvAn"));
}

static void test_names_have_no_order(void **state)
{
	(void)state;
	assert_int_equal(near(KW_NAMES_HAITIAN, "Patrick Toussaint", "Toussaint Patrick"), 1000);
	assert_int_equal(near_records("am", "C=Selam;F=Abebe", "F=Abebe;C=Selam"), 1000);
	/* In the wrong roles it is evidence still, and not enough. */
	uint32_t swapped = near_records("am", "C=Selam;F=Abebe", "C=Abebe;F=Selam");
	assert_true(swapped >= 400 && swapped < NEAR_RECORD);
}

static void test_names_weigh_what_is_rare_more(void **state)
{
	(void)state;
	features_of(KW_NAMES_ARABIC, "Muhammad", &one);
	uint64_t common = one.weight_total / one.count;
	features_of(KW_NAMES_ARABIC, "Qahtan", &one);
	assert_true(one.weight_total / one.count > common);
	/* Two who share a common name are less alike than two who share a rare one. */
	uint32_t by_common = near_records("ar", "C=Muhammad;F=Qahtan", "C=Muhammad;F=Duraid");
	uint32_t by_rare = near_records("ar", "C=Duraid;F=Qahtan", "C=Duraid;F=Muhammad");
	assert_true(by_rare > by_common);
}

/* ---- folding, letter by letter */

static void check_folds(enum kw_names_lang lang, const char *text, const char *to, const char *skeleton)
{
	struct kw_names_words words;
	struct kw_names_folded folded;
	char bare[KW_NAMES_WORD_LETTERS_MAX + 1];
	assert_int_equal(kw_names_split(kw_view_str(text), &words), KW_OK);
	assert_int_equal(kw_names_join(&words, lang), KW_OK);
	assert_int_equal(words.count, 1);
	(void)kw_names_servant(&words.list[0]); /* told in the word */
	assert_int_equal(kw_names_fold(&words.list[0], lang, &folded), KW_OK);
	assert_string_equal(folded.letters, to);
	(void)kw_names_skeleton(&folded, bare); /* terminated */
	assert_string_equal(bare, skeleton);
}

static void test_names_fold_by_script_and_language(void **state)
{
	(void)state;
	check_folds(KW_NAMES_ANY, "محمد", "mahamad", "mhmd");
	check_folds(KW_NAMES_ANY, "أَحْمَد", "ahmad", "Ahmd");
	check_folds(KW_NAMES_ANY, "فاطمة", "fatma", "ftm");
	check_folds(KW_NAMES_ANY, "الحسن", "hasan", "hsn");
	check_folds(KW_NAMES_ANY, "عبد الرحمن", "abdrahaman", "Abdrhmn");
	check_folds(KW_NAMES_ANY, "عبدالرحمن", "abdrahaman", "Abdrhmn");
	check_folds(KW_NAMES_ANY, "Abdur-Rahman", "abdrahman", "Abdrhmn");
	check_folds(KW_NAMES_ANY, "Abdirahman", "abdrahman", "Abdrhmn");
	check_folds(KW_NAMES_PERSIAN, "ثریا", "saria", "sr");
	check_folds(KW_NAMES_ANY, "መሠረት", "meseret", "msrt");
	check_folds(KW_NAMES_ANY, "መሰረት", "meseret", "msrt");
	check_folds(KW_NAMES_ANY, "ምሕረት", "mihret", "mhrt");
	check_folds(KW_NAMES_ANY, "ገብረ ማርያም", "gebremariam", "gbrmrm");
	check_folds(KW_NAMES_ANY, "Щербак", "xerbak", "xrbk");
	check_folds(KW_NAMES_ANY, "Shcherbak", "xerbak", "xrbk");
	check_folds(KW_NAMES_SOMALI, "Cabdiraxmaan", "abdrahman", "Abdrhmn");
	check_folds(KW_NAMES_SOMALI, "Xuseen", "husin", "hsn");
	check_folds(KW_NAMES_HAITIAN, "Régine", "rejin", "rgn");
	check_folds(KW_NAMES_HAITIAN, "Benoît", "benwa", "bn");
	check_folds(KW_NAMES_HAITIAN, "Woody", "rudi", "rd");
	check_folds(KW_NAMES_SPANISH, "Jiménez", "himenes", "hmns");
	check_folds(KW_NAMES_SWAHILI, "Ramadhani", "ramadan", "rmdn");
	check_folds(KW_NAMES_PERSIAN, "Davood", "dawud", "dd");
	check_folds(KW_NAMES_ENGLISH, "Wright", "rit", "rt");
	check_folds(KW_NAMES_ANY, "N'Guessan", "ngesan", "ngsn");
	check_folds(KW_NAMES_ANY, "Łukasz", "lukasz", "lksz");
	check_folds(KW_NAMES_ANY, "Şükrü", "xukru", "xkr");
}

/* A word of a script that nobody folds is still itself. */
static void test_names_keep_other_scripts_whole(void **state)
{
	(void)state;
	assert_int_equal(near(KW_NAMES_ANY, "Γεώργιος", "ΓΕΩΡΓΙΟΣ"), 1000);
	assert_true(near(KW_NAMES_ANY, "Γεώργιος", "Γεώργης") > 0);
	assert_int_equal(near(KW_NAMES_ANY, "Γεώργιος", "Muhammad"), 0);
	assert_int_equal(near(KW_NAMES_ANY, "김민준", "김민준"), 1000);
}

static void test_names_know_countries(void **state)
{
	(void)state;
	assert_int_equal(kw_names_lang_by_country(kw_view_str("HT")), KW_NAMES_HAITIAN);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("hti")), KW_NAMES_HAITIAN);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("ETH")), KW_NAMES_AMHARIC);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("UA")), KW_NAMES_UKRAINIAN);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("XX")), KW_NAMES_ANY);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("")), KW_NAMES_ANY);
	assert_int_equal(kw_names_lang_by_country(kw_view_str("HAITI")), KW_NAMES_ANY);
}

/* ---- tables */

static void test_names_tables_are_sorted(void **state)
{
	(void)state;
	assert_true(KW_NAMES_ALIASES_COUNT > 1000 && KW_NAMES_COMMON_COUNT > 200);
	for (size_t i = 1; i < KW_NAMES_ALIASES_COUNT; i++)
		assert_true(strcmp(KW_NAMES_ALIASES[i - 1].key, KW_NAMES_ALIASES[i].key) < 0);
	for (size_t i = 1; i < KW_NAMES_COMMON_COUNT; i++)
		assert_true(strcmp(KW_NAMES_COMMON[i - 1].skeleton, KW_NAMES_COMMON[i].skeleton) < 0);
	for (size_t i = 0; i < KW_NAMES_COMMON_COUNT; i++)
		assert_true(KW_NAMES_COMMON[i].rarity >= 6 && KW_NAMES_COMMON[i].rarity < 16);
}

/* The generator has the skeleton of plain Latin a second time; here they meet, on every name that it counted. */
static void test_names_skeleton_is_that_of_the_generator(void **state)
{
	(void)state;
	char line[LINE_SIZE];
	char *cell[4];
	size_t seen = 0;
	FILE *file = open_data("../../../proto/names/common.tsv");
	while (fgets(line, sizeof(line), file) != NULL) {
		struct kw_names_words words;
		struct kw_names_folded folded;
		char bare[KW_NAMES_WORD_LETTERS_MAX + 1];
		if (!cells(line, cell, 4) || strtod(cell[2], NULL) < 20)
			continue;
		assert_int_equal(kw_names_split(kw_view_str(cell[1]), &words), KW_OK);
		const struct kw_names_alias *alias = kw_names_alias_find(&words.list[0]);
		assert_non_null(alias);
		if (alias->same != NULL)
			assert_int_equal(kw_names_split(kw_view_str(alias->same), &words), KW_OK);
		assert_int_equal(kw_names_fold(&words.list[0], KW_NAMES_ANY, &folded), KW_OK);
		if (kw_names_skeleton(&folded, bare) < 2)
			continue;
		if (kw_names_rarity(bare) >= 16)
			fail_msg("%s has the skeleton %s, and the table has it under another", cell[1], bare);
		seen++;
	}
	fclose(file);
	assert_true(seen > 100);
}

static void test_names_parameters_name_what_must_be_equal(void **state)
{
	(void)state;
	const char *text = kw_names_parameters();
	assert_int_equal(strncmp(text, "kw-names-1 nfkd-15.0 tables-", 28), 0);
	assert_int_equal(strlen(text), 28 + 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_near_or_far_as_people_say),
		cmocka_unit_test(test_names_tell_a_child_from_its_siblings),
		cmocka_unit_test(test_names_put_an_inquirer_in_the_role_of_the_relation),
		cmocka_unit_test(test_names_read_patronymics),
		cmocka_unit_test(test_names_have_no_order),
		cmocka_unit_test(test_names_weigh_what_is_rare_more),
		cmocka_unit_test(test_names_fold_by_script_and_language),
		cmocka_unit_test(test_names_keep_other_scripts_whole),
		cmocka_unit_test(test_names_know_countries),
		cmocka_unit_test(test_names_tables_are_sorted),
		cmocka_unit_test(test_names_skeleton_is_that_of_the_generator),
		cmocka_unit_test(test_names_parameters_name_what_must_be_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
