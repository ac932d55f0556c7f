#!/usr/bin/python3
"""How often FP16 is called different from itself, and how often a planted slowdown is found, over real jobs.

Each job times fp16, its twin fp16#2 and fp16-slowed, which is fp16 that takes 2 % longer (tests/bench/slowed_worker),
in three worker processes of its own that take turns on one device. Nothing is made up but the slowdown.

  tests/bench/aa_jobs.py --models DIR --model NAME            20 jobs
  tests/bench/aa_jobs.py --models DIR --model NAME --check    ends with 1 where FP16 is called different in more than 3
                                                              jobs of 20, or the slowdown is found in fewer than 18

Prints one JSON document. What else runs on these processors is noise too: the document holds the load before each job.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from service import BIN, Service  # noqa: E402

WORKERS = 3
PLANTED = "fp16-slowed"
ALL_CPUS = os.sched_getaffinity(0)


def keep_off(cpus):
    """Coordinator, client and this script leave the workers' processors alone, where there are others."""
    others = ALL_CPUS - {int(cpu) for part in cpus.split(",") for cpu in range(int(part.split("-")[0]),
                                                                             int(part.split("-")[-1]) + 1)}
    os.sched_setaffinity(0, others or ALL_CPUS)


def start_workers(service, options, k):
    names = [f"j{k}-w{n}" for n in range(WORKERS)]
    os.sched_setaffinity(0, ALL_CPUS)
    for name in names:
        service.workers[name] = service.start(name, [
            BIN / "uaqf-slowed-worker", "--server", f"127.0.0.1:{service.worker_port}", "--worker-name", name, "--models",
            options.models, "--device", options.device, "--cpus", options.cpus, "--slowdown", options.slowdown,
            "--max-foreign-load", options.max_foreign_load])
    keep_off(options.cpus)
    service.wait_for_workers(WORKERS, seconds=60)
    return names


def stop_workers(service, names):
    for name in names:
        assert service.stop(service.workers.pop(name)) == 0, f"{name} did not stop gracefully"
    deadline = time.monotonic() + 30
    while service.json("workers").get("workers"):
        assert time.monotonic() < deadline, "workers that were stopped are still listed"
        time.sleep(0.1)


def busy_share(seconds=2):
    """Of all processors, by the kernel."""
    def ticks():
        fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]
    (total, idle), _ = ticks(), time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / (total_after - total)


def wait_for_idle(options):
    deadline = time.monotonic() + options.patience
    while busy_share() > 0.1 and time.monotonic() < deadline:
        pass


def run_job(service, options, prompts, k):
    wait_for_idle(options)
    names = start_workers(service, options, k)
    load = os.getloadavg()[0]
    start = time.monotonic()
    job = service.json("jobs", "submit", "--model", options.model, "--variants", f"fp16,{PLANTED}", "--prompts", prompts,
                       "--repeats", options.repeats, "--block", options.block, "--max-output-tokens", options.tokens,
                       "--output-length", "fixed", "--seed", k)["name"]
    # One process that waits, and not one after the other that asks: they would be noise.
    service.uaqf("jobs", "watch", job, seconds=options.seconds)
    answer = service.json("rank", job, "--weights", "speed=1", "--no-sanity")
    stop_workers(service, names)
    floor = answer["noise_floor"]
    assert not floor.get("reason"), floor
    assert floor["separate_processes"], floor
    planted = next(v for v in answer["variants"] if v["variant"] == PLANTED)
    speedup = planted["speedup"]
    percent = {name: round(100 * floor["tokens_per_s"][name], 3) for name in ("value", "floor")}
    return {"difference_%": percent["value"], "interval_%": [round(100 * floor["tokens_per_s"]["interval"][end], 3)
                                                            for end in ("low", "high")],
            "floor_%": percent["floor"], "different": floor["differs"],
            "planted_%": round(100 * (speedup["value"] - 1), 3),
            "planted_interval_%": [round(100 * (speedup["interval"][end] - 1), 3) for end in ("low", "high")],
            "found": answer["winner"] == "fp16" and not planted["standing"]["tied"],
            "seconds": round(time.monotonic() - start, 1), "load": round(load, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first job, where 20 take several runs [0]")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--block", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--cpus", default="0", help="processors of the workers [0]")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:N, which the workers share [cpu]")
    parser.add_argument("--slowdown", type=float, default=0.02)
    parser.add_argument("--max-foreign-load", type=float, default=0.25)
    parser.add_argument("--patience", type=float, default=0, help="longest wait for idle processors before a job, s [0]")
    parser.add_argument("--seconds", type=float, default=600, help="longest job [600]")
    parser.add_argument("--verbose", action="store_true", help="print each job as it ends")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    jobs = []
    keep_off(options.cpus)
    with Service() as service:
        service.start_server()
        service.wait_for_server()
        prompts = service.json("prompts", "import", service.prompts_file(options.prompts), "--name", "words")["name"]
        for k in range(options.first, options.first + options.jobs):
            jobs.append(run_job(service, options, prompts, k))
            if options.verbose:
                print(json.dumps(jobs[-1]), file=sys.stderr, flush=True)
    different, found = sum(job["different"] for job in jobs), sum(job["found"] for job in jobs)
    print(json.dumps({"jobs": jobs, "called_different": different, "found": found,
                      "median_floor_%": statistics.median(job["floor_%"] for job in jobs)}, indent=1))
    if options.check and (different > 3 / 20 * len(jobs) or found < 18 / 20 * len(jobs)):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
