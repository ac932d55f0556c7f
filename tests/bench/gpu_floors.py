#!/usr/bin/env python3
"""What the GPU engine must reach, line by line: one H200, 512 tokens in, 512 out, alone and in batches.

    tests/bench/gpu_floors.py PREFIX [--quick] [--json FILE] [--check]

PREFIX is what gpu_pack.sh packed, unpacked. Every figure is of this run: limits of the card, speeds, memory. --quick
takes fewer repeats and leaves the 13B shape out; --check ends with 1 if a line is missed.
"""

import argparse
import json
import subprocess
import sys

# tokens/s of the best public engines on an H200, llama-2-7b shape: FP16, 8-bit, 4-bit.
PEERS = {"fp16": 231.9, "rtn-w8-channel": 272.8, "rtn-w4-g128": 359.0}
FLOORS = {"fp16": 0.85, "rtn-w8-channel": 0.75, "rtn-w4-g128": 0.60}
VARIANTS = "fp16,rtn-w8,rtn-w8-channel,rtn-w8a8,rtn-w4,rtn-w4-channel,rtn-w4-g128"
# Times batch 1's tokens/s, rtn-w4-g128.
BATCHES = {8: 3, 32: 5}
VALID_READ_GBPS = 4400


def bench(prefix, model, variants, repeats, *more):
    command = [f"{prefix}/run.sh", f"{prefix}/bin/uaqf-worker", "bench", f"synthetic:{model}", "--device", "cuda:0",
               "--variants", variants, "--input-tokens", "512", "--output-tokens", "512", "--repeats", str(repeats),
               "--output", "json", *more]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result = json.loads(out)
    result["by_name"] = {v["variant"]: v for v in result["variants"]}
    return result


class Lines:
    def __init__(self):
        self.missed = 0

    def add(self, name, got, asked, met):
        self.missed += not met
        print(f"{'met   ' if met else 'MISSED'}  {name:<58} {got:>12}   {asked}", flush=True)

    def least(self, name, got, asked, form="{:.3f}"):
        self.add(name, form.format(got), ">= " + form.format(asked), got >= asked)

    def most(self, name, got, asked, form="{:.3f}"):
        self.add(name, form.format(got), "<= " + form.format(asked), got <= asked)


def check_speed(lines, seven):
    variants = seven["by_name"]
    lines.least("read bandwidth, GB/s", seven["read_gbps"], VALID_READ_GBPS, "{:.0f}")
    for name, floor in FLOORS.items():
        lines.least(f"7B {name}: of the read limit", variants[name]["limit_ratio"], floor)
    speed = {name: v["decode_tokens_per_s"] for name, v in variants.items()}
    for name, peer in PEERS.items():
        lines.least(f"7B {name}: times the best peer", speed[name] / peer, 1.2)
    lines.least("7B rtn-w8a8: of rtn-w8-channel's decode speed", speed["rtn-w8a8"] / speed["rtn-w8-channel"], 0.92)
    for bits in ("w8", "w4"):
        # Two measurements of the same work: what lies within their spread is not slower.
        lines.least(f"7B rtn-{bits}: of per channel's speed", speed[f"rtn-{bits}"] / speed[f"rtn-{bits}-channel"], 0.995)


def check_order(lines, model, result):
    speed = [result["by_name"][name]["decode_tokens_per_s"] for name in ("rtn-w4-g128", "rtn-w8-channel", "fp16")]
    lines.add(f"{model}: 4-bit > 8-bit > FP16, tokens/s", "{:.0f} {:.0f} {:.0f}".format(*speed), "falling",
              speed[0] > speed[1] > speed[2])


def check_prefill(lines, seven):
    variants = seven["by_name"]
    fp16 = variants["fp16"]["prefill_ms"]
    lines.least("7B fp16: prefill, of the matrix peak", variants["fp16"]["prefill_ratio"], 0.65)
    lines.most("7B rtn-w8a8: prefill, of FP16's time", variants["rtn-w8a8"]["prefill_ms"] / fp16, 0.70)
    for name in variants:
        if name not in ("fp16", "rtn-w8a8"):
            lines.most(f"7B {name}: prefill, of FP16's time", variants[name]["prefill_ms"] / fp16, 1.35)


def check_host(lines, seven):
    for name, v in seven["by_name"].items():
        lines.most(f"7B {name}: host overhead, %", v["host_overhead"] * 100, 2, "{:.2f}")
        lines.most(f"7B {name}: sd of end to end, %", v["end_to_end_sd_ms"] / v["end_to_end_ms"] * 100, 0.5, "{:.2f}")
        lines.add(f"7B {name}: outputs over the repeats", len(v["output_digests"]), "1", len(v["output_digests"]) == 1)


def check_process(lines, seven, alone):
    """Another process, with one variant: the same tokens, and what it holds of the card."""
    v = alone["variants"][0]
    name = v["variant"]
    same = v["output_digests"] == seven["by_name"][name]["output_digests"]
    lines.add(f"7B {name}: 512 tokens in another process", "the same" if same else "others", "the same", same)
    held = alone["device_memory_bytes"]
    lines.add(f"7B {name}: device memory the driver counts, MB", f"{held / 1e6:.0f}", "known", held > 0)
    lines.most(f"7B {name}: beyond 1.03 x stated memory, MB", (held - 1.03 * v["memory_bytes"]) / 1e6, 700, "{:.0f}")


def check_batches(lines, seven):
    for batch in seven["variants"][0]["batches"]:
        least = BATCHES[batch["batch"]]
        lines.least(f"7B rtn-w4-g128: batch {batch['batch']}, times batch 1", batch["of_batch_1"], least, "{:.2f}")
        lines.add(f"7B rtn-w4-g128: batch {batch['batch']}, outputs over the repeats",
                  "the same" if batch["outputs_repeat"] else "others", "the same", batch["outputs_repeat"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    lines = Lines()
    seven = bench(options.prefix, "llama-2-7b", VARIANTS, 2 if options.quick else 5)
    print(f"{seven['device']['name']}: reads {seven['read_gbps']:.0f} GB/s, multiplies {seven['matrix_tflops']:.0f} TFLOP/s")
    results = {"7b": seven}
    check_speed(lines, seven)
    check_order(lines, "7B", seven)
    check_prefill(lines, seven)
    check_host(lines, seven)
    for name in ("fp16", "rtn-w4-g128"):
        results["7b " + name] = bench(options.prefix, "llama-2-7b", name, 1)
        check_process(lines, seven, results["7b " + name])
    sizes = ",".join(str(size) for size in BATCHES)
    results["7b batches"] = bench(options.prefix, "llama-2-7b", "rtn-w4-g128", 2, "--batch", sizes)
    check_batches(lines, results["7b batches"])
    if not options.quick:
        results["13b"] = bench(options.prefix, "llama-2-13b", ",".join(FLOORS), 2)
        check_order(lines, "13B", results["13b"])
    print(f"{lines.missed} missed")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    return 1 if options.check and lines.missed else 0


if __name__ == "__main__":
    sys.exit(main())
