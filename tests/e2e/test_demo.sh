#!/usr/bin/env bash
# The demo at a small size: hub killed, one agency offline, nothing lost, nothing doubled. A wrong count must fail it too.
set -euo pipefail
cd "$(dirname "$0")/../.."
summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
KW_DEMO_BIN=${KW_BUILD_DIR:?}/bin ./deploy/demo.sh --once --referrals 300 --summary "$summary" | tr '\r' '\n' | tail -n 12
python3 - "$summary" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))
want = {"sent", "held", "delivered", "opened", "duplicates", "lost", "wire_bytes_per_referral", "deliver_ms_p50", "deliver_ms_p99"}
assert set(s) == want, s
assert s["sent"] == s["held"] == s["delivered"] == s["opened"] == 300 and s["lost"] == s["duplicates"] == 0, s
PY
# positive control: an item missing from an inbox is counted as lost
folder=$(mktemp -d)
trap 'rm -rf "$summary" "$folder"' EXIT
echo '{"owner":"a","list":"outbox","messageId":"AA==","atUnixMs":"1","deliveredUnixMs":"2","openedUnixMs":"3"}' >"$folder/items.jsonl"
echo '{}' >"$folder/status.jsonl"
if python3 deploy/demo_count.py table "$folder" >/dev/null; then echo "a lost item was not noticed"; exit 1; fi
