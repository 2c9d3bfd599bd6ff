/* kinward-bench: load and idle figures of a hub, over its real protocol and its real disk.
 *
 *   parse options → make a site → start a broker → drive it → one JSON object on stdout → stop it and clean up
 *
 * The engine is one thread and shares the machine with the broker; its own cost is reported beside the broker's. */

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

static void (*end_call)(void *user);
static void *end_user;
static volatile sig_atomic_t interrupted;

void bench_at_end(void (*call)(void *user), void *user)
{
	end_call = call;
	end_user = user;
}

void bench_end(void)
{
	void (*call)(void *user) = end_call;
	end_call = NULL;
	if (call != NULL)
		call(end_user);
}

void bench_die(const char *format, ...)
{
	va_list values;
	va_start(values, format);
	(void)fprintf(stderr, "kinward-bench: ");
	(void)vfprintf(stderr, format, values);
	(void)fprintf(stderr, "\n");
	va_end(values);
	bench_end();
	exit(EXIT_FAILURE);
}

void bench_must(enum kw_err err, const char *what)
{
	if (err != KW_OK)
		bench_die("%s: %s", what, kw_err_name(err));
}

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

bool bench_interrupted(void)
{
	return interrupted != 0;
}

static const char USAGE[] =
	"usage: kinward-bench route [OPTION]...   throughput and latency\n"
	"       kinward-bench idle [OPTION]...    memory of an idle agency\n"
	"       kinward-bench threads [OPTION]... cost of open threads, against 10,000 of them\n"
	"       kinward-bench seal [OPTION]...    seals and opens per core, beside libcrypto's primitives in them\n"
	"       kinward-bench index [OPTION]...   the hub's linkage index: searches, loading and memory\n"
	"       kinward-bench site --site DIR     make a site to run a broker on by hand\n\n"
	"  --agents N             8; 5000 for idle\n"
	"  --open N               threads, 1000000\n"
	"  --records N            in the linkage index, 1000000\n"
	"  --dedup N              records to find the duplicates among, 100000; 0, not\n"
	"  --runs N               threads: each size so often, 3; the medians are told\n"
	"  --size BYTES           of the padded message, 1024\n"
	"  --seconds N            measured, 10\n"
	"  --warm-up N            seconds before, 1\n"
	"  --inflight N           messages of one agency under way, 64\n"
	"  --rate N               messages a second of all agencies together; 0, as many as --inflight lets\n"
	"  --ack-delay MS         recipients acknowledge once in so long; 0, at once\n"
	"  --seal                 seal each message anew\n"
	"  --submit-only          nothing is delivered\n"
	"  --count-syncs          count syncs under strace too, and fail when they are not what the commits claim\n"
	"  --dialling N           handshakes at once, 32\n"
	"  --broker HOST:PORT     a broker that runs on the site of --site\n"
	"  --site DIR             see --broker\n"
	"  --listen HOST:PORT     site: what its broker listens on, 127.0.0.1:0\n"
	"  --broker-program PATH  the one beside this program\n"
	"  --dir DIR              where the temporary site goes, TMPDIR or /var/tmp: its disk is what is measured\n"
	"  --keep                 leave it\n"
	"  --json                 the only form there is\n\n"
	"syncs_per_s is two for each commit of the store, fdatasync of its pages and the O_DSYNC write of its meta page, from the\n"
	"number of the last transaction in the store's file. --count-syncs is the proof: it counts both under strace over the\n"
	"broker's whole life (syncs_counted), which has to be within 2% of twice the commits (syncs_claimed).\n";

enum option_code {
	OPT_AGENTS = 256, OPT_RECORDS, OPT_DEDUP, OPT_OPEN, OPT_RUNS, OPT_SIZE, OPT_SECONDS, OPT_WARM, OPT_INFLIGHT, OPT_RATE, OPT_DELAY, OPT_SEAL, OPT_SUBMIT_ONLY,
	OPT_SYNCS, OPT_DIALLING, OPT_BROKER, OPT_SITE, OPT_LISTEN, OPT_PROGRAM, OPT_DIR, OPT_KEEP, OPT_JSON, OPT_HELP
};

