#include "agent/shell/settings.h"

static const cyaml_schema_value_t uid_schema = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t fields[] = {
	CYAML_FIELD_STRING_PTR("state", CYAML_FLAG_POINTER, struct settings, state, 1, 4000),
	CYAML_FIELD_STRING_PTR("hub", CYAML_FLAG_POINTER, struct settings, hub, 1, 128),
	CYAML_FIELD_STRING_PTR("socket", CYAML_FLAG_POINTER, struct settings, socket, 1, 107),
	CYAML_FIELD_STRING_PTR("passphrase_file", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct settings, passphrase_file, 1,
		4000),
	CYAML_FIELD_SEQUENCE("allow_uids", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct settings, allow_uids, &uid_schema, 0,
		SETTINGS_UIDS_MAX),
	CYAML_FIELD_UINT("store_mib", CYAML_FLAG_OPTIONAL, struct settings, store_mib),
	CYAML_FIELD_UINT("outbox_max", CYAML_FLAG_OPTIONAL, struct settings, outbox_max),
	CYAML_FIELD_UINT("connections_max", CYAML_FLAG_OPTIONAL, struct settings, connections_max),
	CYAML_FIELD_UINT("blob_store_mib", CYAML_FLAG_OPTIONAL, struct settings, blob_store_mib),
	CYAML_FIELD_BOOL("log_debug", CYAML_FLAG_OPTIONAL, struct settings, log_debug),
	CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, fields)};

enum kw_err settings_load(const char *path, struct settings **out, struct kw_config_fault *fault)
{
	cyaml_data_t *data = NULL;
	enum kw_err err = kw_config_load(path, &schema, &data, fault);

	if (err == KW_OK)
		*out = data;
	return err;
}

void settings_free(struct settings *settings)
{
	kw_config_free(&schema, settings);
}
