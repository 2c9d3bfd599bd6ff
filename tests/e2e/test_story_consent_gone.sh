#!/usr/bin/env bash
# Consent is withdrawn while a holder is gone from the directory, and while the case is on offer, told through the command line
# over a real hub and three agents. The question waits, through a kill too, stands among what has no answer, and is asked when
# the holder is back; whoever was asked to take the case hears that it is over, and a claim on its way gets nothing.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a
cp "$STATE/agency-a/directory.bin" "$STATE/alone.bin" # of the hub's hand, from before the others came
story_agency agency-b
story_agency agency-c
story_online agency-b
story_online agency-c

SECRET="Seen at the Yambio crossing"
message() {
  story_json "$1" inbox --all --limit 500 -- \
    "next(__import__('base64').b64decode(i['messageId']).hex() for i in j['items'] if __import__('base64').b64decode(i['threadId']).hex() == '$2')"
}
has() { kw "$1" show "$2" --json | grep -q "$3"; }
outcomes() {
  story_json "$1" consent list "${@:2}" -- \
    '" ".join(sorted(r["agency"] + "=" + r.get("outcome", "open").replace("ERASURE_OUTCOME_", "").lower() for r in j.get("rows", [])))'
}
has_outcomes() { [ "$(outcomes "$1" "${@:3}")" = "$2" ]; }
wait_outcomes() {
  wait_until "$STORY_SECONDS" has_outcomes "$@" || die "$1 has '$(outcomes "$1" "${@:3}")' and not '$2'"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

story_chapter "the holder is gone from the directory"
t=$(story_refer agency-a agency-b --case-ref K-17 --reason "$SECRET")
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
story_wait agency-a "$t" acknowledged
m=$(message agency-b "$t")
has agency-b "$m" "$SECRET" || die "the referral is not there to begin with"
story_settled agency-a
story_away agency-a
story_hub_away
cp "$STATE/alone.bin" "$STATE/agency-a/directory.bin"
agency_start agency-a # nobody gives it a newer one
tried() { grep -q '"event":"follow_up_not_sent".*"agency":"agency-b"' "$STATE/agency-a.log"; }
kw agency-a consent withdraw --case-ref K-17 --from caregiver >/dev/null
wait_until "$STORY_SECONDS" tried || die "nobody has tried to ask agency-b: $(grep follow_up "$STATE/agency-a.log")"
story_is "it stands among those without an answer" "$(outcomes agency-a --open)" "agency-b=open"
story_is "and says why" "$(kw agency-a consent list --open | grep -c 'it has not left here')" 1
story_away agency-a KILL
agency_start agency-a
sleep 2
story_is "also after a kill" "$(outcomes agency-a --open)" "agency-b=open"
story_is "it stands in todo" "$(story_json agency-a todo -- '[r["agency"] for r in j["consents"]]')" "['agency-b']"
story_is "nothing was given up" "$(grep -c follow_up_dropped "$STATE/agency-a.log" || true)" 0

story_chapter "and is let in again"
story_hub_back
wait_outcomes agency-a "agency-b=done" --case-ref K-17
story_is "erased there" "$(story_json agency-b show "$m" -- '"content" in j')" False
story_both "$t" consent_withdrawn agency-a agency-b

story_chapter "the case is on offer"
directory() { # AGENCY: a shelter in SS0101, published to agency-a
  local now=$(($(date +%s) * 1000))
  cat >"$STATE/$1.services.json" <<EOF
{"organization": "Agency $1", "issuedUnixMs": "$now", "validUntilUnixMs": "$((now + 30 * 86400000))", "services": [
 {"serviceId": "s1", "type": "SERVICE_TYPE_SHELTER", "status": "SERVICE_STATUS_ACTIVE", "capacity": "CAPACITY_AVAILABLE",
  "minimumAge": 0, "maximumAge": 17, "languages": ["apd"], "locations": [{"pcode": "SS0101", "adminLevel": 2}],
  "assuredUnixMs": "$((now - 86400000))", "validUntilUnixMs": "$((now + 30 * 86400000))"}]}
EOF
  kw "$1" services publish "$STATE/$1.services.json" --to agency-a >/dev/null
}
directory agency-b
directory agency-c
knows() { [ "$(story_json agency-a services -- 'len(j.get("rows", []))')" = 2 ]; }
wait_until "$STORY_SECONDS" knows || die "agency-a knows $(kw agency-a services)"
offered_thread() { story_json "$1" todo -- 'next((c["threadId"] for c in j.get("cases", []) if c["kind"] == "THREAD_KIND_OFFER"), "")' |
  python3 -c 'import base64, sys; print(base64.b64decode(sys.stdin.read().strip()).hex())'; }
is_offered() { [ -n "$(offered_thread "$1")" ]; }
referrals() { story_json "$1" inbox --all --limit 500 -- 'sum("referralRequest" in i.get("content", {}) for i in j.get("items", []))'; }
standing() { story_json agency-a claims "$1" -- "j['offers'][0]['standing']"; }
refer() {
  kw agency-a refer --service shelter --at SS0101 --risk high --code S-1 --age 9 --sex female --reason "$SECRET" \
    --referrer "Jo Bol" --consent-from caregiver "$@" 2>/dev/null | sed -n 's/^  offer  *//p'
}
before=$(referrals agency-b)
offer=$(refer --case-ref K-20)
other=$(refer --case-ref K-21 --pick manual)
for agency in agency-b agency-c; do
  two() { [ "$(story_json "$agency" todo -- 'sum(c["kind"] == "THREAD_KIND_OFFER" for c in j.get("cases", []))')" = 2 ]; }
  wait_until "$STORY_SECONDS" two || die "$agency is not asked twice"
done
thread_in() { story_json agency-a claims "$1" -- "next(__import__('base64').b64decode(m['threadId']).hex() for m in j['offers'][0]['members'] if m['agency'] == '$2')"; }
t=$(thread_in "$offer" agency-b)
# A claim crosses the withdrawal: neither has heard of the other.
story_hub_away
kw agency-b claim "$t" >/dev/null
out=$(kw agency-a consent withdraw --case-ref K-20)
grep -q '^agencies asked: 0$' <<<"$out" || die "nobody holds it yet: $out"
grep -q '^open offers of the case that are over: 1$' <<<"$out" || die "the offer is not named: $out"
story_hub_back
story_wait agency-b "$t" closed
story_is "the offer is over" "$(standing "$offer")" OFFER_STANDING_WITHDRAWN
story_is "another case's is not" "$(standing "$other")" OFFER_STANDING_OPEN
story_refused agency-a not_found consent withdraw --case-ref K-20
story_settled agency-a
story_is "nobody got the referral" "$(referrals agency-b) $(referrals agency-c)" "$before 0"
story_away agency-a KILL
story_back agency-a
story_is "nor after a kill" "$(standing "$offer") $(referrals agency-b)" "OFFER_STANDING_WITHDRAWN $before"

story_chapter "the case was leased: its holder erases it, and nobody else gets it"
offer=$(refer --case-ref K-22)
t=$(thread_in "$offer" agency-c)
story_wait agency-c "$t" offered
kw agency-c claim "$t" >/dev/null
got() { [ "$(referrals agency-c)" = 1 ]; }
wait_until "$STORY_SECONDS" got || die "agency-c does not get the referral"
story_settled agency-a
kw agency-a consent withdraw --case-ref K-22 >/dev/null
wait_outcomes agency-a "agency-c=done" --case-ref K-22
story_is "over" "$(standing "$offer")" OFFER_STANDING_WITHDRAWN
story_is "erased" "$(referrals agency-c)" 0
story_is "and offered to nobody" "$(referrals agency-b)" "$before"

story_end
