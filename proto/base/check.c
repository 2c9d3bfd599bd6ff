#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void kw_check_failed(const char *expression, const char *file, int line)
{
	(void)fprintf(stderr, "kinward: assertion failed: %s (%s:%d)\n", expression, file, line);
	abort();
}
