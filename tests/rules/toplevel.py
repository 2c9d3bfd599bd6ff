#!/usr/bin/env python3
"""The top of the tree is what a newcomer sees first: it is a fixed list. Generated code is made, not kept. And no path
of anybody's machine is in the tree."""

import os
import re

from _rules import Report, files, read, root_from_argv

FOLDERS = {"broker", "proto", "agent", "tests", "deploy"}
FILES = {"CMakeLists.txt", "README.md", "CONVENTIONS.md", "LICENSE"}

GENERATED = re.compile(r"\.(pb-c\.[ch]|o|a|so|pyc|gcda|gcno)$|_pb2(_grpc)?\.pyi?$|_pb\.(js|d\.ts)$|(^|/)node_modules/|"
                       r"(^|/)__pycache__/|\.[1-8]$")

HOMES = re.compile(r"(?<![\w.~})-])/(home|Users)/[A-Za-z][\w.-]*/")
# A parent this common says nothing about a machine.
COMMON_PARENTS = {"/", "/tmp", "/usr", "/usr/src", "/opt", "/var", "/var/tmp", "/home", "/srv", "/etc", "/root", "/mnt"}


def machine_paths(root):
    """Patterns for the folder that this very tree lies in, so that no list of machines is needed."""
    places = [root]
    parent = os.path.dirname(root)
    if parent not in COMMON_PARENTS:
        places.append(parent)
    return re.compile("|".join(r"(?<![\w.~})-])%s(?=[/\s\"'`)]|$)" % re.escape(place) for place in places))


def main():
    root = root_from_argv()
    report = Report("toplevel")
    here = machine_paths(os.path.realpath(root))
    names = files(root)
    for top in sorted((FOLDERS | FILES) - {name.partition("/")[0] for name in names}):
        report.breach(top, 1, "it belongs at the top and is missing")
    for name in names:
        report.looked_at += 1
        top, _, rest = name.partition("/")
        if not top.startswith(".") and top not in (FOLDERS if rest else FILES):
            report.breach(name, 1, "%s does not belong at the top; the list is %s" % (top, " ".join(sorted(FOLDERS | FILES))))
        if GENERATED.search(name):
            report.breach(name, 1, "this looks generated; let the build make it and take it out of git")
        with open(os.path.join(root, name), "rb") as handle:
            if b"\0" in handle.read(4096):
                continue
        for number, line in enumerate(read(root, name).split("\n"), 1):
            if HOMES.search(line) or here.search(line):
                report.breach(name, number, "a path of one machine; use a relative path, or one that an installation has")
    report.finish()


main()
