#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/cli/cli.h"
#include "agent/shell/codes.h"

/* One character of `text` decoded strictly; its length, or 0 if the bytes are not UTF-8. */
static size_t decode(const char *text, uint32_t *point)
{
	const uint8_t *in = (const uint8_t *)text;
	if (in[0] < 0x80) {
		*point = in[0];
		return 1;
	}
	size_t size = in[0] >= 0xf0 && in[0] <= 0xf4 ? 4 : in[0] >= 0xe0 && in[0] < 0xf0 ? 3 : in[0] >= 0xc2 && in[0] < 0xe0 ? 2 : 0;
	if (size == 0)
		return 0;
	uint32_t value = in[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) { /* a terminator is no continuation byte, so this stays inside */
		if ((in[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (in[i] & 0x3fu);
	}
	static const uint32_t MIN[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (value < MIN[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*point = value;
	return size;
}

/* What a terminal might obey, or what hides or reorders text. */
static bool is_active(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0xad || point == 0x61c ||
		(point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
		(point >= 0x2060 && point <= 0x206f) || point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
		(point >= 0xe0000 && point <= 0xe007f);
}

/* Zero-width joiner and non-joiner are part of spelling in Persian, Kurdish and Indic scripts, and change no order. */
static bool is_joiner(uint32_t point)
{
	return point == 0x200c || point == 0x200d;
}

/* The printable form of the next character, at most 12 bytes with terminator; returns how much of text it covers. */
static size_t printable(const char *text, char out[12])
{
	uint32_t point = 0;
	size_t size = decode(text, &point);
	if (size == 0) {
		(void)snprintf(out, 12, "\\x%02x", (unsigned)(uint8_t)text[0]);
		return 1;
	}
	if (is_active(point) && !is_joiner(point)) {
		(void)snprintf(out, 12, point < 0x80 ? "\\x%02x" : "\\u{%x}", (unsigned)point);
		return size;
	}
	memcpy(out, text, size);
	out[size] = '\0';
	return size;
}

bool cli_is_utf8(const char *text)
{
	uint32_t point = 0;
	while (*text) {
		size_t size = decode(text, &point);
		if (size == 0)
			return false;
		text += size;
	}
	return true;
}

void cli_print_text(FILE *out, const char *text)
{
	char one[12];
	while (text && *text) {
		text += printable(text, one);
		(void)fputs(one, out); /* main checks the stream at the end */
	}
}

void cli_escape(char *out, size_t size, const char *text)
{
	size_t used = 0;
	char one[12];
	while (*text) {
		text += printable(text, one);
		size_t more = strlen(one);
		if (used + more >= size)
			break;
		memcpy(out + used, one, more);
		used += more;
	}
	out[used] = '\0';
}

void cli_print_hex(FILE *out, const ProtobufCBinaryData *bytes)
{
	if (bytes->len == 0)
		(void)fputc('-', out);
	for (size_t i = 0; i < bytes->len; i++)
		(void)fprintf(out, "%02x", bytes->data[i]);
}

void cli_print_time(FILE *out, int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm parts;
	char text[40];
	if (unix_ms <= 0 || !gmtime_r(&seconds, &parts) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &parts) == 0)
		(void)fputc('-', out);
	else
		(void)fputs(text, out);
}

void cli_print_code(FILE *out, const ProtobufCEnumDescriptor *type, int value)
{
	char name[CODES_SHORT_SIZE];
	(void)fputs(codes_short(type, value, name, sizeof(name)), out);
}

int cli_code_option(struct cli_call *call, const ProtobufCEnumDescriptor *type, const char *option, const char *text,
	int *out)
{
	const ProtobufCEnumValue *value = codes_find(type, text);
	if (value) {
		*out = value->value;
		return CLI_OK;
	}
	char list[480];
	return cli_fail_usage(call, "%s is one of: %s", option, codes_list(type, list, sizeof(list)));
}

int cli_take_code(struct cli_call *call, const ProtobufCEnumDescriptor *type, int option, int *value)
{
	char name[64];
	if (!call->option[option])
		return CLI_OK;
	(void)snprintf(name, sizeof(name), "--%s", call->command->options[option].name); /* names are ours, and short */
	return cli_code_option(call, type, name, call->option[option], value);
}

char *cli_borrowed(const char *text)
{
	return (char *)(uintptr_t)(text ? text : "");
}

static void print_value(FILE *out, const char *name, json_t *value, int indent);

static void print_indent(FILE *out, int indent)
{
	for (int i = 0; i < indent; i++)
		(void)fputs("  ", out);
}

static void print_scalar(FILE *out, const char *name, json_t *value)
{
	size_t size = strlen(name);
	if (json_is_string(value) && size > 6 && strcmp(name + size - 6, "UnixMs") == 0)
		cli_print_time(out, strtoll(json_string_value(value), NULL, 10));
	else if (json_is_string(value))
		cli_print_text(out, json_string_value(value));
	else if (json_is_integer(value))
		(void)fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		(void)fprintf(out, "%.17g", json_real_value(value));
	else
		(void)fputs(json_is_true(value) ? "yes" : "no", out);
}

static void print_members(FILE *out, json_t *object, int indent)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value)
		print_value(out, name, value, indent);
}

static void print_value(FILE *out, const char *name, json_t *value, int indent)
{
	if (json_is_array(value)) {
		size_t count = json_array_size(value);
		for (size_t i = 0; i < count; i++)
			print_value(out, name, json_array_get(value, i), indent);
		return;
	}
	print_indent(out, indent);
	cli_print_text(out, name);
	(void)fputs(": ", out);
	if (json_is_object(value)) {
		(void)fputc('\n', out);
		print_members(out, value, indent + 1);
		return;
	}
	print_scalar(out, name, value);
	(void)fputc('\n', out);
}

void cli_print_tree(FILE *out, const ProtobufCMessage *message)
{
	json_t *tree = NULL;
	struct json_fault fault;
	if (!message)
		return;
	if (json_map_write(message, &tree, &fault) != KW_OK) {
		(void)fprintf(out, "  (cannot be shown: ");
		cli_print_text(out, fault.path);
		(void)fprintf(out, " %s)\n", fault.rule);
		return;
	}
	print_members(out, tree, 1);
	json_decref(tree);
}

void cli_print_json(FILE *out, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;
	if (text)
		(void)fprintf(out, "%s\n", text);
	free(text);
	json_decref(value);
}

int cli_print_message_json(struct cli_call *call, const ProtobufCMessage *message)
{
	json_t *tree = NULL;
	struct json_fault fault;
	enum kw_err err = json_map_write(message, &tree, &fault);
	if (err != KW_OK)
		return cli_fail_json(call, err, "the agent's reply", &fault);
	cli_print_json(call->out, tree);
	return CLI_OK;
}
