#!/usr/bin/env bash
# The audit log with the real programs: what a hub took is proved, also after a kill and after a salt is gone; and a hub that
# shows two logs, goes back to an old one, or is spoken for by somebody else is seen, by rule, while messages go on.
. "$(dirname "$0")/story_lib.sh"

last_id() { kw "$1" outbox --json | grep -o '"messageId": *"[^"]*"' | tail -1 | sed 's/.*: *"//; s/"$//'; }
proves() { kw "$1" audit prove "$2"; }
# proved AGENCY ID: until the hub has it; prints the digest of its envelope
proved() {
  wait_until "$STORY_SECONDS" proves "$1" "$2" || die "$1: $2 is not proved: $(kw "$1" audit prove "$2" 2>&1)"
  kw "$1" audit prove "$2" | sed -n 's/^  envelope  *//p'
}
verified() { "$BIN/kinward" audit verify --dir "$STATE/hub" | grep -q '^verified: '; }
has_alarm() { { kw "$1" status --json || true; } | grep -q "\"logAlarm\": *\"$2\""; }
alarmed() {
  wait_until "$STORY_SECONDS" has_alarm "$1" "$2" || die "$1: no alarm $2: $(kw "$1" status --json)"
  grep -q "\"audit_alarm\".*\"rule\":\"$2\"" "$STATE/$1.log" || die "$1: the alarm $2 is not in its log"
  kw "$1" status >"$STATE/status.txt" && die "$1: kinward status ends with 0 in spite of the alarm $2"
  test "$(kw "$1" status >/dev/null; echo $?)" = 5 || die "$1: kinward status does not end with 5"
  grep -q "AUDIT LOG: $2" "$STATE/status.txt" || die "$1: kinward status does not say $2"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}
holds() { "$@" || die "does not hold: $*"; STORY_CHECKS=$((STORY_CHECKS + 1)); }

story_begin agency-a agency-b
thread=$(story_refer agency-a agency-b)
story_wait agency-a "$thread" delivered
first=$(last_id agency-a)
digest=$(proved agency-a "$first")
kw agency-a audit prove "$first" --out "$STATE/proof.bin" >/dev/null
holds test -s "$STATE/proof.bin"
holds verified
holds test "$(stat -c %a "$STATE/hub/log.key")" = 400

# Killed, the hub goes on with the same log.
story_hub_away KILL
story_hub_back
proved agency-a "$first" >/dev/null
if has_alarm agency-a rollback || has_alarm agency-a forked; then die "an alarm after a kill"; fi

# Another log key, while the broker runs: agents take it from the root, and nothing is an alarm.
"$BIN/kinward" hub rotate log --dir "$STATE/hub" --root-folder "$STATE/hub/root-keys" >/dev/null
wait_until 10 grep -q log_key_changed "$STATE/hub.log" || die "the broker did not take the new log key"
proved agency-a "$first" >/dev/null # before anybody sends anything more: the checkpoint of the same size is signed anew and shown
story_refused agency-a bad_state audit accept
thread=$(story_refer agency-a agency-b)
story_wait agency-a "$thread" delivered
proved agency-a "$(last_id agency-a)" >/dev/null
proved agency-a "$first" >/dev/null
if has_alarm agency-a signature || has_alarm agency-b signature; then die "an alarm after a new log key"; fi
holds verified

# One log: the two compare.
kw agency-a audit checkpoint --out "$STATE/a.bin" >/dev/null
holds kw agency-b audit compare "$STATE/a.bin" --out "$STATE/witness-me.bin"
# The proof is one to the second decoder as well, which goes by PROTOCOL.md; of another digest it is none.
kw agency-a audit prove "$first" --out "$STATE/proof-new.bin" >/dev/null
holds python3 -B tests/decoder/verify.py --log "$STATE/proof-new.bin" "$STATE/a.bin"
printf '\x00\x00' | dd of="$STATE/proof-new.bin" bs=1 seek=5 conv=notrunc 2>/dev/null
if python3 -B tests/decoder/verify.py --log "$STATE/proof-new.bin" "$STATE/a.bin"; then die "another digest is proved"; fi
# Another hub witnesses it, with its own key.
"$BIN/kinward" hub init --dir "$STATE/peer" --name peer-hub --listen 127.0.0.1:1 >/dev/null
cp "$STATE/hub/log.key" "$STATE/peer/log.key"
holds "$BIN/kinward" audit witness "$STATE/witness-me.bin" --previous "$STATE/a.bin" --dir "$STATE/peer" --out "$STATE/said.bin" \
  >"$STATE/said.txt"
key=$(sed -n 's/^  witness key //p' "$STATE/said.txt")
holds kw agency-b audit witnessed "$STATE/said.bin" --key "$key"
holds kw agency-a audit witnessed "$STATE/said.bin" --key "$key"
story_refused agency-a bad_field audit witnessed "$STATE/said.bin"                          # no root names it, and no key
story_refused agency-a not_authentic audit witnessed "$STATE/said.bin" --key "$(printf '%064d' 7)" # somebody else's
# A witness that says that it saw another log is not believed over the hub's signature, and is no alarm.
python3 - "$STATE/witness-me.bin" "$STATE/lie.bin" <<'EOF2'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
at = b.index(b"story-hub") + 9
b[at + 4] ^= 1  # the root
open(sys.argv[2], "wb").write(b)
EOF2
if "$BIN/kinward" audit witness "$STATE/lie.bin" --dir "$STATE/peer" --out "$STATE/lie.said" >/dev/null 2>&1; then
  die "a witness signs what the hub has not signed"
