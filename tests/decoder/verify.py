#!/usr/bin/env python3
"""Verifies one evidence file with the second decoder: python3 tests/decoder/verify.py FILE ROOT-FINGERPRINT"""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import verify_evidence  # noqa: E402
from rules import Refused  # noqa: E402

LEVELS = {1: "stored", 2: "opened", 3: "failed", 4: "decided"}


def main(name, fingerprint):
    try:
        proven = verify_evidence(pathlib.Path(name).read_bytes(), bytes.fromhex(fingerprint))
    except Refused as refusal:
        print("refused: %s" % refusal)
        return 1
    claims, slot = proven["claims"], proven["slot"]
    levels = " ".join(LEVELS[entry["level"]] for entry in proven["receipts"])
    print("%s@%s to %s@%s: %s%s" % (claims["sender"], claims["sender_hub"], slot["agency"], slot["hub"], levels,
                                    " held" if proven["held"] else ""))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: verify.py FILE ROOT-FINGERPRINT")
    sys.exit(main(*sys.argv[1:]))
