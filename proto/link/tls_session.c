#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "proto/link/tls_inner.h"

/* The hub's memory of sessions, encoded. libssl's own cache would keep each session's parsed certificates, and forgets a
 * session whose connection broke, which is the very case that resumption is for.
 *
 * A session id is random and ours, so its first bytes choose a set of WAYS slots; the oldest of a full set gives way. A
 * session is good for one resumption, which brings a new one. */

#define SETS 4096u
#define WAYS 8u
#define SESSION_SIZE_MAX 4096

struct slot {
	uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH];
	uint8_t *der; /* NULL: free */
	uint32_t size;
	uint32_t age;
};

struct kw_tls_sessions {
	uint32_t clock;
	struct slot slots[SETS][WAYS];
};

struct kw_tls_sessions *kw_tls_sessions_new(void)
{
	return calloc(1, sizeof(struct kw_tls_sessions));
}

static void clear(struct slot *slot)
{
	if (slot->der != NULL)
		kw_wipe(slot->der, slot->size);
	free(slot->der);
	slot->der = NULL;
}

void kw_tls_sessions_free(struct kw_tls_sessions *sessions)
{
	if (sessions == NULL)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t j = 0; j < WAYS; j++)
			clear(&sessions->slots[i][j]);
	free(sessions);
}

static struct slot *set_of(struct kw_tls_sessions *sessions, const uint8_t *id)
{
	return sessions->slots[kw_get_u16(id) % SETS];
}

void kw_tls_sessions_put(struct kw_tls_sessions *sessions, SSL_SESSION *session)
{
	unsigned int id_size = 0;
	const uint8_t *id = SSL_SESSION_get_id(session, &id_size);
	int size = i2d_SSL_SESSION(session, NULL);
	if (id_size != SSL_MAX_SSL_SESSION_ID_LENGTH || size <= 0 || size > SESSION_SIZE_MAX)
		return;
	uint8_t *der = malloc((size_t)size);
	if (der == NULL)
		return; /* the next contact costs a full handshake */
	unsigned char *at = der;
	(void)i2d_SSL_SESSION(session, &at); /* its size was taken above */
	struct slot *set = set_of(sessions, id);
	struct slot *slot = &set[0];
	for (size_t i = 0; i < WAYS && slot->der != NULL; i++)
		if (set[i].der == NULL || sessions->clock - set[i].age > sessions->clock - slot->age)
			slot = &set[i];
	clear(slot);
	memcpy(slot->id, id, sizeof(slot->id));
	slot->der = der;
	slot->size = (uint32_t)size;
	slot->age = sessions->clock++;
}

SSL_SESSION *kw_tls_sessions_take(struct kw_tls_sessions *sessions, struct kw_view id)
{
	if (id.size != SSL_MAX_SSL_SESSION_ID_LENGTH)
		return NULL;
	struct slot *set = set_of(sessions, id.data);
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].der == NULL || memcmp(set[i].id, id.data, id.size) != 0)
			continue;
		const unsigned char *at = set[i].der;
		SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)set[i].size);
		ERR_clear_error();
		clear(&set[i]);
		return session;
	}
	return NULL;
}
