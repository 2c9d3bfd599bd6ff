#include <stdlib.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_clear.h"

/* What our own case system has to be cleared of, the longest asked first. */

struct socket_clear_one {
	struct spool_clear from;
	Kinward__V1__ClearRow row;
	Kinward__V1__ConsentPurpose purposes[7];
};

struct gather {
	struct socket_clears *out;
	enum kw_err err;
};

static bool gather_one(void *user, const struct spool_clear *clear)
{
	struct gather *gather = user;
	struct socket_clears *out = gather->out;

	if (out->count == out->room) {
		size_t room = out->room == 0 ? 16 : out->room * 2;
		struct socket_clear_one *list = reallocarray(out->list, room, sizeof(*list));

		if (list == NULL) {
			gather->err = KW_ENOMEM;
			return false;
		}
		out->list = list;
		out->room = room;
	}
	out->list[out->count++].from = *clear;
	return true;
}

static int by_age(const void *a, const void *b)
{
	int64_t x = ((const struct socket_clear_one *)a)->from.asked_ms;
	int64_t y = ((const struct socket_clear_one *)b)->from.asked_ms;

	return (x > y) - (x < y);
}

static void fill(struct socket_clear_one *one)
{
	static const struct kw_id none;
	struct spool_clear *from = &one->from;
	Kinward__V1__ClearRow *row = &one->row;

	kinward__v1__clear_row__init(row);
	row->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->thread_id.bytes};
	if (!kw_id_equal(&from->message_id, &none))
		row->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->message_id.bytes};
	row->agency = from->agency.text;
	row->kind = (Kinward__V1__ThreadKind)from->kind;
	row->case_ref = from->case_ref;
	row->new_case_ref = from->alias;
	row->action = (Kinward__V1__ErasureAction)from->action;
	row->limited = from->limited;
	row->answer_waits = from->answer_waits;
	row->asked_unix_ms = from->asked_ms;
	row->purposes = one->purposes;
	for (unsigned i = 0; i < 7; i++)
		if ((from->purposes & (1u << i)) != 0)
			one->purposes[row->n_purposes++] = (Kinward__V1__ConsentPurpose)(i + 1);
}

enum kw_err socket_clears(struct spool *spool, struct socket_clears *out)
{
	struct gather gather = {.out = out};

	*out = (struct socket_clears){0};
	enum kw_err err = spool_clears(spool, gather_one, &gather);
	if (err == KW_OK)
		err = gather.err;
	if (err != KW_OK || out->count == 0)
		return err;
	out->rows = calloc(out->count, sizeof(*out->rows));
	if (out->rows == NULL)
		return KW_ENOMEM;
	qsort(out->list, out->count, sizeof(out->list[0]), by_age);
	for (size_t i = 0; i < out->count; i++) {
		fill(&out->list[i]);
		out->rows[i] = &out->list[i].row;
	}
	return KW_OK;
}

void socket_clears_fini(struct socket_clears *clears)
{
	if (clears->list != NULL)
		kw_wipe(clears->list, clears->count * sizeof(clears->list[0]));
	free(clears->list);
	free(clears->rows);
	*clears = (struct socket_clears){0};
}
