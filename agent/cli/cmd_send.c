#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "agent/cli/commands.h"
#include "agent/cli/services.h"
#include "agent/shell/codes.h"
#include "agent/shell/import_row.h"
#include "proto/wire/message.h"
#include "proto/wire/spelling.h"

/* kinward send: a content from a file, or a referral from options. An option is a column of the importer by another name,
 * so both have the same rules and errors. With --from-urgent an urgent action fills what the options leave open. */

enum {
	REFERRAL, CONTENT, SERVICE, RISK, REASON, CASE_REF, NAME, CODE, AGE, SEX, REFERRER, PHONE, CONSENT_FROM,
	OVERRIDE_REASON, OVERRIDE_APPROVER, LOCATION, SAFE_CONTACT, THREAD, LIFETIME, CLASS, ATTACH, MESSAGE_ID, DRY_RUN,
	FROM_URGENT, CASE, FROM_THREAD, NEW_CONSENT
};

const struct cli_option CLI_SEND_OPTIONS[] = {
	[REFERRAL] = {"referral", "FILE", "a ReferralRequest as JSON; - is standard input"},
	[CONTENT] = {"content", "FILE", "any Content as JSON; - is standard input"},
	[SERVICE] = {"service", "CODE", "service asked for, such as shelter or health_medical"},
	[RISK] = {"risk", "CODE", "high, medium or low"},
	[REASON] = {"reason", "TEXT", "why the service is needed"},
	[CASE_REF] = {"case-ref", "TEXT", "a pseudonym of the case for this pair of agencies, not your own case number"},
	[NAME] = {"name", "TEXT", "the child's name, parts in the order they are said"},
	[CODE] = {"code", "TEXT", "a code in place of the name"},
	[AGE] = {"age", "YEARS", "the child's age today"},
	[SEX] = {"sex", "CODE", "female, male, other or unknown"},
	[REFERRER] = {"referrer", "TEXT", "who refers: name of the caseworker"},
	[PHONE] = {"referrer-phone", "TEXT", "the caseworker's phone"},
	[CONSENT_FROM] = {"consent-from", "CODE", "who consented to the service and to sharing: individual, caregiver, other"},
	[OVERRIDE_REASON] = {"override-reason", "TEXT", "without consent: why it is shared all the same"},
	[OVERRIDE_APPROVER] = {"override-approver", "TEXT", "without consent: who approved that"},
	[LOCATION] = {"location", "TEXT", "where the child is"},
	[SAFE_CONTACT] = {"safe-contact", "TEXT", "how to make contact without doing harm"},
	[THREAD] = {"thread", "ID", "add to this thread; default: a new one"},
	[LIFETIME] = {"lifetime", "HOURS", "expires undelivered after 1 to 1080 hours (default 720)"},
	[CLASS] = {"class", "CLASS", "urgent, normal or bulk; default: by the risk"},
	[MESSAGE_ID] = {"message-id", "ID", "repeat a send whose outcome is not known"},
	[ATTACH] = {"attach", "FILE", "seal this file too and name it in the referral; more with kinward attach"},
	[DRY_RUN] = {"dry-run", NULL, "check, print the content as JSON, send nothing"},
	[FROM_URGENT] = {"from-urgent", "MESSAGE", "fill in from this urgent action: service, high risk, reason, place, contact"},
	[CASE] = {"case", "ID", "the case's id in your own case system: it stays here; threads with one id are of one case"},
	[FROM_THREAD] = {"from-thread", "ID", "this passes on, or is about the same child as, what that thread brought"},
	[NEW_CONSENT] = {"new-consent", NULL, "consent for this case was withdrawn, and has been given again since"},
	{NULL, NULL, NULL},
};

