#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/cli/hub_enrol.h"
#include "proto/link/file.h"
#include "proto/link/pki.h"
#include "proto/wire/spki.h"

/* A person's word on an enrolment. It changes the enrolment's record and nothing else: the broker carries it out within a second, and
 * tells the agents. */

#define LOCK_WAIT_MS 5000u
#define REPLY_WAIT_MS 30000u
#define REPLY_STEP_MS 50u

const char CLI_HUB_APPROVE_DETAILS[] =
	"Lets an agency in whose request waits. The phrase is the one that the agency's people read to you, by telephone or face to face:\n"
	"never one that came with the request. Who approves is another person than who made the code.\n\n"
	"  kinward hub approve agency-a --phrase \"1234 5678 9012 3456 7890 1234\"\n\n"
	"If the phrase is another one than the hub has, do not approve: somebody else may have used the code. kinward hub refuse, and\n"
	"make a new code. For an agency without a link, the file that it sent, and the one that it gets:\n\n"
	"  kinward hub approve agency-a --phrase \"...\" --request agency-a.request --reply agency-a.reply\n";

const char CLI_HUB_REFUSE_DETAILS[] =
	"Makes the codes of an agency void that are waiting or asked for; an agency that is in is shut out with kinward hub revoke.\n\n"
	"  kinward hub refuse agency-a\n";

enum { APPROVE_DIR, APPROVE_PHRASE, APPROVE_BY, APPROVE_ALONE, APPROVE_AFTER_ALARM, APPROVE_REQUEST, APPROVE_REPLY };

