#!/usr/bin/env python3
"""The core archives are pure: no clock, no I/O, no randomness, no allocator.

Two looks. First, every symbol that a core archive leaves undefined must be ours or on a short list. Then the calls are
followed through proto's archive, function by function (the build gives each its own section), because a kw_ function
that allocates is an allocation in the core all the same. Looks at the dev profile only: sanitizers add symbols.
"""

import os
import re
import subprocess
import sys

from _rules import Report, root_from_argv

CORES = {"libbroker_core.a": "brk_", "libagent_core.a": "agt_"}
COMMON = "libkw_proto.a"

# Of the C library: functions of their arguments alone. The rest is what compilers emit.
PURE = re.compile(r"(mem(cpy|set|move|cmp|chr|rchr)|str(len|nlen|cmp|ncmp|chr|rchr|cspn|spn)|bcmp"
                  r"|__(add|sub|mul|div|mod|udiv|umod|ash|lsh|lshr|neg|cmp|ucmp|fix|float|ctz|clz|ffs|popcount|bswap)\w*"
                  r"|__stack_chk_fail|__cpu_model|__cpu_indicator_init|_GLOBAL_OFFSET_TABLE_)$")
# Ends the program with a message: the one way out that a core has.
STOP = {"kw_check_failed"}
INPUT = re.compile(r"(\.note|\.comment|\.debug|\.eh_frame|\.gnu)")


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode:
        sys.exit("purity: %s failed: %s" % (command[0], result.stderr.strip()))
    return result.stdout


class Calls:
    """Which section refers to which symbol or section, over several archives."""

    def __init__(self):
        self.home = {}  # global symbol -> (object, section)
        self.edges = {}  # (object, section) -> set of (object, symbol or section)

    def load(self, archive):
        obj = section = None
        for line in run("objdump", "-t", "-w", archive).splitlines():
            hit = re.match(r"(\S+):\s+file format", line)
            if hit:
                obj = archive + "/" + hit.group(1)
                continue
            hit = re.match(r"[0-9a-f]+ ([ lgu!])(.{6})\s*(\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
            if hit and hit.group(3) not in ("*UND*", "*ABS*"):
                name = hit.group(4)
                key = name if hit.group(1) in "gu!" or "w" in hit.group(2) else (obj, name)
                self.home[key] = (obj, hit.group(3))
        for line in run("objdump", "-r", "-w", archive).splitlines():
            hit = re.match(r"(\S+):\s+file format", line)
            if hit:
                obj = archive + "/" + hit.group(1)
                continue
            hit = re.match(r"RELOCATION RECORDS FOR \[(\S+)\]", line)
            if hit:
                section = hit.group(1)
                continue
            hit = re.match(r"[0-9a-f]+ \S+\s+(\S+?)(?:[+-]0x[0-9a-f]+)?$", line)
            if hit and section and not INPUT.match(section):
                self.edges.setdefault((obj, section), set()).add(hit.group(1))

    def resolve(self, obj, target):
        """Where a symbol lives: (object, section), or None if it is nobody's here."""
        if target.startswith("."):
            return (obj, target)
        return self.home.get((obj, target)) or self.home.get(target)


def name_of(section):
    return re.sub(r"^\.(text|data|rodata|bss|data\.rel|data\.rel\.ro|data\.rel\.local|data\.rel\.ro\.local)\.", "", section[1])


def undefined(archive, prefix, report, shown):
    """Symbols the archive needs from outside: ours by name, or pure."""
    defined, needed = set(), {}
    member = ""
    for line in run("nm", "-A", archive).splitlines():
        hit = re.match(r"[^:]+:([^:]+):\s*[0-9a-f]*\s+(\w) (\S+)$", line)
        if not hit:
            continue
        member, kind, symbol = hit.groups()
        if kind == "U":
            needed.setdefault(symbol, member)
        else:
            defined.add(symbol)
    for symbol, member in sorted(needed.items()):
        if symbol in defined or symbol.startswith(("kw_", prefix)) or PURE.match(symbol):
            continue
        report.breach(shown + "(" + member.replace(".o", "") + ")", 0,
                      "needs %s, which is no function of its arguments alone; let the shell do it and put the result "
                      "into the event" % symbol)


def reach(calls, archive, report, shown):
    """Follows calls out of the archive through proto; a breach is told with the way that leads to it."""
    starts = [section for section in calls.edges if section[0].startswith(archive + "/")]
    way = {section: None for section in starts}
    queue = list(starts)
    told = set()
    while queue:
        here = queue.pop()
        for target in sorted(calls.edges.get(here, ())):
            if target in STOP or PURE.match(target):
                continue
            there = calls.resolve(here[0], target)
            if there is None:
                if here[0].startswith(archive + "/") or target in told:
                    continue  # the first look has told it
                told.add(target)
                steps, step = [target], here
                while step is not None:
                    steps.append(name_of(step))
                    step = way[step]
                report.breach(shown, 0, "reaches %s by %s; use a form that works in memory handed in"
                              % (target, " <- ".join(steps)))
            elif there not in way:
                way[there] = here
                queue.append(there)


def main():
    root_from_argv()
    if len(sys.argv) < 3:
        sys.exit("usage: %s ROOT BUILD" % sys.argv[0])
    lib = os.path.join(sys.argv[2], "lib")
    report = Report("purity")
    common = os.path.join(lib, COMMON)
    for name, prefix in sorted(CORES.items()):
        archive = os.path.join(lib, name)
        if not os.path.exists(archive):
            print("purity: no %s yet" % name)
            continue
        report.looked_at += 1
        undefined(archive, prefix, report, "lib/" + name)
        calls = Calls()
        calls.load(archive)
        if os.path.exists(common):
            calls.load(common)
        reach(calls, archive, report, "lib/" + name)
    report.finish()


main()
