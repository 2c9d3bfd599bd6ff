#include "proto/wire/receipt.h"

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"
#include "proto/wire/pbscan.h"

#define LABEL "kw1 receipt"
#define SIGNED_SIZE (sizeof(LABEL) - 1 + KW_DIGEST_SIZE + 4)

/* A wire name: a-z and '_'. */
static bool failure_ok(struct kw_view text, enum kw_receipt_level level)
{
	for (size_t i = 0; i < text.size; i++)
		if ((text.data[i] < 'a' || text.data[i] > 'z') && text.data[i] != '_')
			return false;
	return text.size <= KW_RECEIPT_FAILURE_SIZE_MAX && (text.size > 0) == (level == KW_RECEIPT_FAILED);
}

static struct kw_view failure_of(const struct kw_receipt *receipt)
{
	return KW_VIEW(receipt->failure, strnlen(receipt->failure, sizeof(receipt->failure)));
}

enum kw_err kw_receipt_add(struct kw_buf *out, const struct kw_receipt *receipt)
{
	if (receipt->level < KW_RECEIPT_STORED || receipt->level >= KW_RECEIPT_LEVEL_COUNT || receipt->at_unix_ms < 1 ||
		!failure_ok(failure_of(receipt), receipt->level))
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, KW_VIEW_OF(receipt->digest.bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW_OF(receipt->envelope_id.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, receipt->level);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 4, failure_of(receipt));
	return err != KW_OK ? err : kw_pb_add_uint(out, 5, (uint64_t)receipt->at_unix_ms);
}

enum kw_err kw_receipt_read(struct kw_view bytes, struct kw_receipt *out)
{
	struct kw_receipt receipt = {.level = KW_RECEIPT_STORED};
	struct kw_view failure = {0};
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view digest = kw_pb_need_bytes(&pb, 1, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	struct kw_view id = kw_pb_need_bytes(&pb, 2, KW_ID_SIZE, KW_ID_SIZE);
	receipt.level = (enum kw_receipt_level)kw_pb_need_uint(&pb, 3, KW_RECEIPT_LEVEL_COUNT - 1);
	if (kw_pb_is_next(&pb, 4))
		failure = kw_pb_need_bytes(&pb, 4, 1, KW_RECEIPT_FAILURE_SIZE_MAX);
	receipt.at_unix_ms = (int64_t)kw_pb_need_uint(&pb, 5, INT64_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK && !failure_ok(failure, receipt.level))
		err = KW_EFIELD;
	if (err != KW_OK)
		return err;
	memcpy(receipt.digest.bytes, digest.data, KW_DIGEST_SIZE);
	memcpy(receipt.envelope_id.bytes, id.data, KW_ID_SIZE);
	if (failure.size > 0)
		memcpy(receipt.failure, failure.data, failure.size);
	*out = receipt;
	return KW_OK;
}

static enum kw_err put_node(void *user, uint32_t level, uint64_t index, const struct kw_digest *hash)
{
	struct kw_receipt_batch *batch = user;
	KW_ASSERT(level <= KW_RECEIPT_PATH_MAX && index < KW_RECEIPTS_MAX);
	batch->nodes[level][index] = *hash;
	return KW_OK;
}

static enum kw_err get_node(void *user, uint32_t level, uint64_t index, struct kw_digest *out)
{
	const struct kw_receipt_batch *batch = user;
	KW_ASSERT(level <= KW_RECEIPT_PATH_MAX && index < KW_RECEIPTS_MAX);
	*out = batch->nodes[level][index];
	return KW_OK;
}

static enum kw_err leaf_of(const struct kw_receipt *receipt, struct kw_digest *out)
{
	struct kw_buf entry;
	kw_buf_init(&entry, KW_RECEIPT_ENTRY_SIZE_MAX);
	enum kw_err err = kw_receipt_add(&entry, receipt);
	if (err == KW_OK)
		err = kw_merkle_leaf(kw_buf_view(&entry), out);
	kw_buf_fini(&entry);
	return err;
}

enum kw_err kw_receipt_batch_add(struct kw_receipt_batch *batch, const struct kw_receipt *receipt)
{
	struct kw_tree_sink sink = {.put = put_node, .user = batch};
	struct kw_digest leaf;
	if (batch->tree.size >= KW_RECEIPTS_MAX)
		return KW_EFULL;
	enum kw_err err = leaf_of(receipt, &leaf);
	return err != KW_OK ? err : kw_tree_append(&batch->tree, &leaf, &sink);
}

/* The count is signed with the root: the root of another number of leaves could be the same hash. */
static void label(const struct kw_digest *root, uint32_t count, uint8_t *out)
{
	memcpy(out, LABEL, sizeof(LABEL) - 1);
	memcpy(out + sizeof(LABEL) - 1, root->bytes, KW_DIGEST_SIZE);
	kw_put_u32(out + sizeof(LABEL) - 1 + KW_DIGEST_SIZE, count);
}

static enum kw_err batch_label(const struct kw_receipt_batch *batch, uint8_t *out)
{
	struct kw_digest root;
	if (batch->tree.size == 0)
		return KW_EFIELD;
	enum kw_err err = kw_tree_root(&batch->tree, &root);
	if (err == KW_OK)
		label(&root, (uint32_t)batch->tree.size, out);
	return err;
}

enum kw_err kw_receipt_batch_sign(const struct kw_receipt_batch *batch, const struct kw_ed25519 *identity,
	uint8_t *signature)
{
	uint8_t bytes[SIGNED_SIZE];
	enum kw_err err = batch_label(batch, bytes);
	return err != KW_OK ? err : kw_ed25519_sign(identity, KW_VIEW_OF(bytes), signature);
}

enum kw_err kw_receipt_batch_verify(const struct kw_receipt_batch *batch, const uint8_t *identity_key,
	struct kw_view signature)
{
	uint8_t bytes[SIGNED_SIZE];
	enum kw_err err = batch_label(batch, bytes);
	return err != KW_OK ? err : kw_ed25519_verify(identity_key, KW_VIEW_OF(bytes), signature);
}

enum kw_err kw_receipt_batch_prove(const struct kw_receipt_batch *batch, uint32_t index,
	const struct kw_receipt *receipt, const uint8_t *signature, struct kw_receipt_proof *out)
{
	struct kw_tree_source source = {.get = get_node, .user = (void *)(uintptr_t)batch};
	struct kw_tree_proof path = {.count = 0};
	struct kw_digest leaf;
	enum kw_err err = index < batch->tree.size ? leaf_of(receipt, &leaf) : KW_EFIELD;
	if (err == KW_OK && memcmp(&leaf, &batch->nodes[0][index], sizeof(leaf)) != 0)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = kw_tree_prove_inclusion(&source, index, batch->tree.size, &path);
	if (err != KW_OK)
		return err;
	KW_ASSERT(path.count <= KW_RECEIPT_PATH_MAX);
	*out = (struct kw_receipt_proof){.receipt = *receipt,
		.index = index,
		.count = (uint32_t)batch->tree.size,
		.path_count = (uint32_t)path.count};
	memcpy(out->path, path.hashes, path.count * sizeof(path.hashes[0]));
	memcpy(out->signature, signature, KW_SIGNATURE_SIZE);
	return KW_OK;
}

enum kw_err kw_receipt_proof_add(struct kw_buf *out, const struct kw_receipt_proof *proof)
{
	struct kw_buf entry;
	if (proof->count < 1 || proof->count > KW_RECEIPTS_MAX || proof->index >= proof->count ||
		proof->path_count > KW_RECEIPT_PATH_MAX)
		return KW_EFIELD;
	kw_buf_init(&entry, KW_RECEIPT_ENTRY_SIZE_MAX);
	enum kw_err err = kw_receipt_add(&entry, &proof->receipt);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 1, kw_buf_view(&entry));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, proof->index);
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 3, proof->count);
	for (uint32_t i = 0; err == KW_OK && i < proof->path_count; i++)
		err = kw_pb_add_bytes(out, 4, KW_VIEW_OF(proof->path[i].bytes));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 5, KW_VIEW_OF(proof->signature));
	kw_buf_fini(&entry);
	return err;
}

