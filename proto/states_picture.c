/* Draws the five state machines: kw-states-picture FOLDER writes FOLDER/referral.svg and so on, from the tables that agents
 * and hubs run. One card per state, with what each party may declare there; arrows for the ways that lead to the next
 * column. The build runs it (target states_pictures), so a picture cannot be older than its table. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/states.h"

#define CARD_WIDTH 316
#define COLUMN_WIDTH 410
#define LINE_HEIGHT 15
#define HEAD_HEIGHT 42
#define GAP 24
#define MARGIN 30
#define TOP 118
#define LINES_MAX (KW_STATE_MAX * KW_PARTY_COUNT)

/* Who the two parties of each kind of thread are. */
static const char *const roles[KW_THREAD_KIND_COUNT][2] = {
	[KW_THREAD_REFERRAL] = {"opener: the case owner", "other: the provider"},
	[KW_THREAD_TRANSFER] = {"opener: the present owner", "other: the new owner"},
	[KW_THREAD_TRACING] = {"opener: holds the child's record", "other: traces"},
	[KW_THREAD_MATCH] = {"opener: holder of the first record", "other: of the second"},
	[KW_THREAD_OFFER] = {"opener: looks for a provider", "other: a candidate"},
};

static const char *const colours[KW_PARTY_COUNT] = {"#1d5fa8", "#a8521d", "#4a7a2c"};

struct line {
	enum kw_party party;
	uint8_t event;
	uint8_t to;
	bool late; /* taken, not offered */
};

struct card {
	bool exists;
	int rank; /* steps from the start: the column */
	int x, y, height;
	struct line lines[LINES_MAX];
	int lines_count;
	int groups_count; /* parties with lines */
};

struct picture {
	enum kw_thread_kind kind;
	struct card cards[KW_STATE_MAX]; /* [0]: before the thread */
	uint8_t order[KW_STATE_MAX];     /* as reached */
	int order_count;
	int width, height;
};

/* ------------------------------------------------------------------------------------------------------------ reading */

static void read_card(struct picture *picture, uint8_t state)
{
	struct card *card = &picture->cards[state];
	for (int party = 0; party < KW_PARTY_COUNT; party++) {
		int before = card->lines_count;
		for (int late = 0; late < 2; late++) {
			for (uint8_t event = 1; event < KW_STATE_MAX; event++) {
				uint8_t to = 0;
				bool offered = kw_state_may_declare(picture->kind, state, event, (enum kw_party)party);
				if (kw_state_apply(picture->kind, state, event, (enum kw_party)party, &to) != KW_VERDICT_APPLY ||
					offered == (late == 1))
					continue;
				card->lines[card->lines_count++] =
					(struct line){.party = (enum kw_party)party, .event = event, .to = to, .late = !offered};
			}
		}
		card->groups_count += card->lines_count > before;
	}
}

static void reach(struct picture *picture, uint8_t state, int rank)
{
	if (picture->cards[state].rank >= 0)
		return;
	picture->cards[state].rank = rank;
	picture->order[picture->order_count++] = state;
}

/* Columns by the fewest steps from the start. */
static void read_machine(struct picture *picture)
{
	for (uint8_t state = 0; state < KW_STATE_MAX; state++) {
		picture->cards[state].exists = state == 0 || kw_state_name(picture->kind, state) != NULL;
		picture->cards[state].rank = -1;
		if (picture->cards[state].exists)
			read_card(picture, state);
	}
	reach(picture, 0, 0);
	for (int i = 0; i < picture->order_count; i++) {
		const struct card *card = &picture->cards[picture->order[i]];
		for (int l = 0; l < card->lines_count; l++) {
			if (!card->lines[l].late)
				reach(picture, card->lines[l].to, card->rank + 1);
		}
	}
}

