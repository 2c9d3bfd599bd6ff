#include "agent/cli/print_consent.h"

#include <inttypes.h>

#include "agent/cli/cli.h"
#include "kinward/v1/consent.pb-c.h"

/* What nobody has answered yet: where the question is. */
static void print_open(FILE *out, const Kinward__V1__ConsentRow *row)
{
	if (row->waits_for_us)
		(void)fputs("our move: kinward consent erase or retain", out);
	else if (row->asked_us)
		(void)fputs("being erased here", out);
	else if (row->failure[0])
		(void)fputs("not reached: ", out);
	else if (row->question == KINWARD__V1__OUT_STATE__OUT_STATE_HELD)
		(void)fputs("not yet: it waits at the hub, they are offline", out);
	else if (row->question == KINWARD__V1__OUT_STATE__OUT_STATE_OPENED ||
		row->question == KINWARD__V1__OUT_STATE__OUT_STATE_DELIVERED)
		(void)fputs("not yet: they have it and have not answered", out);
	else
		(void)fputs("not yet: it has not left here", out);
	cli_print_text(out, row->failure);
}

void cli_print_same_names(FILE *out, Kinward__V1__SameName *const *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		(void)fputs("  not asked: thread ", out);
		cli_print_hex(out, &rows[i]->thread_id);
		(void)fputs(" of ", out);
		cli_print_text(out, rows[i]->agency);
		(void)fputs(" has the same pseudonym and is another case here; if it is the same child: kinward consent withdraw "
			    "--from-thread, with its id\n", out);
	}
}

void cli_print_purposes(FILE *out, const Kinward__V1__ConsentRow *row)
{
	for (size_t i = 0; i < row->n_purposes; i++) {
		(void)fputs(i == 0 ? "" : ", ", out);
		cli_print_code(out, &kinward__v1__consent_purpose__descriptor, (int)row->purposes[i]);
	}
}

void cli_print_clear(FILE *out, const Kinward__V1__ClearRow *row)
{
	bool erase = row->action == KINWARD__V1__ERASURE_ACTION__ERASURE_ACTION_ERASE;
	(void)fputs(erase ? "ERASE from your own case system: " : row->limited ? "DO NOT USE for " : "DO NOT USE any more: ", out);
	if (row->limited) {
		const Kinward__V1__ConsentRow purposes = {.n_purposes = row->n_purposes, .purposes = row->purposes};
		cli_print_purposes(out, &purposes);
		(void)fputs(": ", out);
	}
	cli_print_code(out, &kinward__v1__thread_kind__descriptor, (int)row->kind);
	if (row->case_ref[0])
		(void)fputs(" ", out);
	cli_print_text(out, row->case_ref);
	if (row->new_case_ref[0])
		(void)fputs(", ours ", out);
	cli_print_text(out, row->new_case_ref);
	if (row->message_id.len)
		(void)fputs(", came as ", out);
	if (row->message_id.len)
		cli_print_hex(out, &row->message_id);
	(void)fputs(", ", out);
	cli_print_text(out, row->agency);
	(void)fputs(" asks since ", out);
	cli_print_time(out, row->asked_unix_ms);
	(void)fputs(row->answer_waits ? " and waits; then kinward consent confirm " : "; then kinward consent confirm ", out);
	cli_print_hex(out, &row->thread_id);
	(void)fputc('\n', out);
}

void cli_print_consent(FILE *out, const Kinward__V1__ConsentRow *row)
{
	cli_print_hex(out, &row->thread_id);
	(void)fputs("  ", out);
	cli_print_text(out, row->agency);
	(void)fputs(row->asked_us ? " asks us to " : " asked to ", out);
	cli_print_code(out, &kinward__v1__erasure_action__descriptor, (int)row->action);
	if (row->limited) {
		(void)fputs(" the use for ", out);
		cli_print_purposes(out, row);
	}
	(void)fputs("  ", out);
	if (row->outcome == KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_UNSPECIFIED) {
		print_open(out, row);
	} else {
		cli_print_code(out, &kinward__v1__erasure_outcome__descriptor, (int)row->outcome);
		if (row->outcome == KINWARD__V1__ERASURE_OUTCOME__ERASURE_OUTCOME_RETAINED) {
			(void)fputs(": ", out);
			cli_print_code(out, &kinward__v1__legal_ground__descriptor, (int)row->legal_ground);
		}
		if (row->failure[0])
			(void)fputs(": ", out);
		cli_print_text(out, row->failure);
		(void)fputs(" at ", out);
		cli_print_time(out, row->answered_unix_ms);
	}
	(void)fputs("  since ", out);
	cli_print_time(out, row->asked_unix_ms);
	for (size_t i = 0; i < row->n_passed_to; i++) {
		(void)fputs(i == 0 ? "  passed on to " : ", ", out);
		cli_print_text(out, row->passed_to[i]);
	}
	if (row->passed_to_more != 0)
		(void)fprintf(out, " and %" PRIu32 " more", row->passed_to_more);
	(void)fputc('\n', out);
	cli_print_same_names(out, row->same_name, row->n_same_name);
}
