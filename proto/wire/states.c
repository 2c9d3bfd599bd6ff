#include "proto/wire/states.h"

#include <string.h>

#include "proto/wire/states_inner.h"

static const struct kw_state_machine *machine_of(enum kw_thread_kind kind)
{
	if ((unsigned)kind >= KW_THREAD_KIND_COUNT || kw_state_machines[kind].name == NULL)
		return NULL;
	return &kw_state_machines[kind];
}

static const struct kw_state_info *info_of(enum kw_thread_kind kind, uint8_t state)
{
	const struct kw_state_machine *machine = machine_of(kind);
	if (machine == NULL || state >= KW_STATE_MAX || machine->states[state].name == NULL)
		return NULL;
	return &machine->states[state];
}

/* The row that speaks of this cell, or NULL. */
static const struct kw_state_rule *rule_of(const struct kw_state_machine *machine, uint8_t state, uint8_t event,
	enum kw_party author)
{
	for (size_t i = 0; i < machine->rules_count; i++) {
		const struct kw_state_rule *rule = &machine->rules[i];
		if (rule->event == event && (rule->from >> state & 1u) != 0 && (rule->by >> author & 1u) != 0)
			return rule;
	}
	return NULL;
}

/* Is this event one of the author's own, in whatever state? */
static bool is_of(const struct kw_state_machine *machine, uint8_t event, enum kw_party author)
{
	for (size_t i = 0; i < machine->rules_count; i++) {
		const struct kw_state_rule *rule = &machine->rules[i];
		if (rule->event == event && rule->how == KW_HOW_STEP && (rule->by >> author & 1u) != 0)
			return true;
	}
	return false;
}

enum kw_verdict kw_state_apply(enum kw_thread_kind kind, uint8_t state, uint8_t event, enum kw_party author, uint8_t *next)
{
	const struct kw_state_machine *machine = machine_of(kind);
	if (machine == NULL || event == 0 || info_of(kind, event) == NULL || (unsigned)author >= KW_PARTY_COUNT)
		return KW_VERDICT_ILLEGAL;
	if (state != 0 && info_of(kind, state) == NULL)
		return KW_VERDICT_ILLEGAL;

	const struct kw_state_rule *rule = rule_of(machine, state, event, author);
	if (rule != NULL && rule->how != KW_HOW_MOOT) {
		*next = rule->to == KW_STATE_STAY ? state : rule->to;
		return KW_VERDICT_APPLY;
	}
	/* Who declares what is so already repeats it, when it is theirs to say at all. */
	if (rule != NULL || (state != 0 && event == kw_state_public(kind, state) && is_of(machine, event, author)))
		return KW_VERDICT_REPEAT;
	return KW_VERDICT_ILLEGAL;
}

bool kw_state_may_declare(enum kw_thread_kind kind, uint8_t state, uint8_t event, enum kw_party author)
{
	const struct kw_state_machine *machine = machine_of(kind);
	if (machine == NULL || state >= KW_STATE_MAX || (unsigned)author >= KW_PARTY_COUNT)
		return false;
	const struct kw_state_rule *rule = rule_of(machine, state, event, author);
	return rule != NULL && rule->how == KW_HOW_STEP;
}

size_t kw_state_choices(enum kw_thread_kind kind, uint8_t state, enum kw_party author, uint8_t *events)
{
	size_t count = 0;
	for (uint8_t event = 1; event < KW_STATE_MAX; event++) {
		if (kw_state_may_declare(kind, state, event, author))
			events[count++] = event;
	}
	return count;
}

enum kw_party kw_state_first_author(enum kw_thread_kind kind, uint8_t event)
{
	int party = KW_PARTY_OPENER;
	while (party < KW_PARTY_COUNT && !kw_state_may_declare(kind, 0, event, (enum kw_party)party))
		party++;
	return (enum kw_party)party;
}

const char *kw_state_name(enum kw_thread_kind kind, uint8_t state)
{
	const struct kw_state_info *info = info_of(kind, state);
	return info == NULL ? NULL : info->name;
}

uint8_t kw_state_from_name(enum kw_thread_kind kind, const char *name)
{
	for (uint8_t state = 1; state < KW_STATE_MAX; state++) {
		const struct kw_state_info *info = info_of(kind, state);
		if (info != NULL && strcmp(info->name, name) == 0)
			return state;
	}
	return 0;
}

uint8_t kw_state_public(enum kw_thread_kind kind, uint8_t state)
{
	const struct kw_state_info *info = info_of(kind, state);
	return info != NULL && info->public_number != 0 ? info->public_number : state;
}

bool kw_state_is_open(enum kw_thread_kind kind, uint8_t state)
{
	const struct kw_state_info *info = info_of(kind, state);
	return info != NULL && info->waits_for != 0;
}

bool kw_state_waits_for(enum kw_thread_kind kind, uint8_t state, enum kw_party party)
{
	const struct kw_state_info *info = info_of(kind, state);
	return info != NULL && (unsigned)party < KW_PARTY_COUNT && (info->waits_for >> party & 1u) != 0;
}

enum kw_party kw_transfer_owner(uint8_t state)
{
	bool moved = state == KW_TRANSFER_ACCEPTED || state == KW_TRANSFER_HANDOVER_CONFIRMED || state == KW_TRANSFER_COMPLETE ||
		state == KW_TRANSFER_CONSENT_WITHDRAWN;
	return moved ? KW_PARTY_OTHER : KW_PARTY_OPENER;
}

const char *kw_thread_kind_name(enum kw_thread_kind kind)
{
	const struct kw_state_machine *machine = machine_of(kind);
	return machine == NULL ? NULL : machine->name;
}

enum kw_thread_kind kw_thread_kind_from_name(const char *name)
{
	for (int kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		if (strcmp(kw_state_machines[kind].name, name) == 0)
			return (enum kw_thread_kind)kind;
	}
	return KW_THREAD_NONE;
}

const char *kw_party_name(enum kw_party party)
{
	static const char *const names[KW_PARTY_COUNT] = {"opener", "other", "hub"};
	return (unsigned)party < KW_PARTY_COUNT ? names[party] : NULL;
}

const char *kw_risk_name(enum kw_risk risk)
{
	static const char *const names[KW_RISK_COUNT] = {NULL, "high", "medium", "low"};
	return (unsigned)risk < KW_RISK_COUNT ? names[risk] : NULL;
}
