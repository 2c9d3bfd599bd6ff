#!/usr/bin/env python3
"""From the tables of names to sorted arrays in C. The build calls it:

    names.py --from FOLDER --out OUT.c

FOLDER has alias.tsv and common.tsv; SOURCES.md beside them says where they come from and under which licence. What
contradicts itself stops the build: a spelling in two names, or a nickname of more than two.
"""

import argparse
import hashlib
import math
import os
import re
import sys
import unicodedata

# Raise it when folding changes what comes out for any name: old and new features do not meet.
VERSION = 1
UNICODE = "15.0"
KEY_LETTERS_MAX = 48
ALIKE = {"\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0629": "\u0647", "\u06c0": "\u0647",
         "\u06c1": "\u0647", "\u06c3": "\u0647", "\u06d5": "\u0647", "\u0671": "\u0627"}


def key_of(text):
    """As name_text.c makes it: NFKD, no marks, lower case, one letter for letters that are one."""
    flat = unicodedata.normalize("NFKD", text).lower()
    return "".join(ALIKE.get(c, c) for c in flat if not unicodedata.category(c).startswith("M") and c not in "'\u2019")


# The skeleton of plain Latin spellings, a second time: tests/unit/test_names.c holds it to name_latin.c and name_fold.c.
SPELLINGS = [("cch", "x"), ("^chr", "kr"), ("chae", "kae"), ("ch", "x"), ("ck", "k"), ("cq", "k"), ("cz", "x"),
             ("c(?=[eiy])", "s"), ("c", "k"), ("dj", "j"),
             ("dzh", "j"), ("dh", "d"), ("gh", "g"), ("gn", "n"), ("gu(?=[eiy])", "g"), ("kh", "k"), ("ph", "f"),
             ("que$", "k"), ("qu(?=[eiy])", "k"), ("q", "k"), ("sch", "x"), ("sc(?=[eiy])", "s"), ("sh", "x"), ("tch", "x"),
             ("tsh", "x"), ("tz", "s"), ("ts", "s"), ("th", "t"), ("^x", "s"), ("x", "ks"), ("zh", "j"), ("ou", "u"),
             ("oo", "u"), ("ee", "i")]
PATTERN = re.compile("|".join("(?P<r%d>%s)" % (i, source) for i, (source, _) in enumerate(SPELLINGS)))


def skeleton(text):
    folded = PATTERN.sub(lambda hit: SPELLINGS[int(hit.lastgroup[1:])][1], text)
    vowels = "aeiou"
    out = ""
    for i, c in enumerate(folded):
        after = folded[i + 1:i + 2]
        vowel_next = after != "" and after in vowels
        if c == "y":
            c = "y" if i == 0 and vowel_next else "i"
        elif c == "w":
            c = "w" if vowel_next else "u"
        elif c == "i" and i == 0 and vowel_next and after != "i":
            c = "y"
        if not out or out[-1] != c:
            out += c
    if len(out) > 2 and out.endswith("h"):
        out = out[:-1]
    bare = ""
    for i, c in enumerate(out):
        c = {"j": "g", "p": "b"}.get(c, c)
        if c in vowels:
            if i == 0:
                bare = "A"
        elif c != "w" or i == 0:
            bare += c
    return bare


