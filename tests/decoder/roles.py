"""PROTOCOL.md, "Who is who": the signed roles of a hub's directory, as one who reads them accepts them."""

import schema
from crypto import ed25519_ok, h
from rules import Refused, exact, is_name, need, size_in

SPKI = bytes.fromhex("302a300506032b6570032100")
KEYS_MAX, SIGNATURES_MAX, HUBS_MAX, AGENCIES_MAX = 8, 16, 64, 10000


def key_id(public):
    return h(public)[:8]


def ascending(items):
    return all(a < b for a, b in zip(items, items[1:]))


def by_name(items, field):
    return ascending([item[field].encode() for item in items])


def _signatures(signatures, rule):
    need(1 <= len(signatures) <= SIGNATURES_MAX, rule, "signatures")
    need(all(size_in(s["key_id"], 8) and size_in(s["signature"], 64) for s in signatures), rule, "a size")
    need(ascending([s["key_id"] for s in signatures]), rule, "order of signatures")


def parse_signed(data, rule="form"):
    role = exact("SignedRole", data, rule)
    need(role["payload"], rule, "no payload")
    _signatures(role["signatures"], rule)
    return role


def signed_by(role, name, keys):
    """How many keys of the list have signed."""
    label = b"kw1 role " + name.encode() + b"\x00" + role["payload"]
    have = {s["key_id"]: s["signature"] for s in role["signatures"]}
    return sum(key_id(key) in have and ed25519_ok(key, label, have[key_id(key)]) for key in keys)


def threshold(role, name, keys):
    need(signed_by(role, name, keys["keys"]) >= keys["threshold"], "threshold", name)


def _role_keys(keys):
    need(keys is not None and 1 <= len(keys["keys"]) <= KEYS_MAX, "form", "keys")
    need(all(size_in(k, 32) for k in keys["keys"]) and ascending(keys["keys"]), "form", "keys")
    need(1 <= keys["threshold"] <= len(keys["keys"]), "form", "threshold")


def read_root(payload):
    root = exact("RootRole", payload, "form")
    need(1 <= root["version"] <= 1000 and root["expires_unix_ms"] >= 1 and size_in(root["tls_root_digest"], 32), "form")
    _role_keys(root["root"])
    need(1 <= len(root["hubs"]) <= HUBS_MAX and by_name(root["hubs"], "hub"), "form", "hubs")
    for hub in root["hubs"]:
        need(is_name(hub["hub"]), "form", "a name")
        for kind in ("registrar", "snapshot", "timestamp", "log"):
            _role_keys(hub[kind])
    return root


def read_timestamp(payload):
    t = exact("TimestampRole", payload, "form")
    need(is_name(t["hub"]) and size_in(t["snapshot_digest"], 32), "form")
    numbers = ("version", "signed_unix_ms", "expires_unix_ms", "snapshot_version", "root_version")
    need(all(t[n] >= 1 for n in numbers), "form", "a number")
    return t


def read_snapshot(payload):
    snapshot = exact("SnapshotRole", payload, "form")
    need(is_name(snapshot["hub"]) and snapshot["version"] >= 1 and snapshot["expires_unix_ms"] >= 1, "form")
    need(1 <= len(snapshot["directories"]) <= HUBS_MAX and by_name(snapshot["directories"], "hub"), "form")
    for entry in snapshot["directories"]:
        need(is_name(entry["hub"]) and entry["version"] >= 1 and size_in(entry["digest"], 32), "form")
    return snapshot


def _sealing_key(key, size):
    need(size_in(key["public_key"], size) and key["key_id"] == key_id(key["public_key"]), "form", "a key or its id")
    need(1 <= len(key["suites"]) <= 4 and all(1 <= s <= 255 for s in key["suites"]), "form", "suites")


def read_directory(payload):
    try:
        directory = schema.decode("Directory", payload)
    except schema.Malformed as error:
        raise Refused("form", str(error)) from error
    need(is_name(directory["hub"]) and directory["version"] >= 1 and directory["expires_unix_ms"] >= 1, "form")
    need(len(directory["entries"]) <= AGENCIES_MAX and by_name(directory["entries"], "agency"), "form", "entries")
    for entry in directory["entries"]:
        need(is_name(entry["agency"]), "form", "a name")
        need(size_in(entry["identity_key"], 32) and size_in(entry["tls_key_digest"], 32), "form", "a size")
        need(1 <= len(entry["sealing_keys"]) <= 8 and len(entry["hybrid_keys"]) <= 2, "form", "keys")
        for key in entry["sealing_keys"]:
            _sealing_key(key, 32)
        for key in entry["hybrid_keys"]:
            _sealing_key(key, 1216)
    return directory


