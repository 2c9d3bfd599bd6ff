#ifndef BROKER_LINKAGE_SCAN_H
#define BROKER_LINKAGE_SCAN_H

#include "broker/core/linkage_index.h"

/* Searches of an index. Queries wait; a pass takes up to BRK_LINKAGE_BATCH_MAX of one epoch and scope over all records of
 * their partition, in slices, and gives each the k best: by score, and among equals by the lower insertion number.
 *
 * An answer is exact for the records that are live when its pass ends. Records that come or move during a pass are compared
 * at once, and one that goes is taken out of every list; a list keeps BRK_LINKAGE_MORE more than was asked for, and a query
 * that loses more than these is searched again.
 *
 * What bounds by size class leave out (linkage_score.h) is not read: a pass first looks at some records of its first query's
 * class, which gives bounds to begin with, and then goes through all in order. Every other pass runs backwards, so that it
 * begins with what the cache still holds. */

#define BRK_LINKAGE_BATCH_MAX 32u
#define BRK_LINKAGE_WAITING_MAX 256u
#define BRK_LINKAGE_K_MAX 256u
#define BRK_LINKAGE_MORE 8u
#define BRK_LINKAGE_FIRST_LOOK 128u /* records */
#define BRK_LINKAGE_ROUNDS_MAX 4u /* passes for one query; then it is answered with what is known, and says so */

struct brk_linkage_query {
	uint64_t ticket;      /* the caller's; comes back with the answer */
	struct kw_id self;    /* a handle that is not to be found; zero: none */
	uint32_t epoch;
	uint32_t scope;
	uint32_t now_hour;
	uint32_t least;       /* the lowest score worth telling, 1..BRK_LINKAGE_SCORE_ONE */
	uint32_t skip_owner;  /* finds no record of this one; BRK_LINKAGE_NONE: finds all */
	uint16_t k;           /* 1..BRK_LINKAGE_K_MAX */
	uint8_t kinds;        /* bits 1 << enum brk_linkage_kind; not 0 */
	uint8_t size_class;
	uint8_t code[BRK_LINKAGE_CODE_SIZE];
};

struct brk_linkage_found {
	uint64_t number;
	struct kw_id handle;
	uint32_t owner;
	uint32_t score;
	uint16_t distance;
	uint8_t kind;
	uint8_t size_class;
};

struct brk_linkage_answer {
	uint64_t ticket;
	const struct brk_linkage_found *found; /* best first */
	uint32_t count;
	bool exact;          /* false: too many of the best were withdrawn while it was searched for */
};

/* A query under way. */
struct brk_linkage_seek {
	struct brk_linkage_query query;
	uint64_t code[BRK_LINKAGE_CODE_WORDS];
	uint32_t count;
	uint32_t lost;       /* left the list because they were withdrawn */
	uint32_t rounds;
	uint32_t below;      /* of the present bucket: what would enter the list, */
	uint32_t below_tie;  /* and what would if its number were the lowest */
	bool full;           /* was, at some time: others may have been turned away */
	bool stale;          /* below and below_tie are to be found anew */
	bool again;          /* it waits for another pass */
	struct brk_linkage_found found[BRK_LINKAGE_K_MAX + BRK_LINKAGE_MORE];
};

struct brk_linkage_waiting {
	struct brk_linkage_query query;
	uint32_t rounds; /* passes it has had */
};

/* About 850 KiB. */
struct brk_linkage_scan {
	struct brk_linkage_index *index;
	uint32_t partition;      /* of the pass; BRK_LINKAGE_NONE: no pass */
	uint32_t seek_count;     /* of the pass, or answers that wait to be taken */
	uint32_t answered;       /* taken so far */
	uint32_t bucket;         /* the present one, or of the pass's first look */
	uint32_t buckets_begun;
	uint32_t segment;        /* the next to look at; BRK_LINKAGE_NONE: the bucket is over */
	bool backwards;
	bool done;               /* the pass is over: answers wait */
	uint32_t waiting_count;
	uint64_t passes;         /* since init */
	uint64_t looked;         /* records read, since init; once for all queries of a pass */
	struct brk_linkage_seek seeks[BRK_LINKAGE_BATCH_MAX];
	struct brk_linkage_waiting waiting[BRK_LINKAGE_WAITING_MAX + BRK_LINKAGE_BATCH_MAX]; /* the latter search again */
	struct brk_linkage_probe probes[BRK_LINKAGE_BATCH_MAX];
	struct brk_linkage_hit hits[BRK_LINKAGE_SEGMENT * BRK_LINKAGE_BATCH_MAX];
};

/* Attaches a scan to an index. KW_EFULL: it has BRK_LINKAGE_SCANS_MAX. */
KW_MUST_USE enum kw_err brk_linkage_scan_init(struct brk_linkage_scan *scan, struct brk_linkage_index *index);
/* Detaches it and wipes what it knows of records. Accepts a zeroed one. */
void brk_linkage_scan_fini(struct brk_linkage_scan *scan);

/* Lets a query wait. KW_EFIELD: k, kinds, class or least. KW_EBUSY: BRK_LINKAGE_WAITING_MAX wait already. */
KW_MUST_USE enum kw_err brk_linkage_scan_ask(struct brk_linkage_scan *scan, const struct brk_linkage_query *query);

/* Works on the present pass, or begins the next, until about `budget` records were read: at most a segment more. Returns
 * whether a further step has something to do; false as well while answers wait to be taken. */
bool brk_linkage_scan_step(struct brk_linkage_scan *scan, uint32_t budget);

/* The next answer, in the order of asking within a pass. False: none waits. Its list is valid until the next step. */
bool brk_linkage_scan_answer(struct brk_linkage_scan *scan, struct brk_linkage_answer *answer);

/* From the index, when it changes during a pass. */
void brk_linkage_scan_came(struct brk_linkage_scan *scan, uint32_t slot);
void brk_linkage_scan_went(struct brk_linkage_scan *scan, const struct kw_id *handle);
void brk_linkage_scan_freed(struct brk_linkage_scan *scan, uint32_t segment);

#endif
