#include "agent/shell/enrol_inner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/wire/crypt.h"

/* Steps: read the code; take up FOLDER.new or make keys and a request in it; ask the hub until people have decided; check that the
 * answer is about us; rename. A cut at any step is mended by calling again. */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
	struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};

	while (nanosleep(&rest, &rest) != 0)
		;
}

/* The phrase is of what we ask, whoever answers. */
static enum kw_err make_phrase(struct enrol *enrol)
{
	struct kw_enrol_ask ask;
	struct kw_buf bytes;
	enum kw_err err;

	kw_buf_init(&bytes, KW_ENROL_ASK_SIZE_MAX);
	err = enrol_add_ask(enrol, NULL, &bytes);
	if (err == KW_OK)
		err = kw_enrol_ask_parse(kw_buf_view(&bytes), &ask);
	if (err == KW_OK)
		err = kw_enrol_phrase(&enrol->root_fingerprint, &enrol->agency, &ask, enrol->out->phrase);
	kw_buf_fini(&bytes);
	return err;
}

static void say_asked(struct enrol *enrol, bool *said)
{
	if (!*said && enrol->request->on_asked != NULL)
		enrol->request->on_asked(enrol->request->user, &enrol->agency, enrol->out->phrase);
	*said = true;
}

static bool is_final(enum kw_err err, const struct enrol_result *out)
{
	return out->fault == ENROL_FAULT_HUB && (err == KW_ESTATE || err == KW_EAUTH);
}

/* Asks until it is done, refused, or time is up. A hub that is away is waited for once it has the request. */
static enum kw_err wait_for(struct enrol *enrol)
{
	int64_t until = enrol->request->wait_s < 0 ? INT64_MAX : now_ms() + enrol->request->wait_s * 1000;
	int64_t pause = ENROL_PAUSE_MIN_MS;
	bool said = false;

	for (;;) {
		enum kw_enrol_phase phase = 0;
		enum kw_err err = enrol_ask(enrol, &phase);
		enrol->out->phase = phase;
		if (err == KW_OK && phase == 0)
			return KW_OK;
		if (err == KW_OK && (phase == KW_ENROL_ASKED || phase == KW_ENROL_APPROVED)) {
			say_asked(enrol, &said);
			err = KW_EBUSY;
		} else if (err == KW_OK) {
			enrol->out->fault = ENROL_FAULT_HUB;
			return KW_ESTATE;
		}
		if (!said || kw_err_class(err) != KW_CLASS_RETRY)
			return err;
		int64_t left = until - now_ms();
		if (left <= 0)
			return err;
		enrol->out->fault = ENROL_FAULT_NONE;
		pause_ms(pause < left ? pause : left);
		pause = 2 * pause < ENROL_PAUSE_MAX_MS ? 2 * pause : ENROL_PAUSE_MAX_MS;
	}
}

static enum kw_err fill_result(struct enrol *enrol)
{
	struct kw_view key = KW_VIEW_OF(enrol->keys.identity.public_key);

	enrol->out->agency = enrol->agency;
	memcpy(enrol->out->address, enrol->address, sizeof(enrol->out->address));
	enum kw_err err = kw_sha256(&key, 1, &enrol->out->identity_fingerprint);
	return err != KW_OK ? err : make_phrase(enrol);
}

static enum kw_err run(struct enrol *enrol)
{
	const struct enrol_request *request = enrol->request;
	struct kw_enrol_code code = {.address = ""};
	enum kw_err err = enrol_check_folder(request->folder);

	if (err == KW_OK && request->passphrase.size < KEYS_PASSPHRASE_SIZE_MIN)
		err = KW_EFIELD;
	if (err == KW_OK && request->code != NULL)
		err = kw_enrol_code_parse(request->code, &code);
	if (err == KW_OK && request->code != NULL)
		err = kw_enrol_code_key(code.secret, &enrol->code_key);
	if (err == KW_OK)
		err = enrol_begin(enrol, request->code != NULL ? &code : NULL);
	kw_wipe(&code, sizeof(code));
	if (err == KW_OK)
		err = fill_result(enrol);
	if (err != KW_OK)
		return err;
	if (request->request_file != NULL) {
		bool said = false;
		err = enrol_write_request(enrol);
		if (err == KW_OK)
			say_asked(enrol, &said);
		return err;
	}
	err = request->reply_file != NULL ? enrol_read_reply(enrol) : wait_for(enrol);
	if (err == KW_OK)
		err = enrol_finish(enrol);
	else if (is_final(err, enrol->out))
		enrol_give_up(enrol);
	enrol->out->done = err == KW_OK;
	return err;
}

enum kw_err agent_enrol(const struct enrol_request *request, struct enrol_result *out)
{
	struct enrol *enrol = calloc(1, sizeof(*enrol));

	if (enrol == NULL)
		return KW_ENOMEM;
	*out = (struct enrol_result){.done = false};
	enrol->request = request;
	enrol->out = out;
	enrol->lock = -1;
	kw_buf_init(&enrol->asks, KW_ENROL_REQUEST_SIZE_MAX);
	kw_buf_init(&enrol->reply, KW_ENROL_PAPER_SIZE_MAX);
	enum kw_err err = run(enrol);
	kw_buf_fini(&enrol->asks);
	kw_buf_fini(&enrol->reply);
	X509_free(enrol->root);
	keys_fini(&enrol->keys);
	if (enrol->lock >= 0)
		(void)close(enrol->lock);
	kw_wipe(enrol, sizeof(*enrol));
	free(enrol);
	return err;
}
