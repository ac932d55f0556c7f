"""A coordinator, its workers and a command line client in a scratch folder, for tests written in Python.

Programs come from $UAQF_BIN_DIR. Everything that a Service starts is ended and waited for when it is closed, and its
folder is removed; with UAQF_KEEP=1 the folder stays, and its name is printed.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(os.environ.get("UAQF_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("UAQF_BIN_DIR", SOURCE / "build" / "bin"))


def free_port():
    """A port that was free a moment ago. A coordinator that is killed and started again needs the same one."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, condition, seconds):
    """Waits for `condition()` to be true and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen in {seconds} s")
        time.sleep(0.05)


class Service:
    def __init__(self, server_flags=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="uaqf-service-"))
        self.store = self.folder / "uaqf.db"
        self.client_port, self.worker_port, self.metrics_port = free_port(), free_port(), free_port()
        self.server_flags = list(server_flags)
        self.server = None
        self.workers = {}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for process in [*self.workers.values(), *([self.server] if self.server else [])]:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            self.stop(process)
        if failure[0] is not None:
            self.print_logs()
        if os.environ.get("UAQF_KEEP") == "1":
            print(f"kept {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command):
        """Starts a process whose output goes to NAME.log, after what an earlier one of that name wrote."""
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                    cwd=self.folder)

    @staticmethod
    def stop(process, seconds=20):
        """SIGTERM, then SIGKILL. Returns the exit status."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def start_server(self):
        self.server = self.start("server", [
            BIN / "uaqf-server", "--insecure-dev", "--store", self.store,
            "--listen", f"127.0.0.1:{self.client_port}", "--worker-listen", f"127.0.0.1:{self.worker_port}",
            "--metrics", f"127.0.0.1:{self.metrics_port}", *self.server_flags])

    def wait_for_server(self, seconds=20):
        def up():
            if self.server.poll() is not None:
                raise AssertionError(f"uaqf-server ended with status {self.server.returncode}")
            return self.uaqf("workers", check=False).returncode == 0
        wait_until("the coordinator's start", up, seconds)

    def start_null_worker(self, name, *flags):
        """A worker that makes its figures up, on a device of its own unless --device says otherwise."""
        self.workers[name] = self.start(name, [
            BIN / "uaqf-null-worker", "--insecure-dev", "--server", f"127.0.0.1:{self.worker_port}", "--worker-name", name,
            "--device", f"{self.folder.name}-{name}", *flags])
        return self.workers[name]

    def uaqf(self, *arguments, check=True, seconds=60):
        """Runs the client; its output as text."""
        environment = dict(os.environ, UAQF_SERVER=f"127.0.0.1:{self.client_port}", NO_COLOR="1")
        done = subprocess.run([str(BIN / "uaqf"), *map(str, arguments)], env=environment, capture_output=True, text=True,
                              timeout=seconds)
        if check and done.returncode != 0:
            raise AssertionError(f"uaqf {' '.join(map(str, arguments))} ended with {done.returncode}:\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments, **options):
        return json.loads(self.uaqf(*arguments, "--output", "json", **options).stdout)

    def wait_for_workers(self, count, seconds=30):
        wait_until(f"the arrival of {count} workers",
                   lambda: len(self.json("workers").get("workers", [])) >= count, seconds)

    def wait_for_job(self, job, seconds, states=("JOB_STATE_SUCCEEDED",)):
        def ended():
            view = self.json("jobs", "show", job)
            state = view["state"]
            if state in ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED") and state not in states:
                raise AssertionError(f"{job} ended as {state}: {view}")
            return view if state in states else None
        return wait_until(f"the end of {job}", ended, seconds)

    def prompts_file(self, count, words=12):
        """A JSONL file of `count` prompts over three categories."""
        path = self.folder / f"prompts-{count}.jsonl"
        with open(path, "w", encoding="utf-8") as out:
            for k in range(count):
                text = " ".join(f"word{(k * 7 + n) % 97}" for n in range(words))
                out.write(json.dumps({"id": f"p{k}", "text": text, "category": ("math", "dialogue", "other")[k % 3]}) + "\n")
        return path

    def print_logs(self, lines=30):
        for log in sorted(self.folder.glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-lines:]
            print(f"--- {log.name}\n" + "\n".join(tail), file=sys.stderr)
