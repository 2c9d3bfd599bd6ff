#ifndef KW_TEST_KIT_LIVE_HUB_H
#define KW_TEST_KIT_LIVE_HUB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <uv.h>

#include "broker/shell/config.h"
#include "broker/shell/doors.h"
#include "broker/shell/hub.h"
#include "broker/shell/office.h"

/* The hub as it is, on a test's own loop: configuration, office, store, doors and listener of a folder that kit_site made. Failures
 * are assertions. What a test looks at lies in its own rig; these point there. */

#define KIT_LIVE_HUB_ADDRESS_SIZE 32u

struct kit_live_hub {
	const char *config_file;
	uv_loop_t *loop;
	struct kw_net *net;
	uint32_t conns_max;
	struct config *config;
	struct office **office;
	struct doors **doors;
	struct hub **hub;
	char *address; /* where it listens, KIT_LIVE_HUB_ADDRESS_SIZE bytes */
	uv_prepare_t *turn_end; /* NULL: nobody commits, of a test without messages */
	void (*fatal)(void *user, enum kw_err err); /* NULL: the test fails */
	void *user;
};

static inline void kit_live_hub_fatal(void *user, enum kw_err err)
{
	(void)user;
	fail_msg("%s", kw_err_name(err));
}

static inline void kit_live_hub_turn_end(uv_prepare_t *prepare)
{
	hub_kick(*(struct hub **)prepare->data);
}

static inline void kit_live_hub_open(const struct kit_live_hub *live)
{
	struct kw_config_fault fault;
	char chain[CONFIG_PATH_SIZE];
	char db[CONFIG_PATH_SIZE];
	assert_int_equal(config_load(live->config_file, live->config, &fault), KW_OK);
	assert_int_equal(office_open(live->config, live->office), KW_OK);
	assert_int_equal(config_path(live->config, "server.pem", chain), KW_OK);
	assert_int_equal(config_path(live->config, "db", db), KW_OK);
	struct kw_link_limits limits = KW_LINK_LIMITS_DEFAULT;
	limits.handshakes_per_s_max = 0;
	const struct doors_options options = {.net = live->net, .office = *live->office, .listen = live->config->values->listen,
		.limits = limits, .conns_max = live->conns_max,
		.fatal = live->fatal != NULL ? live->fatal : kit_live_hub_fatal, .user = live->user};
	assert_int_equal(doors_new(&options, chain, live->doors), KW_OK);
	struct hub_options hub = {.limits = BRK_LIMITS_DEFAULT, .name = live->config->hub};
	hub.limits.conns_max = live->conns_max;
	hub.store = (struct store_options){.path = db, .map_size = 64u << 20};
	const struct hub_wire wire = doors_wire(*live->doors);
	assert_int_equal(hub_new(&hub, live->loop, &wire, live->hub), KW_OK);
	assert_int_equal(doors_open(*live->doors, *live->hub), KW_OK);
	(void)snprintf(live->address, KIT_LIVE_HUB_ADDRESS_SIZE, "127.0.0.1:%u", doors_port(*live->doors)); /* fits */
	if (live->turn_end == NULL)
		return;
	(void)uv_prepare_init(live->loop, live->turn_end);
	live->turn_end->data = live->hub;
	(void)uv_prepare_start(live->turn_end, kit_live_hub_turn_end);
	uv_unref((uv_handle_t *)live->turn_end);
}

#endif
