#include "proto/wire/enrolment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The record of a code at rest: "name value" in lines, in a fixed order, so that an operator can read it. */

#define VERSION "kinward enrolment 1"
#define REPLY_SIZE_MAX 16384u
#define LINE_SIZE 160u

static enum kw_err add_text(struct kw_buf *out, const char *name, const char *value)
{
	char line[LINE_SIZE];
	if (value[0] == '\0')
		return KW_OK;
	int size = snprintf(line, sizeof(line), "%s %s\n", name, value);
	return size > 0 && (size_t)size < sizeof(line) ? kw_buf_add(out, KW_VIEW(line, (size_t)size)) : KW_ETOOBIG;
}

static enum kw_err add_number(struct kw_buf *out, const char *name, int64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%lld", (long long)value); /* fits */
	return value == 0 ? KW_OK : add_text(out, name, text);
}

static enum kw_err add_hex(struct kw_buf *out, const char *name, struct kw_view bytes)
{
	if (bytes.size == 0)
		return KW_OK;
	enum kw_err err = kw_buf_add(out, kw_view_str(name));
	if (err == KW_OK)
		err = kw_buf_add(out, kw_view_str(" "));
	if (err == KW_OK)
		err = kw_buf_reserve(out, 2 * bytes.size + 1);
	if (err != KW_OK)
		return err;
	kw_hex((char *)out->data + out->size, bytes);
	out->size += 2 * bytes.size;
	return kw_buf_add(out, kw_view_str("\n"));
}

enum kw_err kw_enrolment_format(const struct kw_enrolment *enrolment, struct kw_buf *out)
{
	const struct {
		const char *name;
		const char *text;
		int64_t number;
		struct kw_view bytes;
	} lines[] = {
		{.name = "agency", .text = enrolment->agency.text},
		{.name = "state", .text = kw_enrolment_state_name(enrolment->state)},
		{.name = "key", .bytes = KW_VIEW_OF(enrolment->key.bytes)},
		{.name = "made_by", .text = enrolment->made_by},
		{.name = "made", .number = enrolment->made_s},
		{.name = "expires", .number = enrolment->expires_s},
		{.name = "tries", .number = enrolment->tries},
		{.name = "asked", .number = enrolment->asked_s},
		{.name = "phrase", .text = enrolment->phrase},
		{.name = "alarms", .number = enrolment->alarms},
		{.name = "alarm", .number = enrolment->alarm_s},
		{.name = "alarm_phrase", .text = enrolment->alarm_phrase},
		{.name = "decided_by", .text = enrolment->decided_by},
		{.name = "decided", .number = enrolment->decided_s},
		{.name = "alone", .number = enrolment->alone},
		{.name = "ask", .bytes = kw_buf_view(&enrolment->ask)},
		{.name = "reply", .bytes = kw_buf_view(&enrolment->reply)},
	};
	enum kw_err err = kw_buf_add(out, kw_view_str(VERSION "\n"));
	for (size_t i = 0; err == KW_OK && i < sizeof(lines) / sizeof(lines[0]); i++) {
		err = add_text(out, lines[i].name, lines[i].text != NULL ? lines[i].text : "");
		if (err == KW_OK)
			err = add_number(out, lines[i].name, lines[i].number);
		if (err == KW_OK)
			err = add_hex(out, lines[i].name, lines[i].bytes);
	}
	return err;
}

static bool take_text(const char *value, char *out, size_t size)
{
	size_t length = strlen(value);
	if (length >= size)
		return false;
	memcpy(out, value, length + 1);
	return true;
}

static bool take_number(const char *value, int64_t max, int64_t *out)
{
	char *end;
	errno = 0;
	long long number = strtoll(value, &end, 10);
	if (errno != 0 || *end != '\0' || end == value || number < 1 || number > max)
		return false;
	*out = number;
	return true;
}

static bool take_count(const char *value, uint32_t *out)
{
	int64_t number;
	if (!take_number(value, UINT32_MAX, &number))
		return false;
	*out = (uint32_t)number;
	return true;
}

static bool take_hex(const char *value, size_t size_max, struct kw_buf *out)
{
	size_t size = strlen(value) / 2;
	kw_buf_fini(out);
	kw_buf_init(out, size_max);
	if (kw_buf_reserve(out, size) != KW_OK || kw_unhex(out->data, size, value) != KW_OK)
		return false;
	out->size = size;
	return true;
}

