#!/usr/bin/env bash
# A hub whose disk, map or quota fills up. Two agencies send to a third that is away until intake stops; they keep their
# messages and say why; what waits for others is still delivered; the third comes back, the store drains and intake opens
# again, with no restart, round after round; every message arrives exactly once.
#
#   test_disk_full.sh [COUNT]     COUNT rounds of fill and drain on the small disk (KW_FULL_ROUNDS, 3)
set -euo pipefail
rounds=${1:-${KW_FULL_ROUNDS:-3}}
BIN=${KW_BUILD_DIR:?KW_BUILD_DIR must name the build folder}/bin
cd "$(dirname "$0")/../.."
BASE=$(mktemp -d /tmp/kinward-full.XXXXXX)
STATE=$BASE
ASIDE=() # pids of scenarios that run beside the main one
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
# shellcheck source=tests/e2e/full_lib.sh
. tests/e2e/full_lib.sh
finish() {
  local code=$? pid
  for pid in "${ASIDE[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
  stop_all
  unmount_all
  if [ "$code" = 0 ]; then rm -rf "$BASE"; else echo "FAILED; state and logs are in $BASE"; fi
}
trap finish EXIT

# Each scenario has a hub and agencies of its own.
begin() { # NAME
  STATE=$BASE/$1
  mkdir "$STATE"
  HUB_LOG=$STATE/hub.log
  hub_make full-hub
}
agencies() {
  local agency
  for agency in "$@"; do agency_make "$agency"; agency_start "$agency"; done
}
hub_alive() { kill -0 "$HUB_PID" 2>/dev/null || die "the hub has ended: $(tail -n 3 "$HUB_LOG")"; }
status_is() { [ "$(status "$1" "$2")" = "$3" ]; } # AGENCY KEY VALUE
at_least() { [ "$(status "$1" "$2")" -ge "$3" ]; }
send() { send_rows "$@" || die "$1 refused: $(tail -n 2 "$STATE/import.log")"; }
online() { status_is "$1" online True; }

# Both send COUNT to agency-c, in two imports each at a time: an import waits for the agent's disk row by row.
both_send() { # COUNT SIZE
  local agency pid
  local -A pids
  for agency in agency-a agency-a agency-b agency-b; do
    rows_make $(($1 / 2)) "$2"
    rows_import "$agency" agency-c "$ROWS_FILE" &
    pids[$!]=$agency
  done
  for pid in "${!pids[@]}"; do wait "$pid" || die "${pids[$pid]} refused: $(tail -n 4 "$STATE/import.log")"; done
}

# fill N: both send to agency-c until the hub has said for the N-th time that it takes nothing more
fill() {
  for _ in $(seq 200); do
    hub_alive
    if logged_times "$HUB_LOG" space_low "$1"; then return 0; fi
    both_send 150 3900
  done
  die "the hub never said that it is full"
}

round() { # N
  local n=$1 agency before=$ROWS low ok
  local -A refuses
  low=$(logged "$HUB_LOG" space_low)
  ok=$(logged "$HUB_LOG" space_ok)
  for agency in agency-a agency-b; do refuses[$agency]=$(logged "$STATE/$agency.log" hub_refuses); done
  agency_kill agency-c TERM
  agency_kill agency-d TERM
  # These wait at the hub for agency-d before it fills up; they have to get through while it is full.
  send agency-a agency-d 20 200
  wait_until 30 status_is agency-a queued 0 || die "the hub did not take what it has room for"
  fill $((low + 1))
  # What is sent from now on stays with its sender, who says why; the hub may still take 256 under the credit it gave before.
  both_send 300 3900
  for agency in agency-a agency-b; do
    wait_until 20 status_is "$agency" problem no_space || die "$agency does not know that its hub is full: $(kw "$agency" status)"
    at_least "$agency" queued 20 || die "$agency has nothing queued, and the hub is full"
    kw "$agency" status | grep -q "hub's store or disk is full" || die "$agency does not say why in words: $(kw "$agency" status)"
    logged_times "$STATE/$agency.log" hub_refuses $((refuses[$agency] + 1)) || die "the log of $agency does not say that the hub is full"
  done
  agency_start agency-d
  wait_until 30 at_least agency-d received $((n * 20)) || die "a full hub does not deliver: $(kw agency-d status)"
  logged_times "$HUB_LOG" space_ok $((ok + 1)) && die "the hub was not full when it delivered"
  hub_alive
  agency_start agency-c
  wait_until 60 logged_times "$HUB_LOG" space_ok $((ok + 1)) || die "intake does not open again: $(tail -n 3 "$HUB_LOG")"
  for agency in agency-a agency-b; do
    wait_until 120 settled "$agency" || die "$agency did not settle: $(kw "$agency" status)"
    # One that has nothing to send hears of no new credit: what it was told holds for a minute.
    wait_until 75 status_is "$agency" problem 0 || die "$agency still complains: $(kw "$agency" status)"
    status_is "$agency" dead 0 || die "$agency has dead letters: $(kw "$agency" dead-letters)"
  done
  hub_alive
  echo "  round $n: filled and drained, $((ROWS - before)) rows"
}

