#ifndef BROKER_STORE_PAGES_H
#define BROKER_STORE_PAGES_H

#include "broker/shell/store_inner.h"

/* The form of LMDB 0.9's file on a 64-bit little-endian machine (struct MDB_page, MDB_node, MDB_db and MDB_meta of its
 * mdb.c), read from plain buffers with every offset checked. Nothing here maps the file. */

#define STORE_PAGE_HEAD_SIZE 16u
#define STORE_PAGE_SIZE_MAX 65536u
#define STORE_PAGE_BRANCH 0x01u
#define STORE_PAGE_LEAF 0x02u
#define STORE_PAGE_OVERFLOW 0x04u
#define STORE_PAGE_META 0x08u
#define STORE_NODE_BIG 0x01u   /* the value lies in overflow pages; the node has the first one's number */
#define STORE_NODE_TABLE 0x02u /* the value is the record of a table */
#define STORE_PAGES_NONE UINT64_MAX
#define STORE_TABLE_SIZE 48u

/* One B-tree: struct MDB_db. */
struct store_table {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	uint64_t branch_pages;
	uint64_t leaf_pages;
	uint64_t overflow_pages;
	uint64_t entries;
	uint64_t root; /* STORE_PAGES_NONE when empty */
};

struct store_node {
	uint16_t flags;
	struct kw_view key;
	uint64_t child;      /* branch */
	uint32_t value_size; /* leaf */
	const uint8_t *value;
};

void store_pages_table(const uint8_t bytes[STORE_TABLE_SIZE], struct store_table *out);

/* Head, node offsets and the sum of the nodes of a branch or leaf page; `flags` is what it must be. */
bool store_pages_sound(const uint8_t *page, uint32_t page_size, uint64_t number, uint16_t flags);
uint32_t store_pages_count(const uint8_t *page);
/* Node `at` of a sound page. */
void store_pages_node(const uint8_t *page, uint32_t at, struct store_node *out);

#endif
