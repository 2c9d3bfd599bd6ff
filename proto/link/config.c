#include "proto/link/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/link/file.h"

#define MESSAGE_SIZE 200u

/* libcyaml says what is wrong in log lines: the fault first, then where, from the innermost field outwards. */
struct trace {
	char message[MESSAGE_SIZE]; /* the first line */
	char field[128];
	unsigned line;
	unsigned column;
};

static unsigned number_after(const char *text, const char *label)
{
	const char *at = strstr(text, label);
	return at == NULL ? 0 : (unsigned)strtoul(at + strlen(label), NULL, 10);
}

/* Puts "name" or "[3]" before the path so far. */
static void add_outer(struct trace *trace, const char *line, bool entry)
{
	char path[2 * sizeof(trace->field)];
	const char *start = strchr(line, '\'');
	const char *end = start == NULL ? NULL : strchr(start + 1, '\'');
	if (end == NULL)
		return;
	const char *join = trace->field[0] != '\0' && trace->field[0] != '[' ? "." : "";
	(void)snprintf(path, sizeof(path), entry ? "[%.*s]%s%s" : "%.*s%s%s", (int)(end - start - 1), start + 1, join,
		trace->field);
	path[sizeof(trace->field) - 1] = '\0'; /* a path too long loses its inner end */
	memcpy(trace->field, path, sizeof(trace->field));
}

__attribute__((format(printf, 3, 0))) static void on_log(cyaml_log_t level, void *user, const char *format,
	va_list args)
{
	struct trace *trace = user;
	char buffer[256];
	const char *line = buffer;
	if (level < CYAML_LOG_ERROR || vsnprintf(buffer, sizeof(buffer), format, args) <= 0)
		return;
	buffer[strcspn(buffer, "\n")] = '\0';
	if (strncmp(line, "Load: ", 6) == 0)
		line += 6;
	line += strspn(line, " ");
	bool field = strncmp(line, "in mapping field", 16) == 0;
	bool entry = strncmp(line, "in sequence entry", 17) == 0;
	if (field || entry)
		add_outer(trace, line, entry);
	else if (trace->message[0] == '\0' && strncmp(line, "Backtrace", 9) != 0)
		(void)snprintf(trace->message, sizeof(trace->message), "%s", line);
	if (trace->line == 0) {
		trace->line = number_after(line, "line: ");
		trace->column = number_after(line, "column: ");
	}
}

/* For an unknown key libcyaml tells where the last known thing stood; the key itself is the first of its name from there
 * on. Its place is left as it is when the key is not found, in a flow mapping for example. */
static void find_key(struct trace *trace, struct kw_view text)
{
	static const char LABEL[] = "Unexpected key: ";
	if (strncmp(trace->message, LABEL, sizeof(LABEL) - 1) != 0)
		return;
	struct kw_view key = kw_view_str(trace->message + sizeof(LABEL) - 1);
	size_t at = 0;
	for (unsigned line = 1; at < text.size; line++) {
		size_t start = at;
		while (at < text.size && (text.data[at] == ' ' || text.data[at] == '-'))
			at++;
		size_t rest = text.size - at;
		if (line >= trace->line && rest > key.size && text.data[at + key.size] == ':' &&
			memcmp(text.data + at, key.data, key.size) == 0) {
			trace->line = line;
			trace->column = (unsigned)(at - start) + 1;
			return;
		}
		while (at < text.size && text.data[at] != '\n')
			at++;
		at++;
	}
}

/* For a missing field libcyaml's trace ends at some other field, so only the name that it misses is trusted. */
static void find_missing(struct trace *trace)
{
	static const char LABEL[] = "Missing required mapping field: ";
	if (strncmp(trace->message, LABEL, sizeof(LABEL) - 1) == 0)
		(void)snprintf(trace->field, sizeof(trace->field), "%.127s", trace->message + sizeof(LABEL) - 1);
}

/* What to do about it. */
static const char *advice(cyaml_err_t status)
{
	switch (status) {
	case CYAML_ERR_INVALID_KEY:
		return "remove this key or correct its spelling";
	case CYAML_ERR_MAPPING_FIELD_MISSING:
		return "add the missing field";
	case CYAML_ERR_INVALID_VALUE:
	case CYAML_ERR_STRING_LENGTH_MIN:
	case CYAML_ERR_STRING_LENGTH_MAX:
		return "correct the value; the manual lists its range";
	case CYAML_ERR_ALIAS:
		return "write the value out instead of an alias";
	default:
		return "correct the YAML at this place";
	}
}

