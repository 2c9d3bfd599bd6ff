#include "agent/shell/attach_ref.h"

/* The members of one field that are set; *count may be 0. */
static const ProtobufCMessage *const *members(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
	size_t *count)
{
	const uint8_t *base = (const uint8_t *)message;
	const void *at = base + field->offset;
	const void *quantifier = base + field->quantifier_offset;

	*count = 0;
	if (field->type != PROTOBUF_C_TYPE_MESSAGE)
		return NULL;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		*count = *(const size_t *)quantifier;
		return *(const ProtobufCMessage *const *const *)at;
	}
	if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && *(const uint32_t *)quantifier != field->id)
		return NULL;
	*count = 1;
	return at;
}

bool attach_ref_each(const ProtobufCMessage *message, bool (*each)(void *user, const Kinward__V1__AttachmentRef *ref),
	void *user)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	if (type == &kinward__v1__attachment_ref__descriptor)
		return each(user, (const Kinward__V1__AttachmentRef *)message);
	for (unsigned i = 0; i < type->n_fields; i++) {
		size_t count;
		const ProtobufCMessage *const *inner = members(message, &type->fields[i], &count);

		for (size_t k = 0; k < count; k++) {
			if (inner[k] != NULL && !attach_ref_each(inner[k], each, user))
				return false;
		}
	}
	return true;
}
