"""The contract in Python, generated from proto/ with Debian's protoc and grpcio: `load(folder)` gives the modules."""

import importlib
import subprocess
import sys

from service import SOURCE

NAMES = ("prompt_set", "record", "job", "evaluation_service", "ranking_service", "worker_service")


class Contract:
    """`messages.Job`, `stub("EvaluationService", channel)`: every message and stub, whatever file it is in."""

    def __init__(self, folder):
        proto = SOURCE / "proto"
        subprocess.run(["protoc", f"-I{proto}", f"--python_out={folder}", f"--grpc_python_out={folder}",
                        "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                        *[str(proto / "uaqf/v1" / f"{name}.proto") for name in NAMES]], check=True)
        sys.path.insert(0, str(folder))
        self._modules = [importlib.import_module(f"uaqf.v1.{name}_pb2{kind}")
                         for name in NAMES for kind in ("", "_grpc")]

    def __getattr__(self, name):
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"the contract has no {name}")
