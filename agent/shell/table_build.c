#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/json.h"
#include "agent/shell/table_inner.h"
#include "kinward/v1/content.pb-c.h"
#include "proto/base/check.h"
#include "proto/wire/message.h"
#include "proto/wire/spelling.h"

/* The rows of one message → its body. Steps: cells into JSON, in which a list has null where a part was left out · nulls
 * taken out · JSON → message · every rule, each fault led back to its cell · the size of the whole · encoded.
 * A cell that cannot be read does not keep the others from being looked at; what is wrong only because it is missing now is
 * not told again. */

/* A cell that stands in the message. */
struct placed {
	unsigned column;
	unsigned next; /* what [] was in its row */
	size_t row;
	bool bad; /* it could not be read, and the message lacks it */
};

struct build {
	const struct table_source *source;
	json_t *root;
	struct placed *placed;
	size_t count, room;
	size_t row;                      /* the present one */
	unsigned here[TABLE_LANES_MAX];  /* the part that this row adds, by lane; 0 when it has not yet */
	unsigned parts[TABLE_LANES_MAX]; /* parts so far */
	size_t first;
	bool broken;
};

static void refuse(struct build *build, struct table_fault *fault)
{
	build->broken = true;
	kw_spell_json(fault->field);
	build->source->refuse(build->source->context, fault);
}

static void refuse_cell(struct build *build, const struct table_column *column, const char *rule)
{
	struct table_fault fault = {.row = build->source->rows[build->row].number};
	(void)snprintf(fault.column, sizeof(fault.column), "%s", column->header); /* fits */
	if (column->role == TABLE_FIELD)
		table_path_text(&column->path, column->path.count, fault.field);
	(void)snprintf(fault.rule, sizeof(fault.rule), "%s", rule); /* fits: a rule */
	refuse(build, &fault);
}

/* What is there already and a new value (taken) are one when they say the same. A date is joined by its parts. */
static enum kw_err join(json_t *have, json_t *value)
{
	enum kw_err err = KW_OK;
	if (json_is_object(have) && json_is_object(value)) {
		const char *key;
		json_t *part;
		json_object_foreach(value, key, part) {
			json_t *old = json_object_get(have, key);
			if (old && !json_equal(old, part))
				err = KW_EFIELD;
			else if (!old && json_object_set(have, key, part) != 0)
				err = KW_ENOMEM;
		}
	} else if (!json_equal(have, value)) {
		err = KW_EFIELD;
	}
	json_decref(value);
	return err;
}

/* Part `index` of a list, made of `fresh` (taken) when it is not there. */
static json_t *part_of(json_t *list, unsigned index, json_t *fresh)
{
	int failed = fresh ? 0 : 1;
	while (!failed && json_array_size(list) < index)
		failed |= json_array_append_new(list, json_null());
	if (!failed && json_is_null(json_array_get(list, index - 1)))
		failed |= json_array_set(list, index - 1, fresh);
	json_decref(fresh);
	return failed ? NULL : json_array_get(list, index - 1);
}

/* The member of an object, made of `fresh` (taken) when it is not there. */
static json_t *member_of(json_t *object, const char *name, json_t *fresh)
{
	int failed = fresh ? 0 : 1;
	if (!failed && !json_object_get(object, name))
		failed |= json_object_set(object, name, fresh);
	json_decref(fresh);
	return failed ? NULL : json_object_get(object, name);
}

/* Puts a value (taken) at its path. KW_EFIELD when something else is there. */
static enum kw_err put(json_t *root, const struct table_path *path, unsigned next, json_t *value)
{
	json_t *at = root;
	for (unsigned i = 0; at && i < path->count; i++) {
		const struct table_step *step = &path->steps[i];
		bool last = i + 1 == path->count;
		unsigned index = step->index == TABLE_NEXT ? next : step->index;
		json_t *fresh = last ? json_incref(value) : json_object();
		if (index > 0) {
			json_t *list = member_of(at, step->field->name, json_array());
			at = list ? part_of(list, index, fresh) : NULL;
			if (!list)
				json_decref(fresh);
		} else {
			at = member_of(at, step->field->name, fresh);
		}
	}
	if (!at) {
		json_decref(value);
		return KW_ENOMEM;
	}
	if (at == value) {
		json_decref(value);
		return KW_OK;
	}
	return join(at, value);
}

