#include <algorithm>
#include <cstring>

#include "kernels/cuda/prefill.h"
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

// Where the code of a dimension stands in its row.
int CodeOf(const KvShape& s, int dim) {
  const int half = s.head_dim / 2;
  return dim < half ? 2 * dim : 2 * (dim - half) + 1;
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

std::vector<float> Angles(const KvShape& s, double (*wave)(double)) {
  std::vector<float> out;
  for (int p = 0; p < s.capacity; ++p) {
    for (int i = 0; i < s.head_dim / 2; ++i) {
      out.push_back(static_cast<float>(wave(p * std::pow(10000.0, -2.0 * i / s.head_dim))));
    }
  }
  return out;
}

// What a prefill has and makes: tokens at positions first .. first + count - 1, two query heads to a KV head.
struct PrefillCase {
  KvShape s;
  int first, count;
  std::vector<float> cosine = Angles(s, std::cos);
  std::vector<float> sine = Angles(s, std::sin);
  std::vector<float> bias = {};
  std::vector<__half> qkv = {};

  PrefillCase(const KvShape& shape, int first, int count) : s(shape), first(first), count(count) {
    const std::vector<__half> cache = AwkwardCache(s);
    Random random(5);
    for (int i = 0; i < width(); ++i) bias.push_back(first > 0 ? random.Normal() : 0);
    for (int i = 0; i < count * width(); ++i) {
      const int column = i % width();
      const int row = column / s.head_dim % s.kv_heads * s.capacity + (first + i / width() * 7) % s.capacity;
      const __half awkward = cache[static_cast<size_t>(row) * s.head_dim + column % s.head_dim];
      qkv.push_back(column < 2 * s.kv_heads * s.head_dim ? __float2half_rn(random.Normal()) : awkward);
    }
  }
  int width() const { return 4 * s.kv_heads * s.head_dim; }
  RopeShape shape() const { return {2 * s.kv_heads, s.kv_heads, s.head_dim, s.capacity}; }

  float Biased(int token, int column) const {
    return __half2float(qkv[static_cast<size_t>(token) * width() + column]) + bias[static_cast<size_t>(column)];
  }
  std::vector<__half> Row(int token, int head) const {
    std::vector<__half> row;
    for (int d = 0; d < s.head_dim; ++d) row.push_back(__float2half_rn(Biased(token, head * s.head_dim + d)));
    return row;
  }
  void Turn(int position, double* head) const {
    const int half = s.head_dim / 2;
    for (int i = 0; i < half; ++i) {
      const double c = static_cast<double>(cosine[static_cast<size_t>(position * half + i)]);
      const double n = static_cast<double>(sine[static_cast<size_t>(position * half + i)]);
      const double a = head[i];
      const double b = head[i + half];
      head[i] = a * c - b * n;
      head[i + half] = b * c + a * n;
    }
  }
  // How far `got` is off what the code rows of a head stand for, of its greatest value.
  double Error(const HostRow& row, bool is_key, int position, const __half* got) const {
    std::vector<double> expected;
    double most = 1e-30;
    for (int d = 0; d < s.head_dim; ++d) expected.push_back(static_cast<double>(row.Value(d)));
    if (is_key) Turn(position, expected.data());
    for (const double v : expected) most = std::max(most, std::abs(v));
    double worst = 0;
    for (int d = 0; d < s.head_dim; ++d) {
      const auto value = static_cast<double>(__half2float(got[d]));
      const double want = expected[static_cast<size_t>(d)];
      if (std::abs(want) > 65519 && std::isinf(value) && (value > 0) == (want > 0)) continue;
      constexpr double kHalfOfLeast = 3e-8;  // of FP16's numbers
      worst = std::max(worst, (std::abs(value - want) - kHalfOfLeast) / most);
    }
    return worst;
  }
};

struct PrefillCaches {
  std::vector<uint8_t> codes[2];
  std::vector<__half> plain[2];
};

// Runs both kernels; what the second reads must be what the first left, bit for bit.
bool Run(const PrefillCase& c, const std::string& name, PrefillCaches* out, std::vector<__half>* qkv) {
  const std::vector<uint8_t> before(static_cast<size_t>(KvCacheBytes(c.s)), 0xA5);
  const std::vector<__half> poison(static_cast<size_t>(c.s.kv_heads) * c.s.capacity * c.s.head_dim,
                                   __float2half_rn(NAN));
  const OnDevice<float> cosine(c.cosine);
  const OnDevice<float> sine(c.sine);
  const OnDevice<float> bias(c.bias);
  const OnDevice<__half> rows(c.qkv);
  const OnDevice<uint8_t> codes[2] = {OnDevice<uint8_t>(before), OnDevice<uint8_t>(before)};
  const OnDevice<__half> plain[2] = {OnDevice<__half>(poison), OnDevice<__half>(poison)};
  const OnDevice<__half> read[2] = {OnDevice<__half>(poison), OnDevice<__half>(poison)};
  const QuantizedCache cache = {codes[0].get(), codes[1].get()};
  if (!ExpectOk(name, RopeAndQuantize(c.shape(), c.s.bits, c.first, c.count, cosine.get(), sine.get(), bias.get(),
                                      rows.get(), cache, plain[0].get(), plain[1].get(), nullptr)) ||
      !ExpectOk(name, ReadQuantized(c.shape(), c.s.bits, c.first, c.count, cosine.get(), sine.get(), cache,
                                    read[0].get(), read[1].get(), nullptr))) {
    return false;
  }
  bool same = true;
  for (int i = 0; i < 2; ++i) {
    out->codes[i] = codes[i].Read();
    out->plain[i] = plain[i].Read();
    same = same && std::memcmp(out->plain[i].data(), read[i].Read().data(), poison.size() * sizeof(__half)) == 0;
  }
  *qkv = rows.Read();
  Report(same, name + " reads what it wrote", 0, 0);
  return true;
}

void CheckQuantized(const PrefillCase& c, const PrefillCaches& caches, const std::string& name) {
  const KvShape& s = c.s;
  for (int which = 0; which < 2; ++which) {
    std::vector<HostRow> got;
    std::vector<HostRow> expected;
    std::vector<__half> values;
    std::vector<uint8_t> others = caches.codes[which];  // with what was to be written put back as it was
    double worst = 0;
    for (int h = 0; h < s.kv_heads; ++h) {
      for (int t = 0; t < c.count; ++t) {
        const int p = c.first + t;
        const std::vector<__half> row = c.Row(t, (2 + which) * s.kv_heads + h);
        got.push_back(GetRow(s, h, p, caches.codes[which]));
        expected.push_back(QuantizeOnHost(s.bits, row.data(), s.head_dim));
        values.insert(values.end(), row.begin(), row.end());
        std::memset(others.data() + RowAt(s, h, p), 0xA5, static_cast<size_t>(s.head_dim * s.bits / 8));
        std::memset(others.data() + ScaleAt(s, h, p), 0xA5, kKvScaleBytes);
        const size_t at = (static_cast<size_t>(h) * s.capacity + p) * s.head_dim;
        worst = std::max(worst, c.Error(got.back(), which == 0, p, caches.plain[which].data() + at));
      }
    }
    const std::string what = name + (which == 0 ? " keys" : " values");
    ExpectRow(what, s, got, expected, values);
    Report(worst < 1e-3, what + " for attention", worst, 1e-3);
    const bool untouched = std::all_of(others.begin(), others.end(), [](uint8_t byte) { return byte == 0xA5; });
    Report(untouched, what + " leave the rest", 0, 0);
  }
}

void CheckRange(const KvShape& s, int first, int count) {
  const std::string name = "quantized prefill, " + std::to_string(s.bits) + " bits, " + std::to_string(s.kv_heads) +
                           " x " + std::to_string(s.head_dim) + ", " + std::to_string(count) + " from " +
                           std::to_string(first);
  const PrefillCase c(s, first, count);
  PrefillCaches caches;
  std::vector<__half> qkv;
  if (!Run(c, name, &caches, &qkv)) return;
  CheckQuantized(c, caches, name);
  std::vector<float> got;
  std::vector<double> expected;
  for (int t = 0; t < count; ++t) {
    for (int h = 0; h < 2 * s.kv_heads; ++h) {
      std::vector<double> row;
      for (int d = 0; d < s.head_dim; ++d) row.push_back(static_cast<double>(c.Biased(t, h * s.head_dim + d)));
      c.Turn(first + t, row.data());
      expected.insert(expected.end(), row.begin(), row.end());
      for (int d = 0; d < s.head_dim; ++d) {
        got.push_back(__half2float(qkv[static_cast<size_t>(t) * c.width() + h * s.head_dim + d]));
      }
    }
  }
  ExpectNear(name + " queries", got, expected, 5e-4);
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
    const int at = CodeOf(s, d);
    if (s.bits == 8) {
      codes[at] = code;
    } else {
      // The even codes come first.
      codes[at / 2] = static_cast<uint8_t>(at % 2 == 0 ? code : codes[at / 2] | code << 4);
    }
  }
  const __half pair[2] = {__float2half_rn(row.scale), __float2half_rn(static_cast<float>(row.zero))};
  std::memcpy(cache->data() + ScaleAt(s, head, position), pair, sizeof pair);
}

