#ifndef AGENT_CLI_SERVICES_H
#define AGENT_CLI_SERVICES_H

#include "agent/cli/cli.h"

/* Shared by the commands about services: cmd_services.c, cmd_refer.c, cmd_offer.c; cmd_case.c prints offers, too. */

#define CLI_PUBLISH_MAX 1000u

/* Options of a need as they were typed; each may be NULL. */
struct cli_need {
	const char *service;
	const char *at;
	const char *age;
	const char *sex;
	const char *language;
};
/* 0, or an exit code after printing. Texts are borrowed. */
int cli_services_need(struct cli_call *call, const struct cli_need *need, Kinward__V1__ServicesRequest *out);
int cli_services_ask(struct cli_call *call, struct kinward *agent, Kinward__V1__ServicesRequest *services,
	Kinward__V1__LocalReply **reply);
void cli_print_service(FILE *out, const Kinward__V1__ServiceRow *row);

/* A content on its way. */
struct cli_content {
	const char *agency;
	const uint8_t *thread; /* KW_ID_SIZE bytes; NULL for a new one */
	Kinward__V1__Content *content;
};
int cli_send_content(struct cli_call *call, struct kinward *agent, const struct cli_content *what);

/* A referral from the options of kinward send, whatever command has them by the same names. *out: free it. */
int cli_referral_from_options(struct cli_call *call, ProtobufCMessage **out);
/* The value of the option of that name; NULL when it is not given, or no option of this command. */
const char *cli_option_named(const struct cli_call *call, const char *name);

/* Lines on an offer: how it stands, and each agency. */
void cli_print_offer(FILE *out, const Kinward__V1__OfferRow *offer);

#endif
