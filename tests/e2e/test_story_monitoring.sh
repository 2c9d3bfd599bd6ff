#!/usr/bin/env bash
# Monitoring, told through the command line alone: weekly separation reports of two focal points and the cases in them that
# may be one child, a survey, a rapid assessment and the rule of its form, an urgent action that is answered like a referral,
# and what an agency returns to the coordinator about its own work.
. "$(dirname "$0")/story_lib.sh"

DATA="$STATE/files"
mkdir "$DATA"
put() { cat >"$DATA/$1"; }

story_begin agency-a agency-b coordination

story_chapter "an urgent action is a referral of high risk, to its end"
put urgent.json <<'JSON'
{"urgentAction": {"sitePcode": "SS010203", "category": "URGENT_CATEGORY_CHILDREN_WITHOUT_ADULT",
 "service": "SERVICE_TYPE_ALTERNATIVE_CARE", "children": "COUNT_BAND_1_TO_5", "finding": "Three children alone in the school.",
 "place": "Behind the market", "safeContactInstructions": "Ask for the headmistress",
 "contact": {"name": "Ayen Deng", "contact": {"phone": "+211 900 000 000"}}, "atUnixMs": "1790000000000"}}
JSON
story_away agency-b
story_refer agency-a agency-b --case-ref first-sent >/dev/null
sent=$(kw agency-a send agency-b --content "$DATA/urgent.json")
t=$(story_thread_of <<<"$sent")
urgent=$(story_message_of <<<"$sent")
both_held() { [ "$(story_json agency-a status -- 'int(j.get("held", 0))')" = 2 ]; }
wait_until "$STORY_SECONDS" both_held || die "not held: $(kw agency-a status)"
story_back agency-b
story_both "$t" delivered agency-a agency-b
story_settled agency-a
story_is "it overtakes what was sent before it" \
  "$(story_json agency-b inbox --all -- '" ".join(k for i in j["items"] for k in i["content"] if k in ("urgentAction", "referralRequest"))')" \
  "urgentAction referralRequest"
story_is "it is of high risk, and its service is known" \
  "$(story_json agency-b case show "$t" -- '" ".join((j["row"]["kind"], j["row"]["risk"], j["row"]["service"]))')" \
  "THREAD_KIND_REFERRAL RISK_HIGH SERVICE_TYPE_ALTERNATIVE_CARE"
story_is "it is the first thing to do" "$(story_json agency-b todo -- 'j["cases"][0]["risk"]')" RISK_HIGH
story_is "the clock is that of high risk" \
  "$(story_json agency-b case show "$t" -- 'int(j["row"]["dueUnixMs"]) - int(j["row"]["sinceUnixMs"])')" 3600000
story_refused agency-a illegal_state event "$t" accepted
for state in acknowledged accepted in_progress completed; do story_event agency-b "$t" "$state"; done
story_both "$t" completed agency-a agency-b
story_event agency-a "$t" closed
story_both "$t" closed agency-a agency-b
story_timeline agency-a "$t" "queued delivered acknowledged accepted in_progress completed closed"

story_chapter "of one child in it becomes a referral of its own"
child=(--code C-18 --age 6 --sex male --consent-from other)
story_refused agency-a bad_field send agency-b --from-urgent "$urgent" "${child[@]}" # no pseudonym
one=$(kw agency-a send agency-b --from-urgent "$urgent" --case-ref U-1 "${child[@]}" | story_thread_of)
story_wait agency-b "$one" delivered
story_is "it takes over what the urgent action says" \
  "$(story_json agency-b inbox --all -- '" | ".join((lambda r: (r["caseRef"], r["service"], r["risk"], r["reason"], r["location"]["pcode"], r["referrer"]["name"], r["safeContactInstructions"]))(j["items"][-1]["content"]["referralRequest"]))')" \
  "U-1 | SERVICE_TYPE_ALTERNATIVE_CARE | RISK_HIGH | Three children alone in the school. | SS010203 | Ayen Deng | Ask for the headmistress"
other=$(kw agency-a send agency-b --from-urgent "$urgent" --case-ref U-2 --service shelter "${child[@]}" | story_thread_of)
story_is "an option goes before it" "$(story_json agency-a case show "$other" -- 'j["row"]["service"]')" SERVICE_TYPE_SHELTER
not_urgent=$(story_json agency-b inbox --all -- '__import__("base64").b64decode(j["items"][-1]["messageId"]).hex()')
if kw agency-b send agency-a --from-urgent "$not_urgent" --case-ref U-3 "${child[@]}" 2>/dev/null; then die "taken from a referral"; fi

story_end