/* Options that are columns; kinward refer has them by the same names. */
static const struct {
	const char *option;
	const char *column;
} COLUMNS[] = {
	{"service", "service_type"}, {"risk", "risk_level"}, {"reason", "reason"}, {"case-ref", "case_ref"}, {"name", "name"},
	{"code", "child_code"}, {"age", "age"}, {"sex", "sex"}, {"referrer", "referrer_name"}, {"referrer-phone", "referrer_phone"},
	{"consent-from", "consent_source"}, {"override-reason", "consent_override_reason"},
	{"override-approver", "consent_override_approver"}, {"location", "location_current"},
	{"safe-contact", "safe_contact_instructions"},
};

/* The validator's limit for a referral. */
#define CLI_ATTACHMENTS_MAX 8u

#define COLUMN_COUNT (sizeof(COLUMNS) / sizeof(COLUMNS[0]))

int64_t cli_now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int cli_random_id(struct cli_call *call, uint8_t id[KW_ID_SIZE])
{
	if (getrandom(id, KW_ID_SIZE, 0) != (ssize_t)KW_ID_SIZE)
		return cli_fail_err(call, KW_EIO, "The system has no random numbers.");
	return CLI_OK;
}

static int fail_field(struct cli_call *call, const char *field, const char *rule)
{
	return cli_fail(call, &(struct cli_failure){.code = kw_err_name(KW_EFIELD), .field = field, .text = rule,
		.exit = CLI_REFUSED});
}

const char *cli_option_named(const struct cli_call *call, const char *name)
{
	for (size_t i = 0; call->command->options[i].name; i++)
		if (strcmp(call->command->options[i].name, name) == 0)
			return call->option[i];
	return NULL;
}

/* The option that stands for a column, with its dashes; the column itself if none does. */
static const char *option_of(const char *column, char out[64])
{
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (strcmp(COLUMNS[i].column, column) == 0) {
			(void)snprintf(out, 64, "--%s", COLUMNS[i].option); /* fits */
			return out;
		}
	}
	return column;
}

/* The same for a field of the message, such as children[0].age.years, which is a column's path or below it. */
static const char *option_of_field(const char *field, char out[64])
{
	char path[128];
	size_t used = 0;
	for (; *field && used + 1 < sizeof(path); field++)
		if (*field != ']')
			path[used++] = *field == '[' ? '.' : *field;
	path[used] = '\0';
	const struct import_columns *known = import_columns(IMPORT_REFERRAL);
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		const struct import_column *column = import_column_find(known, COLUMNS[i].column);
		char wanted[128];
		(void)snprintf(wanted, sizeof(wanted), "%s", column ? column->path : ""); /* fits: ours */
		kw_spell_json(wanted);
		size_t size = strlen(wanted);
		if (size > 0 && strncmp(path, wanted, size) == 0 && (path[size] == '\0' || path[size] == '.'))
			return option_of(COLUMNS[i].column, out);
	}
	return NULL;
}

/* Free text of a terminal that speaks another character set would be refused far from here, and by no name. */
static int check_text(struct cli_call *call)
{
	char option[64];
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (cli_option_named(call, COLUMNS[i].option) && !cli_is_utf8(cli_option_named(call, COLUMNS[i].option)))
			return fail_field(call, option_of(COLUMNS[i].column, option),
				"must be UTF-8 text; set the terminal's character set to UTF-8, or send a file with --referral");
	return CLI_OK;
}

/* The urgent action that --from-urgent names, sent or received; *reply keeps it (free it). */
static int find_urgent(struct cli_call *call, const Kinward__V1__UrgentAction **out, Kinward__V1__LocalReply **reply)
{
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	struct kinward agent = {.fd = -1};
	uint8_t id[KW_ID_SIZE];
	if (cli_id_from(call->option[FROM_URGENT], id) != KW_OK)
		return cli_fail_usage(call, "--from-urgent is a message id of 32 hex digits, as kinward inbox prints them");
	show.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_ITEM, reply);
	kinward_close(&agent);
	if (code != CLI_OK)
		return code;
	const Kinward__V1__Content *content = (*reply)->item->content;
	if (!content || content->body_case != KINWARD__V1__CONTENT__BODY_URGENT_ACTION)
		return cli_fail_usage(call, "--from-urgent: that message is no urgent action; kinward show says what it is");
	*out = content->urgent_action;
	return CLI_OK;
}