const struct cli_option CLI_HUB_APPROVE_OPTIONS[] = {
	[APPROVE_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[APPROVE_PHRASE] = {"phrase", "NUMBERS", "what the agency's people read to you; required"},
	[APPROVE_BY] = {"by", "NAME", "who approves, for the record (default: your login name)"},
	[APPROVE_ALONE] = {"alone", NULL, "nobody else is there: whoever made the code approves; it is recorded and logged"},
	[APPROVE_AFTER_ALARM] = {"after-alarm", NULL, "two requests came with the code, and you are sure that this one is the agency's"},
	[APPROVE_REQUEST] = {"request", "FILE", "the agency has no link: its request"},
	[APPROVE_REPLY] = {"reply", "FILE", "write the answer there, to be carried to the agency"},
	{NULL, NULL, NULL},
};

enum { REFUSE_DIR, REFUSE_PHRASE, REFUSE_BY };

const struct cli_option CLI_HUB_REFUSE_OPTIONS[] = {
	[REFUSE_DIR] = {"dir", "DIR", "the hub's folder (default " CLI_HUB_FOLDER ")"},
	[REFUSE_PHRASE] = {"phrase", "NUMBERS", "only the request with this phrase (default: all of the agency)"},
	[REFUSE_BY] = {"by", "NAME", "who refuses, for the record (default: your login name)"},
	{NULL, NULL, NULL},
};

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

struct decision {
	struct cli_call *call;
	const char *dir;
	struct kw_name agency;
	char by[KW_ENROL_BY_SIZE_MAX + 1];
	const char *phrase;
};

/* The options that approve and refuse share. */
static int read_decision(struct cli_call *call, const char *dir, const char *by, struct decision *out)
{
	int code = cli_hub_take_dir(call, dir, &out->dir);
	out->call = call;
	if (code == CLI_OK && kw_name_from(kw_view_str(call->args[0]), &out->agency) != KW_OK)
		code = cli_fail_usage(call, "AGENCY is a name of 1 to 63 of a-z, 0-9 and '-', beginning and ending with no '-'");
	return code != CLI_OK ? code : cli_hub_take_by(call, by, out->by);
}

static enum kw_err lock_folder(const struct decision *decision, int *lock)
{
	enum kw_err err = cli_hub_check_owner(decision->dir);
	return err != KW_OK ? err : kw_enrolments_lock(decision->dir, LOCK_WAIT_MS, lock);
}

static enum kw_err load_root(const char *dir, X509 **root)
{
	char path[CLI_HUB_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/root.pem", dir); /* dir's length was checked */
	return kw_pki_cert_load(path, root);
}

static enum kw_err is_enrolled(const struct decision *decision, bool *out)
{
	struct kw_roles *roles = NULL;
	enum kw_err err = cli_hub_load_roles(decision->dir, &roles);
	if (err == KW_OK)
		*out = kw_directory_find(roles->directory, &decision->agency) != NULL;
	kw_roles_free(roles);
	return err;
}

static const char *request_file_text(enum kw_err err)
{
	switch (err) {
	case KW_ENOTFOUND:
		return "there is no such file";
	case KW_EDENIED:
		return "the file is writable by others, or not to be read by this user";
	case KW_EVERSION:
		return "the file is of another version of kinward: bring both sides to the same";
	case KW_EFIELD:
		return "this is a reply, or a request with a field that is not allowed: bring the file that kinward agent init --request wrote";
	case KW_EAUTH:
		return "the request was changed on its way, or is of a code that this hub does not know: do not approve. Bring the file that "
			"kinward agent init --request wrote; if it is that one, make a new code";
	default:
		return "the file is damaged, or no request for enrolment: carry it over again";
	}
}

static const char *phase_text(enum kw_enrol_phase phase)
{
	switch (phase) {
	case KW_ENROL_EXPIRED:
		return "the code of this request has expired: make a new one with kinward hub add";
	case KW_ENROL_BURNT:
		return "the code of this request is burnt, after five wrong tries: make a new one, and ask who has seen it";
	case KW_ENROL_REFUSED:
		return "this request was refused: make a new code with kinward hub add";
	case KW_ENROL_TAKEN:
		return "ALARM: another request came before with this code, so somebody has it who should not. Do not approve either before you "
			"have spoken to the agency; kinward hub refuse, and a new code, end it";
	default:
		return "an agency of this name is enrolled already: kinward hub list shows it";
	}
}

/* Judges the request of a file as if it had come by link. */
static enum kw_err visit_file(const struct decision *decision, struct kw_view body, enum kw_enrol_phase *phase)
{
	struct kw_enrol_ask ask;
	struct kw_enrolment enrolment = {.tries = 0};
	struct kw_enrolment_verdict verdict = {.changed = false};
	struct kw_digest root_digest;
	X509 *root = NULL;
	bool exists = false;
	enum kw_err err = kw_enrol_ask_parse(body, &ask);
	if (err == KW_OK)
		err = load_root(decision->dir, &root);
	if (err == KW_OK)
		err = kw_spki_digest(root, &root_digest);
	X509_free(root);
	if (err == KW_OK)
		err = is_enrolled(decision, &exists);
	if (err == KW_OK)
		err = kw_enrolments_load(decision->dir, ask.is.code_id, &enrolment);
	if (err == KW_ENOTFOUND || (err == KW_OK && !kw_name_equal(&enrolment.agency, &decision->agency)))
		err = KW_EAUTH;
	if (err == KW_OK) {
		const struct kw_enrolment_visit visit = {.ask = &ask, .bytes = body, .root_fingerprint = &root_digest, .now_s = now_s(),
			.exists = exists};
		err = kw_enrolment_visit(&enrolment, &visit, &verdict);
	}
	if (verdict.changed) {
		enum kw_err saved = kw_enrolments_save(decision->dir, &enrolment);
		err = err != KW_OK ? err : saved;
	}
	kw_enrolment_fini(&enrolment);
	*phase = verdict.phase;
	return err;
}

/* With the lock. 0, or an exit code after printing. */
static int take_request_file(const struct decision *decision, const char *path)
{
	struct kw_buf paper;
	struct kw_view body;
	enum kw_enrol_phase phase = 0;
	kw_buf_init(&paper, KW_ENROL_PAPER_SIZE_MAX);
	enum kw_err err = kw_file_read(path, KW_FILE_PUBLIC, &paper);
	if (err == KW_OK)
		err = kw_enrol_paper_parse(kw_buf_view(&paper), KW_ENROL_PAPER_REQUEST, &body);
	if (err == KW_OK)
		err = visit_file(decision, body, &phase);
	kw_buf_fini(&paper);
	if (err != KW_OK)
		return cli_hub_fail_field(decision->call, err, "--request", request_file_text(err));
	if (phase == 0 || phase == KW_ENROL_ASKED || phase == KW_ENROL_APPROVED)
		return CLI_OK;
	return cli_hub_fail_field(decision->call, KW_ESTATE, "--request", phase_text(phase));
}

/* The request of this agency with this phrase. 0 and *out, an index, or an exit code after printing. */
static int find_asked(const struct decision *decision, const struct cli_enrolments *all, size_t *out)
{
	size_t asked = 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct kw_enrolment *row = &all->rows[i];
		bool open = row->state == KW_ENROLMENT_ASKED || row->state == KW_ENROLMENT_APPROVED || row->state == KW_ENROLMENT_DONE;
		if (!open || !kw_name_equal(&row->agency, &decision->agency))
			continue;
		asked += row->state == KW_ENROLMENT_ASKED;
		if (kw_enrol_phrase_equal(row->phrase, decision->phrase)) {
			*out = i;
			return CLI_OK;
		}
	}
	if (asked == 0)
		return cli_hub_fail_field(decision->call, KW_ENOTFOUND, "AGENCY", "nobody asks under this name: kinward hub enrolments shows who "
			"does, and how far each is");
	return cli_hub_fail_field(decision->call, KW_EAUTH, "--phrase", "is not the phrase of the request that is here, and nothing was "
		"approved. Let it be read once more. If it stays another one, do not approve: somebody else may have used the code. Void it "
		"with kinward hub refuse, make a new one with kinward hub add, and have it go by another way");
}

static int check_person(const struct decision *decision, const struct kw_enrolment *row)
{
	struct cli_call *call = decision->call;
	char text[KW_ENROL_BY_SIZE_MAX + 300];
	if (row->alarms > 0 && call->option[APPROVE_AFTER_ALARM] == NULL)
		return cli_hub_fail_field(call, KW_EDENIED, "--after-alarm", "two different requests came with this code, so somebody has it who "
			"should not. Safe is kinward hub refuse and a new code. Only if you have met the agency's people and the phrase is theirs, "
			"say --after-alarm");
	if (!kw_enrolment_by_equal(row->made_by, decision->by) || call->option[APPROVE_ALONE] != NULL)
		return CLI_OK;
	(void)snprintf(text, sizeof(text), "%s made this code, and another person has to approve: let them run this, or say who with --by. "
		"If nobody else is there, --alone does it, and is recorded", row->made_by); /* fits */
	return cli_hub_fail_field(call, KW_EDENIED, "--by", text);
}

/* With the lock. 0 and the record as it is then, or an exit code after printing. */
static int approve(const struct decision *decision, struct kw_enrolment *out)
{
	struct cli_enrolments all;
	size_t found;
	bool exists = false;
	enum kw_err err = cli_enrolments_load(decision->dir, &all);
	int code = err != KW_OK ? cli_hub_fail_dir(decision->call, decision->dir, err) : find_asked(decision, &all, &found);
	struct kw_enrolment *row = code == CLI_OK ? &all.rows[found] : NULL;
	if (code == CLI_OK && row->state == KW_ENROLMENT_ASKED) {
		code = check_person(decision, row);
		err = code != CLI_OK ? KW_OK : is_enrolled(decision, &exists);
		if (code == CLI_OK && err == KW_OK && exists)
			code = cli_hub_fail_field(decision->call, KW_EEXIST, "AGENCY", phase_text(KW_ENROL_EXISTS));
		if (code == CLI_OK && err == KW_OK) {
			row->state = KW_ENROLMENT_APPROVED;
			memcpy(row->decided_by, decision->by, sizeof(row->decided_by));
			row->decided_s = now_s();
			row->alone = kw_enrolment_by_equal(row->made_by, row->decided_by);
			err = kw_enrolments_save(decision->dir, row);
		}
		if (code == CLI_OK && err != KW_OK)
			code = cli_hub_fail_dir(decision->call, decision->dir, err);
	}
	if (code == CLI_OK) {
		*out = *row;
		*row = (struct kw_enrolment){.tries = 0}; /* taken */
	}
	cli_enrolments_free(&all);
	return code;
}

/* The broker makes it; KW_ETIMEOUT when it does not. */
static enum kw_err wait_for_reply(const char *dir, struct kw_enrolment *enrolment)
{
	const struct timespec step = {.tv_nsec = REPLY_STEP_MS * 1000000L};
	for (uint32_t waited = 0; enrolment->state == KW_ENROLMENT_APPROVED; waited += REPLY_STEP_MS) {
		uint8_t id[KW_ENROL_ID_SIZE];
		memcpy(id, enrolment->id, sizeof(id));
		if (waited >= REPLY_WAIT_MS)
			return KW_ETIMEOUT;
		(void)nanosleep(&step, NULL);
		kw_enrolment_fini(enrolment);
		enum kw_err err = kw_enrolments_load(dir, id, enrolment);
		if (err != KW_OK)
			return err;
	}
	return enrolment->state == KW_ENROLMENT_DONE ? KW_OK : KW_ESTATE;
}

static enum kw_err write_reply(const char *dir, const struct kw_enrolment *enrolment, const char *path)
{
	struct kw_enrol_reply reply;
	struct kw_buf root_der;
	struct kw_buf body;
	struct kw_buf paper;
	X509 *root = NULL;
	kw_buf_init(&root_der, KW_ENROL_CERTIFICATE_SIZE_MAX);
	kw_buf_init(&body, KW_ENROL_PAPER_SIZE_MAX);
	kw_buf_init(&paper, KW_ENROL_PAPER_SIZE_MAX);
	enum kw_err err = kw_enrol_reply_parse(kw_buf_view(&enrolment->reply), &reply);
	if (err == KW_OK)
		err = load_root(dir, &root);
	if (err == KW_OK)
		err = kw_pki_cert_add_der(root, &root_der);
	if (err == KW_OK) {
		reply.root = kw_buf_view(&root_der);
		err = kw_enrol_reply_add(&body, &reply);
	}
	if (err == KW_OK)
		err = kw_enrol_paper_add(&paper, KW_ENROL_PAPER_REPLY, kw_buf_view(&body));
	if (err == KW_OK)
		err = kw_file_write_atomic(path, kw_buf_view(&paper), 0644);
	X509_free(root);
	kw_buf_fini(&root_der);
	kw_buf_fini(&body);
	kw_buf_fini(&paper);
	return err;
}

static int give_reply(const struct decision *decision, struct kw_enrolment *enrolment, const char *path)
{
	enum kw_err err = wait_for_reply(decision->dir, enrolment);
	if (err == KW_ETIMEOUT)
		return cli_hub_fail_field(decision->call, err, "--reply", "it is approved, but the broker that carries it out does not run: start "
			"it, and give the same command again");
	if (err != KW_OK)
		return cli_hub_fail_field(decision->call, err, "AGENCY", "the broker could not carry it out: its log says why, at \"enrolment\"");
	err = write_reply(decision->dir, enrolment, path);
	return err == KW_OK ? CLI_OK : cli_hub_fail_field(decision->call, err, "--reply", "it is approved, but the file cannot be written "
		"there: give the same command again with another one");
}

static void print_approved(struct cli_call *call, const struct kw_enrolment *enrolment, const char *reply)
{
	const char *agency = enrolment->agency.text;
	if (call->json) {
		cli_print_json(call->out, json_pack("{s:s, s:s, s:s, s:s, s:b}", "agency", agency, "state",
			kw_enrolment_state_name(enrolment->state), "madeBy", enrolment->made_by, "decidedBy", enrolment->decided_by, "alone",
			(int)enrolment->alone));
		return;
	}
	(void)fprintf(call->out, "%s is approved", agency);
	if (enrolment->alone)
		(void)fputs(", alone: that is recorded", call->out);
	if (reply != NULL)
		(void)fprintf(call->out, ". Carry %s to the agency:\n  kinward agent init --reply FILE\n", reply);
	else
		(void)fputs(". The broker lets it in within a second, and its agent goes on by itself.\n", call->out);
}

int cli_run_hub_approve(struct cli_call *call)
{
	struct decision decision = {.phrase = call->option[APPROVE_PHRASE]};
	struct kw_enrolment enrolment = {.tries = 0};
	const char *reply = call->option[APPROVE_REPLY];
	int lock;
	int code = read_decision(call, call->option[APPROVE_DIR], call->option[APPROVE_BY], &decision);
	if (code == CLI_OK && decision.phrase == NULL)
		code = cli_fail_usage(call, "--phrase is missing: the six numbers that the agency's people read to you, and that kinward hub "
			"enrolments shows");
	if (code == CLI_OK && call->option[APPROVE_REQUEST] != NULL && reply == NULL)
		code = cli_fail_usage(call, "--request needs --reply: an agency without a link gets its answer as a file");
	if (code != CLI_OK)
		return code;
	enum kw_err err = lock_folder(&decision, &lock);
	if (err != KW_OK)
		return cli_hub_fail_dir(call, decision.dir, err);
	if (call->option[APPROVE_REQUEST] != NULL)
		code = take_request_file(&decision, call->option[APPROVE_REQUEST]);
	if (code == CLI_OK)
		code = approve(&decision, &enrolment);
	kw_enrolments_unlock(lock);
	if (code == CLI_OK && reply != NULL)
		code = give_reply(&decision, &enrolment, reply);
	if (code == CLI_OK)
		print_approved(call, &enrolment, reply);
	kw_enrolment_fini(&enrolment);
	return code;
}

/* With the lock. How many were made void. */
static enum kw_err refuse(const struct decision *decision, size_t *count)
{
	struct cli_enrolments all;
	enum kw_err err = cli_enrolments_load(decision->dir, &all);
	*count = 0;
	for (size_t i = 0; err == KW_OK && i < all.count; i++) {
		struct kw_enrolment *row = &all.rows[i];
		bool open = row->state == KW_ENROLMENT_WAITING || row->state == KW_ENROLMENT_ASKED || row->state == KW_ENROLMENT_APPROVED;
		if (!open || !kw_name_equal(&row->agency, &decision->agency) ||
			(decision->phrase != NULL && !kw_enrol_phrase_equal(row->phrase, decision->phrase)))
			continue;
		row->state = KW_ENROLMENT_REFUSED;
		memcpy(row->decided_by, decision->by, sizeof(row->decided_by));
		row->decided_s = now_s();
		err = kw_enrolments_save(decision->dir, row);
		*count += err == KW_OK;
	}
	cli_enrolments_free(&all);
	return err;
}

int cli_run_hub_refuse(struct cli_call *call)
{
	struct decision decision = {.phrase = call->option[REFUSE_PHRASE]};
	size_t count = 0;
	int lock;
	int code = read_decision(call, call->option[REFUSE_DIR], call->option[REFUSE_BY], &decision);
	if (code != CLI_OK)
		return code;
	enum kw_err err = lock_folder(&decision, &lock);
	if (err == KW_OK) {
		err = refuse(&decision, &count);
		kw_enrolments_unlock(lock);
	}
	if (err != KW_OK)
		return cli_hub_fail_dir(call, decision.dir, err);
	if (count == 0)
		return cli_hub_fail_field(call, KW_ENOTFOUND, "AGENCY", "no code of this agency is out and no request waits: kinward hub "
			"enrolments shows how far each is. An agency that is in is shut out with kinward hub revoke");
	if (call->json)
		cli_print_json(call->out, json_pack("{s:s, s:I}", "agency", decision.agency.text, "refused", (json_int_t)count));
	else
		(void)fprintf(call->out, "%zu code%s of %s %s void now; kinward hub add makes a new one.\n", count, count == 1 ? "" : "s",
			decision.agency.text, count == 1 ? "is" : "are");
	return CLI_OK;
}
