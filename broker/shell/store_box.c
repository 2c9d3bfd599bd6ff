#include <stdlib.h>

#include "broker/shell/store.h"
#include "proto/base/check.h"

struct store_box *store_box_new(uint32_t size)
{
	struct store_box *box = malloc(sizeof(*box) + size);
	if (box == NULL)
		return NULL;
	box->refs = 1;
	box->size = size;
	return box;
}

void store_box_ref(struct store_box *box)
{
	KW_ASSERT(box->refs > 0 && box->refs < UINT32_MAX);
	box->refs++;
}

void store_box_unref(struct store_box *box)
{
	if (box == NULL)
		return;
	KW_ASSERT(box->refs > 0);
	if (--box->refs == 0) {
		kw_wipe(box->data, box->size); /* it may have been recalled */
		free(box);
	}
}
