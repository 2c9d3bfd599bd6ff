#!/usr/bin/env python3
"""Calls that nobody should have to review again, and unfinished work without a reason."""

import re

from _rules import Report, blank, c_files, files, read, root_from_argv

# call -> what to do instead
BANNED = {
    "strcpy": "copy with a size: memcpy after a check, or snprintf",
    "stpcpy": "copy with a size: memcpy after a check, or snprintf",
    "strcat": "build with snprintf or struct kw_buf",
    "strncpy": "it may leave the terminator out: memcpy after a check, or snprintf",
    "strncat": "build with snprintf or struct kw_buf",
    "sprintf": "use snprintf and check what it returns",
    "vsprintf": "use vsnprintf and check what it returns",
    "strtok": "walk with strchr or strtok_r",
    "gets": "use fgets or getline",
    "scanf": "parse by hand: its overflow is undefined",
    "sscanf": "parse by hand: its overflow is undefined",
    "atoi": "use strtol and check the end and the range",
    "atol": "use strtol and check the end and the range",
    "atof": "use strtod and check the end",
    "rand": "use RAND_bytes for secrets, the seed in the event for the core",
    "srand": "use RAND_bytes for secrets, the seed in the event for the core",
    "random": "use RAND_bytes for secrets, the seed in the event for the core",
    "localtime": "use gmtime_r",
    "gmtime": "use gmtime_r",
    "ctime": "use strftime with gmtime_r",
    "asctime": "use strftime with gmtime_r",
    "tmpnam": "use mkstemp",
    "mktemp": "use mkstemp",
    "alloca": "a bounded array, or the heap",
    "setjmp": "return an error",
    "longjmp": "return an error",
    "assert": "use KW_ASSERT, which stays on in release",
    "system": "use uv_spawn or posix_spawn without a shell",
    "popen": "use uv_spawn or posix_spawn without a shell",
}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
TEXT_ENDINGS = (".c", ".h", ".py", ".sh", ".js", ".mjs", ".proto", ".txt", ".cmake", ".md", ".html", ".css", ".yaml",
                ".yml", ".service", ".scd")
REASON = re.compile(r"\bbecause\b|\buntil\b|https?://", re.IGNORECASE)

# These pages state the rule and so must name the words.
MAY_NAME_THE_WORDS = {"CONVENTIONS.md", "tests/rules/banned.py", "tests/rules/selftest.py"}


def main():
    root = root_from_argv()
    report = Report("banned")
    for name in c_files(root, ["proto", "broker", "agent", "tests"]):
        report.looked_at += 1
        text = blank(read(root, name))
        for hit in CALL.finditer(text):
            line = text.count("\n", 0, hit.start()) + 1
            report.breach(name, line, "%s() is banned; %s" % (hit.group(1), BANNED[hit.group(1)]))
    for name in files(root):
        if not name.endswith(TEXT_ENDINGS) or name in MAY_NAME_THE_WORDS:
            continue
        for number, line in enumerate(read(root, name).split("\n"), 1):
            hit = UNFINISHED.search(line)
            if hit and not REASON.search(line):
                report.breach(name, number, "%s without a reason; finish it, or say on the same line what is missing and "
                                            "because of what" % hit.group(1))
    report.finish()


main()
