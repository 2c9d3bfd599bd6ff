#!/usr/bin/env python3
"""Proof that proto/rules.py refuses a schema that does not keep to its own rules, and that a good one becomes the tables
and the page it should. A small schema is good; then one fault at a time is planted in it, and the program must refuse it
and name the place."""

import os
import shutil
import subprocess
import sys
import tempfile

HEAD = "syntax = \"proto3\";\npackage kinward.v1;\nimport \"kinward/v1/options.proto\";\n"
GOOD = {
    "content": HEAD + """
import "kinward/v1/shared.proto";
// What is sealed.
message Content {
  // Chosen by the author, 16 bytes. Required. Not personal.
  bytes message_id = 1 [(rule) = {required: true, min: 16, max: 16}];
  // When it was written. Required. Personal.
  int64 at_unix_ms = 2 [(rule) = {required: true, personal: true, time: true}];
  // What is said. Required.
  oneof body {
    // A report. Personal.
    Report report = 10 [(rule) = {required: true, personal: true}];
    // An answer. Not personal.
    Answer answer = 11 [(rule) = {required: true}];
  }
}
""",
    "shared": HEAD + """
// Colour of a flag.
enum Colour {
  // Not set.
  COLOUR_UNSPECIFIED = 0;
  // Red.
  COLOUR_RED = 1;
  // Blue | or nearly.
  COLOUR_BLUE = 2;
}
// One line of a report.
message Line {
  // The words, 1..40 bytes. Required. Personal.
  string words = 1 [(rule) = {required: true, personal: true, max: 40}];
  // The week, ISO 8601.
  string week = 2 [(rule) = {text: TEXT_FORM_WEEK}];
}
// A report.
message Report {
  option (across) = true;
  // Lines, 1..8. Required. Personal.
  repeated Line lines = 1 [(rule) = {required: true, personal: true, count_max: 8}];
  // Colour, RED or later. Required with lines that have a week.
  Colour colour = 2 [(rule) = {min: 1}];
  // How many, 3..50.
  uint32 count = 3 [(rule) = {min: 3, max: 50}];
  // What it looked like, 0..500 bytes, lines.
  string looks = 5 [(rule) = {max: 500, text: TEXT_FORM_LINES}];
  // True when somebody saw it.
  bool seen = 4 [(rule) = {}];
}
// An answer.
message Answer {
  // Digests, 0..2 of 32 bytes.
  repeated bytes digests = 1 [(rule) = {min: 32, max: 32, count_max: 2}];
}
// Nothing but a word.
message Word {
  // The word, 1..9 bytes.
  string word = 1 [(rule) = {max: 9}];
}
""",
    "frame": "syntax = \"proto3\";\npackage kinward.v1;\nimport \"kinward/v1/shared.proto\";\n" + """
// What a hub reads.
message Ack {
  // The word.
  Word word = 1;
  // No rule is needed here.
  uint64 sequence = 2;
}
""",
}

ROWS = """static const struct kw_rule REPORT[] = {
	{.field = "lines", .kind = KW_RULE_MESSAGE, .required = true, .count_max = 8},
	{.field = "colour", .kind = KW_RULE_ENUM, .min = 1},
	{.field = "count", .kind = KW_RULE_UINT, .min = 3, .max = 50},
	{.field = "seen", .kind = KW_RULE_BOOL},
	{.field = "looks", .kind = KW_RULE_LINES, .min = 1, .max = 500},
};
"""
# What the tables must hold of the good schema: rows in the order of field numbers, and the check across fields.
IN_TABLES = [
    ROWS,
    "\t{.field = \"message_id\", .kind = KW_RULE_BYTES, .required = true, .min = 16, .max = 16},\n",
    "\t{.field = \"at_unix_ms\", .kind = KW_RULE_TIME, .required = true},\n",
    "\t{.field = \"week\", .kind = KW_RULE_WEEK},\n",
    "\t{.field = \"digests\", .kind = KW_RULE_BYTES, .min = 32, .max = 32, .count_max = 2},\n",
    "\t{.descriptor = &kinward__v1__report__descriptor, .rules = REPORT, .count = 5, .across = kw_across_report},\n",
    "\t{.descriptor = &kinward__v1__line__descriptor, .rules = LINE, .count = 2},\n",
    "#include \"proto/wire/validate_across.h\"\n",
    "#include \"kinward/v1/shared.pb-c.h\"\n",
    "->field) > 21,",  # report.lines[7].words
]
NOT_IN_TABLES = ["WORD", "ACK", "frame.pb-c.h"]
IN_PAGE = [
    "| 2 | `colour` | [Colour](#colour) | one of its codes, COLOUR_RED or later |  | Colour, RED or later.",
    "| 1 | `lines` | [Line](#line), repeated | required, 1..8 times | personal |",
    "| 2 | `COLOUR_BLUE` | Blue \\| or nearly. |",
    "| 3 | `count` | uint32 | 3..50 |  |",
    "| [Line](#line) | kinward/v1/shared.proto | sealed, from agency to agency |",
    "| [Word](#word) | kinward/v1/shared.proto | read by hubs |",
    "| 10 | `report` | [Report](#report) | personal | A report. Personal. |",
]

