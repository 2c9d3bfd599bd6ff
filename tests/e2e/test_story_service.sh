#!/usr/bin/env bash
# "Any agency that offers this there": directories, capacity, and one referral offered to eight agencies, told through the
# command line over a real hub and ten agents. Two claim while the sender is away, so both claims are in its queue at once;
# another agency is offline the whole time. One full referral arrives, and all others hear that it is over.
. "$(dirname "$0")/story_lib.sh"

ALL=(sender p1 p2 p3 p4 p5 p6 p7 p8 coord)
hub_make story-hub
cat >>"$STATE/hub/broker.yaml" <<'YAML'
clocks:
  claimed: {low: 5 s}
YAML
hub_start
for agency in "${ALL[@]}"; do agency_make "$agency"; done
echo "coordinator: coord" >>"$STATE/sender/agent.yaml"
echo "capacity_auto: true" >>"$STATE/p1/agent.yaml"
for agency in "${ALL[@]}"; do agency_start "$agency"; done
for agency in "${ALL[@]}"; do story_online "$agency"; done

# directory AGENCY SERVICE PCODE CAPACITY [ASSURED_DAYS_AGO]: what an agency offers, published to the sender
directory() {
  local now=$(($(date +%s) * 1000)) days=${5:-1}
  local assured=$((now - days * 86400000)) until=$((now + 30 * 86400000))
  cat >"$STATE/$1.services.json" <<EOF
{"organization": "Agency $1", "issuedUnixMs": "$now", "validUntilUnixMs": "$until", "services": [
 {"serviceId": "s1", "type": "SERVICE_TYPE_$2", "status": "SERVICE_STATUS_ACTIVE", "capacity": "CAPACITY_$4",
  "minimumAge": 0, "maximumAge": 17, "languages": ["apd"], "locations": [{"pcode": "$3", "adminLevel": 2}],
  "assuredUnixMs": "$assured", "validUntilUnixMs": "$until"}]}
EOF
  kw "$1" services publish "$STATE/$1.services.json" --to sender >/dev/null
}

knows() { [ "$(story_json sender services -- 'len(j.get("rows", []))')" = "$1" ]; }
row_of() { story_json sender services --service "$1" --at SS0101 -- "next(r for r in j['rows'] if r['agency'] == '$2').get('$3', '')"; }
count_referrals() { story_json "$1" inbox --all --limit 500 -- \
  'sum("referralRequest" in i["content"] for i in j.get("items", []))'; }
total_referrals() {
  local sum=0 agency
  for agency in "${ALL[@]:1}"; do
    [ -n "${AGENT_PID[$agency]:-}" ] || continue
    sum=$((sum + $(count_referrals "$agency")))
  done
  echo "$sum"
}
offered_thread() { story_json "$1" todo -- 'next((c["threadId"] for c in j.get("cases", []) if c["kind"] == "THREAD_KIND_OFFER"), "")' |
  python3 -c 'import base64, sys; print(base64.b64decode(sys.stdin.read().strip()).hex())'; }
is_offered() { [ -n "$(offered_thread "$1")" ]; }
answer_of() { story_json sender claims "$1" -- "next(m['answer'] for m in j['offers'][0]['members'] if m['agency'] == '$2')"; }
has_answer() { [ "$(answer_of "$1" "$2")" = "OFFER_ANSWER_$3" ]; }
standing_of() { story_json sender claims "$1" -- "j['offers'][0]['standing']"; }
has_standing() { [ "$(standing_of "$1")" = "OFFER_STANDING_$2" ]; }
referral_options=(--risk high --case-ref S-1 --code S-1 --age 9 --sex female --reason "Alone since Monday" --referrer "Jo Bol"
  --consent-from caregiver)
refer() { kw sender refer --service "$1" --at SS0101 "${referral_options[@]}" "${@:2}" 2>/dev/null | sed -n 's/^  offer  *//p'; }

