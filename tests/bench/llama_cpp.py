#!/usr/bin/env python3
"""CPU speed beside llama.cpp: the same SmolLM2 weights, the same threads, one after the other.

llama.cpp comes from PyPI's xllamacpp wheel and runs the weights as GGUF F16, Q8_0 and Q4_0, with the token embedding
F16 in all three, as it is in ours. Every measurement is a process of its own, ours and theirs by turns, so that
neither's idle threads are beside the other and drift falls on both alike; the table shows medians.

  tests/bench/llama_cpp.py                 5 rounds, 100 tokens in, 128 out, 2 threads
  tests/bench/llama_cpp.py --output json   the same as JSON, with every measurement
  tests/bench/llama_cpp.py --check         ends with 1 where a target is missed
  UAQF_ISA=avx2 tests/bench/llama_cpp.py   ours without AVX-512, which the wheel is built without

llama.cpp computes Q8_0 and Q4_0 with 8-bit activations; of ours only rtn-w8a8 does, the others keep FP32.
Decode speed is that of all tokens but the first, greedy, in both. Needs an idle machine and $UAQF_CACHE
(default: ~/.cache/uaqf), where the environment and the model files are kept.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("UAQF_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "uaqf")
ENVIRONMENT = CACHE / "llama-cpp-venv"
SOURCE = CACHE / "deps/models/smollm2-135m-instruct.gguf"

# Ours, theirs, and the least ratio of decode speeds that is asked for; prefill may not be slower anywhere.
PAIRS = [("fp16", "f16", 1.1), ("rtn-w8a8", "q8_0", 1.0), ("rtn-w8-channel", "q8_0", 0.9), ("rtn-w4-g64", "q4_0", 0.9)]


def enter_environment():
    """Goes on in the environment that has the pinned packages, which it makes on first use."""
    if pathlib.Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    python = ENVIRONMENT / "bin/python"
    requirements = HERE / "requirements.txt"
    installed = ENVIRONMENT / "requirements.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        print("llama_cpp.py: installing the pinned packages", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
                        "--require-hashes", "-r", requirements], check=True)
        installed.write_text(requirements.read_text())
    os.execv(python, [str(python), str(pathlib.Path(__file__).resolve()), *sys.argv[1:]])


def write_model(path, kind):
    """The source's weights as GGUF of one kind; norms stay FP32."""
    import gguf
    import numpy as np

    wanted = gguf.GGMLQuantizationType[kind.upper()]
    half = gguf.GGMLQuantizationType.F16
    single = gguf.GGMLQuantizationType.F32
    reader = gguf.GGUFReader(SOURCE)
    unfinished = path.with_suffix(".part")
    writer = gguf.GGUFWriter(unfinished, "llama")
    skipped = {"general.architecture", "general.file_type", "general.quantization_version"}
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in skipped:
            continue
        kind_of_list = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=kind_of_list)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        to = single if values.ndim == 1 else half if tensor.name == "token_embd.weight" else wanted
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(path)


