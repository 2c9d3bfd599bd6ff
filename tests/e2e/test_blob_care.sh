#!/usr/bin/env bash
# What becomes of an attachment that does not arrive, or that a send repeats: the sender sees that it expired until it is
# removed, the recipient is told to ask again, a repeat is a success, and no file name shows the other agency.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-care.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
finish() {
  local code=$?
  stop_all
  if [ "$code" = 0 ]; then rm -rf "$STATE"; else echo "FAILED; state and logs are in $STATE"; fi
}
trap finish EXIT

hub_make care-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; agency_start "$agency"; done
head -c 50000 /dev/urandom >"$STATE/photo.jpg"
head -c 50000 /dev/urandom >"$STATE/other.jpg"

refer() { # CASE OPTION...
  local case=$1
  shift
  kw agency-a send agency-b --service shelter --risk medium --case-ref "$case" --code "$case" --age 9 --sex female \
    --reason "Case $case" --referrer "Jo Bol" --consent-from caregiver "$@"
}
list_has() { kw "$1" attachments >"$STATE/list.out" && grep -q -- "$2" "$STATE/list.out"; }
lists_nothing() { kw "$1" attachments >"$STATE/list.out" && [ ! -s "$STATE/list.out" ]; }

echo "a send is repeated"
id=000102030405060708090a0b0c0d0e0f
refer A-1 --attach "$STATE/photo.jpg" --message-id $id >/dev/null
refer A-1 --attach "$STATE/photo.jpg" --message-id $id >/dev/null || die "the same again is refused"
[ "$(kw agency-a attachments | wc -l)" = 1 ] || die "the file was sealed twice"
! refer A-1 --attach "$STATE/other.jpg" --message-id $id >"$STATE/refused.out" 2>&1 || die "another file passes for the same"
wait_until 60 list_has agency-b "  here  " || die "it does not arrive"
list_has agency-b agency-a || die "the list does not say who gave it"
named() { ! kw agency-b attachments | grep -q "no message names it"; }
wait_until 30 named || die "a message names it, and the list says that none does"
kw agency-b show $id | grep -q "  here  " || die "show does not say that it is here"

echo "no file name shows an agency"
! find "$STATE"/agency-*/blobs -type f -printf "%f\n" | grep -q agency || die "a file name shows an agency"

echo "removed here"
digest=$(kw agency-b attachments | awk '{print $1; exit}')
kw agency-b attachment remove "$digest" >/dev/null
wait_until 20 lists_nothing agency-b || die "it is still listed"

echo "expired for the recipient"
kw agency-a attach agency-b "$STATE/other.jpg" --json >"$STATE/ref.json"
refer A-2 --dry-run >"$STATE/content.json"
python3 - "$STATE" <<'PY'
import json, sys
state = sys.argv[1]
ref = json.load(open(state + "/ref.json"))
content = json.load(open(state + "/content.json"))
assert ref["expiryHour"] > 480000 and "fileDigest" in ref, ref
ref["expiryHour"] = 480000 # as if its hour had passed
content["referralRequest"]["attachments"] = [ref]
json.dump(content, open(state + "/content.json", "w"))
PY
wait_until 60 list_has agency-b "  here  " || die "it does not arrive"
digest=$(kw agency-b attachments | awk '{print $1; exit}')
kw agency-b attachment remove "$digest" >/dev/null
second=$(kw agency-a send agency-b --content "$STATE/content.json" | awk '$1 == "message" {print $2}')
shown() { kw agency-b show "$second" >"$STATE/show.out"; }
wait_until 30 shown || die "the message does not arrive"
grep -q "expired, ask the sender" "$STATE/show.out" || die "show does not say that it expired"
! kw agency-b attachment get "$digest" --out "$STATE/out.jpg" >"$STATE/get.out" 2>&1 || die "it was there"
grep -q "expired; ask the sender" "$STATE/get.out" || die "get does not say that it expired"

echo "expired undelivered"
agency_kill agency-b KILL
hub_kill KILL
kw agency-a attach agency-b "$STATE/other.jpg" --json >"$STATE/ref.json"
wait_until 20 list_has agency-a "  leaving  " || die "it is not on its way"
agency_kill agency-a TERM
for file in "$STATE"/agency-a/blobs/*.whole; do # as if its hour had passed while nobody was there
  head=${file%.*.whole}
  mv "$file" "$head.480000.whole"
done
agency_start agency-a
wait_until 30 list_has agency-a "  expired  " || die "the sender is told nothing"
kw agency-a status | grep -q "expired undelivered" || die "status does not say it"
agency_kill agency-a KILL
agency_start agency-a
list_has agency-a "  expired  " || die "it is forgotten after a start"
kw agency-a attachment remove "$(kw agency-a attachments | awk '/  expired  / {print $1}')" >/dev/null
none_lost() { ! ls "$STATE/agency-a/blobs" | grep -q lost; }
wait_until 20 none_lost || die "it was seen and stays"
! kw agency-a status | grep -q "expired undelivered" || die "status still says it"

echo "the room of one agency: its settings, at their most and one more"
settings() { # LINE...: added to those of agency-b
  cp "$STATE/agent.yaml" "$STATE/agency-b/agent.yaml"
  printf '%s\n' "$@" >>"$STATE/agency-b/agent.yaml"
}
cp "$STATE/agency-b/agent.yaml" "$STATE/agent.yaml"
for line in "blob_peer_count_max: 2049" "blob_peer_mib: 16777217"; do
  settings "$line"
  ! timeout 20 "$BIN/kinward-agent" "$STATE/agency-b/agent.yaml" 2>"$STATE/bad.log" || die "taken: $line"
  grep -q "${line%%:*}" "$STATE/bad.log" || die "the refusal does not name ${line%%:*}"
done
settings "blob_peer_count_max: 2048" "blob_peer_mib: 16777216"
agency_start agency-b
agency_kill agency-b TERM
# One from agency-a may be here: the first comes, the second waits at the hub; with room for two it comes.
rm -f "$STATE"/agency-b/blobs/*
settings "blob_peer_count_max: 1"
agency_start agency-b
hub_start
count() { kw agency-b attachments | grep -c "  here  " || true; }
is() { [ "$(count)" = "$1" ]; }
for file in photo other; do kw agency-a attach agency-b "$STATE/$file.jpg" --json >/dev/null; done
wait_until 60 is 1 || die "the first does not arrive"
refused_there() { grep -q '"blob_refused".*full' "$STATE/hub.log"; }
wait_until 30 refused_there || die "the second is not refused"
is 1 || die "the second was taken"
agency_kill agency-b TERM
settings "blob_peer_count_max: 2"
agency_start agency-b
wait_until 60 is 2 || die "the second does not come when there is room"

echo "all well"