static void fill_cell(struct import_cell *cells, size_t *count, const char *column, const char *value)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(cells[i].header, column) == 0)
			return; /* what the caller says goes first */
	if (value[0])
		cells[(*count)++] = (struct import_cell){column, value};
}

/* One child of a finding: the service, the place and whom to call are known; who the child is, is for the caller to say. */
static void fill_from_urgent(const Kinward__V1__UrgentAction *urgent, char service[CODES_SHORT_SIZE],
	struct import_cell *cells, size_t *count)
{
	const Kinward__V1__Staff *contact = urgent->contact;
	codes_short(&kinward__v1__service_type__descriptor, (int)urgent->service, service, CODES_SHORT_SIZE);
	fill_cell(cells, count, "service_type", service);
	fill_cell(cells, count, "risk_level", "high");
	fill_cell(cells, count, "reason", urgent->finding);
	fill_cell(cells, count, "location_current", urgent->place);
	fill_cell(cells, count, "location_current_pcode", urgent->site_pcode);
	fill_cell(cells, count, "safe_contact_instructions", urgent->safe_contact_instructions);
	if (contact)
		fill_cell(cells, count, "referrer_name", contact->name);
	if (contact && contact->contact)
		fill_cell(cells, count, "referrer_phone", contact->contact->phone);
}

/* A referral from options. Consent is what the caller says: given to both purposes with --consent-from alone, not given
 * with an override. */
static int referral_from(struct cli_call *call, const Kinward__V1__UrgentAction *urgent, ProtobufCMessage **out)
{
	struct import_cell cells[COLUMN_COUNT + 3]; /* two of consent, and the P-code of an urgent action */
	char service[CODES_SHORT_SIZE];
	size_t count = 0;
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (cli_option_named(call, COLUMNS[i].option))
			cells[count++] = (struct import_cell){COLUMNS[i].column, cli_option_named(call, COLUMNS[i].option)};
	if (cli_option_named(call, "consent-from")) {
		const char *answer = cli_option_named(call, "override-reason") ? "not_asked" : "given";
		cells[count++] = (struct import_cell){"consent_for_services", answer};
		cells[count++] = (struct import_cell){"disclosure_other_orgs", answer};
	}
	if (urgent)
		fill_from_urgent(urgent, service, cells, &count);
	char today[16], local_id[IMPORT_LOCAL_ID_SIZE_MAX + 1];
	time_t now = (time_t)(cli_now_ms() / 1000);
	struct tm parts;
	if (!gmtime_r(&now, &parts) || strftime(today, sizeof(today), "%Y-%m-%d", &parts) == 0)
		return cli_fail_err(call, KW_EIO, "The clock gives no date.");
	struct import_options options = {.kind = IMPORT_REFERRAL, .as_of = today};
	struct import_row row = {.cells = cells, .count = count};
	struct import_fault fault;
	struct json_fault json_fault;
	json_t *root = NULL;
	char option[64];
	int code = check_text(call);
	if (code != CLI_OK)
		return code;
	enum kw_err err = import_row_json(&options, &row, &root, local_id, &fault);
	if (err != KW_OK)
		return fail_field(call, option_of(fault.column, option), fault.rule);
	err = json_map_read(&kinward__v1__referral_request__descriptor, root, out, &json_fault);
	json_decref(root);
	const char *named = err == KW_EFIELD ? option_of_field(json_fault.path, option) : NULL;
	if (named)
		return fail_field(call, named, json_fault.rule);
	return err == KW_OK ? CLI_OK : cli_fail_json(call, err, "the options", &json_fault);
}

int cli_referral_from_options(struct cli_call *call, ProtobufCMessage **out)
{
	return referral_from(call, NULL, out);
}

