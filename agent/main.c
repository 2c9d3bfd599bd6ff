#include <stdio.h>
#include <string.h>

#include "agent/shell/agent.h"

static const char USAGE[] =
	"Usage: kinward-agent CONFIG.yaml | --help | --version\n\n"
	"Runs an agency's agent in the foreground; its log is one JSON object a line on standard error. `kinward agent init CODE`\n"
	"makes its state and configuration; man kinward-agent has every setting.\n\n"
	"  kinward agent init KW1-... --dir /var/lib/kinward/agent\n"
	"  kinward-agent /var/lib/kinward/agent/agent.yaml\n\n"
	"Exit codes:\n"
	"  0   stopped by SIGTERM or SIGINT\n"
	"  1   something that only a restart can mend; the log says what\n"
	"  2   wrong command line, configuration, passphrase or state directory\n";

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(USAGE, stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)puts("kinward-agent " KW_VERSION);
		return 0;
	}
	if (argc != 2 || argv[1][0] == '-') {
		(void)fprintf(stderr, "kinward-agent: %s%s\n%s", argc == 2 ? "no such option: " : "give one configuration file",
			argc == 2 ? argv[1] : "", USAGE);
		return 2;
	}
	return agent_run(argv[1]);
}
