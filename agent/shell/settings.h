#ifndef AGENT_SHELL_SETTINGS_H
#define AGENT_SHELL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/link/config.h"

/* agent.yaml; deploy/examples/agent.yaml explains every key. */

#define SETTINGS_UIDS_MAX 32u
#define SETTINGS_STORE_MIB_MIN 16u
#define SETTINGS_BLOB_PEER_MIB_MAX 16777216u
#define SETTINGS_BLOB_PEER_COUNT_MAX 2048u

struct settings {
	char *state;           /* state directory, made by `kinward agent init` */
	char *hub;             /* "host:port" */
	char *socket;
	char *passphrase_file; /* NULL: from the environment or the terminal */
	uint32_t *allow_uids;  /* besides our own and root */
	unsigned allow_uids_count;
	uint32_t store_mib;    /* 0 = 4,096 */
	uint32_t outbox_max;   /* messages without a receipt; 0 = 100,000 */
	uint32_t connections_max; /* on the socket; 0 = 64 */
	uint32_t blob_store_mib;  /* attachments; 0 = 1,024 */
	char *coordinator;     /* agency that is asked when nobody claims an offer; NULL: nobody */
	bool capacity_auto;    /* capacity queries are answered from our published directory */
	uint32_t blob_peer_mib;   /* of them, received from one agency; 0 = 256 */
	uint32_t blob_peer_count_max; /* 0 = 512 */
	char *erase;           /* "automatic", "confirmed" or "manual"; NULL: automatic */
	bool erase_manual;     /* what it says */
	bool erase_confirmed;
	bool receipts_at_once; /* they do not wait for others */
	bool log_debug;
};

/* KW_* of kw_config_load; KW_EFIELD also for a hub that cannot be dialled. fault is written on failure only. */
KW_MUST_USE enum kw_err settings_load(const char *path, struct settings **out, struct kw_config_fault *fault);
/* Accepts NULL. */
void settings_free(struct settings *settings);

#endif
