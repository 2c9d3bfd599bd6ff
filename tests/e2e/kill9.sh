#!/usr/bin/env bash
# tests/e2e/kill9.sh COUNT: COUNT SIGKILLs at random moments over the broker and both agents while referrals flow both ways.
# Nothing that a local "ack" confirmed may be lost, and nothing may be delivered twice. KW_KILL_SEED=n repeats the choices.
set -euo pipefail
count=${1:?usage: kill9.sh COUNT}
BIN=${KW_BUILD_DIR:?KW_BUILD_DIR must name the build folder}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-kill9.XXXXXX)
RANDOM=${KW_KILL_SEED:-$$}
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
senders=()
finish() {
  local code=$?
  [ ${#senders[@]} -eq 0 ] || kill "${senders[@]}" 2>/dev/null || true
  stop_all
  if [ "$code" = 0 ]; then rm -rf "$STATE"; else echo "FAILED; state and logs are in $STATE"; fi
}
trap finish EXIT

hub_make kill-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; agency_start "$agency"; done

# Sends one after the other until $STATE/stop is there; a send whose outcome is unknown is repeated under the same id.
sender() { # FROM TO PREFIX
  local i id
  for i in $(seq 100000); do
    [ ! -e "$STATE/stop" ] || break
    id=$(printf '%s%031x' "$3" "$i")
    until kw "$1" send "$2" --message-id "$id" --service shelter --risk medium --case-ref "K-$i" --code "K-$i" --age 7 \
      --sex male --reason "Load $i" --referrer "Load" --consent-from caregiver --timeout 5 >/dev/null 2>"$STATE/send-$1.err"; do
      [ ! -e "$STATE/stop" ] || return 0
      sleep 0.05
    done
    echo "$id" >>"$STATE/acked-$1"
  done
}
sender agency-a agency-b a & senders+=($!)
sender agency-b agency-a b & senders+=($!)

# A process that was killed has to come back by itself and go on; nobody repairs anything.
for n in $(seq "$count"); do
  sleep "0.$(printf '%03d' $((RANDOM % 250)))"
  case $((RANDOM % 3)) in
    0) hub_kill KILL
       "$BIN/kinward" audit verify --dir "$STATE/hub" >"$STATE/verify.txt" || die "after kill $n: $(cat "$STATE/verify.txt")"
       hub_start ;;
    1) agency_kill agency-a KILL; agency_start agency-a ;;
    2) agency_kill agency-b KILL; agency_start agency-b ;;
  esac
  [ $((n % 50)) -ne 0 ] || echo "  $n kills, acked $(cat "$STATE"/acked-* | wc -l)"
done
touch "$STATE/stop"
wait "${senders[@]}" || true
senders=()

settled() { # every acked message of this sender is opened
  [ "$(kw "$1" status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(int(s.get("queued",0))+int(s.get("held",0))+int(s.get("delivered",0)))')" = 0 ]
}
for agency in agency-a agency-b; do
  wait_until 90 settled "$agency" || { kw "$agency" status; die "$agency did not settle in 90 s"; }
done

# The audit log has a leaf for each message of the queues, whatever the kills cut short, and every agent still believes it.
"$BIN/kinward" audit verify --dir "$STATE/hub" || die "the audit log does not verify"
for agency in agency-a agency-b; do
  if { kw "$agency" status --json || true; } | grep -q logAlarm; then die "$agency has an alarm about the audit log"; fi
  for id in $(tail -n 20 "$STATE/acked-$agency"); do
    wait_until 10 kw "$agency" audit prove "$id" || die "$agency: $id was acknowledged and is not in the log"
  done
done

for agency in agency-a agency-b; do
  for list in outbox inbox; do
    after=0
    while :; do
      page=$(kw "$agency" "$list" --all --limit 500 --after "$after" --json)
      printf '%s\n' "$page" | python3 deploy/demo_count.py tag "$agency" "$list"
      after=$(printf '%s\n' "$page" | python3 deploy/demo_count.py next)
      [ "$after" != 0 ] || break
    done
  done
done >"$STATE/items.jsonl"

python3 - "$STATE" <<'PY'
import base64, collections, json, sys
state = sys.argv[1]
items = [json.loads(line) for line in open(state + "/items.jsonl")]
def hexed(item):
    return base64.b64decode(item["messageId"]).hex()
inbox = collections.Counter((i["owner"], hexed(i)) for i in items if i["list"] == "inbox")
out = {(i["owner"], hexed(i)): i.get("state") for i in items if i["list"] == "outbox"}
bad = 0
total = 0
for sender, recipient in (("agency-a", "agency-b"), ("agency-b", "agency-a")):
    for line in open(state + "/acked-" + sender):
        total += 1
        key = line.strip()
        if inbox[(recipient, key)] != 1 or out.get((sender, key)) != "OUT_STATE_OPENED":
            bad += 1
            print("BAD", sender, key, inbox[(recipient, key)], out.get((sender, key)))
doubles = sum(1 for n in inbox.values() if n > 1)
print(f"acked {total}, lost or not opened {bad}, delivered twice {doubles}")
sys.exit(1 if bad or doubles or not total else 0)
PY
