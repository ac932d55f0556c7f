#!/usr/bin/env bash
# The whole system on a GPU machine: coordinator, two workers that share a card, client; a job with the default model
# (with perplexity) and one with synthetic:llama-2-7b in the paper's protocol (512 in, 512 out), both ranked; then a
# worker that loses its GPU in the middle of a job.
#
#   tests/bench/gpu_system.sh PREFIX MODELS PROMPTS.jsonl TEXT
#
# PREFIX is what gpu_pack.sh packed, unpacked; MODELS the folder with smollm2-135m-instruct.gguf (without it only the
# synthetic job runs). Everything is in a scratch folder and ends with the script. SECOND_DEVICE=cuda:1 gives the second
# worker a card of its own.
set -euo pipefail

prefix=$1 models=$2 prompts=$3 text=$4
device=${DEVICE:-cuda:0}
second_device=${SECOND_DEVICE:-$device}
shape=${SHAPE:-synthetic:llama-2-7b}
run=$(mktemp -d)
pids=()
export UAQF_SERVER=127.0.0.1:7600 UAQF_RUN_DIR=$run
program() { "$prefix/run.sh" "$prefix/bin/$@"; }
step() { printf '\n== %s %s\n' "$(date +%T)" "$*"; }
finish() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$run"
}
trap finish EXIT

start() { # name, program, arguments
  local name=$1
  shift
  "$prefix/run.sh" "$prefix/bin/$@" >"$run/$name.log" 2>&1 &
  pids+=($!)
}

workers() { program uaqf workers --output json | python3 -c 'import json,sys; print(len(json.load(sys.stdin).get("workers", [])))'; }
await_workers() {
  local limit=$((SECONDS + 60))
  until [ "$(workers 2>/dev/null || echo 0)" -ge "$1" ]; do
    [ $SECONDS -lt $limit ] || { echo "the workers did not come:" >&2; tail -n 5 "$run"/*.log >&2; exit 1; }
    sleep 0.3
  done
}

worker() { # name, device
  start "$1" uaqf-worker serve --insecure-dev --server 127.0.0.1:7601 --models "$models" --synthetic \
    --device "$2" --worker-name "$1"
}

submit() { # arguments; prints the job's name
  program uaqf jobs submit "$@" --output json | python3 -c 'import json,sys; print(json.load(sys.stdin)["name"])'
}

step "coordinator, a worker on $device and one on $second_device"
start server uaqf-server --insecure-dev --store "$run/uaqf.db"
sleep 1
worker gpu-a "$device"
worker gpu-b "$second_device"
await_workers 2
program uaqf workers
program uaqf prompts import "$prompts" --take "${TAKE:-4}" --name system
program uaqf prompts import "$text" --kind text --name system-text

if [ -e "$models/smollm2-135m-instruct.gguf" ]; then
  step "smollm2-135m-instruct, with perplexity"
  job=$(submit --model smollm2-135m-instruct --variants fp16,rtn-w8-channel,rtn-w4-g64 --prompts system --repeats 2 \
    --max-output-tokens 64 --chat --quality-text system-text --context 512 --windows 8 --seed 1)
  timeout 120 "$prefix/run.sh" "$prefix/bin/uaqf" jobs watch "$job"
  program uaqf rank "$job" --profile balanced
fi

step "$shape, 512 in, 512 out"
job=$(submit --model "$shape" --variants fp16,rtn-w8-channel,rtn-w4-g128 --prompts system --repeats 2 \
  --input-tokens 512 --max-output-tokens 512 --output-length fixed --seed 1 --no-noise-floor)
timeout 200 "$prefix/run.sh" "$prefix/bin/uaqf" jobs watch "$job"
program uaqf rank "$job" --weights speed=0.5,memory=0.5 --no-sanity

step "a job that says perplexity of random weights is refused"
submit --model synthetic:tiny --variants fp16 --prompts system --repeats 1 --quality-text system-text \
  --context 512 --windows 1 >"$run/refused" && program uaqf jobs watch "$(cat "$run/refused")" ||
  echo "(refused, as it should be)"

step "a worker that loses its GPU in the middle of a job"
UAQF_CUDA_FAULT=lost:600 worker gpu-faulty "$device"
await_workers 3
job=$(submit --model synthetic:tiny --variants fp16,rtn-w8,rtn-w4-g64 --prompts system --repeats 3 \
  --max-output-tokens 64 --output-length fixed --block 2 --seed 2 --no-noise-floor)
timeout 90 "$prefix/run.sh" "$prefix/bin/uaqf" jobs watch "$job"
program uaqf jobs records "$job" --output json | python3 -c '
import collections, json, sys
text = sys.stdin.read()
try:
    records = json.loads(text)
    records = records.get("records", records) if isinstance(records, dict) else records
except json.JSONDecodeError:
    records = [json.loads(line) for line in text.splitlines() if line.strip()]
seen = collections.Counter((r.get("variant"), r["record"].get("item", 0), r["record"].get("repeat", 0), r.get("kind"),
                            r.get("group", 0)) for r in records)
print(len(records), "records,", sum(1 for n in seen.values() if n > 1), "recorded twice")'
grep -h "lost" "$run"/gpu-faulty.log | head -3 || true
step "workers' logs"
tail -n 4 "$run"/gpu-*.log
