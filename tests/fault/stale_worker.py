#!/usr/bin/python3
"""A worker that wakes up late is refused: fencing, with real processes.

1. A worker written here takes a lease, falls silent until it has expired and another worker has ended the job, and
   then hands over its records. They are answered LEASE_LOST, and the store holds none of them.
2. A real worker is stopped (SIGSTOP) in the middle of chunks until their leases have expired, and woken (SIGCONT), again
   and again. The job completes, the worker goes on working, and the checker of the invariants finds no violation.
"""

import pathlib
import queue
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import grpc  # noqa: E402
from contract import Contract  # noqa: E402
from service import BIN, Service, wait_until  # noqa: E402

LEASE = ["--lease", "1s", "--attempts", 100]
# In turn, and fewer than bench a worker: that takes 3 failures in a row.
STOPS = ["a", "b", "a", "b"]
# 16 prompts of one variant, each generated once and timed twice.
PROMPTS, REPEATS = 16, 2
RECORDS = PROMPTS * (REPEATS + 1)


class HandmadeWorker:
    """Speaks the worker port by hand: reports when told to, and keeps the lease it was given."""

    def __init__(self, contract, channel, name):
        self.contract, self.name = contract, name
        self.stub = contract.WorkerServiceStub(channel)
        self.state = contract.WorkerState(
            worker=f"workers/{name}", session="by-hand", build="by-hand", lists_items=True,
            device=contract.Device(id=f"device-{name}", name="null device", backend="null", threads=1, isa="none"),
            models=[contract.ModelInfo(model="null", digest="0" * 64, architecture="null", parameters=1, context_tokens=8192,
                                       variants=[contract.VariantInfo(variant="fp16", fits=True)])])
        self.outbox = queue.Queue()
        self.answers = self.stub.Session(iter(self.outbox.get, None))

    def report(self):
        """Sends the state and takes the coordinator's answer."""
        self.state.sequence += 1
        copy = self.contract.WorkerState()
        copy.CopyFrom(self.state)
        self.outbox.put(copy)
        return next(self.answers)

    def work_until_leased(self, seconds=20):
        """Does what is wanted, at once and without effect, until a chunk is leased."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            desired = self.report()
            for survey in desired.surveys:
                self.state.surveys.append(self.contract.SurveyResult(job=survey.job, longest_input_tokens=16))
            if desired.HasField("assignment"):
                wanted = desired.assignment
                self.state.hosted.CopyFrom(self.contract.HostedVariant(
                    model=wanted.model, variant=wanted.variant, state=self.contract.VARIANT_STATE_READY,
                    max_sequence_tokens=wanted.max_sequence_tokens))
            if desired.leases:
                return desired.leases[0]
            time.sleep(0.05)
        raise AssertionError("no lease was given")

    def end_session(self):
        self.outbox.put(None)
        self.answers.cancel()

    def hand_over(self, lease):
        """The whole attempt in one batch; the coordinator's answer."""
        c = self.contract
        assert lease.kind == c.CHUNK_KIND_GENERATION, "a plan begins with natural generations"
        made = c.GenerationRecord(input_tokens=4, output_tokens=1, stopped=True, output_digest=b"\0" * 32)
        items = lease.items or range(lease.first_item, lease.first_item + lease.item_count)
        records = [c.Record(item=item, generation=made) for item in items]
        evidence = c.ChunkEvidence(device=self.state.device, build="by-hand", wall_ns=1,
                                   memory=c.MemoryUse(weights_bytes=1))
        batch = c.RecordBatch(worker=self.state.worker, attempt=lease.attempt, sequence=0, records=records,
                              end=c.AttemptEnd(record_count=len(records), evidence=evidence))
        stay = queue.Queue()
        stay.put(batch)
        answers = self.stub.Records(iter(stay.get, None))
        ack = next(answers)
        stay.put(None)
        return ack


def submit(service, variants, count):
    return service.json("jobs", "submit", "--model", "null", "--variants", variants, "--prompts",
                        service.prompts_file(count), "--repeats", REPEATS, "--output-length", "fixed", "--max-output-tokens", 8,
                        *LEASE)["name"]


def refuse_stale_records(service, contract):
    channel = grpc.insecure_channel(f"127.0.0.1:{service.worker_port}")
    stale = HandmadeWorker(contract, channel, "stale")
    stale.report()
    job = submit(service, "fp16", PROMPTS)
    lease = stale.work_until_leased()
    # Silent from here on: the stream stays open, as of a process that hangs.
    service.start_null_worker("steady")
    service.wait_for_job(job, 30)
    ack = stale.hand_over(lease)
    verdict = contract.RecordVerdict.Name(ack.verdict)
    assert verdict == "RECORD_VERDICT_LEASE_LOST", f"a stale batch was answered {verdict}: {ack.reason}"
    assert ack.attempt == lease.attempt
    stale.end_session()
    channel.close()
    view = service.json("jobs", "show", job)["progress"]
    assert int(view["records_done"]) == RECORDS and int(view["chunks_rerun"]) >= 1, view
    page = contract.EvaluationServiceStub(grpc.insecure_channel(f"127.0.0.1:{service.client_port}")).ListRecords(
        contract.ListRecordsRequest(job=job, page_size=1000))
    assert {record.worker for record in page.records} == {"workers/steady"}, "the store holds records of the stale worker"
    assert len(page.records) == RECORDS
    print(f"stale epoch {lease.attempt.epoch} of chunk {lease.attempt.chunk}: {verdict} ({ack.reason})")


def wake_up_late(service, seed):
    dice = random.Random(seed)
    service.stop(service.workers["steady"])
    for name in ("a", "b"):
        service.start_null_worker(name, "--delay-ms", 10)
    job = submit(service, "fp16,rtn-w8", 40 * len(STOPS))

    def runs(name):
        workers = service.json("workers").get("workers", [])
        return any(w["name"] == f"workers/{name}" and w.get("job") for w in workers)
    for name in STOPS:
        wait_until(f"the next chunk of {name}", lambda: runs(name), 20)
        time.sleep(dice.random() * 0.1)
        service.workers[name].send_signal(signal.SIGSTOP)
        time.sleep(1.6)
        service.workers[name].send_signal(signal.SIGCONT)
    view = service.wait_for_job(job, 30)["progress"]
    assert int(view["chunks_rerun"]) >= 1, "no lease expired: the stops hit nothing"
    assert int(view.get("records_quarantined", 0)) == 0, view
    for name in set(STOPS):
        assert service.workers[name].poll() is None, f"worker {name} did not survive"
    print(f"{len(STOPS)} stops: {view['chunks_rerun']} attempts run again, {view['records_done']} records")


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    with Service() as service:
        contract = Contract(service.folder)
        service.start_server()
        service.wait_for_server()
        refuse_stale_records(service, contract)
        wake_up_late(service, seed)
        for process in service.workers.values():
            service.stop(process)
        assert service.stop(service.server) == 0, "the coordinator did not stop gracefully"
        done = subprocess.run([str(BIN / "uaqf-check-store"), str(service.store)], capture_output=True, text=True)
        print(done.stdout, end="")
        assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    main()