says_so() { logged_times "$HUB_LOG" store_waits 1 || logged_times "$HUB_LOG" space_low 1; }

# Somebody else fills the hub's disk, in the middle of things and while its file has no free pages yet: nothing is confirmed
# until there is room, and the hub stays.
filled_by_others() {
  local free
  agency_kill agency-c TERM
  send agency-a agency-c 50 3900
  free=$(df --output=avail -k "$STATE/hub/db" | tail -n 1)
  head -c $(((free - 40) * 1024)) /dev/zero 2>/dev/null >"$STATE/hub/db/ballast" || true # the hub writes as well
  send agency-a agency-c 600 3900
  # It looks at its disk once a second: what comes before the next look waits to be written, what comes later is not taken.
  wait_until 20 says_so || die "a hub that cannot write does not say so: $(tail -n 2 "$HUB_LOG")"
  sleep 2
  hub_alive
  at_least agency-a queued 300 || die "a hub that cannot write confirms: $(kw agency-a status)"
  rm "$STATE/hub/db/ballast"
  agency_start agency-c
  wait_until 120 settled agency-a || die "agency-a did not settle: $(kw agency-a status)"
  [ "$(logged "$HUB_LOG" store_waits)" = "$(logged "$HUB_LOG" store_goes_on)" ] || die "the hub does not say that it goes on"
  hub_alive
  echo "  filled by others, and freed"
}

judge() { # what both sent against what both received
  local agency pid pids=()
  for agency in agency-a agency-b; do list "$agency" outbox >"$STATE/out-$agency" & pids+=($!); done
  for agency in agency-c agency-d; do list "$agency" inbox >"$STATE/in-$agency" & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || die "a list cannot be read"; done
  cat "$STATE/in-agency-c" "$STATE/in-agency-d" >"$STATE/in"
  python3 tests/e2e/full_rows.py judge "$STATE/in" "$STATE/out-agency-a" "$STATE/out-agency-b" || die "messages are missing"
  [ "$(wc -l <"$STATE/in")" = $((ROWS - 1)) ] || die "$((ROWS - 1)) rows were taken and $(wc -l <"$STATE/in") arrived"
}

fill_and_drain() { # COUNT disk|map
  local n
  hub_start
  agencies agency-a agency-b agency-c agency-d
  [ "$2" != disk ] || filled_by_others
  for n in $(seq "$1"); do round "$n"; done
  judge
  [ "$(logged "$HUB_LOG" ready)" = 1 ] || die "the hub was restarted"
  stop_all
}

# A queue of 50: what is over it is put off and sent again, a minute and more later, and none is lost.
quota() {
  begin quota
  echo "queue_messages_max: 50" >>"$STATE/hub/broker.yaml"
  hub_start
  agencies agency-a agency-c
  agency_kill agency-c TERM
  send agency-a agency-c 120 100
  wait_until 30 at_least agency-a putOff 70 || die "the hub's refusals do not show: $(kw agency-a status)"
  kw agency-a status | grep -q "put off" || die "status does not say that messages were put off"
  grep -q '"event":"notice".*"error":"queue_full"' "$STATE/agency-a.log" || die "the log does not name queue_full"
  status_is agency-a held 50 || die "held are not what the queue takes: $(kw agency-a status)"
  agency_start agency-c
  wait_until 240 settled agency-a || die "agency-a did not settle: $(kw agency-a status)"
  list agency-a outbox >"$STATE/out"
  list agency-c inbox >"$STATE/in"
  python3 tests/e2e/full_rows.py judge "$STATE/in" "$STATE/out" && [ "$(wc -l <"$STATE/in")" = 120 ] || die "messages are missing"
  status_is agency-a dead 0 || die "what was refused for now is dead"
  stop_all
  echo "  quota: 70 of 120 put off, all arrived"
}

in_map() { # COUNT
  begin map
  ROWS=1
  sed -i '/^map_size_mib/d' "$STATE/hub/broker.yaml"
  echo "map_size_mib: 24" >>"$STATE/hub/broker.yaml"
  fill_and_drain "$1" map
}

# aside FUNCTION...: runs it beside what follows, in a process with daemons of its own: each waits more than it works
aside() {
  (MOUNTS=() ASIDE=(); trap stop_all EXIT; trap 'exit 1' TERM; "$@") &
  ASIDE+=($!)
}

aside quota
begin disk
if small_disk "$STATE/hub/db" 24; then
  aside in_map 1
  fill_and_drain "$rounds" disk
else
  echo "  no small disk here (mount is not permitted): the rounds run on a small map"
  in_map "$rounds"
fi
for pid in "${ASIDE[@]}"; do wait "$pid" || die "a scenario beside the main one failed"; done
ASIDE=()
