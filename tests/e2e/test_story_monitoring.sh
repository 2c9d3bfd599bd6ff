#!/usr/bin/env bash
# Monitoring, told through the command line alone: weekly separation reports of two focal points and the cases in them that
# may be one child, which of them are missing, a survey, a rapid assessment and the rule of its form, an urgent action that is answered like a referral,
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
  "$(story_json agency-b case show "$t" -- 'round((int(j["row"]["dueUnixMs"]) - int(j["row"]["sinceUnixMs"])) / 1000)')" 3600
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

story_chapter "a rapid assessment says which form it is"
assessment() { # COMMUNITIES SITE_SPECIFIC
  put cpra.json <<JSON
{"rapidAssessment": {"sitePcode": "SS010203", "date": {"year": 2026, "month": 11}, "method": "ASSESSMENT_METHOD_DIRECT_OBSERVATION",
 "communities": $1, "siteSpecific": $2, "separationSeen": "ANSWER_YES", "noAdult": "COUNT_BAND_1_TO_5",
 "confidence": "SOURCE_CONFIDENCE_MEDIUM", "urgentActions": 1}}
JSON
}
assessment 14 false
story_refused agency-a bad_field send coordination --content "$DATA/cpra.json"
story_is "the refusal says what to do" "$(story_words agency-a send coordination --content "$DATA/cpra.json")" \
  "kinward: send.content.rapidAssessment.siteSpecific: must be true with fewer than 15 communities; assess each site"
assessment 14 true
kw agency-a send coordination --content "$DATA/cpra.json" >/dev/null
assessment 15 false
kw agency-a send coordination --content "$DATA/cpra.json" >/dev/null
advice() {
  story_json agency-a assess choose --phase later --access sites --communities "$1" --recent-data no --multi-sector no -- \
    'j["choice"] + " " + str(j["siteSpecific"])'
}
story_is "the advice is the same rule" "$(advice 14), $(advice 15)" "site_specific True, rapid False"

story_chapter "a survey, and weekly reports of two focal points"
put survey.json <<'JSON'
{"separationSurvey": {"method": "SURVEY_METHOD_NEIGHBOURHOOD", "stratumPcode": "SS01", "start": {"year": 2026, "month": 9},
 "end": {"year": 2026, "month": 10}, "households": 400, "children": 1300, "separated": 65, "unaccompanied": 9,
 "prevalencePpm": 50000, "ciLowPpm": 38000, "ciHighPpm": 62000, "ownSeparated": 25, "neighbourSeparated": 40}}
JSON
kw agency-a send coordination --content "$DATA/survey.json" >/dev/null
report() { # FOCAL_POINT WEEK CASES
  put report.json <<JSON
{"separationReport": {"week": "$2", "villagePcode": "SS010203", "focalPointCode": "$1", $3}}
JSON
  kw agency-a send coordination --content "$DATA/report.json" >/dev/null
}
a_case() { # NUMBER SEX AGE
  echo "{\"localNumber\": $1, \"sex\": \"$2\", \"ageBand\": \"AGE_BAND_6_TO_11\", \"ageYears\": $3, \"status\": \"SEPARATION_STATUS_SEPARATED\", \"direction\": \"SEPARATION_DIRECTION_ARRIVED\", \"cause\": \"SEPARATION_CAUSE_CONFLICT\"}"
}
report FP-1 2026-W44 "\"cases\": [$(a_case 1 SEX_FEMALE 9), $(a_case 2 SEX_MALE 7)]"
report FP-2 2026-W44 '"zeroReport": true'
report FP-2 2026-W45 "\"cases\": [$(a_case 1 SEX_FEMALE 10)]"
report FP-1 2026-W46 '"zeroReport": true'
put bad.json <<'JSON'
{"separationReport": {"week": "2026-W45", "villagePcode": "SS010203", "focalPointCode": "FP-1"}}
JSON
story_refused agency-a bad_field send coordination --content "$DATA/bad.json" # no case is said, not left out
story_settled agency-a
story_is "the girl of two weeks may be one child, and nobody else" \
  "$(story_json coordination surveillance candidates -- '(j["reports"], j["zeroReports"], j["cases"], [(p["first"]["focalPointCode"], p["first"]["localNumber"], p["second"]["focalPointCode"], p["second"]["localNumber"]) for p in j["candidates"]])')" \
  "(4, 2, 3, [('FP-1', 1, 'FP-2', 1)])"

story_chapter "who has reported, and who has not"
weeks() { # OPTIONS: reported/expected, zero reports and the missing ones of each week
  story_json coordination surveillance completeness --until 2026-W46 "$@" -- \
    '" ".join("%s:%d/%d,%d,%s" % (w["week"], w["reported"], w["expected"], w["zeroReports"], "+".join(m["focalPointCode"] for m in w["missing"]) or "-") for w in j["weeks"])'
}
story_is "every focal point that has ever reported is expected" "$(weeks)" \
  "2026-W44:2/2,1,- 2026-W45:1/2,0,FP-1 2026-W46:1/2,1,FP-2"
