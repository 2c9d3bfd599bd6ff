#ifndef KW_WIRE_BLOB_PACE_H
#define KW_WIRE_BLOB_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* How much of a blob its taker lets be under way: what the link carries in half a second and one round trip, at the rate
 * measured so far. So whatever buffers lie between (kernels, modems, proxies), a message that is sent now waits about half
 * a second behind a photo, on a slow link too; and a link that is fast or long is filled, because a window that is too
 * small for it grows with each round by that same half second. */

#define KW_BLOB_WINDOW_MIN 2048u
#define KW_BLOB_WINDOW_FIRST 4096u
#define KW_BLOB_WINDOW_MAX (1u << 20)
#define KW_BLOB_SLICE_MS 500u
/* A round trip longer than this is somebody's slow disk: not counted further. */
#define KW_BLOB_ROUND_MS_MAX 2000u

struct kw_blob_pace {
	uint32_t window;   /* bytes that may be under way */
	uint32_t round_ms; /* least time from asking to the first byte; UINT32_MAX: not measured yet */
	uint64_t asked_ms; /* when we asked with nothing under way; valid while `waiting` */
	bool waiting;
	uint64_t mark_ms;  /* begin of the present measurement */
	uint32_t bytes;    /* in it */
};

/* Under a window that is all under way, asking waits until a quarter of it has come: asking later would leave a long link
 * empty, asking more often costs frames. */
#define KW_BLOB_ASK_PART 4u
/* Pieces of a range are a quarter of it, because what has come counts only when its piece is whole. */
#define KW_BLOB_PIECE_PART 4u
#define KW_BLOB_PIECE_MIN 2048u

void kw_blob_pace_begin(struct kw_blob_pace *pace);
/* We asked; idle: nothing was under way. Times are monotonic. */
void kw_blob_pace_asked(struct kw_blob_pace *pace, bool idle, uint64_t now_ms);
/* Bytes came; changes the window. */
void kw_blob_pace_got(struct kw_blob_pace *pace, uint32_t bytes, uint64_t now_ms);
/* How much to ask for, given what is under way and what is left of the blob; 0: nothing now. */
uint32_t kw_blob_pace_ask(const struct kw_blob_pace *pace, uint32_t under_way, uint32_t left);
/* The giver's side: the size of pieces for a range of this size. */
uint32_t kw_blob_pace_piece(uint32_t range);

#endif
