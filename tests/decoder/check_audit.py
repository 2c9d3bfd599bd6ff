"""The golden audit log: leaves and roots, checkpoints as one who follows the log takes them, proofs."""

import copy
import pathlib
import re

import forge_signed
import golden
import schema
import tree
from audit import Follower, log_leaf, take_statement, verify_inclusion, verify_log_proof
from rules import Refused


def _verdict(call, *arguments):
    try:
        call(*arguments)
        return "ok"
    except Refused as refusal:
        return refusal.rule


class Story:
    def __init__(self):
        self.follower = self.digest = self.signed = self.proof = None
        self.leaves, self.flipped = [], {}
        self.counts = {}

    def count(self, word, verdict):
        self.counts[word, verdict] = self.counts.get((word, verdict), 0) + 1

    def leaf(self, salt, t, wanted, root):
        self.leaves.append(log_leaf(salt, t))
        _same("leaf %d" % len(self.leaves), self.leaves[-1], wanted)
        _same("root of %d" % len(self.leaves), tree.root(self.leaves), root)
        self.count("leaf", "ok")

    def take(self, signed, proof):
        return _verdict(self.follower.take, signed, proof)

    def inclusion(self, data):
        return _verdict(verify_inclusion, self.follower.last, self.digest, data, "held")

    def flips(self, kind, data, step, runs):
        """Those of a checkpoint and of a consistency proof stand before the line of both, which is looked up."""
        before = self.follower.last
        for place, changed, wanted in golden.flips(data, step, runs):
            if kind == "inclusion":
                got = self.inclusion(changed)
            else:
                follower = copy.copy(self.follower)
                pair = (changed, self.proof) if kind == "checkpoint" else (self.signed, changed)
                got = _verdict(follower.take, *pair)
            _same("%s with byte %d flipped" % (kind, place), got, wanted)
            self.flipped[got] = self.flipped.get(got, 0) + 1
        _same("the last one", self.follower.last, before)


def _same(name, got, wanted):
    if got != wanted:
        raise AssertionError("audit.txt: %s: %r, not %r" % (name, got, wanted))


def _line(story, word, rest):
    if word == "reader":
        hub, threshold, *keys = rest
        story.follower = Follower(hub, {"keys": [golden.raw(k) for k in keys], "threshold": int(threshold)})
        return
    if word == "leaf":
        story.leaf(*(golden.raw(w) for w in rest))
        return
    if word == "flips":
        story.flips(rest[0], golden.raw(rest[1]), int(rest[2]), rest[3:])
        return
    data = [golden.raw(w) for w in rest[1:]]
    if word == "checkpoint":
        got = story.take(*data)
    elif word == "inclusion":
        story.digest = data[0]
        got = story.inclusion(data[1])
    else:
        got = _verdict(take_statement, data[0], story.follower.keys)
    _same(word, got, rest[0])
    story.count(word, got)


def _page():
    """The seven leaves that PROTOCOL.md works out: each hash of 32 bytes there is one of theirs, in this order."""
    page = (pathlib.Path(schema.HERE).parents[1] / "PROTOCOL.md").read_text(encoding="utf-8")
    example = page[page.index("Seven leaves, leaf i"):page.index("**Witnesses.**")]
    leaves = [log_leaf(bytes([i]) * 16, bytes([0x80 + i]) * 32) for i in range(7)]
    pairs = [tree.node(leaves[i], leaves[i + 1]) for i in (0, 2, 4)]
    right = tree.node(pairs[2], leaves[6])
    wanted = [leaves[0], leaves[1], pairs[0], tree.root(leaves[:3]), tree.root(leaves), leaves[3], right, leaves[2], leaves[3], right]
    _same("hashes of PROTOCOL.md", re.findall("[0-9a-f]{64}", example), [hash_.hex() for hash_ in wanted])
    _same("path of leaf 2 in 7", tree.inclusion(2, 7, leaves[2], [leaves[3], pairs[0], right]), tree.root(leaves))
    path = [leaves[2], leaves[3], pairs[0], right]
    _same("path from 3 to 7", tree.consistency(3, 7, tree.root(leaves[:3]), tree.root(leaves), path), "ok")
    return "the %d hashes of PROTOCOL.md are so" % len(wanted)


def _proof_files(lines, keys):
    """Files as `kinward audit prove --out` writes them, of the golden parts: each inclusion with the checkpoint before it."""
    signed, good, bad = None, 0, 0
    for word, rest in lines:
        if word == "checkpoint" and rest[0] == "ok":
            signed = golden.raw(rest[1])
        elif word == "inclusion":
            parts = {"envelope_digest": golden.raw(rest[1]), "checkpoint": signed, "inclusion": golden.raw(rest[2])}
            _same("file", _verdict(verify_log_proof, schema.encode("LogProofFile", parts), keys), rest[0])
            good, bad = good + (rest[0] == "ok"), bad + (rest[0] != "ok")
    return "files of proofs: %d good, %d refused" % (good, bad)


def run():
    lines, story = list(golden.lines("audit.txt")), Story()
    for i, (word, rest) in enumerate(lines):
        if word == "flips" and rest[0] != "inclusion":
            _, pair = next(line for line in lines[i:] if line[0] == "checkpoint")
            story.signed, story.proof = golden.raw(pair[1]), golden.raw(pair[2])
        _line(story, word, rest)
    if "ok" in story.flipped:
        raise AssertionError("audit.txt: a flipped bit is not refused")
    for word in ("leaf", "checkpoint", "inclusion", "statement"):
        good = story.counts.get((word, "ok"), 0)
        bad = {v: n for (w, v), n in story.counts.items() if w == word and v != "ok"}
        told = ", ".join("%s %d" % pair for pair in sorted(bad.items()))
        yield "%s: %d good%s" % (word, good, ", %d refused (%s)" % (sum(bad.values()), told) if bad else "")
    told = ", ".join("%s %d" % pair for pair in sorted(story.flipped.items()))
    yield "%d with one bit changed refused (%s)" % (sum(story.flipped.values()), told)
    forge_signed.same("forged_audit.txt")
    forged = Story()
    for word, rest in golden.lines("forged_audit.txt"):
        _line(forged, word, rest)
    good = sum(n for (_, v), n in forged.counts.items() if v == "ok")
    yield "signed by the right keys: %d good, %d bad refused" % (good, sum(forged.counts.values()) - good)
    if "LogProofFile" in schema.MESSAGES:
        yield _proof_files(lines, story.follower.keys)
        yield _page()