put sites.csv <<'CSV'
village_pcode,focal_point_code,children
SS010203,FP-1,400
SS010203,FP-2,
SS010299,FP-3,250
CSV
story_is "one that never reported is missing, when somebody knows of it" "$(weeks --sites "$DATA/sites.csv" --since 2026-W45)" \
  "2026-W45:1/3,0,FP-1+FP-3 2026-W46:1/3,1,FP-2+FP-3"
story_is "together, with the rates beside each other" \
  "$(story_json coordination surveillance completeness --sites "$DATA/sites.csv" --since 2026-W44 --until 2026-W46 -- \
    '(j["sites"], j["reported"], j["expected"], j["zeroReports"], j["cases"], j["newVerified"], j["newVerifiedPer10000ChildWeeks"], j["unlisted"])')" \
  "(3, 4, 9, 2, 3, 0, 0.0, 0)"
report FP-1 2026-W45 "\"cases\": [$(a_case 1 SEX_FEMALE 9 | sed 's/}$/, "verified": true}/'), $(a_case 2 SEX_MALE 7 | sed 's/}$/, "verified": true, "seenBefore": "ANSWER_YES"}/')]"
report FP-9 2026-W45 '"zeroReport": true'
story_settled agency-a
story_is "a late report is missing no more; a verified child that was reported before is no new one" \
  "$(story_json coordination surveillance completeness --sites "$DATA/sites.csv" --since 2026-W44 --until 2026-W46 -- \
    '(j["reported"], j["expected"], j["cases"], j["newVerified"], j["newVerifiedPer10000ChildWeeks"], j["unlisted"])')" \
  "(5, 9, 5, 1, $(python3 -c 'print(10000 / 1200)'), 1)" # FP-1 reported in three weeks, of 400 children
told=$(kw coordination surveillance completeness --sites "$DATA/sites.csv" --since 2026-W46 --until 2026-W46)
grep -qx "2026-W46  1 of 3 reports (33 %), 1 of no case, 0 case(s), 0 new and verified, 0.0 for 10000 children in a week" <<<"$told" || die "told: $told"
grep -qx "  missing  SS010299 FP-3" <<<"$told" || die "who is missing is not told: $told"
printf 'village_pcode;focal_point_code\nSS010203;FP-1\nss01;FP-2\n' >"$DATA/sites.csv"
story_is "a fault in the list is named by row and column" \
  "$(story_words coordination surveillance completeness --sites "$DATA/sites.csv" | sed 's/^.*sites.csv: //')" \
  "row 3, column village_pcode: must be a P-code, 2 to 20 of A-Z and 0-9; correct it"

story_chapter "a month of supervision"
month=$(date -u +%Y-%m)
open_now=$(story_json agency-a case list --limit 500 -- \
  "[sum(c['risk'] == 'RISK_' + r for c in j['cases']) for r in ('HIGH', 'MEDIUM')]")
story_is "open cases are counted" "$(story_json agency-a supervision --month "$month" -- "[j.get('openHigh', 0), j.get('openMedium', 0)]")" "$open_now"
story_is "and they are these" "$open_now" "[2, 1]"
kw agency-a supervision --month "$month" --caseworkers 12 --sessions-planned 24 --sessions-held 21 --open-low 7 --send coordination >/dev/null
if kw agency-a supervision --month 2099-01 2>/dev/null; then die "a month to come"; fi
story_settled agency-a
story_is "it arrives" \
  "$(story_json coordination inbox --all -- '[i["content"]["supervisionReturn"] for i in j["items"] if "supervisionReturn" in i["content"]]')" \
  "[{'month': {'year': $((10#${month%-*})), 'month': $((10#${month#*-}))}, 'caseworkers': 12, 'openHigh': 2, 'openMedium': 1, 'openLow': 7, 'sessionsPlanned': 24, 'sessionsHeld': 21}]"

