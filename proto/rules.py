#!/usr/bin/env python3
"""From the schema's options to the validator's tables, and to the reference page. The build calls it:

    rules.py --set SET --tables OUT.c --comments OUT.c --markdown OUT.md --html OUT.html

SET is what `protoc-c --include_imports --include_source_info --descriptor_set_out` wrote. Each breach of the schema's own
rules is one line on standard error, and then nothing is written and the exit status is 1:

    proto/kinward/v1/types.proto:23: Consent.tracing: what is wrong; what to do
"""

import argparse
import os
import re
import sys

import schema_page
from schema_set import Broken, Schema

# Where messages begin their way. A message goes the way of each root that it is reachable from.
SEALED_ROOTS = ["Content", "AuthBlock", "Claims"]
HUB_ROOTS = ["Envelope", "Header", "Slot", "Directory", "SignedRole", "RootRole", "SnapshotRole",
             "TimestampRole", "DirectoryDelta"]
HUB_FILES = ["kinward/v1/frame.proto"]
LOCAL_ROOTS = ["LocalRequest", "LocalReply"]
# Personal, and in a message that a hub reads or writes all the same; each needs its reason.
KNOWN_TO_HUBS = {
    "Track.other_agency": "a hub delivers between the two and watches the thread's clocks for both",
    "Reminder.agency": "the hub tells each of them who has to act",
    "Reminder.other_agency": "as above",
    "Reminder.case_ref": "empty on the way: the agent fills it in for its own inbox",
    "Reminder.phones": "empty on the way: the agent fills them in for its own inbox",
}

# The fields of Rule that this program understands; a new one must be taught here, or it would hold nobody.
RULE_FIELDS = {"required", "personal", "min", "max", "count_max", "text", "time"}
TEXT_FORM = "TEXT_FORM_"
SIZED_TEXTS = {"LINE", "LINES", "PHONE", "WIRE_NAME"}

# "Required with SCHEDULED" is not the mark: that is for the check across fields.
REQUIRED_MARK = re.compile(r"(?:^|[.;:] )Required[.:]")


def snake(name):
    """As protoc-c does it: UascRegistration is uasc_registration."""
    return re.sub(r"(?<=[^A-Z_])(?=[A-Z])", "_", name).lower()


def reach(roots):
    """Every message reachable from the roots, each before those that it uses, by type."""
    found, order = set(), []

    def visit(message):
        if message.name in found:
            return
        found.add(message.name)
        order.append(message)
        for field in message.fields:
            if field.kind == "message" and field.type is not None:
                visit(field.type)

    for root in roots:
        visit(root)
    return order


def rule_kind(field):
    """The engine's name of the kind (proto/wire/validate.h), or None when there is none for such a field."""
    if field.kind in ("message", "enum", "bool", "bytes"):
        return field.kind.upper()
    if field.kind == "uint32":
        return "UINT"
    if field.kind == "int64":
        return "TIME"
    if field.kind == "string":
        form = field.rule["text"][len(TEXT_FORM):]
        return "LINE" if form == "UNSPECIFIED" else form
    return None


