#!/usr/bin/env bash
# The search for a family, told through the command line: a mother asks agency-a, agency-b searches; located and verified with the
# child and the adult, reunified, followed up, closed; not verified and searched again; suspended; who may say what.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b
data=$STORY_ROOT/tests/data/messages/good

# request FILE: sends the request of a good message under an id of its own, and prints the thread
send_content() { # FROM TO FILE [OPTIONS]
  local from=$1 to=$2 file=$3
  shift 3
  python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); j.pop("messageId", 0); j.pop("createdUnixMs", 0); print(json.dumps(j))' \
    "$data/$file.json" | kw "$from" send "$to" --content - "$@" | story_thread_of
}
says() { # AGENCY THREAD STATE [OPTIONS]
  local agency=$1 thread=$2 state=$3
  shift 3
  kw "$agency" tracing event "$thread" "$state" "$@" >/dev/null
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

story_chapter "located, verified, reunified, followed up, closed"
t=$(send_content agency-a agency-b tracing_request)
story_both "$t" registered agency-a agency-b
says agency-a "$t" tracing --action community --outcome unsuccessful
story_wait agency-b "$t" tracing
story_refused agency-a illegal_state tracing event "$t" family_located --located inter_camp  # the one who searches finds
says agency-b "$t" family_located --located inter_camp
story_wait agency-a "$t" family_located
story_refused agency-a illegal_state tracing event "$t" verified
says agency-a "$t" verifying
send_content agency-b agency-a verification --thread "$t" >/dev/null
story_wait agency-b "$t" verifying
says agency-a "$t" verified
says agency-a "$t" reunification_planned
says agency-a "$t" reunified
story_both "$t" reunified agency-a agency-b
story_refused agency-a illegal_state tracing event "$t" closed --reason followed_up  # reunified is not closed
says agency-a "$t" follow_up
send_content agency-b agency-a follow_up --thread "$t" >/dev/null
says agency-a "$t" follow_up
says agency-a "$t" closed --reason followed_up
story_both "$t" closed agency-a agency-b
story_timeline agency-a "$t" \
  "registered tracing family_located verifying verified reunification_planned reunified follow_up follow_up closed"

story_chapter "not verified, searched again, suspended, reopened"
t=$(send_content agency-a agency-b tracing_request)
story_wait agency-b "$t" registered
says agency-a "$t" tracing
story_wait agency-b "$t" tracing
says agency-b "$t" family_located --located in_country
story_wait agency-a "$t" family_located
says agency-a "$t" verifying
says agency-a "$t" not_verified
says agency-a "$t" tracing
says agency-a "$t" suspended --reason access
story_both "$t" suspended agency-a agency-b
says agency-a "$t" reopened --reason other --note "The road is open again"
story_both "$t" reopened agency-a agency-b
story_is "what the rule is, in words" "$(story_words agency-a tracing event "$t" suspended)" \
  "kinward: send.content.tracingEvent.reason: is required with this state; fill it in"
story_end
