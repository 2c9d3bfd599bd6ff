#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <stdint.h>

#include "broker/core/thread.h"
#include "broker/shell/config_clocks.h"
#include "proto/base/id.h"
#include "proto/link/config.h"

/* broker.yaml, as `kinward hub init` writes it; README.md has the reference. Paths are relative to the file's folder. */

struct config_values {
	char *hub;    /* the hub's name */
	char *listen; /* "address:port", numeric */
	uint64_t *map_size_mib;
	uint32_t *connections_max;
	uint32_t *half_open_max;
	uint32_t *half_open_per_address_max;
	uint32_t *handshakes_per_s_max;
	uint32_t *queue_messages_max;
	uint64_t *queue_size_mib_max;
	uint32_t *urgent_messages_max;
	char *coordinator;
	uint32_t *threads_keep_days;
	uint32_t *threads_open_max;
	struct config_clocks *clocks;
	uint64_t *blob_store_mib;
	uint64_t *blob_agency_mib;
	uint32_t *blob_agency_count_max;
};

struct config {
	struct config_values *values;
	struct kw_name hub;
	struct kw_name coordinator; /* empty: none */
	struct brk_thread_rules threads;
	char folder[1024]; /* where the file stands */
};

/* Limits of the values that have one. */
#define CONFIG_MAP_SIZE_MIB_MIN 16u
#define CONFIG_MAP_SIZE_MIB_MAX (16u << 20)
#define CONFIG_CONNECTIONS_MAX 100000u
#define CONFIG_THREADS_KEEP_DAYS_DEFAULT 90u
#define CONFIG_THREADS_KEEP_DAYS_MAX 3650u

/* KW_* of kw_config_load; KW_EFIELD for a value out of range: fault->text says which. */
KW_MUST_USE enum kw_err config_load(const char *path, struct config *out, struct kw_config_fault *fault);
/* Accepts NULL and a zeroed struct. */
void config_fini(struct config *config);

/* folder + "/" + name; KW_ETOOBIG. out holds 1,280 characters. */
#define CONFIG_PATH_SIZE 1280u
KW_MUST_USE enum kw_err config_path(const struct config *config, const char *name, char *out);

#endif
