#include "agent/shell/socket_offer.h"

#include <stdlib.h>

/* One row and what it points to. */
struct socket_offer_row {
	Kinward__V1__OfferRow row;
	Kinward__V1__OfferMember members[AGT_OFFER_MEMBERS_MAX];
	Kinward__V1__OfferMember *list[AGT_OFFER_MEMBERS_MAX];
};

enum kw_err socket_offers_add(struct socket_offers *offers, const struct spool_offer *offer)
{
	if (offers->count == offers->room) {
		size_t room = offers->room == 0 ? 8 : offers->room * 2;
		struct spool_offer *grown = calloc(room, sizeof(*grown));

		if (grown == NULL)
			return KW_ENOMEM;
		for (size_t i = 0; i < offers->count; i++)
			grown[i] = offers->list[i];
		if (offers->list != NULL)
			kw_wipe(offers->list, offers->count * sizeof(*offers->list));
		free(offers->list);
		offers->list = grown;
		offers->room = room;
	}
	offers->list[offers->count++] = *offer;
	return KW_OK;
}

static void fill(struct spool_offer *offer, struct socket_offer_row *out)
{
	const struct agt_offer *core = &offer->core;
	Kinward__V1__OfferRow *row = &out->row;

	kinward__v1__offer_row__init(row);
	row->offer_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = offer->id.bytes};
	row->standing = (Kinward__V1__OfferStanding)(core->state + 1); /* the schema keeps 0 for "never set" */
	row->unclaimed = core->unclaimed;
	row->manual = core->manual;
	row->service = (Kinward__V1__ServiceType)offer->service;
	row->risk = (Kinward__V1__Risk)offer->risk;
	row->age_band = (Kinward__V1__AgeBand)offer->age_band;
	row->admin2_pcode = offer->admin2;
	row->created_unix_ms = offer->created_ms;
	row->claim_by_unix_ms = core->claim_by_ms;
	row->round = core->round;
	if (core->state == AGT_OFFER_LEASED)
		row->referral_thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = offer->referral_thread_id.bytes};
	for (uint8_t i = 0; i < core->count; i++) {
		Kinward__V1__OfferMember *member = &out->members[i];

		kinward__v1__offer_member__init(member);
		member->agency = offer->agencies[i].text;
		member->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = offer->threads[i].bytes};
		member->answer = (Kinward__V1__OfferAnswer)(core->members[i].state + 1);
		member->claim = core->members[i].claim;
		member->winner = core->winner == i;
		member->coordinator = core->members[i].coordinator;
		out->list[i] = member;
	}
	row->members = out->list;
	row->n_members = core->count;
}

enum kw_err socket_offers_rows(struct socket_offers *offers, Kinward__V1__OfferRow ***out)
{
	offers->rows = calloc(offers->count + 1, sizeof(*offers->rows));
	offers->pointers = calloc(offers->count + 1, sizeof(*offers->pointers));
	if (offers->rows == NULL || offers->pointers == NULL)
		return KW_ENOMEM;
	for (size_t i = 0; i < offers->count; i++) {
		fill(&offers->list[i], &offers->rows[i]);
		offers->pointers[i] = &offers->rows[i].row;
	}
	*out = offers->pointers;
	return KW_OK;
}

void socket_offers_fini(struct socket_offers *offers)
{
	if (offers->list != NULL)
		kw_wipe(offers->list, offers->count * sizeof(*offers->list));
	free(offers->list);
	free(offers->rows);
	free(offers->pointers);
}
