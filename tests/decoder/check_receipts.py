"""The golden receipts and evidence files."""

import forge_signed
import golden
from evidence import read_receipt_proof, verify_evidence, verify_receipt, verify_receipt_proof
from rules import Refused


def _receipt(identity, data):
    return "unsigned" if verify_receipt(data, identity) is None else "ok"


def _proof(identity, data):
    proof, _ = read_receipt_proof(data)
    verify_receipt_proof(proof, identity)
    return "ok"


CALLS = {"receipt": _receipt, "proof": _proof}


def _verdict(call, *arguments):
    try:
        return call(*arguments)
    except Refused as refusal:
        return refusal.rule


def _same(name, got, wanted):
    if got != wanted:
        raise AssertionError("%s: %s, not %s" % (name, got, wanted))


def _flips(name, data, step, runs, verdict):
    rules = {}
    for place, changed, wanted in golden.flips(data, step, runs):
        got = verdict(changed)
        _same("%s with byte %d flipped" % (name, place), got, wanted)
        rules[got] = rules.get(got, 0) + 1
    if "ok" in rules:
        raise AssertionError("%s: a flipped bit is not refused" % name)
    return rules


def _told(rules):
    return ", ".join("%s %d" % pair for pair in sorted(rules.items()))


def _add(rules, more):
    for rule, count in more.items():
        rules[rule] = rules.get(rule, 0) + count


def run():
    identity, good, rules = None, {"receipt": 0, "proof": 0}, {}
    for word, rest in golden.lines("receipts.txt"):
        if word == "identity":
            identity = golden.raw(rest[0])
        elif word == "flips":
            call = CALLS[rest[0]]
            _add(rules, _flips(rest[0], golden.raw(rest[1]), int(rest[2]), rest[3:],
                               lambda data, call=call: _verdict(call, identity, data)))
        else:
            got = _verdict(CALLS[word], identity, golden.raw(rest[1]))
            _same("receipts.txt: " + word, got, rest[0])
            if got == "ok":
                good[word] += 1
            else:
                _add(rules, {got: 1})
    unsigned = rules.pop("unsigned")
    yield "%d signed batches and %d proofs good, %d unsigned, %d bad refused (%s)" % (
        good["receipt"], good["proof"], unsigned, sum(rules.values()), _told(rules))
    forge_signed.same("forged_receipts.txt")
    verdicts = {}
    for number, (_, (wanted, data)) in enumerate(golden.lines("forged_receipts.txt"), 1):
        _same("forged_receipts.txt:%d" % number, _verdict(_receipt, identity, golden.raw(data)), wanted)
        _add(verdicts, {wanted: 1})
    yield "signed by the right key: %d good, %d refused by form" % (verdicts["ok"], verdicts["form"])


def _proves(root, data):
    verify_evidence(data, root)
    return "ok"


def _evidence_file(name, rules):
    """How many of its files are good; those that are not go into rules."""
    root, good = None, 0
    for word, rest in golden.lines(name):
        if word == "root":
            root = golden.raw(rest[0])
        elif word == "file":
            got = _verdict(_proves, root, golden.raw(rest[2]))
            _same("%s: %s" % (name, rest[0]), got, rest[1])
            if got == "ok":
                good += 1
            else:
                _add(rules, {got: 1})
        else:
            _add(rules, _flips("evidence", golden.raw(rest[0]), int(rest[1]), rest[2:],
                               lambda data, root=root: _verdict(_proves, root, data)))
    return good


def run_evidence():
    rules = {}
    good = _evidence_file("evidence_cases.txt", rules)
    lines = dict(line.split(" = ") for line in (golden.FOLDER / "evidence.txt").read_text().splitlines())
    proven = verify_evidence(bytes.fromhex(lines["file"]), bytes.fromhex(lines["root"]))
    wanted = ("sender-9", "hub-0", "agency-0", [1, 2, 4], 2)
    got = (proven["claims"]["sender"], proven["claims"]["sender_hub"], proven["slot"]["agency"],
           [entry["level"] for entry in proven["receipts"]], proven["held"]["size"])
    _same("evidence.txt", got, wanted)
    _same("evidence.txt of another root", _verdict(_proves, bytes(32), bytes.fromhex(lines["file"])), "roles")
    yield "%d good, %d bad refused (%s)" % (good + 1, sum(rules.values()) + 1, _told(rules))
    forge_signed.same("forged_evidence.txt")
    rules = {}
    good = _evidence_file("forged_evidence.txt", rules)
    yield "put together anew: %d good, %d bad refused (%s)" % (good, sum(rules.values()), _told(rules))
