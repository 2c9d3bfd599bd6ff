#!/usr/bin/env bash
# An enrolment as README.md tells it, and what may go wrong on the way: a stolen code, a copied request, a guessed one, a late one,
# a site without a link, a changed file, and a kill of the agency's program or of the broker at each step.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-enrol.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
INIT_PID=
trap 'stop_all; [ -z "$INIT_PID" ] || kill "$INIT_PID" 2>/dev/null || true; rm -rf "$STATE"' EXIT

say() { printf '%s\n' "-- $*"; }
# expect WANT GOT WHAT
expect() { [ "$1" = "$2" ] || die "$3: \"$2\" and not \"$1\""; }
# refused EXIT WORDS COMMAND...: the command must fail so, and say so on standard error
refused() {
  local want=$1 words=$2 code=0 said; shift 2
  said=$("$@" 2>&1 >/dev/null) || code=$?
  expect "$want" "$code" "exit code of $*: $said"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
}
hub() { local verb=$1; shift; "$BIN/kinward" hub "$verb" "$@" --dir "$STATE/hub"; }
code_for() { hub add "$1" --by "Jo Bol" 2>/dev/null; } # AGENCY
# init AGENCY CODE ARGS...
init() { local name=$1 code=$2; shift 2; "$BIN/kinward" agent init "$code" --dir "$STATE/$name" --agent-socket "$STATE/$name/agent.sock" "$@"; }
# The same in the background, with its own pid in $pid.
init_waits() { # NAME CODE
  "$BIN/kinward" agent init "$2" --dir "$STATE/$1" --agent-socket "$STATE/$1/agent.sock" --wait 60 >"$STATE/$1.said" 2>&1 &
  pid=$!
}
# ask NAME CODE: asks once, and prints the phrase
ask() {
  init "$1" "$2" --wait 0 >"$STATE/$1.said" 2>"$STATE/$1.err" && die "$1 is in without anybody's word"
  phrase_in "$STATE/$1.said" | grep . || die "$1 has not asked: $(cat "$STATE/$1.err")"
}
# field AGENCY NAME: of the last enrolment of that agency
field() {
  hub enrolments --json 2>/dev/null | python3 -c '
import json, sys
rows = [row for row in map(json.loads, sys.stdin) if row["agency"] == sys.argv[1]]
print(rows[-1][sys.argv[2]] if rows else "none")' "$1" "$2"
}
logged() { grep -q "\"event\":\"$1\".*\"agency\":\"$2\"" "$STATE/hub.log"; } # EVENT AGENCY
in_directory() { hub list 2>/dev/null | grep -c "^$1 " || true; } # AGENCY

# --- as README.md tells it
# command WORDS: the command of README.md that begins so, with the folders of this test
command_of() {
  awk -v word="$1" 'index($0, word) == 1 { on = 1 } on { print } on && !/\\$/ { exit }' README.md |
    sed -e 's/ #.*//; s/ &$//' -e "s|/var/lib/kinward|$STATE/readme|g"
}
say "the steps of README.md"
mkdir "$STATE/readme"
export PATH=$BIN:$PATH
HUB_PORT=$(free_port)
eval "$(command_of 'kinward hub init' | sed "s/0\.0\.0\.0:7443/127.0.0.1:$HUB_PORT/; s/hub\.example\.org:7443/127.0.0.1:$HUB_PORT/")" >/dev/null
ln -s "$STATE/readme/hub" "$STATE/hub"
eval "exec $(command_of 'kinward-broker')" 2>>"$STATE/hub.log" & # exec: its own pid, and not that of a shell around it
HUB_PID=$!
wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$HUB_PORT" || die "the hub did not start"
code=$(eval "$(command_of 'kinward hub add') --by 'Jo Bol'" 2>"$STATE/advice")
grep -q 'kinward hub approve agency-a' "$STATE/advice"
eval "exec $(command_of 'kinward agent init KW1' | sed "s/KW1-…/$code/") --agent-socket $STATE/readme/agent/agent.sock" >"$STATE/said" 2>&1 &
INIT_PID=$!
wait_until 20 grep -q '^Phrase of agency-a: ' "$STATE/said" || die "no phrase: $(cat "$STATE/said")"
phrase=$(phrase_in "$STATE/said")
[[ $phrase =~ ^[0-9]{4}(\ [0-9]{4}){5}$ ]] || die "no phrase of six numbers: $phrase"
eval "$(command_of 'kinward hub enrolments')" | grep -q "^agency-a  asked  phrase $phrase  made by Jo Bol" || die "the hub shows another phrase"
kill -0 "$INIT_PID" || die "init did not wait"
expect 0 "$(in_directory agency-a)" "in the directory before anybody has approved"
approve=$(command_of 'kinward hub approve' | sed "s/1234 5678 9012 3456 7890 1234/$phrase/")
refused 1 "Jo Bol made this code, and another person has to approve" bash -euc "$approve --by 'jo bol'"
refused 1 "is not the phrase of the request that is here" bash -euc "$(command_of 'kinward hub approve') --by 'Sara Lado'"
refused 2 "--phrase is missing" hub approve agency-a
expect asked "$(field agency-a state)" "after what was refused"
bash -euc "$approve --by 'Sara Lado'" | grep -q "agency-a is approved"
wait "$INIT_PID" || die "init failed: $(cat "$STATE/said")"
print=$(sed -n 's/^Identity fingerprint: //p' "$STATE/said")
expect "agency-a  $print" "$(hub list)" "hub list"
ln -s "$STATE/readme/agent" "$STATE/agency-a"
agency_start agency-a
expect "Jo Bol Sara Lado False" "$(field agency-a madeBy) $(field agency-a decidedBy) $(field agency-a alone)" "the record"
ls "$STATE/agency-a" | grep -qE '^enrolment' && die "the pending file stayed"
bash -euc "$approve --by 'Sara Lado'" >/dev/null # again is no harm

