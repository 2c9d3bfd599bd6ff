#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/table_inner.h"
#include "proto/base/check.h"
#include "proto/wire/spelling.h"

/* A file → its messages. Steps: the header becomes columns · every row is kept, trimmed · rows with the same #group are
 * tied together · each message is built and checked. What is wrong at one step is told in full before the next one that
 * depends on it: no row is looked at under a wrong header. */

struct message {
	size_t row; /* index of the first */
	size_t at, size; /* in bodies */
	const char *role[TABLE_ROLE_COUNT];
};

struct table {
	const struct table_ask *ask;
	struct table_column *columns;
	unsigned column_count, lane_count;
	struct table_path lanes[TABLE_LANES_MAX]; /* the path up to each [ ] */
	int by_role[TABLE_ROLE_COUNT]; /* column of each; -1 for none */
	bool has_header;
	struct kw_buf cells; /* wiped, as these are personal */
	size_t *row_at;      /* where in cells each row begins; cells may move while it grows */
	struct table_row *rows;
	size_t row_count, row_room;
	struct message *messages;
	size_t message_count;
	struct kw_buf bodies;
	struct table_fault *told; /* the first TABLE_FAULTS_MAX */
	size_t faults;
};

static void tell(void *context, const struct table_fault *fault)
{
	struct table *table = context;
	if (table->faults < TABLE_FAULTS_MAX)
		table->told[table->faults] = *fault;
	table->faults++;
}

/* By row; those of one row in the order in which they were found, which is that of their addresses. */
static int by_row(const void *a, const void *b)
{
	const struct table_fault *const *x = a;
	const struct table_fault *const *y = b;
	if ((*x)->row != (*y)->row)
		return (*x)->row < (*y)->row ? -1 : 1;
	return *x < *y ? -1 : *x > *y ? 1 : 0;
}

static void tell_all(struct table *table)
{
	const struct table_fault *order[TABLE_FAULTS_MAX];
	size_t count = table->faults < TABLE_FAULTS_MAX ? table->faults : TABLE_FAULTS_MAX;
	for (size_t i = 0; i < count; i++)
		order[i] = &table->told[i];
	qsort(order, count, sizeof(order[0]), by_row);
	for (size_t i = 0; i < count; i++)
		table->ask->refused(table->ask->context, order[i]);
}

__attribute__((format(printf, 4, 5))) static void refuse(struct table *table, size_t row, const char *column,
	const char *format, ...)
{
	struct table_fault fault = {.row = row};
	va_list args;
	va_start(args, format);
	(void)snprintf(fault.column, sizeof(fault.column), "%s", column);        /* cut short is good enough */
	(void)vsnprintf(fault.rule, sizeof(fault.rule), format, args); /* as above */
	va_end(args);
	tell(table, &fault);
}

/* --- the header */

static bool same_path(const struct table_path *a, const struct table_path *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (a->steps[i].field != b->steps[i].field || a->steps[i].index != b->steps[i].index)
			return false;
	return true;
}

/* The list of the file that a column with [ ] adds to. */
static bool find_lane(struct table *table, struct table_column *column)
{
	struct table_path head = column->path;
	unsigned i = 0;
	while (i < head.count && head.steps[i].index != TABLE_NEXT)
		i++;
	if (i == head.count)
		return true;
	head.count = i + 1;
	for (column->lane = 0; column->lane < table->lane_count; column->lane++)
		if (same_path(&head, &table->lanes[column->lane]))
			return true;
	if (table->lane_count == TABLE_LANES_MAX)
		return false;
	table->lanes[table->lane_count++] = head;
	return true;
}