static int message_from_file(struct cli_call *call, const char *path, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage **out)
{
	struct kw_buf text;
	struct json_fault fault;
	kw_buf_init(&text, CLI_FILE_SIZE_MAX);
	int code = cli_read_file(call, path, &text);
	if (code == CLI_OK) {
		enum kw_err err = json_map_parse(type, kw_buf_view(&text), out, &fault);
		if (err != KW_OK)
			code = cli_fail_json(call, err, path, &fault);
	}
	kw_buf_fini(&text);
	return code;
}

/* The content, from whichever source was named; *body is what to free. */
static int read_content(struct cli_call *call, Kinward__V1__Content *content, ProtobufCMessage **body)
{
	const Kinward__V1__UrgentAction *urgent = NULL;
	Kinward__V1__LocalReply *found = NULL;
	bool flags = call->option[FROM_URGENT] != NULL;
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		flags = flags || cli_option_named(call, COLUMNS[i].option);
	int sources = (call->option[REFERRAL] != NULL) + (call->option[CONTENT] != NULL) + flags;
	if (sources != 1)
		return cli_fail_usage(call, sources ? "name one source: --referral, --content, or the options of a referral"
						    : "say what to send: --referral FILE, --content FILE, or --service and so on");
	if (call->option[CONTENT]) {
		int code = message_from_file(call, call->option[CONTENT], &kinward__v1__content__descriptor, body);
		if (code == CLI_OK)
			*content = *(Kinward__V1__Content *)*body; /* a shallow copy that body keeps alive */
		return code;
	}
	int code = call->option[FROM_URGENT] ? find_urgent(call, &urgent, &found) : CLI_OK;
	if (code == CLI_OK)
		code = call->option[REFERRAL] ? message_from_file(call, call->option[REFERRAL],
			&kinward__v1__referral_request__descriptor, body) : referral_from(call, urgent, body);
	kinward_reply_free(found);
	if (code == CLI_OK) {
		content->body_case = KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST;
		content->referral_request = (Kinward__V1__ReferralRequest *)*body;
	}
	return code;
}

static int read_envelope_options(struct cli_call *call, Kinward__V1__SendRequest *send, uint8_t thread[KW_ID_SIZE])
{
	uint64_t hours = 0;
	if (call->option[THREAD]) {
		int code = cli_id_option(call, "--thread", call->option[THREAD], thread);
		if (code != CLI_OK)
			return code;
		send->thread_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = thread};
	}
	if (call->option[LIFETIME]) {
		if (cli_number_from(call->option[LIFETIME], 1, 1080, &hours) != KW_OK)
			return cli_fail_usage(call, "--lifetime is 1 to 1080 hours");
		send->lifetime_hours = (uint32_t)hours;
	}
	return cli_class_option(call, call->option[CLASS], send);
}

int cli_class_option(struct cli_call *call, const char *text, Kinward__V1__SendRequest *send)
{
	for (unsigned c = KW_URGENT; text && c < KW_MSG_CLASS_COUNT; c++)
		if (strcmp(text, kw_msg_class_name((enum kw_msg_class)c)) == 0)
			send->class_ = c;
	return text && send->class_ == 0 ? cli_fail_usage(call, "--class is urgent, normal or bulk") : CLI_OK;
}

int cli_claim_options(struct cli_call *call, uint8_t from[KW_ID_SIZE], struct cli_claim *out)
{
	const char *case_id = cli_option_named(call, "case");
	const char *thread = cli_option_named(call, "from-thread");
	if (case_id && out->case_id[0] == '\0')
		out->case_id = cli_borrowed(case_id);
	int code = thread ? cli_id_option(call, "--from-thread", thread, from) : CLI_OK;
	out->consent_anew = out->consent_anew || cli_option_named(call, "new-consent");
	if (thread)
		out->from_thread = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = from};
	return code;
}

