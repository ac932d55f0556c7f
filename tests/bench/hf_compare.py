#!/usr/bin/env python3
"""Speed beside Hugging Face transformers in FP16 on the same GPU: the same shape, random weights, batch 1, the same
input and output lengths, greedy, eager. Runs where PyTorch and transformers are; ours is `uaqf-worker bench`.

  tests/bench/hf_compare.py --worker build/bin/uaqf-worker                     llama-2-7b, 512 in, 512 out
  tests/bench/hf_compare.py --worker "./run.sh bin/uaqf-worker" --output json  the same as JSON

The two run one after the other, each alone on the card. Ours is the median of --repeats, theirs of --peer-repeats,
each after one generation that is not counted.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time

SHAPES = {
    "llama-2-7b": dict(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32,
                       intermediate_size=11008, vocab_size=32000),
    "mistral-7b": dict(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                       intermediate_size=14336, vocab_size=32000),
    "llama-3-8b": dict(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                       intermediate_size=14336, vocab_size=128256),
    "llama-2-13b": dict(hidden_size=5120, num_hidden_layers=40, num_attention_heads=40, num_key_value_heads=40,
                        intermediate_size=13824, vocab_size=32000),
}


def ours(args):
    command = shlex.split(args.worker) + [
        "bench", "synthetic:" + args.shape, "--variants", args.variants, "--device", args.device, "--input-tokens",
        str(args.input_tokens), "--output-tokens", str(args.output_tokens), "--repeats", str(args.repeats), "--output",
        "json"
    ]
    bench = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = [{
        "system": "uaqf " + v["variant"],
        "prefill_ms": v["prefill_ms"],
        "decode_tokens_per_s": v["decode_tokens_per_s"],
        "end_to_end_ms": v["end_to_end_ms"],
        "limit_ratio": v["limit_ratio"],
    } for v in bench["variants"]]
    return bench, rows


def theirs(args):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=4096, torch_dtype="float16", **SHAPES[args.shape])
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    with torch.device(args.device):
        model = LlamaForCausalLM(config).eval()
    ids = torch.randint(3, config.vocab_size, (1, args.input_tokens), device=args.device)

    def timed(tokens):
        torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens,
                           do_sample=False, pad_token_id=0)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3

    timed(8)
    prefill = statistics.median(timed(1) for _ in range(3))
    whole = statistics.median(timed(args.output_tokens) for _ in range(args.peer_repeats))
    return {
        "system": "transformers FP16 eager",
        "prefill_ms": prefill,
        "decode_tokens_per_s": (args.output_tokens - 1) / ((whole - prefill) / 1e3),
        "end_to_end_ms": whole,
        "limit_ratio": None,
    }


def show(args, bench, rows):
    print(f"{bench['device']['name']}, {args.shape}, {args.input_tokens} in, {args.output_tokens} out; reads "
          f"{bench.get('read_gbps', 0):.0f} GB/s, multiplies {bench.get('matrix_tflops', 0):.0f} TFLOP/s\n")
    print(f"{'system':<26}{'prefill ms':>12}{'decode t/s':>12}{'total ms':>10}{'limit':>8}{'vs HF':>8}")
    peer = rows[-1]["end_to_end_ms"]
    for row in rows:
        ratio = "" if row["limit_ratio"] is None else f"{row['limit_ratio']:.3f}"
        print(f"{row['system']:<26}{row['prefill_ms']:>12.2f}{row['decode_tokens_per_s']:>12.1f}"
              f"{row['end_to_end_ms']:>10.1f}{ratio:>8}{peer / row['end_to_end_ms']:>8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--worker", required=True, help="command that runs uaqf-worker")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="llama-2-7b")
    parser.add_argument("--variants", default="fp16,rtn-w8-channel,rtn-w8a8,rtn-w4-g128")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--input-tokens", type=int, default=512)
    parser.add_argument("--output-tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    bench, rows = ours(args)
    rows.append(theirs(args))
    if args.output == "json":
        json.dump({"bench": bench, "rows": rows}, sys.stdout, indent=2)
        print()
    else:
        show(args, bench, rows)


if __name__ == "__main__":
    main()
