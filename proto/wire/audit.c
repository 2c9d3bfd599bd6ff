#include "proto/wire/audit.h"

#include <string.h>

#include "proto/wire/crypt.h"
#include "proto/wire/merkle.h"
#include "proto/wire/pbscan.h"

#define CHECKPOINT_SIZE_MAX 256u

enum kw_err kw_audit_leaf(const uint8_t *salt, const struct kw_digest *envelope_digest, struct kw_digest *out)
{
	struct kw_digest data;
	struct kw_view parts[] = {kw_view_str("kw1 leaf"), KW_VIEW(salt, KW_AUDIT_SALT_SIZE), KW_VIEW_OF(envelope_digest->bytes)};
	enum kw_err err = kw_sha256(parts, 3, &data);
	return err != KW_OK ? err : kw_merkle_leaf(KW_VIEW_OF(data.bytes), out);
}

enum kw_err kw_checkpoint_add(struct kw_buf *out, const struct kw_checkpoint *checkpoint)
{
	if (checkpoint->hub.text[0] == '\0' || checkpoint->size == 0 || checkpoint->size > KW_TREE_SIZE_MAX ||
		checkpoint->at_unix_ms <= 0)
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(checkpoint->hub.text));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, checkpoint->size);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, KW_VIEW_OF(checkpoint->root.bytes));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 4, (uint64_t)checkpoint->at_unix_ms);
	return err;
}

enum kw_err kw_checkpoint_read(struct kw_view payload, struct kw_checkpoint *out)
{
	struct kw_checkpoint checkpoint = {.size = 0};
	struct kw_pb pb = kw_pb_from(payload);
	struct kw_view hub = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	checkpoint.size = kw_pb_need_uint(&pb, 2, KW_TREE_SIZE_MAX);
	struct kw_view root = kw_pb_need_bytes(&pb, 3, KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	checkpoint.at_unix_ms = (int64_t)kw_pb_need_uint(&pb, 4, INT64_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(hub, &checkpoint.hub);
	if (err != KW_OK)
		return err;
	memcpy(checkpoint.root.bytes, root.data, KW_DIGEST_SIZE);
	*out = checkpoint;
	return KW_OK;
}

enum kw_err kw_witness_add(struct kw_buf *out, const struct kw_witness *statement)
{
	if (statement->witness.text[0] == '\0' || statement->at_unix_ms <= 0 || statement->checkpoint.size == 0)
		return KW_EFIELD;
	if (statement->checkpoint.size > CHECKPOINT_SIZE_MAX)
		return KW_ETOOBIG;
	enum kw_err err = kw_pb_add_bytes(out, 1, kw_view_str(statement->witness.text));
	if (err == KW_OK)
		err = kw_pb_add_uint(out, 2, (uint64_t)statement->at_unix_ms);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, statement->checkpoint);
	return err;
}

enum kw_err kw_witness_read(struct kw_view payload, struct kw_witness *out)
{
	struct kw_witness statement = {.at_unix_ms = 0};
	struct kw_pb pb = kw_pb_from(payload);
	struct kw_view name = kw_pb_need_bytes(&pb, 1, 1, KW_NAME_SIZE_MAX);
	statement.at_unix_ms = (int64_t)kw_pb_need_uint(&pb, 2, INT64_MAX);
	statement.checkpoint = kw_pb_need_bytes(&pb, 3, 1, CHECKPOINT_SIZE_MAX);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK)
		err = kw_name_from(name, &statement.witness);
	if (err == KW_OK)
		*out = statement;
	return err;
}

static bool is_path(struct kw_view path)
{
	return path.size % KW_DIGEST_SIZE == 0 && path.size <= KW_AUDIT_PATH_SIZE_MAX;
}

/* A path of no hashes is a field that is left out. */
static struct kw_view read_path(struct kw_pb *pb, uint32_t number)
{
	if (!kw_pb_is_next(pb, number))
		return KW_VIEW(NULL, 0);
	return kw_pb_need_bytes(pb, number, KW_DIGEST_SIZE, KW_AUDIT_PATH_SIZE_MAX);
}

