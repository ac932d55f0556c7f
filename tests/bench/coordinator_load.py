#!/usr/bin/python3
"""What the coordinator itself costs, with workers that answer at once (uaqf-null-worker).

 1. records committed to SQLite per second, and the coordinator's peak memory, over a job of many records;
 2. the time of RankVariants over 100,000 records;
 3. what the service adds to a prompt's wall time between two records.

  tests/bench/coordinator_load.py                   1,000,000 records
  tests/bench/coordinator_load.py --records 100000  a shorter run
  tests/bench/coordinator_load.py --variants 20     RankVariants over 20 variants
  tests/bench/coordinator_load.py --check           ends with 1 where a limit is not met

Prints one JSON document. Needs an idle machine: the limits are for 2 cores of their own.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import grpc  # noqa: E402
from contract import Contract  # noqa: E402
from service import Service  # noqa: E402

LIMITS = {"records_per_s": (">=", 10_000), "server_peak_mib": ("<=", 300), "rank_first_ms": ("<=", 300),
          "rank_again_ms": ("<=", 100), "overhead_mean_ms": ("<=", 1), "overhead_p99_ms": ("<=", 1)}


def peak_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def committed(service):
    """Records made durable so far, by /metrics."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=20).read().decode()
    for line in text.splitlines():
        if line.startswith("uaqf_records_committed_total"):
            return float(line.split()[-1])
    raise AssertionError("no uaqf_records_committed_total")


def cpu_ms(pid):
    """Processor time of all threads, to the nanosecond."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e6


def variant_names(count):
    return ["fp16"] + [f"rtn-w8-{k}" for k in range(1, count)]


def submit(contract, stub, variants, prompts, repeats):
    """Records: of each variant and prompt, one natural generation and `repeats` timed ones; `repeats` more of fp16#2."""
    spec = contract.JobSpec(model="null", variants=variants, prompt_set=prompts,
                            timing=contract.TimingSpec(repeats=repeats, max_output_tokens=8, block_prompts=500,
                                                       output_length=contract.OUTPUT_LENGTH_FIXED))
    return stub.CreateJob(contract.CreateJobRequest(request_id=f"load-{time.monotonic_ns()}", spec=spec)).name


def run_job(service, stub, contract, job, records):
    """Waits for the job; its rate between the first commit seen and the last."""
    start_count, start = None, None
    deadline = time.monotonic() + 30 + records / 500
    before = committed(service)
    while True:
        count, now = committed(service) - before, time.monotonic()
        if start is None and count > 0:
            start_count, start = count, now
        if count >= records:
            break
        assert now < deadline, f"{count:.0f} of {records} records in time"
        time.sleep(0.1)
    while stub.GetJob(contract.GetJobRequest(name=job)).state != contract.JOB_STATE_SUCCEEDED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return (records - start_count) / max(now - start, 1e-9), now - start


def rank_ms(stub, contract, job):
    start = time.perf_counter()
    # What timing alone can decide: no quality is measured.
    profile = contract.Profile(formula=contract.UTILITY_FORMULA_FULL, normalization=contract.NORMALIZATION_BASELINE,
                               weights=contract.Weights(speed=0.7, stability=0.2, memory=0.1))
    answer = stub.RankVariants(contract.RankVariantsRequest(job=job, inline_profile=profile))
    return (time.perf_counter() - start) * 1e3, answer


def overheads_ms(stub, contract, job):
    """Between two records of a chunk nothing is computed: what passes from one start to the next is overhead."""
    starts, token = {}, ""
    while True:
        page = stub.ListRecords(contract.ListRecordsRequest(job=job, page_size=10_000, page_token=token))
        for r in page.records:
            if r.kind != contract.CHUNK_KIND_TIMING:
                continue
            starts.setdefault((r.chunk, r.epoch), []).append(r.record.timing.start_offset_ns)
        token = page.next_page_token
        if not token:
            break
    gaps = [(b - a) / 1e6 for offsets in starts.values() for a, b in zip(sorted(offsets), sorted(offsets)[1:])]
    return statistics.mean(gaps), statistics.quantiles(gaps, n=100)[98], len(gaps)


def measure(records, variant_count):
    variants = variant_names(variant_count)
    with Service() as service:
        contract = Contract(service.folder)
        service.start_server()
        service.wait_for_server()
        for k in range(2):
            service.start_null_worker(f"w{k}", "--variants", ",".join(variants))
        service.wait_for_workers(2)
        options = [("grpc.max_receive_message_length", 64 << 20)]
        channel = grpc.insecure_channel(f"127.0.0.1:{service.client_port}", options=options)
        evaluation, ranking = contract.EvaluationServiceStub(channel), contract.RankingServiceStub(channel)
        figures = {"records": records}

        repeats = 4
        few = 100_000 // (variant_count * repeats)
        small = service.json("prompts", "import", service.prompts_file(few), "--name", "small")["name"]
        job = submit(contract, evaluation, variants, small, repeats)
        of_prompt = variant_count * (repeats + 1) + repeats
        run_job(service, evaluation, contract, job, few * of_prompt)
        cpu = cpu_ms(service.server.pid)
        figures["rank_first_ms"], answer = rank_ms(ranking, contract, job)
        figures["rank_first_server_cpu_ms"] = cpu_ms(service.server.pid) - cpu
        assert answer.records_used == 100_000, answer
        figures["rank_again_ms"] = statistics.median(rank_ms(ranking, contract, job)[0] for _ in range(9))
        figures["overhead_mean_ms"], figures["overhead_p99_ms"], figures["overhead_gaps"] = overheads_ms(evaluation, contract, job)

        prompts = records // of_prompt
        large = service.json("prompts", "import", service.prompts_file(prompts), "--name", "large", seconds=300)["name"]
        cpu = cpu_ms(service.server.pid)
        job = submit(contract, evaluation, variants, large, repeats)
        rate, seconds = run_job(service, evaluation, contract, job, prompts * of_prompt)
        figures.update(records_per_s=rate, seconds=seconds, server_cpu_s=(cpu_ms(service.server.pid) - cpu) / 1e3,
                       server_peak_mib=peak_mib(service.server.pid))
        figures["rank_all_first_ms"], _ = rank_ms(ranking, contract, job)
        figures["server_peak_after_rank_mib"] = peak_mib(service.server.pid)
        channel.close()
        return {name: round(value, 3) for name, value in figures.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--variants", type=int, default=2, help="fp16 and others [2]")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    figures = measure(options.records, options.variants)
    missed = [f"{name} is {figures[name]}, expected {sign} {limit}" for name, (sign, limit) in LIMITS.items()
              if not (figures[name] >= limit if sign == ">=" else figures[name] <= limit)]
    print(json.dumps({**figures, "missed": missed}, indent=1))
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
