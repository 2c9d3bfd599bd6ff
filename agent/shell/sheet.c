#include "agent/shell/sheet.h"

#include <csv.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"

/* The file goes to libcsv one physical line at a time, so that a row's line is known also when a quoted cell holds line
 * feeds. */

struct reader {
	const struct sheet_sink *sink;
	struct kw_buf text; /* wiped: cells are personal */
	size_t at[SHEET_COLUMNS_MAX];
	struct sheet_row row;
	bool in_row;
	enum kw_err err; /* what ended the reading */
};

const char *sheet_cell(const struct sheet_row *row, size_t i)
{
	KW_ASSERT(i < row->count);
	return row->text + row->at[i];
}

bool sheet_row_is_blank(const struct sheet_row *row)
{
	for (size_t i = 0; i < row->count; i++)
		if (sheet_cell(row, i)[0])
			return false;
	return true;
}

static void start_row(struct reader *reader)
{
	kw_buf_clear(&reader->text);
	reader->row.count = 0;
	reader->row.too_many = false;
}

static enum kw_err broken(struct reader *reader, enum sheet_broken what)
{
	start_row(reader);
	reader->in_row = false;
	return reader->sink->broken(reader->sink->context, &reader->row, what);
}

static void on_cell(void *data, size_t size, void *context)
{
	struct reader *reader = context;
	struct sheet_row *row = &reader->row;
	if (reader->err != KW_OK)
		return;
	if (!reader->in_row) { /* behind a CR in the same physical line */
		row->number++;
		reader->in_row = true;
	}
	if (row->count == reader->sink->columns_max) {
		row->too_many = true;
		return;
	}
	reader->at[row->count++] = reader->text.size;
	/* A NUL would hide what follows it: such a cell becomes a byte that is not UTF-8, and is refused as that. */
	if (size > 0)
		reader->err = kw_buf_add(&reader->text, memchr(data, 0, size) ? kw_view_str("\xff") : KW_VIEW(data, size));
	if (reader->err == KW_OK)
		reader->err = kw_buf_add_u8(&reader->text, 0);
	if (reader->err == KW_ETOOBIG) {
		enum kw_err err = broken(reader, SHEET_ROW_SIZE);
		reader->err = err == KW_OK ? KW_ETOOBIG : err;
	}
}

static void on_row(int terminator, void *context)
{
	(void)terminator; /* CR, LF or the end of the file: all the same here */
	struct reader *reader = context;
	reader->in_row = false;
	if (reader->err != KW_OK)
		return;
	reader->row.text = (const char *)reader->text.data;
	reader->row.at = reader->at;
	reader->err = reader->sink->row(reader->sink->context, &reader->row);
	start_row(reader);
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

/* One physical line. A wrong quote spoils the row; the parser starts afresh behind the line. */
static void read_line(struct reader *reader, struct csv_parser *parser, struct kw_view line, size_t number)
{
	if (!reader->in_row) {
		reader->row.line = number;
		reader->row.number++;
		reader->in_row = !only_blanks(line);
	}
	if (csv_parse(parser, line.data, line.size, on_cell, on_row, reader) == line.size || reader->err != KW_OK)
		return;
	if (csv_error(parser) == CSV_ENOMEM) {
		reader->err = KW_ENOMEM;
		return;
	}
	char delimiter = (char)csv_get_delim(parser);
	csv_free(parser);
	reader->err = broken(reader, SHEET_QUOTE);
	if (!start_parser(parser, delimiter))
		reader->err = KW_ENOMEM;
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
		reader->err = broken(reader, SHEET_UNCLOSED);
	csv_free(&parser);
}

enum kw_err sheet_read(struct kw_view text, const struct sheet_sink *sink)
{
	KW_ASSERT(sink->columns_max <= SHEET_COLUMNS_MAX);
	struct reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return KW_ENOMEM;
	reader->sink = sink;
	kw_buf_init(&reader->text, SHEET_ROW_SIZE_MAX);
	read_all(reader, text);
	enum kw_err err = reader->err;
	kw_buf_fini(&reader->text);
	free(reader);
	return err;
}

static bool runs_as_formula(const char *text)
{
	text += strspn(text, "'");
	return *text && strchr("=+-@\t\r", *text);
}

void sheet_print(FILE *out, char separator, const char *text, bool from_data)
{
	const char special[] = {separator, '"', '\r', '\n', '\t', '\0'};
	size_t size = strlen(text);
	bool quoted = text[strcspn(text, special)] || text[0] == ' ' || (size > 0 && text[size - 1] == ' ');
	if (quoted)
		(void)fputc('"', out);
	if (from_data && runs_as_formula(text))
		(void)fputc('\'', out);
	for (; *text; text++) {
		if (*text == '"')
			(void)fputc('"', out);
		(void)fputc(*text, out);
	}
	if (quoted)
		(void)fputc('"', out);
}

const char *sheet_unguard(const char *text)
{
	return text[0] == '\'' && runs_as_formula(text) ? text + 1 : text;
}
