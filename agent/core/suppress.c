#include "agent/core/suppress.h"

static bool small(uint32_t count, bool sensitive)
{
	return count > 0 && count < (sensitive ? SUPPRESS_BELOW_SENSITIVE : SUPPRESS_BELOW);
}

bool suppress_is_small(const struct suppress_cell *cell, bool sensitive)
{
	if (small(cell->numerator, sensitive))
		return true;
	return cell->denominator > 0 && (small(cell->denominator, sensitive) ||
		small(cell->denominator - cell->numerator, sensitive));
}

/* A line is a row or a column. */
struct line {
	struct suppress_cell *first;
	size_t step;
	size_t count;
	bool sensitive;
};

static struct line row_of(struct suppress_table *table, size_t row)
{
	return (struct line){&table->cells[row * table->columns], 1, table->columns, table->sensitive[row]};
}

static struct line column_of(struct suppress_table *table, size_t column)
{
	struct line line = {&table->cells[column], table->columns, table->rows, false};
	for (size_t row = 0; row < table->rows; row++)
		line.sensitive = line.sensitive || (table->sensitive[row] && table->cells[row * table->columns + column].hidden);
	return line;
}

/* What hides best: a cell that counts somebody before a zero, and a small one before a large one. NULL: all are hidden. */
static struct suppress_cell *cheapest(const struct line *line)
{
	struct suppress_cell *best = NULL;
	for (size_t i = 0; i < line->count; i++) {
		struct suppress_cell *cell = &line->first[i * line->step];
		if (cell->hidden)
			continue;
		if (best == NULL || (best->numerator == 0 && cell->numerator > 0) ||
			(cell->numerator > 0 && cell->numerator < best->numerator))
			best = cell;
	}
	return best;
}

/* True when something was hidden. */
static bool mend(const struct line *line)
{
	size_t hidden = 0;
	uint64_t together = 0;
	bool changed = false;
	for (size_t i = 0; i < line->count; i++) {
		if (line->first[i * line->step].hidden) {
			hidden++;
			together += line->first[i * line->step].numerator;
		}
	}
	if (hidden == 0)
		return false;
	uint32_t enough = line->sensitive ? SUPPRESS_BELOW_SENSITIVE : SUPPRESS_BELOW;
	while (hidden < 2 || together < enough) {
		struct suppress_cell *cell = cheapest(line);
		if (cell == NULL)
			break;
		cell->hidden = true;
		together += cell->numerator;
		hidden++;
		changed = true;
	}
	return changed;
}

void suppress_apply(struct suppress_table *table)
{
	for (size_t row = 0; row < table->rows; row++)
		for (size_t column = 0; column < table->columns; column++) {
			struct suppress_cell *cell = &table->cells[row * table->columns + column];
			cell->hidden = suppress_is_small(cell, table->sensitive[row]);
		}
	/* Each round hides at least one more cell, so it ends. */
	bool changed = true;
	while (changed) {
		changed = false;
		for (size_t row = 0; row < table->rows; row++) {
			struct line line = row_of(table, row);
			changed = mend(&line) || changed;
		}
		for (size_t column = 0; column < table->columns; column++) {
			struct line line = column_of(table, column);
			changed = mend(&line) || changed;
		}
	}
}
