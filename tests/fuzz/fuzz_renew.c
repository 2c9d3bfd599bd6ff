/* RENEW and RENEWED from anybody: what parses can be judged, and what was judged good was signed. */
#include <stddef.h>
#include <stdint.h>

#include "proto/base/check.h"
#include "proto/wire/renew.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_renewed(struct kw_view body)
{
	struct kw_renewed renewed;
	struct kw_renewed again;
	struct kw_buf out;
	if (kw_renewed_parse(body, &renewed) != KW_OK)
		return;
	kw_buf_init(&out, KW_FRAME_SIZE_MAX);
	KW_ASSERT(kw_renewed_add(&out, &renewed) == KW_OK);
	KW_ASSERT(kw_renewed_parse(KW_VIEW(out.data + KW_FRAME_HEAD_SIZE, out.size - KW_FRAME_HEAD_SIZE), &again) == KW_OK);
	KW_ASSERT(again.problem == renewed.problem && again.certificates_count == renewed.certificates_count);
	kw_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct kw_name hub = {.text = "hub-0"};
	static const uint8_t exporter[KW_RENEW_EXPORTER_SIZE];
	static const uint8_t nobody[KW_KEY_SIZE] = {9};
	const struct kw_renew_where where = {.hub = &hub, .exporter = exporter};
	struct kw_renew renew;
	struct kw_view body = KW_VIEW(data, size);
	if (kw_renew_parse(body, &renew) == KW_OK)
		KW_ASSERT(kw_renew_verify(&renew, &where, nobody) != KW_OK);
	try_renewed(body);
	return 0;
}
