#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "proto/wire/open.h"
#include "proto/wire/seal.h"
#include "tests/bench/bench.h"

/* What sealing and opening cost beside the primitives that they are made of. Each primitive is libcrypto's own, with objects
 * fetched and keys loaded beforehand, on inputs of the sizes that occur; how often each occurs in one seal and one open is
 * counted in the table below. All of them take turns in short batches, so that a change of the processor's speed meets all
 * alike, and of each the median batch counts. CPU time, one thread: per core. */

#define BATCH_NS 2000000u
#define BATCHES_MAX 2000u
#define CONTENT_MAX 49152u

struct stage {
	struct kw_ed25519 identity;
	struct kw_x25519 sealing;
	struct kw_hybrid hybrid;
	struct kw_seal_recipient recipient;
	struct kw_seal_request request;
	struct kw_open_request opening;
	struct kw_sealed sealed;
	uint8_t content[CONTENT_MAX];
	uint8_t out[CONTENT_MAX + 64];
	EVP_MD *sha256;
	EVP_CIPHER *gcm;
	EVP_MD_CTX *hash;
	EVP_CIPHER_CTX *cipher;
	EVP_PKEY *x25519;
	EVP_PKEY *ed25519;
	EVP_PKEY_CTX *derive;
	EVP_MD_CTX *signing;
	EVP_MD_CTX *verifying;
	uint8_t signature[KW_SIGNATURE_SIZE];
	uint32_t padded;
	bool once;
};

static struct stage stage;

static void must(int ok, const char *what)
{
	if (ok != 1)
		bench_die("libcrypto: %s", what);
}

static void run_seal(size_t size)
{
	struct kw_sealed sealed;
	(void)size;
	bench_must(kw_seal(&stage.request, &sealed), "seal");
	kw_sealed_fini(&sealed);
}

static void run_open(size_t size)
{
	struct kw_opened opened;
	enum kw_open_reason reason;
	(void)size;
	bench_must(kw_open(&stage.opening, &opened, &reason), "open");
	kw_opened_fini(&opened);
}

static void run_public(size_t size)
{
	size_t out_size = KW_KEY_SIZE;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, stage.content, size);
	must(key != NULL && EVP_PKEY_get_raw_public_key(key, stage.out, &out_size) == 1, "X25519 key");
	EVP_PKEY_free(key);
}

static void run_derive(size_t size)
{
	must(EVP_PKEY_derive(stage.derive, stage.out, &size), "X25519");
}

static void run_sign(size_t size)
{
	size_t out_size = KW_SIGNATURE_SIZE;
	/* From 3.4 on a context signs and verifies once. */
	if (stage.once)
		must(EVP_DigestSignInit(stage.signing, NULL, NULL, NULL, stage.ed25519), "Ed25519");
	must(EVP_DigestSign(stage.signing, stage.out, &out_size, stage.content, size), "Ed25519 sign");
}

static void run_verify(size_t size)
{
	if (stage.once)
		must(EVP_DigestVerifyInit(stage.verifying, NULL, NULL, NULL, stage.ed25519), "Ed25519");
	must(EVP_DigestVerify(stage.verifying, stage.signature, KW_SIGNATURE_SIZE, stage.content, size), "Ed25519 verify");
}

static void run_gcm(size_t size)
{
	int written;
	must(EVP_CipherInit_ex2(stage.cipher, NULL, stage.content, stage.content, 1, NULL) == 1 &&
		EVP_CipherUpdate(stage.cipher, stage.out, &written, stage.content, (int)size) == 1 &&
		EVP_CipherFinal_ex(stage.cipher, stage.out + size, &written) == 1 &&
		EVP_CIPHER_CTX_ctrl(stage.cipher, EVP_CTRL_AEAD_GET_TAG, 16, stage.out + size) == 1, "AES-256-GCM");
}

static void run_sha256(size_t size)
{
	must(EVP_DigestInit_ex2(stage.hash, NULL, NULL) == 1 && EVP_DigestUpdate(stage.hash, stage.content, size) == 1 &&
		EVP_DigestFinal_ex(stage.hash, stage.out, NULL) == 1, "SHA-256");
}

/* HMAC is two hashes: a block of key and the message, a block of key and a hash. */
static void run_hmac(size_t size)
{
	run_sha256(64 + size);
	run_sha256(64 + KW_DIGEST_SIZE);
}

static void run_random(size_t size)
{
	must(RAND_bytes(stage.out, (int)size), "random");
}

struct part {
	const char *name;
	void (*run)(size_t size);
	size_t size; /* 0: of the padded message */
	uint32_t in_seal;
	uint32_t in_open;
	double ns; /* measured */
};

