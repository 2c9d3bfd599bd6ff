#!/usr/bin/env bash
# Installs what is missing to build Kinward on Debian 12 or a relative of it.
#
#   deploy/install-deps.sh          what the build needs
#   deploy/install-deps.sh --test   that, and what tests/run.sh needs
#
# It says what it installs and why, and does nothing when nothing is missing. It needs root, or sudo.
set -euo pipefail

build_packages=(
	"cmake:the build"
	"ninja-build:the build"
	"pkg-config:finds the libraries below"
	"gcc:the compiler"
	"libc6-dev:the C library's headers"
	"libuv1-dev:event loop"
	"libprotobuf-c-dev:messages"
	"protobuf-c-compiler:turns the schema into C"
	"protobuf-compiler:turns the schema into C and Python"
	"libprotobuf-dev:descriptor.proto, for the schema's own options"
	"python3:turns the schema's rules into the validator's tables"
	"python3-protobuf:the same, and the Python client"
	"iso-codes:languages, countries and scripts that a message may name"
	"libssl-dev:TLS and cryptography"
	"liblmdb-dev:the store"
	"libicu-dev:names in every script, for reconciliation"
	"libcyaml-dev:configuration files"
	"libyaml-dev:libcyaml links it, and its package does not bring it"
	"libjansson-dev:JSON importers and the webhook"
	"libcsv-dev:spreadsheet importer"
	"uthash-dev:hash tables"
	"libqrencode-dev:enrolment codes as QR"
	"libsystemd-dev:readiness and watchdog"
	"scdoc:manual pages"
)
test_packages=(
	"libcmocka-dev:test programs"
	"procps:pgrep, in the end-to-end tests"
	"python3-cryptography:the second decoder of the protocol, in tests/decoder"
	"clang:fuzzers"
	"libclang-rt-14-dev:sanitizers for clang"
	"clang-format:the code style"
	"ccache:faster rebuilds"
	"binutils:the purity rule reads symbols"
	"git:the rules ask it which files count"
	"openssl:test certificates"
	"nodejs:the JavaScript client"
	"npm:the schema linter"
	"strace:fault injection"
	"libfaketime:a hub whose clock stands hours later"
	"iproute2:network namespaces"
	"procps:memory of a running daemon"
	"ca-certificates:package downloads over TLS"
)

say() { printf 'install-deps: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

packages=("${build_packages[@]}")
case "${1:-}" in
"") ;;
--test) packages+=("${test_packages[@]}") ;;
-h | --help)
	sed -n '2,7s/^# \{0,1\}//p' "$0"
	exit 0
	;;
*) fail "unknown option $1; the only one is --test" ;;
esac

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	fail "this is no Debian-like system; install these by hand: ${packages[*]%%:*}"

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# A tool that came some other way is good too: a newer node or clang need not give way to the packaged one.
present() {
	case "$1" in
	cmake | gcc | clang | clang-format | ccache | git | openssl | python3 | npm | strace | scdoc) command -v "$1" >/dev/null ;;
	nodejs) command -v node >/dev/null ;;
	ninja-build) command -v ninja >/dev/null ;;
	pkg-config) command -v pkg-config >/dev/null ;;
	python3-cryptography) python3 -c 'import cryptography' 2>/dev/null ;;
	python3-protobuf) python3 -c 'import google.protobuf' 2>/dev/null ;;
	*) return 1 ;;
	esac
}

missing=()
for row in "${packages[@]}"; do
	name=${row%%:*}
	installed "$name" || present "$name" || {
		missing+=("$name")
		say "missing $name (${row#*:})"
	}
done
if [ ${#missing[@]} -eq 0 ]; then
	say "nothing is missing"
	exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "run this as root, or install sudo; missing: ${missing[*]}"
	as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq ||
	fail "apt-get update failed; check the network and /etc/apt/sources.list"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
	fail "apt-get install failed; missing: ${missing[*]}"
say "installed ${missing[*]}"
