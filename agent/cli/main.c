#include <stdio.h>

#include "agent/cli/cli.h"
#include "proto/link/harden.h"

int main(int argc, char **argv)
{
	/* It holds keys of hubs and agents, and cases. */
	if (kw_harden(false) != KW_OK) {
		(void)fputs("kinward: the process cannot be hardened: it needs setrlimit and prctl\n", stderr);
		return CLI_REFUSED;
	}
	int code = cli_main(argc, argv, stdout, stderr);
	/* A full disk or a closed pipe must not look like success to a script. */
	if (fflush(stdout) != 0 && code == CLI_OK)
		code = CLI_RETRY;
	return code;
}
