#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "broker/shell/hub_inner.h"
#include "proto/link/log.h"
#include "proto/wire/envelope.h"
#include "proto/wire/frame_audit.h"

/* The audit log: the store has its leaves and nodes (store_writer_audit.c), here are its checkpoints and its proofs.
 *
 *   leaves are committed → a checkpoint of them is signed, each second or each CHECKPOINT_LEAVES → agents are shown it with
 *   WELCOME; one that has sent something since, each TOLD_EAGER_MS; one that only listens, each TOLD_IDLE_MS, or a month of
 *   idling beside a busy hub would cost a hundred megabytes → what somebody was shown is kept in the store
 *
 * Nothing waits for any of it: an ack follows the commit alone. What cannot be signed or proved is logged, and agents do
 * without. */

#define CHECKPOINT_LEAVES 1000u
#define TOLD_EAGER_MS 10000u
#define TOLD_IDLE_MS 3600000u
#define TOLD_SLICE 200u  /* connections that one tick tells */
#define PROOFS_MAX 64u   /* for all agents, each second: each may walk STORE_FIND_LEAVES_MAX leaves */
#define FORGET_WALKS 16u /* of so many leaves, that one tick does for a request to forget */

struct audit_conn {
	bool up;
	bool eager;         /* has sent something since it was told */
	uint64_t size;      /* that it was told last, or said that it knows */
	uint64_t told_signed; /* which one that was, as `hub_audit.signed_count` counts; 0: none in this session */
	uint64_t told_ms;
};

/* A request to forget that is carried out: the whole log is looked through, until once nothing is found. */
struct forgetting {
	char name[2 * KW_DIGEST_SIZE + 1]; /* of its file; empty: none */
	struct kw_digest digest;
	uint64_t below; /* 0: at the end */
	bool found;
};

struct hub_audit {
	struct hub *hub;
	struct kw_ed25519 key;
	char *forget_folder;
	struct forgetting forgetting;
	struct kw_checkpoint last; /* size 0: none yet */
	struct kw_buf signed_role; /* of it */
	uint64_t signed_count;     /* checkpoints since the start: with another log key one of the same size is another one */
	bool kept;                 /* in the store */
	bool broken;               /* as the log knows it */
	uint32_t proofs_left;
	uint32_t conns_max;
	uint32_t next_conn;
	struct audit_conn *conns;
};

enum kw_err hub_leaf_digest(const uint8_t *body, uint32_t size, struct kw_digest *out)
{
	return kw_envelope_digest(KW_VIEW(body, size), out);
}

enum kw_err hub_audit_open(struct hub *hub, const struct hub_options *options)
{
	if (options->log_key == NULL)
		return KW_OK;
	struct hub_audit *audit = calloc(1, sizeof(*audit));
	if (audit == NULL)
		return KW_ENOMEM;
	hub->audit = audit;
	audit->hub = hub;
	audit->key = *options->log_key;
	audit->last.hub = options->name;
	audit->conns_max = options->limits.conns_max;
	audit->proofs_left = PROOFS_MAX;
	kw_buf_init(&audit->signed_role, KW_AUDIT_SIGNED_SIZE_MAX);
	audit->conns = calloc(audit->conns_max, sizeof(*audit->conns));
	if (options->forget_folder != NULL)
		audit->forget_folder = strdup(options->forget_folder);
	return audit->conns == NULL || (options->forget_folder != NULL && audit->forget_folder == NULL) ? KW_ENOMEM : KW_OK;
}

void hub_audit_free(struct hub *hub)
{
	if (hub->audit == NULL)
		return;
	kw_wipe(&hub->audit->key, sizeof(hub->audit->key));
	kw_buf_fini(&hub->audit->signed_role);
	free(hub->audit->forget_folder);
	free(hub->audit->conns);
	free(hub->audit);
	hub->audit = NULL;
}

