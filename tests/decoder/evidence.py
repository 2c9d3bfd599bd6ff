"""PROTOCOL.md, "Receipts and evidence"."""

import re

import audit
import envelope
import schema
from crypto import ed25519_ok, h
from roles import Client, key_id, parse_signed, read_directory, read_timestamp
from rules import Refused, exact, need, size_in
from tree import inclusion, leaf, root

BATCH_MAX, FILE_MAX, ROOTS_MAX, RECEIPTS_MAX = 128, 24 << 20, 1000, 8
FAILED = 3
YEAR_10000 = 253402300800000  # a time in a message is before it (options.proto)
WIRE_NAME = re.compile(r"[a-z_]{1,31}\Z")


def _entry(entry, rule):
    need(size_in(entry["digest"], 32) and size_in(entry["envelope_id"], 16), rule, "a size")
    need(1 <= entry["level"] <= 4 and entry["at_unix_ms"] >= 1, rule, "level or time")
    need(bool(WIRE_NAME.match(entry["failure"])) if entry["level"] == FAILED else not entry["failure"], rule, "failure")
    return entry


def _signed(top, count):
    return b"kw1 receipt" + top + count.to_bytes(4, "big")


def verify_receipt(data, identity):
    """A Receipt as it is in a message: its entries, which the recipient has signed as a batch. Without a signature: None."""
    try:
        receipt = schema.decode("Receipt", data, twice_ok=False)
    except schema.Malformed as error:
        raise Refused("form", str(error)) from error
    entries = receipt["entries"]
    need(1 <= len(entries) <= BATCH_MAX and len(receipt["signature"]) in (0, 64), "form", "entries")
    for entry in entries:
        _entry(entry, "form")
        need(entry["at_unix_ms"] < YEAR_10000, "form", "time")
    if not receipt["signature"]:
        return None
    top = root([leaf(schema.encode("ReceiptEntry", entry)) for entry in entries])
    need(ed25519_ok(identity, _signed(top, len(entries)), receipt["signature"]), "auth")
    return entries


def read_receipt_proof(data):
    proof = exact("ReceiptProof", data, "form")
    need(1 <= proof["count"] <= BATCH_MAX and proof["index"] < proof["count"], "form", "place")
    need(len(proof["path"]) <= 7 and all(size_in(p, 32) for p in proof["path"]), "form", "path")
    need(size_in(proof["signature"], 64), "form", "signature")
    return proof, _entry(exact("ReceiptEntry", proof["entry"], "form"), "form")


def verify_receipt_proof(proof, identity):
    top = inclusion(proof["index"], proof["count"], leaf(proof["entry"]), proof["path"])
    need(top is not None and ed25519_ok(identity, _signed(top, proof["count"]), proof["signature"]), "receipt")


def _envelope_proof(data):
    proof = exact("EnvelopeProof", data, "form")
    try:
        header = envelope.header_of(proof["header"])
        slot = envelope.slot_of(proof["slot"], header["suite"])
    except Refused as refusal:
        raise Refused("form", str(refusal)) from refusal
    need(size_in(proof["commit"], 32) and size_in(proof["body_digest"], 32), "form", "a size")
    need(size_in(proof["signature"], 64) and len(proof["claims"]) <= 288, "form", "a size")
    path = proof["slot_path"]
    need(len(path) <= 3 and all(size_in(p, 32) for p in path) and proof["slot_index"] >> len(path) == 0, "form", "path")
    return proof, header, slot, envelope.claims_of(proof["claims"], "form")


def _read(data):
    need(len(data) <= FILE_MAX, "form", "too big")
    file = exact("EvidenceFile", data, "form")
    need(file["version"] == 1 and file["envelope"] and len(file["receipts"]) <= RECEIPTS_MAX, "form")
    need(all(file["receipts"]), "form", "an empty receipt")
    chain = exact("RoleChain", file["roles"], "form")
    need(1 <= len(chain["roots"]) <= ROOTS_MAX and 1 <= len(chain["directories"]) <= 2, "form", "roles")
    need(chain["timestamp"] and chain["snapshot"] and all(chain["roots"]) and all(chain["directories"]), "form", "roles")
    return file, chain, _envelope_proof(file["envelope"])


def _roles(chain, hub, fingerprint):
    client, directories = Client(hub, fingerprint), {}
    for version, data in enumerate(chain["roots"], 1):
        client.take_root(data)
        need(client.root["version"] == version, "order")
    moment = read_timestamp(parse_signed(chain["timestamp"])["payload"])["signed_unix_ms"]
    client.take_timestamp(chain["timestamp"], moment)
    client.take_snapshot(chain["snapshot"], moment)
    for data in chain["directories"]:
        its_hub = read_directory(parse_signed(data)["payload"])["hub"]
        need(its_hub not in directories, "order")
        directories[its_hub] = client.take_directory(its_hub, data)
    return client, {(hub, e["agency"]): e for hub, d in directories.items() for e in d["entries"]}


def verify_evidence(data, fingerprint):
    """What the file proves."""
    file, chain, (proof, header, slot, claims) = _read(data)
    try:
        client, agencies = _roles(chain, claims["sender_hub"], fingerprint)
    except Refused as refusal:
        raise Refused("roles", str(refusal)) from refusal
    sender = agencies.get((claims["sender_hub"], claims["sender"]))
    need(sender and key_id(sender["identity_key"]) == claims["key_id"], "sender")
    t = envelope.digest_of(proof["header"], proof["commit"], proof["slot"], proof["slot_index"], proof["slot_path"],
                           proof["body_digest"])
    label = b"kw1 env" + t + envelope.sized(proof["claims"])
    need(ed25519_ok(sender["identity_key"], label, proof["signature"]), "signature")
    recipient = agencies.get((slot["hub"], slot["agency"]))
    need(recipient, "recipient")
    entries = []
    for one in file["receipts"]:
        receipt, entry = read_receipt_proof(one)
        need(not entries or entries[-1]["level"] < entry["level"], "form", "order of receipts")
        need(entry["digest"] == t and entry["envelope_id"] == header["envelope_id"], "other_envelope")
        verify_receipt_proof(receipt, recipient["identity_key"])
        entries.append(entry)
    held = _held(file["held"], client, header["home_hub"], t) if file["held"] else None
    return {"digest": t, "claims": claims, "header": header, "slot": slot, "receipts": entries, "held": held}


def _held(data, client, home_hub, t):
    held = exact("HeldProof", data, "held")
    keys = [hub["log"] for hub in client.root["hubs"] if hub["hub"] == home_hub]
    need(keys, "held", "no such hub")
    checkpoint = audit.take_signed(held["checkpoint"], keys[0], "held", "held")
    need(checkpoint["hub"] == home_hub, "held", "another hub")
    audit.verify_inclusion(checkpoint, t, held["inclusion"], "held")
    return checkpoint
