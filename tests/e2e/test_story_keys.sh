#!/usr/bin/env bash
# Keys and certificates over time, with the real programs: a certificate is renewed at two thirds of its life, and after it has expired;
# an agency that was shut out renews nowhere; every key of an agency is replaced while messages wait, with kill -9 in between; the
# passphrase changes, with kill -9 in between. Certificates live for seconds here (KW_UNSAFE_CERTIFICATE_LIFE_S, unknown to a release).
# shellcheck source=tests/e2e/story_lib.sh
. "$(dirname "$0")/story_lib.sh"

hub_logged() { grep -F -- "$1" "$STATE/hub.log" | grep -qF -- "${2:-}"; }
logged() { grep -F -- "$2" "$STATE/$1.log" | grep -qF -- "${3:-}"; }
count() { grep -cF -- "$2" "$STATE/$1.log" || true; }
held() { STORY_CHECKS=$((STORY_CHECKS + 1)); }
serial() { openssl x509 -in "$STATE/$1/chain.pem" -noout -serial; }
key_of() { openssl x509 -in "$STATE/$1/chain.pem" -noout -pubkey | sha256sum; }
rotate() { local agency=$1; shift; "$BIN/kinward" agent rotate "$@" --dir "$STATE/$agency"; }
says() { # WORDS COMMAND...
  local words=$1 said; shift
  said=$("$@" 2>&1) || die "failed: $*: $said"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
  held
}
refused() { # EXIT WORDS COMMAND...
  local want=$1 words=$2 code=0 said; shift 2
  said=$("$@" 2>&1) || code=$?
  [ "$code" = "$want" ] || die "exit code $code and not $want of $*: $said"
  grep -qF -- "$words" <<<"$said" || die "no \"$words\" in: $said"
  held
}
changed() { [ "$(serial "$1")" != "$2" ]; }
fingerprint() { kw "$1" keys | sed -n "s/^  $2  *\([0-9a-f]*\).*/\1/p"; }
is_quiet() { # nothing was refused, and no alarm
  for word in own_key_alarm role_refused delta_refused identity_unproven cannot_open bad_frame; do
    [ "$(count "$1" "\"event\":\"$word\"")" = 0 ] || die "$1: $(grep "$word" "$STATE/$1.log")"
  done
  held
}

story_chapter "a certificate of 15 seconds is renewed at two thirds of its life, by itself, with the same key"
export KW_UNSAFE_CERTIFICATE_LIFE_S=15
hub_make story-hub
hub_start
story_agency agency-a
made=$SECONDS
# Where libcrypto has ML-KEM a hybrid key is brought in first, and with it comes a certificate.
hybrid() { [ "$(count agency-a '"event":"key_made","key":"hybrid"')" = "$(count agency-a '"event":"key_replaced","key":"hybrid"')" ]; }
story_online agency-a
sleep 2
wait_until 10 hybrid || die "the hybrid key was not brought in: $(cat "$STATE/agency-a.log")"
first=$(serial agency-a)
key=$(key_of agency-a)
sleep 4
story_is "the certificate before two thirds of its life" "$(serial agency-a)" "$first"
wait_until 12 changed agency-a "$first" || die "it was not renewed: $(cat "$STATE/agency-a.log")"
[ $((SECONDS - made)) -ge 9 ] || die "renewed after $((SECONDS - made)) seconds"
held
story_is "the key of the renewed certificate" "$(key_of agency-a)" "$key"
hub_logged '"event":"renewal"' '"agency":"agency-a","door":"session","error":"ok"' || die "the hub's log does not say so"
held
connected_anew() { [ "$(count agency-a '"event":"online"')" -ge 2 ]; }
wait_until 10 connected_anew || die "it does not connect with the new one"
sleep 6 # the first one has expired
story_is_online agency-a || die "offline after the first certificate has expired"
held
[ "$(grep -c connection_refused "$STATE/hub.log" || true)" = 0 ] || die "somebody was refused: $(cat "$STATE/hub.log")"
held

story_chapter "after a long time away it has expired: a new one comes through the enrolment door"
story_away agency-a
sleep 16
before=$(serial agency-a)
agency_start agency-a
story_online agency-a
[ "$(serial agency-a)" != "$before" ] || die "online with an expired certificate"
held
hub_logged '"event":"renewal"' '"agency":"agency-a","door":"enrolment","error":"ok"' || die "not through the door"
held

story_chapter "killed at any moment of a renewal it comes back with a pair that works"
for pause in 0.2 0.9 0.05 0.5; do
  before=$(serial agency-a)
  wait_until 20 changed agency-a "$before" || die "not renewed"
  sleep "$pause"
  story_away agency-a KILL
  agency_start agency-a
  story_online agency-a
  held
