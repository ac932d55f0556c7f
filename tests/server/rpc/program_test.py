"""uaqf-server as a program: what it prints, what it refuses, and with which exit code."""

import contextlib
import json
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from service import BIN  # noqa: E402

FREE = ["--listen", "127.0.0.1:0", "--worker-listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]


def run(*flags):
    return subprocess.run([BIN / "uaqf-server", *flags], capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def running(*flags, **options):
    """A server that serves; its address line as a dictionary, and the process."""
    process = subprocess.Popen([BIN / "uaqf-server", "--insecure-dev", *flags], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **options)
    try:
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


def refused(code, words, *flags):
    """It ends with `code`, an empty standard output, and one line on standard error that has all `words`."""
    done = run(*flags)
    assert done.returncode == code, f"got {done.returncode}, expected {code}: {flags}\n{done.stderr}"
    assert done.stdout == "", done.stdout
    errors = [line for line in done.stderr.splitlines() if line]
    if code != 2:
        assert len(errors) == 1, f"expected one line: {done.stderr}"
    for word in words:
        assert word in done.stderr, f"expected '{word}' in: {done.stderr}"


def test_help_and_version():
    assert run("--version").stdout.strip().count(".") == 2
    text = run("--help").stdout
    assert "Example:" in text and "--worker-listen" in text and "Exit codes" in text, text


def test_usage(folder):
    store = ["--store", f"{folder}/u.db"]
    refused(2, ["--nonsense"], "--nonsense")
    refused(2, ["neither TLS files nor --insecure-dev"], *FREE, *store)
    refused(2, ["0.0.0.0:0", "loopback"], "--insecure-dev", *FREE[2:], *store, "--listen", "0.0.0.0:0")
    refused(2, ["--tls-key"], "--tls-cert", __file__, *FREE, *store)
    refused(1, ["/nothing.pem"], "--tls-cert", "/nothing.pem", "--tls-key", "/nothing.pem", "--tls-ca", "/nothing.pem",
            *FREE, *store)


def test_serves_and_stops(folder):
    with running(*FREE, "--store", f"{folder}/a.db") as (line, process):
        assert set(line) == {"listen", "worker_listen", "metrics", "store", "version"}, line
        with urllib.request.urlopen(f"http://{line['metrics']}/metrics", timeout=10) as answer:
            assert "uaqf_serving 1" in answer.read().decode()
        for flag in ("listen", "worker_listen", "metrics"):
            option = "--" + flag.replace("_", "-")
            flags = [f for k in range(0, len(FREE), 2) if FREE[k] != option for f in FREE[k:k + 2]]
            refused(3, [line[flag]], "--insecure-dev", "--store", f"{folder}/b.db", *flags, option, line[flag])
        refused(1, [f"{folder}/a.db"], "--insecure-dev", *FREE, "--store", f"{folder}/a.db", "--grace", "0")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_waits_for_a_server_that_leaves_the_store(folder):
    store = ["--store", f"{folder}/handed-over.db"]
    with running(*FREE, *store) as (_, first):
        second = subprocess.Popen([BIN / "uaqf-server", "--insecure-dev", *FREE, *store, "--grace", "60"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            waiting = second.stderr.readline()
            assert f"process {first.pid}" in waiting and "waiting" in waiting, waiting
            first.send_signal(signal.SIGTERM)
            assert json.loads(second.stdout.readline())["store"] == store[1]
        finally:
            second.kill()
            second.communicate()


def test_bad_stores(folder):
    good = f"{folder}/good.db"
    with running(*FREE, "--store", good) as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    refused(1, [f"{folder}/no/such/folder"], "--insecure-dev", *FREE, "--store", f"{folder}/no/such/folder/x.db")

    pathlib.Path(f"{folder}/text.db").write_text("this is no database, but it is long enough to be asked\n" * 100)
    refused(1, ["text.db"], "--insecure-dev", *FREE, "--store", f"{folder}/text.db")

    newer = f"{folder}/newer.db"
    shutil.copy(good, newer)
    with contextlib.closing(sqlite3.connect(newer)) as database:
        database.execute("UPDATE schema_version SET version = 9999")
        database.commit()
    refused(1, ["newer.db", "9999"], "--insecure-dev", *FREE, "--store", newer)

    with contextlib.closing(sqlite3.connect(good)) as database:
        database.execute("BEGIN EXCLUSIVE")
        refused(3, ["good.db"], "--insecure-dev", *FREE, "--store", good)


def test_idle_connections_starve_nobody(folder):
    """Who connects and says nothing holds a descriptor, and neither the port nor the others' calls."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(3000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 100), hard))
    # The server is started with the usual soft limit, which is less than that.
    with running(*FREE, "--store", f"{folder}/idle.db", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (1024, hard))) as (line, _), contextlib.ExitStack() as stack:
        host, port = line["listen"].split(":")
        for _ in range(count):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        with grpc.insecure_channel(line["listen"]) as channel:
            call = channel.unary_unary("/uaqf.v1.EvaluationService/ListJobs")
            start = time.monotonic()
            call(b"", timeout=10, wait_for_ready=True)
            print(f"a call beside {count} idle connections took {time.monotonic() - start:.3f} s")


def main():
    test_help_and_version()
    with tempfile.TemporaryDirectory(prefix="uaqf-program-") as folder:
        test_usage(folder)
        test_serves_and_stops(folder)
        test_waits_for_a_server_that_leaves_the_store(folder)
        test_bad_stores(folder)
        test_idle_connections_starve_nobody(folder)
    print("ok")


if __name__ == "__main__":
    main()
