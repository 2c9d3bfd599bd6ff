#!/usr/bin/env bash
# The one test command. From a clean clone on Debian 12:
#
#   tests/run.sh
#
# It installs what is missing, then: dev build with rules, unit, shell, sim and e2e; asan build with unit and shell;
# every fuzz target for a while, from the seeds in tests/fuzz/corpus/TARGET/ and the words in tests/fuzz/TARGET.dict; the
# schema linter. Results land in build/. The last line is 'N passed, N failed'.
#
#   KW_FUZZ_SECONDS=60   seconds for each fuzz target; 0 skips fuzzing
#   KW_JOBS=<cores>      compilers and tests at a time
#   KW_NO_INSTALL=1      install nothing
set -euo pipefail
cd "$(dirname "$0")/.."

fuzz_seconds=${KW_FUZZ_SECONDS:-60}
jobs=${KW_JOBS:-$(nproc)}
buf_version=1.75.0

passed=0
failed=0
failures=()

step() { printf '\n=== %s (%d s)\n' "$*" "$SECONDS"; }
good() { passed=$((passed + 1)); }
bad() {
	failed=$((failed + 1))
	failures+=("$1")
}

# build PROFILE: configures and compiles. A build that fails counts as one failure; what did build is tested all the same.
build() {
	step "build $1"
	local log=build/$1/configure.log
	mkdir -p "build/$1"
	if ! cmake -G Ninja -B "build/$1" -DKW_PROFILE="$1" >"$log" 2>&1; then
		cat "$log"
		bad "configure $1"
		return 1
	fi
	ninja -C "build/$1" -j "$jobs" -k 0 --quiet || bad "build $1"
}

# suite PROFILE LABELS: runs ctest and adds its counts.
suite() {
	step "$1: $2"
	local report=build/$1/ctest-$1.log
	ctest --test-dir "build/$1" -L "^($2)\$" -j "$jobs" --output-on-failure --no-tests=ignore 2>&1 | tee "$report" || true
	local bad_count total
	total=$(sed -n 's/.*tests passed, .* out of \([0-9]*\)$/\1/p' "$report")
	bad_count=$(sed -n 's/.*tests passed, \([0-9]*\) tests\{0,1\} failed out of.*/\1/p' "$report")
	if [ -z "$total" ]; then
		grep -q 'No tests were found' "$report" || bad "ctest $1 gave no summary"
		return
	fi
	passed=$((passed + total - bad_count))
	failed=$((failed + bad_count))
	[ "$bad_count" -eq 0 ] || failures+=("$1: $bad_count test(s) of $2, see above")
}

# fuzz_one TARGET: new inputs and crashes go to build/fuzz, never into the tree.
fuzz_one() {
	local target=$1 name seeds
	name=$(basename "$target")
	seeds=tests/fuzz/corpus/$name
	mkdir -p "build/fuzz/corpus/$name" "build/fuzz/crashes/$name"
	[ -d "$seeds" ] || seeds=
	local dict=tests/fuzz/$name.dict
	[ -f "$dict" ] || dict=
	ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 timeout $((fuzz_seconds + 120)) "$target" \
		-max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -use_value_profile=1 \
		${dict:+"-dict=$dict"} \
		-artifact_prefix="build/fuzz/crashes/$name/" "build/fuzz/corpus/$name" ${seeds:+"$seeds"} \
		>"build/fuzz/$name.log" 2>&1
}

fuzz_all() {
	step "fuzz, $fuzz_seconds s each"
	local target running=() names=()
	wait_first() {
		if wait "${running[0]}"; then
			good
			printf 'ok      %s: %s\n' "${names[0]}" \
				"$(grep -h 'stat::number_of_executed_units' "build/fuzz/${names[0]}.log" | tr -s ' ' || true)"
		else
			bad "fuzz ${names[0]}"
			printf 'FAILED  %s: build/fuzz/%s.log ends\n' "${names[0]}" "${names[0]}"
			tail -n 40 "build/fuzz/${names[0]}.log"
		fi
		running=("${running[@]:1}")
		names=("${names[@]:1}")
	}
	for target in build/fuzz/tests/fuzz/fuzz_*; do
		[ -x "$target" ] || continue
		[ -f "tests/fuzz/$(basename "$target").c" ] || continue # left over from an older build
		[ "${#running[@]}" -lt "$jobs" ] || wait_first
		fuzz_one "$target" &
		running+=($!)
		names+=("$(basename "$target")")
	done
	while [ "${#running[@]}" -gt 0 ]; do wait_first; done
}

# The linter's npm package carries its program, so nothing else is downloaded.
lint_schema() {
	step "schema: buf lint"
	if ! command -v npm >/dev/null; then
		echo "SKIPPED: buf lint, because there is no npm"
		return
	fi
	local buf=build/buf/node_modules/.bin/buf
	if [ ! -x "$buf" ] || [ "$("$buf" --version 2>/dev/null)" != "$buf_version" ]; then
		mkdir -p build/buf
		if ! npm install --prefix build/buf --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
			"@bufbuild/buf@$buf_version"; then
			bad "buf install"
			return
		fi
	fi
	if "$buf" lint proto; then good; else bad "buf lint"; fi
}

[ -n "${KW_NO_INSTALL:-}" ] || deploy/install-deps.sh --test

if build dev; then suite dev "rules|unit|shell|sim|e2e"; fi
if build asan; then suite asan "unit|shell"; fi
if [ "$fuzz_seconds" -gt 0 ] && build fuzz; then fuzz_all; fi
lint_schema

step "done"
for line in "${failures[@]}"; do printf 'failed: %s\n' "$line"; done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
