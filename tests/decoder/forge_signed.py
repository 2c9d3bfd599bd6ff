"""Roles, checkpoints, parts of roles and evidence that are signed as they should be and break a rule of their form: what only the
holder of a key can make. Made from the golden files, with the keys that those were made with.

    python3 tests/decoder/forge_signed.py     writes tests/golden/forged_*.txt, which the C tests read too"""

import frames
import golden
import schema
from crypto import ed25519_sign, h
from envelope import digest_of, sized
from roles import key_id
from tree import leaf, root

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT_A, ROOT_B, ROOT_C, _, REGISTRAR, SNAPSHOT, TIMESTAMP = (bytes([0x40 + i]) * 32 for i in range(7))
LOG_KEYS = [bytes([0x60 + i]) * 32 for i in range(2)]


def public_of(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(role, payload, *seeds):
    signatures = [{"key_id": key_id(public_of(s)), "signature": ed25519_sign(s, b"kw1 role " + role + b"\x00" + payload)} for s in seeds]
    return {"payload": payload, "signatures": sorted(signatures, key=lambda s: s["key_id"])}


def signed(role, message, values, *seeds):
    return schema.encode("SignedRole", sign(role, schema.encode(message, values), *seeds))


def changed(values, **more):
    """A copy with some values changed; a__b is b in a."""
    out = dict(values)
    for name, value in more.items():
        first, _, rest = name.partition("__")
        if rest.isdigit():
            out[first] = list(out[first])
            out[first][int(rest)] = value
        elif rest:
            out[first] = changed(out[first], **{rest: value})
        else:
            out[first] = value
    return out


class Roles:
    """The golden roles at the beginning of their stories, to be told with changes."""

    def __init__(self):
        self.lines, self.head = [], {}
        for word, rest in golden.lines("roles/directories.txt"):
            self.head.setdefault(word, rest)
        payloads = {w: schema.decode("SignedRole", golden.raw(self.head[w][2]))["payload"]
                    for w in ("root", "timestamp", "snapshot", "directory")}
        self.root = schema.decode("RootRole", payloads["root"])
        self.timestamp = schema.decode("TimestampRole", payloads["timestamp"])
        self.snapshot = schema.decode("SnapshotRole", payloads["snapshot"])
        self.directory = schema.decode("Directory", payloads["directory"])

    def tell(self, word, verdict, data):
        self.lines.append("%s %s hub-a %s" % (word, verdict, data.hex()))

    def give_root(self, verdict, **change):
        self.tell("root", verdict, signed(b"root", "RootRole", changed(self.root, **change), ROOT_A, ROOT_B))

    def give_timestamp(self, verdict, **change):
        self.tell("timestamp", verdict, signed(b"timestamp", "TimestampRole", changed(self.timestamp, **change), TIMESTAMP))

    def give_snapshot(self, verdict, **change):
        self.tell("snapshot", verdict, signed(b"snapshot", "SnapshotRole", changed(self.snapshot, **change), SNAPSHOT))

    def give_directory(self, verdict, payload):
        """Listed in the next snapshot, so that its digest is the right one."""
        self.directory["version"] += 1
        version = self.directory["version"]
        entry = changed(self.snapshot["directories"][0], version=version, digest=h(payload(self.directory)))
        self.snapshot = changed(self.snapshot, version=self.snapshot["version"] + 1, directories__0=entry)
        digest = h(schema.encode("SnapshotRole", self.snapshot))
        self.timestamp = changed(self.timestamp, version=self.timestamp["version"] + 1, snapshot_digest=digest,
                                 snapshot_version=self.snapshot["version"])
        self.give_timestamp("ok")
        self.give_snapshot("ok")
        self.tell("directory", verdict, schema.encode("SignedRole", sign(b"registrar", payload(self.directory), REGISTRAR)))


def _root_forms(roles):
    keys, hub = roles.root["root"], roles.root["hubs"][0]
    yield {"version": 0}
    yield {"version": 1001}
    yield {"expires_unix_ms": 0}
    yield {"expires_unix_ms": -1}
    yield {"tls_root_digest": bytes(31)}
    yield {"root": None}
    yield {"root__keys": []}
    yield {"root__keys": sorted(h(bytes([i])) for i in range(6)) + keys["keys"]}
    yield {"root__keys": keys["keys"][::-1]}
    yield {"root__keys": [keys["keys"][0]] * 2}
    yield {"root__keys": [k + b"x" for k in keys["keys"]]}
    yield {"root__threshold": 0}
    yield {"root__threshold": 4}
    yield {"hubs": []}
    yield {"hubs": roles.root["hubs"][::-1]}
    yield {"hubs": [hub, hub]}
    yield {"hubs__0": changed(hub, hub="Hub-a")}
    yield {"hubs__0": changed(hub, hub="-a")}
    for kind in ("registrar", "snapshot", "timestamp", "log"):
        yield {"hubs__0": changed(hub, **{kind + "__threshold": 2})}
        yield {"hubs__0": changed(hub, **{kind: None})}
    yield {"hubs": [changed(hub, hub="hub-%02d" % i) for i in range(65)]}


def _signed_forms(roles):
    """Of the SignedRole around a good root."""
    role = sign(b"root", schema.encode("RootRole", roles.root), ROOT_A, ROOT_B)
    yield changed(role, payload=b"")
    yield changed(role, signatures=[])
    yield changed(role, signatures=role["signatures"][::-1])
    yield changed(role, signatures=[role["signatures"][0]] * 2)
    yield changed(role, signatures__0=changed(role["signatures"][0], key_id=bytes(7)))
    yield changed(role, signatures__1=changed(role["signatures"][1], signature=bytes(65)))
    yield changed(role, signatures=[{"key_id": bytes([i]) * 8, "signature": bytes(64)} for i in range(17)])


def _directory_forms(entry, hybrid):
    key, other = entry["sealing_keys"][0], hybrid["hybrid_keys"][0]
    yield {"agency": "-amal"}
    yield {"agency": ""}
    yield {"identity_key": bytes(31)}
    yield {"tls_key_digest": bytes(33)}
    yield {"sealing_keys": []}
    yield {"sealing_keys": [key] * 9}
    yield {"sealing_keys__0": changed(key, public_key=key["public_key"][:31], key_id=h(key["public_key"][:31])[:8])}
    yield {"sealing_keys__0": changed(key, suites=[])}
    yield {"sealing_keys__0": changed(key, suites=[1, 2, 3, 4, 5])}
    yield {"sealing_keys__0": changed(key, suites=[256])}
    yield {"hybrid_keys": [other] * 3}
    yield {"hybrid_keys": [changed(other, suites=[])]}
    yield {"hybrid_keys": [changed(other, key_id=bytes(8))]}
    yield {"hybrid_keys": [key]}


def roles_text():
    roles = Roles()
    roles.lines = ["reader " + " ".join(roles.head["reader"]), "now " + roles.head["now"][0]]
    for change in _root_forms(roles):
        roles.give_root("form", **change)
    for role in _signed_forms(roles):
        roles.tell("root", "form", schema.encode("SignedRole", role))
    roles.give_root("ok")
    for change in ({"hub": ""}, {"hub": "a" * 64}, {"version": 0}, {"signed_unix_ms": 0}, {"expires_unix_ms": -1},
                   {"snapshot_version": 0}, {"root_version": 0}, {"snapshot_digest": bytes(31)}):
        roles.give_timestamp("form", **change)
    roles.give_timestamp("ok")
    first, second = roles.snapshot["directories"]
    for change in ({"hub": "a-"}, {"version": 0}, {"expires_unix_ms": 0}, {"directories": []}, {"directories": [second, first]},
                   {"directories": [changed(first, hub="h%02d" % i) for i in range(65)]}, {"directories__0": changed(first, hub="?")},
                   {"directories__0": changed(first, version=0)}, {"directories__0": changed(first, digest=bytes(33))}):
        roles.give_snapshot("form", **change)
    roles.give_snapshot("ok")
    roles.tell("directory", "ok", golden.raw(roles.head["directory"][2]))
    entries = roles.directory["entries"]
    for change in _directory_forms(entries[0], entries[1]):
        bad = changed(entries[0], **change)
        roles.give_directory("form", lambda d, bad=bad: schema.encode("Directory", changed(d, entries__0=bad)))
    for change in ({"hub": "a_b"}, {"expires_unix_ms": 0}, {"entries": entries[::-1]}, {"entries": entries[:1] * 2}):
        roles.give_directory("form", lambda d, change=change: schema.encode("Directory", changed(d, **change)))
    roles.give_directory("form", lambda d: schema.encode("Directory", d)[:-1])
    roles.give_directory("ok", lambda d: schema.encode("Directory", d) + b"\x7a\x01x")  # a field of a newer version
    empty = schema.encode("Directory", changed(roles.directory, entries=[]))
    for change in ({"from_version": 0}, {"removed": ["b", "a"]}, {"removed": ["A"]}, {"changed": b""}):
        delta = dict({"from_version": roles.directory["version"], "removed": [], "changed": empty, "signatures": []}, **change)
        roles.tell("delta", "form", schema.encode("DirectoryDelta", delta))
    return "\n".join(roles.lines) + "\n"


def audit_text():
    lines, out = list(golden.lines("audit.txt")), []
    out.append("reader " + " ".join(lines[0][1]))
    good = [rest for word, rest in lines if word == "checkpoint" and rest[0] == "ok"]
    first, second = ([golden.raw(w) for w in rest[1:]] for rest in good[4:6])
    values = [schema.decode("Checkpoint", schema.decode("SignedRole", one[0])["payload"]) for one in (first, second)]

    def tell(verdict, data, proof=b""):
        out.append("checkpoint %s %s %s" % (verdict, data.hex(), proof.hex() or "-"))
    for change in ({"hub": ""}, {"hub": "hub-"}, {"size": 0}, {"size": (1 << 62) + 1}, {"root": bytes(31)}, {"at_unix_ms": 0},
                   {"at_unix_ms": -5}):
        tell("form", signed(b"log", "Checkpoint", changed(values[0], **change), *LOG_KEYS))
    tell("ok", first[0])
    proof = schema.decode("ConsistencyProof", second[1])
    path = proof["path"]
    for change in ({"path": path[32:]}, {"path": path + bytes(32)}, {"path": path[:-1]}, {"path": b""}, {"path": bytes(64 * 32)},
                   {"size_old": proof["size_old"] + 1}, {"size_old": 0}):
        tell("proof", second[0], schema.encode("ConsistencyProof", changed(proof, **change)))
    tell("ok", *second)
    at = next(i for i, (word, rest) in enumerate(lines) if word == "checkpoint" and golden.raw(rest[1]) == second[0])
    _, (_, t, inclusion) = next(line for line in lines[at:] if line[0] == "inclusion")
    proof = schema.decode("InclusionProof", golden.raw(inclusion))
    for verdict, change in (("ok", {}), ("held", {"salt": bytes(15)}), ("held", {"index": values[1]["size"]}),
                            ("held", {"index": (1 << 62) + 1}), ("held", {"path": proof["path"][:-32]}),
                            ("held", {"path": proof["path"] + bytes(32)}), ("held", {"path": proof["path"] + b"x"})):
        out.append("inclusion %s %s %s" % (verdict, t, schema.encode("InclusionProof", changed(proof, **change)).hex()))
    return "\n".join(out) + "\n"


def parts_text():
    out = []
    kind = next(number for number, name in frames.TYPES.items() if name == "RolePart")
    good = {"kind": 1, "offset": 0, "total": 3, "bytes": b"abc"}
    for verdict, change in (("1:616263", {}), ("bad_field", {"total": 0}), ("bad_field", {"bytes": b""}), ("bad_field", {"total": 2}),
                            ("bad_field", {"offset": 1}), ("bad_field", {"kind": 0}), ("bad_field", {"kind": 6}),
                            *(("more", {"kind": k, "total": limit}) for k, limit in frames.TOTALS.items()),
                            *(("bad_field", {"kind": k, "total": limit + 1}) for k, limit in frames.TOTALS.items())):
        body = schema.encode("RolePart", dict(good, **change))
        out.append("part %s %s" % (verdict, (len(body).to_bytes(3, "big") + bytes([kind]) + body).hex()))
    return "\n".join(out) + "\n"


class Evidence:
    """A golden file, taken apart."""

    def __init__(self):
        lines = dict(line.split(" = ") for line in (golden.FOLDER / "evidence.txt").read_text().splitlines())
        self.root = lines["root"]
        self.file = schema.decode("EvidenceFile", bytes.fromhex(lines["file"]))
        self.chain = schema.decode("RoleChain", self.file["roles"])
        self.envelope = schema.decode("EnvelopeProof", self.file["envelope"])
        self.receipts = [schema.decode("ReceiptProof", one) for one in self.file["receipts"]]
        self.held = schema.decode("HeldProof", self.file["held"])

    def make(self, **change):
        return schema.encode("EvidenceFile", changed(self.file, **change))

    def with_chain(self, **change):
        return self.make(roles=schema.encode("RoleChain", changed(self.chain, **change)))

    def with_envelope(self, **change):
        return self.make(envelope=schema.encode("EnvelopeProof", changed(self.envelope, **change)))

    def with_receipt(self, **change):
        return self.make(receipts__1=schema.encode("ReceiptProof", changed(self.receipts[1], **change)))

    def with_entry(self, **change):
        entry = schema.decode("ReceiptEntry", self.receipts[1]["entry"])
        return self.with_receipt(entry=schema.encode("ReceiptEntry", changed(entry, **change)))

    def at_another_hub(self):
        """Sealed anew for a hub that the root has not: all is signed, and nothing says who logs there."""
        seed = next(golden.raw(rest[4]) for word, rest in golden.lines("envelopes/aes_one.txt") if word == "sender")
        e = changed(self.envelope, header=schema.encode("Header", changed(schema.decode("Header", self.envelope["header"]),
                                                                        home_hub="hub-9")))
        t = digest_of(e["header"], e["commit"], e["slot"], e["slot_index"], e["slot_path"], e["body_digest"])
        e["signature"] = ed25519_sign(seed, b"kw1 env" + t + sized(e["claims"]))
        return schema.encode("EnvelopeProof", e)

    def held_by(self, **change):
        values = schema.decode("Checkpoint", schema.decode("SignedRole", self.held["checkpoint"])["payload"])
        held = changed(self.held, checkpoint=signed(b"log", "Checkpoint", changed(values, **change), h(b"log")))
        return self.make(held=schema.encode("HeldProof", held))


def _envelope_cases(e):
    path = e.envelope["slot_path"]
    for name, size in (("commit", 31), ("body_digest", 33), ("signature", 63), ("claims", 0)):
        yield "%s_%d" % (name, size), "form", e.with_envelope(**{name: bytes(size)})
    yield "path_4", "form", e.with_envelope(slot_path=(path + [bytes(32)] * 4)[:4])
    yield "path_31", "form", e.with_envelope(slot_path=[bytes(31)])
    yield "index_past_path", "form", e.with_envelope(slot_index=4)
    yield "header_cut", "form", e.with_envelope(header=e.envelope["header"][:-1])
    yield "slot_cut", "form", e.with_envelope(slot=e.envelope["slot"][:-1])


def _receipt_cases(e):
    yield "receipt_index", "form", e.with_receipt(index=5)
    yield "receipt_count_129", "form", e.with_receipt(count=129)
    yield "receipt_count_0", "form", e.with_receipt(count=0, index=0)
    yield "receipt_path_8", "form", e.with_receipt(path=[bytes(32)] * 8)
    yield "receipt_path_31", "form", e.with_receipt(path=[bytes(31)])
    yield "receipt_path_short", "receipt", e.with_receipt(path=e.receipts[1]["path"][1:])
    yield "receipt_signature_63", "form", e.with_receipt(signature=bytes(63))
    for name, change in {"level_0": {"level": 0}, "level_5": {"level": 5}, "at_0": {"at_unix_ms": 0}, "failure": {"failure": "io"},
                         "failed_without": {"level": 3}, "digest_31": {"digest": bytes(31)}, "id_15": {"envelope_id": bytes(15)},
                         "failure_32": {"level": 3, "failure": "a" * 32}, "failure_capital": {"level": 3, "failure": "Io"}}.items():
        yield "entry_" + name, "form", e.with_entry(**change)


def evidence_text():
    e = Evidence()
    out = ["root " + e.root]
    roots, directories = e.chain["roots"], e.chain["directories"]
    cases = [
        ("whole", "ok", e.make()),
        ("version_2", "form", e.make(version=2)),
        ("no_version", "form", e.make(version=0)),
        ("no_envelope", "form", e.make(envelope=b"")),
        ("receipts_9", "form", e.make(receipts=e.file["receipts"] * 3)),
        ("receipt_empty", "form", e.make(receipts=[b""])),
        ("no_roles", "form", e.make(roles=b"")),
        ("no_roots", "form", e.with_chain(roots=[])),
        ("root_empty", "form", e.with_chain(roots=roots + [b""])),
        ("no_timestamp", "form", e.with_chain(timestamp=b"")),
        ("no_snapshot", "form", e.with_chain(snapshot=b"")),
        ("no_directory", "form", e.with_chain(directories=[])),
        ("directories_3", "form", e.with_chain(directories=directories * 3)),
        ("directory_empty", "form", e.with_chain(directories=directories + [b""])),
        ("root_is_none", "roles", e.with_chain(roots=[b"\x0a\x01x"])),
        ("roots_1001", "form", e.with_chain(roots=[b"x"] * 1001)),
        *_envelope_cases(e), *_receipt_cases(e),
        ("held_again", "ok", e.held_by()),
        ("held_by_another_hub", "held", e.held_by(hub="hub-1")),
        ("held_without_size", "held", e.held_by(size=0)),
        ("held_by_a_hub_that_is_none", "held", e.make(envelope=e.at_another_hub(), receipts=[])),
        ("the_same_not_held", "ok", e.make(envelope=e.at_another_hub(), receipts=[], held=b"")),
    ]
    out += ["file %s %s %s" % (name, verdict, data.hex()) for name, verdict, data in cases]
    return "\n".join(out) + "\n"


def receipts_text():
    """Batches, signed by the recipient, that are none."""
    seed, out = bytes([0x71]) * 32, []
    entry = {"digest": h(b"T"), "envelope_id": bytes(16), "level": 2, "at_unix_ms": 1795000000000}

    def tell(verdict, entries, signature=None, more=b""):
        if signature is None:
            top = root([leaf(schema.encode("ReceiptEntry", one)) for one in entries])
            signature = ed25519_sign(seed, b"kw1 receipt" + top + len(entries).to_bytes(4, "big"))
        data = schema.encode("Receipt", {"entries": entries, "signature": signature}) + more
        out.append("receipt %s %s" % (verdict, data.hex()))
    tell("ok", [entry])
    tell("ok", [entry] * 128)
    tell("ok", [entry], more=b"\x7a\x01x")  # a field of a newer version, which no signature covers
    tell("form", [entry] * 129)
    tell("form", [])
    tell("form", [entry], bytes(63))
    tell("form", [entry], bytes(65))
    for change in ({"level": 0}, {"level": 5}, {"failure": "io"}, {"level": 3}, {"level": 3, "failure": "a" * 32}, {"at_unix_ms": 0},
                   {"at_unix_ms": 253402300800000}, {"digest": bytes(31)}, {"envelope_id": bytes(17)}):
        tell("form", [changed(entry, **change)])
    return "\n".join(out) + "\n"


FILES = {"forged_receipts.txt": receipts_text, "forged_roles.txt": roles_text, "forged_audit.txt": audit_text, "forged_parts.txt": parts_text,
         "forged_evidence.txt": evidence_text}


def same(name):
    """The committed file is what this makes."""
    if FILES[name]() != (golden.FOLDER / name).read_text(encoding="ascii"):
        raise AssertionError("%s: forge_signed.py makes another one" % name)


if __name__ == "__main__":
    for file_name, make in FILES.items():
        (golden.FOLDER / file_name).write_text(make(), encoding="ascii")
