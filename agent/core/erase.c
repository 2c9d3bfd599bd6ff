#include "agent/core/erase.h"

static void say(struct agt_erase_result *out, enum agt_erase_say what)
{
	out->say |= (uint8_t)(1u << what);
}

/* A new record. Whatever was asked before asked for less. */
static struct agt_erase *begin(struct agt_erase_result *out, enum agt_erase_role role, const struct agt_erase_event *event)
{
	uint8_t before = out->next.known && out->next.limited ? out->next.purposes : 0;

	out->next = (struct agt_erase){.known = true,
		.role = role,
		.action = event->action,
		.purposes = before | event->purposes,
		.limited = event->limited};
	out->changed = true;
	out->fresh = true;
	return &out->next;
}

/* Whether what stands already asks for as much: an erasure for all, a restriction of the whole for each purpose. */
static bool covers(const struct agt_erase *row, const struct agt_erase_event *event)
{
	if (!row->known || row->action == AGT_ERASE_ACTION || event->action == AGT_ERASE_ACTION)
		return row->known && row->action == AGT_ERASE_ACTION;
	return !row->limited || (event->limited && (event->purposes & ~row->purposes) == 0);
}

/* One who asked us has erased its own, but it may have asked for this thread alone: that we ask as well makes it ask those that
 * it told. What we keep by law stays kept. */
static void ask_back(struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (next->outcome == AGT_ERASE_RETAINED)
		return;
	out->shred = next->due; /* a person leaves nothing to decide */
	next->shreds = next->shreds || next->due;
	next->due = false;
	next->unconfirmed = false;
	next->role = AGT_ERASE_OWN;
	next->outcome = AGT_ERASE_OPEN; /* from now on the other's */
	out->changed = true;
	say(out, AGT_ERASE_SAY_ERASE);
	if (!next->shreds)
		say(out, AGT_ERASE_SAY_ACK);
}

/* What was asked already is not asked again. */
static void ask(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	if (covers(&out->next, event)) {
		if (out->next.role == AGT_ERASE_HOLDER && event->action == AGT_ERASE_ACTION && !event->passed_on)
			ask_back(out);
		return;
	}
	begin(out, AGT_ERASE_AUTHOR, event)->passed_on = event->passed_on;
	out->withdraw = !event->limited;
	say(out, AGT_ERASE_SAY_CONSENT);
	if (event->action != AGT_ERASE_ACTION)
		return;
	say(out, AGT_ERASE_SAY_ERASE);
	out->recall = true;
	out->shred = true;
	out->next.shreds = true;
}

/* A holder erases. It has no outcome until the key is gone. */
static void erase(struct agt_erase_result *out)
{
	out->next.due = false;
	out->next.outcome = AGT_ERASE_OPEN;
	out->next.shreds = true;
	out->changed = true;
	out->shred = true;
	out->onward = true;
}

static void asked(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (next->known && next->limited && event->limited && next->role != AGT_ERASE_HOLDER) {
		/* Each asks the other about some purposes: ours still waits for its answer. */
		next->purposes |= event->purposes;
		next->role = AGT_ERASE_OWN;
		out->changed = true;
		out->onward = true;
		say(out, AGT_ERASE_SAY_ACK);
		return;
	}
	if (covers(next, event)) {
		/* It asks again: the answer may have been lost with its store. */
		if (next->role == AGT_ERASE_HOLDER && next->outcome != AGT_ERASE_OPEN)
			say(out, AGT_ERASE_SAY_ACK);
		if (next->role == AGT_ERASE_HOLDER)
			return;
		/* We had asked: ours went then, or goes with the next shred. Those that we told may not have been asked with it. */
		out->changed = next->role != AGT_ERASE_OWN;
		out->onward = out->changed;
		next->role = AGT_ERASE_OWN;
		if (!next->shreds)
			say(out, AGT_ERASE_SAY_ACK);
		return;
	}
	next = begin(out, AGT_ERASE_HOLDER, event);
	next->unconfirmed = event->confirm && !event->manual;
	out->onward = event->action != AGT_ERASE_ACTION; /* an erasure goes on with its decision */
	if (event->action != AGT_ERASE_ACTION && next->unconfirmed) {
		return;
	} else if (event->action != AGT_ERASE_ACTION) {
		next->outcome = AGT_ERASE_DONE; /* from now on nothing is shown; of a limited one, nothing is used for its purposes */
		say(out, AGT_ERASE_SAY_ACK);
	} else if (event->manual) {
		next->due = true;
	} else {
		erase(out);
	}
}

/* Answers overtake one another. What is gone does not come back, so nothing is heard after "done". */
static void answered(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (!next->known || next->role == AGT_ERASE_HOLDER || next->action != event->action ||
		(next->outcome == AGT_ERASE_DONE && event->outcome != AGT_ERASE_DONE))
		return;
	next->outcome = event->outcome;
	next->failure = event->reason;
	out->changed = true;
}

static void decided(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (!next->known || next->role != AGT_ERASE_HOLDER || (!next->due && next->outcome != AGT_ERASE_RETAINED))
		return;
	if (event->outcome == AGT_ERASE_DONE) {
		erase(out);
		return;
	}
	next->due = false;
	next->outcome = event->outcome;
	out->changed = true;
	out->onward = true; /* the law that binds us does not bind those that we told: they are asked like us */
	say(out, AGT_ERASE_SAY_ACK);
}

