#ifndef AGENT_SHELL_SOCKET_OFFER_H
#define AGENT_SHELL_SOCKET_OFFER_H

#include "agent/shell/spool.h"
#include "kinward/v1/local.pb-c.h"

/* Offers as rows of a reply, for the list of them and for what waits for us. */

struct socket_offers {
	struct spool_offer *list;
	size_t count;
	size_t room;
	struct socket_offer_row *rows;
	Kinward__V1__OfferRow **pointers;
};

/* Zeroed before. KW_ENOMEM. */
KW_MUST_USE enum kw_err socket_offers_add(struct socket_offers *offers, const struct spool_offer *offer);
/* Makes the rows of all that was added; what *out points to lives until fini. KW_ENOMEM. */
KW_MUST_USE enum kw_err socket_offers_rows(struct socket_offers *offers, Kinward__V1__OfferRow ***out);
void socket_offers_fini(struct socket_offers *offers);

#endif