static bool take_state(const char *value, enum kw_enrolment_state *out)
{
	for (int i = 0; i < KW_ENROLMENT_STATE_COUNT; i++) {
		if (strcmp(kw_enrolment_state_name((enum kw_enrolment_state)i), value) == 0) {
			*out = (enum kw_enrolment_state)i;
			return true;
		}
	}
	return false;
}

static bool take_by(const char *value, char out[KW_ENROL_BY_SIZE_MAX + 1])
{
	return kw_enrolment_by_good(value) && take_text(value, out, KW_ENROL_BY_SIZE_MAX + 1);
}

static bool take_line(const char *name, const char *value, struct kw_enrolment *out)
{
	int64_t alone;
	if (strcmp(name, "agency") == 0)
		return kw_name_from(kw_view_str(value), &out->agency) == KW_OK;
	if (strcmp(name, "state") == 0)
		return take_state(value, &out->state);
	if (strcmp(name, "key") == 0)
		return kw_unhex(out->key.bytes, sizeof(out->key.bytes), value) == KW_OK;
	if (strcmp(name, "made_by") == 0)
		return take_by(value, out->made_by);
	if (strcmp(name, "made") == 0)
		return take_number(value, INT64_MAX, &out->made_s);
	if (strcmp(name, "expires") == 0)
		return take_number(value, INT64_MAX, &out->expires_s);
	if (strcmp(name, "tries") == 0)
		return take_count(value, &out->tries);
	if (strcmp(name, "asked") == 0)
		return take_number(value, INT64_MAX, &out->asked_s);
	if (strcmp(name, "phrase") == 0)
		return take_text(value, out->phrase, sizeof(out->phrase));
	if (strcmp(name, "alarms") == 0)
		return take_count(value, &out->alarms);
	if (strcmp(name, "alarm") == 0)
		return take_number(value, INT64_MAX, &out->alarm_s);
	if (strcmp(name, "alarm_phrase") == 0)
		return take_text(value, out->alarm_phrase, sizeof(out->alarm_phrase));
	if (strcmp(name, "decided_by") == 0)
		return take_by(value, out->decided_by);
	if (strcmp(name, "decided") == 0)
		return take_number(value, INT64_MAX, &out->decided_s);
	if (strcmp(name, "alone") == 0)
		return out->alone = take_number(value, 1, &alone);
	if (strcmp(name, "ask") == 0)
		return take_hex(value, KW_ENROL_ASK_SIZE_MAX, &out->ask);
	return strcmp(name, "reply") == 0 && take_hex(value, REPLY_SIZE_MAX, &out->reply);
}

/* What each state must have. */
static bool is_whole(const struct kw_enrolment *out)
{
	bool asked = out->state == KW_ENROLMENT_ASKED || out->state == KW_ENROLMENT_APPROVED || out->state == KW_ENROLMENT_DONE;
	return out->agency.text[0] != '\0' && out->expires_s != 0 && (!asked || (out->ask.size > 0 && out->phrase[0] != '\0')) &&
		(out->state != KW_ENROLMENT_DONE || out->reply.size > 0);
}

enum kw_err kw_enrolment_parse(struct kw_view text, struct kw_enrolment *out)
{
	char *copy = malloc(text.size + 1);
	char *rest = copy;
	enum kw_err err = KW_OK;
	if (copy == NULL)
		return KW_ENOMEM;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	char *line = strsep(&rest, "\n");
	if (strcmp(line, VERSION) != 0)
		err = strncmp(line, VERSION, sizeof(VERSION) - 2) == 0 ? KW_EVERSION : KW_EFORMAT;
	while (err == KW_OK && (line = strsep(&rest, "\n")) != NULL && rest != NULL) {
		char *blank = strchr(line, ' ');
		if (blank != NULL)
			*blank = '\0';
		if (blank == NULL || !take_line(line, blank + 1, out))
			err = KW_EFORMAT;
	}
	if (err == KW_OK && ((line != NULL && line[0] != '\0') || !is_whole(out)))
		err = KW_EFORMAT;
	kw_wipe(copy, text.size);
	free(copy);
	return err;
}
