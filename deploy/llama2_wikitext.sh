#!/usr/bin/env bash
# What quantized variants of a model lose on WikiText-2, by the recipe of the GPTQ paper (windows of 2048 tokens),
# beside what others published for Llama-2-7B. The weights of Llama-2 are not ours to give: bring them.
#
#   deploy/llama2_wikitext.sh --model DIR_OR_GGUF --text wiki.test.raw
#   deploy/llama2_wikitext.sh --model ~/models/llama-2-7b --text wiki.test.raw --device cuda:0 --output json > losses
#   deploy/llama2_wikitext.sh --model smollm2-135m-instruct --text wiki.test.raw --windows 5 --variants fp16,rtn-w4-g64
#
#   --model MODEL             Hugging Face folder (safetensors) or .gguf file, or an id below the worker's models folder
#   --text FILE               the raw WikiText-2 test split (wiki.test.raw), as it was published
#   --variants A,B,...        fp16 comes first whether named or not (default: fp16,rtn-w8-channel,rtn-w4-channel,
#                             rtn-w4-g128,gptq-w4-g128,awq-w4-g128,smoothquant-channel:alpha=0.85)
#   --calibration-text FILE   what gptq, awq and smoothquant are calibrated on, not the text above (default: our prose)
#   --windows N               only the first N windows: quick, and comparable with nothing published (default: all)
#   --context N               tokens in a window (default: 2048)
#   --device cpu|cuda:N       what computes (default: cpu)
#   --output table|json       (default: table); progress goes to standard error
#   --go-on                   measure the variants although FP16 is not what it should be
#   --worker PROGRAM          uaqf-worker (default: build/bin of this tree, else the one on the PATH)
#
# FP16 is measured first. Of Llama-2-7B on the whole official text it must be 5.47 within 0.01: where it is not,
# something is wrong with weights, text or arithmetic, no other figure means anything, and the script stops with 1.
# Exits with 0, with 1 when FP16 or a variant failed, with 2 for a wrong argument.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# sha256 of the official wiki.test.raw, 1,290,590 bytes.
official=173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08

wrong() { # what was got, what was expected
  printf 'error: %s\n  see: deploy/llama2_wikitext.sh --help\n' "$1" >&2
  exit 2
}

model="" text="" calibration="" windows="" context=2048 device=cpu output=table go_on=no worker=""
variants=fp16,rtn-w8-channel,rtn-w4-channel,rtn-w4-g128,gptq-w4-g128,awq-w4-g128,smoothquant-channel:alpha=0.85
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --go-on) go_on=yes; shift; continue ;;
    --model | --text | --variants | --calibration-text | --windows | --context | --device | --output | --worker) ;;
    *) wrong "got \"$1\", expected one of the flags" ;;
  esac
  [ $# -gt 1 ] && [ -n "$2" ] || wrong "got $1 without a value, expected one"
  case "$1" in
    --model) model=$2 ;;
    --text) text=$2 ;;
    --variants) variants=$2 ;;
    --calibration-text) calibration=$2 ;;
    --windows) windows=$2 ;;
    --context) context=$2 ;;
    --device) device=$2 ;;
    --output) output=$2 ;;
    --worker) worker=$2 ;;
  esac
  shift 2
done

[ -n "$model" ] || wrong "got no --model, expected a Hugging Face folder or a .gguf file"
[ -n "$text" ] || wrong "got no --text, expected wiki.test.raw, the raw test split of WikiText-2"
[ -f "$text" ] && [ -r "$text" ] || wrong "got --text $text, expected a file that can be read"
[ -s "$text" ] || wrong "got --text $text, which is empty, expected wiki.test.raw"
[ -z "$calibration" ] || { [ -f "$calibration" ] && [ -r "$calibration" ]; } ||
  wrong "got --calibration-text $calibration, expected a file that can be read"