static enum kw_err remember(struct build *build, struct placed placed)
{
	if (build->count == build->room) {
		size_t room = build->room ? build->room * 2 : 64;
		struct placed *more = realloc(build->placed, room * sizeof(*more));
		if (!more)
			return KW_ENOMEM;
		build->placed = more;
		build->room = room;
	}
	build->placed[build->count++] = placed;
	return KW_OK;
}

static enum kw_err take_cell(struct build *build, unsigned index, const char *text)
{
	const struct table_column *column = &build->source->columns[index];
	const struct table_path *path = &column->path;
	char rule[TABLE_RULE_SIZE];
	json_t *value = NULL;
	unsigned next = 0;
	for (unsigned i = 0; i < path->count; i++) {
		if (path->steps[i].index != TABLE_NEXT)
			continue;
		unsigned *here = &build->here[column->lane];
		if (*here == 0)
			*here = ++build->parts[column->lane];
		next = *here;
	}
	enum kw_err err = table_cell_read(&path->steps[path->count - 1], text, &value, rule);
	if (err == KW_OK) {
		err = put(build->root, path, next, value);
		if (err == KW_EFIELD)
			(void)snprintf(rule, sizeof(rule), "says something else than before; one message has one value here, so correct "
				"it, leave it empty, or give the row another #group"); /* fits */
	}
	if (err != KW_OK && err != KW_EFIELD)
		return err;
	if (err == KW_EFIELD)
		refuse_cell(build, column, rule);
	return remember(build, (struct placed){.column = index, .next = next, .row = build->row, .bad = err == KW_EFIELD});
}

static void take_role(struct build *build, const struct table_column *column, const char *text,
	const char *role[TABLE_ROLE_COUNT])
{
	if (!role[column->role][0])
		role[column->role] = text;
	else if (strcmp(role[column->role], text) != 0)
		refuse_cell(build, column, "says something else than another row of the same #group; correct it, or leave it empty");
}

static enum kw_err take_rows(struct build *build, const char *role[TABLE_ROLE_COUNT])
{
	const struct table_source *source = build->source;
	enum kw_err err = KW_OK;
	for (size_t at = build->first; err == KW_OK && at != SIZE_MAX; at = source->rows[at].next) {
		const char *cell = source->rows[at].cells;
		build->row = at;
		memset(build->here, 0, sizeof(build->here));
		for (unsigned i = 0; err == KW_OK && i < source->column_count; i++, cell += strlen(cell) + 1) {
			const struct table_column *column = &source->columns[i];
			if (!cell[0] || column->role == TABLE_IGNORED)
				continue;
			if (column->role == TABLE_FIELD)
				err = take_cell(build, i, cell);
			else
				take_role(build, column, cell, role);
		}
	}
	return err;
}

/* Where a part stands among those that are there. */
static unsigned dense_index(json_t *list, unsigned index)
{
	unsigned before = 0;
	for (unsigned i = 0; i + 1 < index; i++)
		before += json_is_null(json_array_get(list, i)) ? 0 : 1;
	return before;
}

/* How many steps of a placed cell a path of the message begins with; *rest is what follows them in it. */
static unsigned common_steps(const struct build *build, const struct placed *placed, const char *field, const char **rest)
{
	const struct table_path *path = &build->source->columns[placed->column].path;
	json_t *at = build->root;
	unsigned steps = 0;
	*rest = field;
	while (steps < path->count) {
		const struct table_step *step = &path->steps[steps];
		size_t size = strlen(step->field->name);
		unsigned index = step->index == TABLE_NEXT ? placed->next : step->index;
		if (strncmp(field, step->field->name, size) != 0 || (field[size] && !strchr(".[", field[size])))
			break;
		field += size;
		at = json_object_get(at, step->field->name);
		if (index > 0) {
			char wanted[16];
			int n = snprintf(wanted, sizeof(wanted), "[%u]", dense_index(at, index)); /* fits */
			if (strncmp(field, wanted, (size_t)n) != 0)
				break;
			field += n;
			at = json_array_get(at, index - 1);
		} else if (field[0] == '[') {
			field += strcspn(field, "]") + 1; /* an item of a list in one cell */
		}
		steps++;
		field += field[0] == '.' ? 1 : 0;
		*rest = field;
	}
	return steps;
}

