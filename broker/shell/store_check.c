#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/shell/store_pages.h"

/* Looks at the data file before LMDB maps it: LMDB believes every page, so that one flipped bit in a page's head or a cut
 * file is a crash, or a page used twice. The walk goes
 *
 *   meta pages → free list → list of tables → each table, root to leaves → the tail of the file
 *
 * and demands that each page is what its parent says, is used once, and that keys rise. Rows are not looked at: they
 * carry checksums. A table with more leaves than CHECK_LEAVES_MAX has its branch pages checked and its leaves only
 * counted, or a start with millions of rows would take minutes.
 *
 * A file may end before its last page number: a page taken and given back within one transaction is never written. So a
 * file is cut only if a missing page is not on the free list. */

#define CHECK_LEAVES_MAX 65536u
#define CHECK_LEAVES_THREADS_MAX 1024u /* of threads, clocks and the audit log: a start does not read them all */
#define CHECK_DEPTH_MAX 32u
#define META_SIZE 152u
#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1u
#define TABLE_INTEGER_KEYS 0x08u
#define KEY_SIZE_MAX 511u

struct meta {
	uint32_t magic;
	uint32_t version;
	struct store_table free_list;
	struct store_table tables;
	uint64_t last_page;
	uint64_t transaction;
};

struct check {
	int fd;
	uint32_t page_size;
	uint64_t file_pages;
	uint64_t last_page;
	uint8_t *used; /* a bit for each page number */
	uint64_t leaves_max; /* of the table that is walked */
	enum kw_err err;
	void (*leaf)(struct check *check, const struct store_node *node);
};

/* One table's walk. */
struct walk {
	struct check *check;
	const struct store_table *table;
	bool leaves;
	uint64_t branch_pages;
	uint64_t leaf_pages;
	uint64_t overflow_pages;
	uint64_t entries;
	uint8_t *pages; /* a buffer for each level */
	uint8_t key[KEY_SIZE_MAX];
	size_t key_size;
	bool key_set;
};

static bool fail(struct check *check, enum kw_err err)
{
	if (check->err == KW_OK)
		check->err = err;
	return false;
}

static bool read_at(struct check *check, uint64_t page, uint8_t *out, size_t size)
{
	ssize_t got = pread(check->fd, out, size, (off_t)(page * check->page_size));
	if (got < 0)
		return fail(check, KW_EIO);
	return (size_t)got == size || fail(check, KW_ECORRUPT);
}

/* Marks pages as used; false when one is out of range or used already. */
static bool claim(struct check *check, uint64_t first, uint64_t count)
{
	if (first < 2 || count == 0 || first > check->last_page || count > check->last_page - first + 1)
		return fail(check, KW_ECORRUPT);
	for (uint64_t page = first; page < first + count; page++) {
		uint8_t bit = (uint8_t)(1u << (page % 8u));
		if ((check->used[page / 8u] & bit) != 0)
			return fail(check, KW_ECORRUPT);
		check->used[page / 8u] |= bit;
	}
	return true;
}

static int compare(const struct walk *walk, struct kw_view key)
{
	if ((walk->table->flags & TABLE_INTEGER_KEYS) != 0) {
		uint64_t a = 0, b = 0;
		memcpy(&a, walk->key, sizeof(a));
		memcpy(&b, key.data, sizeof(b));
		return (a > b) - (a < b);
	}
	size_t size = walk->key_size < key.size ? walk->key_size : key.size;
	int order = memcmp(walk->key, key.data, size);
	return order != 0 ? order : (walk->key_size > key.size) - (walk->key_size < key.size);
}

/* Keys rise from leaf to leaf; what separates two children may equal the first key of the right one. */
static bool key_rises(struct walk *walk, struct kw_view key, bool *separator)
{
	bool integer = (walk->table->flags & TABLE_INTEGER_KEYS) != 0;
	if (key.size == 0 || key.size > KEY_SIZE_MAX || (integer && key.size != sizeof(uint64_t)))
		return fail(walk->check, KW_ECORRUPT);
	if (walk->key_set) {
		int order = compare(walk, key);
		if (order > 0 || (order == 0 && !*separator))
			return fail(walk->check, KW_ECORRUPT);
	}
	memcpy(walk->key, key.data, key.size);
	walk->key_size = key.size;
	walk->key_set = true;
	*separator = false;
	return true;
}

