/* proto/wire/frame.c, frame_field.c, frame_session.c, frame_track.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kinward/v1/frame.pb-c.h"
#include "proto/wire/frame.h"
#include "proto/wire/frame_blob.h"

#define BUF_MAX (4u * KW_FRAME_SIZE_MAX)
#define assert_ok(e) assert_int_equal(e, KW_OK)

static const uint8_t ENVELOPE[] = "an envelope, opaque here";
static const uint8_t BIG[KW_FRAME_SIZE_MAX + 1];

static struct kw_name name_of(const char *text)
{
	struct kw_name name;
	assert_ok(kw_name_from(kw_view_str(text), &name));
	return name;
}

static struct kw_frame_hello sample_hello(void)
{
	struct kw_frame_hello hello = {.version_min = 1, .version_max = 2, .features = 1ull << 63, .epoch = 0x1122334455667788,
		.clock_unix_ms = 1760000000123, .directory_version = 7};
	for (unsigned c = 0; c < KW_MSG_CLASS_COUNT; c++) {
		hello.cursors[c] = (struct kw_cursor){.epoch = UINT64_MAX - c, .sequence = UINT64_MAX - 10 * c};
		hello.credits[c] = (struct kw_credit){.messages = 100 + c, .bytes = UINT64_MAX - c};
	}
	return hello;
}

static struct kw_frame_hello sample_welcome(void)
{
	struct kw_frame_hello welcome = sample_hello();
	welcome.version_max = welcome.version_min;
	welcome.envelope_size_max = KW_ENVELOPE_SIZE_MAX;
	return welcome;
}

static struct kw_frame_ack sample_ack(void)
{
	struct kw_frame_ack ack = {.cursor_mask = 0x0a, .credit_mask = 0x05};
	ack.cursors[1] = (struct kw_cursor){.epoch = 9, .sequence = 300};
	ack.cursors[3] = (struct kw_cursor){.epoch = 10, .sequence = 1};
	ack.credits[0] = (struct kw_credit){.messages = 0, .bytes = 0};
	ack.credits[2] = (struct kw_credit){.messages = 64, .bytes = 1 << 20};
	return ack;
}

static struct kw_frame_message sample_message(void)
{
	return (struct kw_frame_message){.msg_class = KW_NORMAL, .sequence = 300, .envelope = KW_VIEW_OF(ENVELOPE)};
}

static struct kw_frame_notice sample_notice(void)
{
	return (struct kw_frame_notice){.envelope_id = {{1, 2, 3}}, .agency = name_of("agency-b"), .reason = KW_EFULL,
		.retry_after_ms = 60000};
}

/* The first two as an agent wrote them that did not say where it was. */
static struct kw_frame_track sample_track(uint8_t last)
{
	return (struct kw_frame_track){.thread_id = {{9, 8, 7, [15] = last}}, .kind = 1, .state = 3, .risk = 1,
		.present = last < 2 ? 0 : 255, .sequence = UINT32_MAX, .heard = last < 2 ? 0 : UINT32_MAX, .other_agency = name_of("agency-b")};
}

static struct kw_frame_reminder sample_reminder(void)
{
	return (struct kw_frame_reminder){.thread_id = {{9, 8, 7}}, .kind = 1, .clock = 2, .step = 150, .audience = 5, .risk = 3,
		.state = 2, .due_unix_ms = 1760000000123, .late_ms = 43200000, .agency = name_of("agency-b"),
		.other_agency = name_of("agency-a")};
}

static struct kw_frame_error sample_error(void)
{
	return (struct kw_frame_error){.code = KW_EFIELD, .scope = 3, .retryable = true, .retry_after_ms = UINT32_MAX,
		.field = "hello.version_min"};
}

static struct kw_frame_recall sample_recall(void)
{
	return (struct kw_frame_recall){.agency = {"agency-b"}, .envelope_id = {{9, 8, 7}}};
}

static struct kw_frame_unopened sample_unopened(void)
{
	return (struct kw_frame_unopened){.msg_class = KW_BULK, .sequence = 5, .envelope_id = {{9, 8, 7}}};
}

static struct kw_blob_ref sample_ref(void)
{
	struct kw_blob_ref ref = {.agency = name_of("agency-b")};
	memset(ref.digest.bytes, 0xd1, sizeof(ref.digest.bytes));
	return ref;
}

static struct kw_frame_blob_offer sample_blob_offer(void)
{
	struct kw_frame_blob_offer offer = {.ref = sample_ref(), .size = KW_BLOB_SIZE_MAX, .expiry_hour = 490000};
	memset(offer.commit.bytes, 0xc0, sizeof(offer.commit.bytes));
	return offer;
}

/* As a hub passes it on. */
static struct kw_frame_blob_offer sample_blob_passed(void)
{
	struct kw_frame_blob_offer offer = sample_blob_offer();
	offer.giver = name_of("agency-a");
	return offer;
}

static struct kw_frame_blob_want sample_blob_want(void)
{
	return (struct kw_frame_blob_want){.ref = sample_ref(), .offset = 16400 * 3, .size = 70000};
}

static struct kw_frame_blob_chunk sample_blob_chunk(void)
{
	return (struct kw_frame_blob_chunk){.ref = sample_ref(), .offset = 16400, .bytes = KW_VIEW_OF(ENVELOPE),
		.path = KW_VIEW(BIG, 2 * KW_DIGEST_SIZE)};
}

static struct kw_frame_blob_done sample_blob_done(void)
{
	return (struct kw_frame_blob_done){.ref = sample_ref(), .code = KW_EFULL, .retry_after_ms = 60000};
}

