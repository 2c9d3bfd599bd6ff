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

# sender FROM COUNT: sends to the two others in turn
services=(shelter education health_medical food legal registration)
sender() {
  local from=$1 count=$2 i to others=()
  for to in "${agencies[@]}"; do [ "$to" = "$from" ] || others+=("$to"); done
  for i in $(seq "$count"); do
    local risk=medium
    [ $((i % 10)) -ne 0 ] || risk=high
    kw "$from" send "${others[$((i % 2))]}" --service "${services[$((i % 6))]}" --risk $risk --case-ref "$from-$i" \
      --code "C-$i" --age $((3 + i % 15)) --sex female --reason "Demonstration case $i" --referrer "Demo Worker" \
      --consent-from caregiver >/dev/null || say "send $i from $from was refused"
  done
}

state_of() { # prints "sent held+ delivered+ opened" over all agencies
  local agency
  for agency in "${!AGENT_PID[@]}"; do kw "$agency" status --json 2>/dev/null || true; done | python3 deploy/demo_count.py status
}

senders=()
share=$((referrals / 3))
sender agency-a $((referrals - 2 * share)) & senders+=($!)
sender agency-b "$share" & senders+=($!)
sender agency-c "$share" & senders+=($!)

offline=0 killed=0
while :; do
  read -r sent held delivered opened < <(state_of)
  printf '\r  sent %5d   held (R0) %5d   delivered (R1) %5d   opened (R2) %5d ' "$sent" "$held" "$delivered" "$opened"
  if [ "$offline" = 0 ] && [ "$sent" -ge $((referrals / 5)) ]; then
    offline=1; wait "${senders[2]}" 2>/dev/null || true
    printf '\n  agency-c goes offline\n'; agency_kill agency-c KILL
  fi
  if [ "$killed" = 0 ] && [ "$sent" -ge $((referrals / 2)) ]; then
    killed=1
    printf '\n  the hub is killed with SIGKILL, and started again\n'; hub_kill KILL; hub_start
  fi
  if [ "$offline" = 1 ] && [ "$killed" = 1 ] && ! kill -0 "${senders[0]}" 2>/dev/null && ! kill -0 "${senders[1]}" 2>/dev/null; then
    break
  fi
  sleep 0.2
done
printf '\n  agency-c is back\n'; agency_start agency-c

deadline=$((SECONDS + 120))
while [ "$SECONDS" -lt "$deadline" ]; do
  read -r sent held delivered opened < <(state_of)
  printf '\r  sent %5d   held (R0) %5d   delivered (R1) %5d   opened (R2) %5d ' "$sent" "$held" "$delivered" "$opened"
  [ "$opened" -lt "$referrals" ] || break
  sleep 0.2
done
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
