/* Padding, declared in envelope.h. */

#include <string.h>

#include "proto/base/check.h"
#include "proto/wire/envelope.h"

#define FIRST_BUCKET 512u
#define LAST_POWER 4096u

static uint32_t log2_floor(uint32_t value)
{
	return 31u - (uint32_t)__builtin_clz(value);
}

/* Padmé: round up so that only the top log2(log2(size)) + 1 bits may be set; it tells O(log log size) bits. */
static uint32_t padme(uint32_t size)
{
	uint32_t exponent = log2_floor(size);
	uint32_t kept = log2_floor(exponent) + 1;
	uint32_t mask = (1u << (exponent - kept)) - 1;
	return (size + mask) & ~mask;
}

static uint32_t bucket_of(uint32_t padded_min)
{
	uint32_t bucket = FIRST_BUCKET;
	while (bucket < padded_min && bucket < LAST_POWER)
		bucket *= 2;
	return padded_min <= bucket ? bucket : padme(padded_min);
}

uint32_t kw_pad_bucket(size_t content_size)
{
	KW_ASSERT(content_size <= KW_SEAL_SIZE_MAX);
	return bucket_of((uint32_t)content_size + 1);
}

uint32_t kw_pad_round(uint32_t size)
{
	return bucket_of(size);
}

bool kw_pad_is_bucket(uint32_t size)
{
	return size >= 1 && size <= KW_BODY_SIZE_MAX && bucket_of(size) == size;
}

uint32_t kw_pad_auth_size(size_t block_size)
{
	KW_ASSERT(block_size < KW_AUTH_SIZE_MAX);
	uint32_t size = KW_AUTH_SIZE_MIN;
	while (size < block_size + 1)
		size += KW_AUTH_SIZE_STEP;
	return size;
}

enum kw_err kw_pad_add(struct kw_buf *buf, size_t size)
{
	if (size <= buf->size)
		return KW_ETOOBIG;
	enum kw_err err = kw_buf_reserve(buf, size - buf->size);
	if (err != KW_OK)
		return err;
	buf->data[buf->size] = 0x80;
	memset(buf->data + buf->size + 1, 0, size - buf->size - 1);
	buf->size = size;
	return KW_OK;
}

enum kw_err kw_pad_strip(struct kw_view padded, size_t *content_size)
{
	size_t at = padded.size;
	while (at > 0 && padded.data[at - 1] == 0)
		at--;
	if (at == 0 || padded.data[at - 1] != 0x80)
		return KW_EFORMAT;
	*content_size = at - 1;
	return KW_OK;
}
