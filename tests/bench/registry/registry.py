#!/usr/bin/env python3
"""A made-up registry of separated children, for measuring how well duplicates and families are found.

    registry.py --seed 7 --children 100000 --out DIR [--cultures EAHSWDUL] [--native 0.05] [--rates]

Writes three files in the columns of tests/bench/README.md (linkage), tab-separated and without a header:

    registry.tsv    one record a child, as the first agency wrote it
    duplicates.tsv  a tenth of them, registered once more by somebody else
    tracing.tsv     another tenth, looked for by a relative

The same seed gives the same bytes. No person stands behind any record. What goes wrong in them, and how often, is the table RATES:
`--rates` prints it. Names come from names/*.tsv here and from tests/data/linkage/names; see names/SOURCES.md.
"""

import argparse
import bisect
import itertools
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PUBLIC = os.path.join(HERE, "..", "..", "data", "linkage", "names")

# Per field or record; each is drawn by itself. "second" is a re-registration or a tracing request, measured against the first.
RATES = {
    "spelling": 0.35,         # a name part is written in another of its known spellings, by how common that is (both records)
    "hearing": 0.08,          # a name part is written by ear: one of the swaps in BY_EAR
    "typing": 0.02,           # a name part has one letter too many, too few, another, or two exchanged
    "order": 0.03,            # child's and father's name stand in each other's place
    "second_name": 0.03,      # the child gives another name, by which it is called at home
    "no_child_name": 0.004,
    "no_father": 0.06,
    "no_grandfather": 0.25,
    "no_mother": 0.15,
    "no_mothers_father": 0.55,
    "no_year": 0.05,
    "no_region": 0.04,
    "no_village": 0.12,
    "wrong_sex": 0.004,
    "year_1": 0.22,           # years of birth apart
    "year_2": 0.10,
    "year_3": 0.05,
    "year_rounded": 0.10,     # an age that was guessed: to the next five years, of children over four
    "other_village": 0.12,    # the last place, or the nearest town, in place of the one of birth
    "sibling": 0.45,          # of the children: registered with one to three brothers and sisters. Hard negatives
    "namesake_sibling": 0.03, # of those: called like a brother or sister who died
    "native": 0.05,           # a record of a culture that has another script is written in it
}

DEFAULT_CULTURES = "EEEAAAHSWDUL"
FILES = {"E": "ethiopia", "S": "somali", "W": "swahili", "D": "dari", "U": "ukraine", "L": "spanish"}
COUNTRIES = {"E": ("ER", "ET"), "A": ("SD", "SY", "IQ", "YE"), "H": ("HT",), "S": ("SO",), "W": ("CD", "BI", "SS"), "D": ("AF",),
    "U": ("UA",), "L": ("CO", "VE", "HN")}
FAMILY_NAMED = "HUL"
BY_EAR = (("ou", "u"), ("oo", "u"), ("ee", "i"), ("kh", "k"), ("gh", "g"), ("ph", "f"), ("th", "t"), ("sh", "ch"), ("ch", "tch"),
    ("y", "i"), ("i", "y"), ("e", "i"), ("o", "u"), ("a", "e"), ("ss", "s"), ("mm", "m"), ("ll", "l"), ("s", "ss"), ("l", "ll"),
    ("c", "k"), ("q", "k"), ("z", "s"), ("v", "b"), ("w", "v"), ("j", "g"), ("ai", "ay"), ("ei", "ai"))
COMPOUNDS = {
    "E": (("gebre", "welde", "haile", "tekle", "habte", "tesfa", "kidane", "amde", "fitsum", "berhane"),
        ("mariam", "michael", "selassie", "giorgis", "yesus", "kidan", "tsadik", "meskel", "ab", "hiwet", "amlak")),
    "A": (("abd al", "abdul", "abdel"),
        ("rahman", "karim", "rahim", "aziz", "hamid", "qadir", "jabbar", "malik", "nasir", "latif", "wahid", "razzaq", "salam", "majid")),
    "D": (("mohammad ", "ghulam ", "gul ", "sayed ", "mir "), ("ali", "hassan", "hussain", "rahim", "karim", "nabi", "sakhi", "agha", "zaman")),
}
PLACES_SYLLABLES = ("ba", "da", "ga", "ha", "ka", "la", "ma", "na", "ra", "sa", "ta", "wa", "be", "de", "ge", "le", "me", "ne", "bi", "di",
    "ki", "li", "mi", "ri", "bo", "do", "go", "lo", "mo", "ro", "bu", "du", "gu", "ku", "lu", "mu", "ru", "su", "shi", "zu")


class Wheel:
    """Draws by weight."""

    def __init__(self, items):
        self.items = [item for item, _ in items]
        self.sums = list(itertools.accumulate(weight for _, weight in items))

    def draw(self, rng):
        return self.items[bisect.bisect_right(self.sums, rng.random() * self.sums[-1])]


