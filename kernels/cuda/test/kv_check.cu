#include <algorithm>
#include <cstring>

#include "kernels/cuda/test/check.h"
#include "kernels/cuda/test/kv_reference.h"

namespace uaqf::cuda {

namespace {

size_t ScaleAt(const KvShape& s, int head, int position) {
  return static_cast<size_t>(KvScalesOffset(s.bits, s.kv_heads, s.head_dim, s.capacity) +
                             (head * KvScaleRowsOf(s.capacity) + position) * kKvScaleBytes);
}

size_t RowAt(const KvShape& s, int head, int position) {
  return static_cast<size_t>((int64_t{head} * s.capacity + position) * KvRowBytes(s.bits, s.head_dim));
}

// Rows of every kind: random, constant, zero, of one sign, tiny, huge, and of nothing but ties.
std::vector<__half> AwkwardCache(const KvShape& s) {
  Random random(99);
  std::vector<__half> out;
  for (int row = 0; row < s.kv_heads * s.capacity; ++row) {
    const int range = (1 << s.bits) - 1;
    for (int d = 0; d < s.head_dim; ++d) {
      const float normal = random.Normal();
      float value = normal * std::exp2(static_cast<float>(row % 23 - 11));
      if (row % 16 == 1) value = 1.7f * static_cast<float>(row % 3 - 1);
      if (row % 16 == 2) value = 0.25f + std::abs(normal);
      if (row % 16 == 3) value = normal * 1e-7f;
      if (row % 16 == 4) value = d % 2 == 0 ? 65504.0f : -65504.0f;
      // The scale is 1/8; ends that span the range, and halves of steps between them.
      if (row % 16 == 5) value = (static_cast<float>(random.Below(range)) + 0.5f - static_cast<float>(range / 2)) / 8;
      if (row % 16 == 5 && d == 0) value = static_cast<float>(-(range / 2)) / 8;
      if (row % 16 == 5 && d == 1) value = static_cast<float>(range - range / 2) / 8;
      out.push_back(__float2half_rn(value));
    }
  }
  return out;
}

void CheckRange(const KvShape& s, int first, int count) {
  const std::string name = "quantize cache, " + std::to_string(s.bits) + " bits, " + std::to_string(s.kv_heads) +
                           " x " + std::to_string(s.head_dim) + ", " + std::to_string(count) + " from " +
                           std::to_string(first);
  const std::vector<__half> cache = AwkwardCache(s);
  const OnDevice<__half> from(cache);
  const std::vector<uint8_t> before(static_cast<size_t>(KvCacheBytes(s)), 0xA5);
  const OnDevice<uint8_t> to(before);
  if (!ExpectOk(name, QuantizeCache(s, first, count, from.get(), to.get(), nullptr))) return;
  const std::vector<uint8_t> after = to.Read();
  std::vector<HostRow> got;
  std::vector<HostRow> expected;
  std::vector<__half> values;
  std::vector<uint8_t> others = after;  // with what was to be written put back as it was
  for (int h = 0; h < s.kv_heads; ++h) {
    for (int p = first; p < first + count; ++p) {
      const __half* row = cache.data() + (static_cast<size_t>(h) * s.capacity + p) * s.head_dim;
      got.push_back(GetRow(s, h, p, after));
      expected.push_back(QuantizeOnHost(s.bits, row, s.head_dim));
      values.insert(values.end(), row, row + s.head_dim);
      std::memset(others.data() + RowAt(s, h, p), 0xA5, static_cast<size_t>(s.head_dim * s.bits / 8));
      std::memset(others.data() + ScaleAt(s, h, p), 0xA5, kKvScaleBytes);
    }
  }
  ExpectRow(name, s, got, expected, values);
  Report(others == before, name + " leaves the rest", 0, 0);
}

}  // namespace

HostRow QuantizeOnHost(int bits, const __half* values, int head_dim) {
  const int most = (1 << bits) - 1;
  float minimum = INFINITY;
  float maximum = -INFINITY;
  for (int d = 0; d < head_dim; ++d) {
    minimum = std::min(minimum, __half2float(values[d]));
    maximum = std::max(maximum, __half2float(values[d]));
  }
  const auto scale_of = [&] { return __half2float(__float2half_rn((maximum - minimum) / static_cast<float>(most))); };
  HostRow row;
  row.codes.assign(static_cast<size_t>(head_dim), 0);
  row.scale = scale_of();
  if (row.scale == 0) {
    minimum = std::min(minimum, 0.0f);
    maximum = std::max(maximum, 0.0f);
    row.scale = scale_of();
  }
  if (row.scale == 0) return row;
  const double scale = static_cast<double>(row.scale);
  row.zero = static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(-minimum) / scale), 0.0, most * 1.0));
  for (int d = 0; d < head_dim; ++d) {
    const double code = std::nearbyint(static_cast<double>(__half2float(values[d])) / scale) + row.zero;
    row.codes[static_cast<size_t>(d)] = static_cast<int>(std::clamp(code, 0.0, most * 1.0));
  }
  return row;
}

