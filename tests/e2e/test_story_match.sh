#!/usr/bin/env bash
# Two records that may belong together, told through the command line over a real hub and two holders: a caseworker proposes, each
# side looks and asks, values flow between them sealed, both confirm and the hub says that they are linked; unlinked again;
# rejected by one; decisions that cross while the hub is away; a killed agent.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b

OUR=0102030405060708090a0b0c0d0e0f10
THEIR=1112131415161718191a1b1c1d1e1f20
propose() { # FROM TO [OPTIONS]
  local from=$1 to=$2
  shift 2
  kw "$from" match propose "$to" --kind family_tracing --our "$OUR" --their "$THEIR" --band probable "$@" | story_thread_of
}
says() { # AGENCY THREAD VERB [OPTIONS]
  local agency=$1 thread=$2 verb=$3
  shift 3
  kw "$agency" match "$verb" "$thread" --decider "Jo Bol" "$@" >/dev/null
  STORY_CHECKS=$((STORY_CHECKS + 1))
}
exchange() { # FROM TO THREAD STEP [MORE JSON]
  printf '{"verificationExchange": {"matchId": "%s", "step": "VERIFICATION_STEP_%s", "author": {"name": "Jo Bol"}%s}}' \
    "$(python3 -c 'import base64, sys; print(base64.b64encode(bytes.fromhex(sys.argv[1])).decode())' "$3")" "$4" "${5:-}" |
    kw "$1" send "$2" --content - >/dev/null # the match says the thread
}
steps() { # AGENCY: steps of the exchange that came
  story_json "$1" inbox --all --limit 500 -- \
    '" ".join(i["content"]["verificationExchange"]["step"].removeprefix("VERIFICATION_STEP_").lower() for i in j.get("items", []) if "verificationExchange" in i["content"])'
}
has_steps() { [ "$(steps "$1")" = "$2" ]; }

story_chapter "proposed, looked at by both, confirmed by both, linked"
t=$(propose agency-a agency-b --agree sex,mother_name --near name,age --missing birthplace --score 7200)
story_both "$t" candidate agency-a agency-b
story_is "it waits for both holders" "$(story_json agency-a todo -- 'len(j["cases"])') $(story_json agency-b todo -- 'len(j["cases"])')" "1 1"
story_is "how the fields compare, and no value of any" \
  "$(story_json agency-b inbox -- '" ".join("%s=%s" % (e["field"].removeprefix("EVIDENCE_FIELD_").lower(), e["evidence"].removeprefix("EVIDENCE_").lower()) for e in j["items"][0]["content"]["matchCandidate"]["evidence"])')" \
  "sex=agree mother_name=agree name=near age=near birthplace=missing"
story_is "each reads its own record first" \
  "$(story_json agency-b inbox -- '__import__("base64").b64decode(j["items"][0]["content"]["matchCandidate"]["ownHandle"]).hex() + " " + j["items"][0]["content"]["matchCandidate"]["otherAgency"]')" \
  "$THEIR agency-a"
story_refused agency-b illegal_state match confirm "$t" --ground names --decider "Jo Bol"  # nobody has looked yet
story_is "what is to be done instead" "$(story_words agency-b match confirm "$t" --ground names --decider "Jo Bol")" \
  "kinward: send.content.match_decision.verdict: The match is CANDIDATE; from us it can become REVIEWING or REJECTED now."
says agency-b "$t" review --needed siblings
story_both "$t" reviewing agency-a agency-b
says agency-a "$t" review --needed birthplace,siblings
exchange agency-a agency-b "$t" OPT_IN
exchange agency-b agency-a "$t" OPT_IN
wait_until "$STORY_SECONDS" has_steps agency-a opt_in || die "agency-b has opted in and agency-a does not know"
exchange agency-a agency-b "$t" ASK ', "asked": ["EVIDENCE_FIELD_SIBLINGS"]'
exchange agency-b agency-a "$t" TELL ', "person": {"relatives": [{"relation": "RELATION_SISTER", "alive": "ALIVE_ALIVE"}]}, "consent": {"services": "CONSENT_ANSWER_NOT_ASKED", "shareOtherOrgs": "CONSENT_ANSWER_NOT_ASKED", "tracing": "CONSENT_ANSWER_GIVEN", "obtainedFrom": "CONSENT_SOURCE_INDIVIDUAL"}'
wait_until "$STORY_SECONDS" has_steps agency-a "opt_in tell" || die "agency-a has heard '$(steps agency-a)'"
story_refused agency-a bad_field match confirm "$t" --decider "Jo Bol"  # on what ground?
says agency-a "$t" confirm --ground family
story_both "$t" confirmed_one agency-a agency-b
story_refused agency-a illegal_state match confirm "$t" --ground family --decider "Jo Bol"  # nobody confirms for the other
story_is "now it is agency-b's move" "$(story_json agency-a todo -- 'len(j.get("cases", []))') $(story_json agency-b todo -- 'len(j["cases"])')" "0 1"
says agency-b "$t" review --needed age  # one question more, which undoes nothing
story_both "$t" confirmed_one agency-a agency-b
story_settled agency-b
says agency-b "$t" confirm --ground person_says
story_both "$t" linked agency-a agency-b
story_is "nothing waits any more" "$(story_count agency-a todo) $(story_count agency-b todo)" "0 0"
story_is "it is linked and not merged: both keep what they have" "$(story_count agency-a case list --all --kind match)" 1