class Name:
    def __init__(self, native, spellings):
        self.native = native
        self.spellings = Wheel(spellings)
        self.usual = max(spellings, key=lambda pair: pair[1])[0]


class People:
    """The names of one culture, by sex; S: family names."""

    def __init__(self, culture):
        self.culture = culture
        rows = {"M": [], "F": [], "S": []}
        for sex, native, weight, spellings in read_names(culture):
            rows[sex].append((Name(native, spellings), weight))
        tail = sum(weight for _, weight in rows["M"]) * 0.15
        heads, ends = COMPOUNDS.get(culture, ((), ()))
        for head in heads:
            for end in ends:
                rows["M"].append((Name("", [(head + end, 60), ((head + " " + end).replace("  ", " "), 25)]), tail / len(heads) / len(ends)))
        self.wheels = {sex: Wheel(names) for sex, names in rows.items() if names}

    def draw(self, rng, sex):
        return self.wheels[sex].draw(rng)


def read_rows(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


def pairs(text):
    return [(spelling, int(count)) for spelling, count in (item.rsplit(":", 1) for item in text.split())]


def read_names(culture):
    if culture == "A":
        for sex, native, total, spellings in read_rows(os.path.join(PUBLIC, "arabic_clusters.tsv")):
            yield sex, native, int(total), pairs(spellings)
    elif culture == "H":
        for sex, name, weight in read_rows(os.path.join(PUBLIC, "haiti.tsv")):
            yield sex, "", int(weight), [(name, 1)]
    else:
        for sex, native, weight, spellings in read_rows(os.path.join(HERE, "names", FILES[culture] + ".tsv")):
            yield sex, native, int(weight), pairs(spellings)


def make_places(rng):
    """Per country: regions, each with villages that have two spellings."""
    places = {}
    for country in sorted({c for countries in COUNTRIES.values() for c in countries}):
        regions = []
        for _ in range(12):
            region = "".join(rng.choice(PLACES_SYLLABLES) for _ in range(rng.choice((2, 3))))
            villages = ["".join(rng.choice(PLACES_SYLLABLES) for _ in range(rng.choice((2, 3, 3, 4)))) for _ in range(60)]
            regions.append((region, Wheel([(village, 1 / (i + 3)) for i, village in enumerate(villages)])))
        places[country] = Wheel([(region, 1 / (i + 2)) for i, region in enumerate(regions)])
    return places


class Child:
    """What is true. cn, fn, gn, mn, mfn: lists of Name."""

    __slots__ = ("eid", "culture", "cn", "fn", "gn", "mn", "mfn", "home", "sex", "year", "country", "region", "village", "town")


class World:
    def __init__(self, rng, cultures):
        self.rng = rng
        self.cultures = cultures
        self.people = {culture: People(culture) for culture in sorted(set(cultures))}
        self.places = make_places(random.Random(1))
        self.count = 0

    def family(self):
        rng = self.rng
        child = Child()
        child.culture = rng.choice(self.cultures)
        people = self.people[child.culture]
        child.country = rng.choice(COUNTRIES[child.culture])
        child.region, villages = self.places[child.country].draw(rng)
        child.village, child.town = villages.draw(rng), villages.draw(rng)
        family = [people.draw(rng, "S")] if child.culture in FAMILY_NAMED else []
        mothers = [people.draw(rng, "S")] if child.culture in FAMILY_NAMED else []
        child.fn = [people.draw(rng, "M")] + family
        child.gn = [people.draw(rng, "M")] + (family if child.culture in "HU" else [])
        child.mn = [people.draw(rng, "F")] + mothers
        child.mfn = [people.draw(rng, "M")] + mothers
        return child, family + (mothers if child.culture == "L" else [])

    def siblings(self):
        rng = self.rng
        first, family = self.family()
        count = rng.choice((2, 2, 3, 4)) if rng.random() < RATES["sibling"] / 2.2 else 1
        year = rng.randint(2004, 2018)
        called = None
        for _ in range(count):
            child = Child()
            for name in ("culture", "fn", "gn", "mn", "mfn", "country", "region", "village", "town"):
                setattr(child, name, getattr(first, name))
            child.eid = self.count
            self.count += 1
            child.sex = rng.choice("MF")
            given = self.people[child.culture].draw(rng, child.sex)
            if called is not None and called[1] == child.sex and rng.random() < RATES["namesake_sibling"]:
                given = called[0]
            called = (given, child.sex)
            child.cn = [given] + family
            child.home = self.people[child.culture].draw(rng, child.sex)
            child.year = min(year, 2026)
            year += rng.choice((1, 2, 2, 3, 4))
            yield child


def by_ear(rng, text):
    possible = [(a, b) for a, b in BY_EAR if a in text]
    if not possible:
        return text
    a, b = rng.choice(possible)
    at = rng.choice([i for i in range(len(text)) if text.startswith(a, i)])
    return text[:at] + b + text[at + len(a):]


def mistype(rng, text):
    if len(text) < 3:
        return text
    at = rng.randrange(1, len(text) - 1)
    kind = rng.randrange(4)
    letter = rng.choice("abcdefghiklmnoprstuwyz")
    if kind == 0:
        return text[:at] + letter + text[at:]
    if kind == 1:
        return text[:at] + text[at + 1:]
    if kind == 2:
        return text[:at] + letter + text[at + 1:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2:]


def write_name(rng, names, native):
    words = []
    for name in names:
        if native and name.native:
            words.append(name.native)
            continue
        text = name.spellings.draw(rng) if rng.random() < RATES["spelling"] else name.usual
        if rng.random() < RATES["hearing"]:
            text = by_ear(rng, text)
        if rng.random() < RATES["typing"]:
            text = mistype(rng, text)
        words.append(text)
    return " ".join(words)


def write_year(rng, child):
    draw = rng.random()
    year = child.year
    for years, name in ((1, "year_1"), (2, "year_2"), (3, "year_3")):
        if draw < RATES[name]:
            return year + rng.choice((-years, years))
        draw -= RATES[name]
    if draw < RATES["year_rounded"] and 2026 - year > 4:
        return 2026 - round((2026 - year) / 5) * 5
    return year


def record(rng, child, kind, number, native_rate):
    """The columns rid eid cult kind cn fn gn mn mfn pn sex by country region village rel; a first record has no wrong year."""
    lost = lambda name: rng.random() < RATES[name]
    native = rng.random() < native_rate
    write = lambda names: write_name(rng, names, native)
    cn = write([child.home] + child.cn[1:] if lost("second_name") else child.cn)
    fn = "" if lost("no_father") else write(child.fn)
    gn = "" if lost("no_grandfather") else write(child.gn)
    mn = "" if lost("no_mother") else write(child.mn)
    mfn = "" if lost("no_mothers_father") else write(child.mfn)
    if lost("no_child_name"):
        cn = ""
    if lost("order") and fn:
        cn, fn = fn, cn
    sex = child.sex if not lost("wrong_sex") else "MF"[child.sex == "M"]
    year = str(child.year if kind == "reg" else write_year(rng, child))
    village = child.town if kind != "reg" and lost("other_village") else child.village
    pn = rel = ""
    if kind == "trace":
        rel, pn, fn, mn = inquire(rng, child, write, fn, mn)
    return [f"{kind}-{number}", str(child.eid), child.culture, kind, cn, fn, gn, mn, mfn, pn, sex,
        "" if lost("no_year") else year, child.country, "" if lost("no_region") else child.region, "" if lost("no_village") else village, rel]


def inquire(rng, child, write, fn, mn):
    """Who looks for the child. A parent's own name stands in pn and not in the child's record of its parents."""
    draw = rng.random()
    if draw < 0.40:
        return "mother", write(child.mn), fn, ""
    if draw < 0.60:
        return "father", write(child.fn), "", mn
    if draw < 0.70:
        return "grandfather", write(child.gn), fn, mn
    relation = rng.choice(("brother", "sister", "uncle", "aunt", "grandmother", "other"))
    # A stranger's own name says little of the child's.
    return relation, write([child.home] + child.fn[:1]), fn, mn


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="another one, another registry (default 1)")
    parser.add_argument("--children", type=int, default=100000, help="1 to 10000000 (default 100000)")
    parser.add_argument("--out", help="folder for the three files; made when it is missing")
    parser.add_argument("--cultures", default=DEFAULT_CULTURES, help="letters of E A H S W D U L, each as often as it stands (default %(default)s)")
    parser.add_argument("--native", type=float, default=RATES["native"], help="share of records in the culture's own script (default %(default)s)")
    parser.add_argument("--rates", action="store_true", help="print the rates of errors and end")
    args = parser.parse_args()
    if args.rates:
        for name, rate in RATES.items():
            print(f"{name}\t{rate}")
        return 0
    if args.out is None or not 1 <= args.children <= 10000000 or not args.cultures or set(args.cultures) - set(COUNTRIES) or not 0 <= args.native <= 1:
        parser.error("--out is needed; --children is 1 to 10000000, --cultures of EAHSWDUL, --native 0 to 1")
    rng = random.Random(args.seed)
    world = World(rng, args.cultures)
    os.makedirs(args.out, exist_ok=True)
    names = ("registry.tsv", "duplicates.tsv", "tracing.tsv")
    files = [open(os.path.join(args.out, name), "w", encoding="utf-8") for name in names]
    count = 0
    numbers = [0, 0]
    while count < args.children:
        for child in world.siblings():
            if count == args.children:
                break
            files[0].write("\t".join(record(rng, child, "reg", count, args.native)) + "\n")
            count += 1
            for i, kind in enumerate(("dup", "trace")):
                if rng.random() < 0.1:
                    files[1 + i].write("\t".join(record(rng, child, kind, numbers[i], args.native)) + "\n")
                    numbers[i] += 1
    for file in files:
        file.close()
    print(f"{count} children, {numbers[0]} registered twice, {numbers[1]} looked for: {args.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