enum kw_err kw_receipt_proof_read(struct kw_view bytes, struct kw_receipt_proof *out)
{
	struct kw_receipt_proof proof = {.count = 0};
	struct kw_pb pb = kw_pb_from(bytes);
	struct kw_view entry = kw_pb_need_bytes(&pb, 1, 1, KW_RECEIPT_ENTRY_SIZE_MAX);
	proof.index = (uint32_t)kw_pb_may_uint(&pb, 2, KW_RECEIPTS_MAX - 1);
	proof.count = (uint32_t)kw_pb_need_uint(&pb, 3, KW_RECEIPTS_MAX);
	while (proof.path_count < KW_RECEIPT_PATH_MAX && kw_pb_is_next(&pb, 4)) {
		struct kw_view hash = kw_pb_need_bytes(&pb, 4, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
		if (hash.size != KW_DIGEST_SIZE)
			break; /* sticky: told at the end */
		memcpy(proof.path[proof.path_count++].bytes, hash.data, KW_DIGEST_SIZE);
	}
	struct kw_view signature = kw_pb_need_bytes(&pb, 5, KW_SIGNATURE_SIZE, KW_SIGNATURE_SIZE);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK && proof.index >= proof.count)
		err = KW_EFIELD;
	if (err == KW_OK)
		err = kw_receipt_read(entry, &proof.receipt);
	if (err != KW_OK)
		return err;
	memcpy(proof.signature, signature.data, KW_SIGNATURE_SIZE);
	*out = proof;
	return KW_OK;
}

enum kw_err kw_receipt_proof_verify(const struct kw_receipt_proof *proof, const uint8_t *identity_key)
{
	struct kw_view path[KW_RECEIPT_PATH_MAX];
	struct kw_digest leaf, root;
	uint8_t bytes[SIGNED_SIZE];
	if (proof->count < 1 || proof->count > KW_RECEIPTS_MAX || proof->index >= proof->count ||
		proof->path_count > KW_RECEIPT_PATH_MAX)
		return KW_EFIELD;
	for (uint32_t i = 0; i < proof->path_count; i++)
		path[i] = KW_VIEW_OF(proof->path[i].bytes);
	enum kw_err err = leaf_of(&proof->receipt, &leaf);
	if (err == KW_OK)
		err = kw_tree_root_by(&(struct kw_tree_inclusion){.index = proof->index, .size = proof->count,
			.leaf = KW_VIEW_OF(leaf.bytes), .path = path, .path_count = proof->path_count}, &root);
	if (err != KW_OK)
		return err;
	label(&root, proof->count, bytes);
	return kw_ed25519_verify(identity_key, KW_VIEW_OF(bytes), KW_VIEW_OF(proof->signature));
}
