#ifndef BROKER_ROSTER_H
#define BROKER_ROSTER_H

#include <stdint.h>

#include "proto/base/id.h"

/* Names of agencies ↔ slots, the small numbers that the core and the store use. A slot, once given, stays the agency's. */

struct roster;

/* slots_max: 1..STORE_SLOT_MAX. NULL when memory is out. */
struct roster *roster_new(uint32_t slots_max);
/* Accepts NULL. */
void roster_free(struct roster *roster);

/* The slot of a name; STORE_SLOT_NONE if there is none. */
uint32_t roster_find(const struct roster *roster, const struct kw_name *name);
/* The name of a slot; NULL if the slot is free. Valid as long as the roster. */
const struct kw_name *roster_name(const struct roster *roster, uint32_t slot);
/* Ties name and slot, as recovered from disk. KW_EEXIST when either is taken, KW_ETOOBIG past slots_max, KW_ENOMEM. */
KW_MUST_USE enum kw_err roster_put(struct roster *roster, uint32_t slot, const struct kw_name *name);
/* Ties the name to the lowest free slot. KW_EFULL when there is none, KW_ENOMEM. */
KW_MUST_USE enum kw_err roster_add(struct roster *roster, const struct kw_name *name, uint32_t *slot);

#endif
