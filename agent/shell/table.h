#ifndef AGENT_SHELL_TABLE_H
#define AGENT_SHELL_TABLE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "agent/shell/sheet.h"
#include "proto/base/id.h"

/* Any message of the catalogue as a sheet of cells, and back: `kinward template` and `kinward import --as MESSAGE`. It is
 * driven by the schema's descriptors, rules and comments; no message is known by name.
 *
 * The first row names the columns by the paths of the schema, with parts counted from 1: children[1].age.years. Each row
 * below is one message. Long lists stand one part a row: the column cases[].sex, with no number, adds one part per row, and
 * rows with the same word in the column #group form one message; their other columns need to be filled in once, and say the
 * same wherever they are filled in again. A part whose cells are all empty is not there.
 *
 * Cells: codes by their short name, case does not count; yes or no; whole numbers; a date as 2026-11-24, 2026-11 or 2026 in
 * one column; a time as 2026-11-24T14:00+03:00 (or ...Z; a day alone is its first moment UTC); bytes in hex. A list of
 * codes or texts is one cell, separated by ; or |, or columns languages[1], languages[2]. Blanks around a cell do not count,
 * CRLF in a cell is LF, and a ' before = + - @ is taken off (sheet_print says why). Nothing else is repaired or guessed.
 *
 * Columns for the way, not in the message: #to (agency), #thread (id in hex), #id (our own id of a registration). Other
 * columns that begin with # are ignored, and so is a row in which each cell that is filled in begins with #. An unknown
 * column refuses the file: it would lose part of a case. */

#define TABLE_FILE_SIZE_MAX (64u * 1024u * 1024u)
#define TABLE_ROWS_MAX 100000u /* below the header, without empty ones and comments */
#define TABLE_MESSAGES_MAX 4096u /* that these rows make: they go to the agent as one */
#define TABLE_COLUMNS_MAX SHEET_COLUMNS_MAX
#define TABLE_CELL_SIZE_MAX 8192u
#define TABLE_HEADER_SIZE_MAX 127u
#define TABLE_FAULTS_MAX 100u /* told of one file; the others are counted */
#define TABLE_ID_SIZE_MAX 64u /* of #id */

/* The member of Content.body of that name, as ReferralRequest, referral_request or referral-request. NULL if there is none. */
const ProtobufCFieldDescriptor *table_kind(const char *name);
/* Member i of Content.body, for lists; NULL at the end. */
const ProtobufCFieldDescriptor *table_kind_at(unsigned i);

/* True for what goes to our own agent and to nobody else: such a message has #id in place of #to and #thread. */
bool table_stays_here(const ProtobufCFieldDescriptor *kind);

/* --- reading */

/* What is wrong. Texts are terminated; the header comes from the file, so escape it; rule never holds a value. */
struct table_fault {
	size_t row; /* as a spreadsheet counts, from 1; 0 when it is the whole file */
	char column[TABLE_HEADER_SIZE_MAX + 1]; /* header; empty when it is the whole row */
	char field[128];                        /* path in the message, counted from 0 as in JSON; may be empty */
	char rule[512];                         /* the rule and what to do */
};

/* One good message. The pointers are good until table_free. */
struct table_message {
	size_t row;              /* the first of its rows */
	struct kw_view body;     /* encoded */
	const char *group;       /* #group; these four are empty when not given */
	const char *agency;      /* #to */
	const char *thread;      /* #thread */
	const char *local_id;    /* #id */
};

struct table;

/* Reads a file into messages that are right, each by itself and by size, or into no message at all.
 *   kind     a member of Content.body
 *   refused  gets the first TABLE_FAULTS_MAX faults that were found, in the order of rows
 *   out      written on KW_OK; free with table_free
 * KW_EFIELD   *faults faults were found, all have been told or counted
 * KW_ETOOBIG  over a limit above; told
 * KW_ENOMEM */
struct table_ask {
	const ProtobufCFieldDescriptor *kind;
	int64_t now_ms; /* when the messages are made, for dates that must be past; 0 looks at none */
	void (*refused)(void *context, const struct table_fault *fault);
	void *context;
};
KW_MUST_USE enum kw_err table_read(struct kw_view text, const struct table_ask *ask, struct table **out, size_t *faults);
void table_free(struct table *table);

size_t table_count(const struct table *table); /* messages */
size_t table_rows(const struct table *table);  /* rows they were made of */
struct table_message table_at(const struct table *table, size_t i);
/* The header of the column for a field that an agent named, such as send.content.referralEvent.state; "" for none. */
const char *table_header_of(const struct table *table, const char *field);

/* --- writing */

struct table_form {
	const ProtobufCFieldDescriptor *kind;
	const char *rows;  /* the list that stands one part a row, "none", or NULL: the only list of parts of a message */
	unsigned repeats;  /* how often other lists of parts are given side by side; 0 for 2 */
	bool required;     /* only the columns that no message can do without */
};

/* Calls `each` for every column of a form, with what to fill in: meaning, whether it is required, codes, range.
 * KW_OK; KW_EFIELD when form->rows is no list of parts of the message; KW_ETOOBIG over TABLE_COLUMNS_MAX columns. */
KW_MUST_USE enum kw_err table_columns(const struct table_form *form,
	void (*each)(void *context, const char *header, const char *comment), void *context);

/* A message as the cells that a form would hold: *headers is an array of texts, *rows an array of objects from header to
 * text; only columns with a value. The message is JSON as json_map_write gives it. Free both with json_decref.
 * Errors as table_columns; KW_ENOMEM. */
KW_MUST_USE enum kw_err table_fill(const struct table_form *form, json_t *message, json_t **headers, json_t **rows);

#endif
