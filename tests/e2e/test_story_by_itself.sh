#!/usr/bin/env bash
# What agents and hubs say by themselves: reminders when a clock passes its steps, the answer to a withdrawn offer of a case,
# and the end of an offer for those that were not chosen.
. "$(dirname "$0")/story_lib.sh"
hub_make story-hub
cat >>"$STATE/hub/broker.yaml" <<'YAML'
clocks:
  acknowledged:
    medium: 6 s
YAML
hub_start
for agency in agency-a agency-b agency-c; do story_agency "$agency"; done

story_reminders() { # AGENCY: the steps that came, in order
  story_json "$1" inbox --all --limit 500 -- \
    '" ".join(str(i["content"]["reminder"]["step"]) for i in j.get("items", []) if "reminder" in i["content"])'
}
story_reminded() { case " $(story_reminders "$1") " in *" $2 "*) ;; *) return 1 ;; esac; }

story_chapter "a referral that nobody acknowledges"
t=$(story_refer agency-a agency-b --case-ref "K-17")
story_both "$t" delivered agency-a agency-b
wait_until "$STORY_SECONDS" story_reminded agency-b 50 || die "the receiver is not reminded at 50 %"
wait_until "$STORY_SECONDS" story_reminded agency-a 100 || die "the sender hears nothing at 100 %"
story_is "the reminder names our own pseudonym" "$(story_json agency-a inbox -- \
  '[i["content"]["reminder"]["caseRef"] for i in j["items"] if "reminder" in i["content"]][0]')" K-17
story_is "it names who is late" "$(story_json agency-a inbox -- \
  '[i["content"]["reminder"]["agency"] for i in j["items"] if "reminder" in i["content"]][0]')" agency-b
story_is "it decides nothing" "$(story_state agency-a "$t")" delivered
story_is_marked() { kw "$1" case show "$2" | grep -q '^reminded'; }
wait_until "$STORY_SECONDS" story_is_marked agency-b "$t" || die "the case does not show that a reminder came"
story_event agency-b "$t" acknowledged
story_both "$t" acknowledged agency-a agency-b
if story_is_marked agency-b "$t"; then die "the mark of the old state is still there"; fi
kw agency-a inbox | grep -q "reminder 100 % acknowledged" || die "the list does not say that it is a reminder"
before=$(story_reminders agency-b)
story_away agency-b
story_back agency-b
story_is "a restart reminds of nothing twice" "$(story_reminders agency-b)" "$before"

story_chapter "an offered case is taken back before it is accepted"
offer=tests/data/messages/good/transfer_offer.json
story_say() { # AGENCY TO THREAD EVENT-AS-JSON: sends a Content
  printf '%s' "$4" >"$STATE/content.json"
  kw "$1" send "$2" --thread "$3" --content "$STATE/content.json" >/dev/null
}
story_offer() { # FROM TO: offers the case of the test data under a new message id
  local id
  id=$(printf '%032x' "$RANDOM$RANDOM$RANDOM")
  kw "$1" send "$2" --content "$STORY_ROOT/$offer" --message-id "$id" | story_thread_of
}
now=$(date +%s)000
withdraw='{"transferEvent":{"state":"TRANSFER_STATE_WITHDRAW_REQUESTED","atUnixMs":"'$now'"}}'
acknowledge='{"transferEvent":{"state":"TRANSFER_STATE_ACKNOWLEDGED","atUnixMs":"'$now'"}}'
accept='{"transferEvent":{"state":"TRANSFER_STATE_ACCEPTED","atUnixMs":"'$now'","caseworker":{"name":"Sara Lado"}}}'
story_owner() { kw "$1" case show "$2" | sed -n 's/^owner  *//p'; }

t=$(story_offer agency-a agency-b)
story_wait agency-b "$t" offered
story_say agency-b agency-a "$t" "$acknowledge"
story_wait agency-a "$t" acknowledged
story_say agency-a agency-b "$t" "$withdraw"
story_both "$t" withdrawn agency-a agency-b # no person at agency-b did anything
story_is "the old owner keeps it" "$(story_owner agency-a "$t")" we
story_is "the other does not own it" "$(story_owner agency-b "$t")" "the other agency"

story_chapter "the answer is given also after a kill"
t=$(story_offer agency-a agency-b)
story_wait agency-b "$t" offered
story_away agency-b
story_say agency-a agency-b "$t" "$withdraw"
story_wait agency-a "$t" withdraw_requested
story_back agency-b
story_away agency-b KILL
story_back agency-b
story_both "$t" withdrawn agency-a agency-b

story_chapter "an offered case is accepted while it is taken back"
t=$(story_offer agency-a agency-b)
story_wait agency-b "$t" offered
story_say agency-b agency-a "$t" "$acknowledge"
story_wait agency-a "$t" acknowledged
story_hub_away
story_say agency-a agency-b "$t" "$withdraw"
story_say agency-b agency-a "$t" "$accept"
story_wait agency-b "$t" accepted
story_hub_back
story_both "$t" accepted agency-a agency-b
story_is "the new owner has it" "$(story_owner agency-b "$t")" we
story_is "the old owner does not" "$(story_owner agency-a "$t")" "the other agency"
story_is_dead() { kw agency-a dead-letters 2>/dev/null | grep -q illegal_state; }
wait_until "$STORY_SECONDS" story_is_dead || die "the old owner does not hear that its request came too late"

story_chapter "offers are the agent's: nobody can give one lease to two (test_story_service.sh tells the rest)"
offer=tests/data/messages/good/service_offer.json
printf '%s' '{"offerClosed":{"state":"OFFER_STATE_LEASED","referralThreadId":"AQIDBAUGBwgJCgsMDQ4PEA=="}}' >"$STATE/lease.json"
story_refused agency-a bad_field send agency-b --content "$STORY_ROOT/$offer"
story_refused agency-a bad_field send agency-b --content "$STATE/lease.json"

story_end
