#include "agent/shell/agent_hold.h"

#include "agent/shell/agent_prekeys.h"
#include "proto/wire/message.h"

/* Whether something can be won by waiting. */
static bool waits(void *user, const struct kw_name *agency)
{
	const struct agent *agent = user;

	return agent->link != NULL && agt_online(agent->core) && !agent->stopping && agent_prekeys_is_awaited(agent, agency);
}

void agent_hold_send(void *user, Kinward__V1__SendRequest *request, struct socket_call *call)
{
	struct agent *agent = user;
	struct kw_name agency;
	const struct kw_directory_entry *entry = NULL;

	if (agent->directory != NULL && kw_name_from(kw_view_str(request->agency), &agency) == KW_OK)
		entry = kw_directory_find(agent->directory, &agency);
	if (entry != NULL && !entry->revoked && waits(agent, &agency) && hold_add(&agent->held, &agency, request, call) == KW_OK)
		agent_prekeys_ask(agent, &agency);
	else
		agent_send(agent, request, call);
}

static void send_it(struct agent *agent, struct hold_one *one)
{
	const struct kw_unpack what = {.descriptor = &kinward__v1__send_request__descriptor, .size_max = SOCKET_REQUEST_SIZE_MAX * 2};
	ProtobufCMessage *message = NULL;
	struct kw_fault fault = {0};
	struct kw_arena arena;

	kw_arena_init(&arena, KW_MESSAGE_ARENA_MAX);
	enum kw_err err = kw_message_unpack(kw_buf_view(&one->request), what, &arena, &message, &fault);
	if (err == KW_OK)
		agent_send(agent, (Kinward__V1__SendRequest *)message, one->call);
	else
		socket_call_refuse(one->call, err, NULL, NULL);
	kw_arena_fini(&arena);
}

void agent_hold_release(struct agent *agent, bool second)
{
	/* Off the list first: sending may come back here. */
	for (struct hold_one *one = hold_take(&agent->held, second, waits, agent), *next; one != NULL; one = next) {
		next = one->next;
		agent_prekeys_await_no_more(agent, &one->agency);
		send_it(agent, one);
		hold_free(one);
	}
}

static bool nobody(void *user, const struct kw_name *agency)
{
	(void)user;
	(void)agency;
	return false;
}

void agent_hold_drop(struct agent *agent)
{
	for (struct hold_one *one = hold_take(&agent->held, false, nobody, NULL), *next; one != NULL; one = next) {
		next = one->next;
		socket_call_refuse(one->call, KW_ECLOSED, NULL, NULL);
		hold_free(one);
	}
}
