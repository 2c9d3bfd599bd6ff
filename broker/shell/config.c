#include "broker/shell/config.h"

#include <stdio.h>
#include <string.h>

#include "proto/link/address.h"

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t FIELDS[] = {
	CYAML_FIELD_STRING_PTR("hub", CYAML_FLAG_POINTER, struct config_values, hub, 1, KW_NAME_SIZE_MAX),
	CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct config_values, listen, 3, 256),
	CYAML_FIELD_UINT_PTR("map_size_mib", OPTIONAL, struct config_values, map_size_mib),
	CYAML_FIELD_UINT_PTR("connections_max", OPTIONAL, struct config_values, connections_max),
	CYAML_FIELD_UINT_PTR("half_open_max", OPTIONAL, struct config_values, half_open_max),
	CYAML_FIELD_UINT_PTR("half_open_per_address_max", OPTIONAL, struct config_values, half_open_per_address_max),
	CYAML_FIELD_UINT_PTR("handshakes_per_s_max", OPTIONAL, struct config_values, handshakes_per_s_max),
	CYAML_FIELD_UINT_PTR("queue_messages_max", OPTIONAL, struct config_values, queue_messages_max),
	CYAML_FIELD_UINT_PTR("queue_size_mib_max", OPTIONAL, struct config_values, queue_size_mib_max),
	CYAML_FIELD_UINT_PTR("urgent_messages_max", OPTIONAL, struct config_values, urgent_messages_max),
	CYAML_FIELD_STRING_PTR("coordinator", OPTIONAL, struct config_values, coordinator, 1, KW_NAME_SIZE_MAX),
	CYAML_FIELD_UINT_PTR("threads_keep_days", OPTIONAL, struct config_values, threads_keep_days),
	CYAML_FIELD_UINT_PTR("threads_open_max", OPTIONAL, struct config_values, threads_open_max),
	CYAML_FIELD_MAPPING_PTR("clocks", OPTIONAL, struct config_values, clocks, CONFIG_CLOCKS_FIELDS),
	CYAML_FIELD_UINT_PTR("blob_store_mib", OPTIONAL, struct config_values, blob_store_mib),
	CYAML_FIELD_UINT_PTR("blob_agency_mib", OPTIONAL, struct config_values, blob_agency_mib),
	CYAML_FIELD_UINT_PTR("blob_agency_count_max", OPTIONAL, struct config_values, blob_agency_count_max),
	CYAML_FIELD_END};

static const cyaml_schema_value_t SCHEMA = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_values, FIELDS),
};

static enum kw_err refuse(struct kw_config_fault *fault, const char *path, const char *field, const char *rule)
{
	return kw_config_refuse(path, field, rule, fault);
}

#define NAME_RULE "must be 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'"

/* What threads are watched by, filled in from the defaults and the file. */
static enum kw_err take_threads(const char *path, struct config *config, struct kw_config_fault *fault)
{
	const struct config_values *values = config->values;
	char field[64] = "";
	uint32_t keep_days = CONFIG_THREADS_KEEP_DAYS_DEFAULT;
	if (values->threads_keep_days != NULL)
		keep_days = *values->threads_keep_days;
	if (keep_days < 1 || keep_days > CONFIG_THREADS_KEEP_DAYS_MAX)
		return refuse(fault, path, "threads_keep_days", "must be 1 to 3650");
	config->threads.keep_ms = UINT64_C(86400000) * keep_days;
	if (values->coordinator != NULL && kw_name_from(kw_view_str(values->coordinator), &config->coordinator) != KW_OK)
		return refuse(fault, path, "coordinator", NAME_RULE);
	kw_clock_limits_default(&config->threads.limits);
	if (config_clocks_take(values->clocks, &config->threads.limits, field, sizeof(field)) != KW_OK)
		return refuse(fault, path, field,
			"must be a duration such as \"15 min\", \"4 h\" or \"14 d\", or hours, from 1 s to 400 d");
	return KW_OK;
}