/* A numbered column of a list that another column adds to row by row: which of them a part is would be a guess. */
static const char *mixed_with(const struct table *table, const struct table_path *path)
{
	for (unsigned l = 0; l < table->lane_count; l++) {
		const struct table_path *lane = &table->lanes[l];
		unsigned last = lane->count - 1;
		bool same = path->count > last && path->steps[last].index != TABLE_NEXT;
		for (unsigned i = 0; same && i <= last; i++)
			same = path->steps[i].field == lane->steps[i].field &&
				(i == last || path->steps[i].index == lane->steps[i].index);
		if (same)
			return lane->steps[last].field->name;
	}
	return NULL;
}

static enum kw_err read_column(struct table *table, struct table_column *column, const char *cell)
{
	char trimmed[TABLE_CELL_SIZE_MAX + 1];
	char rule[TABLE_RULE_SIZE];
	bool fits = table_trim(cell, trimmed) && strlen(trimmed) <= TABLE_HEADER_SIZE_MAX;
	(void)snprintf(column->header, sizeof(column->header), "%.*s", (int)TABLE_HEADER_SIZE_MAX, fits ? trimmed : cell);
	if (!fits) {
		refuse(table, 1, column->header, "is longer than %u bytes; correct it", TABLE_HEADER_SIZE_MAX);
		return KW_EFIELD;
	}
	column->role = column->header[0] == '#' || !column->header[0] ? TABLE_IGNORED : TABLE_FIELD;
	for (unsigned r = TABLE_GROUP; r < TABLE_ROLE_COUNT; r++)
		if (strcmp(column->header, table_role_name((enum table_role)r)) == 0)
			column->role = (enum table_role)r;
	if (column->role != TABLE_FIELD)
		return KW_OK;
	enum kw_err err = table_path_from(table->ask->kind->descriptor, column->header, &column->path, rule);
	if (err == KW_OK && !find_lane(table, column)) {
		(void)snprintf(rule, sizeof(rule), "is of one more list with [ ] than the %u that a file may have", TABLE_LANES_MAX);
		err = KW_EFIELD;
	}
	if (err != KW_OK)
		refuse(table, 1, column->header, "%s", rule);
	return err;
}

/* What is wrong between two columns. */
static void check_columns(struct table *table)
{
	for (unsigned i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];
		if (column->role == TABLE_IGNORED)
			continue;
		const char *list = column->role == TABLE_FIELD ? mixed_with(table, &column->path) : NULL;
		if (list)
			refuse(table, 1, column->header, "has a number where another column has %s[]; write one or the other", list);
		for (unsigned k = 0; k < i; k++) /* the path of a column that is none is empty, and so equal */
			if (table->columns[k].role == column->role && same_path(&table->columns[k].path, &column->path))
				refuse(table, 1, column->header, "is there twice; take one out");
	}
}

static enum kw_err take_header(struct table *table, const struct sheet_row *row)
{
	if (row->too_many) {
		refuse(table, 1, "", "has more than %u columns; split it, or take out those that are empty", TABLE_COLUMNS_MAX);
		return KW_ETOOBIG;
	}
	table->columns = calloc(row->count, sizeof(*table->columns));
	if (!table->columns)
		return KW_ENOMEM;
	bool any = false, good = true;
	for (size_t i = 0; i < row->count; i++) {
		good = read_column(table, &table->columns[i], sheet_cell(row, i)) == KW_OK && good;
		any = any || table->columns[i].role != TABLE_IGNORED;
	}
	table->column_count = (unsigned)row->count;
	table->has_header = true;
	if (good)
		check_columns(table);
	if (!any)
		refuse(table, 1, "", "has no column of %s in its first row; kinward template prints them",
			table->ask->kind->name);
	for (unsigned r = 0; r < TABLE_ROLE_COUNT; r++)
		table->by_role[r] = -1;
	for (unsigned i = 0; i < table->column_count; i++)
		if (table->columns[i].role != TABLE_FIELD && table->columns[i].role != TABLE_IGNORED)
			table->by_role[table->columns[i].role] = (int)i;
	return table->faults > 0 ? KW_EFIELD : KW_OK;
}

/* --- rows */

