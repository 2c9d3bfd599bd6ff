#ifndef BROKER_DOORS_H
#define BROKER_DOORS_H

#include "broker/shell/hub.h"
#include "broker/shell/office.h"
#include "proto/link/link.h"

/* The hub's doors: accepts connections, checks who comes, and passes frames between links and the hub.
 *
 *   link opens → certificate named an agency of this hub, with the key that stands in the directory → HELLO → session
 *   link opens for enrolment → ENROL → ENROLLED or ERROR → closed
 *
 * A frame that breaks the protocol gets an ERROR and ends its own session only. */

struct doors;

struct doors_options {
	struct kw_net *net;
	struct office *office;
	const char *listen;
	struct kw_link_limits limits;
	uint32_t conns_max;
	/* as in hub_wire */
	void (*fatal)(void *user, enum kw_err err);
	void *user;
};

/* Makes the TLS context and the tables; opens nothing yet. chain: path of the server's certificate chain. */
KW_MUST_USE enum kw_err doors_new(const struct doors_options *options, const char *chain, struct doors **out);
/* How the hub reaches connections; doors must outlive the hub. */
struct hub_wire doors_wire(struct doors *doors);
/* Tells the hub all agencies of the directory, then listens. */
KW_MUST_USE enum kw_err doors_open(struct doors *doors, struct hub *hub);
/* Once a second: the office's tick, and what comes of it: agents that were shut out are sent away, the others are told. */
void doors_tick(struct doors *doors);
uint16_t doors_port(const struct doors *doors);
/* Stops listening and closes all links with GOAWAY; they end on later turns of the loop. */
void doors_shut(struct doors *doors);
/* When all links have ended. Accepts NULL. */
void doors_free(struct doors *doors);

#endif
