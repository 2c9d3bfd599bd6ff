#ifndef KW_WIRE_CODES_H
#define KW_WIRE_CODES_H

#include <stdbool.h>

/* Whether a text is a code of a list that others keep: ISO 639-3, ISO 3166-1 alpha-2, ISO 15924, as of the iso-codes package
 * that this was built with. Case counts. The tables are made by proto/codes.py. */
bool kw_code_is_language(const char *text);
bool kw_code_is_country(const char *text);
bool kw_code_is_script(const char *text);

#endif
