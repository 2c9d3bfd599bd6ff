#include <string.h>

#include "broker/shell/store_inner.h"
#include "proto/base/check.h"

/* The audit log from the loop's side: what is handed over, and proofs, which are read from committed rows. */

void store_log_row(struct store *store, const struct store_row *row)
{
	struct store_hash *hash = row->msg_class != KW_CONTROL ? store->writer.audit.hash : NULL;
	if (hash == NULL)
		return;
	if (store_hash_add(hash, row->box) == KW_OK)
		store->filling->logged++;
	else
		store_out_of_memory(store);
}

void store_forget(struct store *store, uint64_t ticket, const struct kw_digest *envelope_digest, uint64_t index)
{
	struct store_box *box = store_box_new(KW_DIGEST_SIZE);
	if (box == NULL) {
		store_out_of_memory(store);
		return;
	}
	memcpy(box->data, envelope_digest->bytes, KW_DIGEST_SIZE);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL)
		store_box_unref(box);
	else
		*op = (struct store_op){.kind = STORE_OP_FORGET, .sequence = index, .box = box};
}

void store_put_checkpoint(struct store *store, uint64_t ticket, uint64_t size, struct kw_view signed_role)
{
	KW_ASSERT(signed_role.size <= KW_AUDIT_SIGNED_SIZE_MAX);
	struct store_box *box = store_box_new((uint32_t)signed_role.size);
	if (box == NULL) {
		store_out_of_memory(store);
		return;
	}
	memcpy(box->data, signed_role.data, signed_role.size);
	struct store_op *op = store_next_op(store, ticket);
	if (op == NULL)
		store_box_unref(box);
	else
		*op = (struct store_op){.kind = STORE_OP_CHECKPOINT, .sequence = size, .box = box};
}

bool store_log(const struct store *store, const struct kw_tree **out)
{
	*out = &store->figures.tree;
	return store->writer.audit.hash != NULL && !store->figures.log_broken;
}

static enum kw_err get_node(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	struct store *store = user;
	int code = store_audit_node(store->reader, &store->env, level, index, out);
	return code == MDB_NOTFOUND ? KW_ECORRUPT : store_env_err(code);
}

enum kw_err store_prove(struct store *store, uint64_t index, uint64_t size, struct kw_tree_proof *out)
{
	const struct kw_tree_source source = {.get = get_node, .user = store};
	enum kw_err err = store_env_err(store_reader_begin(store));
	if (err == KW_OK)
		err = kw_tree_prove_inclusion(&source, index, size, out);
	store_reader_end(store);
	return err;
}

enum kw_err store_prove_growth(struct store *store, uint64_t size_old, uint64_t size, struct kw_tree_proof *out)
{
	const struct kw_tree_source source = {.get = get_node, .user = store};
	enum kw_err err = store_env_err(store_reader_begin(store));
	if (err == KW_OK)
		err = kw_tree_prove_consistency(&source, size_old, size, out);
	store_reader_end(store);
	return err;
}
