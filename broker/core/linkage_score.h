#ifndef BROKER_LINKAGE_SCORE_H
#define BROKER_LINKAGE_SCORE_H

#include <stdbool.h>
#include <stdint.h>

/* How alike two linkage codes are, in integers alone, so that every machine gives the same order.
 *
 * An agent sets the bits of a filter of m bits, one set A of about |A| bits for a record, and sends a code of L bits, each
 * the XOR of r bits of the filter at places that only key holders know. Let D be the bits in which two filters differ and
 * d = |D| / m. A bit of the codes differs when an odd number of its r places lie in D, and for places drawn at random
 *
 *     P(differs) = (1 - (1 - 2d)^r) / 2            the piling-up lemma (Matsui 1993)
 *
 * so from h differing bits of L the hub estimates, for h < L / 2,
 *
 *     d = (1 - (1 - 2h/L)^(1/r)) / 2,   |D| = m d  and, past L / 2, where chance alone would lie, |D| = m / 2.
 *
 * With |A| + |B| - 2 |A and B| = |D|, the Dice coefficient of the filters is
 *
 *     2 |A and B| / (|A| + |B|)  =  1 - |D| / (|A| + |B|).
 *
 * |A| is not sent: its class is, floor(|A| / q), and stands for the middle of the class, (class + 1/2) q. Two sets differ
 * in at least | |A| - |B| | bits, so |D| is at least the distance of the middles less q: a bound by size that holds whatever
 * the codes say, and lets a scan leave out classes.
 *
 * The score is that coefficient in millionths; it falls as h grows, strictly where h < L / 2 and no bound holds. */

#define BRK_LINKAGE_CODE_BITS 1536u
#define BRK_LINKAGE_CODE_SIZE (BRK_LINKAGE_CODE_BITS / 8u)
#define BRK_LINKAGE_CODE_WORDS (BRK_LINKAGE_CODE_BITS / 64u)

#define BRK_LINKAGE_SCORE_ONE 1000000u
#define BRK_LINKAGE_FILTER_BITS_MAX 4096u
#define BRK_LINKAGE_ARITY_MAX 8u
#define BRK_LINKAGE_CLASS_MAX 63u /* the class of the largest filter must not be above */

/* Of one version of the encoding. */
struct brk_linkage_params {
	uint16_t filter_bits; /* m: 1..BRK_LINKAGE_FILTER_BITS_MAX */
	uint8_t arity;        /* r: 1..BRK_LINKAGE_ARITY_MAX */
	uint8_t quantum;      /* q: 1.., so that m / q <= BRK_LINKAGE_CLASS_MAX */
};

struct brk_linkage_score {
	struct brk_linkage_params params;
	uint32_t class_max;                          /* m / q */
	uint32_t differ[BRK_LINKAGE_CODE_BITS + 1u]; /* |D| by h, in 1/1024 bit */
};

bool brk_linkage_params_valid(const struct brk_linkage_params *params);

/* params: valid. */
void brk_linkage_score_init(struct brk_linkage_score *score, const struct brk_linkage_params *params);

/* 0..BRK_LINKAGE_SCORE_ONE.
 *   distance  0..BRK_LINKAGE_CODE_BITS, differing bits
 *   a, b      classes, 0..class_max */
uint32_t brk_linkage_score_of(const struct brk_linkage_score *score, uint32_t distance, uint32_t a, uint32_t b);

/* The least distance whose score is under `least`: what is nearer scores at least that. 0 when nothing does, and
 * BRK_LINKAGE_CODE_BITS + 1 when everything does. */
uint32_t brk_linkage_score_below(const struct brk_linkage_score *score, uint32_t least, uint32_t a, uint32_t b);

#endif