/* A path with its parts counted from 1, appended. */
static void append_path(char out[TABLE_PATH_SIZE], const char *path)
{
	size_t used = strlen(out);
	if (used && *path && used + 1 < TABLE_PATH_SIZE)
		out[used++] = '.';
	while (*path && used + 12 < TABLE_PATH_SIZE) {
		if (*path != '[') {
			out[used++] = *path++;
			continue;
		}
		used += (size_t)snprintf(out + used, 12, "[%ld]", strtol(path + 1, NULL, 10) + 1); /* fits */
		path += strcspn(path, "]");
		path += *path ? 1 : 0;
	}
	out[used] = '\0';
}

/* The file's own column of that path, or the first one below it; NULL when there is none. */
static const struct table_column *find_column(const struct table_source *source, const char *wanted)
{
	size_t size = strlen(wanted);
	const struct table_column *below = NULL;
	for (unsigned i = 0; i < source->column_count; i++) {
		char text[TABLE_PATH_SIZE];
		if (source->columns[i].role != TABLE_FIELD)
			continue;
		table_path_text(&source->columns[i].path, source->columns[i].path.count, text);
		if (strncmp(text, wanted, size) != 0)
			continue;
		if (!text[size])
			return &source->columns[i];
		if (!below && strchr(".[", text[size]))
			below = &source->columns[i];
	}
	return size ? below : NULL;
}

/* True when it is wrong, or missing, only because a cell could not be read. */
static bool told_already(const struct build *build, const char *field)
{
	for (size_t i = 0; i < build->count; i++) {
		const struct placed *placed = &build->placed[i];
		const char *rest;
		if (!placed->bad)
			continue;
		unsigned steps = common_steps(build, placed, field, &rest);
		if (steps > 0 && (!*rest || steps == build->source->columns[placed->column].path.count))
			return true;
	}
	return false;
}

/* The file's column for a path of the message: that of the cell, one below it, or what the template would call it. */
static void name_column(const struct build *build, const struct placed *near, unsigned steps, const char *rest,
	struct table_fault *fault)
{
	const struct table_column *column = near ? &build->source->columns[near->column] : NULL;
	char wanted[TABLE_PATH_SIZE] = "";
	if (!column || steps < column->path.count) { /* behind all of its steps is the inside of a date */
		if (column)
			table_path_text(&column->path, steps, wanted);
		append_path(wanted, rest);
		column = find_column(build->source, wanted);
	}
	(void)snprintf(fault->column, sizeof(fault->column), "%s", column ? column->header : wanted); /* fits */
	if (!column && wanted[0]) {
		size_t used = strlen(fault->rule);
		(void)snprintf(fault->rule + used, sizeof(fault->rule) - used,
			" (the file has no such column; kinward template lists them)"); /* fits: the rule leaves room */
	}
}

/* Leads a fault of the message back to the row and the column it comes from. */
static void refuse_field(struct build *build, const char *field, const char *rule)
{
	const struct table_source *source = build->source;
	const struct placed *best = NULL;
	const char *best_rest = field, *rest;
	unsigned most = 0;
	if (told_already(build, field))
		return;
	struct table_fault fault = {.row = source->rows[build->first].number};
	if (*source->faults >= TABLE_FAULTS_MAX) { /* it is counted only */
		refuse(build, &fault);
		return;
	}
	for (size_t i = 0; i < build->count; i++) {
		unsigned steps = common_steps(build, &build->placed[i], field, &rest);
		if (steps <= most)
			continue;
		most = steps;
		best = &build->placed[i];
		best_rest = rest;
	}
	if (best)
		fault.row = source->rows[best->row].number;
	(void)snprintf(fault.field, sizeof(fault.field), "%s", field);     /* fits: a path */
	(void)snprintf(fault.rule, sizeof(fault.rule), "%.400s", rule); /* cut short is good enough */
	name_column(build, best, most, best_rest, &fault);
	refuse(build, &fault);
}

