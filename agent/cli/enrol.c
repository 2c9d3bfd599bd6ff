#include "agent/cli/enrol.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/shell/enrol.h"
#include "agent/shell/keys.h"

#define FOLDER_DEFAULT "/var/lib/kinward/agent"

static const char HELP[] =
	"Usage: kinward agent init CODE [OPTIONS]\n\n"
	"Makes this agency's keys and enrols it with the single-use code from the hub's operator. Writes the state directory\n"
	"with keys, certificates, directory and agent.yaml; then start: kinward-agent DIR/agent.yaml\n\n"
	"  --dir DIR               state directory (default " FOLDER_DEFAULT "); must be new or empty\n"
	"  --passphrase-file FILE  passphrase of the key file, mode 0400; the daemon reads it too\n"
	"                          (else $" KEYS_PASSPHRASE_ENV ", else it is asked)\n"
	"  --agent-socket PATH     local socket for agent.yaml (default " KINWARD_SOCKET_DEFAULT ")\n";

static const char *advice(enum kw_err err)
{
	switch (err) {
	case KW_EFORMAT:
		return "This is no enrolment code: it begins with KW1-.";
	case KW_EAUTH:
		return "The code is mistyped, spent or expired, or the hub is not the one it names. Ask the operator for a new one.";
	case KW_EEXIST:
		return "The directory is not empty: an agent lives there. Choose another one with --dir.";
	case KW_EFIELD:
		return "The passphrase needs at least 8 characters, and paths may hold no quotes.";
	default:
		return kw_err_text(err);
	}
}

static int init(struct enrol_request *request)
{
	struct enrol_result result = {0};
	struct kw_buf passphrase;
	char fingerprint[2 * KW_DIGEST_SIZE + 1];
	enum kw_err err = keys_harden();

	kw_buf_init(&passphrase, KEYS_PASSPHRASE_SIZE_MAX + 2);
	if (err == KW_OK)
		err = keys_passphrase(request->passphrase_file, true, &passphrase);
	if (err != KW_OK) {
		(void)fprintf(stderr, "kinward: passphrase: %s\n",
			err == KW_EFIELD ? "it needs at least 8 characters, typed twice the same" : kw_err_text(err));
		kw_buf_fini(&passphrase);
		return CLI_REFUSED;
	}
	request->passphrase = kw_buf_view(&passphrase);
	err = agent_enrol(request, &result);
	kw_buf_fini(&passphrase);
	if (err != KW_OK) {
		(void)fprintf(stderr, "kinward: enrolment failed: %s: %s\n", kw_err_name(err), advice(err));
		return kw_err_class(err) == KW_CLASS_RETRY ? CLI_RETRY : CLI_REFUSED;
	}
	kw_hex(fingerprint, KW_VIEW_OF(result.identity_fingerprint.bytes));
	(void)printf("Enrolled as %s at hub %s (%s).\nIdentity fingerprint: %s\n"
		     "Read it to the hub's operator, who must see the same.\nStart: kinward-agent %s\n",
		result.agency.text, result.hub.text, result.address, fingerprint, result.config);
	return CLI_OK;
}

int cli_agent(int argc, char **argv)
{
	static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
		{"passphrase-file", required_argument, NULL, 'p'},
		{"agent-socket", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	struct enrol_request request = {.folder = FOLDER_DEFAULT, .socket = KINWARD_SOCKET_DEFAULT};
	char file[PATH_MAX];
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			request.folder = optarg;
			break;
		case 'p':
			/* The daemon may be started from anywhere. */
			request.passphrase_file = realpath(optarg, file);
			if (request.passphrase_file == NULL) {
				(void)fprintf(stderr, "kinward: there is no %s\n", optarg);
				return CLI_NOT_FOUND;
			}
			break;
		case 's':
			request.socket = optarg;
			break;
		case 'h':
			(void)fputs(HELP, stdout);
			return CLI_OK;
		default:
			(void)fputs(HELP, stderr);
			return CLI_USAGE;
		}
	}
	if (argc - optind != 2 || strcmp(argv[optind], "init") != 0) {
		(void)fputs(HELP, stderr);
		return CLI_USAGE;
	}
	request.code = argv[optind + 1];
	return init(&request);
}