/* One recipient, suite 1. The HMACs are two in the KEM, six in HPKE's key schedule, three for our own keys. */
static struct part parts[] = {
	{"seal", run_seal, 0, 0, 0, 0},
	{"open", run_open, 0, 0, 0, 0},
	{"x25519_public", run_public, 32, 1, 0, 0},
	{"x25519_derive", run_derive, 32, 1, 1, 0},
	{"ed25519_sign", run_sign, 120, 1, 0, 0},
	{"ed25519_verify", run_verify, 120, 0, 1, 0},
	{"aes_256_gcm_padded", run_gcm, 0, 1, 1, 0},
	{"aes_256_gcm_160", run_gcm, 160, 1, 1, 0},
	{"aes_256_gcm_32", run_gcm, 32, 1, 1, 0},
	{"sha256_padded", run_sha256, 0, 1, 1, 0},
	{"sha256_140", run_sha256, 140, 3, 2, 0}, /* the slot's leaf, twice when sealing, and T */
	{"sha256_48", run_sha256, 48, 1, 1, 0},   /* the header */
	{"hkdf_hmac", run_hmac, 70, 11, 11, 0},
	{"random_32", run_random, 32, 3, 0, 0},
};
#define PARTS_COUNT (sizeof(parts) / sizeof(parts[0]))

static enum kw_err find_secret(void *user, struct kw_view key_id, struct kw_x25519 *out)
{
	(void)user;
	(void)key_id;
	*out = stage.sealing;
	return KW_OK;
}

static enum kw_err find_hybrid(void *user, struct kw_view key_id, struct kw_hybrid *out)
{
	(void)user;
	(void)key_id;
	*out = stage.hybrid;
	return KW_OK;
}

static enum kw_err find_identity(void *user, const struct kw_open_sender *sender, uint8_t *out)
{
	(void)user;
	(void)sender;
	memcpy(out, stage.identity.public_key, KW_KEY_SIZE);
	return KW_OK;
}

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	bench_must(kw_name_from(kw_view_str(text), &name), "name");
	return name;
}

static void set_messages(const struct bench_options *options)
{
	stage.padded = kw_pad_bucket(options->size - 1); /* padding takes a byte */
	bench_must(kw_ed25519_generate(&stage.identity), "identity key");
	bench_must(kw_x25519_generate(&stage.sealing), "sealing key");
	memset(stage.content, 'x', sizeof(stage.content));
	stage.recipient = (struct kw_seal_recipient){.agency = name_of("tdh-kenya-01"), .hub = name_of("hub-kenya1"),
		.key_id = {.size = KW_KEY_ID_SIZE_MIN}};
	memcpy(stage.recipient.public_key, stage.sealing.public_key, KW_KEY_SIZE);
	stage.request = (struct kw_seal_request){
		.suite = KW_SUITE_AES,
		.recipients = &stage.recipient,
		.recipients_count = 1,
		.identity = &stage.identity,
		.claims = {.sender = name_of("irc-kenya-01"), .sender_hub = stage.recipient.hub, .key_id = stage.recipient.key_id,
			.sent_unix_ms = (int64_t)time(NULL) * 1000, .content_type = 1},
		.home_hub = stage.recipient.hub,
		.msg_class = KW_NORMAL,
		.expiry_hour = 498700,
		.hops_max = 1,
		.content = KW_VIEW(stage.content, options->size - 1),
	};
	stage.opening = (struct kw_open_request){.agency = stage.recipient.agency, .hub = stage.recipient.hub,
		.find_secret = find_secret, .find_hybrid = find_hybrid, .find_identity = find_identity};
}

/* Another suite: the message to be opened has to be sealed anew. */
static void set_suite(enum kw_suite suite)
{
	if (suite == KW_SUITE_HYBRID)
		bench_must(kw_hybrid_generate(&stage.hybrid), "hybrid key");
	stage.request.suite = suite;
	stage.recipient.hybrid_key = suite == KW_SUITE_HYBRID ? stage.hybrid.public_key : NULL;
	kw_sealed_fini(&stage.sealed);
	bench_must(kw_seal(&stage.request, &stage.sealed), "seal");
	stage.opening.envelope = kw_buf_view(&stage.sealed.envelopes[0]);
}

