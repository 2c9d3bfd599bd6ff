#include "agent/shell/agent_phones.h"

#include <string.h>

#include "proto/wire/message.h"

static void add(struct agent_phones *phones, const char *phone)
{
	size_t size = strlen(phone);

	if (size > AGENT_PHONE_SIZE_MAX || phones->count == AGENT_PHONES_MAX)
		return;
	for (size_t i = 0; i < phones->count; i++)
		if (strcmp(phones->texts[i], phone) == 0)
			return;
	memcpy(phones->texts[phones->count], phone, size + 1);
	phones->list[phones->count] = phones->texts[phones->count];
	phones->count++;
}

void agent_phones_of(struct agent *agent, const struct kw_name *agency, uint32_t service, struct agent_phones *out)
{
	Kinward__V1__Content *content = NULL;
	struct kw_fault fault;
	struct kw_arena arena;
	struct kw_buf bytes;

	out->count = 0;
	kw_arena_init(&arena, KW_CONTENT_ARENA_MAX);
	kw_buf_init(&bytes, KW_FRAME_SIZE_MAX);
	if (spool_services_of(agent->spool, agency, &bytes) != KW_OK ||
		kw_content_unpack(kw_buf_view(&bytes), &arena, &content, &fault) != KW_OK ||
		content->body_case != KINWARD__V1__CONTENT__BODY_SERVICE_DIRECTORY)
		goto out; /* a reminder without a phone is better than none */
	for (int other = 0; other <= 1; other++) {
		for (size_t i = 0; i < content->service_directory->n_services; i++) {
			const Kinward__V1__DirectoryService *offered = content->service_directory->services[i];

			if (((uint32_t)offered->type != service) != (other == 1))
				continue;
			for (size_t k = 0; k < offered->n_phones; k++)
				add(out, offered->phones[k]);
		}
	}
out:
	kw_buf_fini(&bytes);
	kw_arena_fini(&arena);
}
