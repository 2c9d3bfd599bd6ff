#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire/states.h"

/* The pictures that the build drew show each state and each way of the tables, and nothing else. */

static char *read_picture(enum kw_thread_kind kind)
{
	const char *build = getenv("KW_BUILD_DIR");
	if (build == NULL)
		fail_msg("set KW_BUILD_DIR to the build folder, or run this by ctest");
	char path[4096];
	snprintf(path, sizeof(path), "%s/doc/states/%s.svg", build, kw_thread_kind_name(kind));
	FILE *file = fopen(path, "r");
	if (file == NULL)
		fail_msg("%s is missing: build the target states_pictures", path);
	char *text = calloc(1, 1 << 20);
	assert_non_null(text);
	size_t size = fread(text, 1, (1 << 20) - 1, file);
	assert_in_range(size, 1000, (1 << 20) - 2);
	fclose(file);
	return text;
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;
	for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
		count++;
	return count;
}

/* The card of a state: from its name to the next card. */
static char *card_of(const char *text, const char *name)
{
	char head[128];
	snprintf(head, sizeof(head), "data-state=\"%s\">%s</text>", name, name);
	const char *start = strstr(text, head);
	if (start == NULL)
		fail_msg("%s is not in the picture", name);
	assert_null(strstr(start + 1, head));
	const char *end = strstr(start + strlen(head), "data-state=");
	return strndup(start, end == NULL ? strlen(start) : (size_t)(end - start));
}

struct way {
	enum kw_thread_kind kind;
	uint8_t state;
	uint8_t event;
	enum kw_party party;
	uint8_t next;
};

/* Written under its author's heading, as a person reads it. */
static void check_way(const char *card, const struct way *way)
{
	const char *event = kw_state_name(way->kind, way->event);
	const char *late = kw_state_may_declare(way->kind, way->state, way->event, way->party) ? "" : "late: ";
	char tail[128] = "";
	if (way->next == way->state)
		snprintf(tail, sizeof(tail), " (the state stays)");
	else if (way->next != way->event)
		snprintf(tail, sizeof(tail), " → %s", kw_state_name(way->kind, way->next));
	char want[512];
	snprintf(want, sizeof(want), "data-way=\"%s|%s|%s|%s\">%s%s%s</text>",
		way->state == 0 ? "NONE" : kw_state_name(way->kind, way->state), kw_party_name(way->party), event,
		kw_state_name(way->kind, way->next), late, event, tail);
	const char *at = strstr(card, want);
	if (at == NULL)
		fail_msg("%s: not in the picture: %s", kw_thread_kind_name(way->kind), want);

	int above = -1;
	const char *nearest = card;
	for (int party = 0; party < KW_PARTY_COUNT; party++) {
		char heading[64];
		snprintf(heading, sizeof(heading), ">%s</text>", kw_party_name(party));
		const char *there = strstr(card, heading);
		if (there != NULL && there < at && there > nearest) {
			nearest = there;
			above = party;
		}
	}
	assert_int_equal(above, way->party);
}

static void check_card(const char *text, enum kw_thread_kind kind, uint8_t state, size_t *ways)
{
	char *card = card_of(text, state == 0 ? "(no thread yet)" : kw_state_name(kind, state));
	assert_int_equal(strstr(card, ">over") != NULL, state != 0 && !kw_state_is_open(kind, state));
	for (uint8_t event = 1; event < KW_STATE_MAX; event++) {
		for (int party = 0; party < KW_PARTY_COUNT; party++) {
			struct way way = {.kind = kind, .state = state, .event = event, .party = party};
			if (kw_state_apply(kind, state, event, party, &way.next) == KW_VERDICT_APPLY) {
				check_way(card, &way);
				(*ways)++;
			}
		}
	}
	free(card);
}

static void test_each_state_and_each_way_is_in_the_picture(void **state)
{
	(void)state;
	for (int kind = 1; kind < KW_THREAD_KIND_COUNT; kind++) {
		char *text = read_picture(kind);
		size_t states = 0, ways = 0;
		for (uint8_t s = 0; s < KW_STATE_MAX; s++) {
			if (s != 0 && kw_state_name(kind, s) == NULL)
				continue;
			check_card(text, kind, s, &ways);
			states++;
		}
		assert_int_equal(count_of(text, "data-state="), states);
		assert_int_equal(count_of(text, "data-way="), ways);
		assert_non_null(strstr(text, "</svg>"));
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_state_and_each_way_is_in_the_picture),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
