#ifndef AGENT_CLI_COMMANDS_H
#define AGENT_CLI_COMMANDS_H

#include "agent/cli/cli.h"

/* The commands, one function and one option table each. Every function gets a call whose options and number of arguments
 * have been checked against its row in commands.c, and returns an exit code. */

/* All commands, ended by a row without name. */
extern const struct cli_command CLI_COMMANDS[];
extern const struct cli_group CLI_GROUPS[];

extern const struct cli_option CLI_SEND_OPTIONS[];
extern const struct cli_option CLI_EVENT_OPTIONS[];
extern const struct cli_option CLI_LIST_OPTIONS[];
extern const struct cli_option CLI_IMPORT_OPTIONS[];
extern const struct cli_option CLI_TEMPLATE_OPTIONS[];
extern const struct cli_option CLI_WATCH_OPTIONS[];
extern const struct cli_option CLI_ATTACH_OPTIONS[];
extern const struct cli_option CLI_ATTACHMENT_OPTIONS[];
extern const struct cli_option CLI_CASE_OPTIONS[];
extern const struct cli_option CLI_TODO_OPTIONS[];
extern const struct cli_option CLI_VALIDATE_OPTIONS[];
extern const struct cli_option CLI_ASSESS_OPTIONS[];
extern const struct cli_option CLI_CANDIDATES_OPTIONS[];
extern const struct cli_option CLI_COMPLETENESS_OPTIONS[];
extern const struct cli_option CLI_INDICATORS_OPTIONS[];
extern const struct cli_option CLI_SUPERVISION_OPTIONS[];

extern const struct cli_option CLI_CONSENT_WITHDRAW_OPTIONS[];
extern const struct cli_option CLI_CONSENT_LIST_OPTIONS[];
extern const struct cli_option CLI_CONSENT_RETAIN_OPTIONS[];
extern const struct cli_option CLI_TRACING_EVENT_OPTIONS[];
extern const struct cli_option CLI_MATCH_PROPOSE_OPTIONS[];
extern const struct cli_option CLI_MATCH_DECIDE_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_OFFER_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_REQUEST_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_ACCEPT_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_REJECT_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_CONFIRM_OPTIONS[];
extern const struct cli_option CLI_TRANSFER_SIMPLE_OPTIONS[];

extern const struct cli_option CLI_REFER_OPTIONS[];
extern const struct cli_option CLI_SERVICES_OPTIONS[];
extern const struct cli_option CLI_PUBLISH_OPTIONS[];
extern const struct cli_option CLI_CAPACITY_ASK_OPTIONS[];
extern const struct cli_option CLI_CAPACITY_ANSWER_OPTIONS[];
extern const struct cli_option CLI_CLAIMS_OPTIONS[];
extern const struct cli_option CLI_LEASE_OPTIONS[];
extern const struct cli_option CLI_CLAIM_OPTIONS[];
extern const struct cli_option CLI_DECLINE_OPTIONS[];

extern const struct cli_option CLI_PROOF_SHOW_OPTIONS[];
extern const struct cli_option CLI_PROOF_VERIFY_OPTIONS[];
extern const struct cli_option CLI_HUB_INIT_OPTIONS[];
extern const struct cli_option CLI_HUB_ADD_OPTIONS[];
extern const struct cli_option CLI_HUB_LIST_OPTIONS[];
extern const struct cli_option CLI_HUB_TIME_OPTIONS[];
extern const struct cli_option CLI_HUB_REVOKE_OPTIONS[];
extern const struct cli_option CLI_HUB_ROTATE_OPTIONS[];
extern const struct cli_option CLI_HUB_UPGRADE_OPTIONS[];
extern const struct cli_option CLI_AGENT_INIT_OPTIONS[];

int cli_run_send(struct cli_call *call);
int cli_run_event(struct cli_call *call);
int cli_run_inbox(struct cli_call *call);
int cli_run_outbox(struct cli_call *call);
int cli_run_dead_letters(struct cli_call *call);
int cli_run_show(struct cli_call *call);
int cli_run_ack(struct cli_call *call);
int cli_run_status(struct cli_call *call);
int cli_run_keys(struct cli_call *call);
int cli_run_watch(struct cli_call *call);
int cli_run_import(struct cli_call *call);
int cli_run_attach(struct cli_call *call);
int cli_run_attachment(struct cli_call *call);
int cli_run_attachments(struct cli_call *call);

/* A file on its way into the agent; texts are borrowed. */
struct cli_file {
	uint8_t *bytes;
	size_t size;
	struct kw_digest digest; /* SHA-256 */
};
/* 0, or an exit code after printing. Free it. */
int cli_file_read(struct cli_call *call, const char *path, struct cli_file *out);
/* Wipes. Accepts what read has refused. */
void cli_file_free(struct cli_file *file);

struct cli_attach {
	const char *agency;
	const struct cli_file *file;
	const char *path;
	const char *media_type; /* NULL: by the ending of the path */
	const char *name;       /* NULL: the last part of the path */
	const char *kind;       /* NULL: photo for an image, else other */
	uint32_t lifetime_hours;
};
/* Seals the file through the agent. 0 and *reply, whose attached->ref goes into the message (free it), or an exit code
 * after printing. */
int cli_attach(struct cli_call *call, struct kinward *agent, const struct cli_attach *attach,
	Kinward__V1__LocalReply **reply);