def rows(path, columns):
    with open(path, encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            if line.startswith("#") or not line.strip():
                continue
            cells = line.rstrip("\n").split("\t")
            if len(cells) != columns:
                sys.exit("%s:%d: %d columns, not %d" % (path, number, len(cells), columns))
            yield number, cells


def squeezed(key):
    """As name_alias.c looks a second time."""
    return re.sub(r"([a-df-np-z])\1+", r"\1", key)


def aliases(path, common):
    same, nick = {}, {}
    for number, (kind, name, spellings, _source) in rows(path, 4):
        keys = [key_of(spelling) for spelling in spellings.split()]
        if not re.fullmatch("[a-z]{2,%d}" % KEY_LETTERS_MAX, name) or kind not in ("same", "nick"):
            sys.exit("%s:%d: %s %s: a name is plain Latin letters, its kind same or nick" % (path, number, kind, name))
        for key in keys + ([name] if kind == "same" else []):
            if not 1 <= len(key) <= KEY_LETTERS_MAX or re.search("[^a-z]", key) and key.isascii():
                sys.exit("%s:%d: %r is no spelling" % (path, number, key))
            if kind == "same" and same.setdefault(key, name) != name:
                sys.exit("%s:%d: %s is %s already" % (path, number, key, same[key]))
            if kind == "nick" and name not in nick.setdefault(key, []):
                nick[key].append(name)
    for key, formal in nick.items():
        if key in same or len(formal) > 2:
            sys.exit("%s: nickname %s is a name itself, or is short for more than two: %s" % (path, key, " ".join(formal)))
    # Names with one spelling, and full names of nicknames.
    lone = {name for _number, (_list, name, _share, _source) in rows(common, 4)}
    lone |= {name for full in nick.values() for name in full}
    # What a nickname is short for may have a better known spelling.
    table = {key: (name, None, None) for key, name in same.items()}
    for key, formal in nick.items():
        formal = list(dict.fromkeys(same.get(name, name) for name in formal))
        table[key] = (None, formal[0], formal[1] if len(formal) > 1 else None)
    for key in lone:
        table.setdefault(key, (None, None, None))
    singles = {}
    for key in sorted(table):
        if squeezed(key) not in table and table[key][0]:
            singles.setdefault(squeezed(key), set()).add(table[key])
    table.update((key, found.pop()) for key, found in singles.items() if len(found) == 1)
    return table


def rarities(path, table):
    """-log2 of the share of people, 6 for one in ten and 16 from one in two thousand on; a skeleton has the largest share
    that it has in any one list."""
    share = {}
    for number, (which, name, per_ten_thousand, _source) in rows(path, 4):
        bare = skeleton(table[name][0] or name)
        share[(bare, which)] = share.get((bare, which), 0.0) + float(per_ten_thousand) / 10000
    best = {}
    for (bare, _which), value in share.items():
        if len(bare) >= 2:
            best[bare] = max(best.get(bare, 0.0), value)
    out = {bare: max(6, min(16, round(-math.log2(value) * 16 / 11))) for bare, value in best.items()}
    return {bare: rarity for bare, rarity in out.items() if rarity < 16}


def text(value):
    return "NULL" if value is None else '"%s"' % value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="folder", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    table = aliases(os.path.join(args.folder, "alias.tsv"), os.path.join(args.folder, "common.tsv"))
    common = rarities(os.path.join(args.folder, "common.tsv"), table)
    lines = []
    lines += ["const struct kw_names_alias KW_NAMES_ALIASES[] = {"]
    for key in sorted(table, key=lambda key: key.encode()):
        lines.append("\t{%s, %s, {%s, %s}}," % ((text(key),) + tuple(text(value) for value in table[key])))
    lines += ["};", "const size_t KW_NAMES_ALIASES_COUNT = %d;" % len(table), ""]
    lines += ["const struct kw_names_common KW_NAMES_COMMON[] = {"]
    lines += ["\t{%s, %d}," % (text(bare), common[bare]) for bare in sorted(common, key=lambda bare: bare.encode())]
    lines += ["};", "const size_t KW_NAMES_COMMON_COUNT = %d;" % len(common), ""]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    head = ["/* Made by proto/names.py; do not edit. */", "", '#include "proto/wire/name_inner.h"', "",
            'const char KW_NAMES_PARAMETERS[] = "kw-names-%d nfkd-%s tables-%s";' % (VERSION, UNICODE, digest), ""]
    os.makedirs(os.path.dirname(args.out), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as handle:
        handle.write("\n".join(head + lines))


if __name__ == "__main__":
    main()
