#include "tests/bench/load.h"

#include <string.h>
#include <time.h>

#include "tests/bench/site.h"

#define EXPIRY_HOURS (30u * 24u)

static void find_id(struct load *load)
{
	struct kw_envelope_label label;
	bench_must(kw_envelope_peek(kw_buf_view(&load->envelope), &label), "envelope");
	const uint8_t *at = memmem(load->envelope.data, load->envelope.size, label.id.bytes, KW_ID_SIZE);
	load->id_at = (size_t)(at - load->envelope.data); /* it was read from there */
}

void load_seal(struct load *load)
{
	struct kw_sealed sealed;
	bench_must(kw_seal(&load->request, &sealed), "seal");
	kw_buf_fini(&load->envelope);
	load->envelope = sealed.envelopes[0];
	sealed.envelopes[0] = (struct kw_buf){.data = NULL};
	kw_sealed_fini(&sealed);
	find_id(load);
}

void load_init(struct load *load, uint32_t sender, uint32_t recipient, uint32_t size)
{
	struct kw_x25519 sealing;
	int64_t now_s = (int64_t)time(NULL);
	*load = (struct load){.id_at = 0};
	bench_must(kw_ed25519_generate(&load->identity), "identity key");
	bench_must(kw_x25519_generate(&sealing), "sealing key");
	site_agent_name(recipient, &load->recipient.agency);
	bench_must(kw_name_from(kw_view_str("bench"), &load->recipient.hub), "hub name");
	load->recipient.key_id.size = KW_KEY_ID_SIZE_MIN;
	memcpy(load->recipient.key_id.bytes, sealing.public_key, KW_KEY_ID_SIZE_MIN);
	memcpy(load->recipient.public_key, sealing.public_key, KW_KEY_SIZE);
	/* Padding takes one byte. */
	uint32_t content_size = kw_pad_is_bucket(size) ? size - 1 : size;
	kw_buf_init(&load->content, KW_SEAL_SIZE_MAX);
	bench_must(kw_buf_reserve(&load->content, content_size), "content");
	memset(load->content.data, 'x', content_size);
	load->content.size = content_size;
	load->request = (struct kw_seal_request){
		.suite = KW_SUITE_AES,
		.recipients = &load->recipient,
		.recipients_count = 1,
		.identity = &load->identity,
		.claims = {
			.sender_hub = load->recipient.hub,
			.key_id = load->recipient.key_id,
			.sent_unix_ms = now_s * 1000,
			.content_type = 1,
		},
		.home_hub = load->recipient.hub,
		.msg_class = KW_NORMAL,
		.expiry_hour = (uint32_t)(now_s / 3600) + EXPIRY_HOURS,
		.hops_max = 1,
		.content = kw_buf_view(&load->content),
	};
	site_agent_name(sender, &load->request.claims.sender);
	bench_must(kw_random(&load->request.claims.thread_id, sizeof(load->request.claims.thread_id)), "random");
	load_seal(load);
}

void load_fini(struct load *load)
{
	kw_buf_fini(&load->content);
	kw_buf_fini(&load->envelope);
}

struct kw_view load_stamped(struct load *load, const struct load_stamp *stamp)
{
	uint8_t *id = load->envelope.data + load->id_at;
	kw_put_u64(id, stamp->sent_ns);
	kw_put_u32(id + 8, stamp->run);
	kw_put_u32(id + 12, stamp->sender);
	return kw_buf_view(&load->envelope);
}

void load_read_stamp(struct kw_view envelope, size_t id_at, struct load_stamp *out)
{
	*out = (struct load_stamp){.sent_ns = 0};
	if (envelope.size < id_at + KW_ID_SIZE)
		return;
	const uint8_t *id = envelope.data + id_at;
	out->sent_ns = kw_get_u64(id);
	out->run = kw_get_u32(id + 8);
	out->sender = kw_get_u32(id + 12);
}
