#include "broker/shell/store_hash.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "proto/base/check.h"

/* Bodies travel in pieces, in one queue: full → published → made, by the thread or by the writer → taken. */

#define PIECE 64u
#define WAKE_MIN 32u /* fewer bodies are not worth waking anybody */
#define RANDOM 256u  /* so many bytes come whole from one getrandom */

enum state { WAITING, BUSY, DONE };

struct piece {
	struct piece *next;
	enum state state;
	enum kw_err err;
	uint32_t count;
	struct store_leaf_job jobs[PIECE];
};

struct store_hash {
	store_leaf_digest digest;
	struct piece *filling; /* the loop's */
	struct piece *current; /* the writer's */
	uint32_t current_at;
	uv_thread_t thread;
	bool runs;
	uv_mutex_t lock;
	uv_cond_t wake; /* the thread */
	uv_cond_t made; /* the writer */
	/* under lock: */
	struct piece *first; /* published, not taken */
	struct piece *last;
	struct piece *next;  /* of these, the first that is WAITING */
	struct piece *spare;
	uint32_t waiting;    /* bodies */
	bool sleeps;
	bool stop;
};

static enum kw_err make(const struct store_hash *hash, struct piece *piece)
{
	uint8_t salts[PIECE * KW_AUDIT_SALT_SIZE];
	size_t size = piece->count * KW_AUDIT_SALT_SIZE;
	enum kw_err err = KW_OK;
	for (size_t at = 0; at < size; at += RANDOM) {
		size_t part = size - at < RANDOM ? size - at : RANDOM;
		if (getrandom(salts + at, part, 0) != (ssize_t)part)
			err = KW_EIO;
	}
	for (uint32_t i = 0; i < piece->count && err == KW_OK; i++) {
		struct store_leaf_job *job = &piece->jobs[i];
		memcpy(job->salt, salts + i * KW_AUDIT_SALT_SIZE, KW_AUDIT_SALT_SIZE);
		err = hash->digest(job->box->data, job->box->size, &job->digest);
		if (err == KW_OK)
			err = kw_audit_leaf(job->salt, &job->digest, &job->leaf);
	}
	kw_wipe(salts, sizeof(salts));
	return err;
}

/* Lock held, and given up meanwhile. */
static void make_next(struct store_hash *hash)
{
	struct piece *piece = hash->next;
	hash->next = piece->next;
	hash->waiting -= piece->count;
	piece->state = BUSY;
	uv_mutex_unlock(&hash->lock);
	piece->err = make(hash, piece);
	uv_mutex_lock(&hash->lock);
	piece->state = DONE;
}

static void thread_main(void *user)
{
	struct store_hash *hash = user;
	uv_mutex_lock(&hash->lock);
	while (!hash->stop) {
		if (hash->waiting < WAKE_MIN) {
			hash->sleeps = true;
			uv_cond_wait(&hash->wake, &hash->lock);
			hash->sleeps = false;
			continue;
		}
		make_next(hash);
		uv_cond_signal(&hash->made);
	}
	uv_mutex_unlock(&hash->lock);
}

/* With all signals blocked: they belong to the loop thread. */
static void start(struct store_hash *hash)
{
	sigset_t all, old;
	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return;
	hash->runs = uv_thread_create(&hash->thread, thread_main, hash) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* cannot fail with a mask that it gave */
}

enum kw_err store_hash_new(store_leaf_digest digest, struct store_hash **out)
{
	struct store_hash *hash = calloc(1, sizeof(*hash));
	if (hash == NULL)
		return KW_ENOMEM;
	hash->digest = digest;
	/* These fail for want of memory only, and nothing of them is held then. */
	if (uv_mutex_init(&hash->lock) != 0 || uv_cond_init(&hash->wake) != 0 || uv_cond_init(&hash->made) != 0) {
		free(hash);
		return KW_ENOMEM;
	}
	start(hash);
	*out = hash;
	return KW_OK;
}

