#include "proto/base/id.h"

#include <string.h>

static bool name_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

enum kw_err kw_name_from(struct kw_view text, struct kw_name *out)
{
	if (text.size < 1 || text.size > KW_NAME_SIZE_MAX)
		return KW_EFIELD;
	for (size_t i = 0; i < text.size; i++)
		if (!name_char(text.data[i]))
			return KW_EFIELD;
	if (text.data[0] == '-' || text.data[text.size - 1] == '-')
		return KW_EFIELD;
	struct kw_name name = {{0}};
	memcpy(name.text, text.data, text.size);
	*out = name;
	return KW_OK;
}

bool kw_name_equal(const struct kw_name *a, const struct kw_name *b)
{
	return memcmp(a->text, b->text, sizeof(a->text)) == 0;
}

bool kw_id_equal(const struct kw_id *a, const struct kw_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

const char *kw_msg_class_name(enum kw_msg_class msg_class)
{
	static const char *const NAMES[KW_MSG_CLASS_COUNT] = {"control", "urgent", "normal", "bulk"};
	return (unsigned)msg_class < KW_MSG_CLASS_COUNT ? NAMES[msg_class] : "unknown";
}
