"""What the rule scripts share: which files count, C without comments, and how a breach is told.

Every rule is a program: `python3 tests/rules/NAME.py ROOT [BUILD]`. It prints one line per breach,

    file:line: rule: what is wrong; what to do

and exits 1 if there was any. Only the standard library is used. selftest.py plants breaches and sees each rule refuse.
"""

import os
import subprocess
import sys

SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__"}


def root_from_argv():
    if len(sys.argv) < 2:
        sys.exit("usage: %s ROOT [BUILD]" % sys.argv[0])
    return os.path.abspath(sys.argv[1])


def files(root):
    """Paths relative to root, sorted: what git tracks or would track, or every file where root is no repository."""
    if os.path.exists(os.path.join(root, ".git")):
        command = ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others",
                   "--exclude-standard"]
        try:
            listing = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            listing = None
        if listing is not None:
            names = {os.fsdecode(name) for name in listing.split(b"\0") if name}
            return sorted(name for name in names if os.path.isfile(os.path.join(root, name)))
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def c_files(root, folders):
    """The .c and .h files below any of the folders."""
    prefixes = tuple(folder + "/" for folder in folders)
    return [name for name in files(root) if name.endswith((".c", ".h")) and name.startswith(prefixes)]


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as handle:
        return handle.read()


def blank(text, keep_strings=False):
    """C source with comments, and the insides of string and character literals, turned into spaces. Line breaks stay,
    so offsets and line numbers are those of the source."""
    out = []
    i, size = 0, len(text)
    while i < size:
        c = text[i]
        pair = text[i:i + 2]
        if pair == "/*":
            end = text.find("*/", i + 2)
            end = size if end < 0 else end + 2
            out.append("".join("\n" if ch == "\n" else " " for ch in text[i:end]))
        elif pair == "//":
            end = i
            while end < size and (text[end] != "\n" or text[end - 1] == "\\"):
                end += 1
            out.append("".join("\n" if ch == "\n" else " " for ch in text[i:end]))
        elif c in "\"'":
            end = i + 1
            while end < size and text[end] != c and text[end] != "\n":
                end += 2 if text[end] == "\\" else 1
            end = min(end + 1, size)
            inside = text[i:end]
            out.append(inside if keep_strings else
                       inside[:1] + "".join("\n" if ch == "\n" else " " for ch in inside[1:-1]) + inside[-1:])
        else:
            end = i + 1
            out.append(c)
        i = end
    return "".join(out)


def without_preprocessor(text):
    """Blanked source with every # line, and what it continues to, turned into empty lines."""
    lines = text.split("\n")
    continued = False
    for index, line in enumerate(lines):
        if continued or line.lstrip().startswith("#"):
            continued = line.rstrip().endswith("\\")
            lines[index] = " " * len(line)
    return "\n".join(lines)


class Report:
    def __init__(self, rule):
        self.rule = rule
        self.count = 0
        self.looked_at = 0

    def breach(self, where, line, what):
        self.count += 1
        print("%s:%d: %s: %s" % (where, line, self.rule, what))

    def finish(self):
        if self.count:
            print("%s: %d breach(es)" % (self.rule, self.count))
            sys.exit(1)
        print("%s: ok, %d file(s)" % (self.rule, self.looked_at))
        sys.exit(0)
