#!/usr/bin/env python3
"""The reference page of the schema, as built, names each message with each of its fields, and each code: whoever adds one
to a .proto finds it on the page. The .proto files are read here as text, not by what makes the page."""

import os
import re
import sys

from _rules import Report, files, read, root_from_argv

DECLARED = re.compile(r"^(message|enum) (\w+) \{|^\s+(?:repeated )?([\w.]+) (\w+) = (\d+)\s*(?:\[|;)|^\s+([A-Z]\w*) = (\d+);",
                      re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*")


def sections(page):
    """{heading: the text below it}"""
    parts = re.split(r"^### (\w+)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def main():
    root = root_from_argv()
    report = Report("schema_page")
    protos = [name for name in files(root) if re.match(r"proto/kinward/v1/\w+\.proto$", name)
              and not name.endswith("/options.proto")]
    page_path = os.path.join(sys.argv[2], "doc", "schema.md") if len(sys.argv) > 2 else ""
    page = {}
    if protos and os.path.exists(page_path):
        with open(page_path, encoding="utf-8") as handle:
            page = sections(handle.read())
    for name in protos:
        report.looked_at += 1
        text = COMMENT.sub("", read(root, name))
        within = ""
        for hit in DECLARED.finditer(text):
            line = text.count("\n", 0, hit.start()) + 1
            _, declared, kind, field, number, code, code_number = hit.groups()
            if declared:
                within = declared
                wanted, what = "\n", declared
            elif field:
                wanted, what = "\n| %s | `%s` | " % (number, field), "%s.%s (%s)" % (within, field, kind)
            else:
                wanted, what = "\n| %s | `%s` | " % (code_number, code), "%s.%s" % (within, code)
            if wanted not in page.get(within, ""):
                report.breach(name, line, "%s is not on the page doc/schema.md; see why proto/rules.py leaves it out" % what)
    report.finish()


main()
