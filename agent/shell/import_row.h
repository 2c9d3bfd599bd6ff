#ifndef AGENT_SHELL_IMPORT_ROW_H
#define AGENT_SHELL_IMPORT_ROW_H

#include <jansson.h>

#include "agent/shell/import.h"

/* What both readers share, and the options of `kinward send`: one row of named cells becomes one checked record.
 *
 * A row is first built as the JSON of its message, cell by cell, because paths are easy to write in a table and JSON is
 * easy to build piecemeal; json_map_read then turns it into the message. Members of repeated fields are built in objects
 * keyed by what tells them apart (a location's kind, a relative's relation) and become arrays at the end. */

enum import_cell_type {
	CELL_ID,      /* the record's own id; also set as text where it has a path */
	CELL_TEXT,
	CELL_APPEND,  /* text, added to what is there with ", " */
	CELL_TEXTS,   /* list of texts */
	CELL_PART,    /* one part of a name, with a role */
	CELL_NAME,    /* a whole name, one part per word, role other */
	CELL_CODE,
	CELL_CODES,   /* list of codes */
	CELL_NUMBER,
	CELL_BOOL,
	CELL_DATE
};

struct import_column {
	const char *name;
	const char *aliases; /* separated by '|' */
	enum import_cell_type type;
	const char *path;                    /* in the message, names as in the .proto, members separated by '.' */
	const ProtobufCEnumDescriptor *codes; /* of CELL_CODE and CELL_CODES */
	const char *role;                    /* of CELL_PART */
};

struct import_columns {
	const ProtobufCMessageDescriptor *message;
	const struct import_column *columns;
	size_t count;
	const char *age; /* paths of ages that need their day, separated by '|' */
};

const struct import_columns *import_columns(enum import_kind kind);
/* The column with this header, ignoring case, with blanks and '-' as '_'. NULL if there is none. */
const struct import_column *import_column_find(const struct import_columns *columns, const char *header);

/* Writes one value into the JSON of a row. `text` is trimmed and not empty. KW_EFIELD with fault->rule set. */
KW_MUST_USE enum kw_err import_cell_set(json_t *root, const struct import_column *column, const char *text,
	struct import_fault *fault);

struct import_cell {
	const char *header;
	const char *text; /* UTF-8, terminated; blanks around it do not count */
};

struct import_row {
	size_t line;
	const struct import_cell *cells;
	size_t count;
	json_t *relatives; /* array of Relative in JSON, borrowed; NULL for none */
};

/* Builds the JSON of a message of the kind. KW_EFIELD with the fault set; KW_ENOMEM. Free *out with json_decref. */
KW_MUST_USE enum kw_err import_row_json(const struct import_options *options, const struct import_row *row, json_t **out,
	char local_id[IMPORT_LOCAL_ID_SIZE_MAX + 1], struct import_fault *fault);

/* One import under way. */
struct import_run {
	const struct import_options *options;
	const struct import_sink *sink;
	struct import_summary *summary;
};

/* Builds, checks and hands over one row, and counts it. KW_OK also when it was refused and the import goes on. */
KW_MUST_USE enum kw_err import_row_take(const struct import_run *run, const struct import_row *row);

/* Reports a row that could not even be read. KW_OK, or KW_EFIELD when the import stops here. */
KW_MUST_USE enum kw_err import_row_refuse(const struct import_run *run, const struct import_fault *fault);

/* Reports unknown columns; KW_EFIELD when strict and there is one. The defaults are checked too. */
KW_MUST_USE enum kw_err import_check_headers(const struct import_run *run, const char *const *headers, size_t count);

#endif
