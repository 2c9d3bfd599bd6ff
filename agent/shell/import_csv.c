#include "agent/shell/import_csv.h"

#include <csv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/import_row.h"

/* The file goes to libcsv one physical line at a time, so that a row's line number is known also when a quoted cell holds
 * line feeds. Quotes that are wrong refuse the row they are in; reading goes on with the next line. A quote that is never
 * closed swallows the rest of the file, and the report says at which line it was opened. */

#define ROW_SIZE_MAX (4u * 1024u * 1024u)
#define DEFAULTS_SIZE 4096u

/* Cells of one row, one after the other, each terminated. */
struct cells {
	struct kw_buf text; /* wiped: cells are personal */
	size_t at[IMPORT_COLUMNS_MAX];
	size_t count;
	bool too_many;
};

struct reader {
	struct import_run run;
	struct import_options options; /* with Febrl's defaults, if it is that */
	char defaults[DEFAULTS_SIZE];
	struct cells header;
	struct cells row;
	bool has_header;
	bool in_row;
	size_t row_line;
	enum kw_err err; /* what stopped the import */
};

static const char FEBRL_HEADER[] =
	"rec_id|given_name|surname|street_number|address_1|address_2|suburb|postcode|state|date_of_birth|soc_sec_id";

static const char FEBRL_DEFAULTS[] =
	"sex=unknown,protection_status=neither,care_arrangements_type=other,consent_for_services=not_asked,"
	"disclosure_other_orgs=not_asked,consent_for_tracing=not_asked,consent_source=other";

static void cells_clear(struct cells *cells)
{
	kw_buf_clear(&cells->text);
	cells->count = 0;
	cells->too_many = false;
}

static const char *cell(const struct cells *cells, size_t index)
{
	return (const char *)cells->text.data + cells->at[index];
}

static enum kw_err refuse(struct reader *reader, size_t line, const char *rule)
{
	struct import_fault fault = {.line = line};
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: ours */
	return import_row_refuse(&reader->run, &fault);
}

/* A fault of the whole file: reported, not counted as a row. */
static enum kw_err refuse_file(struct reader *reader, enum kw_err err, const char *rule)
{
	struct import_fault fault = {.line = reader->row_line};
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: ours */
	reader->run.sink->refused(reader->run.sink->context, &fault);
	return err;
}

static void on_cell(void *data, size_t size, void *context)
{
	struct reader *reader = context;
	struct cells *cells = reader->has_header ? &reader->row : &reader->header;
	if (reader->err != KW_OK)
		return;
	if (cells->count == IMPORT_COLUMNS_MAX) {
		cells->too_many = true;
		return;
	}
	cells->at[cells->count++] = cells->text.size;
	/* A NUL would hide what follows it: such a cell becomes a byte that is not UTF-8, and is refused as that. */
	if (size > 0)
		reader->err = kw_buf_add(&cells->text, memchr(data, 0, size) ? kw_view_str("\xff") : KW_VIEW(data, size));
	if (reader->err == KW_OK)
		reader->err = kw_buf_add_u8(&cells->text, 0);
}

/* Febrl's files are known by having exactly its columns. */
static bool is_febrl(const struct cells *header)
{
	const char *name = FEBRL_HEADER;
	for (size_t i = 0; i < header->count; i++) {
		size_t size = strcspn(name, "|");
		if (strlen(cell(header, i)) != size || memcmp(cell(header, i), name, size) != 0)
			return false;
		name += size + (name[size] == '|' ? 1 : 0);
	}
	return *name == '\0';
}

static enum kw_err take_header(struct reader *reader)
{
	const char *headers[IMPORT_COLUMNS_MAX];
	const struct import_columns *columns = import_columns(reader->options.kind);
	size_t known = 0;
	if (reader->header.too_many)
		return refuse_file(reader, KW_ETOOBIG, "has more than 512 columns");
	for (size_t i = 0; i < reader->header.count; i++) {
		headers[i] = cell(&reader->header, i);
		known += import_column_find(columns, headers[i]) ? 1 : 0;
	}
	if (known == 0)
		return refuse_file(reader, KW_EFORMAT,
			"has no known column in its first line; kinward import --columns lists them");
	if (reader->options.kind == IMPORT_REGISTRATION && is_febrl(&reader->header)) {
		const char *given = reader->options.defaults ? reader->options.defaults : "";
		int n = snprintf(reader->defaults, sizeof(reader->defaults), "%s,%s", given, FEBRL_DEFAULTS);
		if (n < 0 || (size_t)n >= sizeof(reader->defaults))
			return refuse_file(reader, KW_ETOOBIG, "has too long a list of defaults");
		reader->options.defaults = reader->defaults;
	}
	reader->has_header = true;
	return import_check_headers(&reader->run, headers, reader->header.count);
}

