#!/usr/bin/python3
"""A real job in which every variant tells whether its outputs come again: alone, and within batches.

Greedy decoding repeats to the last token, and on a processor up to four sequences are computed as one is; larger
batches may round otherwise. Two jobs of the same devices emit the same tokens, and one with other outputs is refused.

With UAQF_AGREEMENT_MODEL=FILE.gguf, UAQF_AGREEMENT_PROMPTS=FILE.jsonl, UAQF_AGREEMENT_VARIANTS=a,b,c and
UAQF_AGREEMENT_TOKENS=N, of that model; it prints what it found.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from service import BIN, SOURCE, Service  # noqa: E402

DATA = pathlib.Path(os.environ.get("UAQF_DATA", SOURCE.parent / "shared" / "data"))
MODEL = "model"
FILES = pathlib.Path(os.environ.get("UAQF_AGREEMENT_MODEL", DATA / "tinystories656k"))
PROMPTS = os.environ.get("UAQF_AGREEMENT_PROMPTS")
VARIANTS = os.environ.get("UAQF_AGREEMENT_VARIANTS", "fp16,rtn-w8-channel,rtn-w4-channel,rtn-w8a8-channel").split(",")
TOKENS = int(os.environ.get("UAQF_AGREEMENT_TOKENS", 32))
COUNT = int(os.environ.get("UAQF_AGREEMENT_COUNT", 10))
BATCHES = [4, 8, 32]


def need_data():
    if FILES.exists():
        return
    if os.environ.get("UAQF_REQUIRE_DATA") == "1":
        sys.exit(f"{FILES} is missing, and UAQF_REQUIRE_DATA=1")
    print(f"skipped: {FILES} is missing")
    sys.exit(0)


def start(service):
    models = service.folder / "models"
    models.mkdir()
    (models / (MODEL + FILES.suffix if FILES.is_file() else MODEL)).symlink_to(FILES)
    service.start_server()
    service.wait_for_server()
    for name in ("a", "b"):
        service.workers[name] = service.start(name, [
            BIN / "uaqf-worker", "serve", "--insecure-dev", "--server", f"127.0.0.1:{service.worker_port}", "--models",
            models, "--device", "cpu", "--threads", "1", "--worker-name", name, "--max-foreign-load", "1"])
    service.wait_for_workers(2)


def run(service, prompts, tokens):
    job = service.json("jobs", "submit", "--model", MODEL, "--prompts", prompts, "--repeats", 1, "--max-output-tokens",
                       TOKENS, "--output-length", "fixed", "--variants", ",".join(VARIANTS), "--no-noise-floor",
                       "--agreement", COUNT, "--agreement-tokens", tokens, "--agreement-batches",
                       ",".join(map(str, BATCHES)))["name"]
    view = service.wait_for_job(job, 1500)
    assert int(view["progress"]["records_done"]) == int(view["progress"]["records_total"]), view["progress"]
    return job, view


def tells_of_every_variant(view):
    measures = view["measures"]["variants"]
    assert [m["variant"] for m in measures] == VARIANTS, measures
    for m in measures:
        behaviour = m["behaviour"]
        assert behaviour["prompts"] == COUNT, m["variant"]
        self = {run.get("batch", 1): run["agreement"] for run in behaviour["self"]}
        assert sorted(self) == [1, *BATCHES], self
        for batch in (1, 4):
            assert self[batch]["equal"] == 1, f"{m['variant']} says something else, batch {batch}: {self[batch]}"
            assert self[batch]["equal_interval"].get("low", 0) < 1, self[batch]
        for batch in BATCHES:
            assert 0 <= self[batch]["tokens"]["value"] <= 1
        assert ("with_fp16" in behaviour) == (m["variant"] != "fp16")
        assert behaviour.get("not_finite", 0) == 0, behaviour
        assert "penalty" in behaviour and not behaviour.get("problem"), behaviour


def records_agree(service, job):
    lines = service.uaqf("jobs", "records", job, "--kind", "agreement", "--output", "json").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == COUNT * len(VARIANTS), len(records)
    for record in records:
        agreement = record["record"]["agreement"]
        assert 1 <= len(agreement["output_ids"]) <= TOKENS, agreement
        assert [r["batch"] for r in agreement["repeats"]] == [1, *BATCHES], agreement
        assert agreement["repeats"][0]["same_tokens"] == len(agreement["output_ids"]), agreement


def main():
    need_data()
    with Service() as service:
        start(service)
        prompts = PROMPTS or service.prompts_file(COUNT)
        job, view = run(service, prompts, TOKENS)
        tells_of_every_variant(view)
        records_agree(service, job)
        print(service.uaqf("jobs", "show", job).stdout)
        weights = "speed=0.5,behaviour=0.5"
        ranking = service.json("rank", job, "--weights", weights, "--no-sanity")
        assert ranking["resamples"] == 2000, ranking["warnings"]
        for variant in ranking["variants"]:
            assert [t["name"] for t in variant["terms"]] == ["speed", "behaviour"], variant
        print(service.uaqf("rank", job, "--weights", weights, "--no-sanity").stdout)

        again, _ = run(service, prompts, TOKENS)
        compared = service.json("jobs", "compare", "--behaviour", job, again)
        assert [v["variant"] for v in compared["variants"]] == VARIANTS, compared
        for variant in compared["variants"]:
            assert variant["outputs"]["equal"] == 1, variant
        other, _ = run(service, prompts, TOKENS // 2)
        refused = service.uaqf("jobs", "compare", "--behaviour", job, other, check=False)
        assert refused.returncode != 0 and "tokens of an output" in refused.stderr, refused


if __name__ == "__main__":
    main()
