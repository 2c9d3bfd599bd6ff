"""The golden batch of dated keys, and what is none."""

import golden
import prekeys
import schema
from crypto import ed25519_sign
from forge_signed import public_of
from rules import Refused

SEED, OTHER = bytes([1]).ljust(32, b"\0"), bytes([2]).ljust(32, b"\0")
AGENCY, HUB = "agency-b", "hub-0"


def _signed(batch, seed=SEED):
    data = schema.encode("PrekeyBatch", batch)
    return schema.encode("SignedPrekeys", {"batch": data, "signature": ed25519_sign(seed, b"kw1 prekeys" + data)})


def _refused(rule, data, *how):
    try:
        prekeys.take(data, *how)
    except Refused as refusal:
        if refusal.rule != rule:
            raise AssertionError("refused by %s, not %s" % (refusal.rule, rule)) from refusal
        return 1
    raise AssertionError("not refused: %s" % rule)


def run():
    data = bytes.fromhex((golden.FOLDER / "prekeys.hex").read_text(encoding="ascii"))
    who = (AGENCY, HUB, public_of(SEED))
    batch = prekeys.take(data, *who)
    if _signed(batch) != data:
        raise AssertionError("prekeys: written and signed again it is not the same")
    count = 0
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            try:
                prekeys.take(bytes(changed), *who)
            except Refused:
                count += 1
    if count != 8 * len(data):
        raise AssertionError("prekeys: %d of %d flips refused" % (count, 8 * len(data)))
    forms = 0
    for more in ({"keys": []}, {"keys": batch["keys"] + batch["keys"][:1]}, {"keys": [bytes(31)]}, {"first_day": 0},
                 {"keys": [bytes([i]).ljust(32, b"\1") for i in range(65)]}, {"first_day": prekeys.DAY_MAX - 1}, {"agency": "Agency"},
                 {"identity_key_id": bytes(7)}):
        forms += _refused("form", _signed(dict(batch, **more)), *who)
    forms += _refused("form", data + b"\x18\x01", *who)
    forms += _refused("agency", data, "agency-c", HUB, who[2])
    forms += _refused("agency", data, AGENCY, "hub-1", who[2])
    forms += _refused("key", data, AGENCY, HUB, public_of(OTHER))
    forms += _refused("signature", _signed(batch, OTHER), *who)
    forms += _refused("rollback", data, *who, dict(batch, first_day=batch["first_day"] + 1))
    longer = dict(batch, keys=batch["keys"] + [bytes(32)])
    forms += _refused("rollback", data, *who, longer)
    prekeys.take(_signed(longer), *who, batch)
    prekeys.take(data, *who, dict(longer, identity_key_id=bytes(8)))  # another identity key begins anew
    return ["1 batch read and written again; %d flipped bits and %d others refused" % (count, forms)]
