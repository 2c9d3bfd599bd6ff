#ifndef BENCH_FIELD_H
#define BENCH_FIELD_H

#include <uv.h>

#include "tests/bench/child.h"
#include "tests/bench/peer.h"
#include "tests/bench/site.h"

/* Where a measurement takes place: a site, its broker, and one connection for each of its agencies. */

struct field {
	const struct bench_options *options;
	struct site site;
	struct child child; /* pid 0: the broker is not ours */
	uv_loop_t loop;
	struct kw_net *net;
	char address[128];
	struct peer *peers;
	struct peer_hooks hooks; /* on_ready is the field's; the rest is set by the user before field_connect */
	uint32_t count;
	uint32_t dialled;
	uint32_t ready;
};

/* Makes or reads the site, starts the broker unless one is given. */
void field_open(struct field *field, const struct bench_options *options);
/* Connects all agencies, options->dialling_max at once, and waits for their WELCOME. */
void field_connect(struct field *field);
/* Runs the loop for some time. */
void field_run(struct field *field, uint64_t ms);
/* What only a broker that has ended can tell. */
struct field_end {
	bool in_order;    /* it stopped by itself, with success */
	bool has_syncs;   /* with options->count_syncs */
	uint64_t syncs;   /* of its whole life */
	uint64_t commits; /* as well */
};

/* Closes all connections, stops the broker, removes the site. */
void field_close(struct field *field, struct field_end *end);

#endif
