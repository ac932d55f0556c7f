#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/cuda/test/check_model.h"
#include "kernels/cuda/unpack.h"

namespace uaqf::cuda {

namespace {

uint16_t HalfBits(float value) {
  const __half h = __float2half_rn(value);
  uint16_t bits;
  std::memcpy(&bits, &h, sizeof bits);
  return bits;
}

float ToFloat(__half h) { return __half2float(h); }

// Packs rows [offset, offset + rows) of `m`.
Status PackPart(const CheckKind& kind, int offset, int rows, Random& random, PackedPair* m) {
  const int cols = m->host.cols;
  const size_t begin = static_cast<size_t>(offset) * static_cast<size_t>(cols);
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
  const float unit = 1.0f / std::sqrt(static_cast<float>(cols));
  if (kind.format == Format::kFp16) {
    std::vector<__half> values(count);
    for (size_t i = 0; i < count; ++i) {
      values[i] = __float2half_rn(random.Normal() * unit);
      m->host.values[begin + i] = ToFloat(values[i]);
    }
    const OnDevice<__half> device(values);
    UAQF_CUDA_CHECK(m->device.PackFp16(offset, rows, device.get(), nullptr));
    return FromCuda(cudaDeviceSynchronize(), "pack");
  }
  const int range = kind.format == Format::kInt8 ? 256 : 16;
  const int group = kind.group > 0 ? kind.group : cols;
  const int groups = (cols + group - 1) / group;
  std::vector<int8_t> codes(count);
  std::vector<float> scales(static_cast<size_t>(rows));
  std::vector<__half> group_scales(static_cast<size_t>(rows) * static_cast<size_t>(groups));
  for (float& s : scales) s = unit * (1.0f + 0.5f * random.Uniform()) * 3.4f / static_cast<float>(range);
  for (__half& s : group_scales) s = __float2half_rn(unit * (1.0f + 0.5f * random.Uniform()) * 0.2f);
  std::vector<int8_t> zeros(kind.zeros ? group_scales.size() : 1);
  for (size_t i = 0; i < zeros.size(); ++i) {
    const int column = static_cast<int>(i % static_cast<size_t>(groups)) * group;
    zeros[i] = static_cast<int8_t>(!kind.rounded ? (kind.zeros ? random.Below(17) - 8 : 0)
                                                 : (column < m->host.inputs ? 0 : -kInt4Offset));
  }
  for (size_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int8_t>(random.Below(range) - range / 2);
    const size_t r = i / static_cast<size_t>(cols);
    const size_t g = i % static_cast<size_t>(cols) / static_cast<size_t>(group);
    const size_t at = r * static_cast<size_t>(groups) + g;
    const float scale = kind.group > 0 ? ToFloat(group_scales[at]) : scales[r];
    m->host.codes[begin + i] = codes[i];
    m->host.values[begin + i] = static_cast<float>(codes[i] - (kind.zeros ? zeros[at] : 0)) * scale;
    m->host.row_scales[static_cast<size_t>(offset) + r] = scale;
  }
  const OnDevice<int8_t> device_codes(codes);
  const OnDevice<float> device_scales(scales);
  const OnDevice<__half> device_groups(group_scales);
  const OnDevice<int8_t> device_zeros(zeros);
  QuantizedRows part;
  part.row_offset = offset;
  part.rows = rows;
  part.codes = device_codes.get();
  part.scales = device_scales.get();
  part.group_scales = kind.group > 0 ? device_groups.get() : nullptr;
  part.group_zeros = kind.zeros ? device_zeros.get() : nullptr;
  UAQF_CUDA_CHECK(m->device.Pack(part, nullptr));
  return FromCuda(cudaDeviceSynchronize(), "pack");
}

// All inputs in a random order, the last `repeats` of them twice.
std::vector<int32_t> RandomOrder(int inputs, int repeats, Random& random) {
  std::vector<int32_t> order(static_cast<size_t>(inputs));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[static_cast<size_t>(random.Below(static_cast<int>(i + 1)))]);
  const std::vector<int32_t> again(order.end() - repeats, order.end());
  order.insert(order.end(), again.begin(), again.end());
  return order;
}

}  // namespace

std::unique_ptr<PackedPair> MakePair(const CheckKind& kind, const TileMap& map, int inputs,
                                     const std::vector<int>& parts, uint64_t seed, int repeats) {
  auto m = std::make_unique<PackedPair>();
  const int cols = inputs + repeats;
  const size_t count = static_cast<size_t>(map.rows) * static_cast<size_t>(cols);
  m->host.rows = map.rows;
  m->host.cols = cols;
  m->host.inputs = inputs;
  m->host.repeats = repeats;
  m->host.values.resize(count);
  m->host.codes.resize(count);
  m->host.row_scales.resize(static_cast<size_t>(map.rows));
  MatrixSpec spec;
  spec.format = kind.format;
  spec.group = kind.group;
  spec.cols = cols;
  spec.map = map;
  spec.zeros = kind.zeros;
  if (!ExpectOk("create", DeviceMatrix::Create(spec, nullptr, &m->device))) return nullptr;
  Random random(seed);
  m->host.gather.resize(static_cast<size_t>(cols));
  std::iota(m->host.gather.begin(), m->host.gather.end(), 0);
  if (kind.zeros) {
    m->host.gather = RandomOrder(inputs, repeats, random);
    if (!ExpectOk("order", m->device.SetGather(m->host.gather.data(), inputs, nullptr))) return nullptr;
  }
  int offset = 0;
  for (const int rows : parts) {
    if (!ExpectOk("pack", PackPart(kind, offset, rows, random, m.get()))) return nullptr;
    offset += rows;
  }
  return m;
}

