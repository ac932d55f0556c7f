#!/usr/bin/env bash
# UAQF from nothing to a ranking: installs what is missing, builds, starts a coordinator and seven workers, measures
# six variants of SmolLM2-135M-Instruct, fp16 twice for the noise floor, and ranks them.
#
#   deploy/demo.sh           run, print the answer, stop everything
#   deploy/demo.sh --keep    leave the service running and say how to query it
#   deploy/demo.sh --stop    stop a service that was left running
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${UAQF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uaqf}
run=$cache/demo
bin=$root/build/bin
variants=fp16,rtn-w8,rtn-w4,rtn-w8-channel,rtn-w4-channel,rtn-w4-g64
model=smollm2-135m-instruct
export UAQF_SERVER=127.0.0.1:7600

step() { printf '\n== %s\n' "$*"; }

stop_service() {
  local file pid
  # Workers first: they say goodbye to the coordinator.
  for file in "$run"/worker-*.pid "$run"/server.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    # A pid file can outlive its process: only stop what is ours.
    if [[ "$(readlink -f "/proc/$pid/exe" 2>/dev/null)" == */uaqf-* ]]; then
      kill "$pid" 2>/dev/null || true
      timeout 20 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$file"
  done
}

start() { # name, command...
  local name=$1
  shift
  "$@" >"$run/$name.log" 2>&1 &
  echo $! >"$run/$name.pid"
}

# A port may be in use: then another service would answer in place of ours.
need_running() {
  local file
  for file in "$run"/*.pid; do
    kill -0 "$(cat "$file")" 2>/dev/null && continue
    echo "demo: $(basename "$file" .pid) has ended:" >&2
    tail -n 3 "${file%.pid}.log" >&2
    exit 1
  done
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    need_running
    [ $SECONDS -lt $limit ] || { echo "demo: $what did not happen; see $run/*.log" >&2; exit 1; }
    sleep 0.2
  done
  need_running
}

worker_count() { "$bin/uaqf" workers --output json | python3 -c 'import json,sys; print(len(json.load(sys.stdin).get("workers", [])))'; }
all_workers() { [ "$(worker_count)" -eq 7 ]; }

build() {
  step "set up and build"
  "$root/deploy/dependencies.sh"
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  (cd "$root" && cmake --preset release >/dev/null)
  cmake --build "$root/build" -j "$(nproc)" --target uaqf_server_program uaqf_worker_program uaqf_cli_program
}

start_service() {
  step "start the coordinator and seven workers"
  stop_service
  rm -rf "$run" && mkdir -p "$run"
  start server "$bin/uaqf-server" --insecure-dev --store "$run/uaqf.db"
  wait_for 20 "the coordinator's start" "$bin/uaqf" workers
  for slot in 1 2 3 4 5 6 7; do
    start "worker-$slot" "$bin/uaqf-worker" serve --insecure-dev --server 127.0.0.1:7601 \
      --models "$cache/deps/models" --device cpu --worker-name "demo-$slot"
  done
  wait_for 60 "the workers' arrival" all_workers
  "$bin/uaqf" workers
}

measure() {
  step "measure: 13 prompts, one of each category, 3 repeats, 32 tokens out; 15 windows of 512 tokens"
  "$bin/uaqf" prompts import "$root/deploy/demo/prompts.jsonl" --take 13 --name demo
  "$bin/uaqf" prompts import "$root/deploy/demo/prose.txt" --kind text --name demo-prose
  job=$("$bin/uaqf" jobs submit --model "$model" --variants "$variants" --prompts demo --repeats 3 \
    --max-output-tokens 32 --chat --quality-text demo-prose --context 512 --windows 15 --seed 1 --output json |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["name"])')
  "$bin/uaqf" jobs watch "$job"
}

answer() {
  for profile in latency-critical accuracy-critical memory-constrained paper-utility; do
    step "ranking for profile $profile"
    "$bin/uaqf" rank "$job" --profile "$profile"
  done
}

keep=no
case "${1:-}" in
  "") ;;
  --keep) keep=yes ;;
  --stop) stop_service; exit 0 ;;
  *) echo "usage: deploy/demo.sh [--keep|--stop]" >&2; exit 2 ;;
esac

build
[ "$keep" = yes ] || trap stop_service EXIT
start_service
measure
answer
if [ "$keep" = yes ]; then
  step "the service keeps running"
  cat <<TEXT
  $bin/uaqf rank $job --profile balanced
  $bin/uaqf jobs records $job --output csv
  curl -s http://127.0.0.1:9464/metrics | grep ^uaqf_
  deploy/demo.sh --stop
TEXT
fi
