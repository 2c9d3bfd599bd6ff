#include "agent/cli/print_prekeys.h"

void cli_print_warning(FILE *out, const Kinward__V1__SendReply *sent)
{
	if (!sent->warning[0])
		return;
	(void)fputs("  WARNING: ", out);
	cli_print_text(out, sent->warning_text[0] ? sent->warning_text : sent->warning);
	(void)fputc('\n', out);
	for (size_t i = 0; i < sent->n_alternates; i++) {
		(void)fputs("    ask instead: ", out);
		cli_print_text(out, sent->alternates[i]->agency);
		for (size_t k = 0; k < sent->alternates[i]->n_phones; k++) {
			(void)fputs("  ", out);
			cli_print_text(out, sent->alternates[i]->phones[k]);
		}
		(void)fputc('\n', out);
	}
}

void cli_print_prekeys(FILE *out, const Kinward__V1__StatusReply *status)
{
	if (status->prekeys_clock_differs)
		(void)fputs("  clock: the hub's and this machine's differ by more than a day. No dated keys are made and none destroyed until\n"
			"    they agree: set the one that is wrong.\n", out);
	for (size_t i = 0; i < status->n_dormant; i++) {
		(void)fputs("  dormant: ", out);
		cli_print_text(out, status->dormant[i]->agency);
		(void)fputs(", no key since ", out);
		cli_print_time(out, status->dormant[i]->since_unix_ms);
		(void)fputs("; what is sent there waits for its agent\n", out);
	}
}
