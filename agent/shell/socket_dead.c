#include <stdlib.h>

#include "agent/shell/socket_inner.h"
#include "agent/shell/spool_consent.h"
#include "agent/shell/spool_read.h"

/* Dead letters for todo: what of ours will not arrive, or was refused, until a person has acknowledged it. In a thread that is
 * erased there is nothing to be done about one. */

#define DEAD_MAX 100u

struct socket_dead_one {
	struct spool_item from;
	Kinward__V1__Item item;
};

struct gather {
	struct socket_dead *out;
	struct spool *spool;
	enum kw_err err;
};

static enum kw_err is_over(struct spool *spool, const struct spool_item *item, bool *out)
{
	struct spool_erasure erasure;
	enum kw_err err = spool_erasure(spool, &item->thread_id, &item->agency, &erasure);

	*out = err == KW_OK && erasure.action == SPOOL_ERASE_ACTION && spool_erasure_hides(&erasure);
	return err == KW_ENOTFOUND || err == KW_ECORRUPT ? KW_OK : err;
}

static bool gather_one(void *user, const struct spool_item *item, struct kw_view content)
{
	struct gather *gather = user;
	struct socket_dead *out = gather->out;
	bool over = false;

	(void)content;
	gather->err = is_over(gather->spool, item, &over);
	if (gather->err == KW_OK && !over)
		out->list[out->count++].from = *item;
	return gather->err == KW_OK && out->count < DEAD_MAX;
}

static void fill(struct socket_dead_one *one)
{
	struct spool_item *from = &one->from;
	Kinward__V1__Item *item = &one->item;

	kinward__v1__item__init(item);
	item->number = from->number;
	item->message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->message_id.bytes};
	item->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from->thread_id.bytes};
	item->thread_sequence = from->thread_sequence;
	item->agency = from->agency.text;
	item->at_unix_ms = from->at_ms;
	item->state = (Kinward__V1__OutState)from->state;
	if (from->reason != KW_OK)
		item->reason = (char *)(uintptr_t)kw_err_name(from->reason);
}

enum kw_err socket_dead(struct spool *spool, struct socket_dead *out)
{
	struct spool_query query = {.list = SPOOL_LIST_DEAD, .limit = SPOOL_LIST_MAX};
	struct gather gather = {.out = out, .spool = spool};
	uint64_t next = 1;
	enum kw_err err = KW_OK;

	*out = (struct socket_dead){.list = calloc(DEAD_MAX, sizeof(*out->list)), .rows = calloc(DEAD_MAX, sizeof(*out->rows))};
	if (out->list == NULL || out->rows == NULL)
		return KW_ENOMEM;
	for (; err == KW_OK && next != 0 && out->count < DEAD_MAX; query.after = next) {
		err = spool_list(spool, &query, gather_one, &gather, &next);
		err = err != KW_OK ? err : gather.err;
	}
	for (size_t i = 0; err == KW_OK && i < out->count; i++) {
		fill(&out->list[i]);
		out->rows[i] = &out->list[i].item;
	}
	return err;
}

void socket_dead_fini(struct socket_dead *dead)
{
	free(dead->list);
	free(dead->rows);
	*dead = (struct socket_dead){0};
}