void PutRow(const KvShape& s, int head, int position, const HostRow& row, std::vector<uint8_t>* cache) {
  uint8_t* codes = cache->data() + RowAt(s, head, position);
  for (int d = 0; d < s.head_dim; ++d) {
    const auto code = static_cast<uint8_t>(row.codes[static_cast<size_t>(d)]);
    if (s.bits == 8) {
      codes[d] = code;
    } else {
      codes[d / 2] = static_cast<uint8_t>(d % 2 == 0 ? code : codes[d / 2] | code << 4);
    }
  }
  const __half pair[2] = {__float2half_rn(row.scale), __float2half_rn(static_cast<float>(row.zero))};
  std::memcpy(cache->data() + ScaleAt(s, head, position), pair, sizeof pair);
}

HostRow GetRow(const KvShape& s, int head, int position, const std::vector<uint8_t>& cache) {
  HostRow row;
  const uint8_t* codes = cache.data() + RowAt(s, head, position);
  for (int d = 0; d < s.head_dim; ++d) {
    row.codes.push_back(s.bits == 8 ? codes[d] : codes[d / 2] >> (d % 2 * 4) & 15);
  }
  __half pair[2];
  std::memcpy(pair, cache.data() + ScaleAt(s, head, position), sizeof pair);
  row.scale = __half2float(pair[0]);
  row.zero = static_cast<int>(__half2float(pair[1]));
  return row;
}

std::vector<uint8_t> QuantizeOnHost(const KvShape& s, int written, const std::vector<__half>& cache) {
  std::vector<uint8_t> out(static_cast<size_t>(KvCacheBytes(s)), 0xFF);
  for (int h = 0; h < s.kv_heads; ++h) {
    for (int p = 0; p < written; ++p) {
      const __half* row = cache.data() + (static_cast<size_t>(h) * s.capacity + p) * s.head_dim;
      PutRow(s, h, p, QuantizeOnHost(s.bits, row, s.head_dim), &out);
    }
  }
  return out;
}

void ExpectRow(const std::string& name, const KvShape& s, const std::vector<HostRow>& got,
               const std::vector<HostRow>& expected, const std::vector<__half>& values) {
  int wrong = 0;
  int ties = 0;
  for (size_t r = 0; r < got.size(); ++r) {
    const HostRow& want = expected[r];
    if (got[r].scale != want.scale || got[r].zero != want.zero) ++wrong;
    for (int d = 0; d < s.head_dim; ++d) {
      const int off = std::abs(got[r].codes[static_cast<size_t>(d)] - want.codes[static_cast<size_t>(d)]);
      if (off == 0) continue;
      const auto value = static_cast<double>(__half2float(values[r * s.head_dim + d]));
      const double steps = std::abs(value / static_cast<double>(want.scale));
      const bool tie = steps - std::floor(steps) == 0.5;
      ++(off == 1 && tie ? ties : wrong);
    }
  }
  if (ties > 0) std::printf("     %s: %d codes one off at ties\n", name.c_str(), ties);
  Report(wrong == 0, name + " codes, scale and zero", wrong, 0);
}

void CheckQuantizeCache() {
  for (const int bits : {8, 4}) {
    for (const int head_dim : {16, 48, 64, 80, 128, 256}) CheckRange({bits, 3, head_dim, 70}, 1, 66);
    CheckRange({bits, 8, 128, 1030}, 0, 1030);
    CheckRange({bits, 1, 64, 5}, 4, 1);
  }
  const KvShape good = {8, 1, 64, 5};
  bool refused = !QuantizeCache({16, 1, 64, 5}, 0, 1, nullptr, nullptr, nullptr).ok();
  refused = refused && !QuantizeCache(good, 4, 2, nullptr, nullptr, nullptr).ok();
  refused = refused && !QuantizeCache(good, -1, 2, nullptr, nullptr, nullptr).ok();
  Report(refused && QuantizeCache(good, 5, 0, nullptr, nullptr, nullptr).ok(), "quantize cache refuses", 0, 0);
}

}  // namespace uaqf::cuda