story_chapter "a week in numbers, once it is over"
iso_week() { date -u -d "$1" +%G-W%V; }
story_refused_words() { grep -q "is not over" <<<"$(story_words agency-a indicators --week "$(iso_week now)")"; }
story_refused_words || die "a week that goes on: $(story_words agency-a indicators --week "$(iso_week now)")"
refer_at() { # COUNT SERVICE END
  local n t
  for n in $(seq "$1"); do
    put r.json <<JSON
{"caseRef": "I-$2-$3-$n", "service": "SERVICE_TYPE_$2", "risk": "RISK_LOW", "reason": "Alone", "referrer": {"name": "Jo Bol"},
 "children": [{"code": "C", "age": {"years": 9, "asOf": {"year": 2026}}, "sex": "SEX_MALE"}], "location": {"pcode": "SS010203", "adminLevel": 3},
 "consent": {"services": "CONSENT_ANSWER_GIVEN", "shareOtherOrgs": "CONSENT_ANSWER_GIVEN", "obtainedFrom": "CONSENT_SOURCE_CAREGIVER"}}
JSON
    t=$(kw agency-a send agency-b --referral "$DATA/r.json" | story_thread_of)
    story_wait agency-b "$t" delivered
    story_event agency-b "$t" acknowledged
    if [ "$3" = completed ]; then story_event agency-b "$t" accepted; fi
    story_event agency-b "$t" "$3"
    ENDED=$t
  done
}
refer_at 6 SHELTER rejected
refer_at 3 LEGAL rejected
refer_at 7 SAFEHOUSE rejected
refer_at 5 FOOD completed
printf 'case_id,name_first,age,sex,separation_status,care_arrangement\n' >"$DATA/reg.csv"
for n in $(seq 8); do
  echo "R-$n,Child $n,9,female,separated,$([ "$n" -le 6 ] && echo foster || echo kinship)" >>"$DATA/reg.csv"
done
kw agency-a import "$DATA/reg.csv" --as-of 2026-11-01 --default consent_source=caregiver,consent_for_services=given,disclosure_other_orgs=given,consent_for_tracing=given >/dev/null 2>"$DATA/reg.err" || cat "$DATA/reg.err"
story_wait agency-a "$ENDED" completed
story_settled agency-a
story_settled agency-b
# The agency's machine stands a week later: its own week is over now.
week=$(iso_week now)
later() {
  KINWARD_SOCKET="$STATE/agency-a/agent.sock" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
    FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f +7d "$BIN/kinward" "$@"
}
story_away agency-a
ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f +7d \
  "$BIN/kinward-agent" "$STATE/agency-a/agent.yaml" 2>>"$STATE/agency-a.log" &
AGENT_PID[agency-a]=$!
wait_until 20 kw agency-a status || die "the agent did not start"
# faketime may run the agent as its child
if child=$(pgrep -P "${AGENT_PID[agency-a]}"); then AGENT_PID[agency-a]=$child; fi
first=$(later indicators --week "$week" --json 2>/dev/null)
lines() { later indicators --week "$week" 2>/dev/null | tr -s ' '; }
told="$(lines)"
grep -qx "unmet_demand shelter SS01 6" <<<"$told" || die "no unmet demand: $told"
grep -qx "unmet_demand legal SS01 suppressed" <<<"$told" || die "3 are told: $told"
grep -qx "unmet_demand safehouse SS01 suppressed" <<<"$told" || die "7 of a safehouse are told: $told"
grep -qx "completed_service alternative_care SS01 suppressed" <<<"$told" || die "1 of 1 is told: $told"
grep -qx "completed_service food SS01 suppressed" <<<"$told" || die "the margin tells the 1 of 1: $told"
grep -qx "care_arrangement kinship suppressed" <<<"$told" || die "2 are told: $told"
grep -qx "care_arrangement foster suppressed" <<<"$told" || die "the margin tells: $told"
grep -qx "reunified_or_in_care 8 of 8" <<<"$told" || die "who is in care is not told: $told"
STORY_CHECKS=$((STORY_CHECKS + 8))
# What comes afterwards changes nothing of it.
printf 'case_id,name_first,age,sex,separation_status,care_arrangement\n' >"$DATA/reg.csv"
for n in $(seq 20 40); do echo "R-$n,Child $n,9,female,separated,kafala" >>"$DATA/reg.csv"; done
later import "$DATA/reg.csv" --as-of 2026-11-01 --default consent_source=caregiver,consent_for_services=given,disclosure_other_orgs=given,consent_for_tracing=given >/dev/null
story_is "it is told the same way ever after" "$(later indicators --week "$week" --json 2>/dev/null)" "$first"
story_online agency-a
later indicators --week "$week" --send coordination >/dev/null 2>&1
later indicators --week "$week" --send coordination >/dev/null 2>&1
story_settled agency-a
story_is "it arrives once, with nothing told of what is hidden" \
  "$(story_json coordination inbox --all --limit 500 -- "[(c['indicatorReturn']['week'], sorted((x['service'], x.get('numerator')) for x in c['indicatorReturn']['cells'] if x.get('admin1Pcode') and x['indicator'] == 'INDICATOR_UNMET_DEMAND' and x['service'] in ('SERVICE_TYPE_LEGAL', 'SERVICE_TYPE_SAFEHOUSE', 'SERVICE_TYPE_SHELTER'))) for c in (i['content'] for i in j['items']) if 'indicatorReturn' in c]")" \
  "[('$week', [('SERVICE_TYPE_LEGAL', None), ('SERVICE_TYPE_SAFEHOUSE', None), ('SERVICE_TYPE_SHELTER', 6)])]"

story_end
