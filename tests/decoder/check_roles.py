"""The golden roles: each file is one reader's story, told message by message, with what it says of each."""

import copy

import forge_signed
import golden
from roles import Client, apply_delta
from rules import Refused


class Reader:
    def __init__(self):
        self.client = self.saved = self.directory = None
        self.now = 0

    def take(self, client, kind, hub, data):
        """The rule by which it is refused, or "ok"; and the directory, if it was one."""
        try:
            if kind == "root":
                client.take_root(data)
            elif kind == "timestamp":
                client.take_timestamp(data, self.now)
            elif kind == "snapshot":
                client.take_snapshot(data, self.now)
            elif kind == "directory":
                return "ok", client.take_directory(hub, data)
            else:
                return "ok", client.take_directory(hub, apply_delta(data, self.directory))
            return "ok", None
        except Refused as refusal:
            return refusal.rule, None

    def tell(self, kind, hub, data):
        verdict, directory = self.take(self.client, kind, hub, data)
        self.directory = directory or self.directory
        return verdict

    def flips(self, name, kind, data, step, runs):
        count = passed = 0
        for place, changed, wanted in golden.flips(data, step, runs):
            got, _ = self.take(copy.copy(self.client), kind, "hub-a", changed)
            if got != wanted:
                raise AssertionError("%s: %s with byte %d flipped is %s, not %s" % (name, kind, place, got, wanted))
            count += 1
            passed += got == "ok"
        return count, passed


def _file(name, totals):
    reader = Reader()
    for number, (word, rest) in enumerate(golden.lines(name), 1):
        if word == "reader":
            reader.client = Client(rest[0], golden.raw(rest[1]))
        elif word == "now":
            reader.now = int(rest[0])
        elif word == "save":
            reader.saved = copy.copy(reader.client)
        elif word == "back":
            reader.client = copy.copy(reader.saved)
        elif word == "restart":
            pass  # what it has accepted is what was durable
        elif word == "flips":
            count, passed = reader.flips(name, rest[0], golden.raw(rest[1]), int(rest[2]), rest[3:])
            totals["flips"] += count
            totals["flips passed"] += passed
        else:
            wanted, hub, data = rest
            got = reader.tell(word, hub, golden.raw(data))
            if got != wanted:
                raise AssertionError("%s:%d: %s is %s, not %s" % (name, number, word, got, wanted))
            totals[got] = totals.get(got, 0) + 1


def run():
    totals = {"flips": 0, "flips passed": 0}
    for name in golden.files("roles"):
        _file(name, totals)
    flips, passed, good = totals.pop("flips"), totals.pop("flips passed"), totals.pop("ok")
    told = ", ".join("%s %d" % pair for pair in sorted(totals.items()))
    yield "%d taken, %d refused (%s)" % (good, sum(totals.values()), told)
    yield "%d with one bit changed, of which %d in signatures beyond the threshold still good" % (flips, passed)
    forge_signed.same("forged_roles.txt")
    totals = {"flips": 0, "flips passed": 0}
    _file("forged_roles.txt", totals)
    yield "signed by the right keys: %d taken, %d refused by form" % (totals["ok"], totals["form"])
