#include <inttypes.h>

#include "agent/cli/commands.h"
#include "agent/cli/print_prekeys.h"

/* kinward status, keys. */

static void print_count(FILE *out, const char *name, uint64_t count, const char *meaning)
{
	(void)fprintf(out, "  %-14s %8" PRIu64 "  %s\n", name, count, meaning);
}

static void print_store(FILE *out, Kinward__V1__StoreState state)
{
	static const char *const SAYS[] = {
		[KINWARD__V1__STORE_STATE__STORE_STATE_LOW] = "nearly full; nothing new is taken here",
		[KINWARD__V1__STORE_STATE__STORE_STATE_HOLD] = "FULL; nothing new is taken here, and messages for us wait at the hub",
		[KINWARD__V1__STORE_STATE__STORE_STATE_FULL] = "FULL; nothing can be written, and what is under way waits unconfirmed",
	};
	if ((size_t)state < sizeof(SAYS) / sizeof(SAYS[0]) && SAYS[state] != NULL)
		(void)fprintf(out, "  store: %s. Free disk, or raise store_mib in agent.yaml and restart.\n", SAYS[state]);
}

/* What is wrong with who is who. */
static void print_directory(FILE *out, const Kinward__V1__StatusReply *status)
{
	if (status->own_key_alarm)
		(void)fputs("  ALARM: the hub's directory has another key under this agency's own name. It was not taken. Call the hub's\n"
			"    operator by telephone, and tell the agencies that you work with: somebody may read what they send to us.\n", out);
	if (status->directory_refused[0]) {
		(void)fputs("  directory refused: ", out);
		cli_print_text(out, status->directory_refused);
		(void)fputs(": ", out);
		cli_print_text(out, status->directory_refused_text);
		(void)fputc('\n', out);
	}
	if (status->root_version != 0 && status->directory_age != KINWARD__V1__DIRECTORY_AGE__DIRECTORY_AGE_FRESH) {
		(void)fputs("  directory OLD: the hub last vouched for it at ", out);
		cli_print_time(out, status->directory_signed_unix_ms);
		(void)fputs(status->directory_age == KINWARD__V1__DIRECTORY_AGE__DIRECTORY_AGE_OLD
			? "; nothing is sent to agencies that we never wrote to. Ask its operator why.\n" : ". Ask its operator why.\n", out);
	}
}

static void print_certificate(FILE *out, const Kinward__V1__StatusReply *status)
{
	if (status->renewal_problem[0]) {
		(void)fputs("  certificate: the hub did not renew it: ", out);
		cli_print_text(out, status->renewal_problem);
		(void)fputs(". It is good until ", out);
		cli_print_time(out, status->certificate_expires_unix_ms);
		(void)fputs("; if this stays, ask the hub's operator why.\n", out);
	}
	if (status->rotating[0]) {
		(void)fputs("  new key: the ", out);
		cli_print_text(out, status->rotating);
		(void)fputs(" key is being replaced; until the hub has it in its directory the former one is in use.\n", out);
	}
}

static void print_log_alarm(FILE *out, const Kinward__V1__StatusReply *status)
{
	if (!status->log_alarm[0])
		return;
	(void)fputs("  AUDIT LOG: ", out);
	cli_print_text(out, status->log_alarm);
	(void)fputs(" since ", out);
	cli_print_time(out, status->log_alarm_unix_ms);
	(void)fputs(": ", out);
	cli_print_text(out, status->log_alarm_text);
	(void)fputs(". Messages go on. Once it is explained: kinward audit accept.\n", out);
}