void hub_log_key(struct hub *hub, const struct kw_ed25519 *key)
{
	struct hub_audit *audit = hub->audit;
	if (audit == NULL || memcmp(audit->key.public_key, key->public_key, KW_KEY_SIZE) == 0)
		return;
	audit->key = *key;
	audit->last.size = 0; /* agents with the new root believe nothing that the old key has signed */
	for (uint32_t i = 0; i < audit->conns_max; i++)
		audit->conns[i].eager = true; /* soon, or what they compare and prove is of the old key */
	kw_log(KW_LOG_INFO, "log_key_changed");
}

static enum kw_err sign(struct hub_audit *audit, const struct kw_tree *tree, struct kw_checkpoint *out)
{
	struct kw_role_signed role = {.count = 0};
	struct kw_buf payload, bytes;
	kw_buf_init(&payload, KW_AUDIT_SIGNED_SIZE_MAX);
	kw_buf_init(&bytes, KW_AUDIT_SIGNED_SIZE_MAX);
	*out = (struct kw_checkpoint){
		.hub = audit->last.hub, .size = tree->size, .at_unix_ms = (int64_t)hub_time_now(audit->hub)};
	enum kw_err err = kw_tree_root(tree, &out->root);
	if (err == KW_OK)
		err = kw_checkpoint_add(&payload, out);
	role.payload = kw_buf_view(&payload);
	if (err == KW_OK)
		err = kw_role_sign(&role, KW_ROLE_LOG, &audit->key);
	if (err == KW_OK)
		err = kw_role_add(&bytes, &role);
	kw_buf_fini(&payload);
	if (err != KW_OK) {
		kw_buf_fini(&bytes);
		return err;
	}
	kw_buf_fini(&audit->signed_role);
	audit->signed_role = bytes;
	return KW_OK;
}

/* A checkpoint of what is committed, when at least so many leaves came since the last. */
static void look(struct hub_audit *audit, uint64_t leaves_min)
{
	const struct kw_tree *tree;
	struct kw_checkpoint next;
	bool whole = store_log(audit->hub->store, &tree);
	if (!whole && !audit->broken)
		kw_log(KW_LOG_ERROR, "audit_log_damaged", KW_LOG_STR("text",
			"The audit log cannot be read, so it has ended: messages go on, but nothing is proved any more. Put the store back "
			"from a backup, and tell the agencies."));
	audit->broken = !whole;
	if (!whole || tree->size < audit->last.size + leaves_min)
		return;
	enum kw_err err = sign(audit, tree, &next);
	if (err != KW_OK) {
		kw_log(KW_LOG_ERROR, "checkpoint_failed", KW_LOG_ERR(err));
		return;
	}
	audit->last = next;
	audit->signed_count++;
	audit->kept = false;
}

/* Kept before anybody sees it, in the order of the store: `kinward audit verify` finds all that were shown. */
static void keep(struct hub_audit *audit)
{
	if (audit->kept)
		return;
	audit->kept = true;
	store_put_checkpoint(audit->hub->store, audit->hub->ticket, audit->last.size, kw_buf_view(&audit->signed_role));
}

static enum kw_err add_growth(struct hub_audit *audit, uint64_t size_old, struct kw_buf *out)
{
	struct kw_tree_proof proof;
	enum kw_err err = store_prove_growth(audit->hub->store, size_old, audit->last.size, &proof);
	if (err != KW_OK)
		return err;
	struct kw_consistency consistency = {
		.size_old = size_old, .path = KW_VIEW(proof.hashes, proof.count * KW_DIGEST_SIZE)};
	return kw_consistency_add(out, &consistency);
}

static void finish(struct hub_audit *audit, uint32_t conn, enum kw_err err)
{
	struct hub *hub = audit->hub;
	if (err != KW_OK)
		hub->wire.close(hub->wire.user, conn, err);
	else
		hub->wire.ready(hub->wire.user, conn);
}

