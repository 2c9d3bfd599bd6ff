#!/usr/bin/env bash
# Seals and opens per second and core at 1 KiB, beside the primitives in them: as kinward-bench runs them in its own process,
# and as `openssl speed` does. What ships may take at most 1.3 times their sum. In other profiles, whose code is not
# optimised, the numbers are printed and nothing is held but that they are there.
set -euo pipefail
BUILD=${KW_BUILD_DIR:?}
profile=$(sed -n 's/^KW_PROFILE:STRING=//p' "$BUILD/CMakeCache.txt")
ours=$("$BUILD/bin/kinward-bench" seal --size 1024 --seconds 3)
echo "$ours"
speed=$(openssl speed -mr -seconds 1 ecdhx25519 ed25519 2>/dev/null | grep '^+F' || true)
python3 - "$profile" "$ours" "$speed" <<'PY'
import json, sys
profile, ours, speed = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
print(f"{profile}: {ours['seals_per_s']:.0f} seals and {ours['opens_per_s']:.0f} opens a second;"
      f" to the sum of the primitives {ours['seal_ratio']} and {ours['open_ratio']}")
rows = {row.split(":")[0]: row.split(":") for row in speed.split()}
if "+F5" in rows and "+F6" in rows:
    derive, sign, verify = 1e6 / float(rows["+F5"][3]), 1e6 / float(rows["+F6"][4]), 1e6 / float(rows["+F6"][5])
    print(f"openssl speed: X25519 {derive:.1f} us, Ed25519 sign {sign:.1f} us, verify {verify:.1f} us")
    # Ours measures what `speed` does not: hashes, AES on short inputs, and making an X25519 key, which costs as a derivation.
    small = ours["seal_primitives_us"] - ours["x25519_public_us"] - ours["x25519_derive_us"] - ours["ed25519_sign_us"]
    print(f"to its sum: seal {ours['seal_us'] / (2 * derive + sign + small):.3f},"
          f" open {ours['open_us'] / (derive + verify + small):.3f}")
for key in ("seals_per_s", "opens_per_s", "seal_ratio", "open_ratio"):
    if not ours[key] or not 0 < ours[key] < 1e6:
        sys.exit(f"{key}: {ours[key]}")
if profile == "release" and max(ours["seal_ratio"], ours["open_ratio"]) > 1.3:
    sys.exit("more than 1.3 times the primitives")
PY
