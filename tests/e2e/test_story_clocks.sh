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
  tracing_young: {high: 8 s}
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
cat >"$STATE/other.json" <<EOF
{"issuedUnixMs": "$now", "validUntilUnixMs": "$((now + 86400000))", "services": [
  $(service o1 SHELTER '"+211 7"'), $(service o2 SHELTER '"+211 8"' | sed 's/AVAILABLE/NONE/'), $(service o3 FOOD '"+211 9"')]}
EOF
kw agency-c services publish "$STATE/other.json" --to agency-a >/dev/null
knows() { [ "$(story_json agency-a services -- 'len(j.get("rows", []))')" = 6 ]; }
wait_until "$STORY_SECONDS" knows || die "agency-a does not know what agency-c offers"
t=$(story_refer agency-a agency-b --risk high)
story_wait agency-b "$t" delivered
# due AGENCY THREAD: the limit of the clock that runs, in seconds, told from its state's beginning
due() { story_json "$1" case show "$2" -- "round((int(j['row']['dueUnixMs']) - int(j['row']['sinceUnixMs'])) / 1000)"; }
story_is "the receiver shows the hub's limit" "$(due agency-b "$t")" 6
reminded agency-b "$t" "receiver:50"
# told AGENCY THREAD: when the last reminder says that it is due, and when the case does
told() { echo $(story_json "$1" inbox --all -- "[i['content']['reminder']['dueUnixMs'] for i in j['items'] if 'reminder' in i['content']][-1]") \
  $(story_json "$1" case show "$2" -- "j['row']['dueUnixMs']"); }
read -r says shows <<<"$(told agency-b "$t")"
story_is "and what the reminder says" "$says" "$shows"
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
alternates() { story_json "$1" inbox --all -- "[(a['agency'], a.get('phones', [])) for i in j['items'] if i.get('content', {}).get('reminder', {}).get('step') == $2 for a in i['content']['reminder'].get('alternates', [])]"; }
story_is "and whom else to ask: who offers it there and has room" "$(alternates agency-a 200)" "[('agency-c', ['+211 7'])]"
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

story_chapter "the search for a child under 5: each agent reminds its own people, and the hub knows nothing of it"
search() { # YEARS: a TracingRequest for a child of that age today
  python3 - "$STORY_ROOT/tests/data/messages/good/tracing_request.json" "$1" >"$STATE/search.json" <<'PY'
import datetime, json, sys
content = json.load(open(sys.argv[1]))
today = datetime.date.today()
content = {'tracingRequest': content['tracingRequest']}
for child in content['tracingRequest']['children']:
    child.pop('birthDate', None)
    child['age'] = {'years': int(sys.argv[2]), 'asOf': {'year': today.year, 'month': today.month, 'day': today.day}}
content['tracingRequest']['consent'].pop('validUntilUnixMs', None)
json.dump(content, sys.stdout)
PY
  kw agency-a send agency-b --content "$STATE/search.json" | story_thread_of
}
three=$(search 3)
seven=$(search 7)
story_wait agency-b "$three" registered
story_is "the limit is that of a young child" "$(due agency-a "$three") $(due agency-b "$three")" "8 8"
story_is "of an older one it is the hub's" "$(due agency-a "$seven")" $((14 * 86400))
reminded agency-a "$three" "receiver:50"
story_away agency-a KILL
sleep 5
story_back agency-a
reminded agency-a "$three" "receiver:50 receiver_supervisor:100" # it has to act; the other one waits for it
reminded agency-b "$three" "sender:100 sender_supervisor:150 sender:200"
story_is "nobody is reminded of the older one" "$(reminders agency-a "$seven")$(reminders agency-b "$seven")" ""
story_is "the coordinator does not learn that a child is young" "$(reminders agency-c "$three")" ""