/* Each kind of frame: `make` writes the sample, `turn` parses a body and writes it again. */
struct kind {
	const char *name;
	size_t head_size;
	enum kw_err (*make)(struct kw_buf *out);
	enum kw_err (*turn)(struct kw_view body, struct kw_buf *out);
};

#define KIND(what, type) \
	static enum kw_err make_##what(struct kw_buf *out) \
	{ \
		type value = sample_##what(); \
		return kw_frame_##what##_add(out, &value); \
	} \
	static enum kw_err turn_##what(struct kw_view body, struct kw_buf *out) \
	{ \
		type value; \
		enum kw_err err = kw_frame_##what##_parse(body, &value); \
		if (err == KW_OK) \
			assert_ok(kw_frame_##what##_add(out, &value)); \
		return err; \
	}

KIND(hello, struct kw_frame_hello)
KIND(welcome, struct kw_frame_hello)
KIND(message, struct kw_frame_message)
KIND(ack, struct kw_frame_ack)
KIND(notice, struct kw_frame_notice)
KIND(error, struct kw_frame_error)
KIND(unopened, struct kw_frame_unopened)
KIND(recall, struct kw_frame_recall)
KIND(reminder, struct kw_frame_reminder)
KIND(blob_offer, struct kw_frame_blob_offer)
KIND(blob_want, struct kw_frame_blob_want)
KIND(blob_chunk, struct kw_frame_blob_chunk)
KIND(blob_done, struct kw_frame_blob_done)

static enum kw_err make_notice_message(struct kw_buf *out)
{
	struct kw_buf inner;
	kw_buf_init(&inner, 1000);
	assert_ok(make_notice(&inner));
	struct kw_frame_message message = {.msg_class = KW_CONTROL, .sequence = UINT64_MAX, .notice = kw_buf_view(&inner)};
	enum kw_err err = kw_frame_message_add(out, &message);
	kw_buf_fini(&inner);
	return err;
}

static enum kw_err make_reminder_message(struct kw_buf *out)
{
	struct kw_buf inner;
	kw_buf_init(&inner, 1000);
	assert_ok(make_reminder(&inner));
	struct kw_frame_message message = {.msg_class = KW_CONTROL, .sequence = 7, .reminder = kw_buf_view(&inner)};
	enum kw_err err = kw_frame_message_add(out, &message);
	kw_buf_fini(&inner);
	return err;
}

/* A message with `count` tracks. */
static enum kw_err tracked(struct kw_buf *out, uint32_t count)
{
	struct kw_buf tracks;
	kw_buf_init(&tracks, 10000);
	for (uint32_t i = 0; i < count; i++) {
		struct kw_frame_track track = sample_track((uint8_t)i);
		assert_ok(kw_frame_track_add(&tracks, &track));
	}
	struct kw_frame_message message = sample_message();
	message.tracks = kw_buf_view(&tracks);
	enum kw_err err = kw_frame_message_add(out, &message);
	kw_buf_fini(&tracks);
	return err;
}

static enum kw_err make_tracks_message(struct kw_buf *out)
{
	return tracked(out, 2);
}

static enum kw_err make_blob_passed(struct kw_buf *out)
{
	struct kw_frame_blob_offer offer = sample_blob_passed();
	return kw_frame_blob_offer_add(out, &offer);
}

static enum kw_err make_ping(struct kw_buf *out)
{
	return kw_frame_ping_add(out, KW_FRAME_PING, 0x0102030405060708);
}

static enum kw_err turn_ping(struct kw_view body, struct kw_buf *out)
{
	uint64_t nonce;
	enum kw_err err = kw_frame_ping_parse(body, &nonce);
	if (err == KW_OK)
		assert_ok(kw_frame_ping_add(out, KW_FRAME_PING, nonce));
	return err;
}

static enum kw_err make_goaway(struct kw_buf *out)
{
	return kw_frame_goaway_add(out, 30000);
}

static enum kw_err turn_goaway(struct kw_view body, struct kw_buf *out)
{
	uint32_t delay;
	enum kw_err err = kw_frame_goaway_parse(body, &delay);
	if (err == KW_OK)
		assert_ok(kw_frame_goaway_add(out, delay));
	return err;
}

#define HEAD KW_FRAME_HEAD_SIZE
static const struct kind KINDS[] = {
	{"hello", HEAD, make_hello, turn_hello},
	{"welcome", HEAD, make_welcome, turn_welcome},
	{"message", HEAD, make_message, turn_message},
	{"message_notice", HEAD, make_notice_message, turn_message},
	{"message_tracks", HEAD, make_tracks_message, turn_message},
	{"message_reminder", HEAD, make_reminder_message, turn_message},
	{"notice", 0, make_notice, turn_notice},
	{"reminder", 0, make_reminder, turn_reminder},
	{"ack", HEAD, make_ack, turn_ack},
	{"error", HEAD, make_error, turn_error},
	{"unopened", HEAD, make_unopened, turn_unopened},
	{"recall", HEAD, make_recall, turn_recall},
	{"ping", HEAD, make_ping, turn_ping},
	{"goaway", HEAD, make_goaway, turn_goaway},
	{"blob_offer", HEAD, make_blob_offer, turn_blob_offer},
	{"blob_passed", HEAD, make_blob_passed, turn_blob_offer},
	{"blob_want", HEAD, make_blob_want, turn_blob_want},
	{"blob_chunk", HEAD, make_blob_chunk, turn_blob_chunk},
	{"blob_done", HEAD, make_blob_done, turn_blob_done},
};
#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

/* Parses a heap copy of exactly this size, so that the sanitizer sees a read past the end. */
static enum kw_err turn_copy(const struct kind *kind, struct kw_view body, struct kw_buf *out)
{
	uint8_t *copy = malloc(body.size > 0 ? body.size : 1);
	if (body.size > 0)
		memcpy(copy, body.data, body.size);
	kw_buf_clear(out);
	enum kw_err err = kind->turn(KW_VIEW(copy, body.size), out);
	free(copy);
	return err;
}

static struct kw_view body_of(const struct kind *kind, const struct kw_buf *buf)
{
	return KW_VIEW(buf->data + kind->head_size, buf->size - kind->head_size);
}

static void test_frames_round_trip(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		struct kw_buf first, second;
		kw_buf_init(&first, BUF_MAX);
		kw_buf_init(&second, BUF_MAX);
		assert_ok(KINDS[k].make(&first));
		assert_ok(turn_copy(&KINDS[k], body_of(&KINDS[k], &first), &second));
		assert_true(kw_view_equal(kw_buf_view(&first), kw_buf_view(&second)));
		kw_buf_fini(&first);
		kw_buf_fini(&second);
	}
}

