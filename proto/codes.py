#!/usr/bin/env python3
"""From the code lists of Debian's iso-codes to a sorted table in C. The build calls it:

    codes.py --from FOLDER --out OUT.c

FOLDER has iso_639-3.json, iso_3166-1.json and iso_15924.json. A list that is short, or has a code of another form, stops the
build: a validator without its lists would refuse what is right.
"""

import argparse
import json
import os
import re
import sys

# Name in C, file, key of the list and of the code in it, form, and the least that a list worth its name has.
LISTS = [
    ("LANGUAGES", "iso_639-3.json", "639-3", "alpha_3", r"[a-z]{3}", 7000),
    ("COUNTRIES", "iso_3166-1.json", "3166-1", "alpha_2", r"[A-Z]{2}", 240),
    ("SCRIPTS", "iso_15924.json", "15924", "alpha_4", r"[A-Z][a-z]{3}", 150),
]


def codes(folder, file, key, member, form, least):
    with open(os.path.join(folder, file), encoding="utf-8") as handle:
        found = sorted({entry[member] for entry in json.load(handle)[key]})
    wrong = [code for code in found if not re.fullmatch(form, code)]
    if wrong or len(found) < least:
        sys.exit("%s: has %d codes, at least %d are expected, and these of another form: %s" % (
            file, len(found), least, " ".join(wrong) or "none"))
    return found


def table(name, found):
    lines = ["", "static const char %s[][%d] = {" % (name, len(found[0]) + 1)]
    for i in range(0, len(found), 16):
        lines.append("\t" + " ".join('"%s",' % code for code in found[i:i + 16]))
    return lines + ["};"]


def main():
    parser = argparse.ArgumentParser(description="code lists as a table in C")
    parser.add_argument("--from", dest="folder", required=True, help="folder of the lists as JSON")
    parser.add_argument("--out", required=True, help="C file to write")
    options = parser.parse_args()
    out = ["/* Made by proto/codes.py from the iso-codes package. */", "", '#include "proto/wire/codes.h"', "",
           "#include <stdlib.h>", "#include <string.h>"]
    for name, *rest in LISTS:
        out += table(name, codes(options.folder, *rest))
    out += ["", "static int compare(const void *a, const void *b)", "{", "\treturn strcmp(a, b);", "}"]
    for name, function in zip((one[0] for one in LISTS), ("language", "country", "script")):
        out += ["", "bool kw_code_is_%s(const char *text)" % function, "{",
                "\treturn bsearch(text, %s, sizeof(%s) / sizeof(%s[0]), sizeof(%s[0]), compare) != NULL;" % ((name,) * 4), "}"]
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out, "w", encoding="utf-8") as handle:
        handle.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
