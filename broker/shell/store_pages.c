#include <string.h>

#include "broker/shell/store_pages.h"

#define NODE_HEAD_SIZE 8u
#define PAGE_NUMBER_SIZE 8u

static uint16_t u16_at(const uint8_t *bytes)
{
	uint16_t v;
	memcpy(&v, bytes, sizeof(v));
	return v;
}

static uint32_t u32_at(const uint8_t *bytes)
{
	uint32_t v;
	memcpy(&v, bytes, sizeof(v));
	return v;
}

static uint64_t u64_at(const uint8_t *bytes)
{
	uint64_t v;
	memcpy(&v, bytes, sizeof(v));
	return v;
}

void store_pages_table(const uint8_t bytes[STORE_TABLE_SIZE], struct store_table *out)
{
	out->pad = u32_at(bytes);
	out->flags = u16_at(bytes + 4);
	out->depth = u16_at(bytes + 6);
	out->branch_pages = u64_at(bytes + 8);
	out->leaf_pages = u64_at(bytes + 16);
	out->overflow_pages = u64_at(bytes + 24);
	out->entries = u64_at(bytes + 32);
	out->root = u64_at(bytes + 40);
}

uint32_t store_pages_count(const uint8_t *page)
{
	return ((uint32_t)u16_at(page + 12) - STORE_PAGE_HEAD_SIZE) / 2u;
}

/* Bytes that the node at `offset` takes, 0 when it does not fit in its page. */
static uint32_t node_size(const uint8_t *page, uint32_t page_size, uint32_t offset, bool leaf)
{
	if (offset + NODE_HEAD_SIZE > page_size || offset % 2u != 0)
		return 0;
	const uint8_t *node = page + offset;
	uint16_t flags = u16_at(node + 4);
	uint64_t size = NODE_HEAD_SIZE + (uint64_t)u16_at(node + 6);
	if (leaf && (flags & ~(STORE_NODE_BIG | STORE_NODE_TABLE)) != 0)
		return 0;
	if (leaf)
		size += (flags & STORE_NODE_BIG) != 0 ? PAGE_NUMBER_SIZE : u32_at(node);
	size = (size + 1u) & ~1ull;
	return offset + size > page_size ? 0 : (uint32_t)size;
}

bool store_pages_sound(const uint8_t *page, uint32_t page_size, uint64_t number, uint16_t flags)
{
	uint32_t lower = u16_at(page + 12), upper = u16_at(page + 14);
	/* Bytes 8 and 9 are a pad that LMDB leaves as it found the memory. */
	if (u64_at(page) != number || u16_at(page + 10) != flags)
		return false;
	if (lower < STORE_PAGE_HEAD_SIZE || lower % 2u != 0 || upper < lower || upper > page_size)
		return false;
	/* Nodes fill the page from `upper` to its end without holes, so two that overlap make the sum too large. */
	uint64_t sum = 0;
	for (uint32_t i = 0; i < store_pages_count(page); i++) {
		uint32_t offset = u16_at(page + STORE_PAGE_HEAD_SIZE + 2u * i);
		uint32_t size = offset < upper ? 0 : node_size(page, page_size, offset, flags == STORE_PAGE_LEAF);
		if (size == 0)
			return false;
		sum += size;
	}
	return sum == page_size - upper;
}

void store_pages_node(const uint8_t *page, uint32_t at, struct store_node *out)
{
	const uint8_t *node = page + u16_at(page + STORE_PAGE_HEAD_SIZE + 2u * at);
	out->flags = u16_at(node + 4);
	out->key = KW_VIEW(node + NODE_HEAD_SIZE, u16_at(node + 6));
	out->value_size = u32_at(node);
	out->value = out->key.data + out->key.size;
	out->child = (uint64_t)u32_at(node) | (uint64_t)out->flags << 32;
}