# (claim, file, what stands there, what is planted instead, words of the refusal)
FAULTS = [
    ("a field without a comment", "shared", "  // How many, 3..50.\n", "", ["shared.proto:", "Report.count: has no comment"]),
    ("a field without a rule", "shared", "count = 3 [(rule) = {min: 3, max: 50}]", "count = 3",
     ["Report.count: has no rule"]),
    ("a message without a comment", "shared", "// An answer.\n", "", ["Answer: has no comment"]),
    ("a code without a comment", "shared", "  // Red.\n", "", ["Colour.COLOUR_RED: has no comment"]),
    ("Required. in the comment alone", "shared", "// How many, 3..50.", "// How many, 3..50. Required.",
     ["Report.count: the comment says \"Required.\" and the rule lacks `required`"]),
    ("required in the rule alone", "shared", "{min: 3, max: 50}", "{required: true, min: 3, max: 50}",
     ["Report.count: the comment does not say \"Required.\" and the rule has `required`"]),
    ("Personal. in the comment alone", "shared", "// How many, 3..50.", "// How many, 3..50. Personal: it tells.",
     ["Report.count: the comment says \"Personal.\" and the rule lacks `personal`"]),
    ("personal in the rule alone", "shared", "{min: 3, max: 50}", "{personal: true, min: 3, max: 50}",
     ["Report.count: the comment does not say \"Personal.\" and the rule has `personal`"]),
    ("a choice that says Required. and whose members do not", "content", "[(rule) = {required: true}];\n  }",
     "[(rule) = {}];\n  }", ["Content.answer: the comment says \"Required.\"", "Content.body: some of its members"]),
    ("a personal message that a hub reads", "frame", "Word word", "Line word",
     ["Line.words: is personal, but a hub reads Line"]),
    ("a personal field deep below what a hub reads", "frame", "Word word", "Report word",
     ["Line.words: is personal, but a hub reads Line"]),
    ("a comment that says Personal. where a hub reads", "frame", "// No rule is needed here.", "// Whose. Personal.",
     ["Ack.sequence: is personal, but a hub reads Ack"]),
    ("an excuse that nobody needs", "frame", "// What a hub reads.\n", "// Said.\nmessage Track {}\n// What a hub reads.\n",
     ["Track.other_agency: is excused in KNOWN_TO_HUBS without need"]),
    ("a type that holds itself", "shared", "  // How many, 3..50.\n  uint32 count = 3 [(rule) = {min: 3, max: 50}];",
     "  // The one before.\n  Report before = 3 [(rule) = {}];", ["Report: holds itself: Report > Report"]),
    ("a type that holds itself by way of another", "shared", "  string week = 2 [(rule) = {text: TEXT_FORM_WEEK}];",
     "  Report week = 2 [(rule) = {}];", ["holds itself: Report > Line > Report"]),
    ("an int64 that is no time", "content", ", time: true", "", ["Content.at_unix_ms: an int64 is a time here"]),
    ("a number of a type without a rule", "shared", "uint32 count = 3 [(rule) = {min: 3, max: 50}]",
     "double count = 3 [(rule) = {}]", ["Report.count: the validator knows no rule for the type double"]),
    ("a text without a limit", "shared", "{required: true, personal: true, max: 40}", "{required: true, personal: true}",
     ["Line.words: needs `max`"]),
    ("a limit where it means nothing", "shared", "{text: TEXT_FORM_WEEK}", "{text: TEXT_FORM_WEEK, max: 8}",
     ["Line.week: has `max`, which means nothing"]),
    ("a least above the most", "shared", "{min: 3, max: 50}", "{min: 51, max: 50}", ["Report.count: has a `min` above"]),
    ("a least above every code", "shared", "{min: 1}", "{min: 3}", ["Report.colour: has a `min` above every code"]),
    ("a repeat without a limit", "shared", ", count_max: 8", "", ["Report.lines: needs `count_max`"]),
    ("a limit of repeats where nothing repeats", "shared", "{min: 3, max: 50}", "{min: 3, max: 50, count_max: 2}",
     ["Report.count: has `count_max`, but does not repeat"]),
    ("a form on what is no text", "shared", "{min: 3, max: 50}", "{min: 3, max: 50, text: TEXT_FORM_LINES}",
     ["Report.count: `text` is for a string"]),
    ("a type inside another", "shared", "message Word {\n", "message Word {\n  // In.\n  message In {}\n",
     ["Word: has a type inside"]),
    ("an option that the program does not know", "options", "  bool time = 7;", "  bool time = 7;\n  bool odd = 10;",
     ["Rule.odd: proto/rules.py does not know it"]),
]


