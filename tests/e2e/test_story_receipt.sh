#!/usr/bin/env bash
# How far a message is, told through the command line over a real hub and two agents: queued, held, delivered, opened, each with
# its time and each outliving a kill; sent again under its id; one that failed at the recipient, with the reason, until somebody
# has seen it. A receipt is not a person's answer, and nobody but an agent writes one.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b
data=$STORY_ROOT/tests/data/messages/good

# item AGENCY MESSAGE PYTHON: an expression over its row in the outbox, as `i`
item() { story_json "$1" outbox --all --limit 500 -- \
  "(lambda i: $3)(next(i for i in j['items'] if __import__('base64').b64decode(i['messageId']).hex() == '$2'))"; }
state_of() { item "$1" "$2" 'i["state"].removeprefix("OUT_STATE_").lower()'; }
has_far() { [ "$(state_of "$1" "$2")" = "$3" ]; }
is_far() { # AGENCY MESSAGE STATE
  wait_until "$STORY_SECONDS" has_far "$@" || die "message $2 of $1 is $(state_of "$1" "$2") and not $3"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}
TIMES='[k for k in ("heldUnixMs", "deliveredUnixMs", "openedUnixMs") if k in i]'
referral() { # CASE_REF [OPTIONS]
  local ref=$1
  shift
  kw agency-a send agency-b --service shelter --risk medium --case-ref "$ref" --reason "Alone since Monday" --code C-17 --age 9 \
    --sex female --referrer "Jo Bol" --consent-from caregiver "$@"
}

story_chapter "queued: durable here, without a hub"
story_hub_away
m=$(referral K-17 | story_message_of)
is_far agency-a "$m" queued
story_away agency-a KILL
story_away agency-b
agency_start agency-a
is_far agency-a "$m" queued
story_is "no time is told of what has not been" "$(item agency-a "$m" "$TIMES")" "[]"

story_chapter "held: durable at the hub, while the recipient is away"
hub_start
story_online agency-a
is_far agency-a "$m" held
story_hub_away KILL
story_away agency-a KILL
story_hub_back
story_back agency-a
is_far agency-a "$m" held
story_is "the hub's word, and no other" "$(item agency-a "$m" "$TIMES")" "['heldUnixMs']"

story_chapter "delivered and opened: the recipient's agent says so, signed and sealed"
story_back agency-b
is_far agency-a "$m" opened
story_is "in this order" "$(item agency-a "$m" 'int(i["atUnixMs"]) <= int(i["heldUnixMs"]) and int(i["deliveredUnixMs"]) <= int(i["openedUnixMs"])')" True
story_away agency-a KILL
story_back agency-a
is_far agency-a "$m" opened
story_is "it is there once" "$(story_json agency-b inbox --all -- 'len(j["items"])')" 1
story_is "a receipt is no item of anybody's inbox" "$(story_json agency-a inbox --all -- 'len(j.get("items", []))')" 0
story_is "nor is it a person's answer" "$(story_json agency-a case list -- 'j["cases"][0]["stateName"]')" DELIVERED

story_chapter "sent again under its id, because nobody knows whether it left"
referral K-17 --message-id "$m" >/dev/null
story_settled agency-a
story_is "nothing is sent twice" "$(story_json agency-b inbox --all -- 'len(j["items"])')" 1
story_is "and one row in the outbox" "$(story_count agency-a outbox --all)" 1
story_refused agency-a exists send agency-b --content <(printf '{"capacityQuery": {"service": "SERVICE_TYPE_FOOD", "admin2Pcode": "SS0101"}}') --message-id "$m"

story_chapter "one that cannot be used there comes back with its reason"
t=$(referral K-18 | story_thread_of)
story_both "$t" delivered agency-a agency-b
for state in acknowledged accepted in_progress; do story_event agency-b "$t" "$state"; done
story_wait agency-a "$t" in_progress
story_hub_away
story_event agency-a "$t" cancel_requested
story_event agency-b "$t" completed
story_hub_back
story_both "$t" completed agency-a agency-b
dead() { story_json agency-a dead-letters -- 'len(j.get("items", []))'; }
has_dead() { [ "$(dead)" = "$1" ]; }
wait_until "$STORY_SECONDS" has_dead 1 || die "the author does not hear of it"
lost=$(story_json agency-a dead-letters -- '__import__("base64").b64decode(j["items"][0]["messageId"]).hex()')
story_is "why" "$(item agency-a "$lost" 'i["state"] + " " + i["reason"]')" "OUT_STATE_DEAD illegal_state"
story_is "it counts" "$(story_json agency-a status -- 'j["dead"]')" 1
story_away agency-a KILL
story_back agency-a
story_is "it stays on the list" "$(dead)" 1
kw agency-a ack "$lost" >/dev/null
story_is "until somebody has seen it" "$(dead)" 0

story_chapter "nobody but an agent writes a receipt"
story_refused agency-a bad_field send agency-b --content "$data/receipt.json"
story_is "what is said" "$(story_words agency-a send agency-b --content "$data/receipt.json")" \
  "kinward: send.content.receipt: The agent writes receipts itself."
story_end
