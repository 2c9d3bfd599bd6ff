# Shell functions of the story tests: one hub, some agencies, and a case told through the command line alone.
# Sourced by tests/e2e/test_story_*.sh:
#
#   . "$(dirname "$0")/story_lib.sh"
#   story_begin agency-a agency-b            hub and agents run; everything is stopped and removed at exit
#   thread=$(story_refer agency-a agency-b)  sends a referral, prints its thread
#   story_wait agency-b "$thread" delivered
#   story_event agency-b "$thread" acknowledged
#   story_refused agency-a illegal_state event "$thread" accepted
#   story_timeline agency-a "$thread" "queued delivered acknowledged"
#   story_end                                 prints what held; a story that does not reach it fails
#
# What fails says which line of the story it was, and keeps state and logs.

set -euo pipefail
BIN=${KW_BUILD_DIR:?KW_BUILD_DIR must name the build folder}/bin
STORY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STORY_SECONDS=${STORY_SECONDS:-60} # longest wait; the machine may be busy
STORY_CHECKS=0
STORY_NUMBER=0
STATE=$(mktemp -d /tmp/kinward-story.XXXXXX)
# shellcheck source=deploy/lib.sh
. "$STORY_ROOT/deploy/lib.sh"

story_finish() {
  local code=$? pid
  for pid in "${AGENT_PID[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
  stop_all
  if [ "$code" = 0 ] && [ -e "$STATE/ended" ]; then
    rm -rf "$STATE"
  else
    echo "FAILED (exit $code); state and logs are in $STATE"
    exit 1
  fi
}
trap story_finish EXIT
trap 'echo "$(basename "${BASH_SOURCE[0]}") line $LINENO (called from line ${BASH_LINENO[0]:-0}): $BASH_COMMAND" >&2' ERR
set -o errtrace

# story_begin AGENCY...: a hub and the agents of these agencies
story_begin() {
  hub_make story-hub
  hub_start
  local agency
  for agency in "$@"; do story_agency "$agency"; done
}

# story_agency NAME: one more agency
story_agency() { agency_make "$1"; agency_start "$1"; }

# An agency goes away and comes back; so does the hub. What is on disk stays.
story_away() { agency_kill "$1" "${2:-TERM}"; }
story_back() { agency_start "$1"; story_online "$1"; }
story_hub_away() { hub_kill "${1:-TERM}"; }
# An agent that stands still: neither away nor there, as on a machine that swaps. Its command line does not answer either.
story_freeze() { kill -STOP "${AGENT_PID[$1]}"; }
story_thaw() { kill -CONT "${AGENT_PID[$1]}"; }
story_hub_back() {
  hub_start
  local agency
  for agency in "${!AGENT_PID[@]}"; do story_online "$agency"; done
}

story_is_online() { { kw "$1" status --json || true; } | grep -q '"online":true'; }
# An agent that lost its hub waits longer each time before it dials again.
story_online() { wait_until "$STORY_SECONDS" story_is_online "$1" || die "$1 does not come online"; }

story_thread_of() { sed -n 's/^  thread   *//p'; }
story_message_of() { sed -n 's/^  message  *//p'; }

# story_refer FROM TO [OPTIONS of kinward send]: sends a referral of a made-up child and prints the thread
story_refer() {
  local from=$1 to=$2
  shift 2
  local case_ref="S-$$-$RANDOM" given=" $* " options=()
  [[ $given == *" --service "* ]] || options+=(--service shelter)
  [[ $given == *" --risk "* ]] || options+=(--risk medium)
  [[ $given == *" --case-ref "* ]] || options+=(--case-ref "$case_ref")
  [[ $given == *" --reason "* ]] || options+=(--reason "Alone since Monday")
  kw "$from" send "$to" "${options[@]}" --code "$case_ref" --age 9 --sex female \
    --referrer "Jo Bol" --consent-from caregiver "$@" | story_thread_of
}

