#!/usr/bin/env bash
# No ack leaves the broker before the sync that covers it has returned: strace of the broker under load.
#
# 64 agencies send at once, as fast as the broker holds what they send: thousands of messages a second, many to a commit,
# and most of them arrive while an earlier commit is under way. Each agency has one message under way, so that the trace
# says which answer belongs to which message without a look into TLS: between the last read of a message and the next write
# to that socket there has to be one whole commit that began after that read. A commit is what LMDB does for one: an
# fdatasync of its pages and then its meta page, written to a file that is open with O_DSYNC.
#
# The controls: a broker that does not sync (only builds other than release can), and traces that are wrong by one call.
# Without strace this fails: deploy/install-deps.sh --test brings it. KW_SYNC_SECONDS says how long the load lasts.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "there is no strace: run deploy/install-deps.sh --test"; exit 1; }
SECONDS_OF_LOAD=${KW_SYNC_SECONDS:-5}
AGENTS=64
STATE=$(mktemp -d /var/tmp/kinward-sync.XXXXXX) # a disk: the temporary folder may be memory
# shellcheck source=deploy/lib.sh
. deploy/lib.sh

BROKER=
stop_broker() { # strace ends when what it traces does; killing strace would leave the broker behind
  [ -n "$BROKER" ] || return 0
  local traced
  traced=$(pgrep -P "$BROKER" -x kinward-broker || true)
  kill -TERM "${traced:-$BROKER}" 2>/dev/null || true
  wait "$BROKER" 2>/dev/null || true
  BROKER=
}
trap 'stop_broker; rm -rf "$STATE"' EXIT

# run NAME: a broker on a site of its own under strace, and the load; the trace goes to $STATE/NAME.trace
run() {
  local site=$STATE/$1 port
  port=$(free_port)
  mkdir "$site"
  "$BIN/kinward-bench" site --site "$site" --agents $AGENTS --listen "127.0.0.1:$port" >/dev/null
  KW_DEBUG_DUMPABLE=1 strace --seccomp-bpf -f -ttt -T -s 0 \
    -e trace=openat,accept4,accept,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync,msync \
    -o "$STATE/$1.trace" "$BIN/kinward-broker" "$site/broker.yaml" 2>"$STATE/$1.log" &
  BROKER=$!
  wait_until 30 grep -q '"event":"ready"' "$STATE/$1.log" || die "no broker under strace: $(cat "$STATE/$1.log")"
  "$BIN/kinward-bench" route --broker "127.0.0.1:$port" --site "$site" --agents $AGENTS --inflight 1 --submit-only \
    --seconds "$SECONDS_OF_LOAD" --json >"$STATE/$1.json"
  stop_broker
}

judge() { python3 tests/e2e/ack_after_sync.py "$1"; }

run real
judge "$STATE/real.trace"

echo "control: a trace with commits taken out of its middle"
python3 tests/e2e/ack_after_sync.py "$STATE/real.trace" --without-commit >"$STATE/one.out" && die "missing commits were not noticed"
cat "$STATE/one.out"

echo "control: a broker that does not sync"
export KW_UNSAFE_NO_SYNC=1 KW_UNSAFE_TEST=1
run unsafe
judge "$STATE/unsafe.trace" && die "a broker that does not sync was not noticed"
exit 0