story_chapter "a consent that ends: nothing is sent on it, and an open case asks for a new one"
consented() { # SECONDS: a referral whose consent ends in so many
  python3 - "$STORY_ROOT/tests/data/messages/good/referral_request.json" "$1" >"$STATE/consented.json" <<'PY'
import json, sys, time
content = json.load(open(sys.argv[1]))
content = {'referralRequest': content['referralRequest']}
content['referralRequest']['consent']['validUntilUnixMs'] = str(int((time.time() + float(sys.argv[2])) * 1000))
json.dump(content, sys.stdout)
PY
}
consented -1
story_refused agency-a bad_field send agency-b --content "$STATE/consented.json"
consented 6
t=$(kw agency-a send agency-b --content "$STATE/consented.json" | story_thread_of)
story_wait agency-b "$t" delivered
lapsed() { story_json "$1" todo -- "[r.get('consentLapsed', False) for r in j.get('cases', []) if __import__('base64').b64decode(r['threadId']).hex() == '$t']"; }
story_is "it is not in todo yet" "$(lapsed agency-a)" "[]"
has_lapsed() { [ "$(lapsed agency-a)" = "[True]" ]; }
wait_until "$STORY_SECONDS" has_lapsed || die "todo does not say that the consent has ended: $(lapsed agency-a)"
story_is "the receiver need not ask" "$(lapsed agency-b)" "[False]"
kw agency-a todo | grep -q "CONSENT HAS ENDED" || die "todo does not say it in words"
story_event agency-a "$t" cancel_requested

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
hub_at() { # OFFSET, as +4h: the hub on a machine whose clock is off by so much
  env ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" LD_PRELOAD="$faketime" FAKETIME="$1" FAKETIME_DONT_FAKE_MONOTONIC=1 \
    "$BIN/kinward-broker" "$STATE/hub/broker.yaml" 2>>"$STATE/hub.log" &
  HUB_PID=$!
  wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$HUB_PORT" || die "the hub did not start"
}
hub_at +4h
story_online agency-a
story_both "$seen" expired agency-a agency-a
story_wait agency-a "$lost" undeliverable
story_is "it is on the dead-letter list" "$(story_count agency-a dead-letters)" 1
story_back agency-b
story_wait agency-b "$seen" expired
story_refused agency-b illegal_state event "$seen" acknowledged # it knows that it is too late: the sender asks anew

story_chapter "a hub whose clock was a day ahead at a start expires nothing, and is set right"
story_hub_away
hub_at +1d
for agency in agency-a agency-b; do story_online "$agency"; done
t=$(story_refer agency-a agency-b) # something is written, so the wrong time is kept
story_wait agency-b "$t" delivered
story_settled agency-a
story_hub_away
: >"$STATE/hub.log"
story_hub_back
t=$(story_refer agency-a agency-b --risk high --lifetime 2)
story_wait agency-b "$t" delivered
story_settled agency-a
story_is "it has not expired" "$(story_state agency-a "$t")" delivered
story_is "no new dead letter" "$(story_count agency-a dead-letters)" 1
said() { grep -q "\"$1\"" "$STATE/hub.log"; }
wait_until "$STORY_SECONDS" said clock_jumped || die "the hub does not say that its clock jumped"
"$BIN/kinward" hub time --reset --dir "$STATE/hub" >/dev/null || die "hub time --reset"
wait_until "$STORY_SECONDS" said hub_time_reset || die "hub time was not reset"
wait_until "$STORY_SECONDS" said clock_agrees || die "the clocks do not agree after the reset"
taken() { [ ! -e "$STATE/hub/time.reset" ]; }
wait_until "$STORY_SECONDS" taken || die "the broker left time.reset behind"
story_is "it is reset once" "$(grep -c '"hub_time_reset"' "$STATE/hub.log")" 1
: >"$STATE/hub.log"
story_hub_away
story_hub_back
sleep 2
story_is "hub time is right after a restart too" "$(grep -c -e clock_jumped -e hub_time_reset "$STATE/hub.log" || true)" 0
story_end