[ -z "$windows" ] || [[ $windows =~ ^[1-9][0-9]{0,8}$ ]] || wrong "got --windows $windows, expected a number from 1 on"
[[ $context =~ ^[1-9][0-9]{0,6}$ ]] && [ "$context" -ge 2 ] ||
  wrong "got --context $context, expected a number from 2 on"
[[ $device =~ ^(cpu|cuda:[0-9]+)$ ]] || wrong "got --device $device, expected cpu or cuda:N"
[[ $output =~ ^(table|json)$ ]] || wrong "got --output $output, expected table or json"
if [ -z "$worker" ]; then
  worker=$root/build/bin/uaqf-worker
  [ -x "$worker" ] || worker=$(command -v uaqf-worker) ||
    wrong "found no uaqf-worker, expected it in build/bin or on the PATH: build it (README), or name it with --worker"
fi
command -v "$worker" >/dev/null || wrong "got --worker $worker, expected a program"
command -v python3 >/dev/null || wrong "found no python3, expected it: it puts the table together"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$worker" inspect "$model" --output json >"$work/model.json" ||
  wrong "got --model $model, which uaqf-worker cannot read (above), expected a Hugging Face folder or a .gguf file"
sha=$(sha256sum <"$text" | cut -d' ' -f1)

# measure VARIANT: its figures into $work/N.json, or why there are none.
count=0
measure() {
  local begun=$SECONDS
  local command=("$worker" perplexity "$model" --variant "$1" --text "$text" --join-rows --context "$context" --device
    "$device" --output json)
  [ -z "$windows" ] || command+=(--windows "$windows")
  [ -z "$calibration" ] || command+=(--calibration-text "$calibration")
  printf '%s ...\n' "$1" >&2
  if "${command[@]}" >"$work/$count.out" 2> >(tee "$work/$count.err" >&2); then
    mv "$work/$count.out" "$work/$count.json"
  fi
  printf '%s\n%s\n' "$1" $((SECONDS - begun)) >"$work/$count.run"
  count=$((count + 1))
}

# report FORMAT: what was measured so far; ends with 1 when FP16 is not what it should be, with 3 when one failed.
report() {
  UAQF_MODEL=$model UAQF_TEXT=$text UAQF_SHA=$sha UAQF_OFFICIAL=$official UAQF_CONTEXT=$context UAQF_DEVICE=$device \
    python3 - "$work" "$1" <<'PYTHON'
import json, math, os, pathlib, sys

work, form = pathlib.Path(sys.argv[1]), sys.argv[2]
facts = json.loads((work / "model.json").read_text())

# WikiText-2 perplexity of Llama-2-7B in windows of 2048 tokens, and whose figure it is. Variants without one were
# published by nobody that we know of.
PUBLISHED = {
    "fp16": (5.47, "QServe, AWQ, OmniQuant"),
    "rtn-w4-channel": (7.2, "SpinQuant: symmetric, as ours; asymmetric 6.11 by OmniQuant"),
    "rtn-w4-g128": (5.73, "AWQ: asymmetric, where ours is symmetric"),
    "gptq-w4-g128": (5.63, "QServe, act-order; 5.61 OmniQuant, 5.69 AWQ"),
    "gptq-w4": (5.83, "OmniQuant"),
    "awq-w4-g128": (5.60, "AWQ; 5.62 rerun"),
    "smoothquant-channel": (5.515, "SmoothQuant, alpha 0.85; its own FP16 is 5.474"),
    "atom-w4a4": (6.03, "Atom, calibrated on WikiText-2 itself; 6.12 by QServe"),
}


def is_llama2_7b(f):
    shape = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 32, "ff": 11008, "vocab": 32000}
    return all(f.get(k) == v for k, v in shape.items()) and f.get("context_tokens", 0) >= 4096


