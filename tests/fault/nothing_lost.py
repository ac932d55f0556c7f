#!/usr/bin/python3
"""Nothing is lost: processes die at random, and the job ends with every record exactly once.

While a job runs with leases of 1 s, a random worker is killed (SIGKILL) every second and the coordinator every 5 s, each
started again at once. Afterwards the job must complete within 30 s with nothing given up, and the checker of the
invariants must find no violation in the store.

  tests/fault/nothing_lost.py                 12 s of kills, as ctest runs it
  tests/fault/nothing_lost.py --seconds 60    the full run
  tests/fault/nothing_lost.py --seed 7        the kills of an earlier run again
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from service import BIN, Service, wait_until  # noqa: E402

VARIANTS = ["fp16", "rtn-w8", "rtn-w4", "rtn-w8-channel"]
WORKERS = 4
REPEATS = 3
DELAY_MS = 5
COORDINATOR_EVERY, COMPLETION = 5, 30


def submit(service, prompts):
    """Retries: the coordinator may just be dead."""
    def accepted():
        done = service.uaqf("jobs", "submit", "--model", "null", "--variants", ",".join(VARIANTS), "--prompts", prompts,
                            "--repeats", REPEATS, "--max-output-tokens", 8, "--lease", "1s", "--attempts", 100,
                            "--output", "json", check=False)
        return done.stdout if done.returncode == 0 else None
    wait_until("the job's acceptance", accepted, 20)


def jobs(service):
    """All jobs, or None while the coordinator is away."""
    done = service.uaqf("jobs", "list", "--output", "json", check=False)
    return None if done.returncode != 0 else json.loads(done.stdout).get("jobs", [])


def kill_and_restart(service, name):
    process = service.server if name == "server" else service.workers[name]
    process.kill()
    process.wait()
    if name == "server":
        service.start_server()
    else:
        service.start_null_worker(name, "--delay-ms", DELAY_MS)


def kill_for(service, seconds, dice, filler):
    """One worker every second, the coordinator every fifth. Returns how many died."""
    killed = 0
    start = time.monotonic()
    for tick in range(1, int(seconds) + 1):
        time.sleep(max(0.0, start + tick - dice.random() * 0.5 - time.monotonic()))
        kill_and_restart(service, dice.choice(sorted(service.workers)))
        killed += 1
        if tick % COORDINATOR_EVERY == 0:
            kill_and_restart(service, "server")
            killed += 1
        for name, process in service.workers.items():
            assert process.poll() is None, f"worker {name} ended by itself with {process.returncode}"
        # A fast machine may be done before the kills are: give them something to hit.
        listed = jobs(service)
        if listed and all(job["state"] == "JOB_STATE_SUCCEEDED" for job in listed):
            submit(service, filler)
    return killed


def check_complete(service, expected):
    """Every job has all its records; `expected` are the sizes of those that were submitted."""
    def all_done():
        listed = jobs(service)
        if listed is None:
            return None
        for job in listed:
            assert job["state"] not in ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED"), job
        return listed if all(job["state"] == "JOB_STATE_SUCCEEDED" for job in listed) else None
    complete = wait_until("the completion of every job", all_done, COMPLETION)
    for job in complete:
        progress = job["progress"]
        assert int(progress.get("records_quarantined", 0)) == 0, f"records were given up: {progress}"
        assert int(progress["records_done"]) == int(progress["records_total"]), progress
        assert int(progress["records_total"]) in expected, f"{progress}, expected one of {expected} records"
    return len(complete), sum(int(job["progress"].get("chunks_rerun", 0)) for job in complete)


def check_store(service):
    """The invariants, over the store of a coordinator that has stopped."""
    done = subprocess.run([str(BIN / "uaqf-check-store"), str(service.store)], capture_output=True, text=True)
    print(done.stdout, end="")
    assert done.returncode == 0, f"uaqf-check-store ended with {done.returncode}: {done.stdout[-3000:]}{done.stderr}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    # By delay alone, without a fault, the job takes most of the kills' time.
    # fp16 is timed once more, for the noise floor.
    of_prompt = len(VARIANTS) * (REPEATS + 1) + REPEATS
    count = int(options.seconds * 0.9 * WORKERS * 1000 / DELAY_MS / of_prompt)
    with Service() as service:
        service.start_server()
        service.wait_for_server()
        for k in range(WORKERS):
            service.start_null_worker(f"w{k}", "--delay-ms", DELAY_MS)
        service.wait_for_workers(WORKERS)
        filler = service.prompts_file(count // 10)
        submit(service, service.prompts_file(count))
        start = time.monotonic()
        killed = kill_for(service, options.seconds, random.Random(seed), filler)
        after = time.monotonic()
        done, reruns = check_complete(service, {count * of_prompt, count // 10 * of_prompt})
        print(f"{killed} processes killed in {after - start:.0f} s, {reruns} attempts run again; {done} jobs complete "
              f"{time.monotonic() - after:.1f} s after the last kill")
        assert reruns > 0, "no attempt was lost: the kills hit nothing"
        for process in service.workers.values():
            service.stop(process)
        assert service.stop(service.server) == 0, "the coordinator did not stop gracefully"
        check_store(service)


if __name__ == "__main__":
    main()
