"""The golden frames: read by type, with the values that they were made of, and refused where they are no frames."""

import forge_signed
import frames
import golden
import schema
from rules import Refused

CLASSES = range(4)
BIG = (1 << 64) - 1
DIGEST, B = b"\xd1" * 32, "agency-b"


def _id(*first):
    return bytes(first).ljust(16, b"\0")


def _cursor(number, epoch, sequence):
    return {"class": number, "epoch": epoch, "sequence": sequence}


def _credit(number, messages, size):
    return {"class": number, "messages": messages, "bytes": size}


NOTICE = {"envelope_id": _id(1, 2, 3), "agency": B, "reason": "queue_full", "retry_after_ms": 60000}
REMINDER = {"thread_id": _id(9, 8, 7), "kind": 1, "clock": 2, "step": 150, "audience": 5, "risk": 3, "state": 2,
            "due_unix_ms": 1760000000123, "late_ms": 43200000, "agency": B, "other_agency": "agency-a"}
SESSION = {"features": 1 << 63, "epoch": 0x1122334455667788, "clock_unix_ms": 1760000000123, "directory_version": 7,
           "cursors": [_cursor(c, BIG - c, BIG - 10 * c) for c in CLASSES],
           "credits": [_credit(c, 100 + c, BIG - c) for c in CLASSES]}
MESSAGE = {"class": 2, "sequence": 300, "envelope": b"an envelope, opaque here\0"}
TRACK = {"kind": 1, "state": 3, "risk": 1, "thread_sequence": (1 << 32) - 1}
OFFER = {"digest": DIGEST, "agency": B, "size": 64 << 20, "chunk_size": 16384, "commit": b"\xc0" * 32, "expiry_hour": 490000}

# file -> message and the values that are not empty
WANTED = {
    "hello": ("Hello", dict(SESSION, version_min=1, version_max=2)),
    "welcome": ("Welcome", dict(SESSION, version=1, envelope_size_max=65000)),
    "message": ("Message", MESSAGE),
    "message_notice": ("Message", {"sequence": BIG, "notice": NOTICE}),
    "message_reminder": ("Message", {"sequence": 7, "reminder": REMINDER}),
    "message_tracks": ("Message", dict(MESSAGE, tracks=[dict(TRACK, thread_id=_id(9, 8, 7)[:15] + bytes([i])) for i in (0, 1)])),
    "notice": ("Notice", NOTICE),
    "reminder": ("Reminder", REMINDER),
    "ack": ("Ack", {"cursors": [_cursor(1, 9, 300), _cursor(3, 10, 1)], "credits": [_credit(0, 0, 0), _credit(2, 64, 1 << 20)]}),
    "error": ("Error", {"code": "bad_field", "scope": 3, "retryable": True, "retry_after_ms": (1 << 32) - 1,
                        "field": "hello.version_min"}),
    "unopened": ("Unopened", {"class": 3, "sequence": 5, "envelope_id": _id(9, 8, 7)}),
    "recall": ("Recall", {"agency": B, "envelope_id": _id(9, 8, 7)}),
    "ping": ("Ping", {"nonce": 0x0102030405060708}),
    "goaway": ("Goaway", {"retry_after_ms": 30000}),
    "blob_offer": ("BlobOffer", OFFER),
    "blob_passed": ("BlobOffer", dict(OFFER, giver="agency-a")),
    "blob_want": ("BlobWant", {"digest": DIGEST, "agency": B, "offset": 16400 * 3, "size": 70000}),
    "blob_chunk": ("BlobChunk", {"digest": DIGEST, "agency": B, "offset": 16400, "bytes": MESSAGE["envelope"], "path": bytes(64)}),
    "blob_done": ("BlobDone", {"digest": DIGEST, "agency": B, "code": "queue_full", "retry_after_ms": 60000}),
}
ROLE, LOG_SIZE = b"\1\2\3\0\0", 1 << 62
WANTED.update({
    "audit_checkpoint": ("LogCheckpoint", {"checkpoint": ROLE, "consistency": b"\1\2\3", "log_key": b"\1\2\3".ljust(32, b"\0")}),
    "audit_prove": ("LogProve", {"digest": DIGEST}),
    "audit_prove_size": ("LogProve", {"size_old": LOG_SIZE}),
    "audit_prove_below": ("LogProve", {"digest": DIGEST, "below": 1 << 16}),
    "audit_proof": ("LogProof", {"digest": DIGEST, "checkpoint": ROLE, "inclusion": ROLE + b"\0\0"}),
    "audit_proof_size": ("LogProof", {"size_old": LOG_SIZE, "checkpoint": ROLE, "consistency": ROLE + b"\0\0"}),
    "audit_proof_none": ("LogProof", {"digest": DIGEST, "code": "not_found"}),
    "audit_proof_below": ("LogProof", {"digest": DIGEST, "code": "not_found", "below": LOG_SIZE}),
})
WANTED = {name: one for name, one in WANTED.items() if one[0] in schema.MESSAGES}
BODIES = ("notice", "reminder")  # parts of a message, without a frame around them


