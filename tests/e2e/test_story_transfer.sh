#!/usr/bin/env bash
# A case moves to another agency, told through the command line over a real hub and three agents: offered, accepted, handed
# over, complete; rejected; asked for first; withdrawn, and withdrawn too late; one case is never on offer twice.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b agency-c

cat >"$STATE/summary.json" <<'JSON'
{"name": {"parts": [{"text": "Amina", "role": "NAME_ROLE_GIVEN"}]}, "sex": "SEX_FEMALE",
 "age": {"years": 9, "asOf": {"year": 2026, "month": 9, "day": 21}}, "concerns": ["CONCERN_NEGLECT"],
 "careArrangement": "CARE_ARRANGEMENT_FOSTER", "location": {"country": "SS", "pcode": "SS0101", "adminLevel": 2},
 "assessment": "Well cared for. Misses her brother."}
JSON

# offer FROM TO CASE_REF [OPTIONS]: prints the thread
offer() {
  local from=$1 to=$2 ref=$3
  shift 3
  kw "$from" transfer offer "$to" --summary "$STATE/summary.json" --case-ref "$ref" --reason relocation --risk medium \
    --caseworker "Sara Lado" --child-informed yes --consent-from caregiver "$@" | story_thread_of
}
owner() { kw "$1" case show "$2" | sed -n 's/^owner  *//p'; }
# owned THREAD OWNER OTHER: both know whose case it is
owned() {
  story_is "the owner knows" "$(owner "$2" "$1")" we
  story_is "the other knows" "$(owner "$3" "$1")" "the other agency"
}
OFFER_OPTIONS=(--summary "$STATE/summary.json" --reason relocation --risk medium --caseworker "Sara Lado" --child-informed yes
  --consent-from caregiver)

story_chapter "offered, accepted, handed over, complete"
t=$(offer agency-a agency-b K-17 --meeting 2030-03-01T14:00+03:00 --place "Clinic 2")
story_wait agency-b "$t" offered
owned "$t" agency-a agency-b
story_refused agency-a bad_field transfer offer agency-c --case-ref K-18 --reason relocation --summary "$STATE/summary.json"
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}"
story_is "it says why" "$(story_words agency-a transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}")" \
  "kinward: send.content.transferOffer.caseRef: This case is on offer already, or given away and not handed over; withdraw that offer first."
story_refused agency-a illegal_state transfer accept "$t" --caseworker "Sara Lado" # not by the owner
# Nor under another pseudonym, where the caller says that it is the same case: --from-thread, or its own id on both.
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-18 --from-thread "$t" "${OFFER_OPTIONS[@]}"
one=$(offer agency-a agency-b K-70 --case 4711)
story_wait agency-b "$one" offered
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-71 --case 4711 "${OFFER_OPTIONS[@]}"
story_is "another case of another pseudonym may go" "$(offer agency-a agency-c K-72 --case 4712 | wc -c)" 33
kw agency-b transfer accept "$t" --caseworker "Peter Wani" --new-case-ref J-3 >/dev/null
story_both "$t" accepted agency-a agency-b
owned "$t" agency-b agency-a
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}" # it is not ours any more
story_refused agency-a illegal_state transfer withdraw "$t"                                        # too late
kw agency-b transfer confirm "$t" --meeting 2026-03-01T14:00+03:00 >/dev/null
story_wait agency-a "$t" handover_confirmed
kw agency-a transfer complete "$t" >/dev/null
story_both "$t" complete agency-a agency-b
story_timeline agency-a "$t" "offered acknowledged accepted handover_confirmed complete"
owned "$t" agency-b agency-a

story_chapter "a former owner cannot offer it again, until it comes back"
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}"
story_is "it says why" "$(story_words agency-a transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}")" \
  "kinward: send.content.transferOffer.caseRef: This case is another agency's: only its owner can offer it. Ask for it with kinward transfer request, or accept it first; another case needs a reference of its own."
