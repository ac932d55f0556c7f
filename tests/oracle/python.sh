#!/usr/bin/env bash
# Runs a Python script in the environment of the oracles, made in $UAQF_CACHE on first use:
#   tests/oracle/python.sh tests/oracle/smollm2_oracle.py
# Tests do not need it: they read the JSON files that the scripts wrote.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
export UAQF_CACHE="${UAQF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uaqf}"
venv="$UAQF_CACHE/oracle-venv"

if [[ ! -e "$venv/complete" ]]; then
  wheels=("$UAQF_CACHE"/downloads/torch-2.11.0-cp311-*.whl)
  if [[ ! -e "${wheels[0]}" ]]; then
    echo "no torch-2.11.0 wheel in $UAQF_CACHE/downloads: run deploy/dependencies.sh first" >&2
    exit 1
  fi
  python3 -m venv "$venv"
  # torch without its dependencies: it would bring 2 GB of CUDA libraries that the CPU never calls.
  "$venv/bin/pip" install --quiet --no-deps "${wheels[0]}"
  "$venv/bin/pip" install --quiet -r "$here/requirements.txt" sympy networkx fsspec filelock typing_extensions
  "$venv/bin/python" "$here/cuda_stand_ins.py" "$venv"/lib/python3*/site-packages/torch/lib "$venv/cuda-stand-ins"
  touch "$venv/complete"
fi

real="$(printf '%s:' "$UAQF_CACHE"/deps/cuda-*/nvidia/cu13/lib)"
LD_LIBRARY_PATH="$venv/cuda-stand-ins:$real" exec "$venv/bin/python" "$@"