static void test_frames_match_golden_bytes(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		char path[512], want[4096], got[4096];
		struct kw_buf buf;
		kw_buf_init(&buf, BUF_MAX);
		assert_ok(KINDS[k].make(&buf));
		kw_hex(got, kw_buf_view(&buf));
		(void)snprintf(path, sizeof(path), "%s/frames/%s.hex", KW_GOLDEN_DIR, KINDS[k].name);
		FILE *file = fopen(path, getenv("KW_GOLDEN_UPDATE") ? "w+" : "r");
		assert_non_null(file);
		if (getenv("KW_GOLDEN_UPDATE")) {
			fprintf(file, "%s\n", got);
			rewind(file);
		}
		assert_non_null(fgets(want, sizeof(want), file));
		want[strcspn(want, "\n")] = '\0';
		fclose(file);
		assert_string_equal(got, want);
		kw_buf_fini(&buf);
	}
}

static void test_every_truncation_is_survived(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		struct kw_buf first, second;
		kw_buf_init(&first, BUF_MAX);
		kw_buf_init(&second, BUF_MAX);
		assert_ok(KINDS[k].make(&first));
		struct kw_view body = body_of(&KINDS[k], &first);
		for (size_t size = 0; size < body.size; size++) {
			enum kw_err err = turn_copy(&KINDS[k], KW_VIEW(body.data, size), &second);
			assert_true(err == KW_OK || err == KW_EFORMAT || err == KW_EFIELD);
			/* A cut at the end of a field may leave a whole message; then it is the message it says. */
			if (err == KW_OK)
				assert_true(second.size < first.size);
		}
		kw_buf_fini(&first);
		kw_buf_fini(&second);
	}
}

/* Whatever one wrong byte makes of a frame, it is refused, or it is a frame that comes back the same. */
static void test_every_mutation_is_refused_or_stable(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		struct kw_buf first, second, third;
		kw_buf_init(&first, BUF_MAX);
		kw_buf_init(&second, BUF_MAX);
		kw_buf_init(&third, BUF_MAX);
		assert_ok(KINDS[k].make(&first));
		struct kw_view body = body_of(&KINDS[k], &first);
		for (size_t at = 0; at < body.size; at++)
			for (unsigned flip = 1; flip < 256; flip++) {
				uint8_t *byte = first.data + KINDS[k].head_size + at;
				*byte ^= (uint8_t)flip;
				enum kw_err err = turn_copy(&KINDS[k], body, &second);
				*byte ^= (uint8_t)flip;
				if (err != KW_OK)
					continue;
				assert_ok(turn_copy(&KINDS[k], body_of(&KINDS[k], &second), &third));
				assert_true(kw_view_equal(kw_buf_view(&second), kw_buf_view(&third)));
			}
		kw_buf_fini(&first);
		kw_buf_fini(&second);
		kw_buf_fini(&third);
	}
}

static void test_next_waits_for_the_whole_frame(void **state)
{
	(void)state;
	struct kw_buf buf;
	struct kw_frame frame;
	size_t used = 99;
	kw_buf_init(&buf, BUF_MAX);
	assert_ok(make_ping(&buf));
	assert_ok(kw_frame_add(&buf, KW_FRAME_ACK, KW_VIEW(NULL, 0)));
	size_t ping_size = buf.size - HEAD;
	for (size_t size = 0; size < ping_size; size++) {
		assert_ok(kw_frame_next(KW_VIEW(buf.data, size), KW_FRAME_SIZE_MAX, &frame, &used));
		assert_int_equal(used, 0);
		assert_null(frame.body.data);
	}
	assert_ok(kw_frame_next(kw_buf_view(&buf), KW_FRAME_SIZE_MAX, &frame, &used));
	assert_int_equal(used, ping_size);
	assert_int_equal(frame.type, KW_FRAME_PING);
	assert_int_equal(frame.body.size, 9);
	assert_ok(kw_frame_next(KW_VIEW(buf.data + used, buf.size - used), KW_FRAME_SIZE_MAX, &frame, &used));
	assert_int_equal(used, HEAD);
	assert_int_equal(frame.type, KW_FRAME_ACK);
	assert_int_equal(frame.body.size, 0);
	assert_non_null(frame.body.data);
	kw_buf_fini(&buf);
}

