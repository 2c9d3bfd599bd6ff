"""What PROTOCOL.md takes from elsewhere: HKDF (RFC 5869), HPKE (RFC 9180), Ed25519 (RFC 8032), Merkle trees (RFC 9162)."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:  # not in Debian 12's package
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    MLKEM768PrivateKey.from_seed_bytes(bytes(64))
except Exception:  # a library that knows the name, over a libcrypto that has not got it
    MLKEM768PrivateKey = None

KDF_SHA256 = 0x0001
KEM_X25519, KEM_HYBRID = 0x0020, 0x647A
AES_256_GCM, CHACHA20_POLY1305 = 0x0002, 0x0003  # as RFC 9180 numbers them
SUITES = {1: (KEM_X25519, AES_256_GCM), 2: (KEM_X25519, CHACHA20_POLY1305), 17: (KEM_HYBRID, AES_256_GCM)}
HYBRID_LABEL = bytes.fromhex("5c2e2f2f5e5c")


class NoSuite(Exception):
    pass


class OpenError(Exception):
    pass


def h(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(key, info, size=32):
    out = block = b""
    for i in range(1, -(-size // 32) + 1):
        block = hmac.new(key, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:size]


def aead(suite, key):
    return ChaCha20Poly1305(key) if SUITES[suite][1] == CHACHA20_POLY1305 else AESGCM(key)


def aead_open(suite, key, nonce, aad, sealed):
    try:
        return aead(suite, key).decrypt(nonce, sealed, aad or None)
    except InvalidTag as error:
        raise OpenError("does not open") from error


def x25519(secret, public):
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise OpenError("a point of low order") from error


def x25519_public(secret):
    key = X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed25519_ok(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def ed25519_sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def _labeled(suite_id, label, data):
    return b"HPKE-v1" + suite_id + label + data


def _labeled_extract(suite_id, salt, label, ikm):
    return hkdf_extract(salt, _labeled(suite_id, label, ikm))


def _labeled_expand(suite_id, key, label, info, size):
    return hkdf_expand(key, size.to_bytes(2, "big") + _labeled(suite_id, label, info), size)


def _decap_x25519(secret, enc):
    suite_id = b"KEM" + KEM_X25519.to_bytes(2, "big")
    shared = x25519(secret, enc)
    key = _labeled_extract(suite_id, b"", b"eae_prk", shared)
    return _labeled_expand(suite_id, key, b"shared_secret", enc + x25519_public(secret), 32)


def hybrid_decap(seed, enc):
    if MLKEM768PrivateKey is None:
        raise NoSuite()
    expanded = hashlib.shake_256(seed).digest(96)
    kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    first = kem.decapsulate(enc[:1088])
    second = x25519(expanded[64:], enc[1088:])
    return hashlib.sha3_256(first + second + enc[1088:] + x25519_public(expanded[64:]) + HYBRID_LABEL).digest()


def hpke_open(suite, secret, enc, info, sealed):
    """OpenBase (RFC 9180 §6.1) without additional data. secret: of X25519, or the seed of the hybrid KEM."""
    kem, aead_id = SUITES[suite]
    shared = (hybrid_decap if kem == KEM_HYBRID else _decap_x25519)(secret, enc)
    suite_id = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (kem, KDF_SHA256, aead_id))
    context = b"\x00" + _labeled_extract(suite_id, b"", b"psk_id_hash", b"")
    context += _labeled_extract(suite_id, b"", b"info_hash", info)
    key = _labeled_extract(suite_id, shared, b"secret", b"")
    nonce = _labeled_expand(suite_id, key, b"base_nonce", context, 12)
    return aead_open(suite, _labeled_expand(suite_id, key, b"key", context, 32), nonce, b"", sealed)
