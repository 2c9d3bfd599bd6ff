#include "proto/wire/arena.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/base/bytes.h"

#define CHUNK_SIZE 8192u /* holds a usual referral whole */

struct kw_arena_chunk {
	struct kw_arena_chunk *next;
	size_t cap;
	size_t used;
	_Alignas(max_align_t) uint8_t bytes[];
};

static void *alloc_for_protobuf(void *arena, size_t size)
{
	return kw_arena_take(arena, size);
}

static void free_for_protobuf(void *arena, void *pointer)
{
	(void)arena; /* everything goes at fini */
	(void)pointer;
}

void kw_arena_init(struct kw_arena *arena, size_t size_max)
{
	*arena = (struct kw_arena){.size_max = size_max};
	arena->allocator = (ProtobufCAllocator){
		.alloc = alloc_for_protobuf, .free = free_for_protobuf, .allocator_data = arena};
}

void kw_arena_fini(struct kw_arena *arena)
{
	if (arena == NULL)
		return;
	for (struct kw_arena_chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
		next = chunk->next;
		kw_wipe(chunk->bytes, chunk->used);
		free(chunk);
	}
	arena->chunks = NULL;
	arena->used = 0;
	arena->refused = false;
}

static struct kw_arena_chunk *add_chunk(struct kw_arena *arena, size_t size)
{
	size_t cap = size > CHUNK_SIZE ? size : CHUNK_SIZE;
	if (cap > arena->size_max - arena->used)
		cap = size;
	if (cap > arena->size_max - arena->used)
		return NULL;
	struct kw_arena_chunk *chunk = malloc(sizeof(*chunk) + cap);
	if (chunk == NULL)
		return NULL;
	chunk->next = arena->chunks;
	chunk->cap = cap;
	chunk->used = 0;
	arena->chunks = chunk;
	arena->used += cap;
	return chunk;
}

void *kw_arena_take(struct kw_arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct kw_arena_chunk *chunk = arena->chunks;
	if (size > arena->size_max) {
		arena->refused = true;
		return NULL;
	}
	/* Zero bytes still need a pointer that is not NULL. */
	size = size > 0 ? (size + align - 1) / align * align : align;
	if (chunk == NULL || size > chunk->cap - chunk->used)
		chunk = add_chunk(arena, size);
	if (chunk == NULL) {
		arena->refused = true;
		return NULL;
	}
	void *out = chunk->bytes + chunk->used;
	chunk->used += size;
	return out;
}