static void test_next_refuses_size_from_the_head_alone(void **state)
{
	(void)state;
	struct kw_frame frame;
	size_t used;
	const size_t limits[] = {KW_FRAME_SIZE_MAX, KW_FRAME_SIZE_MAX_PREAUTH};
	for (unsigned i = 0; i < 2; i++) {
		size_t body_size = limits[i] - HEAD;
		uint8_t head[] = {(uint8_t)(body_size >> 16), (uint8_t)(body_size >> 8), (uint8_t)body_size};
		assert_ok(kw_frame_next(KW_VIEW_OF(head), limits[i], &frame, &used));
		assert_int_equal(used, 0);
		body_size++;
		uint8_t more[] = {(uint8_t)(body_size >> 16), (uint8_t)(body_size >> 8), (uint8_t)body_size};
		assert_int_equal(kw_frame_next(KW_VIEW_OF(more), limits[i], &frame, &used), KW_ETOOBIG);
	}
}

static void test_add_takes_the_largest_frame_and_no_more(void **state)
{
	(void)state;
	struct kw_buf buf;
	struct kw_frame frame;
	size_t used;
	kw_buf_init(&buf, BUF_MAX);
	assert_ok(kw_frame_add(&buf, 200, KW_VIEW(BIG, KW_FRAME_SIZE_MAX - HEAD)));
	assert_ok(kw_frame_next(kw_buf_view(&buf), KW_FRAME_SIZE_MAX, &frame, &used));
	assert_int_equal(used, KW_FRAME_SIZE_MAX);
	assert_int_equal(kw_frame_add(&buf, 200, KW_VIEW(BIG, KW_FRAME_SIZE_MAX - HEAD + 1)), KW_ETOOBIG);
	assert_int_equal(buf.size, KW_FRAME_SIZE_MAX);
	kw_buf_fini(&buf);
}

/* A buffer that is full at any byte leaves nothing behind. */
static void test_add_leaves_a_full_buffer_as_it_was(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		struct kw_buf whole;
		kw_buf_init(&whole, BUF_MAX);
		assert_ok(KINDS[k].make(&whole));
		for (size_t room = 0; room < whole.size; room++) {
			struct kw_buf small;
			kw_buf_init(&small, room + 3);
			assert_ok(kw_buf_add(&small, KW_VIEW("abc", 3)));
			assert_int_equal(KINDS[k].make(&small), KW_ETOOBIG);
			assert_int_equal(small.size, 3);
			kw_buf_fini(&small);
		}
		kw_buf_fini(&whole);
	}
}

static enum kw_err parse_message(const void *bytes, size_t size)
{
	struct kw_frame_message out;
	return kw_frame_message_parse(KW_VIEW(bytes, size), &out);
}
#define MESSAGE(bytes) parse_message(bytes, sizeof(bytes) - 1)

static void test_message_refuses_what_breaks_a_rule(void **state)
{
	(void)state;
	assert_ok(MESSAGE("\x08\x01\x10\x01\x1a\x01x"));
	assert_ok(MESSAGE("\x10\x01\x22\x01x"));
	assert_ok(MESSAGE("\x08\x01\x10\x01\x1a\x01x\x78\x05"));                      /* unknown field 15 */
	assert_ok(MESSAGE("\xaa\x06\x01y\x08\x01\x10\x01\x1a\x01x"));                 /* unknown field 101 */
	assert_int_equal(MESSAGE(""), KW_EFIELD);
	assert_int_equal(MESSAGE("\x08\x04\x10\x01\x1a\x01x"), KW_EFIELD);            /* class out of range */
	assert_int_equal(MESSAGE("\x08\x01\x1a\x01x"), KW_EFIELD);                    /* no sequence */
	assert_int_equal(MESSAGE("\x08\x01\x10\x00\x1a\x01x"), KW_EFIELD);            /* sequence 0 */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01"), KW_EFIELD);                     /* neither */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x1a\x00"), KW_EFIELD);             /* empty envelope */
	assert_int_equal(MESSAGE("\x10\x01\x1a\x01x\x22\x01y"), KW_EFIELD);           /* both */
	assert_int_equal(MESSAGE("\x10\x01\x1a\x01x"), KW_EFIELD);                    /* control with envelope */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x22\x01x"), KW_EFIELD);            /* urgent with notice */
	assert_int_equal(MESSAGE("\x08\x01\x08\x01\x10\x01\x1a\x01x"), KW_EFORMAT);   /* class twice */
	assert_int_equal(MESSAGE("\x0a\x01\x01\x10\x01\x1a\x01x"), KW_EFORMAT);       /* class as bytes */
	assert_int_equal(MESSAGE("\x08\x81\x00\x10\x01\x1a\x01x"), KW_EFORMAT);       /* class in two bytes */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x1a\x02x"), KW_EFORMAT);           /* cut short */
}

