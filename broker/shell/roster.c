#include "broker/shell/roster.h"

#include <stdlib.h>
/* The default hash falls through between case labels, which clang warns of. */
#define HASH_FUNCTION(key, size, hash) HASH_OAT(key, size, hash)
#include <uthash.h>

#include "broker/shell/store.h"

struct roster_entry {
	struct kw_name name;
	uint32_t slot;
	UT_hash_handle hh;
};

struct roster {
	uint32_t slots_max;
	uint32_t free_from; /* no free slot below */
	struct roster_entry *by_name;
	struct roster_entry **by_slot;
};

struct roster *roster_new(uint32_t slots_max)
{
	struct roster *roster = calloc(1, sizeof(*roster));
	if (roster == NULL)
		return NULL;
	roster->slots_max = slots_max;
	roster->by_slot = calloc(slots_max, sizeof(struct roster_entry *));
	if (roster->by_slot == NULL) {
		free(roster);
		return NULL;
	}
	return roster;
}

void roster_free(struct roster *roster)
{
	if (roster == NULL)
		return;
	HASH_CLEAR(hh, roster->by_name);
	for (uint32_t i = 0; i < roster->slots_max; i++)
		free(roster->by_slot[i]);
	free(roster->by_slot);
	free(roster);
}

uint32_t roster_find(const struct roster *roster, const struct kw_name *name)
{
	struct roster_entry *entry;
	HASH_FIND(hh, roster->by_name, name, sizeof(*name), entry);
	return entry == NULL ? STORE_SLOT_NONE : entry->slot;
}

const struct kw_name *roster_name(const struct roster *roster, uint32_t slot)
{
	if (slot >= roster->slots_max || roster->by_slot[slot] == NULL)
		return NULL;
	return &roster->by_slot[slot]->name;
}

enum kw_err roster_put(struct roster *roster, uint32_t slot, const struct kw_name *name)
{
	if (slot >= roster->slots_max)
		return KW_ETOOBIG;
	if (roster->by_slot[slot] != NULL || roster_find(roster, name) != STORE_SLOT_NONE)
		return KW_EEXIST;
	struct roster_entry *entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return KW_ENOMEM;
	entry->name = *name;
	entry->slot = slot;
	roster->by_slot[slot] = entry;
	HASH_ADD(hh, roster->by_name, name, sizeof(entry->name), entry);
	return KW_OK;
}

enum kw_err roster_add(struct roster *roster, const struct kw_name *name, uint32_t *slot)
{
	while (roster->free_from < roster->slots_max && roster->by_slot[roster->free_from] != NULL)
		roster->free_from++;
	if (roster->free_from == roster->slots_max)
		return KW_EFULL;
	enum kw_err err = roster_put(roster, roster->free_from, name);
	if (err == KW_OK)
		*slot = roster->free_from;
	return err;
}
