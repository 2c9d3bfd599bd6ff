#include "proto/link/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum kw_log_level level_min = KW_LOG_INFO;

struct line {
	size_t size;
	char text[KW_LOG_LINE_MAX];
};

/* Room that is kept for the closing of quote, brace and newline. */
#define LINE_TAIL 8u

void kw_log_level_set(enum kw_log_level level)
{
	level_min = level;
}

/* What the next field needs at least besides its key: comma, quotes, colon and the longest number. */
#define FIELD_ROOM 32u
/* An escape, and the quote that ends the text. */
#define ESCAPE_ROOM 7u

static size_t room_of(const struct line *line)
{
	return sizeof(line->text) - LINE_TAIL - line->size;
}

static void add(struct line *line, const char *text, size_t size)
{
	size_t room = room_of(line);
	if (size > room)
		size = room;
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

static void add_escaped(struct line *line, const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		char escape[8];
		if (room_of(line) < ESCAPE_ROOM)
			return;
		if (*at == '"' || *at == '\\')
			(void)snprintf(escape, sizeof(escape), "\\%c", *at);
		else if (*at < 0x20 || *at >= 0x7f)
			(void)snprintf(escape, sizeof(escape), "\\u%04x", *at);
		else
			(void)snprintf(escape, sizeof(escape), "%c", *at);
		add(line, escape, strlen(escape));
	}
}

static void add_quoted(struct line *line, const char *text)
{
	add(line, "\"", 1);
	add_escaped(line, text);
	add(line, "\"", 1);
}

static void add_time(struct line *line)
{
	struct timespec now;
	struct tm utc;
	char text[40];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t size = strftime(text, sizeof(text), "{\"t\":\"%Y-%m-%dT%H:%M:%S", &utc);
	add(line, text, size);
	(void)snprintf(text, sizeof(text), ".%03ldZ\"", now.tv_nsec / 1000000);
	add(line, text, strlen(text));
}

static void add_field(struct line *line, const struct kw_log_field *field)
{
	char number[32];
	add(line, ",", 1);
	add_quoted(line, field->key);
	add(line, ":", 1);
	if (field->kind == KW_LOG_IS_INT) {
		(void)snprintf(number, sizeof(number), "%" PRId64, field->number);
		add(line, number, strlen(number));
	} else if (field->str == NULL) {
		add(line, "null", 4);
	} else {
		add_quoted(line, field->str);
	}
}

void kw_log_write(enum kw_log_level level, const char *event, const struct kw_log_field *fields)
{
	static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
	if (level < level_min)
		return;
	struct line line = {.size = 0};
	add_time(&line);
	struct kw_log_field head[] = {KW_LOG_STR("level", LEVELS[level]), KW_LOG_STR("event", event)};
	add_field(&line, &head[0]);
	add_field(&line, &head[1]);
	/* A field that no longer fits is left out whole, and those behind it: a reader must still find JSON. */
	for (; fields->kind != KW_LOG_END && room_of(&line) >= strlen(fields->key) + FIELD_ROOM; fields++)
		add_field(&line, fields);
	line.text[line.size++] = '}';
	line.text[line.size++] = '\n';
	/* One write, so that lines of two processes do not mix. There is nowhere to report a failure to. */
	ssize_t written = write(STDERR_FILENO, line.text, line.size);
	(void)written;
}