say "alone, which is recorded and logged"
code=$(code_for agency-b)
phrase=$(ask agency-b "$code")
hub approve agency-b --phrase "$phrase" --by "Jo Bol" --alone | grep -q "alone: that is recorded"
init agency-b "$code" --wait 20 >/dev/null
expect True "$(field agency-b alone)" "alone in the record"
grep '"event":"enrolment"' "$STATE/hub.log" | grep '"agency":"agency-b"' | grep -q '"alone":1' || die "alone is not in the log"
grep -qE 'Jo Bol|Sara Lado' "$STATE/hub.log" && die "a person's name is in the log"

# --- stolen
say "the thief is first: the agency hears of it, and its phrase is not the one that is here"
code=$(code_for agency-c)
thief=$(ask thief "$code")
refused 1 "ALARM: somebody else has used this code before you" init agency-c "$code" --wait 0
[ ! -e "$STATE/agency-c.new" ] || die "a refused enrolment left a folder"
logged enrolment_alarm agency-c || die "the alarm is not in the log"
hub enrolments | grep -q "ALARM: 1 other request with this code" || die "the alarm is not in the list"
refused 1 "two different requests came with this code" hub approve agency-c --phrase "$thief" --by "Sara Lado"
refused 1 "do not approve" hub approve agency-c --phrase "$(field agency-c alarmPhrase)" --by "Sara Lado"
expect 0 "$(in_directory agency-c)" "the thief in the directory"
hub refuse agency-c --by "Sara Lado" | grep -q "^1 code of agency-c is void now"
refused 1 "have refused this request" init thief "$code" --wait 20
[ ! -e "$STATE/thief.new" ] && [ ! -e "$STATE/thief" ] || die "the thief has kept something"
say "the thief is second: the first is held, and a person decides"
code=$(code_for agency-c)
phrase=$(ask agency-c "$code")
refused 1 "ALARM" init thief "$code" --wait 0
ask agency-c "$code" >"$STATE/again"
expect "$phrase" "$(cat "$STATE/again")" "the phrase of the first"
refused 1 "--after-alarm" hub approve agency-c --phrase "$phrase" --by "Sara Lado"
hub approve agency-c --phrase "$phrase" --by "Sara Lado" --after-alarm >/dev/null
refused 1 "ALARM" init thief "$code" --wait 0
init agency-c "$code" --wait 20 >/dev/null
agency_start agency-c
agency_kill agency-c TERM