static enum kw_err check(const char *path, const struct config *config, struct kw_config_fault *fault)
{
	const struct config_values *values = config->values;
	const char *rule = NULL;
	if (kw_address_check(values->listen, KW_ADDRESS_LISTEN, &rule) != KW_OK)
		return refuse(fault, path, "listen", rule);
	if (values->map_size_mib != NULL &&
		(*values->map_size_mib < CONFIG_MAP_SIZE_MIB_MIN || *values->map_size_mib > CONFIG_MAP_SIZE_MIB_MAX))
		return refuse(fault, path, "map_size_mib", "must be 16 to 16777216 MiB");
	if (values->connections_max != NULL &&
		(*values->connections_max < 1 || *values->connections_max > CONFIG_CONNECTIONS_MAX))
		return refuse(fault, path, "connections_max", "must be 1 to 100000");
	const struct {
		const char *field;
		const uint32_t *value;
	} positive[] = {
		{"half_open_max", values->half_open_max},
		{"half_open_per_address_max", values->half_open_per_address_max},
		{"queue_messages_max", values->queue_messages_max},
		{"urgent_messages_max", values->urgent_messages_max},
		{"threads_open_max", values->threads_open_max},
	};
	for (size_t i = 0; i < sizeof(positive) / sizeof(positive[0]); i++)
		if (positive[i].value != NULL && *positive[i].value < 1)
			return refuse(fault, path, positive[i].field, "must be 1 or more");
	if (values->queue_size_mib_max != NULL &&
		(*values->queue_size_mib_max < 1 || *values->queue_size_mib_max > CONFIG_MAP_SIZE_MIB_MAX))
		return refuse(fault, path, "queue_size_mib_max", "must be 1 to 16777216 MiB");
	if (values->blob_store_mib != NULL && *values->blob_store_mib > CONFIG_MAP_SIZE_MIB_MAX)
		return refuse(fault, path, "blob_store_mib", "must be 0 to 16777216 MiB; 0 carries no attachments");
	if (values->blob_agency_mib != NULL &&
		(*values->blob_agency_mib < 1 || *values->blob_agency_mib > CONFIG_MAP_SIZE_MIB_MAX))
		return refuse(fault, path, "blob_agency_mib", "must be 1 to 16777216 MiB");
	if (values->blob_agency_count_max != NULL && *values->blob_agency_count_max < 1)
		return refuse(fault, path, "blob_agency_count_max", "must be 1 or more");
	return KW_OK;
}

static void folder_of(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		(void)snprintf(out, size, ".");
	else
		(void)snprintf(out, size, "%.*s", (int)(slash - path), path);
}

enum kw_err config_load(const char *path, struct config *out, struct kw_config_fault *fault)
{
	struct config config = {.values = NULL};
	if (strlen(path) >= sizeof(config.folder))
		return refuse(fault, path, "", "the path is too long");
	folder_of(path, config.folder, sizeof(config.folder));
	cyaml_data_t *data = NULL;
	enum kw_err err = kw_config_load(path, &SCHEMA, &data, fault);
	if (err != KW_OK)
		return err;
	config.values = data;
	if (kw_name_from(kw_view_str(config.values->hub), &config.hub) != KW_OK)
		err = refuse(fault, path, "hub", NAME_RULE);
	else
		err = check(path, &config, fault);
	if (err == KW_OK)
		err = take_threads(path, &config, fault);
	if (err != KW_OK) {
		config_fini(&config);
		return err;
	}
	*out = config;
	return KW_OK;
}

void config_fini(struct config *config)
{
	if (config == NULL)
		return;
	kw_config_free(&SCHEMA, config->values);
	config->values = NULL;
}

enum kw_err config_path(const struct config *config, const char *name, char *out)
{
	int size = snprintf(out, CONFIG_PATH_SIZE, "%s/%s", config->folder, name);
	return size > 0 && (size_t)size < CONFIG_PATH_SIZE ? KW_OK : KW_ETOOBIG;
}
