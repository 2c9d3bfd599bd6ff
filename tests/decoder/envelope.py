"""PROTOCOL.md, "Envelope": the recipient's side."""

import hmac

from crypto import NoSuite, OpenError, SUITES, aead_open, ed25519_ok, h, hkdf_expand, hpke_open
from rules import Refused, exact, is_name, need, size_in
from tree import climb, leaf

CHUNK, TAG = 16384, 16
AUTH_SIZES = (160, 192, 224, 256, 288)


def padme(n):
    e = n.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return -(-n // step) * step


def bucket_of(n):
    """The bucket of n bytes, message and 0x80 together."""
    return next((b for b in (512, 1024, 2048, 4096) if n <= b), None) or padme(n)


def unpad(padded):
    """None when it does not end in 0x80 and zeros."""
    cut = padded.rstrip(b"\x00")
    return cut[:-1] if cut.endswith(b"\x80") else None


def _structure(condition, why):
    need(condition, "structure", why)


def header_of(data):
    header = exact("Header", data, "structure")
    _structure(header["version"] == 1 and header["suite"] in SUITES, "version or suite")
    _structure(size_in(header["envelope_id"], 16) and is_name(header["home_hub"]), "id or hub")
    _structure(header["expiry_hour"] >= 1 and 1 <= header["class"] <= 3 and 1 <= header["hops_max"] <= 8, "a number")
    bucket = header["size_bucket"]
    _structure(512 <= bucket <= 49152 and bucket_of(bucket) == bucket, "no bucket")
    return header


def slot_of(data, suite):
    slot = exact("Slot", data, "structure")
    _structure(is_name(slot["agency"]) and is_name(slot["hub"]), "a name")
    _structure(size_in(slot["key_id"], 8, 32) and size_in(slot["sealed_key"], 48), "a size")
    _structure(size_in(slot["enc"], 1120 if suite == 17 else 32), "enc")
    return slot


def parse(data):
    """Envelope, Header and Slot."""
    _structure(len(data) <= 65000, "too big")
    envelope = exact("Envelope", data, "structure")
    header = header_of(envelope["header"])
    _structure(size_in(envelope["commit"], 32) and all(size_in(p, 32) for p in envelope["slot_path"]), "a size")
    _structure(len(envelope["slot_path"]) <= 3 and envelope["slot_index"] >> len(envelope["slot_path"]) == 0, "index")
    bucket = header["size_bucket"]
    _structure(len(envelope["body"]) == bucket + -(-bucket // CHUNK) * TAG, "body")
    _structure(len(envelope["auth"]) - TAG in AUTH_SIZES, "auth")
    return envelope, header, slot_of(envelope["slot"], header["suite"])


def digest_of(header, commit, slot, slot_index, slot_path, body_digest):
    """T."""
    return h(b"kw1 T", h(header), commit, climb(leaf(slot), slot_index, slot_path), body_digest)


def digest(data):
    """T of a whole envelope; needs no key."""
    e, _, _ = parse(data)
    return digest_of(e["header"], e["commit"], e["slot"], e["slot_index"], e["slot_path"], h(e["body"]))


def sized(data):
    return len(data).to_bytes(2, "big") + data


def chunk_nonce(index, last):
    return bytes(7) + index.to_bytes(4, "big") + bytes([last])


def body_key(dek, header):
    return hkdf_expand(dek, b"kw1 body" + h(header))


def auth_key(dek, header):
    return hkdf_expand(dek, b"kw1 auth" + h(header))


def _open_slot(envelope, header, slot, secret):
    address = ("%s@%s" % (slot["agency"], slot["hub"])).encode()
    info = b"kw1 slot" + h(envelope["header"]) + envelope["commit"] + sized(address) + sized(slot["key_id"])
    try:
        return hpke_open(header["suite"], secret, slot["enc"], info, slot["sealed_key"])
    except NoSuite as error:
        raise Refused("suite") from error
    except OpenError as error:
        raise Refused("slot") from error


def claims_of(data, rule):
    claims = exact("Claims", data, rule)
    need(is_name(claims["sender"]) and is_name(claims["sender_hub"]), rule, "a name")
    need(size_in(claims["key_id"], 8, 32) and size_in(claims["thread_id"], 16), rule, "a size")
    need(claims["sent_unix_ms"] >= 1 and claims["content_type"] >= 1, rule, "a number")
    return claims


def _auth_block(block):
    content = unpad(block)
    need(content is not None, "claims", "padding")
    need(len(block) == next((s for s in AUTH_SIZES if len(content) < s), None), "claims", "padding is longer than needed")
    auth = exact("AuthBlock", content, "claims")
    need(len(auth["claims"]) >= 1 and size_in(auth["signature"], 64), "claims", "a size")
    return auth, claims_of(auth["claims"], "claims")


def _open_body(suite, key, sealed, bucket):
    count = -(-bucket // CHUNK)
    padded = b""
    for i in range(count):
        piece = sealed[i * (CHUNK + TAG):(i + 1) * (CHUNK + TAG)]
        padded += aead_open(suite, key, chunk_nonce(i, i == count - 1), b"", piece)
    return padded


class Recipient:
    """Who opens: agency and hub, secrets by (hybrid, key id), identity keys by (agency, hub, key id)."""

    def __init__(self, agency, hub, secrets, identities):
        self.agency, self.hub, self.secrets, self.identities = agency, hub, secrets, identities


def open_envelope(data, recipient):
    envelope, header, slot = parse(data)
    suite = header["suite"]
    need((slot["agency"], slot["hub"]) == (recipient.agency, recipient.hub), "not_for_us")
    secret = recipient.secrets.get((suite == 17, slot["key_id"]))
    need(secret is not None, "key_unknown")
    dek = _open_slot(envelope, header, slot, secret)
    label = b"kw1 commit" + suite.to_bytes(2, "big") + h(envelope["header"])
    need(hmac.compare_digest(hkdf_expand(dek, label), envelope["commit"]), "commit")
    t = digest(data)
    try:
        block = aead_open(suite, auth_key(dek, envelope["header"]), bytes(12), t, envelope["auth"])
    except OpenError as error:
        raise Refused("auth") from error
    auth, claims = _auth_block(block)
    identity = recipient.identities.get((claims["sender"], claims["sender_hub"], claims["key_id"]))
    need(identity is not None, "sender_unknown")
    need(ed25519_ok(identity, b"kw1 env" + t + sized(auth["claims"]), auth["signature"]), "signature")
    try:
        padded = _open_body(suite, body_key(dek, envelope["header"]), envelope["body"], header["size_bucket"])
    except OpenError as error:
        raise Refused("body") from error
    content = unpad(padded)
    need(content is not None, "padding")
    return {"content": content, "digest": t, "header": header, "claims": claims, "dek": dek, "slot": slot}