static void tell(struct hub_audit *audit, uint32_t conn)
{
	struct hub *hub = audit->hub;
	struct audit_conn *state = &audit->conns[conn];
	struct kw_buf *out = hub->wire.out(hub->wire.user, conn);
	struct kw_buf growth;
	if (out == NULL || audit->last.size == 0)
		return;
	kw_buf_init(&growth, KW_AUDIT_PROOF_SIZE_MAX);
	struct kw_frame_checkpoint frame = {.checkpoint = kw_buf_view(&audit->signed_role)};
	/* One that knows a longer log is told as well, and sees that this one is shorter. */
	if (state->size > 0 && state->size < audit->last.size) {
		enum kw_err err = add_growth(audit, state->size, &growth);
		if (err != KW_OK)
			kw_log(KW_LOG_ERROR, "proof_failed", KW_LOG_ERR(err), KW_LOG_INT("size", (int64_t)state->size));
		else
			frame.consistency = kw_buf_view(&growth);
	}
	keep(audit);
	state->size = audit->last.size;
	state->told_signed = audit->signed_count;
	state->told_ms = uv_now(hub->loop);
	state->eager = false;
	finish(audit, conn, kw_frame_checkpoint_add(out, &frame));
	kw_buf_fini(&growth);
}

void hub_audit_hello(struct hub *hub, uint32_t conn, uint64_t log_size)
{
	if (hub->audit != NULL)
		hub->audit->conns[conn] = (struct audit_conn){.size = log_size};
}

void hub_audit_welcomed(struct hub *hub, uint32_t conn)
{
	if (hub->audit == NULL)
		return;
	hub->audit->conns[conn].up = true;
	look(hub->audit, 1);
	tell(hub->audit, conn);
}

void hub_audit_down(struct hub *hub, uint32_t conn)
{
	if (hub->audit != NULL)
		hub->audit->conns[conn].up = false;
}

void hub_audit_sent(struct hub *hub, uint32_t conn)
{
	if (hub->audit != NULL)
		hub->audit->conns[conn].eager = true;
}

void hub_audit_committed(struct hub *hub)
{
	if (hub->audit != NULL)
		look(hub->audit, CHECKPOINT_LEAVES);
}

static enum kw_err add_inclusion(struct hub_audit *audit, struct kw_frame_proof *frame, struct kw_buf *out)
{
	struct store_leaf leaf;
	struct kw_tree_proof path;
	uint64_t below = frame->of.below == 0 || frame->of.below > audit->last.size ? audit->last.size : frame->of.below;
	enum kw_err err = store_find_leaf(audit->hub->store, &frame->of.digest, below, &leaf, &frame->below);
	if (err == KW_OK)
		err = store_prove(audit->hub->store, leaf.index, audit->last.size, &path);
	if (err != KW_OK)
		return err;
	struct kw_inclusion inclusion = {
		.index = leaf.index, .salt = leaf.salt, .path = KW_VIEW(path.hashes, path.count * KW_DIGEST_SIZE)};
	err = kw_inclusion_add(out, &inclusion);
	kw_wipe(&leaf, sizeof(leaf));
	return err;
}

static void answer(struct hub_audit *audit, uint32_t conn, struct kw_frame_proof *frame)
{
	struct hub *hub = audit->hub;
	struct kw_buf proof;
	kw_buf_init(&proof, KW_AUDIT_PROOF_SIZE_MAX);
	if (audit->conns[conn].told_signed != audit->signed_count)
		tell(audit, conn);
	struct kw_buf *out = hub->wire.out(hub->wire.user, conn);
	if (audit->last.size == 0 || frame->of.size_old > audit->last.size) {
		frame->code = KW_ENOTFOUND;
	} else if (frame->of.size_old != 0) {
		frame->code = add_growth(audit, frame->of.size_old, &proof);
	} else {
		frame->code = add_inclusion(audit, frame, &proof);
	}
	if (frame->code == KW_OK) {
		frame->checkpoint = kw_buf_view(&audit->signed_role);
		frame->proof = kw_buf_view(&proof);
	} else if (frame->code != KW_ENOTFOUND) {
		kw_log(KW_LOG_ERROR, "proof_failed", KW_LOG_ERR(frame->code));
	}
	if (out != NULL)
		finish(audit, conn, kw_frame_proof_add(out, frame));
	kw_buf_fini(&proof);
}

