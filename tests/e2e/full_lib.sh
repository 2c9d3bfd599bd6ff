# What test_disk_full.sh and test_agent_full.sh share, on top of deploy/lib.sh. Sourced with STATE set.

ROWS=1 # the number of the next row: none is sent twice but on purpose

# small_disk FOLDER MIB: mounts a small tmpfs there; false when we may not. Everything of it goes with the process.
MOUNTS=()
small_disk() {
  mkdir -p "$1"
  mount -t tmpfs -o "size=${2}m,mode=0700" kinward-test "$1" 2>/dev/null || return 1
  MOUNTS+=("$1")
}
unmount_all() {
  local folder
  for folder in "${MOUNTS[@]}"; do umount "$folder" 2>/dev/null || umount -l "$folder" || true; done
  MOUNTS=()
}

status() { kw "$1" status --json | python3 tests/e2e/full_rows.py status "$2"; } # AGENCY KEY

# rows_make COUNT SIZE: a file of new referrals, named in ROWS_FILE
rows_make() {
  ROWS_FILE=$STATE/rows-$ROWS.csv
  python3 tests/e2e/full_rows.py rows "$ROWS" "$1" "$2" >"$ROWS_FILE"
  ROWS=$((ROWS + $1))
}
rows_import() { kw "$1" import --as referral --to "$2" "$3" --timeout 30 >>"$STATE/import.log" 2>&1; } # FROM TO FILE

# send_rows FROM TO COUNT SIZE: imports COUNT new referrals; false when the agent refuses for now. What is in stays in.
send_rows() {
  rows_make "$3" "$4"
  rows_import "$1" "$2" "$ROWS_FILE"
}

logged() { grep -c "\"event\":\"$2\"" "$1" || true; } # LOGFILE EVENT
logged_times() { [ "$(logged "$1" "$2")" -ge "$3" ]; }

# list AGENCY inbox|outbox: message id, state, agency, one a line
list() {
  local after=0 next
  next=$(mktemp "$STATE/next.XXXXXX")
  while :; do
    kw "$1" "$2" --all --limit 500 --after "$after" --json | python3 tests/e2e/full_rows.py ids "$next"
    after=$(<"$next")
    [ "$after" != 0 ] || break
  done
}

settled() { # every message of this agency is opened or dead
  [ "$(kw "$1" status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(sum(int(s.get(k,0)) for k in ("queued","held","delivered")))')" = 0 ]
}
