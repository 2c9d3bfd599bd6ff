#include "agent/shell/import_csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/import_row.h"
#include "agent/shell/sheet.h"

/* Rows come from sheet.c; the first is the header. */

#define DEFAULTS_SIZE 4096u

struct reader {
	struct import_run run;
	struct import_options options; /* with Febrl's defaults, if it is that */
	char defaults[DEFAULTS_SIZE];
	struct kw_buf header_text;
	const char *header[IMPORT_COLUMNS_MAX]; /* in header_text */
	size_t header_count;
	bool has_header;
};

static const char FEBRL_HEADER[] =
	"rec_id|given_name|surname|street_number|address_1|address_2|suburb|postcode|state|date_of_birth|soc_sec_id";

static const char FEBRL_DEFAULTS[] =
	"sex=unknown,protection_status=neither,care_arrangements_type=other,consent_for_services=not_asked,"
	"disclosure_other_orgs=not_asked,consent_for_tracing=not_asked,consent_source=other";

static enum kw_err refuse(struct reader *reader, size_t line, const char *rule)
{
	struct import_fault fault = {.line = line};
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: ours */
	return import_row_refuse(&reader->run, &fault);
}

/* A fault of the whole file: reported, not counted as a row. */
static enum kw_err refuse_file(struct reader *reader, size_t line, enum kw_err err, const char *rule)
{
	struct import_fault fault = {.line = line};
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: ours */
	reader->run.sink->refused(reader->run.sink->context, &fault);
	return err;
}

/* Febrl's files are known by having exactly its columns. */
static bool is_febrl(const struct reader *reader)
{
	const char *name = FEBRL_HEADER;
	for (size_t i = 0; i < reader->header_count; i++) {
		size_t size = strcspn(name, "|");
		if (strlen(reader->header[i]) != size || memcmp(reader->header[i], name, size) != 0)
			return false;
		name += size + (name[size] == '|' ? 1 : 0);
	}
	return *name == '\0';
}

static enum kw_err keep_header(struct reader *reader, const struct sheet_row *row)
{
	for (size_t i = 0; i < row->count; i++) {
		enum kw_err err = kw_buf_add(&reader->header_text, KW_VIEW(sheet_cell(row, i), strlen(sheet_cell(row, i)) + 1));
		if (err != KW_OK)
			return err;
	}
	const char *at = (const char *)reader->header_text.data;
	for (size_t i = 0; i < row->count; i++, at += strlen(at) + 1)
		reader->header[i] = at;
	reader->header_count = row->count;
	return KW_OK;
}

static enum kw_err take_header(struct reader *reader, const struct sheet_row *row)
{
	const struct import_columns *columns = import_columns(reader->options.kind);
	size_t known = 0;
	if (row->too_many)
		return refuse_file(reader, row->line, KW_ETOOBIG, "has more than 512 columns");
	enum kw_err err = keep_header(reader, row);
	if (err != KW_OK)
		return err;
	for (size_t i = 0; i < reader->header_count; i++)
		known += import_column_find(columns, reader->header[i]) ? 1 : 0;
	if (known == 0)
		return refuse_file(reader, row->line, KW_EFORMAT,
			"has no known column in its first line; kinward import --columns lists them");
	if (reader->options.kind == IMPORT_REGISTRATION && is_febrl(reader)) {
		const char *given = reader->options.defaults ? reader->options.defaults : "";
		int n = snprintf(reader->defaults, sizeof(reader->defaults), "%s,%s", given, FEBRL_DEFAULTS);
		if (n < 0 || (size_t)n >= sizeof(reader->defaults))
			return refuse_file(reader, row->line, KW_ETOOBIG, "has too long a list of defaults");
		reader->options.defaults = reader->defaults;
	}
	reader->has_header = true;
	return import_check_headers(&reader->run, reader->header, reader->header_count);
}

static enum kw_err on_row(void *context, const struct sheet_row *row)
{
	struct reader *reader = context;
	struct import_cell cells[IMPORT_COLUMNS_MAX];
	if (!reader->has_header)
		return take_header(reader, row);
	if (sheet_row_is_blank(row))
		return KW_OK;
	if (row->too_many || row->count != reader->header_count) {
		char rule[160];
		(void)snprintf(rule, sizeof(rule), "has %zu cells where the header has %zu; is a cell with a separator in it "
			"missing its quotes?", row->count, reader->header_count); /* fits */
		return refuse(reader, row->line, rule);
	}
	for (size_t i = 0; i < row->count; i++)
		cells[i] = (struct import_cell){.header = reader->header[i], .text = sheet_cell(row, i)};
	struct import_row whole = {.line = row->line, .cells = cells, .count = row->count};
	return import_row_take(&reader->run, &whole);
}

static enum kw_err on_broken(void *context, const struct sheet_row *place, enum sheet_broken what)
{
	struct reader *reader = context;
	if (what == SHEET_ROW_SIZE)
		return refuse_file(reader, place->line, KW_ETOOBIG, "has a row larger than 4 MiB");
	if (what == SHEET_UNCLOSED)
		return refuse(reader, place->line, "opens a quote that is never closed; nothing after it was read");
	if (!reader->has_header)
		return refuse_file(reader, place->line, KW_EFORMAT, "has a quote in the wrong place in its first line");
	return refuse(reader, place->line, "has a quote in the wrong place; write \" inside a quoted cell as \"\"");
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
	kw_buf_init(&reader->header_text, SHEET_ROW_SIZE_MAX);
	struct sheet_sink rows = {.context = reader, .columns_max = IMPORT_COLUMNS_MAX, .row = on_row, .broken = on_broken};
	enum kw_err err;
	if (text.size > IMPORT_FILE_SIZE_MAX)
		err = refuse_file(reader, 0, KW_ETOOBIG, "is larger than 64 MiB; split it");
	else
		err = sheet_read(text, &rows);
	if (err == KW_OK && !reader->has_header)
		err = refuse_file(reader, 0, KW_EFORMAT, "is empty; the first line must hold the names of the columns");
	kw_buf_fini(&reader->header_text);
	free(reader);
	return err;
}
