#!/usr/bin/env bash
# Consent is withdrawn, told through the command line over a real hub and five agents: three holders of whom one is away for days, a
# holder that had passed the case on, one that must keep it by law, a restriction, a withdrawal that begins at the receiver;
# everybody is killed in between. Nobody's content is left; what an audit needs is.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b agency-c agency-d agency-e

# message AGENCY THREAD: the first message of a thread in its inbox
message() {
  story_json "$1" inbox --all --limit 500 -- \
    "next(__import__('base64').b64decode(i['messageId']).hex() for i in j['items'] if __import__('base64').b64decode(i['threadId']).hex() == '$2')"
}
# has AGENCY MESSAGE TEXT: the content shows it
has() { kw "$1" show "$2" --json | grep -q "$3"; }
# gone AGENCY MESSAGE: the message is listed and has no content, its state and its times
gone() {
  story_is "no content at $1" "$(story_json "$1" show "$2" -- '"content" in j')" False
  story_is "still listed at $1" "$(story_json "$1" show "$2" -- '"threadId" in j')" True
}
# outcomes AGENCY: what stands in its list, as "agency=outcome ..."
outcomes() {
  story_json "$1" consent list "${@:2}" -- \
    '" ".join(sorted(r["agency"] + "=" + r.get("outcome", "open").replace("ERASURE_OUTCOME_", "").lower() for r in j.get("rows", [])))'
}
has_outcomes() { [ "$(outcomes "$1" "${@:3}")" = "$2" ]; }
wait_outcomes() {
  wait_until "$STORY_SECONDS" has_outcomes "$@" || die "$1 has '$(outcomes "$1" "${@:3}")' and not '$2'"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

story_chapter "three holders, one of them away"
SECRET="Seen at the Yambio crossing"
# To each agency under a pseudonym of its own: a's case system knows that they are one.
for to in b c d; do
  declare "t_$to=$(story_refer agency-a agency-$to --case-ref "K-17-$to" --case 4711 --reason "$SECRET")"
done
other=$(story_refer agency-a agency-b --case-ref K-18 --reason "Another child")
for to in b c d; do
  t=t_$to
  story_wait "agency-$to" "${!t}" delivered
  story_event "agency-$to" "${!t}" acknowledged
  story_wait agency-a "${!t}" acknowledged
  declare "m_$to=$(message "agency-$to" "${!t}")"
  m=m_$to
  has "agency-$to" "${!m}" "$SECRET" || die "the referral is not there to begin with"
done
story_settled agency-a
sent=$(kw agency-a outbox --json --limit 500 | python3 -c '
import base64, json, sys
print(base64.b64decode(json.load(sys.stdin)["items"][0]["messageId"]).hex())')
has agency-a "$sent" "$SECRET" || die "the sender's copy is not there to begin with"
story_away agency-d
kw agency-a consent withdraw --case 4711 --from caregiver --purpose services,share_other_orgs >/dev/null
wait_outcomes agency-a "agency-b=done agency-c=done agency-d=open" --case-ref K-17-b
gone agency-b "$m_b"
gone agency-c "$m_c"
gone agency-a "$sent"
story_both "$t_b" consent_withdrawn agency-a agency-b
story_both "$t_c" consent_withdrawn agency-a agency-c
story_is "what is open stands first" "$(kw agency-a consent list | head -n 1 | grep -c agency-d)" 1
story_is "and says why" "$(kw agency-a consent list --open | grep -c 'waits at the hub, they are offline')" 1
story_is "it stands in todo" "$(story_json agency-a todo -- '[r["agency"] for r in j["consents"]]')" "['agency-d']"
story_is "another case is untouched" "$(has agency-b "$(message agency-b "$other")" "Another child" && echo yes)" yes
story_refused agency-a not_found consent withdraw --case 4711 # everybody was asked
passes_on() { kw agency-a send agency-b --service shelter --risk medium --case-ref S-99 --reason "Alone" --code S-99 --age 9 --sex female \
  --referrer "Jo Bol" --consent-from caregiver --case 4711 "$@"; }
story_is "it is not passed on any more" "$(passes_on 2>&1 | head -n 1 | cut -c -68)" \
  "kinward: send.consentAnew: Consent for this case was withdrawn: kinw"
story_refused agency-a illegal_state event "$t_b" acknowledged
story_is "the pseudonym is gone at the sender" "$(story_count agency-a case list --all --case-ref K-17-b)" 0
story_is "and at the holder" "$(story_count agency-b case list --all --case-ref K-17-b)" 0

story_chapter "killed in between; the one that was away comes back after five days"
# From here on every clock stands five days later. The library alone, because the program faketime stays in between and does
# not pass signals on.
faketime=$(ls /usr/lib/*/faketime/libfaketime.so.1) || die "no libfaketime: deploy/install-deps.sh --test brings it"
for agency in agency-a agency-b agency-c agency-e; do story_away "$agency" KILL; done
story_hub_away KILL
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" LD_PRELOAD="$faketime" FAKETIME=+5d FAKETIME_DONT_FAKE_MONOTONIC=1
hub_start
for agency in agency-a agency-b agency-c agency-e; do story_back "$agency"; done
wait_outcomes agency-a "agency-b=done agency-c=done agency-d=open" --case-ref K-17-b
story_is "it is named, and how long it has not answered" \
  "$(story_json agency-a consent list --open -- '[(r["agency"], (int(__import__("time").time() * 1000) - int(r["askedUnixMs"])) // 86400000) for r in j["rows"]]')" \
  "[('agency-d', 5)]"
story_back agency-d
wait_outcomes agency-a "agency-b=done agency-c=done agency-d=done" --case-ref K-17-b
gone agency-d "$m_d"
story_both "$t_d" consent_withdrawn agency-a agency-d
story_is "nothing is open" "$(story_json agency-a todo -- 'len(j.get("consents", []))')" 0
story_is "each was asked once" "$(kw agency-b inbox --all --json --limit 500 | python3 -c '
import json, sys
print(sum("reminder" not in i.get("content", {}) for i in json.load(sys.stdin)["items"]))')" 5 # two referrals, ConsentUpdate, the event, Erase
story_is "a withdrawn case is not reminded of, the other one is" "$(kw agency-b inbox --all --json --limit 500 | python3 -c '
import base64, json, sys
print({base64.b64decode(i["threadId"]).hex() for i in json.load(sys.stdin)["items"] if "reminder" in i.get("content", {})} == {sys.argv[1]})' "$other")" True
story_timeline agency-b "$t_b" "queued acknowledged consent_withdrawn"

story_chapter "a holder that had passed the case on passes the erasure on"
t=$(story_refer agency-a agency-b --case-ref K-30 --reason "$SECRET")
story_wait agency-b "$t" delivered
on=$(story_refer agency-b agency-e --case-ref BE-9 --from-thread "$t" --reason "$SECRET")
story_wait agency-e "$on" delivered
# Another child, whom b calls to c as a calls the first one to b; and one whom c calls so to a.
alike=$(story_refer agency-b agency-c --case-ref K-30 --reason "Another child")
story_wait agency-c "$alike" delivered
theirs=$(story_refer agency-c agency-a --case-ref K-30 --reason "A third child")
story_wait agency-a "$theirs" delivered
m=$(message agency-e "$on")
has agency-e "$m" "$SECRET"
story_is "what is called alike is named and not asked" \
  "$(kw agency-a consent withdraw --case-ref K-30 | grep -c "not asked: thread $theirs of agency-c")" 1
wait_outcomes agency-a "agency-b=done" --case-ref K-30
story_is "the author hears whom else it reached" \
  "$(story_json agency-a consent list -- '[r["passedTo"] for r in j["rows"] if r.get("passedTo")]')" "[['agency-e']]"
wait_outcomes agency-b "agency-a=done agency-e=done" --case-ref BE-9 # one case, whatever it is called where
gone agency-e "$m"
story_is "referral, event, ConsentUpdate, Erase: all were passed on" "$(kw agency-e inbox --all --json --limit 500 | python3 -c '
import base64, json, sys
print(sum(base64.b64decode(i["threadId"]).hex() == sys.argv[1] for i in json.load(sys.stdin)["items"]))' "$on")" 4
story_is "another child of the same pseudonym is untouched" \
  "$(has agency-c "$(message agency-c "$alike")" "Another child" && echo yes)" yes
story_is "and the third" "$(has agency-a "$(message agency-a "$theirs")" "A third child" && echo yes)" yes
story_is "it stands in the list of both" "$(kw agency-b consent list | grep -c "not asked: thread $alike of agency-c")" 1
grep -q follow_up_dropped "$STATE"/*.log && die "a follow-up was dropped"

story_chapter "a restriction is passed on"
t=$(story_refer agency-a agency-b --case-ref K-31 --reason "$SECRET")
story_wait agency-b "$t" delivered
on=$(story_refer agency-b agency-e --case-ref BE-10 --from-thread "$t" --reason "$SECRET")
story_wait agency-e "$on" delivered
m=$(message agency-e "$on")
kw agency-a consent withdraw --case-ref K-31 --restrict >/dev/null
wait_outcomes agency-a "agency-b=done" --case-ref K-31
wait_outcomes agency-b "agency-a=done agency-e=done" --case-ref BE-10
gone agency-e "$m"

story_chapter "begun by the receiver"
t=$(story_refer agency-a agency-c --case-ref K-40 --reason "$SECRET")
story_wait agency-c "$t" delivered
m=$(message agency-c "$t")
kw agency-c consent withdraw --thread "$t" >/dev/null
wait_outcomes agency-c "agency-a=done agency-a=done"
gone agency-c "$m"
story_both "$t" consent_withdrawn agency-a agency-c

story_chapter "a person decides: kept by law, then erased"
story_away agency-e
echo "erase: manual" >>"$STATE/agency-e/agent.yaml"
story_back agency-e
t=$(story_refer agency-a agency-e --case-ref K-50 --reason "$SECRET")
story_wait agency-e "$t" delivered
m=$(message agency-e "$t")
kw agency-a consent withdraw --case-ref K-50 >/dev/null
waits() { kw agency-e todo | grep -q "our move: kinward consent erase or retain"; }
wait_until "$STORY_SECONDS" waits || die "it does not wait for a person: $(kw agency-e todo)"
has agency-e "$m" "$SECRET" || die "nobody can decide about what cannot be read"
story_refused agency-e bad_field consent retain "$t" --ground other
kw agency-e consent retain "$t" --ground court_order --note "Order 12 of the county court" >/dev/null
wait_outcomes agency-a "agency-e=retained" --case-ref K-50
story_is "with its ground" \
  "$(story_json agency-a consent list -- '[r["note"] for r in j["rows"] if r.get("legalGround") == "LEGAL_GROUND_COURT_ORDER"]')" \
  "['Order 12 of the county court']"
has agency-e "$m" "$SECRET"
kw agency-e consent erase "$t" >/dev/null
wait_outcomes agency-a "agency-e=done" --case-ref K-50
gone agency-e "$m"
story_refused agency-e not_found consent erase "$t"

story_chapter "restricted: kept and not shown"
t=$(story_refer agency-a agency-b --case-ref K-60 --reason "$SECRET")
story_wait agency-b "$t" delivered
m=$(message agency-b "$t")
kw agency-a consent withdraw --case-ref K-60 --restrict >/dev/null
wait_outcomes agency-a "agency-b=done" --case-ref K-60
gone agency-b "$m"

story_chapter "a tracing request, and a transfer on offer"
t=$(kw agency-a send agency-b --content "$STORY_ROOT/tests/data/messages/good/tracing_request.json" | story_thread_of)
story_wait agency-b "$t" registered
kw agency-a consent withdraw --thread "$t" >/dev/null
story_both "$t" consent_withdrawn agency-a agency-b
t=$(kw agency-a send agency-c --content "$STORY_ROOT/tests/data/messages/good/transfer_offer.json" | story_thread_of)
story_wait agency-c "$t" offered
m=$(message agency-c "$t")
kw agency-a consent withdraw --thread "$t" >/dev/null
story_both "$t" withdrawn agency-a agency-c
asked_all() { [ "$(story_json agency-a consent list --open -- 'len(j.get("rows", []))')" = 0 ]; }
wait_until "$STORY_SECONDS" asked_all || die "not all have answered: $(kw agency-a consent list --open)"
gone agency-c "$m"

story_chapter "what still waits at the hub is taken back"
story_away agency-d
t=$(story_refer agency-a agency-d --case-ref K-65 --reason "$SECRET")
is_held() { [ "$(story_json agency-a outbox --limit 500 -- 'j["items"][-1]["state"]')" = OUT_STATE_HELD ]; }
wait_until "$STORY_SECONDS" is_held || die "the hub does not have it"
kw agency-a consent withdraw --case-ref K-65 >/dev/null
wait_until "$STORY_SECONDS" grep -q message_recalled "$STATE/hub.log" || die "the hub has not taken it back"
story_is "its author sees what became of it" "$(kw agency-a outbox --json --limit 500 | python3 -c '
import base64, json, sys
print(sum(base64.b64decode(i["threadId"]).hex() == sys.argv[1] and "recalled" in json.dumps(i) for i in json.load(sys.stdin)["items"]))' "$t")" 1
story_back agency-d
wait_outcomes agency-a "agency-d=done" --case-ref K-65
story_is "the referral never came" "$(story_count agency-d case list --all --agency agency-a)" 1
story_is "only what was said about it" "$(kw agency-d inbox --all --json --limit 500 | python3 -c '
import base64, json, sys
print(sum(base64.b64decode(i["threadId"]).hex() == sys.argv[1] for i in json.load(sys.stdin)["items"]))' "$t")" 3

story_chapter "a record by its handle: nothing is kept so, and both sides hear of it"
kw agency-a send agency-e --content "$STORY_ROOT/tests/data/messages/good/erase.json" >/dev/null
failed() { kw agency-a inbox --all --json --limit 500 | grep -q ERASURE_OUTCOME_FAILED; }
wait_until "$STORY_SECONDS" failed || die "the author hears nothing"
story_is "the holder has written it down" "$(grep -c erase_by_handle_failed "$STATE/agency-e.log")" 1

story_chapter "killed at any moment, each holder is reached once"
for round in 1 2 3; do
  t=$(story_refer agency-a agency-b --case-ref "K-7$round" --reason "$SECRET")
  story_wait agency-b "$t" delivered
  kw agency-a consent withdraw --case-ref "K-7$round" >/dev/null
  sleep "0.0$((round * 2))"
  story_away agency-a KILL
  story_away agency-b KILL
  story_back agency-b
  story_back agency-a
  wait_outcomes agency-a "agency-b=done" --case-ref "K-7$round"
  story_both "$t" consent_withdrawn agency-a agency-b
done


story_chapter "consent is given again"
passes_on --new-consent >/dev/null
passes_on >/dev/null # it is on record now
story_end
