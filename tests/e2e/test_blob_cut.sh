#!/usr/bin/env bash
# An attachment of 20 MiB over a link that is cut five times, with the hub and both agents killed in between: it arrives byte
# for byte, and what crossed each link is less than 1.1 times its size, so it was resumed and not begun again. Then, on a
# slow link, an urgent referral overtakes an upload that would take minutes.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-blob.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
proxy_pid=
finish() {
  local code=$?
  stop_all
  [ -z "$proxy_pid" ] || kill "$proxy_pid" 2>/dev/null || true
  if [ "$code" = 0 ]; then rm -rf "$STATE"; else echo "FAILED; state and logs are in $STATE"; fi
}
trap finish EXIT

SIZE=$((20 * 1024 * 1024))
MOST=$((SIZE * 11 / 10))

hub_make blob-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; done
mkfifo "$STATE/control" "$STATE/answers"
python3 tests/e2e/cut_proxy.py "$HUB_PORT" <"$STATE/control" >"$STATE/answers" 2>"$STATE/proxy.log" &
proxy_pid=$!
exec 8>"$STATE/control" 9<"$STATE/answers"
proxy() { echo "$@" >&8; local line; read -r -t 20 line <&9 || die "the proxy does not answer"; echo "$line"; }
for agency in agency-a agency-b; do
  port=$(proxy open)
  sed -i "s/^hub: .*/hub: 127.0.0.1:$port/" "$STATE/$agency/agent.yaml"
  agency_start "$agency"
done

refer() { # CASE RISK [OPTION...]: prints the message id
  local case=$1 risk=$2
  shift 2
  kw agency-a send agency-b --service shelter --risk "$risk" --case-ref "$case" --code "$case" --age 9 --sex female \
    --reason "Case $case" --referrer "Jo Bol" --consent-from caregiver "$@" | awk '$1 == "message" {print $2}'
}
field() { # AGENCY FIELD: of its first attachment
  kw "$1" attachments --json | head -n 1 | python3 -c 'import json,sys; print(json.load(sys.stdin).get(sys.argv[1], 0))' "$2"
}
state_is() { [ "$(field "$1" state)" = "ATTACHMENT_STATE_$2" ]; }
moved_past() { [ "$(field "$1" moved)" -gt "$2" ] || state_is "$1" "$3"; }

echo "20 MiB, cut and killed"
head -c "$SIZE" /dev/urandom >"$STATE/photo.jpg"
proxy rate 0 4000000 >/dev/null
proxy rate 1 4000000 >/dev/null
refer A-1 medium --attach "$STATE/photo.jpg" >/dev/null
cuts=0
# On the way to the hub: three cuts, the hub killed, the owner's agent killed.
for step in cut hub cut agency-a cut; do
  at=$(field agency-a moved)
  wait_until 120 moved_past agency-a $((at + 2500000)) HELD || die "the upload stands still at $at"
  state_is agency-a LEAVING || die "the upload was over before fault $step: the test is too slow to fault it"
  case $step in
    cut) proxy cut 0 >/dev/null; cuts=$((cuts + 1)) ;;
    hub) hub_kill KILL; hub_start ;;
    *) agency_kill "$step" KILL; agency_start "$step" ;;
  esac
done
wait_until 180 state_is agency-b ARRIVING || die "the hub offers nothing"
# On the way from it: two cuts, the recipient's agent killed, the hub killed again.
for step in cut agency-b hub cut; do
  at=$(field agency-b moved)
  wait_until 120 moved_past agency-b $((at + 2500000)) HERE || die "the download stands still at $at"
  state_is agency-b ARRIVING || die "the download was over before fault $step"
  case $step in
    cut) proxy cut 1 >/dev/null; cuts=$((cuts + 1)) ;;
    hub) hub_kill KILL; hub_start ;;
    *) agency_kill "$step" KILL; agency_start "$step" ;;
  esac
