#ifndef AGENT_SHELL_IMPORT_PRIMERO_H
#define AGENT_SHELL_IMPORT_PRIMERO_H

#include "agent/shell/import.h"

/* Cases as Primero's API or JSON export gives them: an array of objects, or {"data": [...]}, or one object. Fields have
 * the names in import_columns.c; arrays of texts are lists; the subform family_details_section becomes the relatives.
 * Empty values and null are missing values. Errors and results as in import_csv; `line` counts records. */
KW_MUST_USE enum kw_err import_primero(struct kw_view text, const struct import_options *options,
	const struct import_sink *sink, struct import_summary *summary);

#endif
