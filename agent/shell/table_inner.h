#ifndef AGENT_SHELL_TABLE_INNER_H
#define AGENT_SHELL_TABLE_INNER_H

#include "agent/shell/table.h"
#include "proto/wire/validate.h"

/* What the parts of the tables share: table_path.c names columns, table_cell.c does single cells, table_build.c makes a
 * message of rows, table_read.c reads files, table_form.c and table_fill.c write. Nobody else includes this. */

/* Steps of a path; the deepest of the schema has 6. */
#define TABLE_STEPS_MAX 10u
/* The index of a step such as cases[]. */
#define TABLE_NEXT 0xffffffffu
#define TABLE_LANES_MAX 16u
#define TABLE_PATH_SIZE 128u
#define TABLE_RULE_SIZE sizeof(((struct table_fault *)NULL)->rule)

struct table_step {
	const ProtobufCMessageDescriptor *parent;
	const ProtobufCFieldDescriptor *field;
	unsigned index; /* from 1; 0 for none; TABLE_NEXT */
};

struct table_path {
	struct table_step steps[TABLE_STEPS_MAX];
	unsigned count;
};

enum table_role { TABLE_FIELD, TABLE_GROUP, TABLE_TO, TABLE_THREAD, TABLE_LOCAL_ID, TABLE_ROLE_COUNT, TABLE_IGNORED };

/* The column that stands for a role such as TABLE_TO: "#to". */
const char *table_role_name(enum table_role role);

struct table_column {
	char header[TABLE_HEADER_SIZE_MAX + 1]; /* as in the file, without the blanks around it */
	enum table_role role;
	struct table_path path; /* of TABLE_FIELD */
	unsigned lane;          /* with a step TABLE_NEXT: which of the file's lists of that form */
};

/* --- table_path.c */

const struct kw_rule *table_rule(const struct table_step *step);
/* A date is one cell, though the schema has a message for it. */
bool table_is_date(const ProtobufCFieldDescriptor *field);
/* A list of values in one cell. */
bool table_is_list(const struct table_step *step);
/* Finds the path of a header. KW_EFIELD with the rule. */
KW_MUST_USE enum kw_err table_path_from(const ProtobufCMessageDescriptor *body, const char *header, struct table_path *out,
	char rule[TABLE_RULE_SIZE]);
/* The first `count` steps as a header has them. */
void table_path_text(const struct table_path *path, unsigned count, char out[TABLE_PATH_SIZE]);

/* --- table_cell.c */

/* A copy of a cell without the blanks around it, in `out`; false when it is longer than TABLE_CELL_SIZE_MAX. */
bool table_trim(const char *text, char out[TABLE_CELL_SIZE_MAX + 1]);

/* The JSON of one cell, trimmed and not empty. KW_EFIELD with the rule; KW_ENOMEM. */
KW_MUST_USE enum kw_err table_cell_read(const struct table_step *step, const char *text, json_t **out,
	char rule[TABLE_RULE_SIZE]);
/* The cell of one JSON value; the caller frees it. NULL: memory is short, or the value is not one of the schema. */
char *table_cell_text(const ProtobufCFieldDescriptor *field, json_t *value);

/* --- table_build.c */

/* One row of the file. */
struct table_row {
	size_t number;
	const char *cells; /* trimmed, one after the other, each terminated; as many as there are columns */
	size_t next;       /* the next row of the same message; SIZE_MAX at the end */
};

/* What all messages of a file share. */
struct table_source {
	int64_t now_ms; /* of the ask */
	const ProtobufCFieldDescriptor *kind;
	const struct table_column *columns;
	unsigned column_count;
	const struct table_row *rows;
	const size_t *faults; /* so far */
	void *context;
	void (*refuse)(void *context, const struct table_fault *fault);
};

/* Makes and checks the message whose first row is `first`, and appends its encoded body to `out`.
 *   role   on KW_OK the cells of #group, #to, #thread, #id, by role; empty ones where not given; in the rows' memory
 * KW_EFIELD after telling source->refuse everything that is wrong; KW_ENOMEM. */
KW_MUST_USE enum kw_err table_build(const struct table_source *source, size_t first, struct kw_buf *out,
	const char *role[TABLE_ROLE_COUNT]);

/* --- table_form.c */

/* The list that stands one part a row; NULL for none. KW_EFIELD as table_columns. */
KW_MUST_USE enum kw_err table_form_rows(const struct table_form *form, const ProtobufCFieldDescriptor **out);

#endif
