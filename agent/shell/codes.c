#include "agent/shell/codes.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Length of what all values begin with: the prefix that protobuf's style guide asks for. */
static size_t prefix_size(const ProtobufCEnumDescriptor *type)
{
	const char *first = type->values[0].name;
	size_t size = strlen(first);
	for (unsigned i = 1; i < type->n_values; i++) {
		size_t same = 0;
		while (same < size && type->values[i].name[same] == first[same])
			same++;
		size = same;
	}
	while (size > 0 && first[size - 1] != '_')
		size--;
	return size;
}

static char fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == ' ' || c == '-' || c == '/' ? '_' : c;
}

static bool same(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b)) {
		a++;
		b++;
	}
	return !*a && !*b;
}

struct synonym {
	const char *type; /* short name of the enum */
	const char *word;
	const char *value; /* short name of the value */
};

static const struct synonym SYNONYMS[] = {
	{"Sex", "f", "female"}, {"Sex", "girl", "female"}, {"Sex", "woman", "female"},
	{"Sex", "m", "male"}, {"Sex", "boy", "male"}, {"Sex", "man", "male"},
	{"ConsentAnswer", "yes", "given"}, {"ConsentAnswer", "true", "given"},
	{"ConsentAnswer", "no", "refused"}, {"ConsentAnswer", "false", "refused"},
	{"Alive", "yes", "alive"}, {"Alive", "true", "alive"}, {"Alive", "no", "dead"}, {"Alive", "false", "dead"},
	{"ConsentSource", "child", "individual"}, {"ConsentSource", "parent", "caregiver"},
};

const ProtobufCEnumValue *codes_find(const ProtobufCEnumDescriptor *type, const char *text)
{
	for (size_t i = 0; i < sizeof(SYNONYMS) / sizeof(SYNONYMS[0]); i++)
		if (strcmp(SYNONYMS[i].type, type->short_name) == 0 && same(SYNONYMS[i].word, text))
			text = SYNONYMS[i].value;
	size_t prefix = prefix_size(type);
	for (unsigned i = 0; i < type->n_values; i++) {
		const ProtobufCEnumValue *value = &type->values[i];
		if (value->value != 0 && (same(value->name, text) || same(value->name + prefix, text)))
			return value;
	}
	return NULL;
}

const char *codes_short(const ProtobufCEnumDescriptor *type, int value, char *out, size_t size)
{
	const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
	if (!found) {
		(void)snprintf(out, size, "%d", value);
		return out;
	}
	(void)snprintf(out, size, "%s", found->name + prefix_size(type)); /* cut as promised */
	for (char *c = out; *c; c++)
		*c = fold(*c);
	return out;
}

const char *codes_list(const ProtobufCEnumDescriptor *type, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < type->n_values; i++) {
		char name[CODES_SHORT_SIZE];
		if (type->values[i].value == 0)
			continue;
		(void)codes_short(type, type->values[i].value, name, sizeof(name));
		size_t more = strlen(name) + (used ? 1 : 0);
		if (used + more >= size)
			break;
		used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", name);
	}
	return out;
}
