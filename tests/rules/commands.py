#!/usr/bin/env python3
"""Every command of kinward has its entry in the manual page, and the manual has no other."""

import re

from _rules import Report, blank, files, read, root_from_argv

SOURCE = "agent/cli/commands.c"
MANUAL = "deploy/man/kinward.1.scd"

COMMAND = re.compile(r'\{\.name = "([a-z -]+)",\s*\.args = "([^"]*)"')
# Some take what to do as their first argument.
VERBS = re.compile(r"[a-z]+(\|[a-z]+)*(?= |$)")
# An entry begins at the margin; what it explains is indented.
ENTRY = re.compile(r"^\*[a-z]", re.MULTILINE)
NAME = re.compile(r"\*([a-z][a-z -]*)\*")
# Words of the program itself, without a row.
BUILT_IN = {"help", "version"}


def source_commands(text):
    names = set()
    for name, args in COMMAND.findall(text):
        verbs = VERBS.match(args)
        names |= {"%s %s" % (name, verb) for verb in verbs.group(0).split("|")} if verbs else {name}
    return names


def manual_commands(text):
    """Names at the head of the entries, with their lines. Options are bold as well, and begin with --."""
    names, inside = {}, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("# "):
            inside = line == "# COMMANDS"
        elif inside and ENTRY.match(line):
            for name in NAME.findall(line):
                names.setdefault(name, number)
    return names


def main():
    root = root_from_argv()
    report = Report("commands")
    present = set(files(root))
    missing = [name for name in (SOURCE, MANUAL) if name not in present]
    for name in missing:
        report.breach(name, 1, "the commands cannot be compared without it")
    if not missing:
        report.looked_at = 2
        wanted = source_commands(blank(read(root, SOURCE), keep_strings=True)) | BUILT_IN
        if wanted == BUILT_IN:
            report.breach(SOURCE, 1, "names no command; teach tests/rules/commands.py how it does now")
        told = manual_commands(read(root, MANUAL))
        for name in sorted(wanted - set(told) - BUILT_IN):
            report.breach(MANUAL, 1, "section COMMANDS lacks kinward %s; say what it does and its options" % name)
        for name in sorted(set(told) - wanted):
            report.breach(MANUAL, told[name], "section COMMANDS has %s, which %s has not; take it out" % (name, SOURCE))
    report.finish()


main()