def _same(name, got, wanted, message):
    """Each value that is wanted, and nothing else in it."""
    if not set(wanted) <= {field.name for field in schema.MESSAGES[message].values()}:
        raise AssertionError("%s: %s has not all of %s" % (name, message, sorted(wanted)))
    for field in schema.MESSAGES[message].values():
        value, want = got[field.name], wanted.get(field.name, schema.empty(message)[field.name])
        if field.kind == "Track" and want:
            for one, other in zip(value, want, strict=True):
                _same(name, one, dict(other, other_agency=B), field.kind)
        elif isinstance(want, dict):
            _same(name, value, want, field.kind)
        elif value != want:
            raise AssertionError("%s: %s is %r, not %r" % (name, field.name, value, want))


def _refused(what, rule, call):
    try:
        call()
    except Refused as refusal:
        if refusal.rule == rule:
            return 1
        raise AssertionError("%s: refused by %s, not %s" % (what, refusal.rule, rule)) from refusal
    raise AssertionError("%s is not refused" % what)


def _bad(name, message, body):
    """What is wrong with any body: a copy of a field, another wire type, a long integer, a cut."""
    first = next(n for n, _, _ in schema.fields(body))
    field = schema.MESSAGES[message][first]
    count = 0
    if not field.repeated:
        count += _refused(name + " with a field twice", "bad_format", lambda: frames.message(message, body + body))
    wrong = schema.put_varint(first << 3 | (0 if body[0] & 7 == 2 else 2)) + b"\x00"
    count += _refused(name + " with another wire type", "bad_format", lambda: frames.message(message, wrong))
    count += _refused(name + " with a long tag", "bad_format",
                      lambda: frames.message(message, bytes([body[0] | 0x80, 0x00]) + body[1:]))
    count += _refused(name + " cut short", "bad_format", lambda: frames.message(message, body[:-1]))
    return count


def _frame(name, data, wanted):
    message, values = wanted
    if name in BODIES:
        body = data
    else:
        if frames.next_frame(data[:-1], False) is not None or frames.next_frame(data[:2], True) is not None:
            raise AssertionError("%s: a part of a frame is taken for a whole one" % name)
        kind, body, rest = frames.next_frame(data + b"next", False)
        if frames.TYPES[kind] != message or rest != b"next":
            raise AssertionError("%s: type %d is %s" % (name, kind, frames.TYPES[kind]))
    _same(name, frames.message(message, body), values, message)
    if schema.encode(message, frames.message(message, body)) != body:
        raise AssertionError("%s: written again it is not the same" % name)
    unknown = schema.put_varint(2000 << 3) + b"\x01"
    _same(name, frames.message(message, body + unknown), values, message)
    return _bad(name, message, body)


def _heads():
    """Limits and unknown types."""
    for first, size_max in ((True, 4096), (False, 65536)):
        head = (size_max - 4).to_bytes(3, "big") + b"\x07"
        if frames.next_frame(head, first) is not None or frames.next_frame(head + bytes(size_max - 4), first)[2]:
            raise AssertionError("a frame of %d bytes is not read" % size_max)
    if frames.read(0xFF, b"anything") is not None:
        raise AssertionError("type 255 is not skipped")
    return (_refused("a first frame of 4097", "too_big", lambda: frames.next_frame((4093).to_bytes(3, "big"), True)) +
            _refused("a frame of 65537", "too_big", lambda: frames.next_frame((65533).to_bytes(3, "big"), False)) +
            _refused("type 127", "protocol", lambda: frames.read(0x7F, b"")) +
            _refused("type 9", "protocol", lambda: frames.read(9, b"")))


def _parts(name):
    """What an inbox says of each frame."""
    inbox, whole, more, refused = frames.Inbox(), 0, 0, 0
    for word, rest in golden.lines(name):
        verdict, data = rest[0], golden.raw(rest[1])
        kind, body, _ = frames.next_frame(data, False)
        try:
            done = inbox.take(frames.read(kind, body)[1])
            got = "%d:%s" % (done[0], done[1].hex()) if done else "more"
        except Refused as refusal:
            got = refusal.rule
        if got != verdict:
            raise AssertionError("%s: %s, not %s" % (word, got, verdict))
        whole, more, refused = whole + (":" in got), more + (got == "more"), refused + (":" not in got and got != "more")
    yield "%s: %d whole, %d before the last, %d refused" % (name, whole, more, refused)


def run():
    bad = 0
    names = sorted(p.stem for p in (golden.FOLDER / "frames").glob("*.hex"))
    if names != sorted(WANTED):
        raise AssertionError("files without wanted values, or the other way round: %s" % (set(names) ^ set(WANTED)))
    for name in names:
        bad += _frame(name, bytes.fromhex((golden.FOLDER / "frames" / (name + ".hex")).read_text()), WANTED[name])
    yield "%d good, %d bad refused" % (len(names), bad + _heads())
    yield from _parts("parts.txt")
    forge_signed.same("forged_parts.txt")
    yield from _parts("forged_parts.txt")
