#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/json_inner.h"
#include "agent/shell/table_inner.h"

/* A message → the cells that hold it. Columns come in the order in which values are met, which is the schema's. */

struct fill {
	const ProtobufCFieldDescriptor *rows; /* the list that stands one part a row; NULL for none */
	struct table_path path;
	size_t row; /* the present one */
	json_t *headers;
	json_t *known; /* the same as members of an object */
	json_t *cells; /* array of rows */
};

static enum kw_err put(struct fill *fill, const char *header, const char *text)
{
	int failed = 0;
	if (!json_object_get(fill->known, header)) {
		failed |= json_array_append_new(fill->headers, json_string(header));
		failed |= json_object_set_new(fill->known, header, json_true());
	}
	while (!failed && json_array_size(fill->cells) <= fill->row)
		failed |= json_array_append_new(fill->cells, json_object());
	if (!failed)
		failed |= json_object_set_new(json_array_get(fill->cells, fill->row), header, json_string(text));
	return failed ? KW_ENOMEM : KW_OK;
}

static enum kw_err put_value(struct fill *fill, json_t *value)
{
	char header[TABLE_PATH_SIZE];
	char *text = table_cell_text(fill->path.steps[fill->path.count - 1].field, value);
	if (!text)
		return KW_ENOMEM;
	table_path_text(&fill->path, fill->path.count, header);
	enum kw_err err = put(fill, header, text);
	free(text);
	return err;
}

/* The items of a list as one cell; false when one of them would be taken apart, or memory is short. */
static bool join_items(const ProtobufCFieldDescriptor *field, json_t *list, struct kw_buf *out)
{
	bool good = true;
	for (size_t i = 0; good && i < json_array_size(list); i++) {
		char *text = table_cell_text(field, json_array_get(list, i));
		good = text && !text[strcspn(text, ";|")] && (i == 0 || kw_buf_add(out, kw_view_str("; ")) == KW_OK) &&
			kw_buf_add(out, kw_view_str(text)) == KW_OK;
		free(text);
	}
	return good && kw_buf_add_u8(out, 0) == KW_OK;
}

static enum kw_err fill_list(struct fill *fill, const ProtobufCFieldDescriptor *field, json_t *list)
{
	struct table_step *step = &fill->path.steps[fill->path.count - 1];
	char header[TABLE_PATH_SIZE];
	struct kw_buf cell;
	enum kw_err err = KW_OK;
	kw_buf_init(&cell, TABLE_CELL_SIZE_MAX);
	if (join_items(field, list, &cell)) {
		table_path_text(&fill->path, fill->path.count, header);
		err = put(fill, header, (const char *)cell.data);
	} else {
		for (size_t i = 0; err == KW_OK && i < json_array_size(list); i++) {
			step->index = (unsigned)i + 1;
			err = put_value(fill, json_array_get(list, i));
		}
	}
	kw_buf_fini(&cell);
	return err;
}

static enum kw_err fill_message(struct fill *fill, const ProtobufCMessageDescriptor *type, json_t *object);

static enum kw_err fill_parts(struct fill *fill, const ProtobufCFieldDescriptor *field, json_t *list)
{
	struct table_step *step = &fill->path.steps[fill->path.count - 1];
	enum kw_err err = KW_OK;
	for (size_t i = 0; err == KW_OK && i < json_array_size(list); i++) {
		step->index = field == fill->rows ? TABLE_NEXT : (unsigned)i + 1;
		if (field == fill->rows)
			fill->row = i;
		err = fill_message(fill, field->descriptor, json_array_get(list, i));
	}
	if (field == fill->rows)
		fill->row = 0;
	return err;
}

static enum kw_err fill_date(struct fill *fill, json_t *value)
{
	char header[TABLE_PATH_SIZE];
	enum kw_err err = put_value(fill, value);
	if (err != KW_OK || !json_is_true(json_object_get(value, "estimated")))
		return err;
	table_path_text(&fill->path, fill->path.count, header);
	size_t used = strlen(header);
	(void)snprintf(header + used, sizeof(header) - used, ".estimated"); /* fits: a path of the schema */
	return put(fill, header, "yes");
}

static enum kw_err fill_message(struct fill *fill, const ProtobufCMessageDescriptor *type, json_t *object)
{
	enum kw_err err = KW_OK;
	if (fill->path.count == TABLE_STEPS_MAX)
		return KW_ETOOBIG;
	for (unsigned i = 0; err == KW_OK && i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		char camel[JSON_NAME_SIZE];
		json_camel(camel, field->name);
		json_t *value = json_object_get(object, camel);
		if (!value)
			continue;
		fill->path.steps[fill->path.count++] = (struct table_step){.parent = type, .field = field};
		bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			err = repeated ? fill_list(fill, field, value) : put_value(fill, value);
		else if (repeated)
			err = fill_parts(fill, field, value);
		else if (table_is_date(field))
			err = fill_date(fill, value);
		else
			err = fill_message(fill, field->descriptor, value);
		fill->path.count--;
	}
	return err;
}

enum kw_err table_fill(const struct table_form *form, json_t *message, json_t **headers, json_t **rows)
{
	struct fill fill = {.headers = json_array(), .known = json_object(), .cells = json_array()};
	enum kw_err err = table_form_rows(form, &fill.rows);
	if (err == KW_OK && (!fill.headers || !fill.known || !fill.cells))
		err = KW_ENOMEM;
	/* A row of an empty message would be empty, and with it not there. */
	if (err == KW_OK)
		err = put(&fill, table_role_name(TABLE_GROUP), "1");
	if (err == KW_OK && table_stays_here(form->kind)) /* the agency's own id is not in the message */
		err = put(&fill, table_role_name(TABLE_LOCAL_ID), "");
	if (err == KW_OK)
		err = fill_message(&fill, form->kind->descriptor, message);
	for (fill.row = 1; err == KW_OK && fill.row < json_array_size(fill.cells); fill.row++)
		err = put(&fill, table_role_name(TABLE_GROUP), "1");
	if (err == KW_OK && json_array_size(fill.headers) > TABLE_COLUMNS_MAX)
		err = KW_ETOOBIG;
	json_decref(fill.known);
	if (err == KW_OK) {
		*headers = fill.headers;
		*rows = fill.cells;
	} else {
		json_decref(fill.headers);
		json_decref(fill.cells);
	}
	return err;
}