static bool is_comment(const struct sheet_row *row)
{
	for (size_t i = 0; i < row->count; i++) {
		const char *cell = sheet_cell(row, i);
		cell += strspn(cell, " \t\r\n");
		if (*cell && *cell != '#')
			return false;
	}
	return true;
}

/* A cell as it is kept: trimmed, CRLF as LF, without the guard against formulas. */
static enum kw_err keep_cell(struct table *table, const struct sheet_row *row, size_t i)
{
	char cell[TABLE_CELL_SIZE_MAX + 1];
	size_t size = 0;
	if (!table_trim(sheet_cell(row, i), cell)) {
		refuse(table, row->number, table->columns[i].header, "is longer than %u bytes; shorten it", TABLE_CELL_SIZE_MAX);
		cell[0] = '\0';
	}
	for (const char *from = sheet_unguard(cell); *from; from++)
		if (from[0] != '\r' || from[1] != '\n')
			cell[size++] = *from;
	cell[size] = '\0';
	if (!cell[0] || table->columns[i].header[0])
		return kw_buf_add(&table->cells, KW_VIEW(cell, size + 1));
	refuse(table, row->number, "", "has something in column %zu, which has no name in the first row; name it, or begin its "
		"name with # to have it ignored", i + 1);
	return kw_buf_add_u8(&table->cells, 0);
}

static bool more_rows(struct table *table)
{
	size_t room = table->row_room ? table->row_room * 2 : 256;
	struct table_row *rows = realloc(table->rows, room * sizeof(*rows));
	if (rows)
		table->rows = rows;
	size_t *row_at = realloc(table->row_at, room * sizeof(*row_at));
	if (row_at)
		table->row_at = row_at;
	if (!rows || !row_at)
		return false;
	table->row_room = room;
	return true;
}

static enum kw_err on_row(void *context, const struct sheet_row *row)
{
	struct table *table = context;
	if (!table->has_header)
		return take_header(table, row);
	if (is_comment(row))
		return KW_OK;
	if (row->too_many || row->count != table->column_count) {
		refuse(table, row->number, "", "has %s%zu cells where the first row has %u; is a cell with a separator in it missing "
			"its quotes?", row->too_many ? "more than " : "", row->count, table->column_count);
		return KW_OK;
	}
	if (table->row_count == TABLE_ROWS_MAX) {
		refuse(table, row->number, "", "is one more than the %u rows that a file may have; split it", TABLE_ROWS_MAX);
		return KW_ETOOBIG;
	}
	if (table->row_count == table->row_room && !more_rows(table))
		return KW_ENOMEM;
	table->rows[table->row_count] = (struct table_row){.number = row->number, .next = SIZE_MAX};
	table->row_at[table->row_count++] = table->cells.size;
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < row->count; i++)
		err = keep_cell(table, row, i);
	return err;
}

static enum kw_err on_broken(void *context, const struct sheet_row *place, enum sheet_broken what)
{
	static const char *const RULES[] = {
		[SHEET_QUOTE] = "has a quote in the wrong place; write \" inside a quoted cell as \"\"",
		[SHEET_UNCLOSED] = "opens a quote that is never closed; nothing after it was read",
		[SHEET_ROW_SIZE] = "is larger than 4 MiB; split it",
	};
	struct table *table = context;
	refuse(table, place->number, "", "%s", RULES[what]);
	return table->has_header ? KW_OK : KW_EFIELD;
}

/* --- messages */

static const char *role_cell(const struct table *table, size_t row, enum table_role role)
{
	const char *cell = table->rows[row].cells;
	for (int i = 0; i < table->by_role[role]; i++)
		cell += strlen(cell) + 1;
	return table->by_role[role] < 0 ? "" : cell;
}

