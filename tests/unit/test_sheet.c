/* agent/shell/sheet.c: the most columns that a reader can ask for. What cells may hold is in test_table.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/shell/sheet.h"

struct seen {
	size_t count;
	bool too_many;
};

static enum kw_err on_row(void *context, const struct sheet_row *row)
{
	*(struct seen *)context = (struct seen){.count = row->count, .too_many = row->too_many};
	return KW_OK;
}

static enum kw_err on_broken(void *context, const struct sheet_row *place, enum sheet_broken what)
{
	(void)context;
	(void)place;
	(void)what;
	return KW_EFORMAT;
}

static struct seen row_of(size_t cells)
{
	static char text[2 * SHEET_COLUMNS_MAX];
	struct seen seen = {.count = 0};
	struct sheet_sink sink = {.context = &seen, .columns_max = SHEET_COLUMNS_MAX, .row = on_row, .broken = on_broken};
	memset(text, ',', cells - 1);
	text[cells - 1] = '\n';
	assert_int_equal(sheet_read(KW_VIEW(text, cells), &sink), KW_OK);
	return seen;
}

static void test_sheet_has_at_most_its_columns(void **state)
{
	(void)state;
	struct seen seen = row_of(SHEET_COLUMNS_MAX);
	assert_true(seen.count == SHEET_COLUMNS_MAX && !seen.too_many);
	seen = row_of(SHEET_COLUMNS_MAX + 1);
	assert_true(seen.count == SHEET_COLUMNS_MAX && seen.too_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sheet_has_at_most_its_columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
