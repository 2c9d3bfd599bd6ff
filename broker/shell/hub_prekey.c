#include <uv.h>

#include "broker/shell/hub_inner.h"
#include "proto/link/log.h"
#include "proto/wire/prekey.h"

/* Dated prekeys at the hub: the newest batch of each agency, given out as it came. The hub cannot make one, because it lacks the
 * identity key; agents check the signature. It checks it too, once, so that what nobody would accept takes no room. */

/* With more than that waiting for the network, no prekeys are put behind it: the agent asks again. */
#define PENDING_MAX (256u << 10)

/* What the store has; out->count 0 for nothing that can be used. */
static enum kw_err stored(struct hub *hub, uint32_t slot, struct kw_buf *bytes, struct kw_prekeys *out)
{
	out->count = 0;
	enum kw_err err = store_get_prekeys(hub->store, slot, bytes);
	if (err == KW_OK && bytes->size > 0 && kw_prekeys_read(kw_buf_view(bytes), out) != KW_OK)
		out->count = 0;
	return err;
}

/* Each costs a signature and a write, and no credit holds them back. Nor is there room for them where messages have none. */
static enum kw_err may_give(struct hub *hub, uint32_t slot)
{
	uint32_t minute = (uint32_t)(uv_now(hub->loop) / 60000u);
	if (hub->prekeys[slot].minute != minute) {
		hub->prekeys[slot].minute = minute;
		hub->prekeys[slot].count = 0;
	}
	hub->prekeys[slot].count += hub->prekeys[slot].count <= HUB_PREKEYS_MINUTE_MAX + 1;
	if (hub->space >= BRK_SPACE_OUT)
		return KW_ENOSPACE;
	return hub->prekeys[slot].count > HUB_PREKEYS_MINUTE_MAX ? KW_EBUSY : KW_OK;
}

/* One beyond the limit is told, the others of the minute are not: they would fill the log. */
static bool is_told(const struct hub *hub, uint32_t slot)
{
	return hub->prekeys[slot].count <= HUB_PREKEYS_MINUTE_MAX + 1;
}

static void refused(const struct kw_name *agency, enum kw_err err, enum kw_prekey_rule rule)
{
	kw_log(KW_LOG_WARN, "prekeys_refused", KW_LOG_STR("agency", agency->text), KW_LOG_ERR(err),
		KW_LOG_STR("rule", kw_prekey_rule_name(rule)));
}

enum kw_err hub_prekeys(struct hub *hub, const struct kw_name *agency, const uint8_t *identity_key, struct kw_view body)
{
	struct kw_prekeys before;
	struct kw_prekeys prekeys;
	struct kw_buf bytes;
	enum kw_prekey_rule rule;
	uint32_t slot = roster_find(hub->roster, agency);
	if (slot == STORE_SLOT_NONE)
		return KW_OK;
	enum kw_err err = may_give(hub, slot);
	if (err != KW_OK) {
		if (is_told(hub, slot))
			refused(agency, err, KW_PREKEY_RULE_NONE);
		return KW_OK;
	}
	kw_buf_init(&bytes, KW_PREKEYS_SIZE_MAX);
	err = stored(hub, slot, &bytes, &before);
	const struct kw_prekeys_expect expect = {.agency = agency,
		.hub = &hub->name,
		.identity_key = identity_key,
		.before = before.count > 0 ? &before : NULL};
	if (err == KW_OK && !kw_view_equal(kw_buf_view(&bytes), body)) {
		enum kw_err judged = kw_prekeys_accept(&expect, body, &prekeys, &rule);
		if (judged == KW_OK) {
			store_put_prekeys(hub->store, hub->ticket, slot, body);
			kw_log(KW_LOG_INFO, "prekeys", KW_LOG_STR("agency", agency->text),
				KW_LOG_INT("through_day", kw_prekeys_last_day(&prekeys)));
		} else if (kw_err_class(judged) == KW_CLASS_FATAL) {
			err = judged;
		} else {
			refused(agency, judged, rule);
		}
	}
	kw_buf_fini(&bytes);
	return err;
}

enum kw_err hub_prekeys_want(struct hub *hub, uint32_t conn, struct kw_view body)
{
	struct kw_prekeys_want want;
	struct kw_prekeys prekeys = {.count = 0};
	struct kw_buf bytes;
	struct kw_buf *out = hub->wire.out(hub->wire.user, conn);
	enum kw_err err = kw_prekeys_want_parse(body, &want);
	if (err != KW_OK || out == NULL || hub->wire.pending(hub->wire.user, conn) > PENDING_MAX)
		return err;
	kw_buf_init(&bytes, KW_PREKEYS_SIZE_MAX);
	uint32_t slot = roster_find(hub->roster, &want.agency);
	if (slot != STORE_SLOT_NONE)
		err = stored(hub, slot, &bytes, &prekeys);
	if (err == KW_OK && prekeys.count > 0 && kw_prekeys_last_day(&prekeys) > want.through_day) {
		err = kw_frame_add(out, KW_FRAME_PREKEYS, kw_buf_view(&bytes));
	} else if (err == KW_OK) {
		want.through_day = prekeys.count > 0 ? kw_prekeys_last_day(&prekeys) : 0;
		err = kw_prekeys_want_add(out, &want);
	}
	kw_buf_fini(&bytes);
	hub->wire.ready(hub->wire.user, conn);
	return err;
}

void hub_prekeys_hello(struct hub *hub, uint32_t conn, const struct kw_name *agency)
{
	struct kw_prekeys_want want = {.agency = *agency};
	struct kw_prekeys prekeys;
	struct kw_buf bytes;
	uint32_t slot = roster_find(hub->roster, agency);
	struct kw_buf *out = hub->wire.out(hub->wire.user, conn);
	if (slot == STORE_SLOT_NONE || out == NULL)
		return;
	kw_buf_init(&bytes, KW_PREKEYS_SIZE_MAX);
	if (stored(hub, slot, &bytes, &prekeys) == KW_OK && prekeys.count > 0)
		want.through_day = kw_prekeys_last_day(&prekeys);
	kw_buf_fini(&bytes);
	/* Without it the agent gives the next one a day later. */
	if (kw_prekeys_want_add(out, &want) == KW_OK)
		hub->wire.ready(hub->wire.user, conn);
}