static enum kw_err refuse(struct kw_config_fault *fault, enum kw_err code, const char *path, const struct trace *trace,
	const char *what_to_do)
{
	*fault = (struct kw_config_fault){.code = code, .line = trace->line, .column = trace->column};
	memcpy(fault->field, trace->field, sizeof(fault->field));
	char place[32] = "";
	if (trace->line != 0)
		(void)snprintf(place, sizeof(place), ":%u:%u", trace->line, trace->column);
	const char *separator = trace->field[0] == '\0' ? "" : ": ";
	(void)snprintf(fault->text, sizeof(fault->text), "%.120s%s%s%s: %s; %s", path, place, separator, trace->field,
		trace->message, what_to_do);
	return code;
}

static enum kw_err refuse_file(struct kw_config_fault *fault, enum kw_err code, const char *path)
{
	struct trace trace = {.line = 0};
	(void)snprintf(trace.message, sizeof(trace.message), "%s",
		code == KW_ENOTFOUND ? "no such file" : "cannot be read");
	return refuse(fault, code, path, &trace,
		code == KW_ENOTFOUND ? "give the path of the configuration"
				     : "it must be a regular file, no link, that only its owner may write");
}

static const cyaml_config_t QUIET = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_DEFAULT | CYAML_CFG_NO_ALIAS};

enum kw_err kw_config_load(const char *path, const cyaml_schema_value_t *schema, cyaml_data_t **out,
	struct kw_config_fault *fault)
{
	struct trace trace = {.line = 0};
	cyaml_config_t config = QUIET;
	config.log_fn = on_log;
	config.log_ctx = &trace;
	config.log_level = CYAML_LOG_ERROR;
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_CONFIG_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_PUBLIC, &bytes);
	if (err != KW_OK) {
		kw_buf_fini(&bytes);
		return refuse_file(fault, err, path);
	}
	cyaml_err_t status = CYAML_ERR_INVALID_VALUE;
	if (bytes.size > 0)
		status = cyaml_load_data(bytes.data, bytes.size, &config, schema, out, NULL);
	size_t bytes_size = bytes.size;
	find_key(&trace, kw_buf_view(&bytes));
	find_missing(&trace);
	kw_buf_fini(&bytes);
	if (status == CYAML_OK)
		return KW_OK;
	err = status == CYAML_ERR_OOM ? KW_ENOMEM : KW_EFIELD;
	if (status == CYAML_ERR_LIBYAML_PARSER || status == CYAML_ERR_LIBYAML_PARSER_INIT)
		err = KW_EFORMAT;
	if (trace.message[0] == '\0')
		(void)snprintf(trace.message, sizeof(trace.message), "%s",
			bytes_size == 0 ? "is empty" : cyaml_strerror(status));
	return refuse(fault, err, path, &trace, advice(status));
}

/* The offset of `key:` in the text from `at` on, outside comments; text.size when there is none. */
static size_t find_value_key(struct kw_view text, size_t at, struct kw_view key)
{
	bool comment = false;
	for (; at + key.size < text.size; at++) {
		uint8_t before = at > 0 ? text.data[at - 1] : '\n';
		comment = before != '\n' && (comment || (text.data[at] == '#' && (before == ' ' || before == '\t')));
		comment = comment || (before == '\n' && text.data[at] == '#');
		bool starts = before == '\n' || before == ' ' || before == '\t' || before == '{' || before == ',';
		if (!comment && starts && text.data[at + key.size] == ':' && memcmp(text.data + at, key.data, key.size) == 0)
			return at;
	}
	return text.size;
}

/* The file is valid by its schema and has the field, so its keys stand in the text one after the other. */
static void place_field(struct kw_view text, const char *field, struct trace *trace)
{
	size_t at = 0;
	for (const char *part = field; *part != '\0'; part += strcspn(part, "."), part += *part == '.') {
		size_t found = find_value_key(text, at, KW_VIEW((const uint8_t *)part, strcspn(part, ".")));
		if (found == text.size)
			return;
		at = found + 1;
	}
	if (at == 0)
		return;
	trace->line = 1;
	trace->column = 1;
	for (size_t i = 0; i + 1 < at; i++) {
		trace->column = text.data[i] == '\n' ? 1 : trace->column + 1;
		trace->line += text.data[i] == '\n';
	}
}

enum kw_err kw_config_refuse(const char *path, const char *field, const char *rule, struct kw_config_fault *fault)
{
	struct trace trace = {.line = 0};
	struct kw_buf bytes;
	(void)snprintf(trace.field, sizeof(trace.field), "%s", field);
	(void)snprintf(trace.message, sizeof(trace.message), "%s", rule);
	kw_buf_init(&bytes, KW_CONFIG_SIZE_MAX);
	if (kw_file_read(path, KW_FILE_PUBLIC, &bytes) == KW_OK)
		place_field(kw_buf_view(&bytes), field, &trace);
	kw_buf_fini(&bytes);
	return refuse(fault, KW_EFIELD, path, &trace, "correct the value");
}

void kw_config_free(const cyaml_schema_value_t *schema, cyaml_data_t *config)
{
	if (config != NULL)
		(void)cyaml_free(&QUIET, schema, config, 0); /* fails on a bad schema only */
}
