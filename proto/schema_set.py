"""Reads what `protoc-c --descriptor_set_out` writes (google/protobuf/descriptor.proto): messages, enums, their comments, and
our own options from kinward/v1/options.proto. The standard library is enough for the few kinds of field in it, so the
build asks no Python package of anybody."""

import struct

PACKAGE = "kinward.v1"
KINDS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string",
         11: "message", 12: "bytes", 13: "uint32", 14: "enum", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64"}
REPEATED = 3


class Broken(Exception):
    """The descriptor set is not what this reader knows."""


def _varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Broken("a number is cut off")
        value |= (data[at] & 0x7f) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def decode(data):
    """{field number: [value, ...]} of one encoded message; a value is a number or bytes."""
    found, at = {}, 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        elif tag & 7 == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            raise Broken("wire type %d" % (tag & 7))
        if at > len(data):
            raise Broken("a field is cut off")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _numbers(values):
    """A repeated int32, packed or not."""
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            out.append(number)
    return out


def _text(fields, number):
    return fields[number][-1].decode("utf-8") if number in fields else ""


def _int(fields, number, default=0):
    return fields[number][-1] if number in fields else default


class Thing:
    """A file, message, field, oneof, enum or code: where it stands and what its comment says."""

    def __init__(self, file, path, name):
        self.file, self.name = file, name
        self.line, comment = file.places.get(path, (1, "")) if path else (1, "")
        self.comment = " ".join(comment.split())

    @property
    def where(self):
        return "proto/%s:%d" % (self.file.path, self.line)


class File:
    def __init__(self, fields):
        self.path = _text(fields, 1)
        self.package = _text(fields, 2)
        self.places, self.head = {}, ""
        for raw in decode(fields[9][-1]).get(1, []) if 9 in fields else []:
            place = decode(raw)
            path = tuple(_numbers(place.get(1, [])))
            span = _numbers(place.get(2, [0]))
            # A comment behind the field on its own line says what it means, too.
            self.places[path] = (span[0] + 1, _text(place, 3) or _text(place, 4))
            if path == (12,):  # the `syntax` line: what stands above it is about the file
                self.head = _text(place, 3)
        self.messages, self.enums = [], []


class Enum(Thing):
    def __init__(self, file, path, fields):
        super().__init__(file, path, _text(fields, 1))
        self.codes = []
        for index, raw in enumerate(fields.get(2, [])):
            value = decode(raw)
            code = Thing(file, path + (2, index), _text(value, 1))
            code.number = _int(value, 2)
            self.codes.append(code)


class Field(Thing):
    def __init__(self, message, path, fields):
        super().__init__(message.file, path, _text(fields, 1))
        self.message = message
        self.number = _int(fields, 3)
        self.repeated = _int(fields, 4) == REPEATED
        self.kind = KINDS.get(_int(fields, 5), "group")
        self.type_name = _text(fields, 6)  # ".kinward.v1.Consent"
        self.type = None                   # the Message or Enum of that name
        self.oneof = message.oneofs[_int(fields, 9)] if 9 in fields else None
        self.options = decode(fields[8][-1]) if 8 in fields else {}
        self.rule = None                   # {name of Rule's field: value}, or None when it has no rule


class Message(Thing):
    def __init__(self, file, path, fields):
        super().__init__(file, path, _text(fields, 1))
        self.nests = 3 in fields or 4 in fields
        self.options = decode(fields[7][-1]) if 7 in fields else {}
        self.across = False
        self.oneofs = [Thing(file, path + (8, index), _text(decode(raw), 1)) for index, raw in enumerate(fields.get(8, []))]
        self.fields = [Field(self, path + (2, index), decode(raw)) for index, raw in enumerate(fields.get(2, []))]
        self.fields.sort(key=lambda field: field.number)


class Schema:
    """Everything in our package. `messages` and `enums` are by name, `files` in the order of their paths."""

    def __init__(self, data):
        self.files, self.messages, self.enums, self.extensions = [], {}, {}, {}
        for raw in decode(data).get(1, []):
            fields = decode(raw)
            file = File(fields)
            if file.package != PACKAGE:
                continue
            self.files.append(file)
            file.messages = [Message(file, (4, index), decode(one)) for index, one in enumerate(fields.get(4, []))]
            file.enums = [Enum(file, (5, index), decode(one)) for index, one in enumerate(fields.get(5, []))]
            self.messages.update((message.name, message) for message in file.messages)
            self.enums.update((enum.name, enum) for enum in file.enums)
            for one in fields.get(7, []):
                extension = decode(one)
                self.extensions[_text(extension, 1)] = _int(extension, 3)
        self.files.sort(key=lambda file: file.path)
        for name in ("rule", "across"):
            if name not in self.extensions:
                raise Broken("there is no option `%s`; kinward/v1/options.proto must be among the files" % name)
        for message in self.messages.values():
            message.across = bool(_int(message.options, self.extensions["across"]))
            for field in message.fields:
                self._complete(field)

    def _complete(self, field):
        prefix = ".%s." % PACKAGE
        if field.type_name.startswith(prefix):
            name = field.type_name[len(prefix):]
            field.type = self.messages.get(name) or self.enums.get(name)
        number = self.extensions["rule"]
        if number in field.options:
            # A rule that is given in several pieces is their sum.
            field.rule = self._options(self.messages["Rule"], b"".join(field.options[number]))

    def _options(self, message, data):
        given, values = decode(data), {}
        for one in message.fields:
            value = _int(given, one.number)
            if one.kind == "enum":
                value = next(code.name for code in one.type.codes if code.number == value)
            values[one.name] = bool(value) if one.kind == "bool" else value
        return values
