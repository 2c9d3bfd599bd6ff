#!/usr/bin/env bash
# A file of messages is in as a whole or not at all: one row that the agent refuses, the most messages that a file may make
# and one more, an agent that is killed while it takes the file in, and the same file again.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b
file=$STATE/file.csv

sent_of() { kw "$1" status --json | python3 -c 'import json,sys; print(int(json.load(sys.stdin).get("sent", 0)))'; }
import() { local agency=$1; shift; kw "$agency" import "$file" "$@" 2>&1 || true; }

story_chapter "one row that is refused keeps the others back"
threads=()
for _ in 1 2 3; do threads+=("$(story_refer agency-a agency-b)"); done
for t in "${threads[@]}"; do story_wait agency-b "$t" delivered; done
events() { # STATE of the second row
  printf '#to,#thread,state,at_unix_ms,note\n'
  printf 'agency-a,%s,%s,2026-03-01T10:00Z,\n' "${threads[0]}" acknowledged "${threads[1]}" "$1" "${threads[2]}" acknowledged
}
events cancelled >"$file"
story_is "the row and the column are named" "$(import agency-b --as ReferralEvent)" \
  "$file: row 3, column state: The referral is DELIVERED; from us it can become ACKNOWLEDGED or CONSENT_WITHDRAWN now.
1 fault; nothing was sent"
story_is "nothing was sent" "$(sent_of agency-b)" 0
for t in "${threads[@]}"; do story_is "no thread has moved" "$(story_state agency-b "$t")" delivered; done
events acknowledged >"$file"
story_is "corrected, all are in" "$(import agency-b --as ReferralEvent)" "3 rows: 3 messages, 3 in the outbox, 0 there already"
for t in "${threads[@]}"; do story_wait agency-a "$t" acknowledged; done
story_is "again, nothing is sent" "$(import agency-b --as ReferralEvent)" "3 rows: 3 messages, 0 in the outbox, 3 there already"
story_is "three in all" "$(sent_of agency-b)" 3

story_chapter "two rows for one thread, each in its place"
{ printf '#to,#thread,state,at_unix_ms\n'
  printf 'agency-a,%s,accepted,2026-03-01T10:00Z\nagency-a,%s,in_progress,2026-03-01T11:00Z\n' "${threads[0]}" "${threads[0]}"
} >"$file"
story_is "both are in" "$(import agency-b --as ReferralEvent)" "2 rows: 2 messages, 2 in the outbox, 0 there already"
story_wait agency-a "${threads[0]}" in_progress
# The second of them ends the thread, the third finds it ended: what an agent can only know once it writes.
{ printf '#to,#thread,state,at_unix_ms,note,reason\n'
  printf 'agency-a,%s,%s,2026-03-01T12:00Z,Said,%s\n' "${threads[1]}" rejected no_capacity "${threads[1]}" accepted ''
} >"$file"
import agency-b --as ReferralEvent >"$STATE/said"
grep -q "row 3, column state: The referral is " "$STATE/said" || die "no row and column: $(cat "$STATE/said")"
sent=$(sent_of agency-b)
story_is "neither is in" "$sent" 5
story_is "the thread has not moved" "$(story_state agency-b "${threads[1]}")" acknowledged

story_chapter "the most messages of a file, and one more"
queries() { # COUNT GROUP
  printf '#group,service,admin2_pcode\n'
  seq -f "$2-%g,shelter,SS0101" "$1"
}
queries 4097 most >"$file"
story_is "one too many is refused" "$(import agency-b --as CapacityQuery --to agency-a)" \
  "$file: row 4098: is one more than the 4096 messages that a file may make; split it
1 fault; nothing was sent"
story_is "and nothing of it sent" "$(sent_of agency-b)" "$sent"
queries 4096 most >"$file"
story_is "the most are in" "$(import agency-b --as CapacityQuery --to agency-a)" "4096 rows: 4096 messages, 4096 in the outbox, 0 there already"
sent=$((sent + 4096))
story_is "all of them" "$(sent_of agency-b)" "$sent"

story_chapter "an agent that is killed while it takes a file in"
cut=0 whole=0
for round in $(seq 10); do
  queries 400 "kill-$round" >"$file"
  kw agency-b import "$file" --as CapacityQuery --to agency-a >"$STATE/said" 2>&1 &
  importer=$!
  sleep "0.$(printf '%02d' $((round * 3)))"
  agency_kill agency-b KILL
  wait "$importer" || true
  agency_start agency-b
  now=$(sent_of agency-b)
  case $((now - sent)) in
    0) cut=$((cut + 1)) ;;
    400) whole=$((whole + 1)) ;;
    *) die "round $round: $((now - sent)) of 400 messages are in" ;;
  esac
  left=$((400 - now + sent))
  story_is "round $round: the same file again sends what is missing" "$(import agency-b --as CapacityQuery --to agency-a)" \
    "400 rows: 400 messages, $left in the outbox, $((400 - left)) there already"
  sent=$((sent + 400))
  story_is "round $round: all are in, once" "$(sent_of agency-b)" "$sent"
done
echo "  killed in the middle: nothing was in $cut times, all $whole times"
[ "$cut" -gt 0 ] || die "no kill came in time"

story_chapter "records of our own"
records() {
  printf '#id,sex,separation.status,care_arrangement,consent.services,consent.share_other_orgs,consent.obtained_from,name.parts[1].text,name.parts[1].role,birth_date\n'
  seq -f 'C-%g,f,separated,kinship,yes,yes,caregiver,Amina,given,2019' "$1"
}
records 50 >"$file"
said=$(import agency-b --as UascRegistration)
story_is "all are stored" "$said" "50 rows: 50 messages, 50 in the outbox, 0 there already"
story_is "and only once" "$(import agency-b --as UascRegistration)" "50 rows: 50 messages, 0 in the outbox, 50 there already"
story_end
