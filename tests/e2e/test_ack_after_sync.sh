#!/usr/bin/env bash
# No ack leaves the broker before the sync that covers it has returned: strace of the broker while one agency sends one
# message at a time. Between the arrival of each message (a read from the agency's socket) and the next write to that socket
# that answers it there has to be a finished fdatasync. The control runs the same against a broker that does not sync.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "skipped: no strace"; exit 0; }
STATE=$(mktemp -d /tmp/kinward-sync.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_hub; HUB_PID=; stop_all; rm -rf "$STATE"' EXIT
hub_make sync-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; done
agency_start agency-a

# run: restarts the broker under strace and sends 20 messages one by one; the trace goes to $STATE/trace
stop_hub() { # strace ends when what it traces does; killing strace would leave the broker behind
  local traced
  traced=$(pgrep -P "$HUB_PID" -x kinward-broker || true)
  kill -TERM "${traced:-$HUB_PID}"
  wait "$HUB_PID" 2>/dev/null || true
}
run() {
  stop_hub
  KW_DEBUG_DUMPABLE=1 strace -f -ttt -T -e trace=read,write,writev,sendto,sendmsg,recvfrom,fdatasync,msync,fsync -o "$STATE/trace" \
    "$BIN/kinward-broker" "$STATE/hub/broker.yaml" 2>>"$STATE/hub.log" &
  HUB_PID=$!
  wait_until 30 bash -c "exec 3<>/dev/tcp/127.0.0.1/$HUB_PORT" || die "no broker under strace"
  wait_until 60 online agency-a || die "agency-a does not come back"
  local i
  for i in $(seq 20); do
    kw agency-a send agency-b --service food --risk low --case-ref "S-$i" --code "S-$i" --age 5 --sex male --reason "Sync $i" \
      --referrer Load --consent-from caregiver >/dev/null
    wait_until 30 held agency-a || die "message $i is not held"
  done
}
online() { [ "$(kw "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin).get("online"))')" = True ]; }
held() { [ "$(kw "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin).get("queued", "0"))')" = 0 ]; }

judge() {
  python3 - "$STATE/trace" <<'PY'
import re, sys
# Every answer on the busiest socket: was there a sync that began after the message was read, and ended before the write?
reads, writes, syncs, counts = [], [], [], {}
open_syncs = {}
for line in open(sys.argv[1], errors="replace"):
    m = re.match(r"(\d+)\s+(\d+\.\d+) (\w+)\((\d+)", line)
    if m:
        pid, at, call, fd = m.group(1), float(m.group(2)), m.group(3), int(m.group(4))
        took = re.search(r"<(\d+\.\d+)>$", line.strip())
        if call in ("fdatasync", "fsync", "msync"):
            if took:
                syncs.append((at, at + float(took.group(1))))
            else:
                open_syncs[pid] = at
        elif call in ("read", "recvfrom"):
            size = re.search(r"= (\d+)", line)
            if size and int(size.group(1)) > 900:
                reads.append((at, fd))
                counts[fd] = counts.get(fd, 0) + 1
        elif call in ("write", "writev", "sendto", "sendmsg"):
            writes.append((at, fd))
    else:
        m = re.match(r"(\d+)\s+(\d+\.\d+) <\.\.\. (fdatasync|fsync|msync) resumed", line)
        if m and m.group(1) in open_syncs:
            syncs.append((open_syncs.pop(m.group(1)), float(m.group(2))))
if not counts:
    sys.exit("no messages in the trace")
fd = max(counts, key=counts.get)
checked = bad = 0
for at in [a for a, f in reads if f == fd][-20:]: # the handshake comes before them
    answer = next((w for w, f in writes if f == fd and w > at), None)
    if answer is None:
        continue
    checked += 1
    if not any(begin >= at and end <= answer for begin, end in syncs):
        bad += 1
print(f"answers checked {checked}, before their sync {bad}, syncs {len(syncs)}")
sys.exit(0 if checked >= 15 and bad == 0 else 1)
PY
}

run
judge
echo "control: a broker that does not sync must be caught"
export KW_UNSAFE_NO_SYNC=1 KW_UNSAFE_TEST=1
run
if judge; then echo "the control was not caught"; exit 1; fi
