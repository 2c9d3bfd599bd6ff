#include "proto/base/bytes.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define KW_BUF_FIRST_CAP 256u

struct kw_view kw_view_str(const char *text)
{
	return (struct kw_view){.data = (const uint8_t *)text, .size = strlen(text)};
}

bool kw_view_equal(struct kw_view a, struct kw_view b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void kw_buf_init(struct kw_buf *buf, size_t size_max)
{
	*buf = (struct kw_buf){.size_max = size_max};
}

void kw_buf_fini(struct kw_buf *buf)
{
	if (buf == NULL || buf->data == NULL)
		return;
	kw_wipe(buf->data, buf->cap);
	free(buf->data);
	buf->data = NULL;
	buf->size = 0;
	buf->cap = 0;
}

void kw_buf_clear(struct kw_buf *buf)
{
	buf->size = 0;
}

enum kw_err kw_buf_reserve(struct kw_buf *buf, size_t size)
{
	if (size > buf->size_max || buf->size > buf->size_max - size)
		return KW_ETOOBIG;
	size_t need = buf->size + size;
	if (need <= buf->cap)
		return KW_OK;
	size_t cap = buf->cap ? buf->cap : KW_BUF_FIRST_CAP;
	while (cap < need)
		cap *= 2;
	if (cap > buf->size_max)
		cap = buf->size_max;
	/* Not realloc: it may leave a copy of a secret behind in freed memory. */
	uint8_t *data = malloc(cap);
	if (data == NULL)
		return KW_ENOMEM;
	if (buf->data != NULL) {
		memcpy(data, buf->data, buf->size);
		kw_wipe(buf->data, buf->cap);
		free(buf->data);
	}
	buf->data = data;
	buf->cap = cap;
	return KW_OK;
}

enum kw_err kw_buf_add(struct kw_buf *buf, struct kw_view bytes)
{
	enum kw_err err = kw_buf_reserve(buf, bytes.size);
	if (err != KW_OK)
		return err;
	if (bytes.size > 0)
		memcpy(buf->data + buf->size, bytes.data, bytes.size);
	buf->size += bytes.size;
	return KW_OK;
}

enum kw_err kw_buf_add_u8(struct kw_buf *buf, uint8_t value)
{
	return kw_buf_add(buf, KW_VIEW(&value, 1));
}

void kw_buf_drop(struct kw_buf *buf, size_t size)
{
	if (size >= buf->size) {
		buf->size = 0;
		return;
	}
	memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
}

struct kw_view kw_buf_view(const struct kw_buf *buf)
{
	return (struct kw_view){.data = buf->data, .size = buf->size};
}

void kw_wipe(void *data, size_t size)
{
	if (size == 0)
		return;
	memset(data, 0, size);
	/* The barrier makes the stores visible, so they are not removed as dead. */
	__asm__ __volatile__("" : : "r"(data) : "memory");
}

bool kw_equal_secret(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t diff = 0;
	for (size_t i = 0; i < size; i++)
		diff |= (uint8_t)(x[i] ^ y[i]);
	return diff == 0;
}

void kw_hex(char *out, struct kw_view bytes)
{
	static const char DIGITS[] = "0123456789abcdef";
	for (size_t i = 0; i < bytes.size; i++) {
		out[2 * i] = DIGITS[bytes.data[i] >> 4];
		out[2 * i + 1] = DIGITS[bytes.data[i] & 15];
	}
	out[2 * bytes.size] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum kw_err kw_unhex(uint8_t *out, size_t size, const char *text)
{
	if (strlen(text) != 2 * size)
		return KW_EFORMAT;
	for (size_t i = 0; i < 2 * size; i++)
		if (hex_value(text[i]) < 0)
			return KW_EFORMAT;
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
	return KW_OK;
}

static uint32_t crc32c_portable(uint32_t crc, const uint8_t *data, size_t size)
{
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
	}
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *data, size_t size)
{
	uint64_t state = (uint32_t)~crc;
	while (size >= 8) {
		uint64_t word;
		memcpy(&word, data, sizeof(word));
		state = _mm_crc32_u64(state, word);
		data += 8;
		size -= 8;
	}
	while (size-- > 0)
		state = _mm_crc32_u8((uint32_t)state, *data++);
	return ~(uint32_t)state;
}
#endif

uint32_t kw_crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, size);
#endif
	return crc32c_portable(crc, data, size);
}
