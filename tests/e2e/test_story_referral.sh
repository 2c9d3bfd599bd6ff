#!/usr/bin/env bash
# Referrals from the first message to the last, told through the command line over a real hub and three agents: accepted to
# closed, rejected, no-show, onward proposed, need-info, cancelled; an event that overtakes an earlier one, and one that
# loses against another on the wire and comes back to its author.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b agency-c

story_chapter "accepted to closed"
t=$(story_refer agency-a agency-b --service health_medical --risk high)
story_both "$t" delivered agency-a agency-b
story_refused agency-a illegal_state event "$t" accepted          # only the receiver accepts
story_refused agency-b illegal_state event "$t" completed --outcome service_provided
story_event agency-b "$t" acknowledged
story_wait agency-a "$t" acknowledged
for state in accepted scheduled in_progress completed; do story_event agency-b "$t" "$state"; done
story_both "$t" completed agency-a agency-b
story_refused agency-b illegal_state event "$t" closed --feedback "Told"  # only the sender closes
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b
story_timeline agency-a "$t" "queued delivered acknowledged accepted scheduled in_progress completed closed"
story_timeline agency-b "$t" "queued acknowledged accepted scheduled in_progress completed closed"
story_refused agency-b illegal_state event "$t" accepted
story_is "a refusal says what the state is" \
  "$(story_words agency-b event "$t" accepted)" \
  "kinward: send.content.referral_event.state: The referral is CLOSED; from us it can become CONSENT_WITHDRAWN now."

story_chapter "rejected"
t=$(story_refer agency-a agency-b)
story_wait agency-b "$t" delivered
story_is "it waits for the receiver" "$(story_json agency-b todo -- 'len(j["cases"])')" 1
story_is "it does not wait for the sender" "$(story_json agency-a todo -- 'len(j.get("cases", []))')" 0
story_event agency-b "$t" acknowledged
story_event agency-b "$t" rejected --reason no_capacity --note "Beds again from Friday"
story_both "$t" rejected agency-a agency-b
story_is "the next step is the sender's" "$(story_json agency-a todo -- 'j["cases"][0]["stateName"]')" REJECTED
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b
story_is "nothing waits any more" "$(story_count agency-a todo)" 0

story_chapter "no-show, and another appointment"
t=$(story_refer agency-a agency-b)
story_both "$t" delivered agency-a agency-b
for state in acknowledged accepted scheduled no_show scheduled in_progress completed; do story_event agency-b "$t" "$state"; done
story_wait agency-a "$t" completed
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b
story_timeline agency-a "$t" \
  "queued delivered acknowledged accepted scheduled no_show scheduled in_progress completed closed"

story_chapter "onward proposed: the receiver never forwards"
t=$(story_refer agency-a agency-b)
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
story_event agency-b "$t" onward_proposed --onward agency-c
story_both "$t" onward_proposed agency-a agency-b
story_refused agency-b illegal_state event "$t" accepted
story_event agency-a "$t" closed --feedback "They want to ask agency-c; consent is asked again"
story_both "$t" closed agency-a agency-b
story_is "agency-c has heard nothing of it" "$(story_count agency-c inbox --all)" 0
on=$(story_refer agency-a agency-c --reason "Alone since Monday; consent asked again for agency-c")
story_both "$on" delivered agency-a agency-c
for state in acknowledged accepted in_progress completed; do story_event agency-c "$on" "$state"; done
story_wait agency-a "$on" completed
story_event agency-a "$on" closed
story_both "$on" closed agency-a agency-c

story_chapter "need-info, answered"
t=$(story_refer agency-a agency-b)
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
story_event agency-b "$t" need_info --note "Which languages does the child speak?"
story_wait agency-a "$t" need_info
story_event agency-a "$t" acknowledged --note "Zande and some Arabic"
story_both "$t" acknowledged agency-a agency-b
story_event agency-b "$t" accepted
story_both "$t" accepted agency-a agency-b

story_chapter "cancelled"
t=$(story_refer agency-a agency-b)
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
story_wait agency-a "$t" acknowledged
story_event agency-a "$t" cancel_requested
story_wait agency-b "$t" cancel_requested
story_event agency-b "$t" cancelled
story_both "$t" cancelled agency-a agency-b
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b

story_chapter "an event that overtakes an earlier one waits for it"
t=$(story_refer agency-a agency-b)
story_both "$t" delivered agency-a agency-b
story_hub_away
story_event agency-b "$t" acknowledged --class bulk
story_event agency-b "$t" accepted --class urgent
story_freeze agency-b # until the other agency is there, so that its hub hands over in the order of arrival
hub_start
story_online agency-a
story_thaw agency-b
story_wait agency-a "$t" accepted
story_timeline agency-a "$t" "queued delivered acknowledged accepted"
order=$(story_json agency-a inbox --all --limit 500 -- \
  '" ".join(i["content"]["referralEvent"]["state"] for i in j["items"][-2:])')
story_is "they did arrive in the other order" "$order" "REFERRAL_STATE_ACCEPTED REFERRAL_STATE_ACKNOWLEDGED"
story_settled agency-b

story_chapter "two events cross, and the one that loses comes back to its author"
t=$(story_refer agency-a agency-b)
story_both "$t" delivered agency-a agency-b
for state in acknowledged accepted in_progress; do story_event agency-b "$t" "$state"; done
story_wait agency-a "$t" in_progress
story_hub_away
story_event agency-a "$t" cancel_requested
story_event agency-b "$t" completed
story_wait agency-a "$t" cancel_requested
story_wait agency-b "$t" completed
story_hub_back
story_both "$t" completed agency-a agency-b
story_is_dead() { kw agency-a dead-letters 2>/dev/null | grep -q illegal_state; }
wait_until "$STORY_SECONDS" story_is_dead || die "the loser's author hears nothing"
story_timeline agency-a "$t" "queued delivered acknowledged accepted in_progress completed"
story_timeline agency-b "$t" "queued acknowledged accepted in_progress completed"
story_is "the refused one is not in the receiver's inbox" \
  "$(kw agency-b inbox --all | grep -c cancel_requested)" 1 # the one of the chapter above
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b

story_chapter "what is on disk outlives a kill"
t=$(story_refer agency-a agency-b)
story_wait agency-b "$t" delivered
story_event agency-b "$t" acknowledged
story_wait agency-a "$t" acknowledged
story_away agency-a KILL
story_away agency-b KILL
story_back agency-a
story_back agency-b
story_both "$t" acknowledged agency-a agency-b
story_event agency-b "$t" accepted
story_both "$t" accepted agency-a agency-b
story_is "open cases" "$(story_json agency-a case list -- 'len(j["cases"])')" 3

story_chapter "what is urgent comes first to an agency that was away"
story_away agency-b
story_refer agency-a agency-b --class bulk --case-ref last >/dev/null
story_refer agency-a agency-b --class normal --case-ref then >/dev/null
story_refer agency-a agency-b --class urgent --case-ref first >/dev/null
both_held() { [ "$(story_json agency-a status -- 'int(j.get("held", 0))')" = 3 ]; }
wait_until "$STORY_SECONDS" both_held || die "not held: $(kw agency-a status)"
story_back agency-b
story_settled agency-a
story_is "in the order of classes" \
  "$(story_json agency-b inbox --all -- "' '.join(i['content']['referralRequest']['caseRef'] for i in j['items'][-3:])")" "first then last"

story_end
