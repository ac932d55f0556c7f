#!/usr/bin/env bash
# Packs the programs, the CUDA module and the Debian libraries they need, for a GPU machine that has CUDA and PyTorch
# but no packages of ours:
#
#   tests/bench/gpu_pack.sh BUILD OUT.tar.xz [PROGRAM...]
#
# BUILD is a build folder; programs beside the usual ones (tests) are named by their path below it. There, unpack and
# use run.sh, which finds libtorch: ./run.sh bin/uaqf-worker bench synthetic:llama-2-7b --device cuda:0 ...
set -euo pipefail

build=$(cd "$1" && pwd)
out=$(realpath -m "$2")
shift 2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/bin" "$stage/lib"

for program in bin/uaqf-server bin/uaqf-worker bin/uaqf bin/libuaqf_cuda.so "$@"; do
  strip -o "$stage/bin/$(basename "$program")" "$build/$program"
done
# The machine's own: the C and C++ libraries (newer than ours), CUDA and libtorch.
ldd "$stage"/bin/* 2>/dev/null | awk '/=> \//{print $3}' | sort -u |
  grep -vE '/((ld-linux.*|libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s)\.so|lib(torch|c10|cu(dart|blas|fft|rand|sparse|solver|dnn|file|pti|da)|nv|nccl|gomp))' |
  while read -r library; do cp -L "$library" "$stage/lib/"; done
strip --strip-unneeded "$stage"/lib/*.so* 2>/dev/null || true

cat > "$stage/run.sh" <<'RUN'
#!/usr/bin/env bash
# Runs a program of this folder with its libraries and the libtorch of the machine's Python.
here=$(cd "$(dirname "$0")" && pwd)
site=$(dirname "$(dirname "$(python3 -c 'import importlib.util; print(importlib.util.find_spec("torch").origin)')")")
path=$here/lib:$site/torch/lib
for folder in "$site"/nvidia/*/lib; do path=$path:$folder; done
export LD_LIBRARY_PATH=$path:/usr/local/nvidia/lib64:${LD_LIBRARY_PATH:-}
export CUDA_MODULE_LOADING=LAZY
exec "$@"
RUN
chmod +x "$stage/run.sh"
mkdir -p "$(dirname "$out")"
tar -C "$stage" -cf - . | xz -T0 -6 > "$out"
du -h "$out" | cut -f1
