#ifndef AGENT_SHELL_SHEET_H
#define AGENT_SHELL_SHEET_H

#include <stdbool.h>
#include <stdio.h>

#include "proto/base/bytes.h"

/* CSV as spreadsheets write it (RFC 4180): UTF-8 with or without a byte order mark, separated by comma, semicolon or tab
 * (the first line decides), rows ended by CRLF, LF or CR, line feeds inside quotes. What the cells mean is for others.
 *
 * A quote in the wrong place spoils the row it is in; reading goes on with the next line. A quote that is never closed
 * swallows the rest of the file, and is reported where it was opened. */

/* Most columns that a reader can ask for, and the largest row. */
#define SHEET_COLUMNS_MAX 2048u
#define SHEET_ROW_SIZE_MAX (4u * 1024u * 1024u)

struct sheet_row {
	size_t number;     /* as a spreadsheet counts rows, from 1; empty ones count */
	size_t line;       /* where it begins as an editor counts lines, from 1 */
	const char *text;  /* the cells, one after the other, each terminated */
	const size_t *at;  /* where in text each begins */
	size_t count;
	bool too_many;     /* it has more than columns_max cells; those are left out */
};

/* Cell i of a row, i < count. A cell with a NUL in it is given as a byte that is not UTF-8. */
const char *sheet_cell(const struct sheet_row *row, size_t i);
/* True when all cells are empty, as spreadsheets leave them at the end. */
bool sheet_row_is_blank(const struct sheet_row *row);

enum sheet_broken {
	SHEET_QUOTE,    /* a quote in the wrong place */
	SHEET_UNCLOSED, /* a quote that is never closed */
	SHEET_ROW_SIZE  /* a row of more than SHEET_ROW_SIZE_MAX bytes; reading ends */
};

/* Where rows go; what a call returns, other than KW_OK, ends the reading. Pointers are valid during the call only. */
struct sheet_sink {
	void *context;
	size_t columns_max; /* at most SHEET_COLUMNS_MAX */
	enum kw_err (*row)(void *context, const struct sheet_row *row);
	enum kw_err (*broken)(void *context, const struct sheet_row *place, enum sheet_broken what); /* place has no cells */
};

/* Reads all of `text`. KW_OK; KW_ETOOBIG after SHEET_ROW_SIZE; KW_ENOMEM; or what a call returned. */
KW_MUST_USE enum kw_err sheet_read(struct kw_view text, const struct sheet_sink *sink);

/* Prints one cell, in quotes where it needs them.
 *   separator  ',' ';' or tab; also what must be quoted
 *   from_data  true for what came from a message: a spreadsheet runs a cell that begins with = + - @ tab or CR as a formula,
 *              so such a cell gets a ' in front (OWASP, "CSV injection"); sheet_unguard takes it off again */
void sheet_print(FILE *out, char separator, const char *text, bool from_data);

/* What follows the ' that sheet_print put before a text; the text itself when there is none. */
const char *sheet_unguard(const char *text);

#endif
