#!/usr/bin/env bash
# What README.md says to type works: its C program builds with its build line and sends, and so do its shell commands.
set -euo pipefail
BUILD=${KW_BUILD_DIR:?}
BIN=$BUILD/bin
cd "$(dirname "$0")/../.."
STATE=$(mktemp -d /tmp/kinward-readme.XXXXXX)
# shellcheck source=deploy/lib.sh
. deploy/lib.sh
trap 'stop_all; rm -rf "$STATE"' EXIT

# The block of README.md that begins with ```KIND and holds WORD.
block() { # KIND WORD
  python3 - "$1" "$2" <<'PY'
import sys
blocks, kind = [], None
for line in open("README.md"):
    if not line.startswith("```"):
        if kind is not None:
            blocks[-1][1].append(line)
    elif kind is None:
        kind = line[3:].strip()
        blocks.append((kind, []))
    else:
        kind = None
found = ["".join(text) for kind, text in blocks if kind == sys.argv[1] and any(sys.argv[2] in line for line in text)]
if len(found) != 1:
    sys.exit(f"{len(found)} blocks of README.md hold {sys.argv[2]}, one is wanted")
print(found[0], end="")
PY
}
# The command of that block that begins with WORD, its continued lines too.
command_of() { block "" "$1" | awk -v word="$1" 'index($0, word) == 1 { on = 1 } on { print } on && !/\\$/ { exit }'; }

hub_make readme-hub
hub_start
for agency in agency-a agency-b; do agency_make "$agency"; agency_start "$agency"; done
inbox_is() { [ "$(kw agency-b inbox 2>/dev/null | wc -l)" = "$1" ]; }

block c first.c >"$STATE/first.c"
line=$(command_of "cc ")
line=${line//build\/release/$BUILD}
line=${line/first.c -o first/$STATE/first.c -o $STATE/first}
flags="-Wall -Wextra -Werror" # and what the libraries of a build for tests want
case $(sed -n 's/^KW_PROFILE:[A-Z]*=//p' "$BUILD/CMakeCache.txt") in
  asan) flags+=" -fsanitize=address,undefined" ;;
  tsan) flags+=" -fsanitize=thread" ;;
esac
bash -euc "${line/cc /cc $flags }"
KINWARD_SOCKET=$STATE/agency-a/agent.sock "$STATE/first" | grep -E '^in the outbox: [0-9a-f]{32}$'
wait_until 30 inbox_is 1 || die "the C program's referral has not arrived"
# Nobody listens: it says what to do and fails.
if KINWARD_SOCKET=$STATE/none "$STATE/first" 2>"$STATE/said"; then die "success without an agent"; fi
grep -q "Start kinward-agent" "$STATE/said"

PATH=$BIN:$PATH KINWARD_SOCKET=$STATE/agency-a/agent.sock bash -euc "$(command_of 'kinward send')" >/dev/null
wait_until 30 inbox_is 2 || die "the shell command's referral has not arrived"

# The set-up, with the folders and the address of this test.
init=$(command_of 'kinward hub init')
init=${init//\/var\/lib\/kinward/$STATE\/setup}
mkdir "$STATE/setup"
PATH=$BIN:$PATH bash -euc "$init" >/dev/null
PATH=$BIN:$PATH bash -euc "$(command_of 'kinward hub add' | sed "s|/var/lib/kinward|$STATE/setup|")" 2>/dev/null | grep -q '^KW1-'
grep -qx 'listen: 0.0.0.0:7443' "$STATE/setup/hub/broker.yaml"
echo "README.md works"
