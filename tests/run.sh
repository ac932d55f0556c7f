#!/usr/bin/env bash
# Builds and runs every test: release build with all labels, the unit tests under ASan and UBSan, the scheduling
# core and the store under TSan, and clang's lock annotations over the server and the worker's link.
#
#   tests/run.sh            everything
#   tests/run.sh release    one part: release, asan, tsan or clang
#
# Needs nothing but Debian 12 with root or sudo: deploy/dependencies.sh installs the rest.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
# One compiler cache serves every checkout and every build folder.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
jobs=$(nproc)

part() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

build() { # preset, targets
  local preset=$1
  shift
  cmake --preset "$preset" >/dev/null
  # Only what the compiler says, not each step; pipefail keeps the build's own verdict.
  cmake --build "build${suffix[$preset]}" -j "$jobs" ${1:+--target "$@"} |
    { grep -vE '^\[[0-9]+/[0-9]+\]|^ninja: no work' || true; }
}
declare -A suffix=([release]="" [asan]=-asan [tsan]=-tsan [clang]=-clang)

test_in() { # folder, ctest arguments
  local folder=$1
  shift
  ctest --test-dir "$folder" --output-on-failure --no-tests=error "$@"
}

release() {
  part "release build"
  build release
  part "unit tests"
  test_in build -L unit -j "$jobs"
  # These start programs and measure: one at a time.
  part "integration and fault tests"
  test_in build -LE unit
}

asan() {
  part "unit tests under ASan and UBSan"
  build asan unit_tests
  # The gRPC and libtorch libraries keep what they allocate until exit.
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 test_in build-asan -L unit
}

tsan() {
  part "scheduling core and store under TSan"
  build tsan core_test store_test
  test_in build-tsan -R '^(core_test|store_test)$'
}

clang() {
  part "lock annotations (clang -Wthread-safety -Werror)"
  build clang uaqf_wire uaqf_core uaqf_ranking uaqf_store uaqf_metrics uaqf_rpc uaqf_measure uaqf_link
}

"$root/deploy/dependencies.sh" --tests
case "${1:-all}" in
  all) release; tsan; clang; asan ;;
  release | asan | tsan | clang) "$1" ;;
  *) echo "usage: tests/run.sh [release|asan|tsan|clang]" >&2; exit 2 ;;
esac
part "every part passed"