static void test_message_takes_the_largest_envelope_and_no_more(void **state)
{
	(void)state;
	struct kw_buf buf;
	struct kw_frame frame;
	size_t used;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_message message = {
		.msg_class = KW_BULK, .sequence = UINT64_MAX, .envelope = KW_VIEW(BIG, KW_ENVELOPE_SIZE_MAX)};
	assert_ok(kw_frame_message_add(&buf, &message));
	assert_ok(kw_frame_next(kw_buf_view(&buf), KW_FRAME_SIZE_MAX, &frame, &used));
	assert_ok(kw_frame_message_parse(frame.body, &message));
	assert_int_equal(message.envelope.size, KW_ENVELOPE_SIZE_MAX);
	message.envelope.size++;
	assert_int_equal(kw_frame_message_add(&buf, &message), KW_ETOOBIG);

	uint8_t *body = malloc(KW_ENVELOPE_SIZE_MAX + 9);
	const uint8_t head[] = {0x08, 1, 0x10, 1, 0x1a, ((KW_ENVELOPE_SIZE_MAX + 1) & 0x7f) | 0x80,
		((KW_ENVELOPE_SIZE_MAX + 1) >> 7 & 0x7f) | 0x80, (KW_ENVELOPE_SIZE_MAX + 1) >> 14};
	memcpy(body, head, sizeof(head));
	memset(body + sizeof(head), 0, KW_ENVELOPE_SIZE_MAX + 1);
	assert_int_equal(parse_message(body, sizeof(head) + KW_ENVELOPE_SIZE_MAX + 1), KW_ETOOBIG);
	free(body);
	kw_buf_fini(&buf);
}

static enum kw_err parse_ack(const void *bytes, size_t size)
{
	struct kw_frame_ack out;
	return kw_frame_ack_parse(KW_VIEW(bytes, size), &out);
}
#define ACK(bytes) parse_ack(bytes, sizeof(bytes) - 1)

static void test_message_takes_32_tracks_and_no_more(void **state)
{
	(void)state;
	struct kw_buf buf;
	struct kw_frame_message message;
	struct kw_frame_track out[KW_FRAME_TRACKS_MAX];
	uint32_t count = 0;
	kw_buf_init(&buf, BUF_MAX);
	assert_ok(tracked(&buf, KW_FRAME_TRACKS_MAX));
	assert_ok(kw_frame_message_parse(KW_VIEW(buf.data + HEAD, buf.size - HEAD), &message));
	assert_ok(kw_frame_tracks_parse(message.tracks, out, &count));
	assert_int_equal(count, KW_FRAME_TRACKS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct kw_frame_track want = sample_track((uint8_t)i);
		assert_memory_equal(&out[i], &want, sizeof(want));
	}
	kw_buf_clear(&buf);
	assert_ok(tracked(&buf, KW_FRAME_TRACKS_MAX + 1)); /* few enough bytes */
	assert_int_equal(parse_message(buf.data + HEAD, buf.size - HEAD), KW_ETOOBIG);
	kw_buf_clear(&buf);
	assert_int_equal(tracked(&buf, 3 * KW_FRAME_TRACKS_MAX), KW_ETOOBIG); /* too many bytes */
	kw_buf_fini(&buf);
}

static enum kw_err parse_tracks(const void *bytes, size_t size)
{
	struct kw_frame_track out[KW_FRAME_TRACKS_MAX];
	uint32_t count;
	return kw_frame_tracks_parse(KW_VIEW(bytes, size), out, &count);
}
#define TRACKS(bytes) parse_tracks(bytes, sizeof(bytes) - 1)
#define THREAD "\x0a\x10" "0123456789abcdef"

static void test_tracks_refuse_what_breaks_a_rule(void **state)
{
	(void)state;
	assert_ok(TRACKS(""));
	assert_ok(TRACKS("\x2a\x15" THREAD "\x32\x01x"));
	assert_ok(TRACKS("\x2a\x18" THREAD "\x18\xff\x01\x32\x01x"));             /* a state of a later version */
	assert_int_equal(TRACKS("\x2a\x18" THREAD "\x18\x80\x02\x32\x01x"), KW_EFIELD); /* state 256 */
	assert_int_equal(TRACKS("\x2a\x12" THREAD), KW_EFIELD);                      /* no agency */
	assert_int_equal(TRACKS("\x2a\x03\x32\x01x"), KW_EFIELD);                    /* no thread */
	assert_int_equal(TRACKS("\x2a\x15" THREAD "\x32\x01X"), KW_EFIELD);          /* no name */
	assert_int_equal(TRACKS("\x2a\x14\x0a\x0f" "0123456789abcde\x32\x01x"), KW_EFIELD); /* short id */
	assert_int_equal(TRACKS("\x2a\x27" THREAD THREAD "\x32\x01x"), KW_EFORMAT);  /* thread twice */
	assert_int_equal(TRACKS("\x32\x15" THREAD "\x32\x01x"), KW_EFORMAT);         /* another field */
	assert_int_equal(TRACKS("\x2a\x16" THREAD "\x32\x01x"), KW_EFORMAT);         /* cut short */
	/* Tracks stand side by side, with an envelope, towards a hub. */
	assert_ok(MESSAGE("\x08\x01\x10\x01\x1a\x01x\x2a\x00\x2a\x00"));
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x2a\x00\x1a\x01x\x2a\x00"), KW_EFORMAT);
	assert_int_equal(MESSAGE("\x10\x01\x22\x01y\x2a\x00"), KW_EFIELD);
	assert_int_equal(MESSAGE("\x10\x01\x32\x01y\x2a\x00"), KW_EFIELD);
	assert_ok(MESSAGE("\x10\x01\x32\x01y"));
	assert_int_equal(MESSAGE("\x10\x01\x22\x01y\x32\x01y"), KW_EFIELD); /* notice and reminder */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x32\x01y"), KW_EFIELD);  /* urgent with reminder */
	assert_int_equal(MESSAGE("\x08\x01\x10\x01\x1a\x01x\x32\x01y"), KW_EFIELD);

	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_track track = sample_track(0);
	track.other_agency.text[0] = '-';
	assert_int_equal(kw_frame_track_add(&buf, &track), KW_EFIELD);
	struct kw_frame_reminder reminder = sample_reminder();
	reminder.late_ms = -1;
	assert_int_equal(kw_frame_reminder_add(&buf, &reminder), KW_EFIELD);
	reminder = sample_reminder();
	reminder.other_agency.text[0] = '\0';
	assert_int_equal(kw_frame_reminder_add(&buf, &reminder), KW_EFIELD);
	assert_int_equal(buf.size, 0);
	kw_buf_fini(&buf);
}