# --- copied and guessed
say "a copied request proves nothing on another connection, and burns the code"
code=$(code_for agency-d)
init copied "$code" --request "$STATE/copied.request" >/dev/null
for try in 1 2 3 4; do expect "error not_authentic" "$(python3 tests/e2e/enrol_ask.py "$HUB_PORT" "$STATE/copied.request")" "try $try"; done
expect "waiting 4" "$(field agency-d state) $(field agency-d wrongTries)" "after four"
was=$HUB_PID
hub_kill KILL
[ ! -e "/proc/$was" ] || die "the broker is still there"
hub_start
expect "error not_authentic" "$(python3 tests/e2e/enrol_ask.py "$HUB_PORT" "$STATE/copied.request")" "the fifth"
expect "burnt 5" "$(field agency-d state) $(field agency-d wrongTries)" "after five"
logged code_burnt agency-d || die "the burnt code is not in the log"
expect "error not_authentic" "$(python3 tests/e2e/enrol_ask.py "$HUB_PORT" "$STATE/copied.request")" "the sixth"
refused 1 "the code is burnt" init agency-d "$code" --wait 0
refused 1 "this request is burnt" hub approve agency-d --phrase 1 --request "$STATE/copied.request" --reply "$STATE/reply" --by "Sara Lado"
rm -r "$STATE/copied.new"

say "a code that has expired"
code=$(code_for agency-d)
file=$(grep -l '^state waiting' "$STATE"/hub/enrol/????????????????????????????????)
sed -i "s/^expires .*/expires $(($(date +%s) - 1))/" "$file"
expect expired "$(field agency-d state)" "in the list"
refused 1 "the code has expired" init agency-d "$code" --wait 0
expect 1 "$(grep -c '^state expired' "$file")" "on disk"
say "a code that the hub does not know is answered as a wrong one"
code=$(code_for agency-d)
rm "$(grep -l '^state waiting' "$STATE"/hub/enrol/????????????????????????????????)"
refused 1 "the hub does not know this code, or not with this secret" init agency-d "$code" --wait 0
[ ! -e "$STATE/agency-d.new" ] || die "what the hub does not know left a folder"

# --- by file
say "a site without a link, by two files"
code=$(code_for agency-e)
init agency-e "$code" --request "$STATE/e.request" >"$STATE/e.said"
phrase=$(phrase_in "$STATE/e.said")
expect "$phrase" "$(python3 tests/e2e/enrol_paper.py "$code" "$STATE/e.request")" "the phrase by proto/PROTOCOL.md"
expect waiting "$(field agency-e state)" "before the file is there"
flip() { python3 -c 'import sys; b = bytearray(open(sys.argv[1], "rb").read()); b[int(sys.argv[2])] ^= 1; open(sys.argv[3], "wb").write(b)' "$@"; } # FROM AT TO
approve_e() { hub approve agency-e --phrase "$phrase" --by "Sara Lado" --request "$1" --reply "$STATE/e.reply"; } # FILE
size=$(stat -c %s "$STATE/e.request")
for at in 40 120 $((size - 1)) $((size - 60)); do
  flip "$STATE/e.request" "$at" "$STATE/e.bad"
  approve_e "$STATE/e.bad" >/dev/null 2>"$STATE/err" && die "a request that was changed at $at was approved"
  grep -qE -- '--request: (the request was changed|the file is damaged|this is a reply, or)' "$STATE/err" || die "at $at: $(cat "$STATE/err")"
done
flip "$STATE/e.request" "$((size - 1))" "$STATE/e.bad"
refused 1 "the request was changed on its way" approve_e "$STATE/e.bad"
sed '1s/ 1$/ 2/' "$STATE/e.request" >"$STATE/e.bad"
refused 1 "of another version" approve_e "$STATE/e.bad"
refused 4 "there is no such file" approve_e "$STATE/none"
refused 1 "the request was changed on its way, or is of a code" hub approve agency-f --phrase "$phrase" --by "Sara Lado" --request "$STATE/e.request" --reply "$STATE/e.reply"
expect "waiting 0" "$(field agency-e state) $(field agency-e wrongTries)" "after damaged files, which are no guesses"
refused 1 "is not the phrase" hub approve agency-e --phrase "1234 5678 9012 3456 7890 1234" --by "Sara Lado" --request "$STATE/e.request" --reply "$STATE/e.reply"
hub_kill TERM # the broker is away: approved, and the same command goes on when it is back
approve_e "$STATE/e.request" >/dev/null 2>"$STATE/err" & # waits for the broker
APPROVE_PID=$!
wait_until 20 bash -c "[ \"\$('$BIN/kinward' hub enrolments --dir '$STATE/hub' | grep -c '^agency-e  approved')\" = 1 ]" || die "not approved: $(cat "$STATE/err")"
hub_start
wait "$APPROVE_PID" || die "the reply did not come: $(cat "$STATE/err")"
approve_e "$STATE/e.request" >/dev/null # again is no harm
reply_e() { "$BIN/kinward" agent init --reply "$1" --dir "$STATE/agency-e"; } # FILE
size=$(stat -c %s "$STATE/e.reply")
for at in 30 200 $((size / 2)) $((size - 1)); do
  flip "$STATE/e.reply" "$at" "$STATE/e.bad"
  reply_e "$STATE/e.bad" >/dev/null 2>"$STATE/err" && die "a reply that was changed at $at was taken"
  grep -qE -- '--reply: (the reply does not fit|the file is damaged|this is the request)' "$STATE/err" || die "at $at: $(cat "$STATE/err")"
