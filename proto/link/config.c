#include "proto/link/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/link/file.h"

#define TRACE_SIZE 400u

struct trace {
	char *text;
	size_t size;
};

/* libcyaml says what is wrong in log lines: the fault first, then where, from the innermost field outwards. */
static void on_log(cyaml_log_t level, void *user, const char *format, va_list args)
{
	struct trace *trace = user;
	if (level < CYAML_LOG_ERROR || trace->size + 2 >= TRACE_SIZE)
		return;
	char line[256];
	int size = vsnprintf(line, sizeof(line), format, args);
	if (size <= 0)
		return;
	size_t used = strnlen(line, sizeof(line));
	while (used > 0 && (line[used - 1] == '\n' || line[used - 1] == ' '))
		used--;
	if (strncmp(line, "Load: ", 6) == 0) {
		memmove(line, line + 6, used - 6);
		used -= 6;
	}
	if (strncmp(line, "Backtrace:", 10) == 0)
		return;
	size_t room = TRACE_SIZE - trace->size - 2;
	if (used > room)
		used = room;
	trace->text[trace->size] = trace->size == 0 ? ' ' : ';';
	trace->size++;
	memcpy(trace->text + trace->size, line, used);
	trace->size += used;
	trace->text[trace->size] = '\0';
}

static enum kw_err refuse(struct kw_config_fault *fault, enum kw_err code, const char *path, const char *what)
{
	*fault = (struct kw_config_fault){.code = code};
	(void)snprintf(fault->text, sizeof(fault->text), "%s:%s", path, what);
	const char *line = strstr(what, "line: ");
	if (line != NULL && sscanf(line, "line: %u, column: %u", &fault->line, &fault->column) < 1)
		fault->line = 0;
	return code;
}

static const cyaml_config_t QUIET = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_DEFAULT | CYAML_CFG_NO_ALIAS};

enum kw_err kw_config_load(const char *path, const cyaml_schema_value_t *schema, cyaml_data_t **out,
	struct kw_config_fault *fault)
{
	char found[TRACE_SIZE] = "";
	struct trace trace = {.text = found};
	cyaml_config_t config = QUIET;
	config.log_fn = on_log;
	config.log_ctx = &trace;
	config.log_level = CYAML_LOG_ERROR;
	struct kw_buf bytes;
	kw_buf_init(&bytes, KW_CONFIG_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_PUBLIC, &bytes);
	if (err != KW_OK) {
		kw_buf_fini(&bytes);
		return refuse(fault, err, path, err == KW_ENOTFOUND ? " no such file" : " cannot be read; check owner and mode");
	}
	cyaml_err_t status = CYAML_ERR_INVALID_VALUE;
	if (bytes.size > 0)
		status = cyaml_load_data(bytes.data, bytes.size, &config, schema, out, NULL);
	kw_buf_fini(&bytes);
	if (status == CYAML_OK)
		return KW_OK;
	err = status == CYAML_ERR_OOM ? KW_ENOMEM : KW_EFIELD;
	if (status == CYAML_ERR_LIBYAML_PARSER || status == CYAML_ERR_LIBYAML_PARSER_INIT)
		err = KW_EFORMAT;
	return refuse(fault, err, path, found[0] != '\0' ? found : " is empty or not YAML");
}

void kw_config_free(const cyaml_schema_value_t *schema, cyaml_data_t *config)
{
	if (config != NULL)
		(void)cyaml_free(&QUIET, schema, config, 0); /* fails on a bad schema only */
}
