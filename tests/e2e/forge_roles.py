#!/usr/bin/env python3
"""A thief of a hub's folder: signs a directory in which an agency has another identity key, or with times of long ago, and what
belongs to it. Written from proto/PROTOCOL.md alone.

    forge_roles.py HUB_FOLDER swap AGENCY      the agency's identity key is another one
    forge_roles.py HUB_FOLDER age DAYS         snapshot and timestamp are signed as of so many days ago, and good for years
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time

DAY_MS = 86_400_000
YEARS_MS = 3650 * DAY_MS


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """[number, value] of each field, a number or bytes, in order."""
    out, at = [], 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        out.append([tag >> 3, value])
    return out


def pack(pairs):
    out = b""
    for number, value in pairs:
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            out += varint(number << 3) + varint(value)
    return out


def get(pairs, number):
    return next(value for key, value in pairs if key == number)


def put(pairs, number, value):
    next(pair for pair in pairs if pair[0] == number)[1] = value


class Hub:
    def __init__(self, folder):
        self.folder = folder

    def payload(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return fields(get(fields(file.read()), 1))

    def sign(self, role, payload, name):
        """Writes a SignedRole with one signature."""
        key = os.path.join(self.folder, role + ".key")
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout[-32:]
        with tempfile.NamedTemporaryFile() as message:
            message.write(b"kw1 role " + role.encode() + b"\0" + payload)
            message.flush()
            signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message.name], check=True,
                                       capture_output=True).stdout
        signed = pack([(1, payload), (2, pack([(1, hashlib.sha256(public).digest()[:8]), (2, signature)]))])
        path = os.path.join(self.folder, name)
        with open(path + ".forged", "wb") as file:
            file.write(signed)
        os.chmod(path + ".forged", 0o644)
        os.rename(path + ".forged", path)


def swap(directory, agency):
    for pair in directory:
        if pair[0] == 4:
            entry = fields(pair[1])
            if get(entry, 1) == agency.encode():
                put(entry, 2, bytes([0x66]) * 32)
                pair[1] = pack(entry)
                return
    sys.exit("no such agency")


def main():
    folder, what, argument = sys.argv[1:]
    hub = Hub(folder)
    now = int(time.time() * 1000)
    directory = hub.payload("directory.bin")
    snapshot = hub.payload("snapshot.bin")
    timestamp = hub.payload("timestamp.bin")
    put(directory, 2, get(directory, 2) + 1)
    if what == "swap":
        swap(directory, argument)
    else:
        now -= int(argument) * DAY_MS
    encoded = pack(directory)
    entry = fields(get(snapshot, 4))
    put(entry, 2, get(directory, 2))
    put(entry, 3, hashlib.sha256(encoded).digest())
    put(snapshot, 2, get(snapshot, 2) + 1)
    put(snapshot, 3, now + YEARS_MS)
    put(snapshot, 4, pack(entry))
    put(timestamp, 2, get(timestamp, 2) + 1)
    put(timestamp, 3, now)
    put(timestamp, 4, now + YEARS_MS)
    put(timestamp, 5, get(snapshot, 2))
    put(timestamp, 6, hashlib.sha256(pack(snapshot)).digest())
    hub.sign("registrar", encoded, "directory.bin")
    hub.sign("snapshot", pack(snapshot), "snapshot.bin")
    hub.sign("timestamp", pack(timestamp), "timestamp.bin")


main()