done
wait_until 180 state_is agency-b HERE || die "it does not arrive"
wait_until 60 state_is agency-a DELIVERED || die "its owner is not told"
digest=$(kw agency-b attachments | awk '{print $1; exit}')
kw agency-b attachment get "$digest" --out "$STATE/out.jpg" >/dev/null
cmp "$STATE/photo.jpg" "$STATE/out.jpg" || die "it is not the same file"
up=$(proxy bytes 0)
down=$(proxy bytes 1)
echo "  $cuts cuts, 4 kills; carried $up bytes up, $down bytes down, of $SIZE"
[ "$cuts" = 5 ] && [ "$up" -lt "$MOST" ] && [ "$down" -lt "$MOST" ] || die "carried more than $MOST: it was not resumed"
[ -z "$(ls "$STATE/hub/blobs")" ] || wait_until 20 bash -c "[ -z \"\$(ls '$STATE/hub/blobs')\" ]" || die "the hub kept something"
# Sealed all the way: no file of the hub or the agents holds a piece of it.
python3 - "$STATE" <<'PY' || die "plaintext lies on a disk"
import os, sys
plain = open(sys.argv[1] + "/photo.jpg", "rb").read()
pieces = [plain[at:at + 32] for at in (0, 16384, 5000000, len(plain) - 32)]
for folder in ("hub", "agency-a", "agency-b"):
    for path, _, names in os.walk(os.path.join(sys.argv[1], folder)):
        for name in names:
            full = os.path.join(path, name)
            if os.path.isfile(full) and any(piece in open(full, "rb").read() for piece in pieces):
                sys.exit(full)
PY

echo "an urgent referral behind a photo on a slow link"
head -c 4000000 /dev/urandom >"$STATE/video.mp4"
proxy rate 0 32000 >/dev/null
refer A-2 low --attach "$STATE/video.mp4" >/dev/null
second() { kw agency-a attachments --json | sed -n 2p | python3 -c 'import json,sys; print(json.load(sys.stdin).get("moved", 0))'; }
second_past() { [ "$(second)" -gt "$1" ]; }
wait_until 60 second_past 300000 || die "the second upload does not begin"
arrived() { kw agency-b inbox --json | grep -qF "\"A-$1\""; }
worst=0
for n in 3 4 5; do
  begin=$(date +%s%N)
  refer "A-$n" high >/dev/null
  wait_until 60 arrived "$n" || die "the urgent referral does not arrive"
  took=$((($(date +%s%N) - begin) / 1000000))
  [ "$took" -le "$worst" ] || worst=$took
done
left=$((4000000 - $(second)))
echo "  delivered in $worst ms at worst, with $((left / 32)) ms of the upload still to come"
[ "$worst" -lt 6000 ] || die "it waited behind the photo"
[ "$left" -gt 1000000 ] || die "the upload was nearly over: this shows nothing"

echo "the largest file, one byte more, none, and another's key"
refused() { # CODE COMMAND...
  local want=$1 got=0
  shift
  "$@" >"$STATE/refused.out" 2>&1 || got=$?
  [ "$got" = "$want" ] || { cat "$STATE/refused.out"; die "exit code $got, not $want: $*"; }
}
truncate -s $((64 * 1024 * 1024)) "$STATE/most.bin"
truncate -s $((64 * 1024 * 1024 + 1)) "$STATE/more.bin"
: >"$STATE/none.bin"
kw agency-b attach agency-a "$STATE/most.bin" --kind other --json >"$STATE/most.json"
refused 1 kw agency-b attach agency-a "$STATE/more.bin"
refused 1 kw agency-b attach agency-a "$STATE/none.bin"
refused 1 kw agency-b attach agency-x "$STATE/photo.jpg"
refused 4 kw agency-b attachment get "$(printf '00%.0s' $(seq 32))" --out "$STATE/nothing"
refused 1 kw agency-b attachment get "$digest" --out "$STATE/out.jpg" # it is there already
[ ! -e "$STATE/nothing" ] && [ ! -e "$STATE/nothing.part" ] || die "something was written"
# The agent itself, whatever the command line lets pass: a size over the limit, and a reference with another key.
python3 - "$STATE" "$digest" <<'PY' || die "the agent takes what it must refuse"
import base64, json, os, socket, struct, sys
state, digest = sys.argv[1], sys.argv[2]
def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80]); n >>= 7
    return out + bytes([n])
def number(field, n): return varint(field << 3) + varint(n)
def data(field, b): return varint(field << 3 | 2) + varint(len(b)) + b
def ask(body):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(state + "/agency-b/agent.sock")
        s.sendall(struct.pack(">I", len(body)) + body)
        size = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))[0]
        return s.recv(size, socket.MSG_WAITALL)
def attach(size): return number(1, 1) + data(40, data(2, b"agency-a") + data(3, number(2, size) + data(3, b"image/png")))
def get(key, size): return number(1, 1) + data(41, data(1, data(1, bytes.fromhex(digest)) + number(2, size) + data(6, key)))
sys.exit(0 if b"too_big" in ask(attach((64 << 20) + 1)) and b"bad_field" in ask(attach(0)) and
         b"cannot_open" in ask(get(b"k" * 32, 20 << 20)) and b"cannot_open" not in ask(attach(64 << 20)) else 1)
PY
