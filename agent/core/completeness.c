#include "agent/core/completeness.h"

static struct completeness_cell *cell_of(const struct completeness_book *book, size_t site, uint32_t week)
{
	if (site >= book->sites_count || week < book->first_week || week - book->first_week >= book->weeks_count)
		return NULL;
	return &book->cells[site * book->weeks_count + (week - book->first_week)];
}

bool completeness_take(struct completeness_book *book, size_t site, uint32_t week, const struct completeness_cell *report)
{
	struct completeness_cell *cell = cell_of(book, site, week);
	if (cell == NULL)
		return false;
	*cell = *report;
	cell->reported = true;
	return true;
}

bool completeness_is_missing(const struct completeness_book *book, size_t site, uint32_t week)
{
	const struct completeness_cell *cell = cell_of(book, site, week);
	return cell != NULL && !cell->reported && week >= book->sites[site].expected_from;
}

void completeness_add(const struct completeness_book *book, uint32_t week, struct completeness_sum *sum)
{
	for (size_t site = 0; site < book->sites_count; site++) {
		const struct completeness_cell *cell = cell_of(book, site, week);
		if (cell == NULL)
			return; /* the week is in the book for all of them, or for none */
		if (!cell->reported) {
			sum->expected += completeness_is_missing(book, site, week) ? 1 : 0;
			continue;
		}
		sum->expected++;
		sum->reported++;
		sum->zero += cell->zero ? 1 : 0;
		sum->cases += cell->cases;
		sum->verified += cell->verified;
		if (book->sites[site].children > 0) {
			sum->child_weeks += book->sites[site].children;
			sum->verified_there += cell->verified;
		}
	}
}
