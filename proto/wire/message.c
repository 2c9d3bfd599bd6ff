#include "proto/wire/message.h"

#include <stdio.h>

#include "kinward/v1/content.pb-c.h"
#include "proto/base/check.h"
#include "proto/wire/pbscan.h"

static enum kw_err refuse(struct kw_fault *fault, enum kw_err code, const char *rule)
{
	*fault = (struct kw_fault){.code = code};
	(void)snprintf(fault->rule, sizeof(fault->rule), "%s", rule); /* our own sentences, all short enough */
	return code;
}

static enum kw_err scan(struct kw_view bytes, struct kw_unpack what, struct kw_fault *fault)
{
	if (bytes.size > what.size_max) {
		*fault = (struct kw_fault){.code = KW_ETOOBIG};
		(void)snprintf(fault->rule, sizeof(fault->rule), "has %zu bytes, at most %zu; send less in one message",
			bytes.size, what.size_max); /* fits */
		return KW_ETOOBIG;
	}
	enum kw_err err = kw_pb_prescan(bytes, what.descriptor, KW_PB_LIMITS);
	if (err == KW_ETOOBIG)
		return refuse(fault, err, "has more than 1024 fields or nests deeper than 16; send less in one message");
	if (err != KW_OK)
		return refuse(fault, err,
			"does not parse as this message, gives a field twice, or has text that is not UTF-8; check the sender");
	return KW_OK;
}

enum kw_err kw_message_unpack(struct kw_view bytes, struct kw_unpack what, struct kw_arena *arena,
	ProtobufCMessage **out, struct kw_fault *fault)
{
	enum kw_err err = scan(bytes, what, fault);
	if (err != KW_OK)
		return err;
	ProtobufCMessage *message =
		protobuf_c_message_unpack(what.descriptor, &arena->allocator, bytes.size, bytes.data);
	if (message == NULL && arena->refused && arena->used < arena->size_max / 2)
		return refuse(fault, KW_ENOMEM, "there is no memory now; try again");
	if (message == NULL && arena->refused)
		return refuse(fault, KW_ETOOBIG, "needs too much memory when unpacked; send less in one message");
	if (message == NULL)
		return refuse(fault, KW_EFORMAT, "does not parse as this message; check the sender's software version");
	*out = message;
	return KW_OK;
}

enum kw_err kw_content_unpack(struct kw_view bytes, struct kw_arena *arena, struct Kinward__V1__Content **out,
	struct kw_fault *fault)
{
	ProtobufCMessage *message = NULL;
	struct kw_unpack what = {.descriptor = &kinward__v1__content__descriptor, .size_max = KW_CONTENT_SIZE_MAX};
	enum kw_err err = kw_message_unpack(bytes, what, arena, &message, fault);
	if (err == KW_OK)
		err = kw_message_validate(message, "", fault);
	if (err == KW_OK)
		*out = (Kinward__V1__Content *)message;
	return err;
}

enum kw_err kw_content_validate(const struct Kinward__V1__Content *content, struct kw_fault *fault)
{
	return kw_message_validate(&content->base, "", fault);
}

enum kw_err kw_content_pack(const struct Kinward__V1__Content *content, struct kw_buf *out, struct kw_fault *fault)
{
	struct kw_unpack what = {.descriptor = &kinward__v1__content__descriptor, .size_max = KW_CONTENT_SIZE_MAX};
	enum kw_err err = kw_content_validate(content, fault);
	if (err != KW_OK)
		return err;
	size_t size = kinward__v1__content__get_packed_size(content);
	err = kw_buf_reserve(out, size);
	if (err != KW_OK)
		return refuse(fault, err, "does not fit the buffer; send less in one message");
	size_t packed = kinward__v1__content__pack(content, out->data + out->size);
	KW_ASSERT(packed == size);
	/* The other side will scan it: better refused here, where its author is. */
	err = scan(KW_VIEW(out->data + out->size, size), what, fault);
	if (err != KW_OK) {
		kw_wipe(out->data + out->size, size);
		return err;
	}
	out->size += size;
	return KW_OK;
}
