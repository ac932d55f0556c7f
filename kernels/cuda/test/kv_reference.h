// Quantized caches on the host, as kv_cache.h defines them.
#pragma once

#include <vector>

#include "kernels/cuda/kv_cache.h"

namespace uaqf::cuda {

struct HostRow {
  float scale = 0;
  int zero = 0;
  std::vector<int> codes;

  float Value(int dim) const { return static_cast<float>(codes[static_cast<size_t>(dim)] - zero) * scale; }
};

HostRow QuantizeOnHost(int bits, const __half* values, int head_dim);

// One row of a cache's bytes.
void PutRow(const KvShape& shape, int head, int position, const HostRow& row, std::vector<uint8_t>* cache);
HostRow GetRow(const KvShape& shape, int head, int position, const std::vector<uint8_t>& cache);

// All rows of an FP16 cache before `written`; the others hold the largest codes and scales that are NaN.
std::vector<uint8_t> QuantizeOnHost(const KvShape& shape, int written, const std::vector<__half>& cache);

// Reports whether a row is the expected one; a code may be one off where the quotient is an exact tie, and how many are
// is printed.
void ExpectRow(const std::string& name, const KvShape& shape, const std::vector<HostRow>& got,
               const std::vector<HostRow>& expected, const std::vector<__half>& values);

}  // namespace uaqf::cuda
