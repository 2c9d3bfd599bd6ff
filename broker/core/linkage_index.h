#ifndef BROKER_LINKAGE_INDEX_H
#define BROKER_LINKAGE_INDEX_H

#include "broker/core/linkage_kernel.h"
#include "broker/core/linkage_score.h"
#include "proto/base/id.h"

/* The hub's index of linkage records: all that are live, in memory, for exact search (linkage_scan.h).
 *
 * Records of one epoch and scope form a partition; in it those of one kind and size class form a bucket, a chain of segments
 * of which all but the last are full. A record that goes is replaced by the last of its bucket, so there are no holes to read
 * past and each change costs the same, whatever the index holds. A search under way hears of each change and needs not stop.
 *
 * Pure: memory is handed in, time comes with each call. One thread at a time may change an index, and none may search it
 * meanwhile; several may search one that nobody changes, each with a scan of its own. */

#define BRK_LINKAGE_RECORDS_MAX 16777216u
#define BRK_LINKAGE_PARTITIONS_MAX 1024u
#define BRK_LINKAGE_SCANS_MAX 4u
#define BRK_LINKAGE_NEVER UINT32_MAX /* as an hour */

/* Records of a segment: memory is given to a bucket in such pieces, 192 KiB of codes. With pieces of a quarter of that, a
 * search by one query took a seventh longer, for what the processor fetches ahead at each end in vain. */
#define BRK_LINKAGE_SEGMENT 1024u
/* Segments for each partition over what full ones would take, for those that its buckets have begun; for all partitions
 * together at least one for each bucket of one. So an index of one partition always takes records_max, and one of many may be
 * full before when sizes are spread wide in each. */
#define BRK_LINKAGE_SPARE_SEGMENTS 32u

enum brk_linkage_kind {
	BRK_LINKAGE_REGISTRATION,
	BRK_LINKAGE_TRACING,
	BRK_LINKAGE_KIND_COUNT
};

struct brk_linkage_record {
	struct kw_id handle;  /* random; not zero */
	uint32_t epoch;
	uint32_t scope;
	uint32_t owner;       /* the agency, as the caller numbers them; it alone may change or withdraw the record */
	uint32_t expiry_hour; /* found by no query of that hour or later; BRK_LINKAGE_NEVER */
	uint8_t kind;         /* enum brk_linkage_kind */
	uint8_t size_class;
	uint8_t code[BRK_LINKAGE_CODE_SIZE];
};

struct brk_linkage_limits {
	uint32_t records_max;    /* 1..BRK_LINKAGE_RECORDS_MAX */
	uint32_t partitions_max; /* 1..BRK_LINKAGE_PARTITIONS_MAX: (epoch, scope) pairs with live records */
};

struct brk_linkage_slot {
	struct kw_id handle;
	uint64_t number;      /* of the insertion; 0: free */
	uint32_t expiry_hour;
	uint32_t owner;
};

struct brk_linkage_segment {
	uint64_t number_min;  /* no record has a lower one; may be lower than any */
	uint32_t expiry_min;  /* likewise */
	uint32_t bucket;
	uint32_t count;
	uint32_t before;      /* in its bucket; BRK_LINKAGE_NONE */
	uint32_t after;       /* likewise; of a free one, the next free one */
};

struct brk_linkage_bucket {
	uint32_t first;       /* segments, or BRK_LINKAGE_NONE */
	uint32_t last;
};

#define BRK_LINKAGE_NONE UINT32_MAX
#define BRK_LINKAGE_BUCKETS (BRK_LINKAGE_KIND_COUNT * (BRK_LINKAGE_CLASS_MAX + 1u))

struct brk_linkage_partition {
	uint32_t epoch;
	uint32_t scope;
	uint32_t count;       /* of records */
	uint32_t pins;        /* of searches under way: it is not given to another epoch and scope */
	struct brk_linkage_bucket buckets[BRK_LINKAGE_BUCKETS]; /* by kind, then class */
};

/* Where a handle's record is: the home of an entry is told by its tag, so that moving entries reads no handles. */
struct brk_linkage_entry {
	uint32_t tag;
	uint32_t slot_next; /* slot + 1; 0: free */
};

struct brk_linkage_scan;

