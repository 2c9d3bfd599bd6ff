#!/usr/bin/env python3
"""Who may include whom. The arrows point down: shell -> core -> proto/wire -> proto/base, and never back.

A quoted include names a file from the repository root. A core file is also followed through every header it reaches,
because a clock that comes in by way of a wire header is still a clock in the core.
"""

import os
import re

from _rules import Report, blank, c_files, read, root_from_argv

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)

CORE_SYSTEM = r"(stdbool|stddef|stdint|string|limits|inttypes)\.h"

# Pure C: no file, no socket, no clock, no process.
PURE_C = (r"(assert|ctype|errno|float|inttypes|limits|locale|math|stdarg|stdalign|stdbool|stddef|stdint|stdio|stdlib|"
          r"stdnoreturn|string|strings|uchar|wchar|wctype)\.h|[a-z]*mmintrin\.h|immintrin\.h|endian\.h|uthash\.h|utlist\.h")

# All of the C library and the kernel's headers.
LIBC = (PURE_C + r"|(aio|dirent|dlfcn|err|fcntl|fnmatch|getopt|glob|grp|ifaddrs|langinfo|libgen|netdb|poll|pthread|pwd|"
        r"regex|sched|semaphore|signal|spawn|stdatomic|sysexits|syslog|termios|threads|time|ucontext|unistd|utime|"
        r"malloc|execinfo)\.h|(sys|net|netinet|arpa|linux|asm)/.+\.h")

GENERATED = r"kinward/v1/[a-z0-9_]+\.pb-c\.h"
PROTOBUF = r"protobuf-c/protobuf-c\.h"
OPENSSL = r"openssl/.+\.h"
UV = r"uv\.h"
STORE = r"lmdb\.h|libpq-fe\.h"
DAEMON = r"systemd/sd-[a-z]+\.h|cyaml/cyaml\.h"

# (what the path looks like, quoted includes it may name, system headers it may name). The first match decides.
TABLE = [
    (r"proto/base/", [r"proto/base/"], [LIBC]),
    (r"proto/wire/", [r"proto/base/", r"proto/wire/", GENERATED],
     [PURE_C, PROTOBUF, OPENSSL, r"unicode/.+\.h"]),
    # A program that the build runs: the tables in, pictures out.
    (r"proto/states_picture\.c$", [r"proto/(base|wire)/"], [PURE_C]),
    (r"proto/link/", [r"proto/(base|wire|link)/"], [LIBC, UV, OPENSSL, r"cyaml/cyaml\.h"]),
    # The kernels of the linkage index name the processor's vectors; which one runs, linkage_kernel.c decides.
    (r"broker/core/linkage_kernel_[a-z0-9]+\.c$", [r"proto/base/", r"broker/core/"], [CORE_SYSTEM, r"immintrin\.h"]),
    (r"(broker|agent)/core/", [r"proto/(base|wire)/", r"\1/core/"], [CORE_SYSTEM]),
    (r"broker/shell/", [r"proto/(base|wire|link)/", r"broker/(core|shell)/", r"broker/page/"],
     [LIBC, UV, OPENSSL, STORE, DAEMON]),
    # The agent's local socket speaks the schema in the clear, as protobuf and as JSON; the broker never does.
    (r"agent/shell/", [r"proto/(base|wire|link)/", r"agent/(core|shell)/", GENERATED],
     [LIBC, UV, OPENSSL, STORE, DAEMON, PROTOBUF, r"jansson\.h|csv\.h|qrencode\.h"]),
    # Of the core only sums over what the socket told: they know no agent and change none.
    (r"agent/cli/", [r"proto/(base|wire|link)/", r"agent/(shell|cli|clients)/",
                     r"agent/core/(assess|completeness|indicators|surveillance)\.h", GENERATED],
     [LIBC, UV, OPENSSL, PROTOBUF, r"qrencode\.h|jansson\.h|cyaml/cyaml\.h"]),
    (r"agent/clients/c/", [r"proto/(base|wire)/", r"agent/clients/c/", GENERATED], [LIBC, PROTOBUF]),
    (r"(broker|agent)/main\.c$", [r"proto/(base|wire|link)/", r"\1/(core|shell)/"], [LIBC, UV, OPENSSL, DAEMON]),
]

# What a core file must not reach even through the headers of others.
CORE_NEVER = re.compile(r"(uv|lmdb|libpq-fe|time|stdio|stdlib|unistd|pthread|signal|fcntl)\.h$|(openssl|sys|systemd)/")


def includes(root, name, cache={}):
    key = (root, name)
    if key not in cache:
        text = blank(read(root, name), keep_strings=True)
        cache[key] = [(text.count("\n", 0, hit.start()) + 1, hit.group(1), hit.group(2)) for hit in INCLUDE.finditer(text)]
    return cache[key]


def row_of(name):
    for path, quoted, system in TABLE:
        hit = re.match(path, name)
        if hit:
            side = hit.group(1) if hit.groups() else ""
            return [pattern.replace(r"\1", side) for pattern in quoted], system
    return None


def matches(patterns, name):
    return any(re.match("(?:%s)" % pattern if pattern.endswith("/") else "(?:%s)$" % pattern, name)
               for pattern in patterns)


def check_direct(root, name, report):
    row = row_of(name)
    if row is None:
        report.breach(name, 1, "no layer owns this folder; move the file, or add a row to tests/rules/layers.py and to "
                               "CONVENTIONS.md")
        return
    quoted, system = row
    for line, own, theirs in includes(root, name):
        if own and re.match(GENERATED + "$", own):
            if not matches(quoted, own):
                report.breach(name, line, "\"%s\" is the schema's own C; only proto/wire and the agent's outer side touch "
                                          "it: use the structs of proto/wire" % own)
        elif own and not os.path.isfile(os.path.join(root, own)):
            report.breach(name, line, "\"%s\" is no file from the repository root; write the whole path, for example "
                                      "\"proto/base/err.h\"" % own)
        elif own and not matches(quoted, own):
            report.breach(name, line, "%s may not include \"%s\"; it may include %s. Move the shared part down, or pass "
                                      "the value in" % (os.path.dirname(name), own, ", ".join(quoted)))
        elif theirs and not matches(system, theirs):
            what = ("put the time, the random number or the bytes into the event" if "/core/" in name
                    else "let the layer that owns this library do it")
            report.breach(name, line, "%s may not include <%s>; %s" % (os.path.dirname(name), theirs, what))


def check_reach(root, name, report):
    """Follows quoted includes from a core file; each forbidden system header is told once, with the way to it."""
    seen = {name}
    queue = [(name, [])]
    while queue:
        current, way = queue.pop(0)
        for line, own, theirs in includes(root, current):
            if theirs and current != name and CORE_NEVER.match(theirs):
                report.breach(name, way[0], "core reaches <%s> through %s; keep it out of that header"
                              % (theirs, " -> ".join([current])))
            if own and own not in seen and os.path.isfile(os.path.join(root, own)):
                seen.add(own)
                queue.append((own, way or [line]))


def main():
    root = root_from_argv()
    report = Report("layers")
    for name in c_files(root, ["proto", "broker", "agent"]):
        report.looked_at += 1
        check_direct(root, name, report)
        if re.match(r"(broker|agent)/core/", name):
            check_reach(root, name, report)
    report.finish()


main()
