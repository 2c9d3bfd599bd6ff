#ifndef BROKER_LINKAGE_ROWS_H
#define BROKER_LINKAGE_ROWS_H

#include "broker/core/linkage_index.h"
#include "proto/base/bytes.h"

/* Linkage records as a store keeps them: blocks of 1..BRK_LINKAGE_ROWS_MAX rows, big-endian, each block with a checksum of its
 * own, so that damage costs one block and is known. One record has one encoding.
 *
 *   offset  size
 *   0       4     "KWLR"
 *   4       4     CRC-32C of all that follows
 *   8       1     version, 1
 *   9       1     arity      of the encoding that the codes are of
 *   10      1     quantum
 *   11      1     0
 *   12      2     filter bits
 *   14      2     rows
 *   16      234   each row:
 *     0     8       insertion number, not 0
 *     8     16      handle, not zero
 *     24    4       epoch
 *     28    4       scope
 *     32    4       owner
 *     36    4       expiry hour
 *     40    1       kind
 *     41    1       size class
 *     42    192     code
 *
 * Rows that one bucket of the index holds are best put side by side: they are then loaded side by side. */

#define BRK_LINKAGE_ROWS_MAX 256u
#define BRK_LINKAGE_ROWS_HEAD_SIZE 16u
#define BRK_LINKAGE_ROW_SIZE (42u + BRK_LINKAGE_CODE_SIZE)
#define BRK_LINKAGE_ROWS_SIZE_MAX (BRK_LINKAGE_ROWS_HEAD_SIZE + BRK_LINKAGE_ROWS_MAX * BRK_LINKAGE_ROW_SIZE)
#define BRK_LINKAGE_ROWS_VERSION 1u

struct brk_linkage_row {
	uint64_t number;
	struct brk_linkage_record record;
};

/* A block being written: into `out`, of BRK_LINKAGE_ROWS_SIZE_MAX bytes, lent. */
struct brk_linkage_rows_writer {
	struct brk_linkage_params params;
	uint8_t *out;
	uint32_t count;
};

void brk_linkage_rows_begin(struct brk_linkage_rows_writer *writer, const struct brk_linkage_params *params, uint8_t *out);
/* KW_EFULL: the block has BRK_LINKAGE_ROWS_MAX. KW_EFIELD: a row that no reader would take. */
KW_MUST_USE enum kw_err brk_linkage_rows_add(struct brk_linkage_rows_writer *writer, const struct brk_linkage_row *row);
/* Completes the block, which has a row at least; returns its bytes, a view of `out`. */
struct kw_view brk_linkage_rows_end(struct brk_linkage_rows_writer *writer);

/* A block being read; borrows its bytes. */
struct brk_linkage_rows {
	struct kw_view rows;
	struct brk_linkage_params params;
	uint32_t count;
};

/* Looks at the head, the size and the checksum.
 *   KW_EFORMAT   no block, or cut off
 *   KW_ECORRUPT  the checksum
 *   KW_EVERSION  a later version
 *   KW_EFIELD    parameters, count, or a byte that has to be 0 */
KW_MUST_USE enum kw_err brk_linkage_rows_open(struct kw_view block, struct brk_linkage_rows *rows);
/* Row `at`, 0..count - 1. KW_EFIELD: a number, handle, kind or class out of range. */
KW_MUST_USE enum kw_err brk_linkage_rows_read(const struct brk_linkage_rows *rows, uint32_t at, struct brk_linkage_row *row);

struct brk_linkage_loaded {
	uint32_t count;
	uint32_t refused; /* rows that the index would not take, or that could not be read */
	enum kw_err err;  /* of the first refused */
};

/* Opens a block and loads its rows; one that is refused does not keep others out. KW_EVERSION also when the block's
 * parameters are not the index's: these codes cannot be compared. */
KW_MUST_USE enum kw_err brk_linkage_rows_load(struct brk_linkage_index *index, struct kw_view block,
	struct brk_linkage_loaded *loaded);

#endif