/* How far each attachment is that a received message names, a line each. 0, or an exit code after printing. */
int cli_print_attachments(struct cli_call *call, struct kinward *agent, const ProtobufCMessage *content);
int cli_run_case(struct cli_call *call);
int cli_run_todo(struct cli_call *call);
int cli_run_template(struct cli_call *call);
int cli_run_validate(struct cli_call *call);
int cli_run_assess(struct cli_call *call);
int cli_run_candidates(struct cli_call *call);
int cli_run_completeness(struct cli_call *call);
/* Every SeparationReport of the inbox, acknowledged or not, in the order they came. `each` returns 0 to go on, or an exit code
 * that ends it. 0, or an exit code after printing. */
int cli_each_separation_report(struct cli_call *call, struct kinward *agent,
	int (*each)(void *user, const Kinward__V1__Item *item, uint32_t week), void *user);
int cli_run_consent_withdraw(struct cli_call *call);
int cli_run_consent_list(struct cli_call *call);
int cli_run_consent_confirm(struct cli_call *call);
int cli_run_consent_erase(struct cli_call *call);
int cli_run_consent_retain(struct cli_call *call);
int cli_run_tracing_event(struct cli_call *call);
int cli_run_match_propose(struct cli_call *call);
int cli_run_match_review(struct cli_call *call);
int cli_run_match_confirm(struct cli_call *call);
int cli_run_match_reject(struct cli_call *call);
int cli_run_match_unlink(struct cli_call *call);
int cli_run_transfer_offer(struct cli_call *call);
int cli_run_transfer_request(struct cli_call *call);
int cli_run_transfer_acknowledge(struct cli_call *call);
int cli_run_transfer_accept(struct cli_call *call);
int cli_run_transfer_reject(struct cli_call *call);
int cli_run_transfer_withdraw(struct cli_call *call);
int cli_run_transfer_confirm(struct cli_call *call);
int cli_run_transfer_complete(struct cli_call *call);
int cli_run_indicators(struct cli_call *call);
int cli_run_supervision(struct cli_call *call);
int cli_run_refer(struct cli_call *call);
int cli_run_services(struct cli_call *call);
int cli_run_publish(struct cli_call *call);
int cli_run_capacity_ask(struct cli_call *call);
int cli_run_capacity_answer(struct cli_call *call);
int cli_run_claims(struct cli_call *call);
int cli_run_lease(struct cli_call *call);
int cli_run_claim(struct cli_call *call);
int cli_run_decline(struct cli_call *call);
int cli_run_proof_show(struct cli_call *call);
int cli_run_proof_verify(struct cli_call *call);
int cli_run_hub_init(struct cli_call *call);
int cli_run_hub_add(struct cli_call *call);
int cli_run_hub_list(struct cli_call *call);
int cli_run_hub_time(struct cli_call *call);
int cli_run_hub_revoke(struct cli_call *call);
int cli_run_hub_rotate(struct cli_call *call);
int cli_run_hub_upgrade(struct cli_call *call);
int cli_run_agent_init(struct cli_call *call);

/* Fills 16 random bytes. 0, or an exit code after printing. */
int cli_random_id(struct cli_call *call, uint8_t id[KW_ID_SIZE]);
/* Milliseconds since 1970. */
int64_t cli_now_ms(void);
/* A time with its zone; one without would mean another hour to the other agency. */
bool cli_time_from(const char *text, int64_t *unix_ms);
/* Sends a SendRequest and prints what came of it; what send and event share. The request's content must have an id. */
int cli_send(struct cli_call *call, struct kinward *agent, Kinward__V1__SendRequest *send);
/* What a command's options --case, --from-thread and --new-consent say, where it has them; from holds the id. 0, or an exit code after
 * printing. */
struct cli_claim {
	char *case_id;
	ProtobufCBinaryData from_thread;
	bool consent_anew;
};
int cli_claim_options(struct cli_call *call, uint8_t from[KW_ID_SIZE], struct cli_claim *out);
/* Where an event goes, and where the thread stands. */
struct cli_place {
	uint8_t thread[KW_ID_SIZE];
	char agency[KW_NAME_SIZE_MAX + 1];
	Kinward__V1__ThreadParty party;
	uint32_t state;
};
/* Finds the thread that the first argument names; it must be of this kind. 0, or an exit code after printing. */
int cli_find_place(struct cli_call *call, struct kinward *agent, Kinward__V1__ThreadKind kind, struct cli_place *place);
/* Sends a content, which gets an id, into a thread, or into a new one when `thread` is NULL; prints what came of it. */
int cli_send_in_thread(struct cli_call *call, struct kinward *agent, const char *agency, const uint8_t *thread,
	Kinward__V1__Content *content);
/* Takes --class, which may be NULL. 0, or an exit code after printing. */
int cli_class_option(struct cli_call *call, const char *text, Kinward__V1__SendRequest *send);
/* The generic part of kinward import: a file with the columns of kinward template, whole or not at all. */
struct cli_table_import {
	const char *as; /* name of the message */
	const char *to; /* agency; NULL for none */
	bool dry_run;
};
int cli_import_table(struct cli_call *call, const struct cli_table_import *import);
/* One line on an item: number, time, agency, kind, message id; with its state when it is one of ours. */
void cli_print_item_line(FILE *out, const Kinward__V1__Item *item);
/* An item with all of its content, as lines. */
void cli_print_item(FILE *out, const Kinward__V1__Item *item);

#endif