static void place(struct picture *picture)
{
	int bottom[KW_STATE_MAX];
	for (int rank = 0; rank < (int)KW_STATE_MAX; rank++)
		bottom[rank] = TOP;
	for (int i = 0; i < picture->order_count; i++) {
		struct card *card = &picture->cards[picture->order[i]];
		card->height = HEAD_HEIGHT + LINE_HEIGHT * (card->lines_count + card->groups_count) + 8;
		card->x = MARGIN + card->rank * COLUMN_WIDTH;
		card->y = bottom[card->rank];
		bottom[card->rank] += card->height + GAP;
		if (bottom[card->rank] > picture->height)
			picture->height = bottom[card->rank];
		if (card->x + CARD_WIDTH + MARGIN > picture->width)
			picture->width = card->x + CARD_WIDTH + MARGIN;
	}
}

/* ------------------------------------------------------------------------------------------------------------ drawing */

static const char *name_of(const struct picture *picture, uint8_t state)
{
	return state == 0 ? "(no thread yet)" : kw_state_name(picture->kind, state);
}

static void draw_head(const struct picture *picture, FILE *out)
{
	const char *kind = kw_thread_kind_name(picture->kind);
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
		"font-family=\"DejaVu Sans Mono, Consolas, monospace\" font-size=\"11\">\n",
		picture->width, picture->height, picture->width, picture->height);
	fprintf(out, "<title>States of a %s thread</title>\n<defs>\n", kind);
	for (int party = 0; party < KW_PARTY_COUNT; party++) {
		fprintf(out, "<marker id=\"to-%s\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
			"orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"%s\"/></marker>\n",
			kw_party_name((enum kw_party)party), colours[party]);
	}
	fprintf(out, "</defs>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n");
	fprintf(out, "<text x=\"%d\" y=\"34\" font-size=\"20\" font-weight=\"bold\">%s</text>\n", MARGIN, kind);
	int x = MARGIN;
	for (int party = 0; party < KW_PARTY_COUNT; party++, x += 280) {
		const char *role = party == KW_PARTY_HUB ? "hub" : roles[picture->kind][party];
		fprintf(out, "<rect x=\"%d\" y=\"48\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"58\">%s</text>\n", x,
			colours[party], x + 18, role);
	}
	static const char *const words[] = {
		"In each state: what each party may declare. The state is then the declared one, or the one behind the arrow.",
		"late: taken but not offered, because its author said it before it could know this state. What is not listed changes nothing.",
		"Grey with a double border: over. The arrows lead to the next column; the other ways are in the lists only."};
	for (int i = 0; i < 3; i++)
		fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#444444\">%s</text>\n", MARGIN, 76 + 13 * i, words[i]);
}

/* Where a line of a card stands; its group's heading is above the first of a party. */
static int line_y(const struct card *card, int index)
{
	int headings = 0;
	for (int i = 0; i <= index; i++)
		headings += i == 0 || card->lines[i].party != card->lines[i - 1].party;
	return card->y + HEAD_HEIGHT + LINE_HEIGHT * (index + headings) + 8;
}

static void draw_arrows(const struct picture *picture, uint8_t state, FILE *out)
{
	const struct card *from = &picture->cards[state];
	for (int i = 0; i < from->lines_count; i++) {
		const struct line *line = &from->lines[i];
		const struct card *to = &picture->cards[line->to];
		if (line->late || to->rank != from->rank + 1)
			continue;
		/* Those of one author arrive side by side, so that they can be told from the others'. */
		int x1 = from->x + CARD_WIDTH, y1 = line_y(from, i) - 4;
		int x2 = to->x - 2, y2 = to->y + 12 + 9 * (int)line->party;
		int bend = (COLUMN_WIDTH - CARD_WIDTH) / 2;
		fprintf(out, "<path d=\"M%d,%d C%d,%d %d,%d %d,%d\" fill=\"none\" stroke=\"%s\" stroke-opacity=\"0.75\" "
			"marker-end=\"url(#to-%s)\"/>\n",
			x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2, colours[line->party], kw_party_name(line->party));
	}
}

