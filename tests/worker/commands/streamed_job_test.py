#!/usr/bin/python3
"""Divergence from FP16 bounded between two workers, against the exact one of another job.

One worker hosts FP16 and sends summaries, the other the variants: the summaries grow until the two sides are close, they
contain what a worker that hosts both finds, which tokens agree is the same, and nothing of them is left in the store.

With UAQF_STREAMED_MODEL=FILE.gguf and UAQF_STREAMED_TEXT=FILE, of that model and text; it prints what it found.
"""

import json
import os
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from service import BIN, SOURCE, Service  # noqa: E402

DATA = pathlib.Path(os.environ.get("UAQF_DATA", SOURCE.parent / "shared" / "data"))
MODEL = "model"
FILES = pathlib.Path(os.environ.get("UAQF_STREAMED_MODEL", DATA / "tinystories656k"))
TEXT = pathlib.Path(os.environ.get("UAQF_STREAMED_TEXT", DATA / "tinystories" / "five_stories.txt"))
CONTEXT = int(os.environ.get("UAQF_STREAMED_CONTEXT", 64))
WINDOWS = int(os.environ.get("UAQF_STREAMED_WINDOWS", 7))
THREADS = os.environ.get("UAQF_STREAMED_THREADS", "1")
VARIANTS = ["rtn-w8-channel", "rtn-w4-channel"]
# As server/core/divergence.h has them.
TOLERANCE, RELATIVE_TOLERANCE, FIRST_K, MOST_K = 0.01, 0.05, 1024, 16384


def need_data():
    if FILES.exists() and TEXT.exists():
        return
    if os.environ.get("UAQF_REQUIRE_DATA") == "1":
        sys.exit(f"{FILES} or {TEXT} is missing, and UAQF_REQUIRE_DATA=1")
    print(f"skipped: {FILES} or {TEXT} is missing")
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
            models, "--device", "cpu", "--threads", THREADS, "--worker-name", name, "--artifacts",
            service.folder / "artifacts", "--max-foreign-load", "1"])
    service.wait_for_workers(2)


def run(service, mode):
    job = json.loads(service.uaqf(
        "jobs", "submit", "--model", MODEL, "--prompts", service.prompts_file(1), "--repeats", 1, "--max-output-tokens", 2,
        "--output-length", "fixed", "--context", CONTEXT, "--windows", WINDOWS, "--quality-text", TEXT, "--variants",
        ",".join(["fp16", *VARIANTS]), "--divergence-mode", mode, "--output", "json").stdout)["name"]
    view = service.wait_for_job(job, 1500)
    assert view["spec"]["quality"]["divergence_mode"] == f"DIVERGENCE_MODE_{mode.upper()}", view["spec"]
    assert int(view["progress"]["records_done"]) == int(view["progress"]["records_total"]), view["progress"]
    lines = service.uaqf("jobs", "records", job, "--output", "json").stdout.splitlines()
    return job, [json.loads(line) for line in lines]


def windows_of(records, kind):
    found = {}
    for record in records:
        if record["kind"] == f"CHUNK_KIND_{kind.upper()}":
            found.setdefault((record["variant"], record["record"]["item"]), []).append(record["record"][kind])
    return found


def contains(exact, bounds):
    """Every bound of every window holds the exact value, and greater k are tighter. The tightest of each window."""
    assert exact.keys() == bounds.keys() and len(exact) == len(VARIANTS) * WINDOWS, (exact.keys(), bounds.keys())
    tightest = {}
    for window, found in bounds.items():
        [value] = exact[window]
        assert "summary_k" not in value or value["summary_k"] == 0, value
        assert "kl_upper_sum" not in value, value
        widths = []
        for bound in sorted(found, key=lambda b: b["summary_k"]):
            assert bound["kl_sum"] <= value["kl_sum"] <= bound["kl_upper_sum"], (window, bound, value)
            for same in ("positions", "same_top", "top_k", "shared_top"):
                assert bound[same] == value[same], (window, same, bound, value)
            widths.append(bound["kl_upper_sum"] - bound["kl_sum"])
        assert widths == sorted(widths, reverse=True), (window, widths)
        tightest[window] = max(found, key=lambda b: b["summary_k"])
    return tightest


def is_tight(bound):
    lower, upper = bound["kl_sum"] / bound["positions"], bound["kl_upper_sum"] / bound["positions"]
    return upper - lower <= max(TOLERANCE, RELATIVE_TOLERANCE * lower)


def shows_both_sides(service, exact_job, streamed_job):
    exact = {m["variant"]: m for m in service.json("jobs", "show", exact_job)["measures"]["variants"]}
    streamed = {m["variant"]: m for m in service.json("jobs", "show", streamed_job)["measures"]["variants"]}
    for variant in VARIANTS:
        kl = exact[variant]["divergence"]["kl"]["value"]
        assert exact[variant]["divergence"]["kl_lower"]["value"] == kl
        bounded = streamed[variant]["divergence"]
        assert "kl" not in bounded, bounded
        assert bounded["kl_lower"]["value"] <= kl <= bounded["kl_upper"]["value"], (kl, bounded)
        assert bounded["same_top"] == exact[variant]["divergence"]["same_top"]
        print(f"{variant}: exact KL {kl:.6f}, between {bounded['kl_lower']['value']:.6f} and "
              f"{bounded['kl_upper']['value']:.6f}")
    assert "between " in service.uaqf("jobs", "show", streamed_job).stdout


def main():
    need_data()
    with Service() as service:
        start(service)
        exact_job, exact = run(service, "exact")
        assert not windows_of(exact, "summary")
        streamed_job, streamed = run(service, "streamed")
        bounds = windows_of(streamed, "divergence")
        tightest = contains(windows_of(exact, "divergence"), bounds)
        summaries = windows_of(streamed, "summary")
        assert summaries.keys() == {("fp16", window) for window in range(WINDOWS)}, summaries.keys()
        for window, bound in tightest.items():
            greatest = max(s["summary_k"] for s in summaries["fp16", window[1]])
            assert is_tight(bound) or bound["summary_k"] == greatest >= MOST_K, (window, bound)
        by_k = {}
        for made in summaries.values():
            for summary in made:
                by_k.setdefault(summary["summary_k"], []).append(int(summary["bytes"]) / summary["positions"])
        assert min(by_k) == FIRST_K, by_k.keys()
        for k, sizes in sorted(by_k.items()):
            widths = {v: [(b["kl_upper_sum"] - b["kl_sum"]) / b["positions"] for (variant, _), found in bounds.items()
                          for b in found if variant == v and b["summary_k"] == k] for v in VARIANTS}
            print(f"k {k}: {sum(sizes) / len(sizes):.0f} bytes a position; mean width " +
                  ", ".join(f"{v} {sum(w) / len(w):.4g}" for v, w in widths.items() if w))
        shows_both_sides(service, exact_job, streamed_job)
        with sqlite3.connect(f"file:{service.store}?mode=ro", uri=True) as store:
            assert store.execute("SELECT count(*) FROM summary_piece").fetchone() == (0,), "they go with their job"


if __name__ == "__main__":
    main()
