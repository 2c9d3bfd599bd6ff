#include "proto/wire/enrol.h"

#include <string.h>

#include "proto/wire/pbscan.h"

/* The answers of a hub to who enrols, and the files that carry question and answer where there is no link. */

static const char *const PAPERS[] = {
	[KW_ENROL_PAPER_REQUEST] = "kinward enrolment request ",
	[KW_ENROL_PAPER_REPLY] = "kinward enrolment reply ",
};
static const char PAPER_VERSION[] = "1\n";

enum kw_err kw_enrol_reply_add(struct kw_buf *out, const struct kw_enrol_reply *reply)
{
	if (reply->certificates_count < 1 || reply->certificates_count > KW_ENROL_CERTIFICATES_MAX)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(reply->agency.text));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, kw_view_str(reply->hub.text));
	for (size_t i = 0; err == KW_OK && i < reply->certificates_count; i++)
		err = kw_pb_add_bytes(out, 3, reply->certificates[i]);
	return err != KW_OK ? err : kw_pb_add_bytes(out, 5, reply->root);
}

enum kw_err kw_enrol_reply_parse(struct kw_view bytes, struct kw_enrol_reply *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_enrol_reply reply;
	memset(&reply, 0, sizeof(reply));
	struct kw_view agency = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	struct kw_view hub = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
	do {
		if (reply.certificates_count == KW_ENROL_CERTIFICATES_MAX)
			return KW_EFIELD;
		reply.certificates[reply.certificates_count++] = kw_pb_need_bytes(&pb, 3, 1, KW_ENROL_CERTIFICATE_SIZE_MAX);
	} while (kw_pb_is_next(&pb, 3));
	if (kw_pb_is_next(&pb, 5))
		reply.root = kw_pb_need_bytes(&pb, 5, 1, KW_ENROL_CERTIFICATE_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(agency, &reply.agency);
	if (err == KW_OK)
		err = kw_name_from(hub, &reply.hub);
	if (err == KW_OK)
		*out = reply;
	return err;
}

enum kw_err kw_enrol_state_add(struct kw_buf *out, const struct kw_enrol_state *state)
{
	enum kw_err err = kw_pb_add_uint(out, 1, (uint64_t)state->phase);
	return err != KW_OK ? err : kw_pb_add_bytes(out, 2, kw_view_str(state->agency.text));
}

enum kw_err kw_enrol_state_parse(struct kw_view bytes, struct kw_enrol_state *out)
{
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_enrol_state state = {.phase = (enum kw_enrol_phase)kw_pb_need_uint(&pb, 1, KW_ENROL_EXISTS)};
	struct kw_view agency = kw_pb_need_bytes(&pb, 2, 1, KW_NAME_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(agency, &state.agency);
	if (err == KW_OK)
		*out = state;
	return err;
}

enum kw_err kw_enrol_paper_add(struct kw_buf *out, enum kw_enrol_paper which, struct kw_view body)
{
	enum kw_err err = kw_buf_add(out, kw_view_str(PAPERS[which]));
	if (err == KW_OK)
		err = kw_buf_add(out, kw_view_str(PAPER_VERSION));
	return err != KW_OK ? err : kw_buf_add(out, body);
}

/* Takes `text` away from the front of *bytes. */
static bool take(struct kw_view *bytes, const char *text)
{
	size_t size = strlen(text);
	if (bytes->size < size || memcmp(bytes->data, text, size) != 0)
		return false;
	*bytes = KW_VIEW(bytes->data + size, bytes->size - size);
	return true;
}

enum kw_err kw_enrol_paper_parse(struct kw_view bytes, enum kw_enrol_paper which, struct kw_view *body)
{
	if (bytes.size > KW_ENROL_PAPER_SIZE_MAX)
		return KW_ETOOBIG;
	if (take(&bytes, PAPERS[which == KW_ENROL_PAPER_REQUEST ? KW_ENROL_PAPER_REPLY : KW_ENROL_PAPER_REQUEST]))
		return KW_EFIELD;
	if (!take(&bytes, PAPERS[which]))
		return KW_EFORMAT;
	if (!take(&bytes, PAPER_VERSION))
		return KW_EVERSION;
	*body = bytes;
	return KW_OK;
}