story_chapter "directories: the last one counts, and what is full or stale says so"
for n in 1 2 3 4 5 6 7 8; do directory "p$n" SHELTER SS0101 AVAILABLE; done
wait_until "$STORY_SECONDS" knows 8 || die "the sender knows $(kw sender services)"
story_is "near" "$(row_of SHELTER p3 area)" SERVICE_AREA_SAME
directory p3 SHELTER SS0101 NONE
full() { [ "$(row_of SHELTER p3 full)" = True ]; }
wait_until "$STORY_SECONDS" full || die "p3 is not marked full"
kw sender services --service shelter --at SS0101 | grep -q '^p3 .*\[FULL\]' || die "FULL is not said"
directory p3 SHELTER SS0101 AVAILABLE 100
stale() { [ "$(row_of SHELTER p3 stale)" = True ]; }
wait_until "$STORY_SECONDS" stale || die "p3 is not marked stale"
out=$(kw sender refer --service shelter --at SS0101 "${referral_options[@]}" --dry-run)
grep -q '^+ p3 .*\[STALE\]' <<<"$out" || die "a stale candidate is not shown before sending: $out"
grep -q '^would offer it to 8: ' <<<"$out" || die "the choice is not shown: $out"
story_is "nothing was sent" "$(total_referrals)" 0
directory p3 SHELTER SS0101 AVAILABLE
fresh() { [ "$(row_of SHELTER p3 stale)" = "" ]; }
wait_until "$STORY_SECONDS" fresh || die "p3 stays stale"

story_chapter "capacity: answered by the agent, or by a person; the answer shows in the view"
kw sender capacity ask p1 p2 --service shelter --at SS0101 >/dev/null
answered() { [ "$(row_of SHELTER "$1" answered)" = True ]; }
wait_until "$STORY_SECONDS" answered p1 || die "p1 does not answer by itself"
query_of() { story_json "$1" inbox -- 'next((i["messageId"] for i in j.get("items", []) if "capacityQuery" in i["content"]), "")'; }
has_query() { [ -n "$(query_of "$1")" ]; }
wait_until "$STORY_SECONDS" has_query p2 || die "p2 is not asked"
kw p2 capacity answer "$(query_of p2)" --capacity waitlist --wait-days 5 >/dev/null
wait_until "$STORY_SECONDS" answered p2 || die "the answer of p2 does not count"
story_is "what p2 said" "$(row_of SHELTER p2 waitDays)" 5

story_chapter "eight candidates, one offline, two claims at once: one referral"
story_away p8
offer=$(refer shelter)
[ -n "$offer" ] || die "no offer was made"
for n in 1 2 3 4 5 6 7; do wait_until "$STORY_SECONDS" is_offered "p$n" || die "p$n is not asked"; done
story_is "an offer says nothing of the person" \
  "$(story_json p4 inbox --all -- '",".join(sorted(next(i["content"]["serviceOffer"] for i in j["items"] if "serviceOffer" in i["content"])))')" \
  admin2Pcode,ageBand,claimByUnixMs,needClass,risk
story_refused sender bad_field send p4 --content <(echo '{"offerClosed": {"state": "OFFER_STATE_LEASED", "referralThreadId": "AAAAAAAAAAAAAAAAAAAAAA=="}}')
kw p7 decline "$(offered_thread p7)" --reason no_capacity >/dev/null
wait_until "$STORY_SECONDS" has_answer "$offer" p7 DECLINED || die "p7 declined and the sender does not know"
t5=$(offered_thread p5) t6=$(offered_thread p6)
story_away sender KILL
kw p5 claim "$t5" --contact "Sara Lado" >/dev/null &
first=$!
kw p6 claim "$t6" >/dev/null &
wait "$first" "$!"
story_settled_to_hub() { [ "$(story_json "$1" status -- 'int(j.get("queued", 0))')" = 0 ]; }
for n in 5 6; do wait_until "$STORY_SECONDS" story_settled_to_hub "p$n" || die "the claim of p$n does not leave"; done
story_back sender
wait_until "$STORY_SECONDS" has_standing "$offer" LEASED || die "nobody has it: $(kw sender claims --all)"
winner=$(story_json sender claims "$offer" -- 'next(m["agency"] for m in j["offers"][0]["members"] if m.get("winner"))')
loser=p5
[ "$winner" = p5 ] && loser=p6
has_referral() { [ "$(count_referrals "$1")" = 1 ]; }
wait_until "$STORY_SECONDS" has_referral "$winner" || die "$winner has the lease and no referral"
thread=$(story_json sender claims "$offer" -- '__import__("base64").b64decode(j["offers"][0]["referralThreadId"]).hex()')
story_both "$thread" delivered sender "$winner"
story_event "$winner" "$thread" acknowledged
story_event "$winner" "$thread" accepted
story_both "$thread" accepted sender "$winner"
for agency in "$loser" p1 p2 p3 p4; do
  is_closed() { [ "$(story_json "$agency" case list --all --kind offer -- 'j["cases"][0]["stateName"]')" = CLOSED ]; }
  wait_until "$STORY_SECONDS" is_closed || die "$agency does not hear that it is over"
