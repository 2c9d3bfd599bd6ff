#ifndef KW_BASE_BYTES_H
#define KW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Bytes, borrowed and owned, and the integers inside them (big-endian on every wire and in every key).
 *
 * struct kw_view borrows: it never outlives its source. struct kw_buf owns heap memory, grows to a limit given at init,
 * and is wiped when freed, because sealed plaintext and keys pass through it. */

struct kw_view {
	const uint8_t *data;
	size_t size;
};

/* A view of a C string, without its terminator. */
struct kw_view kw_view_str(const char *text);
bool kw_view_equal(struct kw_view a, struct kw_view b);

#define KW_VIEW(pointer, bytes) ((struct kw_view){.data = (const uint8_t *)(pointer), .size = (bytes)})
#define KW_VIEW_OF(array) KW_VIEW(array, sizeof(array))

struct kw_buf {
	uint8_t *data;
	size_t size;     /* bytes used */
	size_t cap;      /* bytes allocated */
	size_t size_max; /* growing past this is KW_ETOOBIG */
};

/* An empty buffer that may grow to size_max bytes. Allocates nothing yet. */
void kw_buf_init(struct kw_buf *buf, size_t size_max);
/* Wipes and frees. Accepts NULL and a zeroed struct. The buffer is empty and usable afterwards. */
void kw_buf_fini(struct kw_buf *buf);
/* Sets size to 0 and keeps the memory (not wiped). */
void kw_buf_clear(struct kw_buf *buf);
/* Makes room for `size` more bytes at data + buf->size. KW_ETOOBIG, KW_ENOMEM. */
KW_MUST_USE enum kw_err kw_buf_reserve(struct kw_buf *buf, size_t size);
KW_MUST_USE enum kw_err kw_buf_add(struct kw_buf *buf, struct kw_view bytes);
KW_MUST_USE enum kw_err kw_buf_add_u8(struct kw_buf *buf, uint8_t value);
/* Drops the first `size` bytes (size <= buf->size) by moving the rest to the front. */
void kw_buf_drop(struct kw_buf *buf, size_t size);
struct kw_view kw_buf_view(const struct kw_buf *buf);

/* Overwrites memory in a way the compiler keeps. */
void kw_wipe(void *data, size_t size);
/* Constant-time comparison of two equally long byte strings; for secrets. */
bool kw_equal_secret(const void *a, const void *b, size_t size);

static inline void kw_put_u16(uint8_t *out, uint16_t v)
{
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
}

static inline void kw_put_u32(uint8_t *out, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(out, &v, sizeof(v));
}

static inline void kw_put_u64(uint8_t *out, uint64_t v)
{
	v = __builtin_bswap64(v);
	__builtin_memcpy(out, &v, sizeof(v));
}

static inline uint16_t kw_get_u16(const uint8_t *in)
{
	return (uint16_t)((in[0] << 8) | in[1]);
}

static inline uint32_t kw_get_u32(const uint8_t *in)
{
	uint32_t v;
	__builtin_memcpy(&v, in, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t kw_get_u64(const uint8_t *in)
{
	uint64_t v;
	__builtin_memcpy(&v, in, sizeof(v));
	return __builtin_bswap64(v);
}

/* Lower-case hex of `bytes`, terminated; `out` holds 2 * bytes.size + 1 characters. */
void kw_hex(char *out, struct kw_view bytes);
/* Reads exactly 2 * size hex digits (either case) from a terminated string. KW_EFORMAT leaves out untouched. */
KW_MUST_USE enum kw_err kw_unhex(uint8_t *out, size_t size, const char *text);

/* CRC-32C (Castagnoli), as in RFC 3720; uses SSE4.2 where the CPU has it. Start with crc = 0; chainable. */
uint32_t kw_crc32c(uint32_t crc, const void *data, size_t size);

#endif