static bool walk_overflow(struct walk *walk, const struct store_node *node)
{
	struct check *check = walk->check;
	uint8_t head[STORE_PAGE_HEAD_SIZE];
	uint64_t first, number;
	uint16_t flags;
	uint32_t pages;
	memcpy(&first, node->value, sizeof(first));
	if (first > check->last_page || !read_at(check, first, head, sizeof(head)))
		return fail(check, KW_ECORRUPT);
	memcpy(&number, head, sizeof(number));
	memcpy(&flags, head + 10, sizeof(flags));
	memcpy(&pages, head + 12, sizeof(pages));
	uint64_t needed = (STORE_PAGE_HEAD_SIZE - 1u + (uint64_t)node->value_size) / check->page_size + 1u;
	if (number != first || flags != STORE_PAGE_OVERFLOW || pages < needed)
		return fail(check, KW_ECORRUPT);
	walk->overflow_pages += pages;
	return claim(check, first, pages);
}

static bool walk_leaf(struct walk *walk, const uint8_t *page, bool separator)
{
	struct check *check = walk->check;
	uint32_t count = store_pages_count(page);
	walk->leaf_pages++;
	walk->entries += count;
	for (uint32_t i = 0; i < count; i++) {
		struct store_node node;
		store_pages_node(page, i, &node);
		if (!key_rises(walk, node.key, &separator))
			return false;
		if ((node.flags & STORE_NODE_BIG) != 0 && !walk_overflow(walk, &node))
			return false;
		if (check->leaf != NULL)
			check->leaf(check, &node);
		else if ((node.flags & STORE_NODE_TABLE) != 0)
			return fail(check, KW_ECORRUPT);
		if (check->err != KW_OK)
			return false;
	}
	return true;
}

/* `separator`: the key in the walk is the one that the parent has for this page. */
static bool walk_page(struct walk *walk, uint64_t number, uint32_t level, bool separator)
{
	struct check *check = walk->check;
	bool leaf = level + 1u == walk->table->depth;
	uint8_t *page = walk->pages + (size_t)level * check->page_size;
	if (!claim(check, number, 1))
		return false;
	if (leaf && !walk->leaves) {
		walk->leaf_pages++;
		/* The head of a page that is not written yet would be missing at the end of a cut file. */
		return number < check->file_pages || fail(check, KW_ECORRUPT);
	}
	if (!read_at(check, number, page, check->page_size))
		return false;
	if (!store_pages_sound(page, check->page_size, number, leaf ? STORE_PAGE_LEAF : STORE_PAGE_BRANCH))
		return fail(check, KW_ECORRUPT);
	if (leaf)
		return walk_leaf(walk, page, separator);
	uint32_t count = store_pages_count(page);
	walk->branch_pages++;
	for (uint32_t i = 0; i < count; i++) {
		struct store_node node;
		store_pages_node(page, i, &node);
		bool below = i == 0 ? separator : false;
		if (i > 0) {
			if (!key_rises(walk, node.key, &below))
				return false;
			below = true;
		}
		if (!walk_page(walk, node.child, level + 1u, below))
			return false;
	}
	return true;
}

static bool check_table(struct check *check, const struct store_table *table)
{
	if (table->root == STORE_PAGES_NONE)
		return (table->depth == 0 && table->entries == 0 && table->leaf_pages == 0) || fail(check, KW_ECORRUPT);
	if (table->depth == 0 || table->depth > CHECK_DEPTH_MAX)
		return fail(check, KW_ECORRUPT);
	struct walk *walk = calloc(1, sizeof(*walk));
	uint8_t *pages = malloc((size_t)table->depth * check->page_size);
	bool sound = false;
	if (walk == NULL || pages == NULL) {
		(void)fail(check, KW_ENOMEM);
	} else {
		walk->check = check;
		walk->table = table;
		walk->pages = pages;
		walk->leaves = table->leaf_pages <= check->leaves_max;
		sound = walk_page(walk, table->root, 0, false) && walk->branch_pages == table->branch_pages &&
				walk->leaf_pages == table->leaf_pages &&
				(!walk->leaves || (walk->entries == table->entries && walk->overflow_pages == table->overflow_pages));
		if (!sound)
			(void)fail(check, KW_ECORRUPT);
	}
	free(pages);
	free(walk);
	return sound;
}

/* A record of the free list: a count, then page numbers that fall. */
static void free_leaf(struct check *check, const struct store_node *node)
{
	uint8_t *copy = NULL;
	const uint8_t *list = node->value;
	uint64_t count = 0, before = UINT64_MAX, first;
	if ((node->flags & STORE_NODE_BIG) != 0) {
		memcpy(&first, node->value, sizeof(first));
		copy = malloc(node->value_size + STORE_PAGE_HEAD_SIZE);
		if (copy == NULL) {
			(void)fail(check, KW_ENOMEM);
			return;
		}
		if (!read_at(check, first, copy, node->value_size + STORE_PAGE_HEAD_SIZE))
			goto out;
		list = copy + STORE_PAGE_HEAD_SIZE;
	}
	if (node->value_size >= sizeof(count))
		memcpy(&count, list, sizeof(count));
	if (node->value_size < sizeof(count) || count > node->value_size / sizeof(count) - 1u) {
		(void)fail(check, KW_ECORRUPT);
		goto out;
	}
	for (uint64_t i = 1; i <= count; i++) {
		uint64_t page;
		memcpy(&page, list + i * sizeof(page), sizeof(page));
		if (page >= before)
			(void)fail(check, KW_ECORRUPT);
		if (page >= before || !claim(check, page, 1))
			break;
		before = page;
	}
out:
	free(copy);
}

