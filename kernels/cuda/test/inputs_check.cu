#include <algorithm>
#include <cstring>

#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/staged.h"
#include "kernels/cuda/test/check_model.h"

namespace uaqf::cuda {

namespace {

// Rows of `tokens` in an order with `repeats` inputs twice, rounded as `kind` says, both ways of writing them.
void CheckOrder(const CheckKind& kind, int tokens, int inputs, int repeats) {
  const std::string name = std::string("order ") + kind.name + " " + std::to_string(tokens) + "x" +
                           std::to_string(inputs) + "+" + std::to_string(repeats);
  const auto matrix = MakePair(kind, {RowOrder::kPlain, 8, 0, 0}, inputs, {8}, 3, repeats);
  if (matrix == nullptr) return;
  const HostMatrix& host = matrix->host;
  Random random(static_cast<uint64_t>(tokens + inputs));
  std::vector<__half> in;
  for (int i = 0; i < tokens * inputs; ++i) in.push_back(__float2half_rn(random.Normal()));
  std::vector<double> expected;
  for (int t = 0; t < tokens; ++t) {
    std::vector<double> row;
    for (int c = 0; c < inputs; ++c)
      row.push_back(static_cast<double>(__half2float(in[static_cast<size_t>(t * inputs + c)])));
    row = QuantizedInput(kind, host, row);
    for (const int32_t from : host.gather) expected.push_back(row[static_cast<size_t>(from)]);
  }
  const OnDevice<__half> device_in(in);
  const RowOrdering ordering = {inputs, host.cols, matrix->device.view().gather};
  const Rounding rounding = kind.rounded ? Rounding{kind.group, kRoundStep, repeats} : Rounding{};
  const OnDevice<__half> plain(std::vector<__half>(expected.size(), __float2half_rn(NAN)));
  if (!ExpectOk(name, OrderRows(device_in.get(), tokens, ordering, rounding, {plain.get()}, nullptr))) return;
  std::vector<float> got;
  for (const __half h : plain.Read()) got.push_back(__half2float(h));
  ExpectNear(name, got, expected, 5e-4);

  const int padded = PaddedTokens(tokens);
  const size_t staged_count = static_cast<size_t>(padded) * static_cast<size_t>(PaddedWidth(host.cols));
  const OnDevice<__half> staged(std::vector<__half>(staged_count, __float2half_rn(NAN)));
  if (!ExpectOk(name, OrderRows(device_in.get(), tokens, ordering, rounding, {staged.get(), padded}, nullptr))) return;
  const std::vector<__half> back = staged.Read();
  size_t wrong = 0;
  for (int t = 0; t < tokens; ++t) {
    for (int c = 0; c < PaddedWidth(host.cols); ++c) {
      const int64_t at = StagedFp16(padded, t, c / 8 * 8, c % 8 / 2) / 2 + c % 2;
      const float value = __half2float(back[static_cast<size_t>(at)]);
      wrong += value != (c < host.cols ? got[static_cast<size_t>(t * host.cols + c)] : 0.0f);
    }
  }
  Report(wrong == 0, name + " staged", static_cast<double>(wrong), 0);
}

// One scale for all tokens: that of the largest value, and a smaller one that cuts values off.
void CheckOneScale(int tokens, int width) {
  const std::string name = "one scale " + std::to_string(tokens) + "x" + std::to_string(width);
  Random random(9);
  std::vector<__half> in;
  float largest = 0;
  for (int i = 0; i < tokens * width; ++i) {
    in.push_back(__float2half_rn(random.Normal()));
    largest = std::max(largest, std::abs(__half2float(in.back())));
  }
  const OnDevice<__half> device_in(in);
  const OnDevice<float> scale(std::vector<float>{NAN});
  if (!ExpectOk(name, ScaleOfAll(device_in.get(), tokens, width, scale.get(), nullptr))) return;
  const float found = scale.Read()[0];
  Report(found == largest / 127.0f, name, static_cast<double>(found), static_cast<double>(largest / 127.0f));
  for (const float by : {found, found / 3}) {
    const OnDevice<float> device_by(std::vector<float>{by});
    const OnDevice<int8_t> codes(std::vector<int8_t>(in.size(), 99));
    const OnDevice<float> scales(std::vector<float>(static_cast<size_t>(tokens), NAN));
    if (!ExpectOk(name, QuantizeRowsBy(device_in.get(), tokens, width, device_by.get(), {codes.get(), scales.get()},
                                       nullptr))) {
      return;
    }
    const std::vector<int8_t> got = codes.Read();
    size_t wrong = 0;
    for (size_t i = 0; i < in.size(); ++i) {
      const float quotient = __half2float(in[i]) / by;
      wrong += got[i] != static_cast<int>(std::clamp(std::nearbyint(quotient), -127.0f, 127.0f));
    }
    for (const float s : scales.Read()) wrong += s != by;
    Report(wrong == 0, name + " codes", static_cast<double>(wrong), 0);
  }
}

}  // namespace

void CheckInputs() {
  for (const CheckKind& kind : kCheckKinds) {
    if (!kind.zeros) continue;
    const int repeats = kind.rounded ? kind.group : 0;
    CheckOrder(kind, 1, 256, repeats);
    CheckOrder(kind, 130, 576 - 576 % std::max(kind.group, 64), repeats);
    CheckOrder(kind, 33, 1032, 0);
    CheckOrder(kind, 7, 11008, repeats);
  }
  CheckOneScale(1, 64);
  CheckOneScale(130, 576);
  CheckOneScale(7, 11008);
}

}  // namespace uaqf::cuda