fi
# Nobody has witnessed anything since, and what is sent arrives: a witness that is away delays its own word only.
thread=$(story_refer agency-a agency-b)
story_wait agency-a "$thread" delivered

# R0 is in the evidence, kept beside the message: also when the hub is away.
kw agency-a proof show "$first" --out "$STATE/evidence.bin" | grep -q "logged\|log" || die "no word of the hub in the evidence"
root=$(kw agency-a keys | sed -n 's/^root *//p' | tr -d ' ')
"$BIN/kinward" proof verify "$STATE/evidence.bin" --root "$root" >"$STATE/evidence.txt" || die "the evidence does not hold"
holds grep -q "had logged it" "$STATE/evidence.txt"
story_hub_away
kw agency-a proof show "$first" >"$STATE/evidence.txt" || die "no evidence without the hub"
holds grep -q "had logged it" "$STATE/evidence.txt"
story_hub_back
proved agency-a "$first" >/dev/null

# Somebody else's signature is refused, and logged.
python3 - "$STATE/a.bin" "$STATE/forged.bin" <<'EOF'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
at = b.index(b"story-hub") + 9  # behind the name: the size, which was signed
b[at + 1] ^= 3
open(sys.argv[2], "wb").write(b)
EOF
story_refused agency-b not_authentic audit compare "$STATE/forged.bin"
holds grep -q '"audit_checkpoint_refused".*"rule":"signature"' "$STATE/agency-b.log"

# Two logs: a copy of the hub takes other messages.
story_hub_away
cp -a "$STATE/hub" "$STATE/copy"
story_away agency-b
hub_start
story_online agency-a
story_refer agency-a agency-b >/dev/null
second=$(last_id agency-a)
proved agency-a "$second" >/dev/null
kw agency-a audit checkpoint --out "$STATE/a.bin" >/dev/null
story_hub_away
story_away agency-a
mv "$STATE/hub" "$STATE/true"
mv "$STATE/copy" "$STATE/hub"
export KW_NEW_EPOCH=1 # as after a restore: the agency sends anew what the hub does not know
hub_start
story_back agency-b
story_refer agency-b agency-a >/dev/null
proved agency-b "$(last_id agency-b)" >/dev/null
story_refer agency-b agency-a >/dev/null
proved agency-b "$(last_id agency-b)" >/dev/null
holds verified
story_refused agency-b not_authentic audit compare "$STATE/a.bin"
wait_until 10 bash -c "grep -qE '\"audit_alarm\".*\"rule\":\"(forked|rollback)\"' '$STATE/agency-b.log'" || die "agency-b has no alarm"
# The one who was shown the true log sees it by itself, and goes on: what it sends arrives.
story_back agency-a
if ! wait_until "$STORY_SECONDS" has_alarm agency-a forked; then die "agency-a: $(kw agency-a status --json)"; fi
alarmed agency-a forked
thread=$(story_refer agency-a agency-b)
story_wait agency-a "$thread" delivered
unset KW_NEW_EPOCH

# The alarm is there after a restart, and until a person accepts it; then it is gone, also after a restart.
story_away agency-a
story_back agency-a
alarmed agency-a forked
kw agency-a audit accept >/dev/null
story_away agency-a
story_back agency-a
if has_alarm agency-a forked; then die "the alarm is there after it was accepted"; fi
proved agency-a "$(last_id agency-a)" >/dev/null

# Back to an old store: shorter than what was shown.
story_hub_away
rm -rf "$STATE/hub/db"
export KW_NEW_EPOCH=1
story_freeze agency-b
hub_start
story_online agency-a
story_thaw agency-b
story_refer agency-a agency-b >/dev/null
wait_until "$STORY_SECONDS" bash -c "grep -q '\"audit_alarm\".*\"rule\":\"\\(rollback\\|forked\\)\"' '$STATE/agency-a.log'" ||
  die "no alarm after the store went back"
unset KW_NEW_EPOCH
story_hub_away
rm -rf "$STATE/hub"
mv "$STATE/true" "$STATE/hub"
hub_start

# Forgotten: the log and its proofs stand, and this message is proved no more.
story_online agency-a
kw agency-a audit accept >/dev/null
story_online agency-a
proved agency-a "$second" >/dev/null
holds "$BIN/kinward" audit forget "$digest" --dir "$STATE/hub"
story_refused agency-a not_found audit prove "$first"
holds verified
proved agency-a "$second" >/dev/null

# A log that was changed on disk is not verified.
story_hub_away
STORE="$STATE/hub/db/data.mdb" python3 - <<'EOF'
import os
path = os.environ["STORE"]
b = bytearray(open(path, "rb").read())
at = b.rindex(b"KW\x01e")  # a row of the log, whose first hash stands behind its head of 12
while at >= 0:
    b[at + 12] ^= 1
    at = b.rfind(b"KW\x01e", 0, at)
open(path, "wb").write(b)
EOF
if verified; then die "a log that was changed is verified"; fi
STORY_CHECKS=$((STORY_CHECKS + 1))
story_end