t=$(offer agency-b agency-a J-3) # as its new owner calls it
story_wait agency-a "$t" offered
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-17 "${OFFER_OPTIONS[@]}" # not accepted yet
kw agency-a transfer accept "$t" --caseworker "Sara Lado" >/dev/null
story_both "$t" accepted agency-b agency-a
owned "$t" agency-a agency-b
kw agency-a transfer confirm "$t" --meeting 2026-03-02T14:00+03:00 >/dev/null
story_wait agency-b "$t" handover_confirmed
kw agency-b transfer complete "$t" >/dev/null
story_both "$t" complete agency-b agency-a
t=$(offer agency-a agency-c K-17)
story_wait agency-c "$t" offered

story_chapter "rejected: the owner keeps it, and may offer it to another"
t=$(offer agency-a agency-b K-20)
story_wait agency-b "$t" offered
kw agency-b transfer reject "$t" --refusal no_capacity >/dev/null
story_both "$t" rejected agency-a agency-b
owned "$t" agency-a agency-b
t=$(offer agency-a agency-c K-20)
story_wait agency-c "$t" offered

story_chapter "asked for first"
t=$(kw agency-c transfer request agency-a --case-ref K-21 --reason request --risk low --caseworker "Peter Wani" | story_thread_of)
story_wait agency-a "$t" requested
story_is "the answer is the owner's move" "$(story_json agency-a todo -- '[c["stateName"] for c in j["cases"]]')" "['REQUESTED']"
story_is "that is no offer" "$(offer agency-a agency-c K-21 --thread "$t")" "$t"
story_both "$t" offered agency-a agency-c
kw agency-c transfer acknowledge "$t" >/dev/null
kw agency-c transfer accept "$t" --caseworker "Peter Wani" >/dev/null
story_both "$t" accepted agency-a agency-c
owned "$t" agency-c agency-a
t=$(kw agency-c transfer request agency-a --case-ref K-22 --reason request --risk low --caseworker "Peter Wani" | story_thread_of)
story_wait agency-a "$t" requested
kw agency-a transfer reject "$t" --refusal unsafe >/dev/null
story_both "$t" rejected agency-a agency-c
t=$(kw agency-c transfer request agency-a --case-ref K-23 --reason request --risk low --caseworker "Peter Wani" | story_thread_of)
story_wait agency-a "$t" requested
kw agency-c transfer withdraw "$t" >/dev/null
story_both "$t" withdrawn agency-a agency-c

story_chapter "withdrawn: the other agent says so by itself"
t=$(offer agency-a agency-b K-24)
story_wait agency-b "$t" offered
kw agency-a transfer withdraw "$t" >/dev/null
story_both "$t" withdrawn agency-a agency-b
owned "$t" agency-a agency-b
t=$(offer agency-a agency-c K-24)
story_wait agency-c "$t" offered

story_chapter "withdrawn while it is being accepted: the acceptance stands on both sides"
t=$(offer agency-a agency-b K-25)
story_wait agency-b "$t" offered
story_hub_away
kw agency-a transfer withdraw "$t" >/dev/null
kw agency-b transfer accept "$t" --caseworker "Peter Wani" >/dev/null
story_wait agency-a "$t" withdraw_requested
story_refused agency-a illegal_state transfer offer agency-c --case-ref K-25 "${OFFER_OPTIONS[@]}" # nobody knows yet whose it is
story_wait agency-b "$t" accepted
story_hub_back
story_both "$t" accepted agency-a agency-b
owned "$t" agency-b agency-a

story_chapter "ownership outlives a kill on both sides"
story_away agency-a KILL
story_away agency-b KILL
story_back agency-a
story_back agency-b
owned "$t" agency-b agency-a
kw agency-b transfer confirm "$t" --meeting 2026-03-01T14:00+03:00 >/dev/null
story_wait agency-a "$t" handover_confirmed
kw agency-a transfer complete "$t" >/dev/null
story_both "$t" complete agency-a agency-b

story_end
