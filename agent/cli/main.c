#include <stdio.h>

#include "agent/cli/cli.h"

int main(int argc, char **argv)
{
	int code = cli_main(argc, argv, stdout, stderr);
	/* A full disk or a closed pipe must not look like success to a script. */
	if (fflush(stdout) != 0 && code == CLI_OK)
		code = CLI_RETRY;
	return code;
}