done
refused 1 "this is the request" reply_e "$STATE/e.request"
[ ! -e "$STATE/agency-e" ] || die "a changed reply made a state directory"
refused 1 "no request was made for this directory" "$BIN/kinward" agent init --reply "$STATE/e.reply" --dir "$STATE/nowhere"
KINWARD_PASSPHRASE="not this one" refused 1 "another passphrase" reply_e "$STATE/e.reply"
refused 2 "not both" "$BIN/kinward" agent init "$code" --reply "$STATE/e.reply"
reply_e "$STATE/e.reply" | grep -q "^Enrolled as agency-e"
agency_start agency-e
agency_kill agency-e TERM

# --- kills
say "the agency's program is killed at each step"
code=$(code_for agency-g)
first=
for delay in 0 0.01 0.02 0.04 0.06 0.08 0.1 0.12 0.15 0.2 0.3; do
  init_waits agency-g "$code"
  sleep "$delay"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  shown=$(field agency-g phrase)
  [ -z "$first" ] || expect "$first" "$shown" "the hub's phrase after a kill at $delay"
  first=$shown
done
phrase=$(ask agency-g "$code")
[ -z "$first" ] || expect "$first" "$phrase" "the phrase after all the kills"
expect "$phrase 0" "$(field agency-g phrase) $(field agency-g alarms)" "at the hub"
KINWARD_PASSPHRASE="not this one" refused 1 "another passphrase" init agency-g "$code" --wait 0
refused 1 "an enrolment with another code is under way" init agency-g "$(code_for agency-h)" --wait 0
hub approve agency-g --phrase "$phrase" --by "Sara Lado" >/dev/null
for delay in 0 0.02 0.04 0.06 0.08 0.1 0.12 0.14 0.16 0.2 0.25; do
  [ ! -e "$STATE/agency-g" ] || break
  init_waits agency-g "$code"
  sleep "$delay"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
done
[ -e "$STATE/agency-g" ] || init agency-g "$code" --wait 20 >/dev/null
expect 1 "$(in_directory agency-g)" "in the directory"
agency_start agency-g
agency_kill agency-g TERM

say "the broker is killed at each step"
for step in 1 2 3 4 5 6; do
  name=agency-k$step
  code=$(code_for "$name")
  init_waits "$name" "$code"
  if [ "$step" -le 2 ]; then # while it is asked
    sleep "0.0$((step * 4))"
    hub_kill KILL
    hub_start
    # It may have ended before it had asked: then the same command again is what README.md says.
    kill -0 "$pid" 2>/dev/null || { wait "$pid" || true; init_waits "$name" "$code"; }
  fi
  wait_until 20 grep -q '^Phrase' "$STATE/$name.said" || die "$name has not asked: $(cat "$STATE/$name.said")"
  [ "$step" != 3 ] || { hub_kill KILL; hub_start; } # asked
  phrase=$(phrase_in "$STATE/$name.said")
  [ "$step" != 4 ] || hub_kill KILL # approved while it is away
  hub approve "$name" --phrase "$phrase" --by "Sara Lado" >/dev/null
  [ "$step" != 4 ] || hub_start
  [ "$step" -lt 5 ] || { sleep "0.0$(((step - 5) * 3))"; hub_kill KILL; hub_start; } # while it is carried out
  wait "$pid" || die "$name was not enrolled: $(cat "$STATE/$name.said")"
  expect "done 0" "$(field "$name" state) $(field "$name" alarms)" "$name at the hub"
  expect 1 "$(in_directory "$name")" "$name in the directory"
  agency_start "$name"
  agency_kill "$name" TERM
done
echo "enrolment holds"