HostRow GetRow(const KvShape& s, int head, int position, const std::vector<uint8_t>& cache) {
  HostRow row;
  const uint8_t* codes = cache.data() + RowAt(s, head, position);
  for (int d = 0; d < s.head_dim; ++d) {
    const int at = CodeOf(s, d);
    row.codes.push_back(s.bits == 8 ? codes[at] : codes[at / 2] >> (at % 2 * 4) & 15);
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

void CheckKvPrefill() {
  for (const int bits : {8, 4}) {
    for (const int head_dim : {16, 48, 64, 80, 128, 256}) CheckRange({bits, 3, head_dim, 70}, 1, 66);
    CheckRange({bits, 8, 128, 1030}, 0, 1030);
    CheckRange({bits, 1, 64, 5}, 4, 1);
  }
  const auto refuses = [](int bits, int first, int count) {
    return !RopeAndQuantize({1, 1, 64, 5}, bits, first, count, nullptr, nullptr, nullptr, nullptr, {}, nullptr, nullptr,
                            nullptr)
                .ok() &&
           !ReadQuantized({1, 1, 64, 5}, bits, first, count, nullptr, nullptr, {}, nullptr, nullptr, nullptr).ok();
  };
  Report(refuses(16, 0, 1) && refuses(8, 4, 2) && refuses(4, -1, 2) && refuses(4, 0, 0), "quantized prefill refuses", 0,
         0);
}

}  // namespace uaqf::cuda
