#!/usr/bin/env python3
"""Every key that a configuration file may have stands in README's table, in the manual page and in the example, and no
other key does. Whoever sets up a hub or an agency reads one of the three, and never the source."""

import re

from _rules import Report, blank, files, read, root_from_argv

# (file, sources of its keys, manual page, heading of its keys there, example)
CONFIGS = [
    ("agent.yaml", "agent/shell/settings.c", "deploy/man/kinward-agent.1.scd", "CONFIGURATION", "deploy/examples/agent.yaml"),
    ("broker.yaml", "broker/shell/config.c", "deploy/man/kinward-broker.1.scd", "SETTINGS", "deploy/examples/broker.yaml"),
]
# The clocks are keys inside one: the manual and the example name each.
CLOCKS = "broker/shell/config_clocks.c"

FIELD = re.compile(r'\bCYAML_FIELD_[A-Z_]+\(\s*"([a-z_0-9]+)"')
CLOCK = re.compile(r'^\tCLOCK\("([a-z_]+)"', re.MULTILINE)
MANUAL_LINE = re.compile(r"^\*[a-z_0-9]+\*(, \*[a-z_0-9]+\*)*( \(required\))?$")
EXAMPLE_LINE = re.compile(r"^(?:# )?([a-z_0-9]+):(?: |$)")


def readme_keys(text, config):
    """Keys of the table that follows the line beginning with the file's name, with their lines."""
    keys, table = {}, None
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("`%s`" % config):
            table = 0
        elif table is not None and line.startswith("|"):
            table += 1
            if table > 2:  # below the head and the rule
                for key in line.split("|")[1].split(","):
                    keys[key.strip()] = number
        elif table and line.strip() == "":
            break
    return keys


def manual_keys(text, heading):
    keys, inside = {}, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("# "):
            inside = line == "# " + heading
        elif inside and MANUAL_LINE.match(line):
            for key in re.findall(r"\*([a-z_0-9]+)\*", line):
                keys[key] = number
    return keys


def example_keys(text):
    return {hit.group(1): number for number, line in enumerate(text.split("\n"), 1) for hit in [EXAMPLE_LINE.match(line)] if hit}


def main():
    root = root_from_argv()
    report = Report("settings")
    present = set(files(root))
    for config, source, manual, heading, example in CONFIGS:
        missing = [name for name in (source, manual, example, "README.md") if name not in present]
        for name in missing:
            report.breach(name, 1, "the settings of %s cannot be compared without it" % config)
        if missing:
            continue
        report.looked_at += 4
        wanted = set(FIELD.findall(blank(read(root, source), keep_strings=True)))
        if not wanted:
            report.breach(source, 1, "names no key of %s; teach tests/rules/settings.py how it does now" % config)
        pages = [("README.md", "its table of %s" % config, readme_keys(read(root, "README.md"), config)),
                 (manual, "section " + heading, manual_keys(read(root, manual), heading)),
                 (example, "the file", example_keys(read(root, example)))]
        for name, where, keys in pages:
            for key in sorted(wanted - set(keys)):
                report.breach(name, 1, "%s lacks the key %s of %s; say what it means and its default" % (where, key, source))
            for key in sorted(set(keys) - wanted):
                report.breach(name, keys[key], "%s has the key %s, which %s refuses; take it out" % (where, key, source))
    if CLOCKS in present:
        for clock in CLOCK.findall(read(root, CLOCKS)):
            for name in (CONFIGS[1][2], CONFIGS[1][4]):
                if name in present and not re.search(r"\b%s\b" % clock, read(root, name)):
                    report.breach(name, 1, "the clock %s of %s is missing; say its default" % (clock, CLOCKS))
    report.finish()


main()