rows, failed = [], False
for run in sorted(work.glob("*.run"), key=lambda p: int(p.stem)):
    variant, seconds = run.read_text().split("\n")[:2]
    row = {"variant": variant, "seconds": int(seconds)}
    measured = run.with_suffix(".json")
    if measured.exists():
        out = json.loads(measured.read_text())
        row.update(perplexity=out["ppl"], nll=out["nll"], windows=out["windows"], tokens=out["tokens"])
    else:
        lines = [l for l in run.with_suffix(".err").read_text().splitlines() if l.strip()]
        row["error"] = lines[-1] if lines else "it ended without a word"
        failed = True
    rows.append(row)

fp16 = rows[0] if rows and "nll" in rows[0] else None
text_is_official = os.environ["UAQF_SHA"] == os.environ["UAQF_OFFICIAL"]
whole = fp16 is not None and fp16["windows"] == fp16["tokens"] // int(os.environ["UAQF_CONTEXT"])
reasons = []
if not is_llama2_7b(facts):
    reasons.append("the model does not have Llama-2-7B's shape")
elif facts.get("release_format"):
    reasons.append(f"its weights come from a {facts['release_format']} release, not from the original")
if not text_is_official:
    reasons.append("the text is not the official wiki.test.raw")
if int(os.environ["UAQF_CONTEXT"]) != 2048:
    reasons.append("windows are not of 2048 tokens")
if fp16 is not None and not whole:
    reasons.append("not all windows were scored")
comparable = not reasons
for row in rows:
    if fp16 is not None and "nll" in row:
        row["delta_nll"] = row["nll"] - fp16["nll"]
        row["delta_perplexity"] = row["perplexity"] - fp16["perplexity"]
    name = row["variant"].split(":")[0]
    if name in PUBLISHED:
        row["published_llama2_7b"], row["published_by"] = PUBLISHED[name]
believed = fp16 is not None and (not comparable or abs(fp16["perplexity"] - 5.47) <= 0.01)

if form == "json":
    print(json.dumps({"model": os.environ["UAQF_MODEL"], "text": os.environ["UAQF_TEXT"], "text_sha256":
                      os.environ["UAQF_SHA"], "context": int(os.environ["UAQF_CONTEXT"]), "device":
                      os.environ["UAQF_DEVICE"], "comparable_with_published": comparable, "why_not": reasons,
                      "fp16_as_expected": believed if comparable else None, "variants": rows}, indent=1))
elif form == "table":
    width = max(len(r["variant"]) for r in rows)
    print(f"{'variant':{width}}  {'perplexity':>11} {'dPPL':>9} {'dNLL':>9} {'Llama-2-7B':>10} {'s':>6}  published by")
    for r in rows:
        if "error" in r:
            print(f"{r['variant']:{width}}  {r['error']}")
            continue
        delta = (f"{r['delta_perplexity']:+9.4f} {r['delta_nll']:+9.5f}" if "delta_nll" in r else f"{'':9} {'':9}")
        known = f"{r['published_llama2_7b']:10.3f}" if "published_llama2_7b" in r else f"{'-':>10}"
        print(f"{r['variant']:{width}}  {r['perplexity']:11.4f} {delta} {known} {r['seconds']:6}  "
              f"{r.get('published_by', '')}".rstrip())
    if comparable:
        print("Llama-2-7B: FP16 must be 5.47 within 0.01" + ("; it is" if believed else "; IT IS NOT"))
    else:
        print("not to be compared with the published figures of Llama-2-7B: " + "; ".join(reasons))
sys.exit(1 if not believed else 3 if failed else 0)
PYTHON
}

measure fp16
status=0
report none || status=$?
if [ "$status" = 1 ] && [ "$go_on" = no ]; then
  report "$output" || true
  echo "error: FP16 is not what it should be (above), so no other figure would mean anything; --go-on measures them" >&2
  exit 1
fi
IFS=, read -ra names <<<"$variants"
for name in "${names[@]}"; do
  [ -z "$name" ] || [ "$name" = fp16 ] || measure "$name"
done
status=0
report "$output" || status=$?
[ "$status" = 0 ] || exit 1
