#!/usr/bin/env bash
# What withdrawn consent does to a case, told through the command line: one purpose is withdrawn and the service goes on; then all of
# it, and the holder is told what to clear its own case system of; a transfer that was accepted and a tracing case end on both sides;
# an agency that answers only when its own system is clear; a referral to an agency that is not there stands first in todo.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b agency-c

# first AGENCY PATTERN: the first line of todo
first() { kw "$1" todo 2>/dev/null | head -n 1 | grep -q -- "$2"; }
wait_first() {
  wait_until "$STORY_SECONDS" first "$@" || die "first in todo of $1 is not '$2': $(kw "$1" todo 2>&1)"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}
outcome() { story_json agency-a consent list --case-ref "$1" -- '[r.get("outcome", "open") for r in j.get("rows", [])]'; }
is_done() { [ "$(outcome "$1")" = "['ERASURE_OUTCOME_DONE']" ]; }

story_chapter "one purpose is withdrawn, and the service goes on"
t=$(story_refer agency-a agency-b --service health_medical --risk high --case-ref K-1)
story_wait agency-b "$t" delivered
for state in acknowledged accepted in_progress; do story_event agency-b "$t" "$state"; done
story_wait agency-a "$t" in_progress
kw agency-a consent withdraw --case-ref K-1 --purpose public_photo | grep -q "goes on without the purpose: 1" || die "it is not said"
wait_first agency-b "^DO NOT USE for public_photo: referral K-1, .*kinward consent confirm $t"
story_both "$t" in_progress agency-a agency-b
for agency in agency-a agency-b; do
  kw "$agency" case show "$t" | grep -q "^consent  *withdrawn for public_photo: it goes on" || die "case show of $agency does not say it"
done
wait_until "$STORY_SECONDS" is_done K-1 || die "the restriction is not answered: $(outcome K-1)"
kw agency-b consent confirm "$t" >/dev/null
story_is "it is off the list" "$(kw agency-b todo 2>/dev/null | grep -c "DO NOT USE")" 0
story_event agency-b "$t" completed
story_wait agency-a "$t" completed

story_chapter "all of it is withdrawn, and the holder is told what to clear"
kw agency-a consent withdraw --case-ref K-1 >/dev/null
story_both "$t" consent_withdrawn agency-a agency-b
wait_first agency-b "^ERASE from your own case system: referral K-1, came as [0-9a-f]*, agency-a asks"
m=$(kw agency-b todo | sed -n 's/.*came as \([0-9a-f]*\),.*/\1/p')
story_is "the message is marked" "$(story_json agency-b show "$m" -- '(j.get("withdrawn"), "content" in j)')" "(True, False)"
kw agency-b inbox --all | grep -q "(consent withdrawn: see kinward todo)" || die "the inbox does not mark it"
wait_until "$STORY_SECONDS" is_done K-1 || die "the agent's own copy is gone, and that is not said"
story_away agency-b KILL
story_back agency-b
wait_first agency-b "^ERASE from your own case system: referral K-1"
kw agency-b consent confirm "$t" >/dev/null
story_is "nothing waits any more" "$(story_count agency-b todo)" 0
story_refused agency-b not_found consent confirm "$t"

story_chapter "a transfer that was accepted ends on both sides"
t=$(kw agency-a send agency-c --content "$STORY_ROOT/tests/data/messages/good/transfer_offer.json" | story_thread_of)
story_wait agency-c "$t" offered
kw agency-c transfer acknowledge "$t" >/dev/null
kw agency-c transfer accept "$t" --caseworker "Peter Wani" --new-case-ref J-3 >/dev/null
story_wait agency-a "$t" accepted
kw agency-a consent withdraw --thread "$t" >/dev/null
story_both "$t" consent_withdrawn agency-a agency-c
wait_first agency-c "^ERASE from your own case system: transfer .*ours J-3"
story_is "it is nobody's move" "$(story_json agency-a todo -- 'len(j.get("cases", []))') $(story_json agency-c todo -- 'len(j.get("cases", []))')" "0 0"
kw agency-c consent confirm "$t" >/dev/null

story_chapter "a tracing case ends, begun by who traces"
t=$(kw agency-a send agency-b --content "$STORY_ROOT/tests/data/messages/good/tracing_request.json" | story_thread_of)
story_wait agency-b "$t" registered
kw agency-b consent withdraw --thread "$t" --purpose tracing >/dev/null
story_both "$t" consent_withdrawn agency-a agency-b
wait_first agency-a "^ERASE from your own case system: tracing"
kw agency-a consent confirm "$t" >/dev/null
story_is "it is nobody's move" "$(story_json agency-a todo -- 'len(j.get("cases", []))') $(story_json agency-b todo -- 'len(j.get("cases", []))')" "0 0"

story_chapter "where it is set, the answer waits for the own case system"
story_away agency-c
echo "erase: confirmed" >>"$STATE/agency-c/agent.yaml"
story_back agency-c
t=$(story_refer agency-a agency-c --case-ref K-9)
story_wait agency-c "$t" delivered
kw agency-a consent withdraw --case-ref K-9 >/dev/null
wait_first agency-c "^ERASE from your own case system: referral K-9, .* and waits; then kinward consent confirm"
story_both "$t" consent_withdrawn agency-a agency-c
story_settled agency-c
story_is "no answer yet" "$(outcome K-9)" "['open']"
kw agency-c consent confirm "$t" >/dev/null
wait_until "$STORY_SECONDS" is_done K-9 || die "confirmed, and not answered: $(outcome K-9)"

story_end