class Check:
    """What the schema itself must keep to. The breaches pile up in `breaches`."""

    def __init__(self, schema):
        self.schema = schema
        self.breaches = []

    def breach(self, thing, name, what):
        self.breaches.append("%s: %s: %s" % (thing.where, name, what))

    def run(self):
        known = {field.name for field in self.schema.messages["Rule"].fields}
        for name in sorted(known ^ RULE_FIELDS):
            self.breaches.append("proto/kinward/v1/options.proto:1: Rule.%s: proto/rules.py does not know it, or misses it; "
                                 "teach it what the field means" % name)
        roots = [self.schema.messages[name] for name in SEALED_ROOTS[:1] if name in self.schema.messages]
        if not roots:
            self.breaches.append("proto/kinward/v1/content.proto:1: there is no message Content; it is where the rules begin")
        if self.breaches:
            return self.breaches
        for message in self.schema.messages.values():
            self.message(message)
        if not self.recursion(roots[0], []):
            for message in reach(roots):
                self.below_content(message)
        self.hubs()
        return self.breaches

    def hubs(self):
        """Nothing personal where a hub can read it, but what it must know."""
        open_to_hubs = set()
        for message in reach(self.hub_roots()):
            for field in message.fields:
                if not schema_page.is_personal(field):
                    continue
                open_to_hubs.add(self.name(field))
                if self.name(field) not in KNOWN_TO_HUBS:
                    self.breach(field, self.name(field), "is personal, but a hub reads %s; seal it, or take the field out of "
                                "what travels in clear" % message.name)
        for name in sorted(set(KNOWN_TO_HUBS) - open_to_hubs):
            if name.split(".")[0] in self.schema.messages:
                self.breaches.append("proto/rules.py:1: %s: is excused in KNOWN_TO_HUBS without need; take it out" % name)

    def hub_roots(self):
        schema = self.schema
        roots = [message for file in schema.files if file.path in HUB_FILES for message in file.messages]
        return roots + [schema.messages[name] for name in HUB_ROOTS if name in schema.messages]

    @staticmethod
    def name(field):
        return "%s.%s" % (field.message.name, field.name)

    def message(self, message):
        """What holds for every message, wherever it travels."""
        if message.nests:
            self.breach(message, message.name, "has a type inside; give that type a place of its own in the file")
        if not message.comment:
            self.breach(message, message.name, "has no comment; say what it is and who sends it")
        for field in message.fields:
            if field.rule is not None:
                self.marks(field)

    def recursion(self, message, path):
        """True, and a breach, when a type holds itself: the engine's recursion must end with the schema's depth."""
        if message in path:
            loop = path[path.index(message):] + [message]
            self.breach(message, message.name, "holds itself: %s; name the other by an id instead" %
                        " > ".join(one.name for one in loop))
            return True
        below = [field.type for field in message.fields if field.kind == "message" and field.type is not None]
        return any([self.recursion(one, path + [message]) for one in dict.fromkeys(below)])

    def below_content(self, message):
        for field in message.fields:
            if not field.comment:
                self.breach(field, self.name(field), "has no comment; say its meaning, unit, code list and whether it is "
                            "personal")
            if field.rule is None:
                self.breach(field, self.name(field), "has no rule; write [(rule) = {...}], or [(rule) = {}] when anything goes")
            else:
                self.rule(field)
            if field.kind == "enum" and field.type is not None:
                self.enum(field)
        for oneof in message.oneofs:
            members = [field for field in message.fields if field.oneof is oneof and field.rule is not None]
            if len({field.rule["required"] for field in members}) > 1:
                self.breach(oneof, "%s.%s" % (message.name, oneof.name), "some of its members are required and some are not; "
                            "`required` on a member means that one of all must be set, so say it on all or on none")

    def enum(self, field):
        for code in field.type.codes:
            if not code.comment:
                self.breach(code, "%s.%s" % (field.type.name, code.name), "has no comment; say what the code means")

    def marks(self, field):
        """What the comment says to people is what the rule says to the engine."""
        said = field.comment if field.oneof is None else field.oneof.comment
        for name, mark, text in (("required", REQUIRED_MARK, said), ("personal", schema_page.PERSONAL_MARK, field.comment)):
            if bool(mark.search(text)) != field.rule[name]:
                self.breach(field, self.name(field), "the comment %s \"%s.\" and the rule %s `%s`; correct one of them" % (
                    "says" if mark.search(text) else "does not say", name.capitalize(),
                    "has" if field.rule[name] else "lacks", name))

    def rule(self, field):
        rule, kind = field.rule, rule_kind(field)

        def wrong(what):
            self.breach(field, self.name(field), what)

        if kind is None or (field.kind in ("message", "enum") and field.type is None):
            wrong("the validator knows no rule for the type %s; use uint32, int64 for a time, bool, bytes, string, or a "
                  "message or enum of ours" % field.kind)
            return
        if field.kind == "int64" and not rule["time"]:
            wrong("an int64 is a time here; say `time: true`, or make it a uint32")
        if field.kind != "int64" and rule["time"]:
            wrong("`time` is for an int64 of milliseconds since 1970")
        if field.kind != "string" and rule["text"] != TEXT_FORM + "UNSPECIFIED":
            wrong("`text` is for a string")
        if field.repeated != (rule["count_max"] > 0):
            wrong("needs `count_max`, because it repeats" if field.repeated else "has `count_max`, but does not repeat")
        sized = kind in SIZED_TEXTS or kind in ("UINT", "BYTES")
        if sized and rule["max"] == 0:
            wrong("needs `max`: everything has a limit")
        if not sized and rule["max"] > 0:
            wrong("has `max`, which means nothing for its type or form; take it out")
        if not sized and kind != "ENUM" and rule["min"] > 0:
            wrong("has `min`, which means nothing for its type or form; take it out")
        if sized and rule["min"] > rule["max"] > 0:
            wrong("has a `min` above its `max`; correct one of them")
        if kind == "ENUM" and rule["min"] > max(code.number for code in field.type.codes):
            wrong("has a `min` above every code; correct it")


