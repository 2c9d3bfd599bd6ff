/* What a hub reads of a stranger, an agent of a hub, and either of a carried file: each parser takes any bytes, and a record is
 * written again as it was. The first byte says which. */

#include <stdlib.h>
#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/enrolment.h"

static void same_record(struct kw_view bytes)
{
	struct kw_enrolment first = {.tries = 0};
	struct kw_enrolment second = {.tries = 0};
	struct kw_buf text;
	struct kw_buf again;
	kw_buf_init(&text, 1u << 17);
	kw_buf_init(&again, 1u << 17);
	if (kw_enrolment_parse(bytes, &first) == KW_OK) {
		KW_ASSERT(kw_enrolment_format(&first, &text) == KW_OK);
		KW_ASSERT(kw_enrolment_parse(kw_buf_view(&text), &second) == KW_OK);
		KW_ASSERT(kw_enrolment_format(&second, &again) == KW_OK);
		KW_ASSERT(kw_view_equal(kw_buf_view(&text), kw_buf_view(&again)));
	}
	kw_enrolment_fini(&first);
	kw_enrolment_fini(&second);
	kw_buf_fini(&text);
	kw_buf_fini(&again);
}

static void same_code(struct kw_view bytes)
{
	struct kw_enrol_code code;
	struct kw_enrol_code again;
	char text[KW_ENROL_TEXT_SIZE_MAX];
	char *typed = malloc(bytes.size + 1);
	if (typed == NULL)
		return;
	memcpy(typed, bytes.data, bytes.size);
	typed[bytes.size] = '\0';
	if (kw_enrol_code_parse(typed, &code) == KW_OK) {
		KW_ASSERT(kw_enrol_code_format(&code, text) == KW_OK);
		KW_ASSERT(kw_enrol_code_parse(text, &again) == KW_OK);
		KW_ASSERT(memcmp(&code, &again, sizeof(code)) == 0);
	}
	(void)kw_enrol_phrase_equal("1234 5678 9012 3456 7890 1234", typed);
	free(typed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct kw_digest KEY;
	struct kw_enrol_ask ask;
	struct kw_enrol_state said;
	struct kw_enrol_reply reply;
	struct kw_view body;
	char phrase[KW_ENROL_PHRASE_SIZE];
	const struct kw_name agency = {"agency-a"};
	if (size < 1)
		return 0;
	struct kw_view bytes = KW_VIEW(data + 1, size - 1);
	switch (data[0] % 5) {
	case 0:
		if (kw_enrol_ask_parse(bytes, &ask) == KW_OK) {
			KW_ASSERT(kw_enrol_phrase(&KEY, &agency, &ask, phrase) == KW_OK);
			(void)kw_enrol_ask_prove(&ask, &KEY, &KEY);
		}
		break;
	case 1:
		if (kw_enrol_state_parse(bytes, &said) == KW_OK)
			KW_ASSERT(said.phase >= KW_ENROL_ASKED && said.phase <= KW_ENROL_EXISTS);
		if (kw_enrol_reply_parse(bytes, &reply) == KW_OK)
			KW_ASSERT(reply.certificates_count >= 1 && reply.certificates_count <= KW_ENROL_CERTIFICATES_MAX);
		break;
	case 2:
		for (int which = 0; which < 2; which++)
			if (kw_enrol_paper_parse(bytes, (enum kw_enrol_paper)which, &body) == KW_OK && kw_enrol_ask_parse(body, &ask) == KW_OK)
				(void)kw_enrol_ask_prove(&ask, &KEY, NULL);
		break;
	case 3:
		same_record(bytes);
		break;
	default:
		same_code(bytes);
		break;
	}
	return 0;
}
