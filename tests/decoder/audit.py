"""PROTOCOL.md, "Audit log": leaves, checkpoints and what one who follows a log accepts."""

from crypto import h
from roles import parse_signed, signed_by
from rules import Refused, exact, is_name, need, size_in
from tree import consistency, inclusion, leaf

SIZE_MAX, PATH_MAX = 1 << 62, 63


def log_leaf(salt, t):
    return leaf(h(b"kw1 leaf", salt, t))


def read_checkpoint(payload, rule="form"):
    checkpoint = exact("Checkpoint", payload, rule)
    need(is_name(checkpoint["hub"]) and 1 <= checkpoint["size"] <= SIZE_MAX, rule, "hub or size")
    need(size_in(checkpoint["root"], 32) and checkpoint["at_unix_ms"] >= 1, rule, "root or time")
    return checkpoint


def _path(data, rule):
    need(len(data) % 32 == 0 and len(data) <= 32 * PATH_MAX, rule, "path")
    return [data[i:i + 32] for i in range(0, len(data), 32)]


def verify_inclusion(checkpoint, t, data, rule):
    """T is in the log that the checkpoint is of."""
    proof = exact("InclusionProof", data, rule)
    need(size_in(proof["salt"], 16) and proof["index"] <= SIZE_MAX, rule, "salt or index")
    at = log_leaf(proof["salt"], t)
    root = inclusion(proof["index"], checkpoint["size"], at, _path(proof["path"], rule))
    need(root == checkpoint["root"], rule, "another root")


def take_signed(data, keys, rule="form", signature="signature"):
    """The payload of a SignedRole of the role "log", read."""
    role = parse_signed(data, rule)
    need(signed_by(role, "log", keys["keys"]) >= keys["threshold"], signature)
    return read_checkpoint(role["payload"], rule)


class Follower:
    """What one who follows the log of one hub believes."""

    def __init__(self, hub, keys):
        self.hub, self.keys, self.last = hub, keys, None

    def take(self, signed, proof):
        checkpoint = take_signed(signed, self.keys)
        need(checkpoint["hub"] == self.hub, "hub")
        if self.last:
            self._growth(checkpoint, proof)
        self.last = checkpoint

    def _growth(self, checkpoint, data):
        last = self.last
        need(checkpoint["size"] >= last["size"], "rollback")
        if checkpoint["size"] == last["size"]:
            need(checkpoint["root"] == last["root"], "forked")
            return
        proof = exact("ConsistencyProof", data, "proof")
        need(proof["size_old"] == last["size"], "proof")
        path = _path(proof["path"], "proof")
        verdict = consistency(last["size"], checkpoint["size"], last["root"], checkpoint["root"], path)
        need(verdict != "form", "proof")
        need(verdict == "ok", "forked")


def take_statement(data, keys):
    """A WitnessStatement that this hub's log keys have signed, and the Checkpoint in it."""
    role = parse_signed(data)
    if signed_by(role, "witness", keys["keys"]) < keys["threshold"]:
        raise Refused("signature")
    statement = exact("WitnessStatement", role["payload"], "form")
    need(is_name(statement["witness"]) and statement["at_unix_ms"] >= 1, "form")
    return statement, read_checkpoint(statement["checkpoint"])


def verify_log_proof(data, keys):
    """A LogProofFile: the digest of an envelope, and the Checkpoint of the log that has it."""
    file = exact("LogProofFile", data, "form")
    need(size_in(file["envelope_digest"], 32), "form", "digest")
    checkpoint = take_signed(file["checkpoint"], keys)
    verify_inclusion(checkpoint, file["envelope_digest"], file["inclusion"], "held")
    return file["envelope_digest"], checkpoint