struct brk_linkage_index {
	struct brk_linkage_limits limits;
	struct brk_linkage_score score;
	const struct brk_linkage_kernel *kernel;
	uint64_t key[2];
	uint64_t *codes;
	struct brk_linkage_slot *slots;
	struct brk_linkage_entry *entries;
	struct brk_linkage_segment *segments;
	struct brk_linkage_partition *partitions;
	uint32_t entry_count;
	uint32_t segment_count;
	uint32_t segments_used;   /* ever taken: what lies above was never touched */
	uint32_t segment_free;    /* a chain */
	uint32_t partitions_used;
	uint32_t partition_at;    /* the last one asked for */
	uint32_t count;           /* live records */
	uint32_t sweep_at;
	uint64_t number_next;
	struct brk_linkage_scan *scans[BRK_LINKAGE_SCANS_MAX];
};

struct brk_linkage_config {
	struct brk_linkage_limits limits;
	struct brk_linkage_params params;
	const struct brk_linkage_kernel *kernel; /* brk_linkage_kernel_best() */
	uint64_t key[2];                         /* random and secret: places handles that agencies choose */
};

/* Bytes of memory for such limits. KW_EFIELD: a limit is 0 or over its maximum. */
KW_MUST_USE enum kw_err brk_linkage_index_size(const struct brk_linkage_limits *limits, uint64_t *size);

/* An empty index.
 *   memory  brk_linkage_index_size() bytes, all zero, aligned to 64; lent until the index is forgotten. Only what records
 *           need is touched, so pages fresh from the kernel cost nothing before. Huge pages make searches a tenth faster.
 * KW_EFIELD  limits or params */
KW_MUST_USE enum kw_err brk_linkage_index_init(struct brk_linkage_index *index, const struct brk_linkage_config *config,
	void *memory);

/* Inserts a record, or changes the one of this handle, which counts as new among equals unless only its expiry changes.
 * Bounded: some microseconds, and a comparison for each query under way in its partition.
 *   KW_EFIELD   handle, kind or class
 *   KW_EDENIED  the handle is another owner's
 *   KW_EFULL    records_max, partitions_max or segments; the old record stays */
KW_MUST_USE enum kw_err brk_linkage_index_put(struct brk_linkage_index *index, const struct brk_linkage_record *record,
	uint64_t *number);

/* Inserts a record with the number that it had: from stored rows, in any order. KW_EFIELD also for a number of 0, KW_EEXIST
 * for a handle that is there. */
KW_MUST_USE enum kw_err brk_linkage_index_load(struct brk_linkage_index *index, const struct brk_linkage_record *record,
	uint64_t number);
/* Says that this handle will be loaded soon: its place is fetched into the cache. */
void brk_linkage_index_expect(const struct brk_linkage_index *index, const struct kw_id *handle);

/* KW_ENOTFOUND; KW_EDENIED: another owner's. No byte of the record is left behind. */
KW_MUST_USE enum kw_err brk_linkage_index_withdraw(struct brk_linkage_index *index, const struct kw_id *handle,
	uint32_t owner);

/* KW_ENOTFOUND */
KW_MUST_USE enum kw_err brk_linkage_index_get(const struct brk_linkage_index *index, const struct kw_id *handle,
	struct brk_linkage_record *record, uint64_t *number);

/* One slice of the search for what is over: records that expired and those of old epochs. */
struct brk_linkage_sweep {
	uint32_t now_hour;
	uint32_t epoch_min;   /* older ones go */
	uint32_t budget;      /* looks at so many records or segments at most; 1.. */
	uint32_t gone_max;    /* stops when so many went; 1.. */
	struct kw_id *gone;   /* gone_max handles; written up to gone_count */
	uint32_t gone_count;
	bool done;            /* the round is complete: the next call begins another */
};
void brk_linkage_index_sweep(struct brk_linkage_index *index, struct brk_linkage_sweep *sweep);

/* For linkage_scan.c and tests. */
uint32_t brk_linkage_index_partition(const struct brk_linkage_index *index, uint32_t epoch, uint32_t scope);
void brk_linkage_index_code(const struct brk_linkage_index *index, uint32_t slot, uint64_t code[BRK_LINKAGE_CODE_WORDS]);

static inline uint32_t brk_linkage_bucket_kind(uint32_t bucket)
{
	return bucket / (BRK_LINKAGE_CLASS_MAX + 1u) % BRK_LINKAGE_KIND_COUNT;
}

static inline uint32_t brk_linkage_bucket_class(uint32_t bucket)
{
	return bucket % (BRK_LINKAGE_CLASS_MAX + 1u);
}

#endif