static void test_ack_refuses_a_class_twice_or_unknown(void **state)
{
	(void)state;
	assert_ok(ACK(""));
	assert_ok(ACK("\x0a\x02\x08\x03\x0a\x02\x08\x02\x12\x02\x08\x03"));
	assert_int_equal(ACK("\x0a\x02\x08\x03\x0a\x02\x08\x03"), KW_EFIELD);
	assert_int_equal(ACK("\x12\x00\x12\x00"), KW_EFIELD);
	assert_int_equal(ACK("\x0a\x02\x08\x04"), KW_EFIELD);
	assert_int_equal(ACK("\x0a\x02\x18\x04"), KW_EFIELD); /* a sequence of no store */
	assert_int_equal(ACK("\x0a\x02\x10\x04"), KW_EFORMAT); /* epoch as varint */
	assert_int_equal(ACK("\x08\x01"), KW_EFORMAT);
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_ack ack = {.cursor_mask = 0x10};
	assert_int_equal(kw_frame_ack_add(&buf, &ack), KW_EFIELD);
	ack = (struct kw_frame_ack){.cursor_mask = 1, .cursors[0].sequence = 1};
	assert_int_equal(kw_frame_ack_add(&buf, &ack), KW_EFIELD);
	assert_int_equal(buf.size, 0);
	kw_buf_fini(&buf);
}

static void test_hello_refuses_what_breaks_a_rule(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_hello hello = sample_hello();
	hello.epoch = 0;
	assert_int_equal(kw_frame_hello_add(&buf, &hello), KW_EFIELD);
	hello = sample_hello();
	hello.version_min = 0;
	assert_int_equal(kw_frame_hello_add(&buf, &hello), KW_EFIELD);
	hello = sample_hello();
	hello.version_min = hello.version_max + 1;
	assert_int_equal(kw_frame_hello_add(&buf, &hello), KW_EFIELD);
	hello = sample_hello();
	hello.clock_unix_ms = -1;
	assert_int_equal(kw_frame_hello_add(&buf, &hello), KW_EFIELD);
	hello = sample_hello();
	hello.cursors[2].epoch = 0;
	assert_int_equal(kw_frame_hello_add(&buf, &hello), KW_EFIELD);
	struct kw_frame_hello welcome = sample_welcome();
	welcome.envelope_size_max = 0;
	assert_int_equal(kw_frame_welcome_add(&buf, &welcome), KW_EFIELD);
	welcome = sample_welcome();
	welcome.version_max++;
	assert_int_equal(kw_frame_welcome_add(&buf, &welcome), KW_EFIELD);
	assert_int_equal(buf.size, 0);

	struct kw_frame_hello out;
	const char no_epoch[] = "\x08\x01\x10\x01";
	const char zero_epoch[] = "\x08\x01\x10\x01\x21\0\0\0\0\0\0\0\0";
	const char good[] = "\x08\x01\x10\x01\x21\1\0\0\0\0\0\0\0";
	const char wide[] = "\x08\x80\x80\x80\x80\x10\x10\x01\x21\1\0\0\0\0\0\0\0";
	assert_ok(kw_frame_hello_parse(KW_VIEW(good, sizeof(good) - 1), &out));
	assert_int_equal(kw_frame_hello_parse(KW_VIEW(no_epoch, sizeof(no_epoch) - 1), &out), KW_EFIELD);
	assert_int_equal(kw_frame_hello_parse(KW_VIEW(zero_epoch, sizeof(zero_epoch) - 1), &out), KW_EFIELD);
	assert_int_equal(kw_frame_hello_parse(KW_VIEW(wide, sizeof(wide) - 1), &out), KW_EFIELD);
	kw_buf_fini(&buf);
}

static void test_hello_fits_before_authentication(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, KW_FRAME_SIZE_MAX_PREAUTH);
	assert_ok(make_hello(&buf));
	kw_buf_fini(&buf);
}