std::vector<double> QuantizedInput(const CheckKind& kind, const HostMatrix& w, std::vector<double> x) {
  if (kind.int8_activations) {
    double maximum = 0;
    for (const double v : x) maximum = std::max(maximum, std::abs(v));
    const double scale = std::max(maximum, 1e-5) / 127;
    for (double& v : x) v = std::clamp(std::nearbyint(v / scale), -127.0, 127.0) * scale;
  }
  if (!kind.rounded) return x;
  const auto value = [&](int column) -> double& {
    return x[static_cast<size_t>(w.gather[static_cast<size_t>(column)])];
  };
  const int int8_from = w.inputs - w.repeats;
  for (int begin = 0; begin < w.inputs; begin += kind.group) {
    const int end = std::min(w.inputs, begin + kind.group);
    const bool int8 = begin >= int8_from;
    float most = 0;
    for (int c = begin; c < end; ++c) most = std::max(most, std::abs(static_cast<float>(value(c))));
    // In FP32 like the kernels: the last bit of a quotient may decide on a code.
    const float scale = std::max(most * (int8 ? 1 / 127.0f : kRoundStep), 1e-30f);
    for (int c = begin; c < end; ++c) {
      const float code = std::nearbyint(static_cast<float>(value(c)) / scale);
      value(c) = static_cast<double>(std::clamp(code, int8 ? -127.0f : -8.0f, int8 ? 127.0f : 7.0f) * scale);
    }
  }
  return x;
}

std::vector<double> HostProduct(const CheckKind& kind, const HostMatrix& w, const std::vector<float>* bias,
                                const std::vector<double>& x, double factor) {
  const std::vector<double> in = QuantizedInput(kind, w, x);
  std::vector<double> out(static_cast<size_t>(w.rows));
  ParallelFor((w.rows + 63) / 64, [&](int chunk) {
    for (int r = chunk * 64; r < std::min(w.rows, chunk * 64 + 64); ++r) {
      const float* row = w.values.data() + static_cast<size_t>(r) * static_cast<size_t>(w.cols);
      double sum = 0;
      for (int c = 0; c < w.cols; ++c) {
        sum += static_cast<double>(row[c]) * in[static_cast<size_t>(w.gather[static_cast<size_t>(c)])];
      }
      out[static_cast<size_t>(r)] = sum * factor + (bias ? (*bias)[static_cast<size_t>(r)] : 0.0f);
    }
  });
  return out;
}

namespace {

void CheckUnpack(const CheckKind& kind, const TileMap& map, int cols, const std::vector<int>& parts) {
  const std::string name = std::string("unpack ") + kind.name + " " + std::to_string(map.rows) + "x" +
                           std::to_string(cols) + " order " + std::to_string(static_cast<int>(map.order));
  const auto m = MakePair(kind, map, cols, parts, 11);
  if (m == nullptr) return;
  const int begin = map.rows / 3;
  const int rows = map.rows - begin;
  const size_t first = static_cast<size_t>(begin) * static_cast<size_t>(cols);
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
  OnDevice<__half> out(std::vector<__half>(count, __float2half_rn(NAN)));
  if (!ExpectOk(name, UnpackRows(m->device.view(), begin, map.rows, out.get(), nullptr))) return;
  const std::vector<__half> got = out.Read();
  size_t wrong = 0;
  for (size_t i = 0; i < count; ++i) {
    wrong += HalfBits(ToFloat(got[i])) != HalfBits(m->host.values[first + i]) &&
             !(ToFloat(got[i]) == 0 && m->host.values[first + i] == 0);
  }
  OnDevice<int8_t> codes(std::vector<int8_t>(count, 77));
  if (!ExpectOk(name, UnpackCodes(m->device.view(), begin, map.rows, codes.get(), nullptr))) return;
  const std::vector<int8_t> back = codes.Read();
  for (size_t i = 0; i < count; ++i) wrong += back[i] != m->host.codes[first + i];
  Report(wrong == 0, name, static_cast<double>(wrong), 0);
}

}  // namespace

void CheckMatrices() {
  for (const CheckKind& kind : kCheckKinds) {
    if (kind.format == Format::kFp16 || kind.rounded) continue;
    CheckUnpack(kind, {RowOrder::kPlain, 37, 0, 0}, 136, {20, 17});
    CheckUnpack(kind, {RowOrder::kPlain, 576, 0, 0}, 1536, {576});
    CheckUnpack(kind, {RowOrder::kPlain, 1, 0, 0}, 8, {1});
    CheckUnpack(kind, {RowOrder::kRotary, 960, 64, 768}, 576, {576, 192, 192});
    CheckUnpack(kind, {RowOrder::kRotary, 5 * 48 * 3, 48, 5 * 48 * 2}, 200, {240, 240, 240});
    CheckUnpack(kind, {RowOrder::kGated, 2 * 100, 0, 0}, 264, {100, 100});
    CheckUnpack(kind, {RowOrder::kGated, 2 * 1001, 0, 0}, 72, {1001, 1001});
  }
}

}  // namespace uaqf::cuda