done
is_quiet agency-a

story_chapter "certificates of 90 days; every key is replaced while a message waits for an agency that is away"
unset KW_UNSAFE_CERTIFICATE_LIFE_S
story_hub_away
hub_start
long_lived() { openssl x509 -in "$STATE/$1/chain.pem" -noout -checkend $((89 * 86400)); }
wait_until 30 long_lived agency-a || die "no certificate of 90 days"
held
story_agency agency-b
story_online agency-a
waiting=$(story_refer agency-a agency-b)
story_wait agency-b "$waiting" delivered
story_away agency-b
signed_before=$(story_refer agency-a agency-b) # by the former identity key, sealed to the former key
story_wait agency-a "$signed_before" queued
story_is "the identity that agency-a has" "$(fingerprint agency-a agency-a | wc -c)" 65
identity=$(fingerprint agency-a agency-a)
says "would be replaced" rotate agency-a identity --reason staff --dry-run
says "Nothing was changed." rotate agency-a identity --reason staff --dry-run
says "the 1 other agencies: each" rotate agency-a identity --dry-run
if rotate agency-a identity --dry-run | grep -q "the last time is forgotten"; then die "a first change forgets no key"; fi
story_is "the identity after a dry run" "$(fingerprint agency-a agency-a)" "$identity"
refused 2 "KEY is identity, tls or sealing" rotate agency-a store
refused 2 "--reason is scheduled, staff or compromised" rotate agency-a identity --reason because
refused 2 "--reason goes with identity" rotate agency-a tls --reason staff
refused 4 "no agent lives in this folder" "$BIN/kinward" agent rotate tls --dir "$STATE/nowhere"
says "The identity key of agency-a is replaced." rotate agency-a identity --reason staff
[ "$(fingerprint agency-a agency-a)" != "$identity" ] || die "the identity is the former one"
held
says "$(fingerprint agency-a agency-a)" "$BIN/kinward" hub list --dir "$STATE/hub"
says "The sealing key of agency-a is replaced." rotate agency-a sealing
key=$(key_of agency-a)
says "The tls key of agency-a is replaced." rotate agency-a tls
[ "$(key_of agency-a)" != "$key" ] || die "the TLS key is the former one"
held
story_online agency-a
signed_after=$(story_refer agency-a agency-b)
agency_start agency-b
story_wait agency-b "$signed_before" delivered
story_wait agency-b "$signed_after" delivered
logged agency-b '"event":"identity_replaced"' '"agency":"agency-a","reason":"staff"' || die "agency-b has not seen why"
held
says "replaced by itself on" kw agency-b keys
says "(staff)" kw agency-b keys
story_event agency-b "$signed_before" acknowledged # sealed to the new key, or to the one of the day
story_event agency-b "$signed_after" acknowledged
story_wait agency-a "$signed_before" acknowledged
story_wait agency-a "$signed_after" acknowledged
is_quiet agency-a
is_quiet agency-b

story_chapter "what was sealed to the former key while its agency was away opens as well"
story_away agency-a
late=$(story_refer agency-b agency-a)
sleep 1
echo "sealing scheduled" >"$STATE/agency-a/rotate.order" # as the command leaves it
chmod 600 "$STATE/agency-a/rotate.order"
agency_start agency-a
story_wait agency-a "$late" delivered
rotated() { [ "$(count agency-a '"event":"key_replaced","key":"sealing"')" = 2 ]; }
wait_until 20 rotated || die "the order of before the start was not carried out"
held
is_quiet agency-a