static void test_notice_error_unopened_refuse_what_breaks_a_rule(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_notice notice = sample_notice();
	notice.reason = KW_OK;
	assert_int_equal(kw_frame_notice_add(&buf, &notice), KW_EFIELD);
	notice = sample_notice();
	notice.agency.text[0] = '\0';
	assert_int_equal(kw_frame_notice_add(&buf, &notice), KW_EFIELD);
	struct kw_frame_error error = sample_error();
	error.scope = 4;
	assert_int_equal(kw_frame_error_add(&buf, &error), KW_EFIELD);
	error = sample_error();
	error.code = KW_ERR_COUNT;
	assert_int_equal(kw_frame_error_add(&buf, &error), KW_EFIELD);
	error = sample_error();
	memset(error.field, 'x', sizeof(error.field));
	assert_int_equal(kw_frame_error_add(&buf, &error), KW_EFIELD);
	error.field[63] = '\0';
	assert_ok(kw_frame_error_add(&buf, &error));
	kw_buf_clear(&buf);
	struct kw_frame_unopened unopened = sample_unopened();
	unopened.sequence = 0;
	assert_int_equal(kw_frame_unopened_add(&buf, &unopened), KW_EFIELD);
	assert_int_equal(buf.size, 0);

	static const char unknown[] = "\x0a\x07unknown\x10\x01";
	static const char ok[] = "\x0a\x02ok\x10\x01";
	static const char zero[] = "\x0a\x05\x62usy\0\x10\x01";
	static const char good[] = "\x0a\x04\x62usy\x10\x01";
	assert_ok(kw_frame_error_parse(KW_VIEW(good, sizeof(good) - 1), &error));
	assert_int_equal(error.code, KW_EBUSY);
	assert_int_equal(kw_frame_error_parse(KW_VIEW(unknown, sizeof(unknown) - 1), &error), KW_EFIELD);
	assert_int_equal(kw_frame_error_parse(KW_VIEW(ok, sizeof(ok) - 1), &error), KW_EFIELD);
	assert_int_equal(kw_frame_error_parse(KW_VIEW(zero, sizeof(zero) - 1), &error), KW_EFIELD);
	kw_buf_fini(&buf);
}

static void test_blob_frames_refuse_what_breaks_a_rule(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	struct kw_frame_blob_offer offer = sample_blob_offer();
	offer.size = KW_BLOB_SIZE_MAX + 1;
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);
	offer.size = 0;
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);
	offer.size = KW_BLOB_SIZE_MAX - 1; /* no padded size: it would tell the file's own */
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);
	offer = sample_blob_offer();
	offer.expiry_hour = 0;
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);
	offer = sample_blob_offer();
	memset(&offer.ref.agency, 0, sizeof(offer.ref.agency));
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);

	/* A giver is a name or nothing. */
	offer = sample_blob_passed();
	offer.giver.text[0] = 'A';
	assert_int_equal(kw_frame_blob_offer_add(&buf, &offer), KW_EFIELD);
	offer = sample_blob_passed();
	memset(offer.giver.text, 'a', KW_NAME_SIZE_MAX);
	offer.giver.text[KW_NAME_SIZE_MAX] = '\0';
	assert_ok(kw_frame_blob_offer_add(&buf, &offer));
	assert_ok(kw_frame_blob_offer_parse(KW_VIEW(buf.data + KW_FRAME_HEAD_SIZE, buf.size - KW_FRAME_HEAD_SIZE), &offer));
	buf.data[buf.size - 1] = 'Z';
	assert_int_equal(kw_frame_blob_offer_parse(KW_VIEW(buf.data + KW_FRAME_HEAD_SIZE, buf.size - KW_FRAME_HEAD_SIZE), &offer),
		KW_EFIELD);
	kw_buf_clear(&buf);

	struct kw_frame_blob_want want = sample_blob_want();
	want.size = 0;
	assert_int_equal(kw_frame_blob_want_add(&buf, &want), KW_EFIELD);
	want.size = UINT32_MAX - want.offset;
	assert_ok(kw_frame_blob_want_add(&buf, &want));
	want.size++;
	assert_int_equal(kw_frame_blob_want_add(&buf, &want), KW_EFIELD);
	kw_buf_clear(&buf);

	struct kw_frame_blob_chunk chunk = sample_blob_chunk();
	chunk.bytes = KW_VIEW(BIG, KW_BLOB_SEALED_CHUNK_SIZE);
	chunk.path = KW_VIEW(BIG, KW_BLOB_PATH_SIZE_MAX);
	assert_ok(kw_frame_blob_chunk_add(&buf, &chunk));
	kw_buf_clear(&buf);
	chunk.bytes.size++;
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk = sample_blob_chunk();
	chunk.bytes.size = 0;
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk = sample_blob_chunk();
	chunk.path.size = KW_BLOB_PATH_SIZE_MAX + KW_DIGEST_SIZE;
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk.path.size = 33;
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk = sample_blob_chunk();
	chunk.offset += 1; /* a path that does not come with the first byte */
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk.path.size = 0;
	chunk.offset = 2 * KW_BLOB_SEALED_CHUNK_SIZE - 3; /* bytes of two chunks */
	chunk.bytes.size = 4;
	assert_int_equal(kw_frame_blob_chunk_add(&buf, &chunk), KW_EFIELD);
	chunk.bytes.size = 3;
	assert_ok(kw_frame_blob_chunk_add(&buf, &chunk));
	kw_buf_clear(&buf);

	struct kw_frame_blob_done done = sample_blob_done();
	done.delivered = true;
	assert_int_equal(kw_frame_blob_done_add(&buf, &done), KW_EFIELD);
	done = sample_blob_done();
	done.code = KW_OK;
	assert_int_equal(kw_frame_blob_done_add(&buf, &done), KW_EFIELD);
	done.retry_after_ms = 0;
	done.delivered = true;
	assert_ok(kw_frame_blob_done_add(&buf, &done));
	kw_buf_fini(&buf);
}

static void test_outputs_stay_untouched_on_failure(void **state)
{
	(void)state;
	struct kw_frame_message message = sample_message();
	struct kw_frame_message before = message;
	assert_int_equal(kw_frame_message_parse(KW_VIEW("\x08\x02\x10\x07", 4), &message), KW_EFIELD);
	assert_memory_equal(&message, &before, sizeof(message));
}