static void table_leaf(struct check *check, const struct store_node *node)
{
	struct store_table table;
	if (node->flags != STORE_NODE_TABLE || node->value_size != STORE_TABLE_SIZE) {
		(void)fail(check, KW_ECORRUPT);
		return;
	}
	store_pages_table(node->value, &table);
	static const char *const large[] = {"threads", "clocks", "leaves"};
	bool is_large = false;
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		is_large = is_large || kw_view_equal(node->key, kw_view_str(large[i]));
	check->leaves_max = is_large ? CHECK_LEAVES_THREADS_MAX : CHECK_LEAVES_MAX;
	check->leaf = NULL;
	if (table.flags != 0)
		(void)fail(check, KW_ECORRUPT);
	else
		(void)check_table(check, &table);
	check->leaf = table_leaf;
}

static bool check_tail(struct check *check)
{
	for (uint64_t page = check->file_pages; page <= check->last_page; page++) {
		if ((check->used[page / 8u] & (1u << (page % 8u))) == 0)
			return fail(check, KW_ECORRUPT);
	}
	return true;
}

static enum kw_err read_meta(struct check *check, uint64_t number, struct meta *out)
{
	uint8_t bytes[META_SIZE];
	uint64_t page;
	uint16_t flags;
	if (!read_at(check, number, bytes, sizeof(bytes)))
		return check->err;
	memcpy(&page, bytes, 8);
	memcpy(&flags, bytes + 10, 2);
	memcpy(&out->magic, bytes + 16, 4);
	memcpy(&out->version, bytes + 20, 4);
	store_pages_table(bytes + 40, &out->free_list);
	store_pages_table(bytes + 88, &out->tables);
	memcpy(&out->last_page, bytes + 136, 8);
	memcpy(&out->transaction, bytes + 144, 8);
	if (out->magic != META_MAGIC || page != number || flags != STORE_PAGE_META)
		return KW_ECORRUPT;
	if (out->version != META_VERSION)
		return KW_EVERSION;
	/* The free list's pad is the size of a page. */
	if (out->free_list.pad != check->page_size || out->free_list.flags != TABLE_INTEGER_KEYS || out->tables.flags != 0)
		return KW_ECORRUPT;
	return KW_OK;
}

/* The two are written in turn, so that they are one transaction apart, but in a file that had none yet. */
static const struct meta *choose_meta(const struct meta metas[2])
{
	uint64_t a = metas[0].transaction, b = metas[1].transaction;
	if (a == b)
		return a == 0 ? &metas[0] : NULL;
	const struct meta *live = b > a ? &metas[1] : &metas[0];
	uint64_t older = b > a ? a : b;
	return live->transaction - older == 1u && live->transaction % 2u == (live == &metas[1]) ? live : NULL;
}

static enum kw_err check_pages(struct check *check, const struct meta *live)
{
	check->last_page = live->last_page;
	/* A sound file misses few pages at its end; a number that asks for gigabytes of bits is not one. */
	if (live->last_page < 1 || live->last_page / 2u > check->file_pages + 65536u)
		return KW_ECORRUPT;
	check->used = calloc(1, live->last_page / 8u + 1u);
	if (check->used == NULL)
		return KW_ENOMEM;
	check->used[0] = 3u; /* the meta pages */
	check->leaves_max = CHECK_LEAVES_MAX;
	check->leaf = free_leaf;
	if (check_table(check, &live->free_list)) {
		check->leaf = table_leaf;
		if (check_table(check, &live->tables))
			(void)check_tail(check);
	}
	free(check->used);
	return check->err;
}

enum kw_err store_check_file(int fd)
{
	struct meta metas[2];
	struct stat status;
	struct check check = {.fd = fd, .page_size = (uint32_t)sysconf(_SC_PAGESIZE)};
	if (fstat(fd, &status) != 0)
		return KW_EIO;
	check.file_pages = (uint64_t)status.st_size / check.page_size;
	for (uint64_t i = 0; i < 2; i++) {
		enum kw_err err = read_meta(&check, i, &metas[i]);
		if (err != KW_OK)
			return err;
	}
	const struct meta *live = choose_meta(metas);
	return live != NULL ? check_pages(&check, live) : KW_ECORRUPT;
}
