#ifndef KW_WIRE_ENROLMENT_H
#define KW_WIRE_ENROLMENT_H

#include "proto/wire/enrol.h"

/* What a hub remembers of one code, and how it judges who comes with it. Pure: the caller brings the time, the file and the lock.
 *
 *   waiting ─ request with the right proof ─→ asked ─ a second person ─→ approved ─ the broker ─→ done
 *      │  └─ 72 hours ─→ expired                │
 *      └──── KW_ENROL_TRIES_MAX wrong proofs ───┴─→ burnt          a person ─→ refused, from each of the first three
 *
 * Only one request claims a code. Another one with the right proof is an alarm: somebody has the code who should not. */

#define KW_ENROL_TRIES_MAX 5u
/* Name of the person who made a code or approved. */
#define KW_ENROL_BY_SIZE_MAX 64u

enum kw_enrolment_state {
	KW_ENROLMENT_WAITING,
	KW_ENROLMENT_ASKED,
	KW_ENROLMENT_APPROVED,
	KW_ENROLMENT_DONE,
	KW_ENROLMENT_EXPIRED,
	KW_ENROLMENT_BURNT,
	KW_ENROLMENT_REFUSED,
	KW_ENROLMENT_STATE_COUNT
};
/* "waiting"…; static storage. */
const char *kw_enrolment_state_name(enum kw_enrolment_state state);

/* Times are seconds since 1970; 0: not yet. */
struct kw_enrolment {
	uint8_t id[KW_ENROL_ID_SIZE]; /* the name of its file */
	struct kw_name agency;
	enum kw_enrolment_state state;
	struct kw_digest key;         /* of the code */
	char made_by[KW_ENROL_BY_SIZE_MAX + 1];
	int64_t made_s;
	int64_t expires_s;            /* the last second in which the code can be used */
	uint32_t tries;               /* wrong proofs */
	struct kw_buf ask;            /* EnrolAsk that claimed the code */
	char phrase[KW_ENROL_PHRASE_SIZE]; /* of ask */
	int64_t asked_s;
	uint32_t alarms;              /* other requests with the right proof */
	char alarm_phrase[KW_ENROL_PHRASE_SIZE]; /* of the last one */
	int64_t alarm_s;
	char decided_by[KW_ENROL_BY_SIZE_MAX + 1]; /* who approved or refused */
	int64_t decided_s;
	bool alone;                   /* approved by who made it, knowingly */
	struct kw_buf reply;          /* EnrolReply, when done */
};

/* Wipes. An empty one is made by zeroes. */
void kw_enrolment_fini(struct kw_enrolment *enrolment);
/* As lines of text, "name value", with a version on the first. KW_ENOMEM, KW_ETOOBIG. */
KW_MUST_USE enum kw_err kw_enrolment_format(const struct kw_enrolment *enrolment, struct kw_buf *out);
/* Finish *out, whose id is set, also after a failure. KW_EFORMAT; KW_EVERSION: of another version. */
KW_MUST_USE enum kw_err kw_enrolment_parse(struct kw_view text, struct kw_enrolment *out);

/* A person's name: 1..KW_ENROL_BY_SIZE_MAX bytes without control characters, not blank at either end. */
bool kw_enrolment_by_good(const char *by);
/* The same person? Case does not count. */
bool kw_enrolment_by_equal(const char *a, const char *b);

/* Somebody comes. */
struct kw_enrolment_visit {
	const struct kw_enrol_ask *ask;
	struct kw_view bytes;                     /* the same, encoded */
	const struct kw_digest *binding;          /* NULL: by file, where a wrong proof is damage and does not count */
	const struct kw_digest *root_fingerprint;
	int64_t now_s;
	bool exists;                              /* the directory has the agency */
};
struct kw_enrolment_verdict {
	enum kw_enrol_phase phase; /* on KW_OK; 0: done, and the reply is in the enrolment */
	bool changed;              /* to be stored before anything is answered, after KW_EAUTH too */
	bool alarm;
};
/* KW_EAUTH  the proof is wrong, whatever the state; KW_ENOMEM, KW_ECRYPTO: nothing changed */
KW_MUST_USE enum kw_err kw_enrolment_visit(struct kw_enrolment *enrolment, const struct kw_enrolment_visit *visit,
	struct kw_enrolment_verdict *out);

#endif