/* What we write, protobuf-c reads. */
static void test_protobuf_c_reads_ours(void **state)
{
	(void)state;
	struct kw_buf buf;
	kw_buf_init(&buf, BUF_MAX);
	assert_ok(make_hello(&buf));
	struct kw_frame_hello want = sample_hello();
	Kinward__V1__Hello *hello = kinward__v1__hello__unpack(NULL, buf.size - HEAD, buf.data + HEAD);
	assert_non_null(hello);
	assert_int_equal(hello->epoch, want.epoch);
	assert_true(hello->features == want.features);
	assert_int_equal(hello->n_cursors, 4);
	assert_int_equal(hello->cursors[3]->class_, 3);
	assert_true(hello->cursors[3]->sequence == want.cursors[3].sequence);
	assert_true(hello->credits[3]->bytes == want.credits[3].bytes);
	assert_int_equal(hello->clock_unix_ms, want.clock_unix_ms);
	assert_int_equal(hello->base.n_unknown_fields, 0);
	kinward__v1__hello__free_unpacked(hello, NULL);

	kw_buf_clear(&buf);
	assert_ok(make_message(&buf));
	Kinward__V1__Message *message = kinward__v1__message__unpack(NULL, buf.size - HEAD, buf.data + HEAD);
	assert_non_null(message);
	assert_int_equal(message->class_, KW_NORMAL);
	assert_int_equal(message->sequence, 300);
	assert_memory_equal(message->envelope.data, ENVELOPE, sizeof(ENVELOPE));
	kinward__v1__message__free_unpacked(message, NULL);

	kw_buf_clear(&buf);
	assert_ok(make_error(&buf));
	Kinward__V1__Error *error = kinward__v1__error__unpack(NULL, buf.size - HEAD, buf.data + HEAD);
	assert_non_null(error);
	assert_string_equal(error->code, "bad_field");
	assert_int_equal(error->scope, KINWARD__V1__ERROR_SCOPE__ERROR_SCOPE_SESSION);
	assert_string_equal(error->field, "hello.version_min");
	kinward__v1__error__free_unpacked(error, NULL);
	kw_buf_fini(&buf);
}

/* Our bytes through protobuf-c and back are our bytes: so we read what it writes. */
static void test_ours_are_the_bytes_that_protobuf_c_writes(void **state)
{
	(void)state;
	const ProtobufCMessageDescriptor *descriptors[KIND_COUNT] = {&kinward__v1__hello__descriptor,
		&kinward__v1__welcome__descriptor, &kinward__v1__message__descriptor, &kinward__v1__message__descriptor,
		&kinward__v1__message__descriptor, &kinward__v1__message__descriptor, &kinward__v1__notice__descriptor,
		&kinward__v1__reminder__descriptor, &kinward__v1__ack__descriptor, &kinward__v1__error__descriptor,
		&kinward__v1__unopened__descriptor, &kinward__v1__recall__descriptor, &kinward__v1__ping__descriptor, &kinward__v1__goaway__descriptor,
		&kinward__v1__blob_offer__descriptor, &kinward__v1__blob_offer__descriptor, &kinward__v1__blob_want__descriptor,
		&kinward__v1__blob_chunk__descriptor,
		&kinward__v1__blob_done__descriptor};
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		struct kw_buf buf, again;
		uint8_t theirs[1024];
		kw_buf_init(&buf, BUF_MAX);
		kw_buf_init(&again, BUF_MAX);
		assert_ok(KINDS[k].make(&buf));
		struct kw_view body = body_of(&KINDS[k], &buf);
		ProtobufCMessage *message = protobuf_c_message_unpack(descriptors[k], NULL, body.size, body.data);
		assert_non_null(message);
		size_t size = protobuf_c_message_pack(message, theirs);
		assert_int_equal(size, body.size);
		assert_memory_equal(theirs, body.data, size);
		assert_ok(turn_copy(&KINDS[k], KW_VIEW(theirs, size), &again));
		assert_true(kw_view_equal(kw_buf_view(&buf), kw_buf_view(&again)));
		protobuf_c_message_free_unpacked(message, NULL);
		kw_buf_fini(&buf);
		kw_buf_fini(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_round_trip),
		cmocka_unit_test(test_frames_match_golden_bytes),
		cmocka_unit_test(test_every_truncation_is_survived),
		cmocka_unit_test(test_every_mutation_is_refused_or_stable),
		cmocka_unit_test(test_next_waits_for_the_whole_frame),
		cmocka_unit_test(test_next_refuses_size_from_the_head_alone),
		cmocka_unit_test(test_add_takes_the_largest_frame_and_no_more),
		cmocka_unit_test(test_add_leaves_a_full_buffer_as_it_was),
		cmocka_unit_test(test_message_refuses_what_breaks_a_rule),
		cmocka_unit_test(test_message_takes_the_largest_envelope_and_no_more),
		cmocka_unit_test(test_message_takes_32_tracks_and_no_more),
		cmocka_unit_test(test_tracks_refuse_what_breaks_a_rule),
		cmocka_unit_test(test_ack_refuses_a_class_twice_or_unknown),
		cmocka_unit_test(test_hello_refuses_what_breaks_a_rule),
		cmocka_unit_test(test_hello_fits_before_authentication),
		cmocka_unit_test(test_notice_error_unopened_refuse_what_breaks_a_rule),
		cmocka_unit_test(test_blob_frames_refuse_what_breaks_a_rule),
		cmocka_unit_test(test_outputs_stay_untouched_on_failure),
		cmocka_unit_test(test_protobuf_c_reads_ours),
		cmocka_unit_test(test_ours_are_the_bytes_that_protobuf_c_writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
