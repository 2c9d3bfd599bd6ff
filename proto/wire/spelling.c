#include "proto/wire/spelling.h"

#include <stdbool.h>

/* As protobuf's JSON names are made: an underline goes, and a letter behind it becomes a capital. */
void kw_spell_json(char *path)
{
	char *out = path;
	bool upper = false;
	for (; *path != '\0'; path++) {
		if (*path == '_') {
			upper = true;
			continue;
		}
		*out++ = upper && *path >= 'a' && *path <= 'z' ? (char)(*path - 'a' + 'A') : *path;
		upper = false;
	}
	*out = '\0';
}
