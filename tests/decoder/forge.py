"""Seals envelopes as PROTOCOL.md says, and forges those that only somebody with a key could make: for each rule of its table one
envelope that breaks this rule and no earlier one.

    python3 tests/decoder/forge.py     writes tests/golden/forged.txt, which the C tests open too"""

import envelope
import golden
import schema
from crypto import (KDF_SHA256, KEM_X25519, SUITES, _labeled_expand, _labeled_extract, aead, ed25519_sign, h, hkdf_expand,
                    x25519, x25519_public)
from tree import climb, leaf

FILE = "forged.txt"
SENDER = ("sender-9", "hub-0", bytes.fromhex("f001020304050607"))
EPHEMERAL, DEK = h(b"ephemeral of the forger"), h(b"key of the forger")


def hpke_seal(suite, public, info, plain):
    kem, aead_id = SUITES[suite]
    enc = x25519_public(EPHEMERAL)
    kem_id = b"KEM" + KEM_X25519.to_bytes(2, "big")
    key = _labeled_extract(kem_id, b"", b"eae_prk", x25519(EPHEMERAL, public))
    shared = _labeled_expand(kem_id, key, b"shared_secret", enc + public, 32)
    suite_id = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (kem, KDF_SHA256, aead_id))
    context = b"\x00" + _labeled_extract(suite_id, b"", b"psk_id_hash", b"")
    context += _labeled_extract(suite_id, b"", b"info_hash", info)
    secret = _labeled_extract(suite_id, shared, b"secret", b"")
    nonce = _labeled_expand(suite_id, secret, b"base_nonce", context, 12)
    return enc, aead(suite, _labeled_expand(suite_id, secret, b"key", context, 32)).encrypt(nonce, plain, None)


def pad(content, size):
    return content + b"\x80" + bytes(size - len(content) - 1)


class Sealing:
    """One envelope in steps, any of which a forgery may replace. Works for suites 1 and 2."""

    def __init__(self, people, suite=1, content=b"from the forger"):
        self.seed, self.recipient = people
        self.suite, self.content = suite, content
        agency, hub, key_id, _ = self.recipient
        self.slot = {"agency": agency, "hub": hub, "key_id": key_id}
        self.header = {"version": 1, "suite": suite, "envelope_id": bytes(range(16)), "home_hub": "hub-0", "expiry_hour": 498700,
                       "class": 2, "size_bucket": envelope.bucket_of(len(content) + 1), "hops_max": 2}
        self.claims = {"sender": SENDER[0], "sender_hub": SENDER[1], "key_id": SENDER[2], "sent_unix_ms": 1795000000123,
                       "content_type": 17, "thread_id": b"\x7d" * 16, "thread_sequence": 0}
        self.padded = pad(content, self.header["size_bucket"])
        self.path, self.index = [], 0
        self.commit = self.dek_in_slot = self.auth_size = self.signed_claims = self.block = self.enc = None
        self.extra_info = b""
        self.raw = {}  # message -> what is done to its encoding
        self.body_flip = self.auth_aad = None

    def encode(self, message, values):
        return self.raw.get(message, bytes)(schema.encode(message, values))

    def make(self):
        header = self.encode("Header", self.header)
        label = b"kw1 commit" + self.suite.to_bytes(2, "big") + h(header)
        commit = self.commit or hkdf_expand(DEK, label)
        address = ("%s@%s" % (self.slot["agency"], self.slot["hub"])).encode()
        info = b"kw1 slot" + h(header) + commit + envelope.sized(address) + envelope.sized(self.slot["key_id"])
        public = x25519_public(self.recipient[3])
        enc, sealed = hpke_seal(self.suite, public, info + self.extra_info, self.dek_in_slot or DEK)
        slot = self.encode("Slot", dict(self.slot, enc=self.enc or enc, sealed_key=sealed))
        body = self._body(header)
        t = h(b"kw1 T", h(header), commit, climb(leaf(slot), self.index, self.path), h(body))
        return self.encode("Envelope", {"header": header, "commit": commit, "slot": slot, "slot_index": self.index,
                                        "slot_path": self.path, "body": body, "auth": self._auth(header, t)})

    def _body(self, header):
        key, out = aead(self.suite, envelope.body_key(DEK, header)), b""
        pieces = [self.padded[i:i + envelope.CHUNK] for i in range(0, len(self.padded), envelope.CHUNK)]
        for i, piece in enumerate(pieces):
            out += key.encrypt(envelope.chunk_nonce(i, i == len(pieces) - 1), piece, None)
        if self.body_flip is not None:
            out = bytearray(out)
            out[self.body_flip] ^= 1
        return bytes(out)

    def _auth(self, header, t):
        claims = self.encode("Claims", self.claims)
        signed = schema.encode("Claims", self.signed_claims) if self.signed_claims else claims
        signature = ed25519_sign(self.seed, b"kw1 env" + t + envelope.sized(signed))
        block = self.block or self.encode("AuthBlock", {"claims": claims, "signature": signature})
        size = self.auth_size or next(s for s in envelope.AUTH_SIZES if len(block) < s)
        padded = block + bytes(size - len(block)) if self.block else pad(block, size)
        key = aead(self.suite, envelope.auth_key(DEK, header))
        return key.encrypt(bytes(12), padded, self.auth_aad or t)


