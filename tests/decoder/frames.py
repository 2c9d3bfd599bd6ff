"""PROTOCOL.md, "Session": frames, and signed roles that come in parts."""

import re

import schema
from rules import Refused, need

FIRST_MAX, LATER_MAX, HEAD = 4096, 65536, 4
TOTALS = {1: 256 << 10, 2: 8 << 10, 3: 32 << 10, 4: 41 << 20, 5: 41 << 20}


def _types():
    """Type number -> message, as the comments of FrameType name it."""
    text = (schema.HERE / "frame.proto").read_text(encoding="utf-8")
    body = re.search(r"enum FrameType \{(.*?)\n\}", text, re.S)[1]
    out = {}
    for comment, number in re.findall(r"((?:  //[^\n]*\n)+)  FRAME_TYPE_\w+ = (\d+);", body):
        words = re.findall(r"\b[A-Z][A-Za-z]+\b", comment)
        named = [w for w in words if w in schema.MESSAGES]
        if int(number):
            out[int(number)] = named[0]
    return out


TYPES = _types()


def next_frame(data, first):
    """(type, body, the bytes after it), or None when more bytes are needed."""
    if len(data) >= 3:
        size = int.from_bytes(data[:3], "big")
        need(HEAD + size <= (FIRST_MAX if first else LATER_MAX), "too_big")
        if len(data) >= HEAD + size:
            return data[3], data[HEAD:HEAD + size], data[HEAD + size:]
    return None


def read(kind, body):
    """(message, values); None for a type that is skipped."""
    if kind not in TYPES:
        need(kind >= 0x80, "protocol", "type %d" % kind)
        return None
    return TYPES[kind], message(TYPES[kind], body)


def message(name, body):
    try:
        return schema.decode(name, body, twice_ok=False)
    except schema.Malformed as error:
        raise Refused("bad_format", str(error)) from error


class Inbox:
    """Parts of signed roles: take() gives (kind, bytes) when one is whole."""

    def __init__(self):
        self.kind = self.total = None
        self.data = b""

    def take(self, part):
        need(1 <= part["total"] <= TOTALS.get(part["kind"], 0) and part["bytes"], "bad_field")
        need(part["offset"] + len(part["bytes"]) <= part["total"], "bad_field")
        if part["offset"] == 0:
            self.kind, self.total, self.data = part["kind"], part["total"], b""
        if (self.kind, self.total, len(self.data)) != (part["kind"], part["total"], part["offset"]):
            self.kind = None
            raise Refused("protocol", "not the next part")
        self.data += part["bytes"]
        return (self.kind, self.data) if len(self.data) == self.total else None
