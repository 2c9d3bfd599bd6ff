# Shell functions that the demo and the end-to-end tests share: a hub and agencies with temporary state.
# Sourced with BIN (folder of the programs) and STATE (an empty folder) set. Every process is stopped by its pid.

export KINWARD_PASSPHRASE="${KINWARD_PASSPHRASE:-demo passphrase}"
HUB_PID=
declare -A AGENT_PID=()

die() { echo "$*" >&2; exit 1; }

# wait_until SECONDS COMMAND...: polls the command until it succeeds
wait_until() {
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 20000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return 0; fi
  done
  die "no free port on 127.0.0.1"
}

hub_make() { # NAME
  HUB_PORT=$(free_port)
  "$BIN/kinward" hub init --dir "$STATE/hub" --name "$1" --listen "127.0.0.1:$HUB_PORT" >"$STATE/hub-init.log"
}

hub_start() {
  "$BIN/kinward-broker" "$STATE/hub/broker.yaml" 2>>"$STATE/hub.log" &
  HUB_PID=$!
  wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$HUB_PORT" || die "the hub did not start; see $STATE/hub.log"
}

hub_kill() { # SIGNAL
  kill "-$1" "$HUB_PID" 2>/dev/null || true
  wait "$HUB_PID" 2>/dev/null || true
  HUB_PID=
}

agency_make() { # NAME
  local code
  code=$("$BIN/kinward" hub add "$1" --dir "$STATE/hub" 2>/dev/null)
  "$BIN/kinward" agent init "$code" --dir "$STATE/$1" --agent-socket "$STATE/$1/agent.sock" >"$STATE/$1-init.log" 2>&1 ||
    die "enrolment of $1 failed: $(cat "$STATE/$1-init.log")"
  echo "receipts_at_once: true" >>"$STATE/$1/agent.yaml" # or each step would wait up to 30 s for its receipt
}

agency_start() { # NAME
  "$BIN/kinward-agent" "$STATE/$1/agent.yaml" 2>>"$STATE/$1.log" &
  AGENT_PID[$1]=$!
  wait_until 20 kw "$1" status || die "the agent of $1 did not start; see $STATE/$1.log"
  # The directory comes with the first session.
  [ -z "$HUB_PID" ] || wait_until 20 knows_directory "$1" || die "no directory came to $1; see $STATE/$1.log"
}

knows_directory() { kw "$1" status --json | grep -Eq '"directoryVersion": ?"?[1-9]'; } # NAME

agency_kill() { # NAME SIGNAL
  kill "-$2" "${AGENT_PID[$1]}" 2>/dev/null || true
  wait "${AGENT_PID[$1]}" 2>/dev/null || true
  unset "AGENT_PID[$1]"
}

# kw AGENCY ARGS...: the command line of one agency
kw() {
  local agency=$1; shift
  KINWARD_SOCKET="$STATE/$agency/agent.sock" "$BIN/kinward" "$@"
}

stop_all() {
  local name
  for name in "${!AGENT_PID[@]}"; do agency_kill "$name" TERM; done
  [ -z "$HUB_PID" ] || hub_kill TERM
}