def _changes():
    """(name, rule, what is done to a Sealing)."""
    other = {"content_type": 18}

    def change(**values):
        return lambda s: [setattr(s, name, value) for name, value in values.items()]

    def into(field, **values):
        return lambda s: getattr(s, field).update(values)
    yield "good", "ok", lambda s: None
    yield "good_path", "ok", change(path=[h(b"a"), h(b"b"), h(b"c")], index=5)
    for name, values in {"version_2": {"version": 2}, "suite_3": {"suite": 3}, "id_15": {"envelope_id": bytes(range(15))},
                         "hub_dash": {"home_hub": "-hub"}, "hub_capital": {"home_hub": "Hub"}, "no_expiry": {"expiry_hour": 0},
                         "class_4": {"class": 4}, "class_0": {"class": 0}, "hops_9": {"hops_max": 9},
                         "bucket_513": {"size_bucket": 513}, "bucket_1024": {"size_bucket": 1024}}.items():
        yield name, "structure", into("header", **values)
    for message, rule in (("Envelope", "structure"), ("Header", "structure"), ("Slot", "structure"), ("Claims", "claims"),
                          ("AuthBlock", "claims")):
        yield message.lower() + "_unknown_field", rule, change(raw={message: lambda data: data + b"\x7a\x01x"})
    yield "header_zero", "structure", change(raw={"Header": lambda data: data + b"\x48\x00"})
    yield "header_long_number", "structure", change(raw={"Header": lambda data: b"\x08\x81\x00" + data[2:]})
    yield "header_order", "structure", change(raw={"Header": lambda data: data[2:4] + data[:2] + data[4:]})
    yield "header_twice", "structure", change(raw={"Header": lambda data: data[:2] + data})
    yield "enc_31", "structure", change(enc=bytes(31))
    yield "bucket_53248", "structure", lambda s: (s.header.update(size_bucket=53248), setattr(s, "padded", pad(b"", 53248)))
    yield "auth_144", "structure", change(auth_size=144, block=bytes(144))
    yield "auth_320", "structure", change(auth_size=320)
    yield "signature_63", "claims", change(raw={"AuthBlock": lambda data: data[:-65] + bytes([63]) + data[-63:]})
    yield "key_id_7", "structure", into("slot", key_id=bytes(7))
    yield "path_4", "structure", change(path=[h(b"a")] * 4)
    yield "index_past_path", "structure", change(path=[h(b"a")], index=2)
    yield "path_31", "structure", change(path=[bytes(range(31))])
    yield "other_agency", "not_for_us", into("slot", agency="agency-1")
    yield "other_hub", "not_for_us", into("slot", hub="hub-1")
    yield "other_key", "key_unknown", into("slot", key_id=b"\x77" * 8)
    yield "other_info", "slot", change(extra_info=b"x")
    yield "other_commit", "commit", change(commit=h(b"another key"))
    yield "other_dek", "commit", change(dek_in_slot=h(b"another key"))
    yield "auth_under_other_digest", "auth", change(auth_aad=h(b"another digest"))
    yield "auth_without_padding", "claims", change(block=b"\x0a\x01\x00")
    yield "auth_too_long", "claims", change(auth_size=288)
    yield "auth_no_message", "claims", change(block=b"\x0a\x05\x80")
    yield "claims_no_type", "claims", into("claims", content_type=0)
    yield "claims_sent_at_0", "claims", into("claims", sent_unix_ms=0)
    yield "claims_sender_empty", "claims", into("claims", sender="")
    yield "claims_thread_15", "claims", into("claims", thread_id=b"\x7d" * 15)
    yield "stranger", "sender_unknown", into("claims", sender="stranger")
    yield "sender_of_other_hub", "sender_unknown", into("claims", sender_hub="hub-1")
    yield "sender_other_key", "sender_unknown", into("claims", key_id=b"\xf1" + SENDER[2][1:])
    yield "claims_swapped", "signature", lambda s: setattr(s, "signed_claims", dict(s.claims, **other))
    yield "signed_by_other", "signature", change(seed=h(b"another seed"))
    yield "body_flipped", "body", change(body_flip=3)
    yield "body_tag_flipped", "body", change(body_flip=-1)
    yield "no_padding", "padding", lambda s: setattr(s, "padded", bytes(len(s.padded)))
    yield "padding_81", "padding", lambda s: setattr(s, "padded", s.padded.replace(b"\x80", b"\x81"))


def make(people):
    """(name, rule, envelope) for suites 1 and 2."""
    for suite in (1, 2):
        for name, rule, change in _changes():
            sealing = Sealing(people, suite)
            change(sealing)
            yield "%s_%d" % (name, suite), rule, sealing.make()
    chunks = Sealing(people, 1, b"m" * 20000)
    chunks.header["size_bucket"] = len(chunks.padded)
    yield "good_chunks_1", "ok", chunks.make()


def people():
    """Seed of the sender, and the first recipient, as the golden envelopes have them."""
    seed = recipient = None
    for word, rest in golden.lines("envelopes/aes_one.txt"):
        if word == "sender":
            seed = golden.raw(rest[4])
        elif word == "recipient" and recipient is None:
            recipient = (rest[0], rest[1], golden.raw(rest[2]), golden.raw(rest[3]))
    return seed, recipient


def text():
    return "".join("forged %s %s %s\n" % (name, rule, data.hex()) for name, rule, data in make(people()))


if __name__ == "__main__":
    (golden.FOLDER / FILE).write_text(text(), encoding="ascii")
