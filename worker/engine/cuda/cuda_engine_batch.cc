#include <algorithm>

#include "kernels/cuda/logits.h"
#include "worker/engine/cuda/cuda_engine.h"
#include "worker/engine/cuda/errors.h"
#include "worker/engine/cuda/fault.h"
#include "worker/engine/cuda/torch_ops.h"
#include "worker/engine/token_checks.h"

namespace uaqf::engine {

absl::StatusOr<std::vector<int32_t>> CudaEngine::PrefillBatch(std::span<const std::span<const int32_t>> prompts) {
  Reset();
  UAQF_RETURN_IF_ERROR(CheckPrompts(config_, capacity_, max_batch_, prompts));
  if (prompts.size() == 1) {
    const absl::StatusOr<int32_t> token = Prefill(prompts[0]);
    if (!token.ok()) return token.status();
    batch_ = {position_};
    return std::vector<int32_t>{*token};
  }
  const absl::Status status = Guarded("prefill of a batch", [&] {
    const torch_ops::StreamScope scope(stream_, ordinal_);
    return PrefillSequences(prompts);
  });
  if (!status.ok()) {
    batch_.clear();
    return status;
  }
  return batch_predicted_;
}

absl::Status CudaEngine::PrefillSequences(std::span<const std::span<const int32_t>> prompts) {
  UAQF_RETURN_IF_ERROR(Drain());
  logits_current_ = false;
  steps_timed_ = 0;
  batch_armed_ = false;
  UAQF_RETURN_IF_ERROR(ToStatus(batch_graph_->Prepare(static_cast<int>(prompts.size())), "batch"));
  if (time_device_) prefill_watch_->Begin(stream_);
  auto* next = next_.as<int32_t>();
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto sequence = static_cast<int64_t>(i);
    UAQF_RETURN_IF_ERROR(PrefillSequence(prompts[i], sequence,
                                         batch_graph_->mutable_logits() + sequence * config_.vocab, next + sequence));
    batch_.push_back(static_cast<int64_t>(prompts[i].size()));
  }
  if (time_device_) prefill_watch_->End(stream_);
  batch_predicted_.resize(prompts.size());
  UAQF_RETURN_IF_ERROR(ToStatus(
      cudaMemcpyAsync(batch_predicted_.data(), next, prompts.size() * sizeof(int32_t), cudaMemcpyDeviceToHost, stream_),
      "prefill of a batch"));
  return Drain();
}

absl::StatusOr<std::vector<int32_t>> CudaEngine::DecodeBatch(std::span<const int32_t> tokens) {
  UAQF_RETURN_IF_ERROR(CheckBatchStep(config_, capacity_, batch_, tokens));
  UAQF_RETURN_IF_ERROR(Faults::OfProcess().Step());
  if (tokens.size() == 1) {
    const absl::StatusOr<int32_t> token = DecodeOne(tokens[0]);
    if (!token.ok()) return token.status();
    batch_ = {position_};
    return std::vector<int32_t>{*token};
  }
  if (absl::Status status = StepBatch(tokens); !status.ok()) {
    batch_armed_ = false;
    return status;
  }
  for (int64_t& position : batch_) ++position;
  return batch_predicted_;
}

absl::Status CudaEngine::StepBatch(std::span<const int32_t> tokens) {
  if (!batch_armed_) {
    const std::vector<int32_t> positions(batch_.begin(), batch_.end());
    UAQF_RETURN_IF_ERROR(ToStatus(batch_graph_->Set(tokens.data(), positions.data()), "decode of a batch"));
  } else if (!std::equal(tokens.begin(), tokens.end(), batch_predicted_.begin())) {
    UAQF_RETURN_IF_ERROR(ToStatus(batch_graph_->SetTokens(tokens.data()), "decode of a batch"));
  }
  batch_armed_ = true;
  logits_current_ = false;
  UAQF_RETURN_IF_ERROR(Timed([this] { return batch_graph_->Step(); }));
  return ToStatus(batch_graph_->Read(batch_predicted_.data()), "decode of a batch");
}

}  // namespace uaqf::engine
