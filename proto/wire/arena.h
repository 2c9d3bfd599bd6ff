#ifndef KW_WIRE_ARENA_H
#define KW_WIRE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "proto/base/err.h"

/* Memory for one unpacked message: bounded, given back and wiped all at once, because what is unpacked is personal.
 * Pass &arena.allocator to protobuf-c; never call a generated free_unpacked on what came from here. */

struct kw_arena_chunk;

struct kw_arena {
	ProtobufCAllocator allocator; /* points back at this struct, so it may not be moved or copied */
	struct kw_arena_chunk *chunks;
	size_t used;     /* bytes of all chunks */
	size_t size_max; /* more is refused: protobuf-c then fails to unpack */
	bool refused;    /* a request was over the limit or the system had no memory */
};

/* An empty arena of up to size_max bytes. Allocates nothing yet. */
void kw_arena_init(struct kw_arena *arena, size_t size_max);
/* Wipes and frees everything; the arena is empty and usable afterwards. Accepts NULL and a zeroed struct. */
void kw_arena_fini(struct kw_arena *arena);
/* `size` bytes, aligned for any type, not cleared; NULL when that would pass size_max. Lives until fini. */
void *kw_arena_take(struct kw_arena *arena, size_t size);

#endif
