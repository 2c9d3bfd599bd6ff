#!/usr/bin/env bash
# Who is who, with the real programs: keys of a hub are replaced while all goes on; an agency is shut out; a hub that goes back is
# refused, also by an agent that was started again; a directory of long ago stops new contacts; and another key under an agency's
# own name is an alarm. What each command says in its dry run is what happens.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-who.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_all; rm -rf "$STATE"' EXIT

HUB="$STATE/hub"
CHECKS=0
step() { echo "$*"; }
held() { CHECKS=$((CHECKS + 1)); }
# says WORDS COMMAND...: it must succeed and say so
says() {
  local words=$1 said; shift
  said=$("$@" 2>&1) || die "failed: $*: $said"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
  held
}
# refused EXIT WORDS COMMAND...
refused() {
  local want=$1 words=$2 code=0 said; shift 2
  said=$("$@" 2>&1) || code=$?
  [ "$code" = "$want" ] || die "exit code $code and not $want of $*: $said"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
  held
}
hub() { local what=$1; shift; "$BIN/kinward" hub "$what" "$@" --dir "$HUB"; }
directory_of() { kw "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["directoryVersion"])'; }
root_of() { kw "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["rootVersion"])'; }
has_root() { [ "$(root_of agency-a)" = "$1" ]; }
knows() { kw "$1" keys | grep -q "$2"; }
is_online() { kw "$1" status --json | grep -Eq '"online": ?true'; }
logged() { grep -qF -- "$2" "$STATE/$1.log"; }
count() { grep -cF -- "$2" "$STATE/$1.log" || true; }
refer() { # FROM TO
  kw "$1" send "$2" --service family_tracing_reunification --risk high --case-ref R-1 --code C-1 --age 9 --sex female \
    --reason "Alone" --referrer "Jo" --consent-from caregiver
}
versions() { cp "$HUB"/{directory,snapshot,timestamp}.bin "$1"; }

step "1. a hub with three root keys, of which two are needed, and three agencies"
HUB_PORT=$(free_port)
says "takes 2 of 3" "$BIN/kinward" hub init --dir "$HUB" --name who-hub --listen "127.0.0.1:$HUB_PORT" --root-keys 3 --root-threshold 2
for key in registrar snapshot timestamp log; do
  [ "$(stat -c %a "$HUB/$key.key")" = 400 ] || die "mode of $key.key"
  held
done
mv "$HUB/root-keys" "$STATE/usb" # carried away
hub_start
for agency in agency-a agency-b agency-c; do agency_make "$agency"; agency_start "$agency"; done
wait_until 10 knows agency-a agency-c || die "agency-a does not know agency-c"
mkdir "$STATE/old"

step "2. every key is replaced while agents are there"
refused 4 "holds 0 of the 2 root keys" hub rotate timestamp
roots=$(root_of agency-a)
for role in registrar snapshot timestamp log; do
  says "would be replaced, with root version $((roots + 1))" hub rotate "$role" --root-folder "$STATE/usb" --dry-run
  before=$(sha256sum "$HUB/$role.key")
  says "root version $((roots + 1))" hub rotate "$role" --root-folder "$STATE/usb"
  [ "$before" != "$(sha256sum "$HUB/$role.key")" ] || die "the key of $role is the old one"
  roots=$((roots + 1))
  wait_until 10 has_root "$roots" || die "agency-a has not taken the root after $role"
  held
done
says "2 root keys in" hub rotate root --root-folder "$STATE/usb" --root-keys 2 --root-threshold 2
rm -f "$STATE"/usb/[123].key
says "signed by 2 root keys of which 2 are needed" hub rotate timestamp --root-folder "$STATE/usb"
says "thread" refer agency-a agency-b
[ "$(count agency-a role_refused)" = 0 ] || die "agency-a has refused something: $(grep role_refused "$STATE/agency-a.log")"
held

step "3. an agency is shut out"
versions "$STATE/old"
says "agency-c would be shut out" hub revoke agency-c --dry-run
says "Nothing was changed." hub revoke agency-c --dry-run
is_online agency-c || die "the dry run has done something"
says "agency-c is shut out" hub revoke agency-c
wait_until 10 logged hub '"event":"session_ended"' || die "its session has not ended"
held
agency_kill agency-c TERM
agency_start agency-c
wait_until 20 logged hub '"event":"connection_refused"' || die "it may connect again"
held
gone() { ! refer agency-a agency-c >/dev/null 2>&1; }
wait_until 10 gone || die "agency-a still writes to it"
refused 1 "agency" refer agency-a agency-c
refused 1 "is shut out already" hub revoke agency-c
refused 4 "no such agency" hub revoke agency-x

step "4. a hub that goes back is refused, also after a restart of the agent"
version=$(directory_of agency-a)
hub_kill TERM
cp "$STATE"/old/*.bin "$HUB/"
rm -f "$HUB/changes.txt"
hub_start
wait_until 30 logged agency-a '"rule":"rollback"' || die "the rollback is not in the log"
held
[ "$(directory_of agency-a)" = "$version" ] || die "agency-a went back"
held
says "directory refused: rollback: " kw agency-a status
agency_kill agency-a KILL
before=$(count agency-a '"rule":"rollback"')
agency_start agency-a
more() { [ "$(count agency-a '"rule":"rollback"')" -gt "$before" ]; }
wait_until 30 more || die "the restarted agent took the old one"
held
[ "$(directory_of agency-a)" = "$version" ] || die "agency-a went back after a restart"
refused 1 "agency" refer agency-a agency-c
wait_until 10 logged hub '"event":"hub_behind"' || die "the hub does not say that it is behind"
held
[ "$(count hub '"event":"hub_behind"')" = 1 ] || die "it says so more than once an hour"
held
agency_kill agency-a TERM # it hears of the new keys when it comes back, and has a directory of the very version that they sign
roots=$(root_of agency-b)
says "root version $((roots + 1))" hub rotate snapshot --root-folder "$STATE/usb"
b_has_it() { [ "$(root_of agency-b)" = "$((roots + 1))" ]; }
wait_until 10 b_has_it || die "agency-b has not taken the root"
agency_start agency-a
in_again() { kw agency-a keys | grep agency-c | grep -vq "SHUT OUT"; }
wait_until 30 in_again || die "agency-a does not take what new keys have signed: $(kw agency-a status; kw agency-a keys)"
[ "$(directory_of agency-a)" = "$version" ] || die "the versions are not the same: the test misses its point"
held
says "agency-c is shut out" hub revoke agency-c # the old copy had let it in again
wait_until 10 gone || die "agency-a still writes to it"
version=$(directory_of agency-a)
wait_until 30 is_online agency-a || die "agency-a does not come back"
newer() { [ "$(directory_of agency-a)" -ge "$version" ] && ! kw agency-a status | grep -q "directory refused"; }
wait_until 30 newer || die "agency-a does not take the present one: $(kw agency-a status)"
held

step "5. a directory of long ago: no new contacts, and the old ones go on"
agency_make agency-d
wait_until 10 knows agency-a agency-d || die "agency-a does not know agency-d"
python3 tests/e2e/forge_roles.py "$HUB" age 31
old() { kw agency-a status | grep -q "directory OLD"; }
wait_until 10 old || die "its age does not show: $(kw agency-a status)"
held
refused 1 "No new directory has come for 30 days" refer agency-a agency-d
says "thread" refer agency-a agency-b
hub rotate timestamp --root-folder "$STATE/usb" >/dev/null # signs it of today
fresh() { ! old; }
wait_until 10 fresh || die "a new one is not taken: $(kw agency-a status)"
says "thread" refer agency-a agency-d

step "6. all keys of the hub in wrong hands: another key under our own name is an alarm"
version=$(directory_of agency-a)
python3 tests/e2e/forge_roles.py "$HUB" swap agency-a
wait_until 10 logged agency-a '"event":"own_key_alarm"' || die "no alarm in the log"
held
refused 5 "ALARM: the hub's directory has another key under this agency's own name" kw agency-a status
said=$(kw agency-a status --json) && die "exit code of status is 0" || [ $? = 5 ] || die "exit code of status --json"
grep -Eq '"ownKeyAlarm": ?true' <<<"$said" || die "no alarm in: $said"
held
grep -Eq "\"directoryVersion\": ?\"?$version\"?" <<<"$said" || die "the directory was taken: $said"
held
says "thread" refer agency-a agency-b # with the last good one
echo "$CHECKS checks held"