static void draw_box(const struct picture *picture, uint8_t state, FILE *out)
{
	const struct card *card = &picture->cards[state];
	bool over = state != 0 && !kw_state_is_open(picture->kind, state);
	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"%s\" stroke=\"#333333\"/>\n", card->x,
		card->y, CARD_WIDTH, card->height, over ? "#e4e4e4" : "#fbfaf5");
	if (over) {
		fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" fill=\"none\" stroke=\"#333333\"/>\n",
			card->x + 3, card->y + 3, CARD_WIDTH - 6, card->height - 6);
	}
	fprintf(out, "<text x=\"%d\" y=\"%d\" font-size=\"13\" font-weight=\"bold\" data-state=\"%s\">%s</text>\n", card->x + 10,
		card->y + 20, name_of(picture, state), name_of(picture, state));
	fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#444444\">", card->x + 10, card->y + 35);
	if (over)
		fprintf(out, "over");
	const char *joint = "waits for";
	for (int party = 0; party < KW_PARTY_COUNT; party++) {
		if (!kw_state_waits_for(picture->kind, state, (enum kw_party)party))
			continue;
		fprintf(out, "%s %s", joint, kw_party_name((enum kw_party)party));
		joint = " and";
	}
	if (kw_state_public(picture->kind, state) != state)
		fprintf(out, " · shown as %s", name_of(picture, kw_state_public(picture->kind, state)));
	fprintf(out, "</text>\n");
}

static void draw_line(const struct picture *picture, uint8_t state, int index, FILE *out)
{
	const struct card *card = &picture->cards[state];
	const struct line *line = &card->lines[index];
	int y = line_y(card, index);
	if (index == 0 || card->lines[index - 1].party != line->party) {
		fprintf(out, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\" fill=\"%s\">%s</text>\n", card->x + 10, y - LINE_HEIGHT,
			colours[line->party], kw_party_name(line->party));
	}
	fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"%s\"%s data-way=\"%s|%s|%s|%s\">%s%s", card->x + 22, y, colours[line->party],
		line->late ? " font-style=\"italic\" fill-opacity=\"0.8\"" : "", state == 0 ? "NONE" : name_of(picture, state),
		kw_party_name(line->party), name_of(picture, line->event), name_of(picture, line->to), line->late ? "late: " : "",
		name_of(picture, line->event));
	if (line->to == state)
		fprintf(out, " (the state stays)");
	else if (line->to != line->event)
		fprintf(out, " → %s", name_of(picture, line->to));
	fprintf(out, "</text>\n");
}

static void draw(const struct picture *picture, FILE *out)
{
	draw_head(picture, out);
	for (int i = 0; i < picture->order_count; i++)
		draw_arrows(picture, picture->order[i], out);
	for (int i = 0; i < picture->order_count; i++) {
		uint8_t state = picture->order[i];
		draw_box(picture, state, out);
		for (int l = 0; l < picture->cards[state].lines_count; l++)
			draw_line(picture, state, l, out);
	}
	fprintf(out, "</svg>\n");
}

static int write_picture(const char *folder, enum kw_thread_kind kind)
{
	static struct picture picture;
	picture = (struct picture){.kind = kind};
	read_machine(&picture);
	place(&picture);

	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s.svg", folder, kw_thread_kind_name(kind));
	if (n < 0 || (size_t)n >= sizeof(path)) {
		fprintf(stderr, "kw-states-picture: the name of the folder is too long\n");
		return 1;
	}
	FILE *out = fopen(path, "w");
	if (out == NULL) {
		fprintf(stderr, "kw-states-picture: cannot write %s: %s\n", path, strerror(errno));
		return 1;
	}
	draw(&picture, out);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		fprintf(stderr, "kw-states-picture: %s is not complete: the disk may be full\n", path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: kw-states-picture FOLDER\nwrites one .svg of each state machine into the folder\n");
		return 2;
	}
	int failed = 0;
	for (int kind = KW_THREAD_NONE + 1; kind < KW_THREAD_KIND_COUNT; kind++)
		failed |= write_picture(argv[1], (enum kw_thread_kind)kind);
	return failed;
}
