#!/usr/bin/env bash
# A daemon that cannot start says which setting or file is at fault, the rule, and what to do. Each case is a mistake that an
# operator makes; the words after it must all stand in what the daemon writes.
set -euo pipefail
BIN=${KW_BUILD_DIR:?}/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-start.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_all; rm -rf "$STATE"' EXIT
failures=0

# fails_with EXIT COMMAND... -- WORD...: runs the command, which must end by itself
fails_with() {
  local want=$1 code=0 out word; shift
  local command=()
  while [ "$1" != -- ]; do command+=("$1"); shift; done
  shift
  out=$(timeout 20 "${command[@]}" 2>&1 </dev/null) || code=$?
  [ "$code" = "$want" ] || { echo "FAILED: exit $code, not $want: ${command[*]}: $out"; failures=$((failures + 1)); }
  for word in "$@"; do
    grep -qF -- "$word" <<<"$out" || { echo "FAILED: no \"$word\" in: $out"; failures=$((failures + 1)); }
  done
}

hub_make start-hub
yaml=$STATE/hub/broker.yaml
good=$(cat "$yaml")
# broker_with EXIT SED WORD...: a broker whose configuration was edited
broker_with() {
  local want=$1 edit=$2; shift 2
  sed "$edit" <<<"$good" >"$yaml"
  fails_with "$want" "$BIN/kinward-broker" "$yaml" -- "$@"
  printf '%s\n' "$good" >"$yaml"
}
broker_with 2 's/^listen:.*/listen: localhost:27555/' listen "numeric address"
broker_with 2 's/^listen:.*/listen: 127.0.0.1:99999/' listen "at most 65535"
broker_with 1 's/^listen:.*/listen: 192.0.2.1:27555/' '"field":"listen"' "no such address"
broker_with 1 's/^hub:.*/hub: other-hub/' '"field":"hub"' "certificates in this folder are of hub start-hub" "write hub: start-hub"
broker_with 2 '$a half_open_max: 0' half_open_max "1 or more"
mv "$STATE/hub/issuer.key" "$STATE/issuer.key"
broker_with 1 '' '"field":"issuer.key"' "missing"
mv "$STATE/issuer.key" "$STATE/hub/issuer.key"
chmod 0644 "$STATE/hub/server.key"
broker_with 1 '' '"field":"server.key"' "mode 0400"
chmod 0400 "$STATE/hub/server.key"

hub_start
fails_with 1 "$BIN/kinward-broker" "$yaml" -- '"field":"db"' "another broker runs on this store"
"$BIN/kinward" hub init --dir "$STATE/hub2" --name start-hub --listen "127.0.0.1:$HUB_PORT" >/dev/null
fails_with 1 "$BIN/kinward-broker" "$STATE/hub2/broker.yaml" -- '"field":"listen"' "another program listens" "write another listen"

agency_make agency-a
agent=$STATE/agency-a/agent.yaml
good=$(cat "$agent")
agent_with() { # as broker_with; the agent's exit code is 2
  local edit=$1; shift
  sed "$edit" <<<"$good" >"$agent"
  fails_with 2 "$BIN/kinward-agent" "$agent" -- "$@"
  printf '%s\n' "$good" >"$agent"
}
agent_with "s/^hub:.*/hub: ':x'/" '"field":"hub"' "HOST:PORT"
agent_with "s/^hub:.*/hub: 0.0.0.0:7443/" '"field":"hub"' "nobody can dial"
agent_with "s/^state:.*/state: \/nonexistent/" '"field":"state"' "this file is missing"
chmod 0770 "$STATE/agency-a"
fails_with 2 "$BIN/kinward-agent" "$agent" -- '"field":"state"' "nobody else can write in"
chmod 0700 "$STATE/agency-a"
agent_with '$a passphrase_file: /nonexistent' '"field":"passphrase_file"' "there is no such file"
fails_with 2 env KINWARD_PASSPHRASE="another passphrase" "$BIN/kinward-agent" "$agent" -- '"field":"passphrase_file"' \
  "the passphrase is not the one of this key file"
fails_with 2 env KINWARD_PASSPHRASE=short "$BIN/kinward-agent" "$agent" -- '"field":"passphrase_file"' "shorter than 8 characters"
agency_start agency-a
fails_with 1 "$BIN/kinward-agent" "$agent" -- '"field":"state"' "another agent runs on this state"
cp -r "$STATE/agency-a" "$STATE/copy" # a second agent of the same agency, on the same socket
sed "s|^state:.*|state: $STATE/copy|" "$agent" >"$STATE/copy/agent.yaml"
fails_with 1 "$BIN/kinward-agent" "$STATE/copy/agent.yaml" -- '"field":"socket"' "another program listens on this socket"

for daemon in kinward-broker kinward-agent; do
  fails_with 0 "$BIN/$daemon" --version -- "$daemon "
  fails_with 0 "$BIN/$daemon" --help -- "Usage: $daemon" "Exit codes"
  fails_with 2 "$BIN/$daemon" --nonsense -- "Usage: $daemon" "--nonsense"
  fails_with 2 "$BIN/$daemon" -- "Usage: $daemon"
done
echo "failures: $failures"
[ "$failures" = 0 ]
