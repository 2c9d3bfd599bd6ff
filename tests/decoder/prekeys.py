"""PROTOCOL.md, "Dated prekeys": what a reader accepts, and by which rule it refuses."""

from crypto import ed25519_ok, h
from rules import exact, is_name, need, size_in

DAY_MAX, KEYS_MAX, SIZE_MAX = 100000, 64, 2560


def _parse(data):
    need(len(data) <= SIZE_MAX, "form", "too large")
    signed = exact("SignedPrekeys", data, "form")
    need(size_in(signed["signature"], 64), "form", "signature")
    batch = exact("PrekeyBatch", signed["batch"], "form")
    keys = batch["keys"]
    need(is_name(batch["agency"]) and is_name(batch["hub"]) and size_in(batch["identity_key_id"], 8), "form", "names or key id")
    need(1 <= len(keys) <= KEYS_MAX and all(size_in(key, 32) for key in keys), "form", "keys")
    need(len({h(key)[:8] for key in keys}) == len(keys), "form", "a key twice")
    need(1 <= batch["first_day"] <= DAY_MAX and batch["first_day"] + len(keys) - 1 <= DAY_MAX, "form", "days")
    return signed, batch


def take(data, agency, hub, identity_key, last=None):
    """The batch that `agency` of `hub` has signed; `last`: the one that was accepted before."""
    signed, batch = _parse(data)
    need((batch["agency"], batch["hub"]) == (agency, hub), "agency")
    need(batch["identity_key_id"] == h(identity_key)[:8], "key")
    need(ed25519_ok(identity_key, b"kw1 prekeys" + signed["batch"], signed["signature"]), "signature")
    if last and last["identity_key_id"] == batch["identity_key_id"]:
        ends = [one["first_day"] + len(one["keys"]) for one in (last, batch)]
        need(batch["first_day"] >= last["first_day"] and ends[1] >= ends[0], "rollback")
    return batch
