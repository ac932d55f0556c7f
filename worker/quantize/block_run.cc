#include "worker/quantize/block_run.h"

namespace uaqf::quantize {
namespace {

// Adds x x^T over `tokens` to the mean.
void AddMoments(const at::Tensor& x, int64_t tokens, at::Tensor& mean) {
  if (!mean.defined()) mean = at::zeros({x.size(1), x.size(1)}, x.options());
  mean.addmm_(x.t(), x, 1, 1.0 / static_cast<double>(tokens));
}

}  // namespace

int64_t BlockRun::tokens() const {
  int64_t tokens = 0;
  for (const at::Tensor& input : inputs_) tokens += input.size(0);
  return tokens;
}

void BlockRun::Observe(const Block& block, const std::function<void(Site, const at::Tensor&)>& see) const {
  const FastProducts fast;
  const auto hook = [&see](Site site, const at::Tensor& x) {
    see(site, x);
    return x;
  };
  for (const at::Tensor& input : inputs_) function_.Run(block, input, hook);
}

void BlockRun::ObserveAndKeep(const Block& block, const std::function<void(Site, const at::Tensor&)>& see) {
  const FastProducts fast;
  const auto hook = [&see](Site site, const at::Tensor& x) {
    see(site, x);
    return x;
  };
  outputs_.clear();
  for (const at::Tensor& input : inputs_) outputs_.push_back(function_.Run(block, input, hook));
}

std::array<at::Tensor, kSites> BlockRun::Moments(const Block& block, const std::array<bool, kSites>& wanted) const {
  std::array<at::Tensor, kSites> moments;
  const int64_t all = tokens();
  Observe(block, [&](Site site, const at::Tensor& x) {
    if (wanted[static_cast<size_t>(site)]) AddMoments(x, all, moments[static_cast<size_t>(site)]);
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

at::Tensor SequentialRun::Reach(Site site, const Block& block, size_t i) {
  const BlockFunction& function = run_.function();
  at::Tensor& stream = stream_[i];
  switch (site) {
    case Site::kQkv:
      return function.Norm(block.attention_norm, stream);
    case Site::kOutput:
      attended_.push_back(function.Attend(block, function.Norm(block.attention_norm, stream)));
      return attended_[i];
    case Site::kMlp:
      stream = stream + Product(block.at(Projection::kO), attended_[i]);
      attended_[i].reset();
      return function.Norm(block.mlp_norm, stream);
    case Site::kDown:
      return function.Gated(block, function.Norm(block.mlp_norm, stream));
  }
  return {};
}

at::Tensor SequentialRun::Moments(Site site, const Block& block) {
  const FastProducts fast;
  at::Tensor moments;
  const int64_t all = run_.tokens();
  for (size_t i = 0; i < stream_.size(); ++i) AddMoments(Reach(site, block, i), all, moments);
  return moments;
}

std::vector<at::Tensor> SequentialRun::Finish(const Block& block) {
  const FastProducts fast;
  for (size_t i = 0; i < stream_.size(); ++i) {
    stream_[i] = stream_[i] + Product(block.at(Projection::kDown), Reach(Site::kDown, block, i));
  }
  return std::move(stream_);
}

absl::Status CheckStatistics(const at::Tensor& statistics, int64_t block_index, Site site) {
  if (AllFinite(statistics)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("layer ", block_index, " ", std::string(SiteName(site)),
                   ": got activations that are not finite while calibrating, expected finite ones: the model's own "
                   "FP16 baseline overflows on this text, or its weights are broken"));
}

}  // namespace uaqf::quantize
