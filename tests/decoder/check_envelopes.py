"""The golden envelopes: opened, compared with what was sealed, and refused by the right rule when a bit is changed."""

import forge
import golden
from crypto import MLKEM768PrivateKey, h
from envelope import Recipient, digest, open_envelope
from rules import Refused

HYBRID = 17


class Golden:
    def __init__(self, name):
        self.recipients, self.envelopes = [], []
        for word, rest in golden.lines(name):
            if word == "recipient":
                self.recipients.append((rest[0], rest[1], golden.raw(rest[2]), golden.raw(rest[3])))
            elif word == "envelope":
                self.envelopes.append(golden.raw(rest[0]))
            else:
                setattr(self, word, rest)
        self.suite = int(self.suite[0])

    def reader(self, index):
        """Every recipient has the keys of all: so a key id that is flipped into another's is told from one of nobody."""
        agency, hub, _, _ = self.recipients[index]
        secrets = {(self.suite == HYBRID, key_id): secret for _, _, key_id, secret in self.recipients}
        sender, sender_hub, key_id, public, _ = self.sender
        return Recipient(agency, hub, secrets, {(sender, sender_hub, golden.raw(key_id)): golden.raw(public)})


def verdict(data, reader):
    try:
        open_envelope(data, reader)
        return "ok"
    except Refused as refusal:
        return refusal.rule


def _same(name, what, got, wanted):
    if got != wanted:
        raise AssertionError("%s: %s is %r, not %r" % (name, what, got, wanted))


def _check_good(name, g, index, data):
    _same(name, "verdict on envelope %d" % index, verdict(data, g.reader(index)), "ok")
    opened = open_envelope(data, g.reader(index))
    header, claims = opened["header"], opened["claims"]
    _same(name, "digest", opened["digest"].hex(), g.digest[0])
    _same(name, "content", [str(len(opened["content"])), h(opened["content"]).hex()], g.content)
    _same(name, "header", [header["envelope_id"].hex(), header["home_hub"], *(str(header[n]) for n in (
        "expiry_hour", "class", "size_bucket", "hops_max"))], g.header)
    _same(name, "claims", [str(claims["sent_unix_ms"]), str(claims["content_type"]), claims["thread_id"].hex(),
                           str(claims["thread_sequence"])], g.claims)
    _same(name, "sender", [claims["sender"], claims["sender_hub"], claims["key_id"].hex()], g.sender[:3])
    _same(name, "suite", header["suite"], g.suite)


def _check_flips(name, g):
    step, *runs = g.flips
    reader = g.reader(len(g.envelopes) - 1)
    count, rules = 0, {}
    for place, changed, wanted in golden.flips(g.envelopes[-1], int(step), runs):
        got = verdict(changed, reader)
        _same(name, "verdict with byte %d flipped" % place, got, wanted)
        count += 1
        rules[got] = rules.get(got, 0) + 1
    if "ok" in rules:
        raise AssertionError("%s: a flipped bit is not refused" % name)
    return count, rules


def _told(rules):
    return ", ".join("%s %d" % pair for pair in sorted(rules.items()))


def _run_files():
    good = bad = skipped = 0
    rules = {}
    for name in golden.files("envelopes"):
        g = Golden(name)
        for index, data in enumerate(g.envelopes):
            _same(name, "digest without a key", digest(data).hex(), g.digest[0])
            if g.suite == HYBRID and MLKEM768PrivateKey is None:
                _same(name, "verdict without ML-KEM", verdict(data, g.reader(index)), "suite")
                skipped += 1
            else:
                _check_good(name, g, index, data)
                good += 1
        if g.suite == HYBRID and MLKEM768PrivateKey is None:
            continue
        count, of_file = _check_flips(name, g)
        bad += count
        for rule, number in of_file.items():
            rules[rule] = rules.get(rule, 0) + number
    yield "%d good, %d bad refused (%s)" % (good, bad, _told(rules))
    if skipped:
        yield "%d of suite 17: digest checked, opening skipped: no ML-KEM" % skipped


def _run_forged():
    _same(forge.FILE, "text made anew", forge.text(), (golden.FOLDER / forge.FILE).read_text(encoding="ascii"))
    reader = Golden("envelopes/aes_one.txt").reader(0)
    counts = {}
    for _, (name, rule, data) in golden.lines(forge.FILE):
        _same(forge.FILE, name, verdict(golden.raw(data), reader), rule)
        counts[rule] = counts.get(rule, 0) + 1
    yield "forged: %d good, %d bad refused (%s)" % (counts.pop("ok"), sum(counts.values()), _told(counts))


def _first_release():
    """The files of the first release, with the keys that tests/golden/README.md tells."""
    opened = skipped = 0
    for suite in (1, 2, HYBRID):
        lines = dict(line.split(" = ") for line in (golden.FOLDER / ("envelope_suite_%d.txt" % suite)).read_text().splitlines())
        g = Golden("envelopes/aes_three.txt")
        g.suite = suite
        g.recipients = [("agency-%d" % i, "hub-%d" % (i % 2), bytes([i, 1, 2, 3, 4, 5, 6, 7]), h(
            b"hybrid" if suite == HYBRID else b"secret", bytes(8), i.to_bytes(8, "big"))) for i in range(3)]
        for i in range(3):
            data = bytes.fromhex(lines["envelope_%d" % i])
            _same(str(suite), "digest", digest(data).hex(), lines["digest"])
            if suite == HYBRID and MLKEM768PrivateKey is None:
                skipped += 1
                continue
            got = open_envelope(data, g.reader(i))
            _same(str(suite), "content", got["content"].hex(), lines["content"])
            _same(str(suite), "DEK", got["dek"].hex(), lines["dek"])
            opened += 1
    yield "of the first release: %d good%s" % (opened, ", %d skipped: no ML-KEM" % skipped if skipped else "")


def run():
    yield from _run_files()
    yield from _run_forged()
    yield from _first_release()
