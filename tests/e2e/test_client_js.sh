#!/usr/bin/env bash
# The JavaScript client and its example against real agents. Node and npm are on the list of deploy/install-deps.sh --test;
# protobufjs comes from npm in the version and with the digest of agent/clients/js/package-lock.json, once.
set -euo pipefail
BIN=${KW_BUILD_DIR:?KW_BUILD_DIR must name the build folder}/bin
cd "$(dirname "$0")/../.."
for tool in node npm; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: the JavaScript client, because there is no $tool (deploy/install-deps.sh --test)"; exit 0; }
done
MODULES=$KW_BUILD_DIR/js
mkdir -p "$MODULES"
if ! cmp -s agent/clients/js/package-lock.json "$MODULES/package-lock.json" || [ ! -d "$MODULES/node_modules/protobufjs" ]; then
  cp agent/clients/js/package.json agent/clients/js/package-lock.json "$MODULES"
  npm ci --prefix "$MODULES" --no-audit --no-fund --ignore-scripts --loglevel=error
fi
export NODE_PATH=$MODULES/node_modules
STATE=$(mktemp -d /tmp/kinward-js.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_all; rm -rf "$STATE"' EXIT
hub_make js-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; agency_start "$agency"; done
online() { kw "$1" status | grep -q " is online "; }
for agency in agency-a agency-b; do wait_until 30 online "$agency" || die "$agency does not come online"; done
mkdir "$STATE/own"
timeout 120 node tests/e2e/client_js.js "$STATE/agency-a/agent.sock" "$STATE/agency-b/agent.sock" "$STATE/own"

said=$(KINWARD_SOCKET=$STATE/agency-a/agent.sock timeout 90 node agent/clients/js/send_referral.js agency-b J-9 "Needs a place to sleep")
echo "$said"
echo "$said" | grep -q '^OUT_STATE_' || die "the example did not see its message arrive"
id=$(echo "$said" | sed -n 's/.*message //p')
kw agency-b show "$id" --json | grep -q '"reason": *"Needs a place to sleep"' || die "the example's message is not in the inbox"
# Control: a wrong name fails, with the agent's words.
code=0
KINWARD_SOCKET=$STATE/agency-a/agent.sock node agent/clients/js/send_referral.js agency-x J-9 "To nobody" 2>"$STATE/err" || code=$?
[ "$code" = 1 ] && grep -q "No such agency" "$STATE/err" || die "the example does not tell of a refusal: $code $(cat "$STATE/err")"