void store_hash_halt(struct store_hash *hash)
{
	if (hash == NULL || !hash->runs)
		return;
	uv_mutex_lock(&hash->lock);
	hash->stop = true;
	uv_cond_signal(&hash->wake);
	uv_mutex_unlock(&hash->lock);
	uv_thread_join(&hash->thread);
	hash->runs = false;
}

static void pieces_free(struct piece *piece)
{
	while (piece != NULL) {
		struct piece *next = piece->next;
		kw_wipe(piece, sizeof(*piece));
		free(piece);
		piece = next;
	}
}

void store_hash_free(struct store_hash *hash)
{
	if (hash == NULL)
		return;
	store_hash_halt(hash);
	pieces_free(hash->filling);
	pieces_free(hash->current);
	pieces_free(hash->first);
	pieces_free(hash->spare);
	uv_cond_destroy(&hash->wake);
	uv_cond_destroy(&hash->made);
	uv_mutex_destroy(&hash->lock);
	free(hash);
}

static struct piece *piece_new(struct store_hash *hash)
{
	uv_mutex_lock(&hash->lock);
	struct piece *piece = hash->spare;
	if (piece != NULL)
		hash->spare = piece->next;
	uv_mutex_unlock(&hash->lock);
	if (piece == NULL)
		piece = malloc(sizeof(*piece));
	if (piece == NULL)
		return NULL;
	piece->next = NULL;
	piece->state = WAITING;
	piece->count = 0;
	return piece;
}

enum kw_err store_hash_add(struct store_hash *hash, const struct store_box *box)
{
	if (hash->filling == NULL)
		hash->filling = piece_new(hash);
	if (hash->filling == NULL)
		return KW_ENOMEM;
	hash->filling->jobs[hash->filling->count++].box = box;
	if (hash->filling->count == PIECE)
		store_hash_publish(hash);
	return KW_OK;
}

void store_hash_publish(struct store_hash *hash)
{
	struct piece *piece = hash->filling;
	if (piece == NULL)
		return;
	hash->filling = NULL;
	uv_mutex_lock(&hash->lock);
	if (hash->last != NULL)
		hash->last->next = piece;
	else
		hash->first = piece;
	hash->last = piece;
	if (hash->next == NULL)
		hash->next = piece;
	hash->waiting += piece->count;
	bool wake = hash->sleeps && hash->waiting >= WAKE_MIN;
	uv_mutex_unlock(&hash->lock);
	if (wake)
		uv_cond_signal(&hash->wake);
}

/* The next piece of the queue, made; what was in the one before is wiped. */
static enum kw_err take_piece(struct store_hash *hash)
{
	struct piece *old = hash->current;
	if (old != NULL)
		kw_wipe(old->jobs, old->count * sizeof(old->jobs[0]));
	uv_mutex_lock(&hash->lock);
	if (old != NULL) {
		old->next = hash->spare;
		hash->spare = old;
	}
	struct piece *piece = hash->first;
	KW_ASSERT(piece != NULL);
	if (piece->state == WAITING)
		make_next(hash);
	while (piece->state != DONE)
		uv_cond_wait(&hash->made, &hash->lock);
	hash->first = piece->next;
	if (hash->first == NULL)
		hash->last = NULL;
	piece->next = NULL;
	uv_mutex_unlock(&hash->lock);
	hash->current = piece;
	hash->current_at = 0;
	return piece->err;
}

enum kw_err store_hash_take(struct store_hash *hash, uint32_t count_max, const struct store_leaf_job **jobs, uint32_t *count)
{
	enum kw_err err = KW_OK;
	if (hash->current == NULL || hash->current_at == hash->current->count)
		err = take_piece(hash);
	if (err != KW_OK)
		return err;
	uint32_t left = hash->current->count - hash->current_at;
	*jobs = &hash->current->jobs[hash->current_at];
	*count = left < count_max ? left : count_max;
	hash->current_at += *count;
	return KW_OK;
}
