#include <stdlib.h>
#include <string.h>

#include "agent/shell/spool_inner.h"
#include "proto/base/check.h"

/* Groups, run by the writer: in a transaction inside the one of the batch, which is taken back when one is refused. What
 * has been promised before stays as it is: the places in the outbox that the core gave to them are used up all the same.
 *
 * A key that the vault made for a thread of a group that was taken back stays in the vault and opens nothing. */

struct spool_group *spool_group_new(uint32_t count)
{
	struct spool_group *group = calloc(1, sizeof(*group));

	if (group == NULL)
		return NULL;
	group->count = count;
	group->refs = 1;
	group->tail = &group->head;
	return group;
}

void spool_group_unref(struct spool_group *group)
{
	if (group != NULL && --group->refs == 0)
		free(group);
}

bool spool_group_join(struct spool_op *op, struct spool_op **first, struct spool_op **last)
{
	struct spool_group *group = op->group;

	KW_ASSERT(group->joined < group->count);
	*group->tail = op;
	group->tail = &op->next;
	*first = group->head;
	*last = op;
	return ++group->joined == group->count;
}

bool spool_groups_give_up(struct spool_op *ops)
{
	bool any = false;

	for (struct spool_op *op = ops; op != NULL; op = op->next) {
		if (op->group != NULL && op->group->err != KW_ENOSPACE) {
			op->group->err = KW_ENOSPACE;
			any = true;
		}
	}
	return any;
}

/* Nothing of it has happened, but that its place in the outbox is gone. */
static enum kw_err undo(struct spool *spool, struct spool_op *op)
{
	struct spool_place place = {.msg_class = op->u.append.msg_class, .sequence = op->u.append.sequence};

	op->gone_count = 0;
	op->repeat = false;
	op->number = 0;
	op->follow = false;
	if (op->type != SPOOL_OP_APPEND)
		return KW_OK;
	if (spool->numbers[N_NEXT_SEQ + place.msg_class] <= place.sequence)
		spool->numbers[N_NEXT_SEQ + place.msg_class] = place.sequence + 1;
	return spool_gone_add(op, &place);
}

enum kw_err spool_run_group(struct spool *spool, MDB_txn *txn, struct spool_op *op, struct spool_op **next)
{
	struct spool_group *group = op->group;
	uint64_t numbers[N_COUNT];
	MDB_txn *inner;
	struct spool_op *end = op;
	enum kw_err err = spool_mdb(mdb_txn_begin(spool->env, txn, 0, &inner));

	if (err != KW_OK)
		return err;
	memcpy(numbers, spool->numbers, sizeof(numbers));
	if (group->err != KW_ENOSPACE)
		group->err = KW_OK; /* of an attempt before */
	for (uint32_t i = 0; i < group->count; i++, end = end->next) {
		KW_ASSERT(end != NULL && end->group == group);
		if (err == KW_OK && group->err == KW_OK)
			err = spool_run(spool, inner, end);
		if (end->fault != AGT_FAULT_NONE)
			group->err = KW_EILLEGAL;
	}
	*next = end;
	if (err == KW_OK && group->err == KW_OK)
		return spool_mdb(mdb_txn_commit(inner));
	mdb_txn_abort(inner);
	memcpy(spool->numbers, numbers, sizeof(numbers));
	for (; err == KW_OK && op != end; op = op->next)
		err = undo(spool, op);
	return err;
}
