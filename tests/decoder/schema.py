"""The messages of proto/kinward/v1, read from the .proto files themselves, and protobuf's wire format.

decode() takes what any protobuf reader takes; exact() also demands the one encoding of PROTOCOL.md, "Encoding"."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parents[2] / "proto" / "kinward" / "v1"
FIELD = re.compile(r"^\s*(repeated\s+|optional\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*;")
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
NUMBERS = {"uint32": 32, "uint64": 64, "int64": 64, "int32": 32, "bool": 1}


class Malformed(Exception):
    """The bytes are no message of this schema, or not in its one encoding."""


class Field:
    def __init__(self, number, name, kind, repeated):
        self.number, self.name, self.kind, self.repeated = number, name, kind, repeated


def _load():
    messages, enums = {}, {}
    for path in sorted(HERE.glob("*.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        text = re.sub(r"\[[^\]]*\]", "", text)  # rules of the fields, which have braces
        depth, current, kind = 0, None, None
        for statement in re.finditer(r"[^;{}]*[;{}]", text):
            part = statement.group().strip()
            opening = re.match(r"(message|enum|oneof|extend)\s+(\w[\w.]*)\s*\{$", part)
            if opening and opening[1] in ("message", "enum"):
                kind, current = opening[1], opening[2]
                (messages if kind == "message" else enums)[current] = {}
                depth = 1
            elif part.endswith("{"):
                depth += 1
                if opening and opening[1] == "extend":
                    kind = None
            elif part == "}":
                depth -= 1
                if depth == 0:
                    current = None
            elif current and kind == "enum":
                value = re.match(r"(\w+)\s*=\s*(\d+)", part)
                if value:
                    enums[current][int(value[2])] = value[1]
            elif current and kind == "message":
                if part.startswith(("option ", "reserved ")):
                    continue
                found = FIELD.match(part)
                if not found:
                    raise ValueError("%s: not understood: %s" % (path.name, part))
                field = Field(int(found[4]), found[3], found[2], (found[1] or "").strip() == "repeated")
                messages[current][field.number] = field
    return messages, enums


MESSAGES, ENUMS = _load()


def varint(data, at):
    """The number and the place after it. A longer form than needed is malformed to all readers here."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("an integer is cut short or too long")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if value >> 64 or (byte == 0 and shift):
        raise Malformed("an integer is not in its shortest form")
    return value, at


def fields(data):
    """Yields (number, wire type, value)."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 1 <= number <= 0x1FFFFFFF:
            raise Malformed("field number %d" % number)
        if kind == VARINT:
            value, at = varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
            if at + size > len(data):
                raise Malformed("cut short")
            value, at = int.from_bytes(data[at:at + size], "little"), at + size
        elif kind == BYTES:
            size, at = varint(data, at)
            if size > len(data) - at:
                raise Malformed("cut short")
            value, at = data[at:at + size], at + size
        else:
            raise Malformed("wire type %d" % kind)
        yield number, kind, value


def _number(kind, value):
    if kind == "bool":
        return value != 0
    if kind == "int64":
        return value - (1 << 64) if value >> 63 else value
    return value if kind == "uint64" else value & 0xFFFFFFFF


def _value(kind, wire, value, **how):
    if kind in NUMBERS or kind in ENUMS:
        if wire != VARINT:
            raise Malformed("wire type of a number")
        return _number(kind, value)
    if kind in ("fixed64", "fixed32"):
        if wire != (FIXED64 if kind == "fixed64" else FIXED32):
            raise Malformed("wire type of a fixed number")
        return value
    if wire != BYTES:
        raise Malformed("wire type of bytes")
    if kind == "bytes":
        return value
    if kind == "string":
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a string is not UTF-8") from error
    return decode(kind, value, **how)


def _unpack(kind, data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield _number(kind, value)


def empty(message):
    zero = {"string": "", "bytes": b"", "bool": False}
    return {f.name: [] if f.repeated else None if f.kind in MESSAGES else zero.get(f.kind, 0)
            for f in MESSAGES[message].values()}


def decode(message, data, unknown_ok=True, twice_ok=True):
    """A dictionary with every field of the schema; a message that is absent is None."""
    out, seen = empty(message), set()
    how = {"unknown_ok": unknown_ok, "twice_ok": twice_ok}
    for number, wire, value in fields(data):
        field = MESSAGES[message].get(number)
        if field is None:
            if not unknown_ok:
                raise Malformed("field %d of %s" % (number, message))
            continue
        if not field.repeated and number in seen and not twice_ok:
            raise Malformed("field %d of %s comes twice" % (number, message))
        seen.add(number)
        if field.repeated and wire == BYTES and (field.kind in NUMBERS or field.kind in ENUMS):
            out[field.name].extend(_unpack(field.kind, value))
        elif field.repeated:
            out[field.name].append(_value(field.kind, wire, value, **how))
        else:
            out[field.name] = _value(field.kind, wire, value, **how)
    return out


def put_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _put(field, value):
    kind = field.kind
    if kind in NUMBERS or kind in ENUMS:
        return put_varint(field.number << 3 | VARINT) + put_varint(int(value) & 0xFFFFFFFFFFFFFFFF)
    if kind in ("fixed64", "fixed32"):
        size, wire = (8, FIXED64) if kind == "fixed64" else (4, FIXED32)
        return put_varint(field.number << 3 | wire) + value.to_bytes(size, "little")
    data = value if kind == "bytes" else value.encode("utf-8") if kind == "string" else encode(kind, value)
    return put_varint(field.number << 3 | BYTES) + put_varint(len(data)) + data


def encode(message, values):
    """The one encoding."""
    out = b""
    for number, field in sorted(MESSAGES[message].items()):
        value = values.get(field.name)
        if field.repeated and (field.kind in NUMBERS or field.kind in ENUMS):
            if value:
                packed = b"".join(put_varint(int(v) & 0xFFFFFFFFFFFFFFFF) for v in value)
                out += put_varint(number << 3 | BYTES) + put_varint(len(packed)) + packed
        elif field.repeated:
            out += b"".join(_put(field, v) for v in value or [])
        elif value is not None and value not in (0, "", b"", False):
            out += _put(field, value)
    return out


def exact(message, data):
    """Decodes what has the one encoding and refuses all else."""
    values = decode(message, data, unknown_ok=False)
    if encode(message, values) != data:
        raise Malformed("%s is not in its one encoding" % message)
    return values
