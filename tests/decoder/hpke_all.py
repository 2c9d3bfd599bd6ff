"""All of HPKE (RFC 9180) as its vectors have it: every curve, hash, AEAD and mode. The protocol itself uses one part of it, which is
in crypto.py."""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import crypto

try:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
except ImportError:
    MLKEM1024PrivateKey = None

HASHES = {1: hashlib.sha256, 2: hashlib.sha384, 3: hashlib.sha512}
AEADS = {1: (AESGCM, 16), 2: (AESGCM, 32), 3: (ChaCha20Poly1305, 32)}
EXPORT_ONLY = 0xFFFF


class Montgomery:
    def __init__(self, private, public, size, kdf):
        self.private, self.public, self.size, self.kdf, self.secret_size = private, public, size, kdf, size

    def public_of(self, secret):
        return self.private.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def dh(self, secret, public):
        return self.private.from_private_bytes(secret).exchange(self.public.from_public_bytes(public))

    def secret_from(self, expand):
        return expand(b"sk", b"", self.size)


class Nist:
    def __init__(self, curve, size, kdf, order, mask):
        self.curve, self.size, self.kdf, self.order, self.mask, self.secret_size = curve, 2 * size + 1, kdf, order, mask, size

    def _key(self, secret):
        return ec.derive_private_key(int.from_bytes(secret, "big"), self.curve)

    def public_of(self, secret):
        return self._key(secret).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def dh(self, secret, public):
        return self._key(secret).exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(self.curve, public))

    def secret_from(self, expand):
        """By rejection, RFC 9180 §7.1.3."""
        for counter in range(256):
            data = bytearray(expand(b"candidate", bytes([counter]), self.secret_size))
            data[0] &= self.mask
            if 0 < int.from_bytes(data, "big") < self.order:
                return bytes(data)
        raise ValueError("no key in 256 tries")


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P521_ORDER = int("01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
                 "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16)
KEMS = {
    0x10: Nist(ec.SECP256R1(), 32, 1, P256_ORDER, 0xFF),
    0x12: Nist(ec.SECP521R1(), 66, 3, P521_ORDER, 0x01),
    0x20: Montgomery(X25519PrivateKey, X25519PublicKey, 32, 1),
    0x21: Montgomery(X448PrivateKey, X448PublicKey, 56, 3),
}
KEM_SECRETS = {0x10: 32, 0x12: 64, 0x20: 32, 0x21: 64}


def extract(new, salt, data):
    return hmac.new(salt or bytes(new().digest_size), data, new).digest()


def expand(new, key, info, size):
    out = block = b""
    for i in range(1, -(-size // new().digest_size) + 1):
        block = hmac.new(key, block + info + bytes([i]), new).digest()
        out += block
    return out[:size]


class Labeled:
    def __init__(self, new, suite_id):
        self.new, self.suite_id = new, suite_id

    def extract(self, salt, label, data):
        return extract(self.new, salt, b"HPKE-v1" + self.suite_id + label + data)

    def expand(self, key, label, info, size):
        return expand(self.new, key, size.to_bytes(2, "big") + b"HPKE-v1" + self.suite_id + label + info, size)


def derive_secret(kem_id, ikm):
    """DeriveKeyPair."""
    kem = KEMS[kem_id]
    labeled = Labeled(HASHES[kem.kdf], b"KEM" + kem_id.to_bytes(2, "big"))
    key = labeled.extract(b"", b"dkp_prk", ikm)
    return kem.secret_from(lambda label, info, size: labeled.expand(key, label, info, size))


def mlkem_able(kem_id):
    """Of a KEM that has no curve alone: whether it can be run here; None for those that have."""
    if kem_id in KEMS:
        return None
    return {0x41: crypto.MLKEM768PrivateKey, 0x42: MLKEM1024PrivateKey, crypto.KEM_HYBRID: crypto.MLKEM768PrivateKey}.get(kem_id)


def mlkem_decap(kem_id, enc, seed):
    """draft-ietf-hpke-pq: the shared secret as it is."""
    if kem_id == crypto.KEM_HYBRID:
        return crypto.hybrid_decap(seed, enc)
    return mlkem_able(kem_id).from_seed_bytes(seed).decapsulate(enc)


def decap(kem_id, enc, secret, sender_public):
    kem = KEMS[kem_id]
    labeled = Labeled(HASHES[kem.kdf], b"KEM" + kem_id.to_bytes(2, "big"))
    dh = kem.dh(secret, enc) + (kem.dh(secret, sender_public) if sender_public else b"")
    context = enc + kem.public_of(secret) + (sender_public or b"")
    return labeled.expand(labeled.extract(b"", b"eae_prk", dh), b"shared_secret", context, KEM_SECRETS[kem_id])


class Context:
    def __init__(self, setup, shared):
        """setup: numbers and bytes by the names of RFC 9180."""
        ids = [setup[n].to_bytes(2, "big") for n in ("kem_id", "kdf_id", "aead_id")]
        self.labeled = Labeled(HASHES[setup["kdf_id"]], b"HPKE" + b"".join(ids))
        context = bytes([setup["mode"]]) + self.labeled.extract(b"", b"psk_id_hash", setup.get("psk_id", b""))
        context += self.labeled.extract(b"", b"info_hash", setup["info"])
        secret = self.labeled.extract(shared, b"secret", setup.get("psk", b""))
        self.exporter = self.labeled.expand(secret, b"exp", context, self.labeled.new().digest_size)
        if setup["aead_id"] != EXPORT_ONLY:
            cipher, size = AEADS[setup["aead_id"]]
            self.key = cipher(self.labeled.expand(secret, b"key", context, size))
            self.base_nonce = self.labeled.expand(secret, b"base_nonce", context, 12)

    def open(self, sequence, aad, sealed):
        nonce = int.from_bytes(self.base_nonce, "big") ^ sequence
        try:
            return self.key.decrypt(nonce.to_bytes(12, "big"), sealed, aad or None)
        except InvalidTag:
            return None

    def export(self, context, size):
        return self.labeled.expand(self.exporter, b"sec", context, size)