int cli_send(struct cli_call *call, struct kinward *agent, Kinward__V1__SendRequest *send)
{
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	static const uint8_t NONE[KW_ID_SIZE];
	const ProtobufCBinaryData *id = &send->content->message_id;
	/* Also those of a file, of an event and of an import. */
	if (id->len == KW_ID_SIZE && memcmp(id->data, NONE, KW_ID_SIZE) == 0)
		return fail_field(call, "message_id", "is all zeros, which is no id: give 16 random bytes, or leave it out");
	uint8_t from[KW_ID_SIZE];
	struct cli_claim claim = {send->case_, send->from_thread, send->consent_anew};
	int claimed = cli_claim_options(call, from, &claim);
	if (claimed != CLI_OK)
		return claimed;
	send->case_ = claim.case_id;
	send->from_thread = claim.from_thread;
	send->consent_anew = claim.consent_anew;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SEND;
	request.send = send;
	int code = cli_ask(call, agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_SENT, &reply);
	if (code == CLI_RETRY || code == CLI_UNREACHABLE) {
		(void)fputs("kinward: it may have been sent all the same; to repeat it without sending twice, add --message-id ",
			call->err);
		cli_print_hex(call->err, &send->content->message_id);
		(void)fputc('\n', call->err);
	}
	if (code != CLI_OK)
		return code;
	if (call->json) {
		code = cli_print_message_json(call, &reply->sent->base);
	} else {
		(void)fputs(reply->sent->repeated_request ? "sent before" : "in the outbox", call->out);
		(void)fputs("\n  message  ", call->out);
		cli_print_hex(call->out, &reply->sent->message_id);
		(void)fputs("\n  thread   ", call->out);
		cli_print_hex(call->out, &reply->sent->thread_id);
		(void)fputs("\n  (kinward outbox shows how far it is)\n", call->out);
	}
	kinward_reply_free(reply);
	return code;
}

/* Checks what can be checked here, so that a mistake is named also while the agent is down. */
static int check_body(struct cli_call *call, const Kinward__V1__Content *content)
{
	struct kw_fault fault;
	if (content->body_case != KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST)
		return CLI_OK; /* the agent checks every kind */
	if (kw_message_validate_at(&content->referral_request->base, (int64_t)time(NULL) * 1000, &fault) == KW_OK)
		return CLI_OK;
	char option[64];
	bool from_file = call->option[REFERRAL] || call->option[CONTENT];
	const char *named = from_file ? NULL : option_of_field(fault.field, option);
	return fail_field(call, named ? named : fault.field, fault.rule);
}

/* A message of ours with this id, for this agency, as it was sent; *out stays NULL when there is none. */
static int find_sent(struct cli_call *call, struct kinward *agent, Kinward__V1__SendRequest *send,
	Kinward__V1__LocalReply **out)
{
	Kinward__V1__ShowRequest show = KINWARD__V1__SHOW_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	show.message_id = send->content->message_id;
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_SHOW;
	request.show = &show;
	enum kw_err err = kinward_ask(agent, &request, out);
	if (err != KW_OK)
		return cli_fail_agent(call, agent, err);
	const Kinward__V1__Item *item = (*out)->body_case == KINWARD__V1__LOCAL_REPLY__BODY_ITEM ? (*out)->item : NULL;
	if (item && item->state != KINWARD__V1__OUT_STATE__OUT_STATE_UNSPECIFIED && item->content &&
		strcmp(item->agency, send->agency) == 0 &&
		item->content->body_case == KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST)
		return CLI_OK;
	kinward_reply_free(*out);
	*out = NULL;
	return CLI_OK;
}

/* Of a send that is repeated: the reference that the file had in it. Each sealing has another key, so without this a repeat
 * would be another message under the same id. */
static Kinward__V1__AttachmentRef *ref_of(const Kinward__V1__LocalReply *sent, const struct cli_file *file)
{
	const Kinward__V1__ReferralRequest *referral = sent ? sent->item->content->referral_request : NULL;
	for (size_t i = 0; referral && i < referral->n_attachments; i++) {
		Kinward__V1__AttachmentRef *ref = referral->attachments[i];
		if (ref->file_digest.len == KW_DIGEST_SIZE && memcmp(ref->file_digest.data, file->digest.bytes, KW_DIGEST_SIZE) == 0)
			return ref;
	}
	return NULL;
}

