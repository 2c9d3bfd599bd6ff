#ifndef KW_LINK_CONFIG_H
#define KW_LINK_CONFIG_H

#include <cyaml/cyaml.h>

#include "proto/base/err.h"

/* A YAML file into a struct, by a libcyaml schema of the caller. An unknown key, a value of the wrong type or range, an
 * alias, and a file that others may write are refused. */

#define KW_CONFIG_SIZE_MAX 262144u

struct kw_config_fault {
	enum kw_err code;
	unsigned line;   /* from 1; 0 when it is the file as a whole */
	unsigned column; /* from 1, or 0 */
	char field[128]; /* path such as "limits.connections_max"; may be empty */
	char text[512];  /* for the operator: file, line, column, field, what is wrong, what to do. One line, no newline */
};

/* schema: of the top, usually CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, ...). *out is freed by kw_config_free.
 * KW_EFIELD     a key or value is wrong; KW_EFORMAT: not YAML; fault says where
 * KW_ENOTFOUND, KW_EDENIED, KW_ETOOBIG, KW_EIO, KW_ENOMEM  as kw_file_read; fault->text says it too
 * fault is written on failure only. */
KW_MUST_USE enum kw_err kw_config_load(const char *path, const cyaml_schema_value_t *schema, cyaml_data_t **out,
	struct kw_config_fault *fault);
/* Refuses a value of a file that was loaded: fills in fault, with the place of the field ("limits.connections_max") where it
 * is found in the text. Returns KW_EFIELD. */
enum kw_err kw_config_refuse(const char *path, const char *field, const char *rule, struct kw_config_fault *fault);
/* Accepts NULL. */
void kw_config_free(const cyaml_schema_value_t *schema, cyaml_data_t *config);

#endif
