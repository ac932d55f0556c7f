#!/usr/bin/env python3
"""Perplexity of many variants on the same windows, and the order that the calibrated methods must keep.

  tests/bench/perplexity_table.py --worker build/bin/uaqf-worker --text wiki.test.raw
  tests/bench/perplexity_table.py ... --variants fp16,rtn-w4-g64,gptq-w4-g64:samples=16 --windows 5

Needs minutes for each variant of SmolLM2-135M on two cores. A variant that fails is shown with its error. Ends with 1
when an expectation whose two variants were measured does not hold.
"""

import argparse
import json
import math
import subprocess
import sys

VARIANTS = ("fp16,rtn-w8,rtn-w8-channel,rtn-w4,rtn-w4-channel,rtn-w4-g64,rtn-w8a8,rtn-w8a8-channel,gptq-w8,gptq-w4,"
            "gptq-w4-g64,awq-w4-g64,smoothquant-o1,smoothquant-o2,smoothquant-o3,smoothquant-channel,zeroquant-w8a8,"
            "zeroquant-w8a8-g64,atom-w4a4-g64")
# (better, worse, nats by which the first may be above the second)
EXPECTED = (("gptq-w4-g64", "rtn-w4-g64", 0), ("awq-w4-g64", "rtn-w4-g64", 0), ("gptq-w4", "rtn-w4-channel", 0),
            ("smoothquant-channel", "rtn-w8a8-channel", 0.005), ("smoothquant-o1", "rtn-w8a8", 0.005))


def measure(args, variant):
    command = [*args.worker.split(), "perplexity", args.model, "--variant", variant, "--text", args.text, "--join-rows",
               "--windows", str(args.windows), "--context", str(args.context),
               "--device", args.device, "--output", "json"]
    if args.threads:
        command += ["--threads", str(args.threads)]
    if args.calibration_text:
        command += ["--calibration-text", args.calibration_text]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout)["window_nll"], ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", default="build/bin/uaqf-worker")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--text", required=True)
    parser.add_argument("--variants", default=VARIANTS)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--calibration-text", default="")
    args = parser.parse_args()
    nll = {}
    print(f"{'variant':36} {'nll':>9} {'ppl':>12} {'dNLL':>9}", flush=True)
    for variant in args.variants.split(","):
        windows, error = measure(args, variant)
        if windows is None:
            print(f"{variant:36} {error}", flush=True)
            continue
        mean = sum(windows) / len(windows)
        nll[variant.split(":")[0]] = mean
        loss = mean - nll["fp16"] if "fp16" in nll else math.nan
        print(f"{variant:36} {mean:9.5f} {math.exp(mean):12.4f} {loss:+9.5f}", flush=True)
    failed = False
    for better, worse, margin in EXPECTED:
        if better in nll and worse in nll and nll[better] > nll[worse] + margin:
            print(f"NOT HELD: {better} {nll[better]:.5f} against {worse} {nll[worse]:.5f}, margin {margin}")
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