static void set_primitives(void)
{
	size_t size = KW_SIGNATURE_SIZE;
	stage.once = OpenSSL_version_num() >= 0x30400000ul;
	stage.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	stage.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	stage.hash = EVP_MD_CTX_new();
	stage.cipher = EVP_CIPHER_CTX_new();
	stage.signing = EVP_MD_CTX_new();
	stage.verifying = EVP_MD_CTX_new();
	stage.x25519 = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, stage.sealing.secret, KW_KEY_SIZE);
	stage.ed25519 = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, stage.identity.seed, KW_KEY_SIZE);
	stage.derive = EVP_PKEY_CTX_new_from_pkey(NULL, stage.x25519, NULL);
	must(EVP_DigestInit_ex2(stage.hash, stage.sha256, NULL), "SHA-256");
	must(EVP_CipherInit_ex2(stage.cipher, stage.gcm, stage.content, stage.content, 1, NULL), "AES-256-GCM");
	must(EVP_PKEY_derive_init(stage.derive) == 1 && EVP_PKEY_derive_set_peer(stage.derive, stage.x25519) == 1, "X25519");
	must(EVP_DigestSignInit(stage.signing, NULL, NULL, NULL, stage.ed25519), "Ed25519");
	must(EVP_DigestSign(stage.signing, stage.signature, &size, stage.content, 120), "Ed25519");
	must(EVP_DigestVerifyInit(stage.verifying, NULL, NULL, NULL, stage.ed25519), "Ed25519");
}

static void free_all(void)
{
	EVP_MD_CTX_free(stage.hash);
	EVP_MD_CTX_free(stage.signing);
	EVP_MD_CTX_free(stage.verifying);
	EVP_CIPHER_CTX_free(stage.cipher);
	EVP_PKEY_CTX_free(stage.derive);
	EVP_PKEY_free(stage.x25519);
	EVP_PKEY_free(stage.ed25519);
	EVP_MD_free(stage.sha256);
	EVP_CIPHER_free(stage.gcm);
	kw_sealed_fini(&stage.sealed);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t size_of(const struct part *part)
{
	return part->size != 0 ? part->size : stage.padded;
}

/* How many calls fill a batch. */
static uint32_t calls_of(const struct part *part)
{
	for (uint32_t calls = 1;; calls *= 2) {
		uint64_t start = cpu_ns();
		for (uint32_t i = 0; i < calls; i++)
			part->run(size_of(part));
		if (cpu_ns() - start >= BATCH_NS / 2 || calls >= 1u << 24)
			return calls;
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

/* All parts in turn until the time is over; leaves the medians in them. */
static void measure(size_t count, uint32_t seconds)
{
	static double results[PARTS_COUNT][BATCHES_MAX];
	uint32_t calls[PARTS_COUNT];
	uint32_t batches = 0;
	for (size_t p = 0; p < count; p++)
		calls[p] = calls_of(&parts[p]);
	uint64_t end_ns = bench_now_ns() + (uint64_t)seconds * 1000000000u;
	while (batches < BATCHES_MAX && (batches < 3 || bench_now_ns() < end_ns) && !bench_interrupted()) {
		for (size_t p = 0; p < count; p++) {
			uint64_t start = cpu_ns();
			for (uint32_t i = 0; i < calls[p]; i++)
				parts[p].run(size_of(&parts[p]));
			results[p][batches] = (double)(cpu_ns() - start) / calls[p];
		}
		batches++;
	}
	for (size_t p = 0; p < count; p++) {
		qsort(results[p], batches, sizeof(results[p][0]), compare);
		parts[p].ns = results[p][batches / 2];
	}
}

int bench_seal(const struct bench_options *options)
{
	char key[64];
	double sum_seal = 0;
	double sum_open = 0;
	set_messages(options);
	set_suite(KW_SUITE_AES);
	set_primitives();
	measure(PARTS_COUNT, options->seconds);
	bench_json_begin();
	bench_json_str("bench", "seal");
	bench_json_int("padded_bytes", stage.padded);
	bench_json_str("libcrypto", OpenSSL_version(OPENSSL_VERSION_STRING));
	bench_json_real("seals_per_s", 1e9 / parts[0].ns);
	bench_json_real("opens_per_s", 1e9 / parts[1].ns);
	for (size_t p = 0; p < PARTS_COUNT; p++) {
		(void)snprintf(key, sizeof(key), "%s_us", parts[p].name);
		bench_json_real(key, parts[p].ns / 1e3);
		sum_seal += parts[p].in_seal * parts[p].ns;
		sum_open += parts[p].in_open * parts[p].ns;
	}
	double seal_ratio = parts[0].ns / sum_seal;
	double open_ratio = parts[1].ns / sum_open;
	bench_json_real("seal_primitives_us", sum_seal / 1e3);
	bench_json_real("open_primitives_us", sum_open / 1e3);
	bench_json_real("seal_ratio", seal_ratio);
	bench_json_real("open_ratio", open_ratio);
	if (kw_hybrid_able()) {
		set_suite(KW_SUITE_HYBRID);
		measure(2, options->seconds < 3 ? options->seconds : 3);
		bench_json_real("hybrid_seals_per_s", 1e9 / parts[0].ns);
		bench_json_real("hybrid_opens_per_s", 1e9 / parts[1].ns);
	}
	bench_json_end();
	free_all();
	return EXIT_SUCCESS;
}