story_chapter "a link that was a mistake is undone"
says agency-b "$t" unlink --ground document
story_both "$t" unlinked agency-a agency-b
story_refused agency-a illegal_state match confirm "$t" --ground family --decider "Jo Bol"

story_chapter "one holder is enough to reject; the pair comes back in a new thread only"
t=$(propose agency-b agency-a --agree name)
story_wait agency-a "$t" candidate
says agency-a "$t" review --needed mother_name
story_wait agency-b "$t" reviewing
says agency-b "$t" confirm --ground names
story_wait agency-a "$t" confirmed_one
says agency-a "$t" reject --ground age
story_both "$t" rejected agency-a agency-b
story_refused agency-b illegal_state match confirm "$t" --ground names --decider "Jo Bol"
story_refused agency-b illegal_state match unlink "$t" --ground names --decider "Jo Bol"

story_chapter "both decide while the hub is away"
yes=$(propose agency-a agency-b --agree name,sex)
no=$(propose agency-a agency-b --agree name)
for t in "$yes" "$no"; do
  story_wait agency-b "$t" candidate
  says agency-b "$t" review --needed age
  story_wait agency-a "$t" reviewing
done
story_hub_away
says agency-a "$yes" confirm --ground photo
says agency-b "$yes" confirm --ground family
says agency-a "$no" confirm --ground names
says agency-b "$no" reject --ground family
story_wait agency-a "$no" confirmed_one
story_wait agency-b "$no" rejected
story_away agency-b KILL
hub_start
story_back agency-b
story_online agency-a
story_both "$yes" linked agency-a agency-b
story_both "$no" rejected agency-a agency-b

story_chapter "consent is withdrawn: nobody is left with half a match, looked at or not"
fresh=$(propose agency-a agency-b --agree name)
story_both "$fresh" candidate agency-a agency-b
open=$(propose agency-a agency-b --agree name)
story_wait agency-b "$open" candidate
says agency-b "$open" review --needed age --note "Her brother asks for her"
story_wait agency-a "$open" reviewing
story_is "a note is there to begin with" "$(kw agency-a inbox --all --json --limit 500 | grep -c "Her brother asks")" 1
kw agency-a consent withdraw --thread "$fresh" --purpose tracing >/dev/null
kw agency-b consent withdraw --thread "$open" --purpose tracing >/dev/null
kw agency-b consent withdraw --thread "$yes" --purpose tracing >/dev/null
story_both "$fresh" rejected agency-a agency-b
story_both "$open" rejected agency-a agency-b
story_both "$yes" unlinked agency-a agency-b
asked_all() { [ "$(story_json "$1" consent list --open -- 'len(j.get("rows", []))')" = 0 ]; }
for agency in agency-a agency-b; do wait_until "$STORY_SECONDS" asked_all "$agency" || die "not all have answered"; done
story_is "nothing waits for anybody" "$(story_count agency-a todo) $(story_count agency-b todo)" "0 0"
story_is "no note is left" "$(kw agency-a inbox --all --json --limit 500 | grep -c "Her brother asks" || true)" 0

story_chapter "only the hub says that a record changed, and no agency speaks in matches of others"
printf '{"matchCandidate": {"matchId": "AAECAwQFBgcICQoLDA0ODw==", "kind": "MATCH_KIND_DUPLICATE", "ownHandle": "AQIDBAUGBwgJCgsMDQ4PEA==", "otherHandle": "ERITFBUWFxgZGhscHR4fIA==", "otherAgency": "agency-a", "state": "MATCH_STATE_SUPERSEDED", "supersededBy": "ERITFBUWFxgZGhscHR4fIA==", "band": "MATCH_BAND_STRONG", "encodingVersion": 1, "atUnixMs": "%s000"}}' "$(date +%s)" >"$STATE/superseded.json"
story_refused agency-a bad_field send agency-b --thread "$yes" --content "$STATE/superseded.json" # another match
story_refused agency-a illegal_state send agency-b --content "$STATE/superseded.json"
r=$(story_refer agency-a agency-b)
story_is "a referral is no match" "$(story_words agency-a match review "$r" --needed age --decider "Jo Bol" | grep -c 'another kind')" 1

story_end