class Client:
    """What one reader has accepted. Each method takes a SignedRole or refuses it and stays as it is."""

    def __init__(self, hub, fingerprint):
        self.hub, self.fingerprint = hub, fingerprint
        self.root = self.timestamp = self.timestamp_digest = self.snapshot = None

    def hub_keys(self, hub):
        need(self.root is not None, "order", "no root")
        found = [h_ for h_ in self.root["hubs"] if h_["hub"] == hub]
        need(found, "hub")
        return found[0]

    def _first(self, role, root):
        need(root["tls_root_digest"] == self.fingerprint, "fingerprint")
        key = [k for k in root["root"]["keys"] if h(SPKI + k) == self.fingerprint]
        need(key and signed_by(role, "root", key) == 1, "fingerprint")

    def take_root(self, data):
        role = parse_signed(data)
        root = read_root(role["payload"])
        have = self.root["version"] if self.root else 0
        need(root["version"] >= have, "rollback")
        need(root["version"] <= have + 1, "skipped")
        if self.root is None:
            self._first(role, root)
        else:
            threshold(role, "root", self.root["root"])
        threshold(role, "root", root["root"])
        if root["version"] == have:
            need(root == self.root, "forked")
            return
        before, after = ([r for r in (old or {"hubs": []})["hubs"] if r["hub"] == self.hub] for old in (self.root, root))
        same = before and after and all(before[0][k] == after[0][k] for k in ("snapshot", "timestamp"))
        if not same:
            self.timestamp = self.timestamp_digest = self.snapshot = None
        self.root = root

    def take_timestamp(self, data, now):
        keys = self.hub_keys(self.hub)
        role = parse_signed(data)
        threshold(role, "timestamp", keys["timestamp"])
        t = read_timestamp(role["payload"])
        need(t["hub"] == self.hub, "prefix")
        before = self.timestamp
        if before:
            need(t["version"] >= before["version"] and t["snapshot_version"] >= before["snapshot_version"], "rollback")
            need(t["version"] > before["version"] or h(role["payload"]) == self.timestamp_digest, "forked")
            need(t["snapshot_version"] > before["snapshot_version"] or
                 t["snapshot_digest"] == before["snapshot_digest"], "forked")
        need(t["root_version"] <= self.root["version"], "order")
        need(t["expires_unix_ms"] > now and self.root["expires_unix_ms"] > now, "frozen")
        self.timestamp, self.timestamp_digest = t, h(role["payload"])

    def take_snapshot(self, data, now):
        keys = self.hub_keys(self.hub)
        need(self.timestamp is not None, "order")
        role = parse_signed(data)
        threshold(role, "snapshot", keys["snapshot"])
        snapshot = read_snapshot(role["payload"])
        need(h(role["payload"]) == self.timestamp["snapshot_digest"], "mixed")
        need(snapshot["hub"] == self.hub, "prefix")
        need(snapshot["version"] == self.timestamp["snapshot_version"], "mixed")
        after = {e["hub"]: e for e in snapshot["directories"]}
        in_root = {e["hub"] for e in self.root["hubs"]}
        for before in self.snapshot["directories"] if self.snapshot else []:
            now_there = after.get(before["hub"])
            if now_there is None and before["hub"] not in in_root:
                continue
            need(now_there and now_there["version"] >= before["version"], "rollback")
            need(now_there["version"] > before["version"] or now_there["digest"] == before["digest"], "forked")
        need(snapshot["expires_unix_ms"] > now, "frozen")
        self.snapshot = snapshot

    def take_directory(self, hub, data):
        keys = self.hub_keys(hub)
        entry = [e for e in self.snapshot["directories"] if e["hub"] == hub] if self.snapshot else []
        need(entry, "order")
        role = parse_signed(data)
        threshold(role, "registrar", keys["registrar"])
        need(h(role["payload"]) == entry[0]["digest"], "mixed")
        directory = read_directory(role["payload"])
        need(directory["hub"] == hub, "prefix")
        need(directory["version"] == entry[0]["version"], "mixed")
        need(directory["expires_unix_ms"] > self.timestamp["signed_unix_ms"], "frozen")
        return directory


def apply_delta(data, have):
    """The SignedRole that a DirectoryDelta makes of the directory that the reader has; judged by take_directory."""
    delta = exact("DirectoryDelta", data, "form")
    need(delta["from_version"] >= 1, "form")
    need(all(is_name(n) for n in delta["removed"]) and ascending([n.encode() for n in delta["removed"]]), "form")
    changed = read_directory(delta["changed"])
    need(delta["from_version"] == have["version"], "bad_version")
    entries = {e["agency"]: e for e in have["entries"] if e["agency"] not in delta["removed"]}
    entries.update({e["agency"]: e for e in changed["entries"]})
    made = dict(changed, entries=[entries[n] for n in sorted(entries)])
    return schema.encode("SignedRole", {"payload": schema.encode("Directory", made), "signatures": delta["signatures"]})