/* The message that asks is the one that the holder has to answer; a ConsentUpdate beside an Erase informs. */
static void sent(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;
	enum agt_erase_say question = next->action == AGT_ERASE_ACTION ? AGT_ERASE_SAY_ERASE : AGT_ERASE_SAY_CONSENT;

	if (!next->known)
		return;
	if (event->say == AGT_ERASE_SAY_ACK && next->role != AGT_ERASE_AUTHOR) {
		next->answer = event->number;
		out->changed = true;
	} else if (event->say == question && next->role != AGT_ERASE_HOLDER) {
		next->question = event->number;
		next->failure = KW_OK;
		out->changed = true;
	}
}

/* An agency that was away for so long, or that the hub does not know now, is asked and answered again: it may be let in again,
 * and still has what it was given. Any other reason is for a person to see. */
static void dead(const struct agt_erase_event *event, struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;
	bool gone = event->reason == KW_ENOAGENCY || event->reason == KW_EDENIED;
	bool late = event->reason == KW_EEXPIRED || event->reason == KW_EUNCONFIRMED;

	if (!next->known || event->number == 0)
		return;
	if (event->number == next->answer && (gone || late)) {
		next->answer = 0;
		out->changed = true;
		if (next->role != AGT_ERASE_HOLDER || next->outcome != AGT_ERASE_OPEN) /* else the next one is on its way */
			say(out, AGT_ERASE_SAY_ACK);
	}
	if (event->number != next->question || next->role == AGT_ERASE_HOLDER || next->outcome != AGT_ERASE_OPEN)
		return;
	next->failure = late ? KW_OK : event->reason;
	out->changed = true;
	if (!gone && !late)
		return;
	next->question = 0;
	say(out, next->action == AGT_ERASE_ACTION ? AGT_ERASE_SAY_ERASE : AGT_ERASE_SAY_CONSENT);
}

static void shredded(struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (!next->known || next->action != AGT_ERASE_ACTION)
		return;
	out->changed = next->shreds;
	next->shreds = false;
	if (next->role == AGT_ERASE_OWN) {
		say(out, AGT_ERASE_SAY_ACK);
	} else if (next->role == AGT_ERASE_HOLDER && !next->due && !next->unconfirmed && next->outcome == AGT_ERASE_OPEN) {
		next->outcome = AGT_ERASE_DONE;
		out->changed = true;
		say(out, AGT_ERASE_SAY_ACK);
	}
}

static void confirmed(struct agt_erase_result *out)
{
	struct agt_erase *next = &out->next;

	if (!next->known || !next->unconfirmed)
		return;
	next->unconfirmed = false;
	out->changed = true;
	if (next->role != AGT_ERASE_HOLDER || next->due || next->outcome != AGT_ERASE_OPEN || next->shreds)
		return; /* the key goes first: SHREDDED answers */
	next->outcome = AGT_ERASE_DONE;
	say(out, AGT_ERASE_SAY_ACK);
}

void agt_erase_step(const struct agt_erase *row, const struct agt_erase_event *event, struct agt_erase_result *out)
{
	*out = (struct agt_erase_result){.next = *row};
	switch (event->type) {
	case AGT_ERASE_EV_ASK:
		ask(event, out);
		break;
	case AGT_ERASE_EV_ASKED:
		asked(event, out);
		break;
	case AGT_ERASE_EV_ANSWERED:
		answered(event, out);
		break;
	case AGT_ERASE_EV_DECIDED:
		decided(event, out);
		break;
	case AGT_ERASE_EV_SENT:
		sent(event, out);
		break;
	case AGT_ERASE_EV_DEAD:
		dead(event, out);
		break;
	case AGT_ERASE_EV_SHREDDED:
		shredded(out);
		break;
	case AGT_ERASE_EV_CONFIRMED:
		confirmed(out);
		break;
	}
}

bool agt_erase_answer(const struct agt_erase *row, uint8_t *outcome)
{
	if (!row->known || row->role == AGT_ERASE_AUTHOR || row->shreds ||
		(row->role == AGT_ERASE_HOLDER && row->outcome == AGT_ERASE_OPEN))
		return false;
	/* Both asked: we erased ours when we did, and what stands in the record is the other's answer. */
	*outcome = row->role == AGT_ERASE_HOLDER ? row->outcome : AGT_ERASE_DONE;
	return true;
}

bool agt_erase_hides(const struct agt_erase *row)
{
	if (!row->known)
		return false;
	if (row->role == AGT_ERASE_HOLDER)
		return !row->due && row->outcome != AGT_ERASE_RETAINED && !row->limited;
	return row->action == AGT_ERASE_ACTION;
}

bool agt_erase_is_over(const struct agt_erase *row)
{
	return row->known && row->action == AGT_ERASE_ACTION && agt_erase_hides(row);
}

bool agt_erase_ends(const struct agt_erase *row)
{
	return row->known && row->role != AGT_ERASE_HOLDER && !row->limited;
}

bool agt_erase_reaches(const struct agt_erase_reach *reach, const struct agt_thread *thread,
	const struct agt_erase_match *match)
{
	if (match->cause || (reach->told_by_us && thread->party != KW_PARTY_OPENER))
		return false;
	if (reach->by_thread)
		return match->same_id;
	return thread->kind != KW_THREAD_OFFER && match->named; /* an offer ends by itself, and knows its threads */
}
