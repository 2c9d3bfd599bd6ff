#!/usr/bin/env python3
"""The second decoder: opens and verifies the golden files of tests/golden by PROTOCOL.md and the .proto files alone.

    python3 tests/decoder/test_decoder.py [SECTION...]

Each section prints what it has looked at; a difference is printed and fails the run. With KW_BUILD_DIR in the environment the
section `vectors` also runs the C programs that read the same vectors, and prints their counts. README.md says what is where."""

import os
import pathlib
import sys
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

try:
    import cryptography
except ImportError:
    sys.exit("test_decoder: no Python package cryptography; deploy/install-deps.sh --test installs python3-cryptography")

import check_audit  # noqa: E402
import check_blobs  # noqa: E402
import check_envelopes  # noqa: E402
import check_frames  # noqa: E402
import check_prekeys  # noqa: E402
import check_receipts  # noqa: E402
import check_roles  # noqa: E402
import check_vectors  # noqa: E402

SECTIONS = {
    "envelopes": check_envelopes.run,
    "roles": check_roles.run,
    "prekeys": check_prekeys.run,
    "receipts": check_receipts.run,
    "evidence": check_receipts.run_evidence,
    "audit": check_audit.run,
    "blobs": check_blobs.run,
    "frames": check_frames.run,
    "vectors": lambda: check_vectors.run(os.environ.get("KW_BUILD_DIR")),
}


def main(names):
    failed = False
    print("cryptography %s" % cryptography.__version__)
    for name in names or SECTIONS:
        try:
            for line in SECTIONS[name]():
                print("%-10s %s" % (name, line))
        except Exception:  # one section's trouble hides no other's
            traceback.print_exc()
            print("%-10s FAILED" % name)
            failed = True
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
