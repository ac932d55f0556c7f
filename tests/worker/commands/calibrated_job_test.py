#!/usr/bin/python3
"""A job with calibrated variants, from its submission to its export, with a real worker and a small real model.

What it is calibrated on is not what is scored; who watches sees the layers go by; a variant whose calibration text is
too short fails alone; each record leads to the full configuration of its variant; and whole articles are scored beside
windows.
"""

import hashlib
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from service import BIN, SOURCE, Service  # noqa: E402

DATA = pathlib.Path(os.environ.get("UAQF_DATA", SOURCE.parent / "shared" / "data"))
MODEL = "tinystories656k"
GPTQ = "gptq-w4-g64"
# Nothing of it is in the prose of the workers, and none of its 50 words in a row in the stories that are scored.
OTHER_WORDS = ("harbour", "lantern", "copper", "orchard", "sailor", "winter", "engine", "silver", "garden", "letter",
               "mountain", "kettle", "violin", "market", "thunder")


def need_data():
    if (DATA / MODEL / "model.safetensors").exists():
        return
    if os.environ.get("UAQF_REQUIRE_DATA") == "1":
        sys.exit(f"{DATA}/{MODEL} is missing, and UAQF_REQUIRE_DATA=1")
    print(f"skipped: {DATA}/{MODEL} is missing")
    sys.exit(0)


def start(service):
    models = service.folder / "models"
    models.mkdir()
    (models / MODEL).symlink_to(DATA / MODEL)
    service.start_server()
    service.wait_for_server()
    service.workers["w"] = service.start("w", [
        BIN / "uaqf-worker", "serve", "--insecure-dev", "--server", f"127.0.0.1:{service.worker_port}", "--models",
        models, "--device", "cpu", "--threads", "1", "--worker-name", "w", "--artifacts", service.folder / "artifacts",
        "--max-foreign-load", "1"])
    service.wait_for_workers(1)


def text_file(service, name, words):
    path = service.folder / name
    path.write_text(" ".join(OTHER_WORDS[i * i % 15] + ("." if i % 9 == 0 else "") for i in range(words)))
    return path


def submit(service, *flags, check=True):
    return service.uaqf("jobs", "submit", "--model", MODEL, "--prompts", service.prompts_file(2), "--repeats", 1,
                        "--max-output-tokens", 4, "--context", 64, *flags, "--output", "json", check=check)


def refuses_what_is_scored(service, stories):
    """By its digest at once; a part of it under another name when the inputs are surveyed."""
    same = submit(service, "--variants", f"fp16,{GPTQ}", "--quality-text", stories, "--calibration-text", stories,
                  check=False)
    assert same.returncode == 2 and "which is the text that is scored" in same.stderr, same.stderr
    part = service.folder / "part.txt"
    part.write_text("Another beginning. " + stories.read_text()[300:1800])
    job = json.loads(submit(service, "--variants", f"fp16,{GPTQ}", "--quality-text", stories, "--calibration-text",
                            part).stdout)["name"]
    view = service.wait_for_job(job, 60, states=("JOB_STATE_FAILED",))
    assert "shares a passage of 50 words" in view["error"], view["error"]
    assert "calibrate on one that is not scored" in view["error"], view["error"]


def measures_the_rest(service, stories):
    articles = service.folder / "wiki.raw"
    articles.write_text(" = One = \n \n " + stories.read_text()[:600] + " \n = Two = \n \n A short one . \n")
    calibration = text_file(service, "calibration.txt", 12000)
    good, short = f"{GPTQ}:samples=32:length=256", f"{GPTQ}:samples=60000:length=512"
    job = json.loads(submit(service, "--variants", f"fp16,{good},{short}", "--quality-text", stories, "--windows", 3,
                            "--wikitext", articles, "--calibration-text", calibration).stdout)["name"]
    watched = service.uaqf("jobs", "watch", job, "--output", "json", seconds=100, check=False)
    states = [json.loads(line) for line in watched.stdout.splitlines()]
    view = service.wait_for_job(job, 30)
    variants = {v["variant"].split(":text=")[0]: v for v in view["progress"]["variants"]}
    assert variants[good]["state"] == "VARIANT_STATE_DONE", variants
    assert variants[short]["state"] == "VARIANT_STATE_FAILED", variants
    assert "expected at least 30720000 for 60000 samples of 512" in variants[short]["error"], variants[short]
    seen = [s["progress"]["current"] for s in states if "calibrating" in s["progress"]["current"]]
    assert any("layer 1 of 2" in current for current in seen), seen
    return job, variants[good]["variant"], hashlib.sha256(calibration.read_bytes()).hexdigest()


def leads_from_records_to_configurations(service, job, gptq, calibration_digest):
    configurations = {c["digest"]: c for c in service.json("jobs", "configurations", job)["configurations"]}
    lines = service.uaqf("jobs", "records", job, "--output", "json").stdout.splitlines()
    kinds = {}
    for record in map(json.loads, lines):
        configuration = configurations[record["variant_digest"]]
        # fp16#2 is fp16 once more.
        assert configuration["variant"] == record["variant"].removesuffix("#2")
        text = configuration["configuration"]
        assert hashlib.sha256(text.encode()).hexdigest() == configuration["digest"]
        kinds.setdefault((record["kind"], record["variant"]), []).append(record)
        if record["variant"] == gptq:
            said = json.loads(text)
            assert said["options"]["damp"] == 0.01 and said["quantizer_version"] >= 1, said
            assert said["calibration"]["samples"] == 32 and said["calibration"]["length"] == 256, said
            assert said["calibration"]["text"] == calibration_digest and said["calibration"]["seed"] == 0, said
    for variant in ("fp16", gptq):
        assert len(kinds["CHUNK_KIND_PERPLEXITY", variant]) == 3
        assert [r["record"]["item"] for r in kinds["CHUNK_KIND_ARTICLE", variant]] == [0, 1]
    measures = {m["variant"]: m for m in service.json("jobs", "show", job)["measures"]["variants"]}
    assert measures["fp16"]["articles"]["articles"] == 2
    assert measures[gptq]["articles"]["word_perplexity"] > 1
    assert "word PPL" in service.uaqf("jobs", "show", job).stdout


def main():
    need_data()
    stories = DATA / "tinystories" / "five_stories.txt"
    with Service() as service:
        start(service)
        refuses_what_is_scored(service, stories)
        leads_from_records_to_configurations(service, *measures_the_rest(service, stories))


if __name__ == "__main__":
    main()
