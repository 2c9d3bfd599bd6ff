#!/usr/bin/env bash
# Clocks, told through the command line over a real hub, two agencies and a coordinator: who is reminded of what at 50, 100,
# 150 and 200 % of a limit, and which phones the last one names, that an answer stops it, that a killed hub says nothing twice; and a referral that expires, once
# delivered and once not, under a hub whose clock stands hours later.
. "$(dirname "$0")/story_lib.sh"

hub_make story-hub
cat >>"$STATE/hub/broker.yaml" <<'YAML'
coordinator: agency-c
clocks:
  acknowledged: {high: 6 s, medium: 2 h}
  decided: {high: 300 s}
YAML
hub_start
for agency in agency-a agency-b agency-c; do story_agency "$agency"; done

# reminders AGENCY THREAD: "audience:step" of each reminder in the inbox about a thread, in the order they came
reminders() {
  story_json "$1" inbox --all -- "' '.join('%s:%s' % (i['content']['reminder']['audience'].removeprefix('REMINDER_AUDIENCE_').lower(), i['content']['reminder']['step']) for i in j.get('items', []) if 'reminder' in i.get('content', {}) and __import__('base64').b64decode(i['content']['reminder']['threadId']).hex() == '$2')"
}
has_reminders() { [ "$(reminders "$1" "$2")" = "$3" ]; }
reminded() { # AGENCY THREAD "audience:step ..."
  wait_until "$STORY_SECONDS" has_reminders "$1" "$2" "$3" || die "reminders of $2 at $1: '$(reminders "$1" "$2")' and not '$3'"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

story_chapter "nobody answers: the receiver, its supervisor, the sender, the coordinator, the telephone"
now=$(($(date +%s) * 1000))
service() { # ID TYPE PHONES
  echo "{\"serviceId\": \"$1\", \"type\": \"SERVICE_TYPE_$2\", \"status\": \"SERVICE_STATUS_ACTIVE\", \"capacity\": \"CAPACITY_AVAILABLE\",
    \"locations\": [{\"pcode\": \"SS0101\", \"adminLevel\": 2}], \"phones\": [$3], \"assuredUnixMs\": \"$now\", \"validUntilUnixMs\": \"$((now + 86400000))\"}"
}
cat >"$STATE/services.json" <<EOF
{"issuedUnixMs": "$now", "validUntilUnixMs": "$((now + 86400000))", "services": [
  $(service s1 FOOD '"+211 1", "+211 2"'), $(service s2 SHELTER '"+211 3", "+211 4"'), $(service s3 SHELTER '"+211 4"')]}
EOF
kw agency-b services publish "$STATE/services.json" --to agency-a >/dev/null
knows() { [ "$(story_json agency-a services -- 'len(j.get("rows", []))')" = 3 ]; }
wait_until "$STORY_SECONDS" knows || die "agency-a does not know what agency-b offers"
t=$(story_refer agency-a agency-b --risk high)
story_wait agency-b "$t" delivered
reminded agency-b "$t" "receiver:50"
reminded agency-b "$t" "receiver:50 receiver_supervisor:100"
reminded agency-a "$t" "sender:100"
hub_kill KILL
sleep 1
story_hub_back
reminded agency-a "$t" "sender:100 sender_supervisor:150 sender:200"
reminded agency-c "$t" "coordinator:150"
reminded agency-b "$t" "receiver:50 receiver_supervisor:100"
# phones AGENCY STEP: those of the reminder of that step
phones() { story_json "$1" inbox --all -- "next(i['content']['reminder'].get('phones', []) for i in j['items'] if i.get('content', {}).get('reminder', {}).get('step') == $2)"; }
story_is "whom to telephone, the focal point of that service first" "$(phones agency-a 200)" "['+211 3', '+211 4', '+211 1', '+211 2']"
story_is "before that nobody is to be telephoned" "$(phones agency-a 100)$(phones agency-a 150)" "[][]"
story_is "the state has not moved by itself" "$(story_state agency-b "$t")" delivered
story_is "the coordinator hears of thread, agencies, risk and lateness only" \
  "$(story_json agency-c inbox --all -- "sorted(set(j['items'][0]['content']['reminder']) - {'threadId', 'kind', 'clock', 'step', 'audience', 'risk', 'state', 'dueUnixMs', 'lateMs', 'agency', 'otherAgency'})")" "[]"

story_chapter "an answer stops the clock, and the next one starts"
t=$(story_refer agency-a agency-b --risk high)
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
sleep 8
story_is "no reminder to the receiver" "$(reminders agency-b "$t")" ""
story_is "none to the sender" "$(reminders agency-a "$t")" ""

story_chapter "a referral that nobody acknowledges expires; one that never arrived is undeliverable"
seen=$(story_refer agency-a agency-b --lifetime 1)
story_wait agency-b "$seen" delivered
story_settled agency-a
story_away agency-b
lost=$(story_refer agency-a agency-b --lifetime 1)
story_wait agency-a "$lost" queued
held() { [ "$(story_json agency-a status -- 'int(j.get("held", 0))')" = 1 ]; }
wait_until "$STORY_SECONDS" held || die "not held"
story_hub_away
# The hub's machine stands four hours later: a start believes the wall clock. The library alone, because the program faketime
# stays in between and does not pass signals on.
faketime=$(ls /usr/lib/*/faketime/libfaketime.so.1) || die "no libfaketime: deploy/install-deps.sh --test brings it"
env ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" LD_PRELOAD="$faketime" FAKETIME=+4h FAKETIME_DONT_FAKE_MONOTONIC=1 \
  "$BIN/kinward-broker" "$STATE/hub/broker.yaml" 2>>"$STATE/hub.log" &
HUB_PID=$!
wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$HUB_PORT" || die "the hub did not start"
story_online agency-a
story_both "$seen" expired agency-a agency-a
story_wait agency-a "$lost" undeliverable
story_is "it is on the dead-letter list" "$(story_count agency-a dead-letters)" 1
story_back agency-b
story_wait agency-b "$seen" expired
story_refused agency-b illegal_state event "$seen" acknowledged # it knows that it is too late: the sender asks anew
story_end
