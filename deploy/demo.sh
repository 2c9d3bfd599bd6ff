#!/usr/bin/env bash
# Three agencies exchange sealed referrals through a hub that can read none of them, while one is offline for a while and
# the hub is killed midway.
#
#   deploy/demo.sh                       runs, prints a table
#   deploy/demo.sh --once --summary F    the same, and writes the figures as JSON to F; exit 1 if anything was lost or doubled
#   deploy/demo.sh --keep                leaves everything running, with the commands to type next
#   --referrals N                        how many (default 1000)
#
# It installs the Debian packages it lacks, builds a release into build/release, and keeps its state in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=0 summary= referrals=1000
while [ $# -gt 0 ]; do
  case $1 in
    --once) ;;
    --keep) keep=1 ;;
    --summary) summary=${2:?--summary needs a file}; shift ;;
    --referrals) referrals=${2:?--referrals needs a number}; shift ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done

say() { printf '%s\n' "$*"; }

if [ -n "${KW_DEMO_BIN:-}" ]; then
  BIN=$KW_DEMO_BIN # the tests try what they have built
else
  if [ -z "${KW_NO_INSTALL:-}" ]; then
    ./deploy/install-deps.sh
    command -v python3 >/dev/null || { say "installing python3, which counts the results"; apt-get install -y -qq python3; }
  fi
  say "building the release (build/release) …"
  mkdir -p build/release
  cmake -G Ninja -B build/release -DKW_PROFILE=release -DKW_TESTS=OFF >build/release/configure.log 2>&1 ||
    { cat build/release/configure.log; exit 1; }
  ninja -C build/release --quiet kinward kinward-agent kinward-broker
  BIN=$PWD/build/release/bin
fi
STATE=$(mktemp -d /tmp/kinward-demo.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
finish() {
  local code=$?
  if [ "$keep" = 1 ] && [ "$code" = 0 ]; then return; fi
  stop_all
  [ "$code" = 0 ] && rm -rf "$STATE" || say "state is kept in $STATE for a look"
}
trap finish EXIT

agencies=(agency-a agency-b agency-c)
say "starting a hub and ${#agencies[@]} agencies in $STATE"
hub_make demo-hub
hub_start
for agency in "${agencies[@]}"; do agency_make "$agency"; agency_start "$agency"; done

say "importing the Febrl records as UASC registrations at two agencies"
# Some rows of that data are damaged on purpose; the importer names each and goes on, with exit code 1.
import_at() { # AGENCY FILE
  kw "$1" import "$2" --as-of 2024-01-01 --default consent_source=caregiver >"$STATE/import-$1.log" 2>&1 || [ $? = 1 ]
  say "  $1: $(tail -n 1 "$STATE/import-$1.log")"
}
import_at agency-a tests/data/linkage/febrl/dataset1.csv
import_at agency-b tests/data/linkage/febrl/dataset3.csv

# sender FROM FIRST LAST: sends to the two others in turn
services=(shelter education health_medical food legal registration)
sender() {
  local from=$1 i to others=()
  for to in "${agencies[@]}"; do [ "$to" = "$from" ] || others+=("$to"); done
  for i in $(seq "$2" "$3"); do
    local risk=medium
    [ $((i % 10)) -ne 0 ] || risk=high
    kw "$from" send "${others[$((i % 2))]}" --service "${services[$((i % 6))]}" --risk $risk --case-ref "$from-$i" \
      --code "C-$i" --age $((3 + i % 15)) --sex female --reason "Demonstration case $i" --referrer "Demo Worker" \
      --consent-from caregiver >/dev/null || say "send $i from $from was refused"
    echo "$i" >"$STATE/sent-by-$from"
  done
}

state_of() { # prints "sent held+ delivered+ opened" over all agencies
  local agency
  for agency in "${!AGENT_PID[@]}"; do kw "$agency" status --json 2>/dev/null || true; done | python3 deploy/demo_count.py status
}

progress() { # reads the figures and shows them
  read -r sent held delivered opened < <(state_of)
  printf '\r  sent %5d   held (R0) %5d   delivered (R1) %5d   opened (R2) %5d ' "$sent" "$held" "$delivered" "$opened"
}
watch_senders() { # until they have ended
  local pid
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do progress; sleep 0.1; done
    wait "$pid" || true
  done
}

# Everybody sends; then agency-c is gone while the two others go on, and early in that the hub is killed.
share=$((referrals / 3))
rest=$((referrals - 2 * share))
half_a=$((rest / 2)) half_b=$((share / 2))
senders=()
sender agency-a 1 "$half_a" & senders+=($!)
sender agency-b 1 "$half_b" & senders+=($!)
sender agency-c 1 "$share" & senders+=($!)
watch_senders "${senders[@]}"

printf '\n  agency-c goes offline (SIGKILL)\n'
agency_kill agency-c KILL
senders=()
sender agency-a $((half_a + 1)) "$rest" & senders+=($!)
sender agency-b $((half_b + 1)) "$share" & senders+=($!)
at_kill=$((half_a + (rest - half_a) / 4))
until [ "$(cat "$STATE/sent-by-agency-a")" -ge "$at_kill" ] 2>/dev/null; do sleep 0.01; done
kill -0 "${senders[0]}" 2>/dev/null || die "the senders had ended before the hub was killed: the demo showed nothing"
printf '\n  the hub is killed with SIGKILL while referrals flow, and started again\n'
hub_kill KILL
sleep 0.3
hub_start
watch_senders "${senders[@]}"

settle() { # until all that was sent has reached $1 opened ones, or two minutes have passed
  local deadline=$((SECONDS + 120))
  until [ "$opened" -ge "$1" ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.1; progress; done
}
progress
for_c=$(((rest - half_a + 1) / 2 + (share - half_b) / 2)) # about half of what was sent meanwhile is for agency-c
printf '\n  agency-c is back; about %d referrals wait for it\n' "$for_c"
agency_start agency-c
progress
settle "$referrals"
echo

for agency in "${agencies[@]}"; do
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
for agency in "${agencies[@]}"; do kw "$agency" status --json; done >"$STATE/status.jsonl"

python3 deploy/demo_count.py table "$STATE" ${summary:+"$summary"}
if [ "$keep" = 1 ]; then
  say
  say "Still running. Try:"
  say "  export KINWARD_SOCKET=$STATE/agency-a/agent.sock PATH=$BIN:\$PATH"
  say "  kinward status; kinward inbox; kinward outbox; kinward keys"
  say "Stop it with:  kill $HUB_PID ${AGENT_PID[*]}; rm -r $STATE"
fi