static void print_status(FILE *out, const Kinward__V1__StatusReply *status)
{
	cli_print_text(out, status->agency);
	(void)fputs(status->online ? " is online at hub " : " is OFFLINE from hub ", out);
	cli_print_text(out, status->hub);
	(void)fputs(" since ", out);
	cli_print_time(out, status->since_unix_ms);
	(void)fputc('\n', out);
	if (status->problem[0]) {
		(void)fputs("  problem: ", out);
		cli_print_text(out, status->problem);
		if (status->problem_text[0]) {
			(void)fputs(": ", out);
			cli_print_text(out, status->problem_text);
		}
		(void)fputc('\n', out);
	}
	print_store(out, status->store);
	print_certificate(out, status);
	print_directory(out, status);
	cli_print_prekeys(out, status);
	print_log_alarm(out, status);
	print_count(out, "inbox new", status->inbox_new, "not acknowledged yet (kinward inbox)");
	print_count(out, "received", status->received, "since the store was made");
	print_count(out, "sent", status->sent, "since the store was made; of these, now:");
	print_count(out, "  queued", status->queued, "only here yet");
	if (status->put_off > 0)
		print_count(out, "    put off", status->put_off, "of the queued ones; refused by the hub for now, sent again by themselves");
	print_count(out, "  held", status->held, "at the hub");
	print_count(out, "  delivered", status->delivered, "at the recipient's agent");
	print_count(out, "  opened", status->opened, "opened and verified there");
	print_count(out, "  dead", status->dead, "will not arrive (kinward dead-letters)");
	if (status->attachments_expired > 0)
		print_count(out, "attachments", status->attachments_expired,
			"expired undelivered; send them again (kinward attachments, kinward attachment remove)");
	print_count(out, "repeats", status->repeats_dropped, "arrived again and dropped");
	print_count(out, "unopened", status->unopened, "could not be opened; set aside (kinward unopened)");
	print_count(out, "registrations", status->registrations, "records of our own");
	print_count(out, "audit log", status->log_size, "messages at the hub's last checkpoint that we believe");
	print_count(out, "directory", status->directory_version, "version");
	(void)fprintf(out, "  %-14s %8" PRId64 "  milliseconds, the hub's minus ours\n", "clock skew", status->clock_skew_ms);
	print_count(out, "bytes out", status->wire_bytes_out, "on the wire since start");
	print_count(out, "bytes in", status->wire_bytes_in, "");
}

int cli_run_status(struct cli_call *call)
{
	Kinward__V1__StatusRequest body = KINWARD__V1__STATUS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_STATUS;
	request.status = &body;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_STATUS, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->status->base);
	else if (code == CLI_OK)
		print_status(call->out, reply->status);
	if (code == CLI_OK && (reply->status->own_key_alarm || reply->status->log_alarm[0]))
		code = CLI_ALARM;
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}

static void print_keys(FILE *out, const Kinward__V1__KeysReply *keys)
{
	(void)fputs("identity  ", out);
	cli_print_hex(out, &keys->identity_fingerprint);
	(void)fputs("\nsealing   ", out);
	cli_print_hex(out, &keys->sealing_key_id);
	(void)fputs("\nroot      ", out);
	cli_print_hex(out, &keys->root_fingerprint);
	(void)fprintf(out, "\nagencies  %zu\n", keys->n_agencies);
	for (size_t i = 0; i < keys->n_agencies; i++) {
		const Kinward__V1__KnownAgency *agency = keys->agencies[i];
		(void)fputs("  ", out);
		cli_print_text(out, agency->agency);
		(void)fputs("  ", out);
		cli_print_hex(out, &agency->identity_fingerprint);
		if (agency->identity_reason[0]) {
			(void)fputs("  replaced by itself on ", out);
			cli_print_time(out, agency->identity_changed_unix_ms);
			(void)fputs(" (", out);
			cli_print_text(out, agency->identity_reason);
			(void)fputs(")", out);
		}
		(void)fputs(agency->revoked ? "  SHUT OUT\n" : "\n", out);
	}
}

int cli_run_keys(struct cli_call *call)
{
	Kinward__V1__KeysRequest body = KINWARD__V1__KEYS_REQUEST__INIT;
	Kinward__V1__LocalRequest request = KINWARD__V1__LOCAL_REQUEST__INIT;
	Kinward__V1__LocalReply *reply = NULL;
	struct kinward agent = {.fd = -1};
	request.body_case = KINWARD__V1__LOCAL_REQUEST__BODY_KEYS;
	request.keys = &body;
	int code = cli_connect(call, &agent);
	if (code == CLI_OK)
		code = cli_ask(call, &agent, &request, KINWARD__V1__LOCAL_REPLY__BODY_KEYS, &reply);
	if (code == CLI_OK && call->json)
		code = cli_print_message_json(call, &reply->keys->base);
	else if (code == CLI_OK)
		print_keys(call->out, reply->keys);
	kinward_reply_free(reply);
	kinward_close(&agent);
	return code;
}
