#!/usr/bin/env python3
"""Verifies a file of the real programs with the second decoder.

    verify.py FILE ROOT-FINGERPRINT           an evidence file (kinward proof show --out)
    verify.py --log FILE CHECKPOINT-FILE      that an envelope is in a log (kinward audit prove --out), by the log key that the
                                              other file has (kinward audit checkpoint --out)"""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import schema  # noqa: E402
from audit import verify_log_proof  # noqa: E402
from evidence import verify_evidence  # noqa: E402
from rules import Refused  # noqa: E402

LEVELS = {1: "stored", 2: "opened", 3: "failed", 4: "decided"}


def evidence(name, fingerprint):
    proven = verify_evidence(pathlib.Path(name).read_bytes(), bytes.fromhex(fingerprint))
    claims, slot = proven["claims"], proven["slot"]
    levels = " ".join(LEVELS[entry["level"]] for entry in proven["receipts"])
    return "%s@%s to %s@%s: %s%s" % (claims["sender"], claims["sender_hub"], slot["agency"], slot["hub"], levels,
                                     " held" if proven["held"] else "")


def log(name, checkpoint_name):
    key = schema.decode("LogCheckpoint", pathlib.Path(checkpoint_name).read_bytes())["log_key"]
    digest, checkpoint = verify_log_proof(pathlib.Path(name).read_bytes(), {"keys": [key], "threshold": 1})
    return "%s in the log of %s with %d leaves" % (digest.hex(), checkpoint["hub"], checkpoint["size"])


def main(call, *arguments):
    try:
        print(call(*arguments))
        return 0
    except Refused as refusal:
        print("refused: %s" % refusal)
        return 1


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--log":
        sys.exit(main(log, *sys.argv[2:]))
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(evidence, *sys.argv[1:]))