def run(root, schema, out):
    """(status, what was said) of the program on one schema."""
    folder = os.path.join(out, "kinward", "v1")
    os.makedirs(folder)
    for name, text in schema.items():
        with open(os.path.join(folder, name + ".proto"), "w", encoding="utf-8") as handle:
            handle.write(text)
    paths = [os.path.join(folder, name + ".proto") for name in sorted(schema)]
    protos = subprocess.run(["protoc-c", "--proto_path=" + out, "--include_imports", "--include_source_info",
                             "--descriptor_set_out=" + os.path.join(out, "set"), "--c_out=" + out] + paths,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if protos.returncode != 0:
        return -1, protos.stdout
    result = subprocess.run([sys.executable, "-B", os.path.join(root, "proto", "rules.py"), "--set", os.path.join(out, "set"),
                             "--tables", os.path.join(out, "tables.c"), "--markdown", os.path.join(out, "page.md"),
                             "--html", os.path.join(out, "page.html")],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return result.returncode, result.stdout


def read(path):
    with open(path, encoding="utf-8") as handle:
        return handle.read()


def main():
    root = os.path.abspath(sys.argv[1])
    good = dict(GOOD, options=read(os.path.join(root, "proto/kinward/v1/options.proto")))
    failures = []
    scratch = tempfile.mkdtemp(prefix="kinward-schema-")
    try:
        out = os.path.join(scratch, "good")
        status, said = run(root, good, out)
        if status != 0:
            failures.append("the good schema: status %d: %s" % (status, said))
        else:
            made = read(os.path.join(out, "tables.c"))
            page = read(os.path.join(out, "page.md"))
            failures += ["the tables lack %r" % text for text in IN_TABLES if text not in made]
            failures += ["the tables hold %r" % text for text in NOT_IN_TABLES if text in made]
            failures += ["the page lacks %r" % text for text in IN_PAGE if text not in page]
        for number, (claim, file, old, new, words) in enumerate(FAULTS):
            if good[file].count(old) != 1:
                failures.append("%s: the place to plant it is not there once: %r" % (claim, old))
                continue
            out = os.path.join(scratch, str(number))
            status, said = run(root, dict(good, **{file: good[file].replace(old, new)}), out)
            if status != 1 or any(text not in said for text in words):
                failures.append("%s: status %d, expected 1 and %r:\n%s" % (claim, status, words, said))
            if os.path.exists(os.path.join(out, "tables.c")):
                failures.append("%s: tables were written all the same" % claim)
    finally:
        shutil.rmtree(scratch)
    print("".join("schema_faults: %s\n" % line for line in failures), end="")
    print("schema_faults: %d fault(s) planted, %d failed" % (len(FAULTS), len(failures)))
    sys.exit(1 if failures else 0)


main()