def longest_path(message):
    """Bytes of the longest path that a fault below this message can name. An element over the limit is never named."""
    longest = 0
    for field in message.fields:
        size = len(field.name) + (len("[%d]" % (field.rule["count_max"] - 1)) if field.repeated else 0)
        if field.kind == "message":
            size += 1 + longest_path(field.type)
        longest = max(longest, size)
    return longest


def row(field):
    rule, kind = field.rule, rule_kind(field)
    parts = ['.field = "%s"' % field.name, ".kind = KW_RULE_%s" % kind]
    if rule["required"]:
        parts.append(".required = true")
    least = rule["min"]
    if least == 0 and (kind in SIZED_TEXTS or kind == "BYTES"):
        least = 1  # a text that is given is not empty
    if least > 0:
        parts.append(".min = %d" % least)
    if rule["max"] > 0:
        parts.append(".max = %d" % rule["max"])
    if rule["count_max"] > 0:
        parts.append(".count_max = %d" % rule["count_max"])
    return "\t{%s}," % ", ".join(parts)


def tables(schema):
    """The text of validate_rules.c."""
    content = schema.messages[SEALED_ROOTS[0]]
    messages = reach([content])
    out = ["/* Made by proto/rules.py from proto/kinward/v1: change the rule where the field is. */", "",
           '#include "proto/wire/validate.h"', ""]
    out += ['#include "%s.pb-c.h"' % path[:-len(".proto")] for path in sorted({one.file.path for one in messages})]
    if any(message.across for message in messages):
        out.append('#include "proto/wire/validate_across.h"')
    out += ["", "_Static_assert(sizeof(((struct kw_fault *)NULL)->field) > %d," % longest_path(content),
            '\t"the longest path of a field fits a fault");']
    for message in messages:
        if message.fields:
            out += ["", "static const struct kw_rule %s[] = {" % snake(message.name).upper()]
            out += [row(field) for field in message.fields]
            out.append("};")
    out += ["", "static const struct kw_rule_set SETS[] = {"]
    for message in messages:
        name = snake(message.name)
        rules = ".rules = %s, .count = %d" % (name.upper(), len(message.fields)) if message.fields else ".count = 0"
        across = ", .across = kw_across_%s" % name if message.across else ""
        out.append("\t{.descriptor = &kinward__v1__%s__descriptor, %s%s}," % (name, rules, across))
    out += ["};", "", "const struct kw_rule_set *kw_validate_rules(const ProtobufCMessageDescriptor *descriptor)", "{",
            "\tfor (unsigned i = 0; i < sizeof(SETS) / sizeof(SETS[0]); i++)", "\t\tif (SETS[i].descriptor == descriptor)",
            "\t\t\treturn &SETS[i];", "\treturn NULL;", "}", ""]
    return "\n".join(out)


