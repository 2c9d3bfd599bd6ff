#include <stdio.h>
#include <string.h>

#include "agent/shell/agent.h"

int main(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--help") == 0) {
		(void)fputs("usage: kinward-agent CONFIG.yaml\n"
			    "Runs an agency's agent in the foreground. `kinward agent init CODE` makes its state and configuration.\n",
			argc == 2 ? stdout : stderr);
		return argc == 2 ? 0 : 2;
	}
	return agent_run(argv[1]);
}