# story_event AGENCY THREAD STATE [OPTIONS of kinward event]: with what the schema demands of that state, unless given
story_event() {
  local agency=$1 thread=$2 state=$3
  shift 3
  local given=" $* " options=()
  story_needs() { [[ $given == *" $1 "* ]] || options+=("$@"); }
  case $state in
    rejected|not_provided) story_needs --reason no_capacity ;;
    need_info) story_needs --note "Which languages does the child speak?" ;;
    scheduled) story_needs --appointment 2030-03-01T14:00+03:00 ;;
    completed) story_needs --outcome service_provided ;;
    closed) story_needs --feedback "The caregiver was told by phone" ;;
    onward_proposed) story_needs --onward agency-c ;;
  esac
  kw "$agency" event "$thread" "$state" "${options[@]}" "$@" >/dev/null
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

# story_refused AGENCY CODE COMMAND...: the command must be refused with this error code, and nothing may change by it
story_refused() {
  local agency=$1 code=$2 out
  shift 2
  if out=$(kw "$agency" "$@" --json 2>/dev/null); then die "not refused: $agency $*"; fi
  grep -q "\"code\":\"$code\"" <<<"$out" || die "$agency $*: refused, but not with $code: $out"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

# story_state AGENCY THREAD: the state of a thread as that agency sees it
story_state() { kw "$1" case show "$2" 2>/dev/null | sed -n 's/^state  *\([a-z_]*\).*/\1/p'; }

story_has_state() { [ "$(story_state "$1" "$2")" = "$3" ]; }

# story_wait AGENCY THREAD STATE: until that agency sees the thread in that state
story_wait() {
  wait_until "${4:-$STORY_SECONDS}" story_has_state "$1" "$2" "$3" ||
    die "$1 sees '$(story_state "$1" "$2")' and not '$3' in thread $2"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

# story_both THREAD STATE AGENCY AGENCY: both ends come to see this state
story_both() { story_wait "$3" "$1" "$2"; story_wait "$4" "$1" "$2"; }

# story_timeline AGENCY THREAD "STATE...": the states that the thread went through, in order, without those of refused events
story_timeline() {
  local states
  states=$(kw "$1" case timeline "$2" | awk '$NF != "(refused)" && $1 ~ /^[0-9]+$/ { print $5 }' | xargs)
  [ "$states" = "$3" ] || die "timeline of $2 at $1 is '$states' and not '$3'"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

# story_words AGENCY COMMAND...: the first line that a refused command says
story_words() { local agency=$1; shift; (kw "$agency" "$@" 2>&1 >/dev/null || true) | head -n 1; }

# story_count AGENCY COMMAND...: lines that a list prints
story_count() { local agency=$1; shift; kw "$agency" "$@" 2>/dev/null | wc -l; }

# story_is TEXT ACTUAL WANTED
story_is() {
  [ "$2" = "$3" ] || die "$1: '$2' and not '$3'"
  STORY_CHECKS=$((STORY_CHECKS + 1))
}

# story_json AGENCY COMMAND... -- PYTHON: an expression over the JSON that the command prints, as `j`
story_json() {
  local agency=$1 words=()
  shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  kw "$agency" "${words[@]}" --json | python3 -c 'import json, sys; j = json.load(sys.stdin); print(eval(sys.argv[1]))' "$2"
}

# story_settled AGENCY: nothing of ours is on its way any more
story_is_settled() {
  [ "$(story_json "$1" status -- 'int(j.get("queued", 0)) + int(j.get("held", 0)) + int(j.get("delivered", 0))')" = 0 ]
}
story_settled() { wait_until "$STORY_SECONDS" story_is_settled "$1" || die "$1 does not settle: $(kw "$1" status)"; }

# story_chapter TEXT: a heading in the output
story_chapter() { STORY_NUMBER=$((STORY_NUMBER + 1)); echo "$STORY_NUMBER. $*"; }

story_end() {
  [ "$STORY_CHECKS" -gt 0 ] || die "a story without a check"
  touch "$STATE/ended"
  echo "$STORY_CHECKS checks held"
}
