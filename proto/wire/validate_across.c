/* Types that are shared, receipts and reminders; the other families have files of their own. */

#include "proto/wire/validate_across.h"

#include <string.h>

#include "kinward/v1/receipt.pb-c.h"
#include "kinward/v1/track.pb-c.h"
#include "proto/wire/validate_clash.h"

enum kw_err kw_clashes_check(struct kw_walk *walk, const struct kw_clash *clashes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (clashes[i].broken)
			return kw_validate_refuse(walk, KW_EFIELD, clashes[i].field, clashes[i].rule);
	return KW_OK;
}

bool kw_clash_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

bool kw_clash_holds(const int *codes, size_t count, int code)
{
	for (size_t i = 0; i < count; i++)
		if (codes[i] == code)
			return true;
	return false;
}

bool kw_clash_before(const Kinward__V1__PartialDate *later, const Kinward__V1__PartialDate *earlier)
{
	if (later->year != earlier->year)
		return later->year < earlier->year;
	if (later->month == 0 || earlier->month == 0)
		return false;
	if (later->month != earlier->month)
		return later->month < earlier->month;
	return later->day != 0 && earlier->day != 0 && later->day < earlier->day;
}

static bool given(Kinward__V1__ConsentAnswer answer)
{
	return answer == KW_CODE(CONSENT_ANSWER, GIVEN);
}

/* What holds for every purpose. An end is the first moment at which it does not count. */
static enum kw_err standing(struct kw_walk *walk, const Kinward__V1__Consent *consent)
{
	if (consent->override != NULL)
		return KW_OK;
	if (consent->child_assent == KW_CODE(CONSENT_ANSWER, REFUSED))
		return kw_validate_refuse(walk, KW_EFIELD, "consent.child_assent",
			"is refused: nothing may be sent; ask the child again, or say in override who approved it");
	if (consent->valid_until_unix_ms != 0 && walk->at_ms != 0 && consent->valid_until_unix_ms <= walk->at_ms)
		return kw_validate_refuse(walk, KW_EFIELD, "consent.valid_until_unix_ms",
			"is past: the consent has ended; ask for it again, or say in override who approved it");
	return KW_OK;
}

enum kw_err kw_clash_sharing(struct kw_walk *walk, const Kinward__V1__Consent *consent)
{
	if ((!given(consent->services) || !given(consent->share_other_orgs)) && consent->override == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "consent.override",
			"is required unless services and shareOtherOrgs are given; ask for consent, or say who approved it");
	return standing(walk, consent);
}

enum kw_err kw_clash_tracing(struct kw_walk *walk, const Kinward__V1__Consent *consent)
{
	if (!given(consent->tracing) && consent->override == NULL)
		return kw_validate_refuse(walk, KW_EFIELD, "consent.override",
			"is required unless tracing is given; ask for consent, or say who approved it");
	return standing(walk, consent);
}

enum kw_err kw_across_partial_date(struct kw_walk *walk, const void *message)
{
	static const uint8_t DAYS[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const Kinward__V1__PartialDate *date = message;
	if (date->day == 0)
		return KW_OK;
	if (date->month == 0)
		return kw_validate_refuse(walk, KW_EFIELD, "month", "is required with a day; fill it in or leave out the day");
	bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
	unsigned days = DAYS[date->month] + (date->month == 2 && leap ? 1u : 0u);
	if (date->day > days)
		return kw_validate_refuse(walk, KW_EFIELD, "day", "is not a day of that month; correct it");
	return KW_OK;
}

enum kw_err kw_across_age_range(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__AgeRange *range = message;
	if (range->years_max < range->years_min)
		return kw_validate_refuse(walk, KW_EFIELD, "years_max", "must not be below yearsMin; correct it");
	return KW_OK;
}

enum kw_err kw_across_attachment_ref(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__AttachmentRef *ref = message;
	if (ref->kind == KW_CODE(ATTACHMENT_KIND, OTHER) && kw_clash_empty(ref->name))
		return kw_validate_refuse(walk, KW_EFIELD, "name", KW_NEEDS_OTHER);
	return KW_OK;
}

enum kw_err kw_across_receipt_entry(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__ReceiptEntry *entry = message;
	bool failed = entry->level == KW_CODE(RECEIPT_LEVEL, FAILED);
	if (failed == kw_clash_empty(entry->failure))
		return kw_validate_refuse(walk, KW_EFIELD, "failure", "goes with FAILED, and only with it; correct one of them");
	return KW_OK;
}

enum kw_err kw_across_reminder(struct kw_walk *walk, const void *message)
{
	const Kinward__V1__Reminder *reminder = message;
	if (reminder->step % 50 != 0)
		return kw_validate_refuse(walk, KW_EFIELD, "step", "must be 50, 100, 150 or 200; correct it");
	return KW_OK;
}
