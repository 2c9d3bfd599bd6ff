#include "agent/shell/agent_inner.h"

/* Whom we may write to for the first time. A directory of long ago may hide that an agency was shut out, or that its keys were
 * replaced: with those that we work with already we go on, others have to wait. */

#define OLD_TEXT "No new directory has come for 30 days, and we never wrote to this agency: its keys may have been replaced " \
	"since. kinward status says what is wrong; it is sent once the hub gives a new directory."
#define NONE_TEXT "The hub's directory has not come yet: it comes with the first connection. kinward status says whether there " \
	"is one."

struct search {
	const struct kw_name *agency;
	bool found;
};

static bool each_sent(void *user, const struct spool_item *item, struct kw_view content)
{
	struct search *search = user;

	(void)content;
	search->found = kw_name_equal(&item->agency, search->agency);
	return !search->found;
}

static bool each_thread(void *user, const struct spool_thread *thread)
{
	struct search *search = user;

	search->found = kw_name_equal(&thread->agency, search->agency);
	return !search->found;
}

/* Goes through all that was sent: rare, as the hub's operator has to be asleep for a month. */
static enum kw_err is_known(const struct agent *agent, const struct kw_name *agency, bool *out)
{
	struct search search = {.agency = agency};
	struct spool_query query = {.list = SPOOL_LIST_SENT, .limit = SPOOL_LIST_MAX};
	struct spool_thread_query threads = {.after = 0};
	uint64_t next = 0;
	enum kw_err err;

	do {
		err = spool_list(agent->spool, &query, each_sent, &search, &next);
		query.after = next;
	} while (err == KW_OK && !search.found && next != 0);
	if (err == KW_OK && !search.found)
		err = spool_threads(agent->spool, &threads, each_thread, &search, &next);
	*out = search.found;
	return err;
}

enum kw_err agent_contact_check(const struct agent *agent, const struct kw_name *agency, const char **text)
{
	struct agent_roles_state state;
	bool known = false;
	enum kw_err err;

	if (agent->directory == NULL) {
		*text = NONE_TEXT;
		return KW_EOFFLINE;
	}
	agent_roles_state(agent->roles, agent_now_ms(), &state);
	if (state.age != KW_ROLE_OLD)
		return KW_OK;
	err = is_known(agent, agency, &known);
	if (err != KW_OK || known)
		return err;
	*text = OLD_TEXT;
	return KW_EEXPIRED;
}
