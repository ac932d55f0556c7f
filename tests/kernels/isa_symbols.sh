#!/usr/bin/env bash
# Objects compiled for one instruction set may define nothing that other objects define too: the linker keeps one copy of
# an inline function for the whole program, and it could be theirs, which an older processor cannot run.
#
#   isa_symbols.sh OBJECT...
set -euo pipefail

[ $# -gt 0 ] || { echo "no objects" >&2; exit 2; }
shared=$(nm -C --defined-only "$@" | grep -E ' [WVu] ' | grep -vE 'kernels::internal::(avx2|avx512)::| (DW\.ref\.)?__' || true)
if [ -n "$shared" ]; then
  printf 'defined by objects of one instruction set, and perhaps by others:\n%s\n' "$shared" >&2
  exit 1
fi
echo "$# objects define only what is theirs"