static const struct option OPTIONS[] = {
	{"agents", required_argument, NULL, OPT_AGENTS},
	{"open", required_argument, NULL, OPT_OPEN},
	{"records", required_argument, NULL, OPT_RECORDS},
	{"dedup", required_argument, NULL, OPT_DEDUP},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"size", required_argument, NULL, OPT_SIZE},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"warm-up", required_argument, NULL, OPT_WARM},
	{"inflight", required_argument, NULL, OPT_INFLIGHT},
	{"rate", required_argument, NULL, OPT_RATE},
	{"ack-delay", required_argument, NULL, OPT_DELAY},
	{"seal", no_argument, NULL, OPT_SEAL},
	{"submit-only", no_argument, NULL, OPT_SUBMIT_ONLY},
	{"count-syncs", no_argument, NULL, OPT_SYNCS},
	{"dialling", required_argument, NULL, OPT_DIALLING},
	{"broker", required_argument, NULL, OPT_BROKER},
	{"site", required_argument, NULL, OPT_SITE},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"broker-program", required_argument, NULL, OPT_PROGRAM},
	{"dir", required_argument, NULL, OPT_DIR},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static uint32_t number(const char *text, uint32_t max)
{
	char *end = NULL;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || value > max)
		bench_die("%s: a number from 0 to %u is wanted", text, max);
	return (uint32_t)value;
}

static void set_text(struct bench_options *options, int code, const char *value)
{
	switch (code) {
	case OPT_BROKER:
		options->broker = value;
		break;
	case OPT_SITE:
		options->site = value;
		break;
	case OPT_LISTEN:
		options->listen = value;
		break;
	case OPT_PROGRAM:
		options->program = value;
		break;
	case OPT_DIR:
		options->parent = value;
		break;
	default:
		break;
	}
}

static void set(struct bench_options *options, int code, const char *value)
{
	switch (code) {
	case OPT_AGENTS:
		options->agents = number(value, 10000);
		break;
	case OPT_OPEN:
		options->open = number(value, 10000000);
		break;
	case OPT_RECORDS:
		options->records = number(value, 16000000);
		break;
	case OPT_DEDUP:
		options->dedup = number(value, 1000000);
		break;
	case OPT_RUNS:
		options->runs = number(value, 99);
		break;
	case OPT_SIZE:
		options->size = number(value, 49152);
		break;
	case OPT_SECONDS:
		options->seconds = number(value, 86400);
		break;
	case OPT_WARM:
		options->warm_s = number(value, 86400);
		break;
	case OPT_INFLIGHT:
		options->inflight = number(value, 4096);
		break;
	case OPT_RATE:
		options->rate = number(value, 1000000);
		break;
	case OPT_DELAY:
		options->ack_delay_ms = number(value, 10000);
		break;
	case OPT_DIALLING:
		options->dialling_max = number(value, 4096);
		break;
	case OPT_SEAL:
		options->seal = true;
		break;
	case OPT_SUBMIT_ONLY:
		options->submit_only = true;
		break;
	case OPT_SYNCS:
		options->count_syncs = true;
		break;
	case OPT_KEEP:
		options->keep = true;
		break;
	default:
		set_text(options, code, value);
		break;
	}
}

static void check(const struct bench_options *options)
{
	if (options->agents == 0 || options->size == 0 || options->seconds == 0 || options->inflight == 0 ||
		options->dialling_max == 0 || options->runs == 0 || options->records == 0)
		bench_die("--agents, --size, --seconds, --inflight, --dialling, --runs and --records begin at 1");
	if (options->open < 10000)
		bench_die("--open begins at 10000, which is what it is measured against");
	if (options->broker != NULL && options->site == NULL)
		bench_die("--broker needs the --site that it runs on");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "--help";
	struct bench_options options = {
		.agents = strcmp(what, "idle") == 0 ? 5000 : 8,
		.open = 1000000,
		.runs = 3,
		.size = 1024,
		.records = 1000000,
		.dedup = 100000,
		.seconds = 10,
		.warm_s = 1,
		.inflight = 64,
		.dialling_max = 32,
	};
	int code;
	while (argc > 1 && (code = getopt_long(argc - 1, argv + 1, "", OPTIONS, NULL)) != -1) {
		if (code == '?')
			return 2;
		if (code == OPT_HELP)
			what = "--help";
		else
			set(&options, code, optarg);
	}
	check(&options);
	/* Links give their buffers back after each turn; fetching them from the kernel each time costs the engine as much as
	 * all else it does. A matter of speed only, so a refusal is none. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "route") == 0)
		return bench_route(&options);
	if (strcmp(what, "idle") == 0)
		return bench_idle(&options);
	if (strcmp(what, "threads") == 0)
		return bench_threads(&options);
	if (strcmp(what, "seal") == 0)
		return bench_seal(&options);
	if (strcmp(what, "index") == 0)
		return bench_index(&options);
	if (strcmp(what, "site") == 0)
		return bench_site(&options);
	(void)fputs(USAGE, strcmp(what, "--help") == 0 ? stdout : stderr);
	return strcmp(what, "--help") == 0 ? EXIT_SUCCESS : 2;
}
