#ifndef KW_TEST_KIT_HOSTILE_HUB_H
#define KW_TEST_KIT_HOSTILE_HUB_H

#include <uv.h>

#include "agent/shell/keys.h"
#include "proto/link/link.h"
#include "tests/kit/daemon.h"
#include "tests/kit/site.h"

/* A hub of the test's own, in this process: real TLS and frames, the true keys of hub-0, and no scruples. Its victim is the
 * program kinward-agent in a process of its own, enrolled as agency-0. agency-1.. are people who hold their keys, which the test
 * has too; "agency-1" is the honest one. Failures are cmocka's.
 *
 * The hub says in a session what an honest one says (WELCOME, the roles, acks of what it is sent), and delivers what it is told
 * to, under the sequences that it is told. */

#define HOSTILE_PARTIES 5u
#define HOSTILE_HEARD_MAX 4096u
#define HOSTILE_WAIT_MS 30000u

struct hostile_hub {
	struct kit_site site;
	struct kw_digest fingerprint;
	struct keys parties[HOSTILE_PARTIES]; /* of agency-0.. */
	char dir[64];                         /* the victim's */
	char socket[96];
	struct kit_daemon agent;
	uv_loop_t loop;
	uv_timer_t beat;
	struct kw_net *net;
	struct kw_tls_context *context;
	struct kw_link_server *server;
	uint16_t port;
	struct kw_link *link; /* the session; NULL: none */

	/* what it says */
	uint64_t epoch;
	uint64_t last[KW_MSG_CLASS_COUNT];        /* sequence given last */
	struct kw_cursor claims[KW_MSG_CLASS_COUNT]; /* WELCOME: what it has of the agent's log; epoch 0: what it has */
	bool no_roles;

	/* what it hears */
	uint32_t hellos;
	uint32_t ends; /* of connections */
	struct kw_frame_hello hello;
	struct kw_cursor held[KW_MSG_CLASS_COUNT]; /* of the agent's log */
	struct kw_cursor acked[KW_MSG_CLASS_COUNT]; /* by the agent */
	uint32_t unopened;
	struct kw_frame_unopened unopened_last;
	size_t unopened_size; /* of the last one's body */
	enum kw_err error;    /* of an ERROR frame */
	struct kw_buf *heard; /* envelopes */
	uint32_t heard_count;
};

/* The hub is up, the victim's state is written and it does not run yet. */
void hostile_hub_init(struct hostile_hub *hub);
/* Asserts that the victim, if it runs, stops when it is asked to, with code 0. */
void hostile_hub_fini(struct hostile_hub *hub);

void hostile_hub_listen(struct hostile_hub *hub, const char *chain);
void hostile_hub_shut(struct hostile_hub *hub);
/* Ends the session, and waits for its end. */
void hostile_hub_hang_up(struct hostile_hub *hub);
/* The victim starts; at another hub than this one, if this one is shut. */
void hostile_hub_agent_spawn(struct hostile_hub *hub);
/* The victim starts and has a session and the directory; or: is stopped and asserted to end with code 0. */
void hostile_hub_agent_start(struct hostile_hub *hub);
void hostile_hub_agent_stop(struct hostile_hub *hub);
/* Until there is a session and the agent has the present directory. */
void hostile_hub_wait_online(struct hostile_hub *hub);
/* One turn of the loop, 10 ms at most. */
void hostile_hub_turn(struct hostile_hub *hub);
/* Turns until a condition of the test holds, or fails after HOSTILE_WAIT_MS. */
#define HOSTILE_WAIT(hub, condition) \
	do { \
		uint64_t hostile_begin = uv_hrtime(); \
		while (!(condition)) { \
			hostile_hub_turn(hub); \
			assert_true(uv_hrtime() - hostile_begin < (uint64_t)HOSTILE_WAIT_MS * 1000000u); \
		} \
	} while (0)

/* Adds a MESSAGE to the session. */
void hostile_hub_deliver(struct hostile_hub *hub, enum kw_msg_class msg_class, uint64_t sequence, struct kw_view envelope);
/* Delivers as the next one of its class, and waits until the agent has acknowledged it. */
void hostile_hub_give(struct hostile_hub *hub, enum kw_msg_class msg_class, struct kw_view envelope);

/* What a command in the hub's folder does: these entries, signed by the true keys. */
void hostile_hub_publish(struct hostile_hub *hub, void (*change)(struct kw_directory *directory));
/* The roles as they are in the folder, to the session. */
void hostile_hub_say_roles(struct hostile_hub *hub);
/* Publishes, says, and waits until the agent has it. */
void hostile_hub_change(struct hostile_hub *hub, void (*change)(struct kw_directory *directory));

/* What an operator sees. */
struct hostile_status {
	bool online;
	bool alarm;
	uint64_t received;
	uint64_t inbox_new;
	uint64_t unopened;
	uint64_t repeats;
	uint64_t held;
	uint64_t opened;
	uint64_t dead;
	uint64_t directory_version;
	char refused[32];
};
void hostile_hub_status(struct hostile_hub *hub, struct hostile_status *out);
/* False while the agent does not listen yet. */
bool hostile_hub_try_status(struct hostile_hub *hub, struct hostile_status *out);
/* The message ids in the inbox, in order; how many there are. */
size_t hostile_hub_inbox(struct hostile_hub *hub, struct kw_id *out, size_t count_max);
/* One of `kinward unopened`, the one of this number; false when it is not on the list. */
struct hostile_aside {
	char reason[32];
	char error[32];
	struct kw_id envelope_id; /* zeros: none */
	uint32_t size;
	int64_t at_ms;
};
bool hostile_hub_aside(struct hostile_hub *hub, uint64_t number, struct hostile_aside *out);
/* The agent's own person sends a question to agency-1; its envelope is the last one that was heard. */
void hostile_hub_let_send(struct hostile_hub *hub);
/* The destination in an envelope; valid until the next call. */
const char *hostile_hub_sent_to(struct kw_view envelope);
/* Entries of the receipts that were heard so far about this digest, of which `good` ones have no failure. */
uint32_t hostile_hub_receipts(const struct hostile_hub *hub, const struct kw_digest *digest, uint32_t *good);

#endif