enum kw_err hub_audit_prove(struct hub *hub, uint32_t conn, struct kw_view body)
{
	struct hub_audit *audit = hub->audit;
	struct kw_frame_proof frame = {.code = KW_OK};
	if (audit == NULL || !audit->conns[conn].up)
		return KW_OK; /* a frame that may be skipped */
	enum kw_err err = kw_frame_prove_parse(body, &frame.of);
	if (err != KW_OK)
		return err;
	if (audit->proofs_left == 0) {
		struct kw_buf *out = hub->wire.out(hub->wire.user, conn);
		frame.code = KW_EBUSY;
		if (out != NULL)
			finish(audit, conn, kw_frame_proof_add(out, &frame));
		return KW_OK;
	}
	audit->proofs_left--;
	look(audit, 1); /* what was acknowledged a moment ago is proved too */
	answer(audit, conn, &frame);
	return KW_OK;
}

static void tell_some(struct hub_audit *audit)
{
	uint64_t now = uv_now(audit->hub->loop);
	uint32_t told = 0;
	for (uint32_t i = 0; i < audit->conns_max && told < TOLD_SLICE; i++) {
		uint32_t conn = audit->next_conn;
		const struct audit_conn *state = &audit->conns[conn];
		audit->next_conn = (conn + 1) % audit->conns_max;
		uint64_t wait_ms = state->eager ? TOLD_EAGER_MS : TOLD_IDLE_MS;
		if (!state->up || state->told_signed == audit->signed_count || now - state->told_ms < wait_ms)
			continue;
		tell(audit, conn);
		told++;
	}
}

/* The first request, if there is one. */
static bool take_request(struct hub_audit *audit, DIR *folder)
{
	struct forgetting *forgetting = &audit->forgetting;
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (strlen(entry->d_name) != 2u * KW_DIGEST_SIZE)
			continue;
		*forgetting = (struct forgetting){.below = 0};
		if (kw_unhex(forgetting->digest.bytes, KW_DIGEST_SIZE, entry->d_name) != KW_OK)
			continue;
		memcpy(forgetting->name, entry->d_name, sizeof(forgetting->name));
		return true;
	}
	return false;
}

/* One walk. True: the whole log has been looked through. */
static bool forget_some(struct hub_audit *audit)
{
	struct forgetting *forgetting = &audit->forgetting;
	struct store_leaf leaf;
	uint64_t looked_from;
	enum kw_err err = store_find_leaf(audit->hub->store, &forgetting->digest, forgetting->below, &leaf, &looked_from);
	if (err == KW_OK) {
		store_forget(audit->hub->store, audit->hub->ticket, &forgetting->digest, leaf.index);
		kw_wipe(&leaf.salt, sizeof(leaf.salt));
		forgetting->found = true;
		looked_from = leaf.index;
	} else if (err != KW_ENOTFOUND) {
		kw_log(KW_LOG_ERROR, "audit_forget_failed", KW_LOG_ERR(err));
	}
	forgetting->below = looked_from;
	return forgetting->below == 0;
}

/* A request to forget stays until nothing is there to be forgotten, so that a stop in between loses none. */
static void forget(struct hub_audit *audit)
{
	const struct kw_tree *tree;
	DIR *folder = audit->forget_folder == NULL ? NULL : opendir(audit->forget_folder);
	if (folder == NULL)
		return;
	bool any = store_log(audit->hub->store, &tree) && (audit->forgetting.name[0] != '\0' || take_request(audit, folder));
	for (uint32_t i = 0; any && i < FORGET_WALKS; i++) {
		if (!forget_some(audit))
			continue;
		if (!audit->forgetting.found) {
			(void)unlinkat(dirfd(folder), audit->forgetting.name, 0); /* if it stays, it is done again */
			kw_log(KW_LOG_INFO, "audit_forgotten");
			audit->forgetting.name[0] = '\0';
		}
		audit->forgetting.found = false; /* and once more, when that is committed */
		break;
	}
	(void)closedir(folder);
}

void hub_audit_tick(struct hub *hub)
{
	struct hub_audit *audit = hub->audit;
	if (audit == NULL)
		return;
	audit->proofs_left = PROOFS_MAX;
	look(audit, 1);
	tell_some(audit);
	forget(audit);
}