# What a comment says by a mark is said by the rule as well, and a sheet has times that people can read.
MARK_SENTENCE = re.compile(r"(?:^|(?<=[.;:]) )(?:Required|Personal|Not personal)\.")


def plain_comment(field):
    """The comment of a field for a person who fills in a sheet."""
    text = MARK_SENTENCE.sub("", field.comment).replace(", milliseconds since 1970", "").strip()
    text = text.replace(", lines", ", line breaks allowed")
    return text[:1].upper() + text[1:]


def comments(schema):
    """The text of comments.c."""
    messages = [message for message in reach([schema.messages[SEALED_ROOTS[0]]]) if message.fields]
    out = ["/* Made by proto/rules.py from proto/kinward/v1: change the comment where the field is. */", "",
           '#include "proto/wire/comments.h"', ""]
    out += ['#include "%s.pb-c.h"' % path[:-len(".proto")] for path in sorted({one.file.path for one in messages})]
    for message in messages:
        out += ["", "static const char *const %s[] = {" % snake(message.name).upper()]
        out += ['\t"%s",' % plain_comment(field).replace("\\", "\\\\").replace('"', '\\"') for field in message.fields]
        out.append("};")
    out += ["", "static const struct {", "\tconst ProtobufCMessageDescriptor *type;", "\tconst char *const *comments;",
            "} SETS[] = {"]
    for message in messages:
        name = snake(message.name)
        out.append("\t{&kinward__v1__%s__descriptor, %s}," % (name, name.upper()))
    out += ["};", "", "const char *kw_schema_comment(const ProtobufCMessageDescriptor *type, unsigned field)", "{",
            "\tfor (unsigned i = 0; field < type->n_fields && i < sizeof(SETS) / sizeof(SETS[0]); i++)",
            "\t\tif (SETS[i].type == type)", "\t\t\treturn SETS[i].comments[field];", "\treturn \"\";", "}", ""]
    return "\n".join(out)


def ways(schema, check):
    """{message name: how it travels, in words}"""
    def below(names):
        return {one.name for one in reach([schema.messages[name] for name in names if name in schema.messages])}

    sealed, local = below(SEALED_ROOTS), below(LOCAL_ROOTS)
    hub = {one.name for one in reach(check.hub_roots())}
    said = {}
    for name in schema.messages:
        said[name] = [text for text, group in (
            ("sealed, from agency to agency", sealed),
            ("read by hubs", hub),
            ("on the agent's local socket", local)) if name in group]
    return said


def write(path, text):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(text)


def main():
    parser = argparse.ArgumentParser(description="the validator's tables and the schema's page, from the schema")
    parser.add_argument("--set", required=True, help="the descriptor set")
    parser.add_argument("--tables", help="C file to write")
    parser.add_argument("--comments", help="C file of the fields' comments to write")
    parser.add_argument("--markdown", help="reference page to write")
    parser.add_argument("--html", help="the same as HTML")
    options = parser.parse_args()
    try:
        with open(options.set, "rb") as handle:
            schema = Schema(handle.read())
    except (Broken, OSError) as error:
        sys.exit("%s: %s" % (options.set, error))
    check = Check(schema)
    breaches = check.run()
    if breaches:
        sys.stderr.write("".join(line + "\n" for line in breaches))
        sys.exit(1)
    if options.tables:
        write(options.tables, tables(schema))
    if options.comments:
        write(options.comments, comments(schema))
    page = schema_page.Page(schema, ways(schema, check))
    if options.markdown:
        write(options.markdown, page.markdown())
    if options.html:
        write(options.html, page.html())


if __name__ == "__main__":
    main()
