#ifndef AGENT_SHELL_PREKEYS_H
#define AGENT_SHELL_PREKEYS_H

#include "agent/shell/keys_prekey.h"

/* Our own dated prekeys: made KW_PREKEY_AHEAD_DAYS ahead, a new one each day, and each secret destroyed at its day's end and the
 * longest life of a message after it: what is on the disk of an agency opens nothing older.
 *
 * Days are of hub time, as the hub said it in this run. That alone decides nothing: it must agree with our own clock within a
 * day. While the two differ one of them is wrong, and then no key is made and none is destroyed: a key that is kept too long does
 * less harm than one that is gone too early. Until the hub was heard, after a start, everything stays as it is. */

struct prekeys;

struct prekeys_self {
	const char *folder;       /* copied */
	const struct keys *keys;  /* borrowed */
	struct kw_name agency;
	struct kw_name hub;
};

/* Reads what there is. A file that cannot be read is logged and dropped, because nothing can be opened with it.
 * KW_EDENIED for a loose mode; KW_EIO, KW_ENOMEM, KW_ECRYPTO. */
KW_MUST_USE enum kw_err prekeys_open(const struct prekeys_self *self, struct prekeys **out);
/* Wipes. Accepts NULL. */
void prekeys_close(struct prekeys *prekeys);

struct prekeys_clock {
	bool heard;      /* the hub, in this run */
	int64_t hub_ms;
	int64_t wall_ms; /* our own */
};
/* What the day asks for: new keys, destroyed ones, the file. *news: there is a batch to publish. Cheap when nothing is to do.
 * KW_ENOSPACE, KW_EIO: logged; the next call tries again. */
KW_MUST_USE enum kw_err prekeys_day(struct prekeys *prekeys, const struct prekeys_clock *clock, bool *news);
/* The two clocks differ, as of the last call: nothing is made or destroyed. */
bool prekeys_clock_differs(const struct prekeys *prekeys);

/* The batch to publish: an encoded SignedPrekeys; empty when there is none yet. */
struct kw_view prekeys_batch(const struct prekeys *prekeys);
/* Its last day; 0 when there is none. */
uint32_t prekeys_through_day(const struct prekeys *prekeys);
/* Whether the hub, which has ours through that day, needs the batch: it has an older one, or keys were made in this run and given
 * to it less than twice; counts it as given. */
bool prekeys_give(struct prekeys *prekeys, uint32_t through_day);

/* The pair with this key id. KW_ENOTFOUND: destroyed, or never ours. Wipe it. */
KW_MUST_USE enum kw_err prekeys_find(const struct prekeys *prekeys, struct kw_view key_id, struct kw_x25519 *out);

#endif