story_chapter "killed at any moment of a rotation it goes on with it after the restart"
for which in tls identity sealing tls identity; do
  before=$(count agency-a "\"event\":\"key_replaced\",\"key\":\"$which\"")
  rotate agency-a "$which" >/dev/null 2>&1 &
  command=$!
  sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
  [ $((RANDOM % 2)) = 0 ] || sleep 1
  story_away agency-a KILL
  agency_start agency-a
  again() { [ "$(count agency-a "\"event\":\"key_replaced\",\"key\":\"$which\"")" -gt "$before" ]; }
  wait_until 40 again || die "$which: $(tail -n 20 "$STATE/agency-a.log")"
  wait "$command" || die "the command failed"
  story_online agency-a
  held
done
after_all=$(story_refer agency-a agency-b)
story_wait agency-b "$after_all" delivered
is_quiet agency-a
is_quiet agency-b

story_chapter "a key in wrong hands: nothing that it signed is believed any more"
story_away agency-b
disowned=$(story_refer agency-a agency-b)
story_wait agency-a "$disowned" queued
says "comes back as a dead letter" rotate agency-a identity --reason compromised --dry-run
says "the last time is forgotten" rotate agency-a identity --reason compromised --dry-run # the second change
says "is replaced" rotate agency-a identity --reason compromised
agency_start agency-b
cannot() { logged agency-b '"event":"cannot_open"' sender; }
wait_until 20 cannot || die "agency-b believes it: $(tail -n 20 "$STATE/agency-b.log")"
held
dead() { kw agency-a dead-letters --json | grep -q cannot_open; }
wait_until 30 dead || die "no dead letter: $(kw agency-a dead-letters)"
held
anew=$(story_refer agency-a agency-b)
story_wait agency-b "$anew" delivered

story_chapter "another passphrase, with kill -9 in between: the key file opens with the old one or the new one"
printf 'the first passphrase\n' >"$STATE/one"; printf 'the second passphrase\n' >"$STATE/two"; chmod 400 "$STATE/one" "$STATE/two"
passphrase() { "$BIN/kinward" agent passphrase --dir "$STATE/agency-a" "$@"; }
opens() { passphrase --passphrase-file "$1" --dry-run >/dev/null 2>&1; }
printf '%s\n' "$KINWARD_PASSPHRASE" >"$STATE/zero"; chmod 400 "$STATE/zero"
refused 75 "stop it first" passphrase --passphrase-file "$STATE/zero" --new-passphrase-file "$STATE/one"
story_away agency-a
refused 1 "is not the one of this key file" passphrase --passphrase-file "$STATE/one" --new-passphrase-file "$STATE/two"
says "Nothing was changed." passphrase --passphrase-file "$STATE/zero" --dry-run
says "is under the new passphrase" passphrase --passphrase-file "$STATE/zero" --new-passphrase-file "$STATE/one"
refused 1 "is not the one of this key file" passphrase --passphrase-file "$STATE/zero" --dry-run
now=one other=two
for _ in $(seq 12); do
  "$BIN/kinward" agent passphrase --dir "$STATE/agency-a" --passphrase-file "$STATE/$now" \
    --new-passphrase-file "$STATE/$other" >/dev/null 2>&1 &
  command=$!
  sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
  kill -KILL "$command" 2>/dev/null || true
  wait "$command" 2>/dev/null || true
  if opens "$STATE/$other"; then swap=$now now=$other other=$swap; else opens "$STATE/$now" || die "neither passphrase opens it"; fi
  held
done
[ "$(stat -c %a "$STATE/agency-a/keys")" = 400 ] || die "mode of the key file: $(stat -c %a "$STATE/agency-a/keys")"
held
echo "passphrase_file: '$STATE/$now'" >>"$STATE/agency-a/agent.yaml"
agency_start agency-a
story_online agency-a
story_wait agency-a "$waiting" delivered # what it had is still its own

story_chapter "a machine whose clock is years off is told so, and goes on once it is right"
cc -shared -fPIC -D_GNU_SOURCE -o "$STATE/wrong_clock.so" "$STORY_ROOT/tests/e2e/wrong_clock.c"
for wrong in "-94608000 is behind. Set it" "94608000 set the clock|set it"; do # three years
  story_away agency-a
  days=${wrong%% *}
  LD_PRELOAD="$STATE/wrong_clock.so" WRONG_CLOCK_S=$days "$BIN/kinward-agent" "$STATE/agency-a/agent.yaml" 2>>"$STATE/agency-a.log" &
  AGENT_PID[agency-a]=$!
  year=$(date -u -d "$((days / 86400)) days" +%Y)
  explained() { kw agency-a status | grep "problem: expired" | grep -E "${wrong#* }" | grep -q "$year"; }
  wait_until 30 explained || die "$days seconds: not explained: $(kw agency-a status)"
  held
  story_is_online agency-a && die "online by a wrong clock" || held
done
story_away agency-a
agency_start agency-a
story_online agency-a
held

story_chapter "who was shut out gets neither session nor certificate, and is told so"
says "is shut out" "$BIN/kinward" hub revoke agency-a --dir "$STATE/hub"
shut_out() { kw agency-a status | grep -q "The hub has shut this agency out, or has another key for it"; }
wait_until 30 shut_out || die "agency-a does not know: $(kw agency-a status)"
held
refused_at_door() { hub_logged '"event":"renewal"' '"agency":"agency-a","door":"enrolment","error":"denied"'; }
wait_until 120 refused_at_door || die "no refusal at the enrolment door"
held
story_is_online agency-a && die "it is online" || held
story_end
