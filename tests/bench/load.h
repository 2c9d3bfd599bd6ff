#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "proto/wire/seal.h"
#include "tests/bench/bench.h"

/* The envelopes that a route run sends. Sealing costs more than carrying, so each agency seals one and repeats it; a hub
 * never looks inside. Each message still gets an id of its own, which also carries when and by whom it was sent: the
 * envelope no longer opens, and its recipient here does not try. */

struct load {
	struct kw_seal_request request;
	struct kw_seal_recipient recipient;
	struct kw_ed25519 identity;
	struct kw_buf content;
	struct kw_buf envelope; /* the one to repeat */
	size_t id_at;           /* where its id stands: the same in all envelopes of a run */
};

struct load_stamp {
	uint64_t sent_ns;
	uint32_t run;    /* a number of this run; messages of another are not ours to count */
	uint32_t sender;
};

/* size: of the padded message. */
void load_init(struct load *load, uint32_t sender, uint32_t recipient, uint32_t size);
void load_fini(struct load *load);
/* Seals anew. */
void load_seal(struct load *load);
/* The envelope with this stamp for an id; valid until the next call. */
struct kw_view load_stamped(struct load *load, const struct load_stamp *stamp);
/* The stamp of a received envelope. */
void load_read_stamp(struct kw_view envelope, size_t id_at, struct load_stamp *out);

#endif