/* shareOtherOrgs is share_other_orgs. */
static void snake(char out[TABLE_PATH_SIZE], const char *path)
{
	size_t used = 0;
	for (; *path && used + 2 < TABLE_PATH_SIZE; path++) {
		bool upper = *path >= 'A' && *path <= 'Z';
		if (upper)
			out[used++] = '_';
		out[used++] = upper ? (char)(*path - 'A' + 'a') : *path;
	}
	out[used] = '\0';
}

/* The path as columns spell it. */
static void on_fault(void *context, const struct kw_fault *fault)
{
	char field[TABLE_PATH_SIZE];
	snake(field, fault->field);
	refuse_field(context, field, fault->rule);
}

/* Takes out the parts that are not there. */
static void close_gaps(json_t *value)
{
	const char *key;
	json_t *member;
	if (json_is_object(value)) {
		json_object_foreach(value, key, member)
			close_gaps(member);
		return;
	}
	for (size_t i = json_array_size(value); i-- > 0;) {
		if (json_is_null(json_array_get(value, i)))
			(void)json_array_remove(value, i); /* it is there */
		else
			close_gaps(json_array_get(value, i));
	}
}

/* The size of the whole, and what a recipient would unpack. */
static enum kw_err check_whole(struct build *build, ProtobufCMessage *body)
{
	const ProtobufCFieldDescriptor *kind = build->source->kind;
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	uint8_t id[KW_ID_SIZE] = {1};
	struct kw_fault fault;
	struct kw_buf bytes;
	content.message_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
	content.created_unix_ms = build->source->now_ms > 0 ? build->source->now_ms : 1;
	content.body_case = (Kinward__V1__Content__BodyCase)kind->id;
	memcpy((char *)&content + kind->offset, &body, sizeof(body)); /* the members of the oneof are pointers */
	kw_buf_init(&bytes, JSON_TEXT_SIZE_MAX);
	enum kw_err err = kw_content_pack(&content, &bytes, &fault);
	kw_buf_fini(&bytes);
	if (err == KW_OK || err == KW_ENOMEM)
		return err;
	char field[TABLE_PATH_SIZE];
	const char *below = strchr(fault.field, '.'); /* the name of the body */
	snake(field, below ? below + 1 : "");
	refuse_field(build, field, fault.rule);
	return KW_OK;
}

static enum kw_err check_and_pack(struct build *build, struct kw_buf *out)
{
	ProtobufCMessage *body = NULL;
	struct json_fault fault;
	char field[TABLE_PATH_SIZE];
	json_t *dense = json_deep_copy(build->root);
	if (!dense)
		return KW_ENOMEM;
	close_gaps(dense);
	enum kw_err err = json_map_read(build->source->kind->descriptor, dense, &body, &fault);
	json_decref(dense);
	if (err == KW_ENOMEM)
		return err;
	if (err != KW_OK) {
		snake(field, fault.path);
		refuse_field(build, field, fault.rule);
		return KW_OK;
	}
	if (kw_message_faults(body, on_fault, build) == 0)
		err = check_whole(build, body);
	if (err == KW_OK && !build->broken) {
		size_t size = protobuf_c_message_get_packed_size(body);
		err = kw_buf_reserve(out, size);
		if (err == KW_OK)
			out->size += protobuf_c_message_pack(body, out->data + out->size);
	}
	protobuf_c_message_free_unpacked(body, NULL);
	return err;
}

enum kw_err table_build(const struct table_source *source, size_t first, struct kw_buf *out,
	const char *role[TABLE_ROLE_COUNT])
{
	struct build build = {.source = source, .root = json_object(), .first = first};
	for (unsigned i = 0; i < TABLE_ROLE_COUNT; i++)
		role[i] = "";
	enum kw_err err = build.root ? take_rows(&build, role) : KW_ENOMEM;
	if (err == KW_OK)
		err = check_and_pack(&build, out);
	json_decref(build.root);
	free(build.placed);
	return err == KW_OK && build.broken ? KW_EFIELD : err;
}
