#include "agent/shell/agent_blob.h"

#include <stdlib.h>
#include <string.h>

/* The list of attachments on the local socket, and taking one off it: from memory, so at once. */

static Kinward__V1__AttachmentState state_of(const struct kw_blobs_view *view)
{
	if (view->entry.taker == KW_BLOBS_NONE)
		return view->entry.state == KW_BLOB_PART ? KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_ARRIVING :
							   KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_HERE;
	if (view->entry.state == KW_BLOB_LOST)
		return KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_EXPIRED;
	if (view->entry.state == KW_BLOB_GIVEN)
		return KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_DELIVERED;
	return view->held ? KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_HELD :
			    KINWARD__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_LEAVING;
}

struct listed {
	Kinward__V1__AttachmentItem item;
	struct kw_blobs_view view;
};

enum kw_err agent_desk_list(const struct agent_blobs *blobs, const Kinward__V1__AttachmentListRequest *request,
	struct socket_call *call)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__AttachmentList body = KINWARD__V1__ATTACHMENT_LIST__INIT;
	uint32_t limit = request->limit == 0 ? 100 : request->limit;

	if (limit > SPOOL_LIST_MAX)
		limit = SPOOL_LIST_MAX; /* the caller asks on from next_after */
	struct listed *listed = calloc(limit, sizeof(*listed));
	body.items = calloc(limit, sizeof(*body.items));
	for (uint32_t i = request->after; listed != NULL && body.items != NULL && i < AGENT_BLOBS_MAX; i++) {
		struct kw_blobs_view view;

		if (!kw_blobs_look(kw_blob_node_blobs(blobs->node), i, &view))
			continue;
		if (body.n_items == limit) {
			body.next_after = i;
			break;
		}
		struct listed *it = &listed[body.n_items];
		it->view = view;
		kinward__v1__attachment_item__init(&it->item);
		it->item.place = i + 1;
		it->item.digest = (ProtobufCBinaryData){.len = KW_DIGEST_SIZE, .data = it->view.entry.what.digest.bytes};
		it->item.agency = it->view.entry.to.text;
		it->item.giver = it->view.entry.from.text;
		it->item.named = view.entry.named_hour != 0;
		it->item.state = state_of(&view);
		it->item.size = kw_blob_sealed_size(view.entry.what.size);
		it->item.moved = view.moved;
		it->item.expiry_hour = view.entry.expiry_hour;
		if (view.problem != KW_OK)
			it->item.problem = (char *)(uintptr_t)kw_err_name(view.problem);
		body.items[body.n_items++] = &it->item;
	}
	bool whole = listed != NULL && body.items != NULL;
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ATTACHMENTS;
	reply.attachments = &body;
	if (whole)
		socket_call_reply(call, &reply);
	free(listed);
	free(body.items);
	return whole ? KW_OK : KW_ENOMEM;
}

enum kw_err agent_desk_remove(const struct agent_blobs *blobs, const Kinward__V1__AttachmentRemoveRequest *request,
	struct socket_call *call, struct agent_desk_refusal *refusal)
{
	Kinward__V1__LocalReply reply = KINWARD__V1__LOCAL_REPLY__INIT;
	Kinward__V1__AckReply acked = KINWARD__V1__ACK_REPLY__INIT;
	struct kw_blobs_view view;
	struct kw_digest digest;

	refusal->field = "attachment_remove.digest";
	refusal->text = "A digest has 32 bytes, as kinward attachments prints it.";
	if (request->digest.len != KW_DIGEST_SIZE)
		return KW_EFIELD;
	memcpy(digest.bytes, request->digest.data, KW_DIGEST_SIZE);
	for (uint32_t i = 0; i < AGENT_BLOBS_MAX; i++) {
		if (!kw_blobs_look(kw_blob_node_blobs(blobs->node), i, &view) ||
			memcmp(view.entry.what.digest.bytes, digest.bytes, KW_DIGEST_SIZE) != 0)
			continue;
		refusal->text = "It is still arriving and would come again; remove it when it is here.";
		if (view.entry.state == KW_BLOB_PART)
			return KW_EBUSY;
		acked.count++;
	}
	refusal->text = "No attachment here has this digest; kinward attachments lists them.";
	if (acked.count == 0)
		return KW_ENOTFOUND;
	kw_blob_node_drop(blobs->node, &digest);
	reply.body_case = KINWARD__V1__LOCAL_REPLY__BODY_ACKED;
	reply.acked = &acked;
	socket_call_reply(call, &reply);
	return KW_OK;
}
