#!/usr/bin/env bash
# Enrolment as two people do it: the fingerprint that the agency reads out is what the hub's operator sees, in each place
# where it is shown, and a name that is taken is refused on both sides with what to do.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-enrol.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_all; rm -rf "$STATE"' EXIT

# expect WANT GOT WHAT
expect() { [ "$1" = "$2" ] || die "$3: \"$2\" and not \"$1\""; }
# refused EXIT WORDS COMMAND...: the command must fail so, and say so on standard error
refused() {
  local want=$1 words=$2 code=0 said; shift 2
  said=$("$@" 2>&1 >/dev/null) || code=$?
  expect "$want" "$code" "exit code of $*"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
}
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

hub_make enrol-hub
hub_start
first=$("$BIN/kinward" hub add agency-a --dir "$STATE/hub" --json | field code)
second=$("$BIN/kinward" hub add agency-a --dir "$STATE/hub" 2>/dev/null)
# enrol NAME CODE ARGS...: the agency's side and the second person's
enrol() {
  local name=$1 code=$2; shift 2
  "$BIN/kinward" agent init "$code" --dir "$STATE/$name" --agent-socket "$STATE/$name/agent.sock" --wait 0 >"$STATE/asked" 2>&1 && die "nobody approved"
  "$BIN/kinward" hub approve "$name" --dir "$STATE/hub" --phrase "$(phrase_in "$STATE/asked")" --alone >/dev/null
  "$BIN/kinward" agent init "$code" --dir "$STATE/$name" --agent-socket "$STATE/$name/agent.sock" "$@"
}
enrol agency-a "$first" >"$STATE/said"
print=$(sed -n 's/^Identity fingerprint: //p' "$STATE/said")
[[ $print =~ ^[0-9a-f]{64}$ ]] || die "no fingerprint in: $(cat "$STATE/said")"
expect "agency-a  $print" "$("$BIN/kinward" hub list --dir "$STATE/hub")" "hub list"
expect "$print" "$("$BIN/kinward" hub list --dir "$STATE/hub" --json | field identityFingerprint)" "hub list --json"
expect "$print" "$(grep '"event":"enrolment"' "$STATE/hub.log" | field identity)" "the hub's log"
agency_start agency-a
expect "identity  $print" "$(kw agency-a keys | head -n 1)" "kinward keys"

refused 1 "AGENCY: agency-a is enrolled already" "$BIN/kinward" hub add agency-a --dir "$STATE/hub"
refused 1 "CODE: the hub has an agency of this name already" "$BIN/kinward" agent init "$second" --dir "$STATE/again"
refused 1 "--dir: the directory is not empty" "$BIN/kinward" agent init "$second" --dir "$STATE/agency-a"
refused 1 "CODE: ALARM: somebody else has used this code before you" "$BIN/kinward" agent init "$first" --dir "$STATE/again"
[ ! -e "$STATE/again" ] && [ ! -e "$STATE/again.new" ] || die "a refused enrolment left a folder"
third=$("$BIN/kinward" hub add agency-b --dir "$STATE/hub" 2>/dev/null)
hub_kill TERM
refused 75 "CODE: the hub that the code names cannot be reached" "$BIN/kinward" agent init "$third" --dir "$STATE/agency-b"
hub_start
print=$(enrol agency-b "$third" --json | field identityFingerprint)
expect "agency-b  $print" "$("$BIN/kinward" hub list --dir "$STATE/hub" | tail -n 1)" "hub list of the second"
echo "fingerprints are the same everywhere"