enum kw_err kw_inclusion_add(struct kw_buf *out, const struct kw_inclusion *proof)
{
	if (!is_path(proof->path))
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_uint(out, 1, proof->index);
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 2, KW_VIEW(proof->salt, KW_AUDIT_SALT_SIZE));
	if (err == KW_OK)
		err = kw_pb_add_bytes(out, 3, proof->path);
	return err;
}

enum kw_err kw_inclusion_read(struct kw_view bytes, struct kw_inclusion *out)
{
	struct kw_inclusion proof = {.index = 0};
	struct kw_pb pb = kw_pb_from(bytes);
	proof.index = kw_pb_may_uint(&pb, 1, KW_TREE_SIZE_MAX);
	struct kw_view salt = kw_pb_need_bytes(&pb, 2, KW_AUDIT_SALT_SIZE, KW_AUDIT_SALT_SIZE);
	proof.salt = salt.data;
	proof.path = read_path(&pb, 3);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK && !is_path(proof.path))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = proof;
	return err;
}

enum kw_err kw_consistency_add(struct kw_buf *out, const struct kw_consistency *proof)
{
	if (proof->size_old == 0 || proof->size_old > KW_TREE_SIZE_MAX || !is_path(proof->path))
		return KW_EFIELD;
	enum kw_err err = kw_pb_add_uint(out, 1, proof->size_old);
	return err != KW_OK ? err : kw_pb_add_bytes(out, 2, proof->path);
}

enum kw_err kw_consistency_read(struct kw_view bytes, struct kw_consistency *out)
{
	struct kw_consistency proof = {.size_old = 0};
	struct kw_pb pb = kw_pb_from(bytes);
	proof.size_old = kw_pb_need_uint(&pb, 1, KW_TREE_SIZE_MAX);
	proof.path = read_path(&pb, 2);
	enum kw_err err = kw_pb_end(&pb);
	if (err == KW_OK && !is_path(proof.path))
		err = KW_EFIELD;
	if (err == KW_OK)
		*out = proof;
	return err;
}

/* `views` holds KW_TREE_PROOF_MAX. */
static size_t split(struct kw_view path, struct kw_view *views)
{
	size_t count = path.size / KW_DIGEST_SIZE;
	for (size_t i = 0; i < count; i++)
		views[i] = KW_VIEW(path.data + i * KW_DIGEST_SIZE, KW_DIGEST_SIZE);
	return count;
}

enum kw_err kw_audit_verify(const struct kw_checkpoint *checkpoint, const struct kw_digest *envelope_digest,
	const struct kw_inclusion *proof)
{
	struct kw_view views[KW_TREE_PROOF_MAX];
	struct kw_digest leaf;
	if (!is_path(proof->path))
		return KW_EFORMAT;
	enum kw_err err = kw_audit_leaf(proof->salt, envelope_digest, &leaf);
	if (err != KW_OK)
		return err;
	struct kw_tree_inclusion claim = {.index = proof->index, .size = checkpoint->size, .leaf = KW_VIEW_OF(leaf.bytes),
		.root = KW_VIEW_OF(checkpoint->root.bytes), .path = views, .path_count = split(proof->path, views)};
	return kw_tree_verify_inclusion(&claim);
}

const char *kw_audit_rule_name(enum kw_audit_rule rule)
{
	static const char *const names[KW_AUDIT_RULE_COUNT] = {"none", "form", "signature", "hub", "rollback", "forked", "proof"};
	return rule < KW_AUDIT_RULE_COUNT ? names[rule] : "unknown";
}

