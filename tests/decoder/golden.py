"""Reads tests/golden: lines of words, bytes in hex or - for none."""

import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "golden"


def lines(name):
    """(first word, the other words) of each line."""
    for line in (FOLDER / name).read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            first, *rest = line.split(" ")
            yield first, rest


def files(folder):
    return sorted(p.relative_to(FOLDER).as_posix() for p in (FOLDER / folder).glob("*.txt"))


def raw(word):
    return b"" if word == "-" else bytes.fromhex(word)


def flips(data, step, runs):
    """(place, the bytes with one bit of that place flipped, verdict) for each place that a file tells."""
    for run in runs:
        places, verdict = run.split(":")
        first, last = (int(n) for n in places.split("-"))
        for place in {*range(first, last + 1, step), last}:
            changed = bytearray(data)
            changed[place] ^= 1
            yield place, bytes(changed), verdict
