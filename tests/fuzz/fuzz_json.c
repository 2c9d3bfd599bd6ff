#include <stdint.h>
#include <stdlib.h>

#include "agent/shell/json.h"
#include "kinward/v1/content.pb-c.h"
#include "kinward/v1/frame.pb-c.h"
#include "kinward/v1/local.pb-c.h"
#include "proto/base/check.h"

/* Any text must be refused or survive: what was read, written as JSON and read again has the same wire bytes. The first
 * byte chooses the type. */

static const ProtobufCMessageDescriptor *const TYPES[] = {&kinward__v1__content__descriptor,
	&kinward__v1__local_reply__descriptor, &kinward__v1__hello__descriptor, &kinward__v1__local_request__descriptor};

static void pack(const ProtobufCMessage *message, struct kw_buf *out)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	kw_buf_init(out, size + 1);
	KW_ASSERT(kw_buf_reserve(out, size + 1) == KW_OK);
	out->size = protobuf_c_message_pack(message, out->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const ProtobufCMessageDescriptor *type = TYPES[data[0] % (sizeof(TYPES) / sizeof(TYPES[0]))];
	ProtobufCMessage *message = NULL;
	struct json_fault fault;
	if (json_map_parse(type, KW_VIEW(data + 1, size - 1), &message, &fault) != KW_OK) {
		KW_ASSERT(!message && fault.rule[0]);
		return 0;
	}
	json_t *tree = NULL;
	ProtobufCMessage *again = NULL;
	KW_ASSERT(json_map_write(message, &tree, &fault) == KW_OK);
	char *text = json_dumps(tree, JSON_COMPACT);
	KW_ASSERT(text);
	struct kw_buf first, second;
	pack(message, &first);
	enum kw_err err = json_map_parse(type, kw_view_str(text), &again, &fault);
	/* Writing may make a text longer than the limit of reading. */
	KW_ASSERT(err == KW_OK || (err == KW_ETOOBIG && size > JSON_TEXT_SIZE_MAX / 8));
	if (err == KW_OK) {
		pack(again, &second);
		KW_ASSERT(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second)));
		kw_buf_fini(&second);
		protobuf_c_message_free_unpacked(again, NULL);
	}
	kw_buf_fini(&first);
	free(text);
	json_decref(tree);
	protobuf_c_message_free_unpacked(message, NULL);
	return 0;
}