/* Ties the rows of a group together, in their order. */
static enum kw_err tie(struct table *table)
{
	json_t *groups = json_object(); /* #group → index of its message */
	size_t *last = calloc(table->row_count, sizeof(*last));
	table->messages = calloc(table->row_count, sizeof(*table->messages));
	enum kw_err err = groups && last && table->messages ? KW_OK : KW_ENOMEM;
	for (size_t i = 0; err == KW_OK && i < table->row_count; i++) {
		const char *group = role_cell(table, i, TABLE_GROUP);
		json_t *known = group[0] ? json_object_get(groups, group) : NULL;
		if (known) {
			size_t message = (size_t)json_integer_value(known);
			table->rows[last[message]].next = i;
			last[message] = i;
			continue;
		}
		if (group[0] && json_object_set_new(groups, group, json_integer((json_int_t)table->message_count)) != 0)
			refuse(table, table->rows[i].number, table_role_name(TABLE_GROUP),
				"must be UTF-8 text; save the file as \"CSV UTF-8\""); /* or memory is short, and then more will fail */
		if (table->message_count == TABLE_MESSAGES_MAX) {
			refuse(table, table->rows[i].number, "", "is one more than the %u messages that a file may make; split it",
				TABLE_MESSAGES_MAX);
			err = KW_ETOOBIG;
			break;
		}
		last[table->message_count] = i;
		table->messages[table->message_count++].row = i;
	}
	json_decref(groups);
	free(last);
	return err;
}

static void check_roles(struct table *table, const struct message *message)
{
	static const char *const RULES[TABLE_ROLE_COUNT] = {
		[TABLE_TO] = "must be an agency's name, 1 to 63 of a-z, 0-9 and '-'; kinward keys lists them",
		[TABLE_THREAD] = "must be the id of a thread, 32 hex digits, as kinward inbox prints them",
		[TABLE_LOCAL_ID] = "must be 1 to 64 bytes; shorten it",
	};
	struct kw_name name;
	uint8_t id[KW_ID_SIZE];
	const char *const *role = message->role;
	bool good[TABLE_ROLE_COUNT] = {
		[TABLE_TO] = !role[TABLE_TO][0] || kw_name_from(kw_view_str(role[TABLE_TO]), &name) == KW_OK,
		[TABLE_THREAD] = !role[TABLE_THREAD][0] || kw_unhex(id, KW_ID_SIZE, role[TABLE_THREAD]) == KW_OK,
		[TABLE_LOCAL_ID] = strlen(role[TABLE_LOCAL_ID]) <= TABLE_ID_SIZE_MAX,
	};
	for (unsigned r = TABLE_TO; r < TABLE_ROLE_COUNT; r++)
		if (!good[r])
			refuse(table, table->rows[message->row].number, table_role_name((enum table_role)r), "%s", RULES[r]);
}

static enum kw_err build_all(struct table *table)
{
	struct table_source source = {.kind = table->ask->kind, .now_ms = table->ask->now_ms, .columns = table->columns, .column_count = table->column_count,
		.rows = table->rows, .faults = &table->faults, .context = table, .refuse = tell};
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < table->message_count; i++) {
		struct message *message = &table->messages[i];
		message->at = table->bodies.size;
		err = table_build(&source, message->row, &table->bodies, message->role);
		message->size = table->bodies.size - message->at;
		check_roles(table, message);
		if (err == KW_EFIELD)
			err = KW_OK; /* told */
	}
	return err;
}

static enum kw_err read_rows(struct table *table, struct kw_view text)
{
	struct sheet_sink sink = {.context = table, .columns_max = TABLE_COLUMNS_MAX, .row = on_row, .broken = on_broken};
	if (text.size > TABLE_FILE_SIZE_MAX) {
		refuse(table, 0, "", "is larger than 64 MiB; split it");
		return KW_ETOOBIG;
	}
	if (text.size >= 2 && (memcmp(text.data, "\xff\xfe", 2) == 0 || memcmp(text.data, "\xfe\xff", 2) == 0)) {
		refuse(table, 0, "", "is UTF-16; save it as \"CSV UTF-8\"");
		return KW_EFIELD;
	}
	enum kw_err err = sheet_read(text, &sink);
	if (err != KW_OK)
		return err;
	if (!table->has_header)
		refuse(table, 0, "", "is empty; the first row must hold the names of the columns");
	else if (table->row_count == 0 && table->faults == 0)
		refuse(table, 0, "", "has no row of data below its first row");
	const char *cells = (const char *)table->cells.data;
	for (size_t i = 0; i < table->row_count; i++)
		table->rows[i].cells = cells + table->row_at[i];
	return table->row_count > 0 ? KW_OK : KW_EFIELD;
}

