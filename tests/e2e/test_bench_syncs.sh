#!/usr/bin/env bash
# kinward-bench tells syncs from the store's commits; strace, which sees what the kernel was asked for, must agree. A broker
# that does not sync is the control: it must count as none.
set -euo pipefail
BENCH=${KW_BUILD_DIR:?}/bin/kinward-bench
folder=$(mktemp -d /var/tmp/kinward-syncs.XXXXXX)
trap 'rm -rf "$folder"' EXIT
route() { "$BENCH" route --agents 2 --seconds 2 --warm-up 0 --rate 200 --dir "$folder" --json "$@"; }
want() { python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else "%s is not true of %s" % (sys.argv[1], s))' "$1"; }

# Without strace, at a low rate: each message waits for a commit of its own or shares it with few, and a commit is two syncs.
route | want 's["syncs_per_s"] > 100 and abs(s["syncs_per_s"] - 2 * s["commits_per_s"]) <= 1 and s["missing"] == 0'
if ! command -v strace >/dev/null; then echo "skipped the proof: no strace"; exit 0; fi
route --count-syncs | want 's["syncs_agree"] and s["syncs_counted"] > 200 and s["syncs_counted"] >= s["syncs_claimed"]'
# Control: no syncs at all.
KW_UNSAFE_TEST=1 KW_UNSAFE_NO_SYNC=1 route --count-syncs | want 's["syncs_per_s"] == 0 and s["syncs_counted"] <= 16'
