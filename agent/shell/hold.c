#include "agent/shell/hold.h"

#include <stdlib.h>

enum kw_err hold_add(struct hold *hold, const struct kw_name *agency, const Kinward__V1__SendRequest *request,
	struct socket_call *call)
{
	struct hold_one **end = &hold->first;

	if (hold->count >= HOLD_MAX)
		return KW_EFULL;
	struct hold_one *one = calloc(1, sizeof(*one));
	if (one == NULL)
		return KW_ENOMEM;
	kw_buf_init(&one->request, SOCKET_REQUEST_SIZE_MAX * 2);
	enum kw_err err = kw_buf_reserve(&one->request, kinward__v1__send_request__get_packed_size(request));
	if (err != KW_OK) {
		hold_free(one);
		return err;
	}
	one->request.size = kinward__v1__send_request__pack(request, one->request.data);
	one->agency = *agency;
	one->left_s = HOLD_S;
	one->call = call;
	while (*end != NULL)
		end = &(*end)->next;
	*end = one;
	hold->count++;
	return KW_OK;
}

struct hold_one *hold_take(struct hold *hold, bool second, bool (*waits)(void *user, const struct kw_name *agency), void *user)
{
	struct hold_one *taken = NULL;
	struct hold_one **end = &taken;

	for (struct hold_one **at = &hold->first; *at != NULL;) {
		struct hold_one *one = *at;

		one->left_s -= second && one->left_s > 0;
		if (one->left_s > 0 && waits(user, &one->agency)) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		one->next = NULL;
		*end = one;
		end = &one->next;
		hold->count--;
	}
	return taken;
}

void hold_free(struct hold_one *one)
{
	kw_buf_fini(&one->request);
	free(one);
}
