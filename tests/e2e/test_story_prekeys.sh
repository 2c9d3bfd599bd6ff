#!/usr/bin/env bash
# Dated keys, told through the real programs: made, published, used, destroyed in time; a stolen disk that opens nothing older; an
# agency that stays away past its keys; keys that are lost, and the message that is sealed once more, also through a kill -9.
. "$(dirname "$0")/story_lib.sh"
# Each check is for something by name, never for "no error".

faketime=$(ls /usr/lib/*/faketime/libfaketime.so.1) || die "no libfaketime: deploy/install-deps.sh --test brings it"
all=(agency-a agency-b agency-c)
# days N: from here on every clock stands N days later, of hub and agents; who runs is started anew
days() {
  export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" LD_PRELOAD="$faketime" FAKETIME="+${1}d" FAKETIME_DONT_FAKE_MONOTONIC=1
}
logged() { grep -c "$2" "$STATE/$1.log" || true; } # AGENCY WORDS
logs() { [ "$(logged "$1" "$2")" -ge "$3" ]; }       # AGENCY WORDS COUNT
wait_log() { wait_until "$STORY_SECONDS" logs "$@" || die "$1 does not log '$2' $3 times"; STORY_CHECKS=$((STORY_CHECKS + 1)); }
ready() { wait_log hub "\"event\":\"prekeys\",\"agency\":\"$1\"" "$2"; } # AGENCY TIMES: its keys are at the hub
opened() { [ "$(story_json "$1" show "$2" -- 'j["state"]' 2>/dev/null)" = OUT_STATE_OPENED ]; }
message_to() { kw "$1" send "$2" --service shelter --risk medium --case-ref "P-$RANDOM" --code P-1 --age 9 --sex female \
  --reason "Alone since Monday" --referrer "Jo Bol" --consent-from caregiver 2>/dev/null | story_message_of; }
wait_opened() { wait_until "$STORY_SECONDS" opened "$1" "$2" || die "message $2 of $1 is not opened: $(kw "$1" show "$2")"
  STORY_CHECKS=$((STORY_CHECKS + 1)); }
keys_of() { find "$STATE/$1/prekeys" -type f 2>/dev/null | wc -l; }
knows_keys() { [ "$(keys_of "$1")" -ge "$2" ]; }
# directory AGENCY: a shelter in SS0101, told to agency-a, by the clock of now
directory() {
  local now=$(($(date +%s) * 1000)) until
  until=$((now + 25 * 86400000))
  cat >"$STATE/$1.services.json" <<JSON
{"organization": "Agency $1", "issuedUnixMs": "$now", "validUntilUnixMs": "$until", "services": [
 {"serviceId": "s1", "type": "SERVICE_TYPE_SHELTER", "status": "SERVICE_STATUS_ACTIVE", "capacity": "CAPACITY_AVAILABLE",
  "minimumAge": 0, "maximumAge": 17, "languages": ["apd"], "locations": [{"pcode": "SS0101", "adminLevel": 2}],
  "phones": ["+211 900 00$2"], "assuredUnixMs": "$now", "validUntilUnixMs": "$until"}]}
JSON
  kw "$1" services publish "$STATE/$1.services.json" --to agency-a >/dev/null
}
offers() { [ "$(story_json agency-a services -- 'len(j.get("rows", []))')" -ge "$1" ]; }

story_chapter "each agency gives the hub keys for 45 days ahead, and who writes to it asks for them"
story_begin "${all[@]}"
for agency in "${all[@]}"; do story_online "$agency"; ready "$agency" 1; done
today=$(($(date +%s) / 86400))
story_is "its own keys reach as far" "$(story_json agency-b status -- 'j["prekeysThroughDay"]')" $((today + 45))
story_is "the secrets are for the agent alone" "$(stat -c %a "$STATE/agency-b/prekeys.key")" 600
first=$(message_to agency-c agency-b)
wait_opened agency-c "$first"
wait_until "$STORY_SECONDS" knows_keys agency-c 1 || die "agency-c has not asked for keys"
story_is "their names are nowhere on the disk" "$(grep -c agency-b -r "$STATE/agency-c/prekeys" | grep -cv ':0' || true)" 0

story_chapter "the disk of an agency, stolen when a key's time is over, opens nothing that was sealed to it"
story_away agency-b
story_is "agency-a has never written to it" "$(keys_of agency-a)" 0
dated=$(message_to agency-a agency-b) # the first one, which waits for the hub's answer and is sealed to the key of the day
is_held() { [ "$(story_json agency-a show "$dated" -- 'j["state"]')" = OUT_STATE_HELD ]; }
wait_until "$STORY_SECONDS" is_held || die "it is not held"
story_hub_away
cp -r "$STATE/hub" "$STATE/hub.then"
cp -r "$STATE/agency-b" "$STATE/b.then"
hub_start
story_back agency-b
wait_opened agency-a "$dated"
for agency in "${all[@]}"; do story_away "$agency"; done
story_hub_away
days 50
hub_start
for agency in "${all[@]}"; do story_back "$agency"; done
wait_log agency-b '"event":"prekeys","made":46,"destroyed":5,' 1
for agency in "${all[@]}"; do story_away "$agency"; done
story_hub_away
cp -r "$STATE/agency-b" "$STATE/b.stolen"
rm -r "$STATE/b.stolen/spool" # a thief wants what waits at the hub
# The thief sets the clocks back, and has a copy of the hub's disk of then, and the passphrase. thief NAME: with that state
thief() {
  rm -rf "$STATE/hub" "$STATE/thief"
  cp -r "$STATE/hub.then" "$STATE/hub"
  cp -r "$STATE/$1" "$STATE/thief"
  rm -rf "$STATE/thief/spool"
  sed -i "s|$STATE/agency-b|$STATE/thief|g" "$STATE/thief/agent.yaml"
  (unset LD_PRELOAD FAKETIME; hub_start; echo "$HUB_PID" >"$STATE/hub.pid")
  HUB_PID=$(cat "$STATE/hub.pid")
  : >"$STATE/thief.log"
  LD_PRELOAD='' FAKETIME='' agency_start thief
}
cp -r "$STATE/hub" "$STATE/hub.later"
thief b.then
can_read() { [ "$(story_json thief inbox --all -- 'len(j.get("items", []))' 2>/dev/null)" -ge "$1" ]; }
wait_until "$STORY_SECONDS" can_read 1 || die "then it could be opened: $(tail -n 3 "$STATE/thief.log")"
STORY_CHECKS=$((STORY_CHECKS + 1))
agency_kill thief TERM
kill -TERM "$HUB_PID"; wait_until 20 bash -c "! kill -0 $HUB_PID" || die "the hub stays"
thief b.stolen
wait_log thief '"event":"cannot_open","reason":"key_unknown"' 1
story_is "nothing is read" "$(story_json thief inbox --all -- 'len(j.get("items", []))')" 0
agency_kill thief TERM
kill -TERM "$HUB_PID"; wait_until 20 bash -c "! kill -0 $HUB_PID" || die "the hub stays"
rm -rf "$STATE/hub" "$STATE/thief"
mv "$STATE/hub.later" "$STATE/hub"

story_chapter "lost keys: the message is sealed once more by itself, and arrives"
hub_start
for agency in "${all[@]}"; do story_back "$agency"; done
knows_days() { [ "$(logged hub "\"event\":\"prekeys\",\"agency\":\"$1\"")" -ge 2 ]; }
wait_until "$STORY_SECONDS" knows_days agency-b || die "agency-b has not published"
third=$(message_to agency-a agency-b) # this asks for the keys of these days
wait_opened agency-a "$third"
story_settled agency-a
sleep 2 # the answer to the question; a message that is sealed before it goes to the long-term key, and this chapter is about the other
story_away agency-b
lost=$(message_to agency-a agency-b)
rm "$STATE/agency-b/prekeys.key"
story_back agency-b
wait_log agency-b '"event":"cannot_open","reason":"key_unknown"' 1
wait_log agency-a '"event":"sealed_again"' 1
wait_opened agency-a "$lost"
story_is "sealed again once" "$(logged agency-a '"event":"sealed_again"')" 1
story_is "no dead letter" "$(story_json agency-a dead-letters -- 'len(j.get("items", []))')" 0

story_chapter "the same through a kill -9 at the moment at which the sender hears of it"
wait_until "$STORY_SECONDS" bash -c "[ \$(grep -c '\"event\":\"prekeys\",\"agency\":\"agency-b\"' '$STATE/hub.log') -ge 3 ]" || die "agency-b has not published its new keys"
fourth=$(message_to agency-a agency-b)
wait_opened agency-a "$fourth"
before_b=$(logged agency-b '"event":"cannot_open","reason":"key_unknown"')
story_away agency-b
lost=$(message_to agency-a agency-b)
wait_until "$STORY_SECONDS" bash -c "KINWARD_SOCKET='$STATE/agency-a/agent.sock' '$BIN/kinward' show '$lost' --json | grep -q OUT_STATE_HELD" || die "not held"
story_away agency-a
rm "$STATE/agency-b/prekeys.key"
story_back agency-b
wait_log agency-b '"event":"cannot_open","reason":"key_unknown"' $((before_b + 1))
before=$(logged agency-a '"event":"notice"')
agency_start agency-a
wait_log agency-a '"event":"notice"' $((before + 1))
story_away agency-a KILL
story_back agency-a
wait_opened agency-a "$lost"
story_is "it stands in the inbox once" "$(story_json agency-b inbox --all --limit 500 -- \
  "sum(__import__('base64').b64decode(i['messageId']).hex() == '$lost' for i in j['items'])")" 1
story_is "no dead letter" "$(story_json agency-a dead-letters -- 'len(j.get("items", []))')" 0

story_chapter "an agency that stays away past its keys is named to who writes to it, and who else there is"
for agency in "${all[@]}"; do story_settled "$agency"; story_away "$agency"; done
story_hub_away
days 110
hub_start
for agency in agency-a agency-c; do story_back "$agency"; done
directory agency-c 1
wait_until "$STORY_SECONDS" offers 1 || die "agency-a does not know what agency-c offers"
is_dormant() { kw agency-a status | grep -q "dormant: agency-b, no key since"; }
wait_until "$STORY_SECONDS" is_dormant || die "status does not name it: $(kw agency-a status)"
STORY_CHECKS=$((STORY_CHECKS + 1))
kw agency-a send agency-b --service shelter --risk high --case-ref D-1 --code D-1 --age 9 --sex female --reason "Alone since Monday" \
  --referrer "Jo Bol" --consent-from caregiver >"$STATE/sent"
story_is "the send says so" "$(grep -c 'WARNING: agency-b is dormant: its agent was last at the hub about' "$STATE/sent")" 1
story_is "and whom to ask instead" "$(grep -c 'ask instead: agency-c  +211 900 001' "$STATE/sent")" 1
story_is "who is there is not warned of" "$(kw agency-a send agency-c --service shelter --risk high --case-ref D-2 --code D-2 --age 9 \
  --sex female --reason "Alone" --referrer "Jo Bol" --consent-from caregiver | grep -c WARNING || true)" 0
story_back agency-b
wait_opened agency-a "$(story_message_of <"$STATE/sent")"
awake() { ! kw agency-a status | grep -q dormant; }
wait_until "$STORY_SECONDS" awake || die "it is awake: $(kw agency-a status)"
STORY_CHECKS=$((STORY_CHECKS + 1))
story_end
