#include <cstring>

#include "kernels/cuda/prefill_product.h"
#include "kernels/cuda/test/check_model.h"

namespace uaqf::cuda {

namespace {

// A product of one kind and shape against float64: every element, and the same bits again.
void CheckProduct(const CheckKind& kind, const TileMap& map, int cols, int tokens, const OnDevice<uint8_t>& scratch) {
  const std::string name = std::string("staged product ") + kind.name + " " + std::to_string(map.rows) + "x" +
                           std::to_string(cols) + " order " + std::to_string(static_cast<int>(map.order)) + " tokens " +
                           std::to_string(tokens);
  const auto m = MakePair(kind, map, cols, {map.rows}, 21);
  if (m == nullptr) return;
  const bool int8 = kind.int8_activations;
  Random random(static_cast<uint64_t>(cols + tokens));
  const int padded = PaddedTokens(tokens);
  std::vector<uint8_t> staged(static_cast<size_t>(StagedBytes(tokens, cols, int8)));
  std::vector<double> in(static_cast<size_t>(tokens) * static_cast<size_t>(cols));
  std::vector<float> scales;
  for (int t = 0; t < tokens; ++t) {
    scales.push_back(0.01f * (1.5f + random.Uniform()));
    for (int c = 0; c < cols; ++c) {
      double& value = in[static_cast<size_t>(t) * static_cast<size_t>(cols) + static_cast<size_t>(c)];
      const int within = c % 4;
      if (int8) {
        const auto code = static_cast<int8_t>(random.Below(255) - 127);
        const int64_t word = StagedInt8(padded, t, c / 8 * 8, c % 8 / 4);
        staged[static_cast<size_t>(word + ByteOfColumn(within))] = static_cast<uint8_t>(code);
        value = code * static_cast<double>(scales.back());
      } else {
        const __half half = __float2half_rn(random.Normal());
        std::memcpy(&staged[static_cast<size_t>(StagedFp16(padded, t, c / 8 * 8, c % 8 / 2) + c % 2 * 2)], &half, 2);
        value = static_cast<double>(__half2float(half));
      }
    }
  }
  std::vector<double> ref(static_cast<size_t>(tokens) * static_cast<size_t>(map.rows));
  ParallelFor(tokens, [&](int t) {
    for (int r = 0; r < map.rows; ++r) {
      double sum = 0;
      for (int c = 0; c < cols; ++c) {
        sum += static_cast<double>(m->host.values[static_cast<size_t>(r) * static_cast<size_t>(cols) + c]) *
               in[static_cast<size_t>(t) * static_cast<size_t>(cols) + c];
      }
      ref[static_cast<size_t>(t) * static_cast<size_t>(map.rows) + static_cast<size_t>(r)] = sum;
    }
  });
  const OnDevice<uint8_t> input(staged);
  const OnDevice<float> token_scales(scales);
  std::vector<float> bias(static_cast<size_t>(map.rows));
  for (float& v : bias) v = random.Normal();
  const OnDevice<float> device_bias(bias);
  const StagedRows rows = {input.get(), int8 ? token_scales.get() : nullptr};
  for (size_t i = 0; i < ref.size(); ++i) ref[i] += static_cast<double>(bias[i % bias.size()]);
  // Both rounded to FP16; a scaled INT4 weight too.
  const double limit = kind.group > 0 ? 1e-3 : 5e-4;
  const auto run = [&](ProductTarget target, const std::string& what, bool whole = false) {
    target.bias = device_bias.get();
    void* memory = whole ? nullptr : scratch.get();
    return ExpectOk(name + what, MultiplyStaged(m->device.view(), rows, tokens, target, memory, nullptr)) &&
           ExpectOk(name + what, FromCuda(cudaDeviceSynchronize(), "product"));
  };
  const auto halves = [&](ProductTarget::Kind target, const std::string& what, const std::vector<double>& expected) {
    std::vector<std::vector<__half>> outs;
    for (int i = 0; i < 3; ++i) {
      const OnDevice<__half> out(std::vector<__half>(expected.size(), __float2half_rn(NAN)));
      if (!run({target, out.get(), nullptr, nullptr}, what, i == 2)) return;
      outs.push_back(out.Read());
      std::vector<float> got;
      for (const __half h : outs.back()) got.push_back(__half2float(h));
      if (i != 1) ExpectNear(name + what + (i == 2 ? " without splits" : ""), got, expected, limit);
    }
    const bool same = std::memcmp(outs[0].data(), outs[1].data(), outs[0].size() * 2) == 0;
    Report(same, name + what + " again", same ? 0 : 1, 0);
    // Integer sums have no order.
    const bool exact = !int8 || std::memcmp(outs[0].data(), outs[2].data(), outs[0].size() * 2) == 0;
    Report(exact, name + what + " split or not", exact ? 0 : 1, 0);
  };
  halves(ProductTarget::kRows, "", ref);
  if (map.order == RowOrder::kPlain) {
    std::vector<float> residual;
    for (size_t i = 0; i < ref.size(); ++i) residual.push_back(random.Normal());
    const OnDevice<float> out(residual);
    if (!run({ProductTarget::kAdd, nullptr, out.get(), nullptr}, " added")) return;
    for (size_t i = 0; i < ref.size(); ++i) ref[i] += static_cast<double>(residual[i]);
    ExpectNear(name + " added", out.Read(), ref, limit);
  }
  if (map.order == RowOrder::kGated) {
    const auto ff = static_cast<size_t>(map.rows / 2);
    std::vector<double> gated;
    for (size_t i = 0; i < ref.size() / 2; ++i) {
      const double gate = ref[i / ff * 2 * ff + i % ff];
      gated.push_back(gate / (1 + std::exp(-gate)) * ref[i / ff * 2 * ff + ff + i % ff]);
    }
    halves(ProductTarget::kGated, " gated", gated);
  }
}

}  // namespace

void CheckProducts() {
  bool has = false;
  if (!ExpectOk("staged products", HasStagedProducts(&has)) || !has) return;
  int64_t scratch_bytes = 0;
  if (!ExpectOk("staged products", ProductScratchBytes(&scratch_bytes))) return;
  const OnDevice<uint8_t> scratch(std::vector<uint8_t>(static_cast<size_t>(scratch_bytes)));
  const auto check = [&](const CheckKind& kind, const TileMap& map, int cols, int tokens) {
    CheckProduct(kind, map, cols, tokens, scratch);
  };
  for (const CheckKind& kind : kCheckKinds) {
    if (kind.format == Format::kFp16 || kind.rounded) continue;
    check(kind, {RowOrder::kPlain, 128, 0, 0}, 128, 128);
    check(kind, {RowOrder::kPlain, 256, 0, 0}, 512, 256);
    check(kind, {RowOrder::kPlain, 8, 0, 0}, 8, 1);
    check(kind, {RowOrder::kPlain, 584, 0, 0}, 2304, 300);
    check(kind, {RowOrder::kRotary, 960, 64, 768}, 576, 33);
    check(kind, {RowOrder::kRotary, 14 * 64 + 4 * 64, 64, 14 * 64 + 2 * 64}, 896, 130);
    check(kind, {RowOrder::kRotary, 5 * 48 * 3, 48, 5 * 48 * 2}, 200, 129);
    check(kind, {RowOrder::kGated, 2 * 104, 0, 0}, 264, 77);
    check(kind, {RowOrder::kGated, 2 * 1000, 0, 0}, 1160, 1024);
  }
  // More work than blocks at once, as in the models.
  check(kCheckKinds[2], {RowOrder::kRotary, 12288, 128, 8192}, 1024, 512);
  check(kCheckKinds[4], {RowOrder::kGated, 22016, 0, 0}, 1024, 512);
  check(kCheckKinds[8], {RowOrder::kGated, 22016, 0, 0}, 1024, 512);
}

}  // namespace uaqf::cuda
