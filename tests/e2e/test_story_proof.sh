#!/usr/bin/env bash
# What can be shown to others, told over a real hub and two agents: the recipient's signed receipts and a person's decision, a file
# of evidence, its check by somebody who has nothing but the file and the root fingerprint, and what is not evidence.
. "$(dirname "$0")/story_lib.sh"
story_begin agency-a agency-b

item() { story_json "$1" outbox --all --limit 500 -- \
  "(lambda i: $3)(next(i for i in j['items'] if __import__('base64').b64decode(i['messageId']).hex() == '$2'))"; }
signed() { item agency-a "$1" '" ".join(l.removeprefix("RECEIPT_LEVEL_").lower() for l in i.get("signedReceipts", []))'; }
is_signed() { [ "$(signed "$1")" = "$2" ]; }
referral() {
  kw agency-a send agency-b --service shelter --risk medium --case-ref "$1" --reason "Alone since Monday" --code C-17 --age 9 \
    --sex female --referrer "Jo Bol" --consent-from caregiver
}
declare -a late
verify() { "$BIN/kinward" proof verify "$STATE/evidence.bin" --root "$1"; }

story_chapter "a referral is opened, and a person takes it"
sent=$(referral K-17)
m=$(story_message_of <<<"$sent")
t=$(story_thread_of <<<"$sent")
wait_until "$STORY_SECONDS" is_signed "$m" opened || die "no signed receipt: $(signed "$m")"
story_event agency-b "$t" acknowledged
story_wait agency-a "$t" acknowledged
story_is "to have seen it is no decision" "$(signed "$m")" opened
story_event agency-b "$t" accepted
wait_until "$STORY_SECONDS" is_signed "$m" "opened decided" || die "no signed decision: $(signed "$m")"
story_is "it is shown" "$(kw agency-a show "$m" | grep -c '^signed     opened, decided')" 1

story_chapter "evidence for somebody who has nothing else"
root=$(kw agency-a keys | grep -oE '[0-9a-f]{64}' | sed -n 2p)
kw agency-a proof show "$m" --out "$STATE/evidence.bin" >"$STATE/said"
grep -q "agency-a at hub .* sent an envelope to agency-b" "$STATE/said" || die "who wrote to whom is not said"
cp "$STATE/evidence.bin" "$STATE/kept.bin"
if kw agency-a proof show "$m" --out "$STATE/evidence.bin" >"$STATE/again" 2>&1; then die "evidence was written over a file"; fi
story_is "of a file that is there already nothing is said to be proved" "$(grep -c PROVED "$STATE/again")" 0
cmp "$STATE/evidence.bin" "$STATE/kept.bin" || die "the file was changed"
for name in Alone K-17 C-17 "Jo Bol"; do
  ! grep -qa "$name" "$STATE/evidence.bin" || die "evidence holds $name"
done
stop_all # nobody is there any more
verify "$root" >"$STATE/said" || die "it does not verify: $(cat "$STATE/said")"
for words in "PROVED, by signatures" "agency-a at hub" "a person there answered" "NOT PROVED" "PERSONAL DATA"; do
  grep -q "$words" "$STATE/said" || die "not said: $words"
done
decoder() { python3 -B tests/decoder/verify.py "$STATE/evidence.bin" "$root"; } # by PROTOCOL.md
decoder >"$STATE/said" || die "the second decoder refuses it: $(cat "$STATE/said")"
grep -qE '^agency-a@[a-z0-9-]+ to agency-b@[a-z0-9-]+: (stored )?opened decided' "$STATE/said" || die "it reads: $(cat "$STATE/said")"
code=0; verify "$(tr 0-9a-f 1-9a-f0 <<<"$root")" >/dev/null 2>&1 || code=$?
story_is "another network's root proves nothing" "$code" 1
printf '\x00' | dd of="$STATE/evidence.bin" bs=1 seek=200 conv=notrunc 2>/dev/null
code=0; verify "$root" >/dev/null 2>&1 || code=$?
story_is "nor does a changed file" "$code" 1
code=0; decoder >/dev/null || code=$?
story_is "nor does it to the second decoder" "$code" 1

story_chapter "receipts wait for company, but not those of what is urgent"
story_hub_back
story_back agency-a
sed -i 's/^receipts_at_once: true/receipts_at_once: false/' "$STATE/agency-b/agent.yaml"
story_back agency-b
for n in 1 2 3; do late[n]=$(referral "K-2$n" | story_message_of); done
high=$(kw agency-a send agency-b --service shelter --risk high --case-ref K-30 --reason "Alone" --code C-18 --age 9 --sex female \
  --referrer "Jo Bol" --consent-from caregiver | story_message_of)
wait_until 5 is_signed "$high" opened || die "what is urgent waited"
for n in 1 2 3; do wait_until 40 is_signed "${late[n]}" opened || die "no receipt after 40 s"; done

story_chapter "what there is no evidence of"
story_refused agency-b bad_state proof show "$m"
story_is "why" "$(story_words agency-b proof show "$m")" \
  "kinward: proof.messageId: Evidence is kept of what we sent; of a message that came to us its sender has it."
story_is "what was signed is still there" "$(signed "$m")" "opened decided"
kw agency-a proof show "$m" >/dev/null
story_end
