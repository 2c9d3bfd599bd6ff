#include <stdint.h>
#include <stdlib.h>

#include "agent/shell/table.h"
#include "proto/base/check.h"

/* Any file must be refused with a reason or become messages that can be unpacked. The first byte chooses the message. */

static void refused(void *context, const struct table_fault *fault)
{
	size_t *told = context;
	KW_ASSERT(fault->rule[0]);
	++*told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	unsigned kinds = 0;
	while (table_kind_at(kinds))
		kinds++;
	struct table *table = NULL;
	size_t told = 0, faults = 0;
	struct table_ask ask = {.kind = table_kind_at(data[0] % kinds), .refused = refused, .context = &told};
	enum kw_err err = table_read(KW_VIEW(data + 1, size - 1), &ask, &table, &faults);
	KW_ASSERT((err == KW_OK) == (table != NULL) && (err == KW_OK) == (faults == 0));
	KW_ASSERT(told == (faults < TABLE_FAULTS_MAX ? faults : TABLE_FAULTS_MAX));
	for (size_t i = 0; table && i < table_count(table); i++) {
		struct table_message message = table_at(table, i);
		ProtobufCMessage *body = protobuf_c_message_unpack(ask.kind->descriptor, NULL, message.body.size, message.body.data);
		KW_ASSERT(body);
		protobuf_c_message_free_unpacked(body, NULL);
	}
	table_free(table);
	return 0;
}
