#include "worker/quantize/block_run.h"

namespace uaqf::quantize {

void BlockRun::Observe(const Block& block, const std::function<void(Site, const at::Tensor&)>& see) {
  const auto hook = [&see](Site site, const at::Tensor& x) {
    see(site, x);
    return x;
  };
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& input : inputs_) outputs.push_back(function_.Run(block, input, hook));
  if (&block == &block_) outputs_ = std::move(outputs);
}

std::array<at::Tensor, kSites> BlockRun::Moments(const Block& block, const std::array<bool, kSites>& wanted) {
  std::array<at::Tensor, kSites> moments;
  int64_t tokens = 0;
  for (const at::Tensor& input : inputs_) tokens += input.size(0);
  Observe(block, [&](Site site, const at::Tensor& x) {
    at::Tensor& sum = moments[static_cast<size_t>(site)];
    if (!wanted[static_cast<size_t>(site)]) return;
    if (!sum.defined()) sum = at::zeros({x.size(1), x.size(1)}, x.options());
    sum.addmm_(x.t(), x, 1, 1.0 / static_cast<double>(tokens));
  });
  return moments;
}

QuantizedBlock BlockRun::Unquantized() const {
  QuantizedBlock result;
  result.attention_norm = ToFloats(block_.attention_norm);
  result.mlp_norm = ToFloats(block_.mlp_norm);
  for (size_t i = 0; i < kProjections; ++i) {
    if (block_.layers[i].bias.defined()) result.biases[i] = ToFloats(block_.layers[i].bias);
  }
  return result;
}

absl::Status CheckStatistics(const at::Tensor& statistics, int64_t block_index, Site site) {
  if (AllFinite(statistics)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("layer ", block_index, " ", std::string(SiteName(site)),
                   ": got activations that are not finite while calibrating, expected finite ones: the model's own "
                   "FP16 baseline overflows on this text, or its weights are broken"));
}

}  // namespace uaqf::quantize
