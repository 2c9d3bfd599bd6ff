#!/usr/bin/env bash
# The hybrid suite with the real programs, where libcrypto has ML-KEM: an agency brings its key in by itself, messages are sealed to it,
# and what was sealed to the former one opens after it was replaced.
# shellcheck source=tests/e2e/story_lib.sh
. "$(dirname "$0")/story_lib.sh"

count() { grep -cF -- "$2" "$STATE/$1.log" || true; }
held() { STORY_CHECKS=$((STORY_CHECKS + 1)); }
replaced() { [ "$(count "$1" '"event":"key_replaced","key":"hybrid"')" = "$2" ]; }

story_chapter "a hybrid key is made and brought in with the first session"
story_begin agency-a agency-b
story_online agency-a
story_online agency-b
sleep 3
if [ "$(count agency-a '"event":"key_made","key":"hybrid"')" = 0 ]; then
  echo "skipped: no ML-KEM"
  [ "$(count hub '"event":"hybrid_key_replaced"')" = 0 ] || die "the hub has a hybrid key of nobody"
  held
  story_end
  exit 0
fi
for agency in agency-a agency-b; do
  wait_until 20 replaced "$agency" 1 || die "$agency: $(cat "$STATE/$agency.log")"
  held
done
both() { [ "$(count hub '"event":"hybrid_key_replaced"')" = 2 ]; }
wait_until 10 both || die "$(cat "$STATE/hub.log")"
held

story_chapter "what is sealed to it opens, and is of the best suite; after a restart too"
sleep 2 # both directories are with both
thread=$(story_refer agency-a agency-b)
story_wait agency-b "$thread" delivered
story_away agency-b KILL
late=$(story_refer agency-a agency-b)
story_back agency-b
story_wait agency-b "$late" delivered
story_event agency-b "$late" acknowledged
story_wait agency-a "$late" acknowledged
story_is "key_made after a restart" "$(count agency-b '"event":"key_made","key":"hybrid"')" 1

story_chapter "what was sealed to the former key opens after it was replaced with the sealing key"
"$BIN/kinward" agent rotate sealing --dry-run --dir "$STATE/agency-b" 2>/dev/null | grep -qF "our hybrid key (suite 0x11" || die "a dry run does not name it"
held
story_away agency-b
late=$(story_refer agency-a agency-b)
sleep 1
echo "sealing scheduled" >"$STATE/agency-b/rotate.order"
chmod 600 "$STATE/agency-b/rotate.order"
agency_start agency-b
story_wait agency-b "$late" delivered
wait_until 20 replaced agency-b 2 || die "not replaced: $(cat "$STATE/agency-b.log")"
held
sleep 2
story_wait agency-b "$(story_refer agency-a agency-b)" delivered
for agency in agency-a agency-b; do
  for word in weaker_suite own_key_alarm cannot_open role_refused delta_refused hybrid_key_not_made; do
    [ "$(count "$agency" "\"event\":\"$word\"")" = 0 ] || die "$agency: $(grep "$word" "$STATE/$agency.log")"
  done
  held
done
story_end