enum kw_err table_read(struct kw_view text, const struct table_ask *ask, struct table **out, size_t *faults)
{
	struct table *table = calloc(1, sizeof(*table));
	if (!table)
		return KW_ENOMEM;
	table->ask = ask;
	table->told = calloc(TABLE_FAULTS_MAX, sizeof(*table->told));
	if (!table->told) {
		free(table);
		return KW_ENOMEM;
	}
	kw_buf_init(&table->cells, 2 * TABLE_FILE_SIZE_MAX); /* a cell has its terminator, and may have had no more than a comma */
	kw_buf_init(&table->bodies, 2 * TABLE_FILE_SIZE_MAX);
	enum kw_err err = read_rows(table, text);
	if (err == KW_OK)
		err = tie(table);
	if (err == KW_OK)
		err = build_all(table);
	if (err == KW_OK && table->faults > 0)
		err = KW_EFIELD;
	tell_all(table);
	*faults = table->faults;
	if (err == KW_OK)
		*out = table;
	else
		table_free(table);
	return err;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	kw_buf_fini(&table->cells);
	kw_buf_fini(&table->bodies);
	free(table->told);
	free(table->columns);
	free(table->row_at);
	free(table->rows);
	free(table->messages);
	free(table);
}

size_t table_count(const struct table *table)
{
	return table->message_count;
}

size_t table_rows(const struct table *table)
{
	return table->row_count;
}

/* Without the numbers in [ ]: which row of a list it is stands in the fault. */
static void without_numbers(char *path)
{
	char *out = path;
	for (bool inside = false; *path; path++) {
		inside = (inside || *path == '[') && *path != ']';
		if (!inside && *path != ']')
			*out++ = *path;
	}
	*out = '\0';
}

const char *table_header_of(const struct table *table, const char *field)
{
	char wanted[256], text[TABLE_PATH_SIZE];
	const char *found = "";
	size_t longest = 0;
	if (strcmp(field, "send.agency") == 0 || strcmp(field, "send.threadId") == 0 || strcmp(field, "register.localId") == 0)
		return table_role_name(field[5] == 'a' ? TABLE_TO : field[5] == 't' ? TABLE_THREAD : TABLE_LOCAL_ID);
	const char *inside = strncmp(field, "send.content.", 13) == 0 ? strchr(field + 13, '.') : strchr(field, '.');
	(void)snprintf(wanted, sizeof(wanted), "%s", inside ? inside + 1 : ""); /* cut short names no column */
	without_numbers(wanted);
	for (unsigned i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];
		if (column->role != TABLE_FIELD)
			continue;
		table_path_text(&column->path, column->path.count, text);
		kw_spell_json(text);
		without_numbers(text);
		size_t size = strlen(text);
		if (size <= longest || strncmp(text, wanted, size) != 0 || !strchr(".", wanted[size]))
			continue;
		longest = size;
		found = column->header;
	}
	return found;
}

struct table_message table_at(const struct table *table, size_t i)
{
	KW_ASSERT(i < table->message_count);
	const struct message *message = &table->messages[i];
	return (struct table_message){.row = table->rows[message->row].number,
		.body = KW_VIEW(table->bodies.data + message->at, message->size), .group = message->role[TABLE_GROUP],
		.agency = message->role[TABLE_TO], .thread = message->role[TABLE_THREAD], .local_id = message->role[TABLE_LOCAL_ID]};
}
