#!/usr/bin/python3
"""Every query of the Grafana dashboard gives data from a real Prometheus that scrapes a real job.

Starts a coordinator, workers and Prometheus (with deploy/prometheus.yaml, its address and pace replaced), measures a
small job, then runs each panel's and each variable's query, and compares the winner shown with the one `uaqf rank`
tells. A query without data fails the test, and so does a legend that names a label its series lack.
"""

import json
import pathlib
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from service import SOURCE, Service, free_port, wait_until  # noqa: E402

DASHBOARD = SOURCE / "deploy/grafana/dashboards/uaqf.json"
VARIANTS = "fp16,rtn-w8-channel,rtn-w4-g64"
PROFILE = "balanced"
# A job with a grid has no budget, and the other way round.
TRAFFIC_ROW = "Traffic grid"
# For counters that appear only when something goes wrong: the left side must have data once it has gone wrong.
FALLBACK = " or vector(0)"


def ask(port, path, **parameters):
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters} is refused: {error.read().decode()}") from error


def start_prometheus(service):
    config = (SOURCE / "deploy/prometheus.yaml").read_text()
    for old, new in (("127.0.0.1:9464", f"127.0.0.1:{service.metrics_port}"),
                     ("scrape_interval: 5s", "scrape_interval: 1s"), ("scrape_timeout: 4s", "scrape_timeout: 1s")):
        assert old in config, f"deploy/prometheus.yaml does not say {old}"
        config = config.replace(old, new)
    path = service.folder / "prometheus.yaml"
    path.write_text(config)
    port = free_port()
    service.workers["prometheus"] = service.start("prometheus", [
        shutil.which("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={service.folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"])

    def ready():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).status == 200
        except OSError:
            return False
    wait_until("Prometheus' start", ready, 30)
    return port


def panel_queries(dashboard):
    """(title of the row, panel title, expression, legend) of every target."""
    row = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        for inner in [panel, *panel.get("panels", [])]:
            for target in inner.get("targets", []):
                yield row, inner["title"], target["expr"], target.get("legendFormat", "")


def substitute(text, job):
    for name, value in (("$job", job), ("$profile", PROFILE), ("$__rate_interval", "15s")):
        text = text.replace(name, value)
    assert "$" not in text, f"a variable that the test does not know: {text}"
    return text


def problem_with(port, expression, legend):
    """Why a query's answer is not what its panel needs; None when it is."""
    result = ask(port, "query", query=expression.removesuffix(FALLBACK))["result"]
    if not result:
        return "no data"
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", legend):
        if any(label not in series["metric"] for series in result):
            return f"its legend names the label {label}, which its series lack"
    return None


def check_identities(dashboard):
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)), f"two panels share an id: {sorted(ids)}"


def check_panels(port, dashboard, job, job_with_a_grid):
    queries = [(title, substitute(expression, job_with_a_grid if row == TRAFFIC_ROW else job), legend)
               for row, title, expression, legend in panel_queries(dashboard)]
    assert len(queries) >= 30, f"only {len(queries)} queries in {DASHBOARD}"
    failing = {}

    def all_answered():
        failing.clear()
        for title, expression, legend in queries:
            if problem := problem_with(port, expression, legend):
                failing[f"{title}: {expression}"] = problem
        return not failing
    try:
        wait_until("data for every query", all_answered, 30)
    except AssertionError:
        for query, problem in failing.items():
            print(f"{problem}: {query}", file=sys.stderr)
        raise AssertionError(f"{len(failing)} of {len(queries)} queries give no panel") from None
    return len(queries)


def check_variables(port, dashboard, job):
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
        values = ask(port, f"label/{label}/values", **{"match[]": substitute(series, job)})
        expected = {"job": job, "profile": PROFILE}[variable["name"]]
        assert expected in values, f"variable {variable['name']} offers {values}, expected {expected} among them"


def check_winners(service, port, job):
    """What the dashboard shows is what the client says."""
    for profile in ("latency-critical", "memory-constrained", PROFILE):
        winner = service.json("rank", job, "--profile", profile)["winner"]
        query = f'uaqf_decision_rank{{job_id="{job}",profile="{profile}"}} == 1'
        shown = [series["metric"]["variant"] for series in ask(port, "query", query=query)["result"]]
        assert shown == [winner], f"{profile}: the dashboard shows {shown}, uaqf rank says {winner}"


def check_alive(service, port):
    targets = ask(port, "targets")["activeTargets"]
    assert [t["health"] for t in targets] == ["up"], targets
    assert targets[0]["scrapePool"] == "uaqf"


def main():
    dashboard = json.loads(DASHBOARD.read_text())
    with Service() as service:
        service.start_server()
        service.wait_for_server()
        port = start_prometheus(service)
        for k in range(3):
            service.start_null_worker(f"w{k}")
        service.wait_for_workers(3)
        prose = service.folder / "prose.txt"
        prose.write_text("It was a bright day and the clocks were right. " * 400)
        service.uaqf("prompts", "import", service.prompts_file(24), "--name", "few")
        service.uaqf("prompts", "import", prose, "--kind", "text", "--name", "prose")
        job = service.json("jobs", "submit", "--model", "null", "--variants", VARIANTS, "--prompts", "few", "--repeats", 3,
                           "--max-output-tokens", 8, "--quality-text", "prose", "--context", 64, "--windows", 6,
                           "--agreement", 8, "--agreement-tokens", 8, "--budget", "10h")["name"]
        service.wait_for_job(job, 60)
        grid = service.json("jobs", "submit", "--model", "null", "--variants", VARIANTS, "--prompts", "few", "--repeats", 1,
                            "--max-output-tokens", 8, "--grid", "batch=1,4:input=16:output=4:draws=2")["name"]
        service.wait_for_job(grid, 60)
        # A refused call, more than once: a rate needs two samples of a counter.
        for _ in range(3):
            assert service.uaqf("jobs", "show", "jobs/none", check=False).returncode == 1
            time.sleep(1.1)
        job_id = job.removeprefix("jobs/")
        check_identities(dashboard)
        count = check_panels(port, dashboard, job_id, grid.removeprefix("jobs/"))
        check_variables(port, dashboard, job_id)
        check_winners(service, port, job_id)
        check_alive(service, port)
        print(f"{count} queries of {DASHBOARD.name} give data")


if __name__ == "__main__":
    main()
