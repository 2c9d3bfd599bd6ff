#include "agent/shell/settings.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/id.h"
#include "proto/link/address.h"

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
	CYAML_FIELD_STRING_PTR("coordinator", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct settings, coordinator, 1, 63),
	CYAML_FIELD_BOOL("capacity_auto", CYAML_FLAG_OPTIONAL, struct settings, capacity_auto),
	CYAML_FIELD_UINT("blob_peer_mib", CYAML_FLAG_OPTIONAL, struct settings, blob_peer_mib),
	CYAML_FIELD_UINT("blob_peer_count_max", CYAML_FLAG_OPTIONAL, struct settings, blob_peer_count_max),
	CYAML_FIELD_STRING_PTR("erase", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct settings, erase, 1, 16),
	CYAML_FIELD_BOOL("receipts_at_once", CYAML_FLAG_OPTIONAL, struct settings, receipts_at_once),
	CYAML_FIELD_BOOL("log_debug", CYAML_FLAG_OPTIONAL, struct settings, log_debug),
	CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, fields)};

static enum kw_err refuse(struct kw_config_fault *fault, const char *path, const char *field, const char *rule)
{
	*fault = (struct kw_config_fault){.code = KW_EFIELD};
	(void)snprintf(fault->field, sizeof(fault->field), "%s", field);
	(void)snprintf(fault->text, sizeof(fault->text), "%.120s: %s: %s", path, field, rule); /* rules are ours, and short */
	return KW_EFIELD;
}

/* What the schema cannot say. An address that can never be dialled must not look like a hub that is away. */
static enum kw_err check(const char *path, const struct settings *settings, struct kw_config_fault *fault)
{
	const char *rule = NULL;

	if (kw_address_check(settings->hub, KW_ADDRESS_DIAL, &rule) != KW_OK)
		return refuse(fault, path, "hub", rule);
	struct kw_name name;
	if (settings->coordinator != NULL && kw_name_from(kw_view_str(settings->coordinator), &name) != KW_OK)
		return refuse(fault, path, "coordinator", "must be the name of an agency: 1 to 63 of a-z, 0-9 and '-'");
	if (settings->store_mib != 0 && settings->store_mib < SETTINGS_STORE_MIB_MIN)
		return refuse(fault, path, "store_mib", "must be 16 or more, or 0 for the default of 4096");
	if (settings->blob_peer_mib > SETTINGS_BLOB_PEER_MIB_MAX)
		return refuse(fault, path, "blob_peer_mib", "must be 1 to 16777216 MiB, or 0 for the default of 256");
	if (settings->blob_peer_count_max > SETTINGS_BLOB_PEER_COUNT_MAX)
		return refuse(fault, path, "blob_peer_count_max", "must be 1 to 2048, or 0 for the default of 512");
	if (settings->erase != NULL && strcmp(settings->erase, "automatic") != 0 && strcmp(settings->erase, "manual") != 0 &&
		strcmp(settings->erase, "confirmed") != 0)
		return refuse(fault, path, "erase", "must be automatic; confirmed: the other agency is told when a person says that your own "
			"case system is clear as well; or manual: a person decides about each");
	return KW_OK;
}

enum kw_err settings_load(const char *path, struct settings **out, struct kw_config_fault *fault)
{
	cyaml_data_t *data = NULL;
	enum kw_err err = kw_config_load(path, &schema, &data, fault);

	if (err != KW_OK)
		return err;
	err = check(path, data, fault);
	if (err == KW_OK) {
		struct settings *settings = data;

		settings->erase_manual = settings->erase != NULL && strcmp(settings->erase, "manual") == 0;
		settings->erase_confirmed = settings->erase != NULL && strcmp(settings->erase, "confirmed") == 0;
		*out = data;
	}
	else
		settings_free(data);
	return err;
}

void settings_free(struct settings *settings)
{
	kw_config_free(&schema, settings);
}