/* Sends with one more attachment than the referral names; the list is put back, because the referral owns it. */
static int send_naming(struct cli_call *call, struct kinward *agent, Kinward__V1__SendRequest *send,
	Kinward__V1__AttachmentRef *ref)
{
	Kinward__V1__ReferralRequest *referral = send->content->referral_request;
	Kinward__V1__AttachmentRef *refs[CLI_ATTACHMENTS_MAX + 1];
	Kinward__V1__AttachmentRef **own = referral->attachments;
	size_t count = referral->n_attachments;
	if (count > 0)
		memcpy(refs, own, count * sizeof(refs[0]));
	refs[count] = ref;
	referral->attachments = refs;
	referral->n_attachments = count + 1;
	int code = cli_send(call, agent, send);
	referral->attachments = own;
	referral->n_attachments = count;
	return code;
}

static int send_attaching(struct cli_call *call, struct kinward *agent, Kinward__V1__SendRequest *send)
{
	Kinward__V1__LocalReply *reply = NULL, *sent = NULL;
	struct cli_file file;
	struct cli_attach attach = {.agency = send->agency, .file = &file, .path = call->option[ATTACH],
		.lifetime_hours = send->lifetime_hours};
	if (send->content->referral_request->n_attachments > CLI_ATTACHMENTS_MAX)
		return cli_fail_usage(call, "the referral names too many attachments already");
	int code = cli_file_read(call, call->option[ATTACH], &file);
	if (code == CLI_OK && call->option[MESSAGE_ID])
		code = find_sent(call, agent, send, &sent);
	Kinward__V1__AttachmentRef *ref = code == CLI_OK ? ref_of(sent, &file) : NULL;
	if (code == CLI_OK && sent && !ref) /* before it is sealed and sent for nothing */
		code = cli_fail_err(call, KW_EEXIST,
			"A message with this id was sent without this file; take another --message-id, or the file that it named.");
	if (code == CLI_OK && !ref) {
		code = cli_attach(call, agent, &attach, &reply);
		ref = code == CLI_OK ? reply->attached->ref : NULL;
	}
	if (code == CLI_OK)
		code = send_naming(call, agent, send, ref);
	cli_file_free(&file);
	kinward_reply_free(reply);
	kinward_reply_free(sent);
	return code;
}

int cli_run_send(struct cli_call *call)
{
	Kinward__V1__Content content = KINWARD__V1__CONTENT__INIT;
	Kinward__V1__SendRequest send = KINWARD__V1__SEND_REQUEST__INIT;
	ProtobufCMessage *body = NULL;
	struct kinward agent = {.fd = -1};
	uint8_t thread[KW_ID_SIZE], id[KW_ID_SIZE];
	int code = read_envelope_options(call, &send, thread);
	if (code == CLI_OK && call->option[MESSAGE_ID])
		code = cli_id_option(call, "--message-id", call->option[MESSAGE_ID], id);
	if (code == CLI_OK)
		code = read_content(call, &content, &body);
	if (code == CLI_OK)
		code = check_body(call, &content);
	if (code == CLI_OK && call->option[ATTACH] && content.body_case != KINWARD__V1__CONTENT__BODY_REFERRAL_REQUEST)
		code = cli_fail_usage(call, "--attach is for referrals; for others use kinward attach and name the reference");
	if (code == CLI_OK && call->option[DRY_RUN]) {
		code = cli_print_message_json(call, &content.base);
		goto out;
	}
	if (code == CLI_OK && !call->option[MESSAGE_ID] && content.message_id.len == 0)
		code = cli_random_id(call, id);
	if (call->option[MESSAGE_ID] || content.message_id.len == 0)
		content.message_id = (ProtobufCBinaryData){.len = KW_ID_SIZE, .data = id};
	send.agency = call->args[0];
	send.content = &content;
	if (code == CLI_OK)
		code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = call->option[ATTACH] ? send_attaching(call, &agent, &send) : cli_send(call, &agent, &send);
	kinward_close(&agent);
out:
	if (body)
		protobuf_c_message_free_unpacked(body, NULL);
	return code;
}