const char *kw_audit_rule_text(enum kw_audit_rule rule)
{
	static const char *const texts[KW_AUDIT_RULE_COUNT] = {
		[KW_AUDIT_RULE_NONE] = "nothing is wrong with it",
		[KW_AUDIT_RULE_FORM] = "does not parse: ask the hub's operator for its version of Kinward",
		[KW_AUDIT_RULE_SIGNATURE] = "the hub's log keys have not signed it: somebody stands in between, or the keys were changed "
									"without a new root",
		[KW_AUDIT_RULE_HUB] = "is of another hub's log: do not trust this hub before its operator has explained it",
		[KW_AUDIT_RULE_ROLLBACK] = "the log is shorter than it was: the hub was restored from a backup, or takes back what it had "
								   "confirmed; keep both checkpoints and ask its operator",
		[KW_AUDIT_RULE_FORKED] = "the log is not the one that was seen before: the hub shows different logs to different people; keep "
								 "both checkpoints and tell the other agencies",
		[KW_AUDIT_RULE_PROOF] = "the proof that the log only grew is missing or does not fit: it is asked for again",
	};
	return rule < KW_AUDIT_RULE_COUNT ? texts[rule] : "unknown";
}

static enum kw_err refuse(enum kw_audit_rule *rule, enum kw_audit_rule what, enum kw_err err)
{
	*rule = what;
	return err;
}

static enum kw_err refuse_form(enum kw_audit_rule *rule, enum kw_err err)
{
	return kw_err_class(err) == KW_CLASS_FATAL ? err : refuse(rule, KW_AUDIT_RULE_FORM, err);
}

/* A proof of the right form that leads to other roots is a fork: nobody can write a good one then. */
static enum kw_err check_growth(const struct kw_checkpoint *last, const struct kw_checkpoint *next, struct kw_view consistency,
	enum kw_audit_rule *rule)
{
	struct kw_consistency proof;
	struct kw_view views[KW_TREE_PROOF_MAX];
	if (next->size < last->size)
		return refuse(rule, KW_AUDIT_RULE_ROLLBACK, KW_EVERSION);
	if (next->size == last->size)
		return memcmp(&next->root, &last->root, sizeof(next->root)) == 0 ? KW_OK : refuse(rule, KW_AUDIT_RULE_FORKED, KW_EAUTH);
	enum kw_err err = kw_consistency_read(consistency, &proof);
	if (err != KW_OK || proof.size_old != last->size)
		return kw_err_class(err) == KW_CLASS_FATAL ? err : refuse(rule, KW_AUDIT_RULE_PROOF, KW_EAUTH);
	struct kw_tree_consistency claim = {.size_old = last->size, .size = next->size, .root_old = KW_VIEW_OF(last->root.bytes),
		.root = KW_VIEW_OF(next->root.bytes), .path = views, .path_count = split(proof.path, views)};
	err = kw_tree_verify_consistency(&claim);
	if (err == KW_EAUTH)
		return refuse(rule, KW_AUDIT_RULE_FORKED, err);
	return err == KW_EFIELD || err == KW_EFORMAT ? refuse(rule, KW_AUDIT_RULE_PROOF, KW_EAUTH) : err;
}

enum kw_err kw_audit_client_take(struct kw_audit_client *client, const struct kw_role_keys *log, struct kw_view signed_role,
	struct kw_view consistency, enum kw_audit_rule *rule)
{
	struct kw_role_signed role;
	struct kw_checkpoint next;
	uint32_t good;
	*rule = KW_AUDIT_RULE_NONE;
	enum kw_err err = kw_role_parse(signed_role, &role);
	if (err != KW_OK)
		return refuse_form(rule, err);
	err = kw_role_check(&role, KW_ROLE_LOG, log, &good);
	if (err != KW_OK)
		return err == KW_EAUTH ? refuse(rule, KW_AUDIT_RULE_SIGNATURE, err) : err;
	err = kw_checkpoint_read(role.payload, &next);
	if (err != KW_OK)
		return refuse_form(rule, err);
	if (!kw_name_equal(&next.hub, &client->last.hub))
		return refuse(rule, KW_AUDIT_RULE_HUB, KW_EAUTH);
	if (client->last.size > 0)
		err = check_growth(&client->last, &next, consistency, rule);
	if (err == KW_OK)
		client->last = next;
	return err;
}
