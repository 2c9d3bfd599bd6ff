#ifndef AGENT_CORE_SUPPRESS_H
#define AGENT_CORE_SUPPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hides small numbers before they leave an agency (DOMAIN.md §6). Pure.
 *
 * A table has rows and columns (a service × an area, or one row). A cell counts `numerator` of `denominator`; a denominator
 * of 0 is a plain count. Primary: 1..4 is hidden, 1..9 where the row is sensitive, and a rate when its numerator or what is
 * missing to its denominator is small. 0 is told: it says of nobody anything. Secondary: in each row and column with a
 * hidden cell, as many more are hidden (the smallest first, zeros last) until at least two are and together they count
 * enough, so that a margin that becomes known elsewhere cannot be subtracted. */

#define SUPPRESS_BELOW 5u
#define SUPPRESS_BELOW_SENSITIVE 10u
#define SUPPRESS_ROWS_MAX 32u
#define SUPPRESS_COLUMNS_MAX 128u

struct suppress_cell {
	uint32_t numerator;
	uint32_t denominator;
	bool hidden; /* out */
};

struct suppress_table {
	size_t rows;    /* 1..SUPPRESS_ROWS_MAX */
	size_t columns; /* 1..SUPPRESS_COLUMNS_MAX */
	struct suppress_cell *cells; /* rows × columns, row by row */
	const bool *sensitive;       /* one for each row: sexual violence, CAAFAG, trafficking, disability × sex */
};

void suppress_apply(struct suppress_table *table);
/* Is this number too small to be told by itself? */
bool suppress_is_small(const struct suppress_cell *cell, bool sensitive);

#endif
