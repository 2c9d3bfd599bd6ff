#!/usr/bin/env python3
"""Functions, files and parameter lists have a size at which a reader can hold them. Over it, an idea is usually missing:
look for it before cutting a function in two."""

import re

from _rules import Report, blank, c_files, read, root_from_argv, without_preprocessor

# folders -> (lines of a function, lines of a file, parameters)
LIMITS = [
    (["proto", "broker", "agent"], (70, 500, 5)),
    (["tests"], (120, 900, 7)),
]

# (file, function or "" for the file itself): why this one may be larger. Few is the aim.
ALLOWED = {
    ("proto/link/tls_context.c", "choose_alpn"): "OpenSSL gives its ALPN callback these six parameters",
}

NOT_FUNCTIONS = {"if", "for", "while", "switch", "return", "sizeof", "__attribute__", "_Static_assert", "do", "else",
                 "__asm__", "asm", "typeof", "__typeof__", "_Alignas", "defined", "__declspec"}
# A definition or declaration: a name, its parameters, then perhaps attributes, then { or ;
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def close(text, start, opening, closing):
    """The offset just after the bracket that closes text[start]; len(text) if none does."""
    depth = 0
    for i in range(start, len(text)):
        if text[i] == opening:
            depth += 1
        elif text[i] == closing:
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def count_parameters(inside):
    inside = inside.strip()
    if inside in ("", "void"):
        return 0
    depth, count = 0, 1
    for c in inside:
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            count += 1
    return count


def top_level(text):
    """Yields (head start, head, body start, body end) for every item at file level; the body is 0, 0 without one."""
    start = i = 0
    while i < len(text):
        c = text[i]
        if c == "(":
            i = close(text, i, "(", ")")
        elif c == ";":
            yield start, text[start:i], 0, 0
            start = i = i + 1
        elif c == "{":
            head = text[start:i]
            if re.match(r'\s*extern\s*"[^"]*"\s*$', head):
                start = i = i + 1  # what is inside is at file level too
                continue
            end = close(text, i, "{", "}")
            is_function = head.rstrip().endswith(")") and "=" not in re.sub(r"\(.*\)", "", head, flags=re.DOTALL)
            if is_function:
                yield start, head, i, end
                start = i = end
            else:
                i = end  # a struct, enum or initialiser: its ; ends the item
        elif c == "}":
            start = i = i + 1  # the end of extern "C"
        else:
            i += 1


def signature(head):
    """(name, parameters as text, offset of the name) of a function head, or None."""
    i = 0
    while True:
        hit = NAME.search(head, i)
        if not hit:
            return None
        end = close(head, hit.end() - 1, "(", ")")
        if hit.group(1) not in NOT_FUNCTIONS:
            return hit.group(1), head[hit.end():end - 1], hit.start()
        i = end


def check(root, name, limits, report):
    max_lines, max_file, max_parameters = limits
    source = read(root, name)
    lines = source.count("\n") + (0 if source.endswith("\n") or not source else 1)
    if lines > max_file and (name, "") not in ALLOWED:
        report.breach(name, lines, "the file has %d lines, at most %d; find the part that deserves a name of its own"
                      % (lines, max_file))
    text = without_preprocessor(blank(source))
    for start, head, body, end in top_level(text):
        if re.match(r"\s*typedef\b", head) or ("=" in head.split("(")[0]):
            continue
        found = signature(head)
        if not found:
            continue
        function, parameters, offset = found
        line = text.count("\n", 0, start + offset) + 1
        if (name, function) in ALLOWED:
            continue
        count = count_parameters(parameters)
        if count > max_parameters:
            report.breach(name, line, "%s takes %d parameters, at most %d; pass a struct" % (function, count, max_parameters))
        if body:
            length = text.count("\n", start + offset, end) + 1
            if length > max_lines:
                report.breach(name, line, "%s has %d lines, at most %d; name its steps" % (function, length, max_lines))


def main():
    root = root_from_argv()
    report = Report("sizes")
    for folders, limits in LIMITS:
        for name in c_files(root, folders):
            report.looked_at += 1
            check(root, name, limits, report)
    report.finish()


main()