def model_of(kind):
    path = CACHE / f"llama-cpp-models/smollm2-135m-instruct-{kind}.gguf"
    if not path.exists():
        print(f"llama_cpp.py: writing {path.name}", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(path, kind)
    return path


def run_peer(options):
    """In a process of its own: one generation to warm up, one that counts. Prints its timings as JSON."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_of(options.peer))
    params.n_ctx = options.input_tokens + options.output_tokens + 64
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.verbosity = -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    server = xllamacpp.Server(params)
    for attempt in range(2):
        answer = server.handle_completions({
            "prompt": [1000 + 37 * i + attempt for i in range(options.input_tokens)],
            "n_predict": options.output_tokens, "ignore_eos": True, "cache_prompt": False, "stream": False,
            "temperature": 0, "samplers": ["temperature"]})
    timings = (answer if "timings" in answer else answer["__verbose"])["timings"]
    if (timings["prompt_n"], timings["predicted_n"]) != (options.input_tokens, options.output_tokens):
        raise SystemExit(f"llama.cpp took {timings['prompt_n']} tokens in and gave {timings['predicted_n']}, expected "
                         f"{options.input_tokens} and {options.output_tokens}")
    # Its clock starts at the first token, so one less is decoded within.
    features = xllamacpp.get_system_info().removeprefix("CPU : ").replace(" = 1", "").split(" | ")
    print(json.dumps({"version": xllamacpp.__version__, "features": [name for name in features if name],
                      "prefill_ms": timings["prompt_ms"],
                      "decode_tokens_per_s": (timings["predicted_n"] - 1) / timings["predicted_ms"] * 1e3}))
    sys.stdout.flush()
    os._exit(0)  # the server's threads are not waited for


def measure_peer(options, kind):
    command = [sys.executable, __file__, "--peer", kind, *arguments(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_ours(options, variant):
    command = [options.worker, "bench", str(SOURCE), "--variants", variant, "--repeats", "1", "--output", "json",
               *arguments(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout)
    return {"isa": answer["device"]["isa"], **answer["variants"][0]}


def arguments(options):
    return ["--input-tokens", str(options.input_tokens), "--output-tokens", str(options.output_tokens), "--threads",
            str(options.threads)]


def median_of(runs, key):
    return statistics.median(run[key] for run in runs)


def compare(options):
    ours = {variant: [] for variant, _, _ in PAIRS}
    theirs = {kind: [] for _, kind, _ in PAIRS}
    for kind in theirs:
        model_of(kind)
    for done in range(options.repeats):
        print(f"llama_cpp.py: round {done + 1} of {options.repeats}", file=sys.stderr)
        for variant, kind, _ in PAIRS:
            ours[variant].append(measure_ours(options, variant))
            # Q8_0 stands beside two of ours, and is measured with each.
            theirs[kind].append(measure_peer(options, kind))
    rows = []
    for variant, kind, target in PAIRS:
        mine, peer = ours[variant], theirs[kind]
        rows.append({
            "variant": variant, "peer": kind.upper(), "decode_target": target,
            "decode_tokens_per_s": median_of(mine, "decode_tokens_per_s"),
            "peer_decode_tokens_per_s": median_of(peer, "decode_tokens_per_s"),
            "decode_ratio": median_of(mine, "decode_tokens_per_s") / median_of(peer, "decode_tokens_per_s"),
            "prefill_ms": median_of(mine, "prefill_ms"), "peer_prefill_ms": median_of(peer, "prefill_ms"),
            "prefill_speed_ratio": median_of(peer, "prefill_ms") / median_of(mine, "prefill_ms"),
            "limit_ratio": median_of(mine, "limit_ratio"), "read_gbps": median_of(mine, "read_gbps"),
            "runs": mine, "peer_runs": peer})
    by_variant = {row["variant"]: row["decode_tokens_per_s"] for row in rows}
    ordered = by_variant["rtn-w4-g64"] > by_variant["rtn-w8-channel"] > by_variant["fp16"]
    met = ordered and all(row["decode_ratio"] >= row["decode_target"] and row["prefill_speed_ratio"] >= 1
                          for row in rows)
    return {"input_tokens": options.input_tokens, "output_tokens": options.output_tokens, "threads": options.threads,
            "repeats": options.repeats, "isa": rows[0]["runs"][0]["isa"],
            "peer": {key: rows[0]["peer_runs"][0][key] for key in ("version", "features")},
            "fewer_bits_are_faster": ordered,
            "targets_met": met, "rows": rows}


def show(result):
    print(f"{result['input_tokens']} in, {result['output_tokens']} out, {result['threads']} threads, median of "
          f"{result['repeats']}")
    print(f"ours: {result['isa']}; llama.cpp (xllamacpp {result['peer']['version']}): "
          f"{' '.join(result['peer']['features'])}\n")
    print(f"{'variant':15} {'peer':5} {'decode t/s':>10} {'theirs':>8} {'ratio':>6} {'target':>6}   "
          f"{'prefill ms':>10} {'theirs':>8} {'speed':>6}   {'read GB/s':>9} {'limit':>5}")
    for row in result["rows"]:
        print(f"{row['variant']:15} {row['peer']:5} {row['decode_tokens_per_s']:10.1f} "
              f"{row['peer_decode_tokens_per_s']:8.1f} {row['decode_ratio']:6.2f} {row['decode_target']:6.2f}   "
              f"{row['prefill_ms']:10.1f} {row['peer_prefill_ms']:8.1f} {row['prefill_speed_ratio']:6.2f}   "
              f"{row['read_gbps']:9.1f} {row['limit_ratio']:5.2f}")
    print(f"\n4-bit faster than 8-bit faster than FP16: {'yes' if result['fewer_bits_are_faster'] else 'no'}; "
          f"targets {'met' if result['targets_met'] else 'missed'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", default=str(HERE.parents[1] / "build/bin/uaqf-worker"))
    parser.add_argument("--input-tokens", type=int, default=100)
    parser.add_argument("--output-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    parser.add_argument("--check", action="store_true", help="end with 1 where a target is missed")
    parser.add_argument("--peer", choices=["f16", "q8_0", "q4_0"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not SOURCE.exists():
        raise SystemExit(f"no {SOURCE}: run deploy/dependencies.sh first")
    enter_environment()
    if options.peer:
        return run_peer(options)
    if not os.access(options.worker, os.X_OK):
        raise SystemExit(f"no {options.worker}: build it first, or name one with --worker")
    result = compare(options)
    if options.output == "json":
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 1 if options.check and not result["targets_met"] else 0


if __name__ == "__main__":
    sys.exit(main())
