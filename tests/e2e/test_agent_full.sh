#!/usr/bin/env bash
# An agent whose own disk or store fills up: it takes nothing new from its callers and says why, lets the hub keep what is for
# it, stays up and online, and goes on by itself when there is room. Nothing is lost or doubled, and a kill while the disk is
# full changes nothing.
#
#   test_agent_full.sh [COUNT]     COUNT rounds on the small disk (KW_FULL_ROUNDS, 2)
set -euo pipefail
rounds=${1:-${KW_FULL_ROUNDS:-2}}
BIN=${KW_BUILD_DIR:?KW_BUILD_DIR must name the build folder}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-agent-full.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
# shellcheck source=tests/e2e/full_lib.sh
. tests/e2e/full_lib.sh
finish() {
  local code=$?
  stop_all
  unmount_all
  if [ "$code" = 0 ]; then rm -rf "$STATE"; else echo "FAILED; logs are in $STATE"; fi
}
trap finish EXIT

status_is() { [ "$(status "$1" "$2")" = "$3" ]; } # AGENCY KEY VALUE
at_least() { [ "$(status "$1" "$2")" -ge "$3" ]; }
send() { send_rows "$@" || die "$1 refused: $(tail -n 2 "$STATE/import.log")"; }
alive() { kill -0 "${AGENT_PID[$1]}" 2>/dev/null || die "the agent of $1 has ended: $(tail -n 3 "$STATE/$1.log")"; }
LOG=

# Its callers hear no, in words, and know that they may try again.
refuses() { # AGENCY
  local code=0
  kw "$1" send agency-a --service food --risk low --case-ref R-1 --code R-1 --age 5 --sex male --reason "Not now" --referrer Load \
    --consent-from caregiver >"$STATE/refused" 2>&1 || code=$?
  [ "$code" = 75 ] || die "a full agent answers a sender with exit code $code: $(cat "$STATE/refused")"
  grep -q "disk is nearly full" "$STATE/refused" || die "a full agent does not say why: $(cat "$STATE/refused")"
}

# hold AGENCY: sends to it until it lets the hub keep the rest
hold() {
  local before
  before=$(logged "$LOG" space_hold)
  for _ in $(seq 200); do
    alive "$1"
    if logged_times "$LOG" space_hold $((before + 1)); then return 0; fi
    send agency-a "$1" 200 3900
  done
  die "$1 never said that it is full"
}

holds() { # AGENCY: what a full agent does and does not do
  local received
  send agency-a "$1" 700 3900 # 256 may still come under the credit of before
  wait_until 60 status_is agency-a queued 0 || die "the hub does not keep what $1 has no room for: $(kw agency-a status)"
  sleep 2
  received=$(status "$1" received)
  sleep 2
  [ "$(status "$1" received)" = "$received" ] || die "$1 goes on taking messages without room"
  at_least agency-a held 100 || die "nothing waits at the hub: $(kw agency-a status)"
  alive "$1"
  status_is "$1" online True || die "$1 lost its hub"
  kw "$1" status | grep -q "store: FULL" || die "$1 does not say that it is full: $(kw "$1" status)"
  refuses "$1"
  # There is room for what its callers have done with.
  list "$1" inbox >"$STATE/in"
  kw "$1" ack "$(head -n 1 "$STATE/in" | cut -d' ' -f1)" >/dev/null || die "a full agent takes no acknowledgement"
}

settles() { # AGENCY
  wait_until 120 settled agency-a || die "agency-a did not settle: $(kw agency-a status) $(tail -n 2 "$LOG")"
  alive "$1"
  status_is "$1" store STORE_STATE_OK || die "$1 still complains: $(kw "$1" status)"
  status_is agency-a dead 0 || die "agency-a has dead letters"
}

judge() { # AGENCY
  list agency-a outbox >"$STATE/out.all"
  grep " $1\$" "$STATE/out.all" >"$STATE/out"
  list "$1" inbox >"$STATE/in"
  python3 tests/e2e/full_rows.py judge "$STATE/in" "$STATE/out" || die "messages are missing"
}

hub_make agent-full-hub
hub_start
agency_make agency-a
agency_start agency-a

# A store of 16 MiB, and later a larger one.
agency_make agency-m
LOG=$STATE/agency-m.log
echo "store_mib: 16" >>"$STATE/agency-m/agent.yaml"
agency_start agency-m
hold agency-m
holds agency-m
agency_kill agency-m TERM
sed -i 's/^store_mib:.*/store_mib: 512/' "$STATE/agency-m/agent.yaml"
agency_start agency-m
settles agency-m
judge agency-m
[ "$(logged "$LOG" ready)" = 2 ] || die "the agent was restarted"
agency_kill agency-m TERM
echo "  a small store: held back, enlarged, all arrived"

# Each round has an agency and a small disk of its own.
ballast() { # AGENCY FREE_KIB: somebody else takes the rest of the disk
  local free
  free=$(df --output=avail -k "$STATE/$1" | tail -n 1)
  [ "$free" -le "$2" ] || head -c $(((free - $2) * 1024)) /dev/zero 2>/dev/null >>"$STATE/$1/ballast" ||
    true # the agent writes as well, so the disk may end first
}
round() { # N
  local n=$1 b=agency-b$1 starts=1 before
  LOG=$STATE/$b.log
  agency_make "$b"
  mv "$STATE/$b" "$STATE/enrolled-$n"
  small_disk "$STATE/$b" 32 || die "no second small disk"
  cp -a "$STATE/enrolled-$n/." "$STATE/$b"
  agency_start "$b"

  # It fills by itself, and gets a larger disk.
  hold "$b"
  holds "$b"
  mount -o remount,size=96m "$STATE/$b"
  settles "$b"

  # Somebody else fills it at once, in the middle of things; with a few KiB left, writes are cut short instead of refused.
  before=$(logged "$LOG" space_full)
  send agency-a "$b" 50 3900
  ballast "$b" $((n % 2 * 40))
  send agency-a "$b" 300 3900
  wait_until 30 logged_times "$LOG" space_full $((before + 1)) || die "a full disk does not show: $(tail -n 2 "$LOG")"
  sleep 1
  alive "$b"
  refuses "$b"
  kw "$b" status | grep -q "nothing can be written" || die "$b does not say that nothing can be written: $(kw "$b" status)"
  if [ $((n % 2)) = 0 ]; then # killed, and started on the full disk
    agency_kill "$b" KILL
    agency_start "$b"
    starts=2
    sleep 1
    alive "$b"
  fi
  rm "$STATE/$b/ballast"
  settles "$b"
  judge "$b"
  [ "$(logged "$LOG" ready)" = "$starts" ] || die "the agent was restarted"
  agency_kill "$b" TERM
  unmount_all
  echo "  round $n: filled twice, enlarged and freed, all arrived"
}
if small_disk "$STATE/probe" 1; then
  for n in $(seq "$rounds"); do round "$n"; done
else
  echo "  no small disk here (mount is not permitted): the rounds on one are left out"
fi