done
story_back p8
agency=p8
wait_until "$STORY_SECONDS" is_closed || die "p8 does not hear that it is over when it is back"
story_is "one referral, and one only" "$(total_referrals)" 1
story_is "a late claim is refused there" "$(story_words p1 claim "$(story_json p1 case list --all --kind offer -- \
  '__import__("base64").b64decode(j["cases"][0]["threadId"]).hex()')" | grep -c CLOSED)" 1
story_is "the hub logged one lease" "$(grep -c '"event":"lease"' "$STATE/hub.log")" 1

story_chapter "a person picks; a lease that is given back is offered again"
offer=$(refer shelter --pick manual)
for n in 1 2; do
  wait_until "$STORY_SECONDS" is_offered "p$n" || die "p$n is not asked"
  kw "p$n" claim "$(offered_thread "p$n")" >/dev/null
  wait_until "$STORY_SECONDS" has_answer "$offer" "p$n" CLAIMED || die "the claim of p$n does not come"
done
story_is "nobody has it by itself" "$(standing_of "$offer")" OFFER_STANDING_OPEN
member() { story_json sender claims "$offer" -- "next(__import__('base64').b64decode(m['threadId']).hex() for m in j['offers'][0]['members'] if m['agency'] == '$1')"; }
story_refused sender illegal_state lease "$(member p3)"
t2=$(member p2)
kw sender lease "$t2" >/dev/null
wait_until "$STORY_SECONDS" has_referral p2 || [ "$(count_referrals p2)" -ge 1 ] || die "p2 was picked and has nothing"
story_wait p2 "$t2" leased
story_refused sender illegal_state lease "$(member p1)"
kw p2 decline "$t2" --reason no_capacity >/dev/null
second() { [ "$(story_json sender claims "$offer" -- 'j["offers"][0]["round"]')" = 2 ]; }
wait_until "$STORY_SECONDS" second || die "it is not offered again"
story_is "not to the one that gave back" "$(story_json sender claims "$offer" -- 'sum(m["agency"] == "p2" for m in j["offers"][0]["members"])')" 0
kw sender lease "$offer" --withdraw >/dev/null
story_is "withdrawn" "$(standing_of "$offer")" OFFER_STANDING_WITHDRAWN

story_chapter "nobody claims: the coordinator hears of the need, and it stands first"
offer=$(refer shelter --claim-by 3s)
unclaimed() { [ "$(story_json sender claims "$offer" -- 'j["offers"][0].get("unclaimed", False)')" = True ]; }
wait_until "$STORY_SECONDS" unclaimed || die "nobody claimed and nothing happens"
kw sender todo | head -n 1 | grep -q "^offer $offer  UNCLAIMED" || die "it does not stand first: $(kw sender todo | head -n 3)"
wait_until "$STORY_SECONDS" is_offered coord || die "the coordinator hears nothing"
kw coord todo | head -n 1 | grep -q "UNCLAIMED: to coordinate" || die "it does not stand first at the coordinator"
story_is "the coordinator has no referral" "$(count_referrals coord)" 0
before=$(total_referrals)
t4=$(member p4)
kw p4 claim "$t4" >/dev/null
wait_until "$STORY_SECONDS" has_standing "$offer" LEASED || die "a late claim does not help"
one_more() { [ "$(total_referrals)" = $((before + 1)) ]; }
wait_until "$STORY_SECONDS" one_more || die "the late claim brings no referral"

story_chapter "the hub's limit is over before the offer's own time: the coordinator hears of it at once"
offer=$(kw sender refer --service shelter --at SS0101 "${referral_options[@]/high/low}" 2>/dev/null | sed -n 's/^  offer  *//p')
wait_until "$STORY_SECONDS" unclaimed || die "the hub says UNCLAIMED and nothing happens: $(kw sender claims "$offer")"
story_is "the coordinator is asked" "$(answer_of "$offer" coord)" OFFER_ANSWER_ASKED

story_chapter "one candidate gets the referral without an offer"
directory p1 LEGAL SS0101 AVAILABLE
legal() { [ "$(story_json sender services --service legal -- 'len(j.get("rows", []))')" = 1 ]; }
wait_until "$STORY_SECONDS" legal || die "p1's new directory does not come"
t=$(kw sender refer --service legal --at SS0101 "${referral_options[@]}" 2>/dev/null | story_thread_of)
story_both "$t" delivered sender p1

story_end