static enum kw_err take_row(struct reader *reader)
{
	struct import_cell cells[IMPORT_COLUMNS_MAX];
	const struct cells *row = &reader->row;
	bool blank = true;
	for (size_t i = 0; i < row->count; i++)
		blank = blank && cell(row, i)[0] == '\0';
	if (blank)
		return KW_OK; /* spreadsheets leave such lines at the end */
	if (row->too_many || row->count != reader->header.count) {
		char rule[160];
		(void)snprintf(rule, sizeof(rule), "has %zu cells where the header has %zu; is a cell with a separator in it "
			"missing its quotes?", row->count, reader->header.count); /* fits */
		return refuse(reader, reader->row_line, rule);
	}
	for (size_t i = 0; i < row->count; i++)
		cells[i] = (struct import_cell){.header = cell(&reader->header, i), .text = cell(row, i)};
	struct import_row whole = {.line = reader->row_line, .cells = cells, .count = row->count};
	return import_row_take(&reader->run, &whole);
}

static void on_row(int terminator, void *context)
{
	(void)terminator; /* CR, LF or the end of the file: all the same here */
	struct reader *reader = context;
	reader->in_row = false;
	if (reader->err != KW_OK)
		return;
	reader->err = reader->has_header ? take_row(reader) : take_header(reader);
	cells_clear(&reader->row);
}

static char pick_delimiter(struct kw_view line)
{
	static const char CHOICES[] = {',', ';', '\t'};
	size_t best = 0, best_count = 0;
	for (size_t i = 0; i < sizeof(CHOICES); i++) {
		size_t count = 0;
		for (size_t k = 0; k < line.size; k++)
			count += line.data[k] == (uint8_t)CHOICES[i] ? 1 : 0;
		if (count > best_count) {
			best = i;
			best_count = count;
		}
	}
	return CHOICES[best];
}

static bool only_blanks(struct kw_view line)
{
	for (size_t i = 0; i < line.size; i++)
		if (!strchr(" \t\r\n", line.data[i]) || line.data[i] == 0)
			return false;
	return true;
}

static bool start_parser(struct csv_parser *parser, char delimiter)
{
	if (csv_init(parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
		return false;
	csv_set_delim(parser, (unsigned char)delimiter);
	return true;
}

/* One physical line. A wrong quote refuses the row and starts afresh behind the line. */
static void read_line(struct reader *reader, struct csv_parser *parser, struct kw_view line, size_t number)
{
	if (!reader->in_row)
		reader->row_line = number;
	bool blank = only_blanks(line);
	reader->in_row = reader->in_row || !blank;
	if (csv_parse(parser, line.data, line.size, on_cell, on_row, reader) == line.size || reader->err != KW_OK)
		return;
	if (csv_error(parser) == CSV_ENOMEM) {
		reader->err = KW_ENOMEM;
		return;
	}
	char delimiter = (char)csv_get_delim(parser);
	csv_free(parser);
	reader->err = reader->has_header ? refuse(reader, reader->row_line,
		"has a quote in the wrong place; write \" inside a quoted cell as \"\"")
		: refuse_file(reader, KW_EFORMAT, "has a quote in the wrong place in its first line");
	if (!start_parser(parser, delimiter))
		reader->err = KW_ENOMEM;
	cells_clear(&reader->row);
	reader->in_row = false;
}

static void read_all(struct reader *reader, struct kw_view text)
{
	if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		text = KW_VIEW(text.data + 3, text.size - 3);
	const uint8_t *end = text.size ? memchr(text.data, '\n', text.size) : NULL;
	struct csv_parser parser;
	if (!start_parser(&parser, pick_delimiter(KW_VIEW(text.data, end ? (size_t)(end - text.data) : text.size)))) {
		reader->err = KW_ENOMEM;
		return;
	}
	size_t done = 0;
	for (size_t number = 1; reader->err == KW_OK && done < text.size; number++) {
		const uint8_t *from = text.data + done;
		end = memchr(from, '\n', text.size - done);
		size_t size = end ? (size_t)(end - from) + 1 : text.size - done;
		read_line(reader, &parser, KW_VIEW(from, size), number);
		done += size;
	}
	if (reader->err == KW_OK && csv_fini(&parser, on_cell, on_row, reader) != 0)
		reader->err = refuse(reader, reader->row_line,
			"opens a quote that is never closed; nothing after it was read");
	if (reader->err == KW_OK && !reader->has_header)
		reader->err = refuse_file(reader, KW_EFORMAT, "is empty; the first line must hold the names of the columns");
	csv_free(&parser);
}

enum kw_err import_csv(struct kw_view text, const struct import_options *options, const struct import_sink *sink,
	struct import_summary *summary)
{
	*summary = (struct import_summary){0};
	struct reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return KW_ENOMEM;
	reader->options = *options;
	reader->run = (struct import_run){.options = &reader->options, .sink = sink, .summary = summary};
	kw_buf_init(&reader->header.text, ROW_SIZE_MAX);
	kw_buf_init(&reader->row.text, ROW_SIZE_MAX);
	if (text.size > IMPORT_FILE_SIZE_MAX)
		reader->err = refuse_file(reader, KW_ETOOBIG, "is larger than 64 MiB; split it");
	else
		read_all(reader, text);
	enum kw_err err = reader->err;
	kw_buf_fini(&reader->header.text);
	kw_buf_fini(&reader->row.text);
	free(reader);
	return err;
}
