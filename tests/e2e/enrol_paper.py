#!/usr/bin/env python3
"""Reads a code and a request file by proto/PROTOCOL.md alone, and prints the phrase: enrol_paper.py CODE FILE. Fails where the
program's bytes are not what that page says."""

import hashlib
import hmac
import sys

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read_code(text):
    assert text.startswith("KW1-")
    bits = "".join(f"{DIGITS.index(digit):05b}" for digit in text[4:] if digit not in "- ")
    raw = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits) - 7, 8))
    assert set(bits[8 * len(raw):]) <= {"0"}
    body, crc = raw[:-4], raw[-4:]
    assert crc == crc32c(body).to_bytes(4, "big")
    size = body[48]
    return body[:16], body[16:48], body[49:49 + size], body[49 + size:].decode()


def fields(data):
    """{number: bytes}, in ascending order, each once."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        assert tag & 7 == 2 and (not found or tag >> 3 > max(found))
        size = varint()
        found[tag >> 3] = data[at:at + size]
        at += size
    return found


def main():
    secret, root, agency, _address = read_code(sys.argv[1])
    line, _, body = open(sys.argv[2], "rb").read().partition(b"\n")
    assert line == b"kinward enrolment request 1"
    ask = fields(body)
    assert sorted(ask) == [1, 2, 3, 4] and len(ask[2]) == len(ask[3]) == 64
    request = fields(ask[1])
    assert sorted(request) == [2, 3, 4, 6]
    assert request[6] == hashlib.sha256(b"kw1 code id" + secret).digest()[:16]
    key = hmac.new(secret, b"kw1 code key", "sha256").digest()
    assert ask[4] == hmac.new(key, b"kw1 enrol file" + ask[2] + ask[3] + ask[1], "sha256").digest()
    at = request[2].index(ED25519_SPKI) + len(ED25519_SPKI)
    tls = request[2][at:at + 32]
    digest = hashlib.sha256(b"kw1 enrol phrase" + root + bytes([len(agency)]) + agency + request[3] + request[4] + tls).digest()
    print(" ".join(f"{int.from_bytes(digest[4 * i:4 * i + 4], 'big') % 10000:04d}" for i in range(6)))


main()
