// Part of the worker and of the CUDA module: Engine's virtual table lives beside its first virtual function that has a
// definition, and both make engines.
#include "absl/strings/str_cat.h"
#include "worker/engine/engine.h"

namespace uaqf::engine {
namespace {

class DecodingReader : public Engine::LogitsReader {
 public:
  DecodingReader(Engine& engine, std::span<const int32_t> window) : engine_(engine), window_(window) {}
  ~DecodingReader() override { engine_.Reset(); }

  absl::StatusOr<std::span<const float>> Next() override {
    if (next_ + 1 >= window_.size()) return absl::OutOfRangeError("the window has no further position");
    const auto chosen = next_ == 0 ? engine_.Prefill(window_.first(1)) : engine_.Decode(window_[next_]);
    if (!chosen.ok()) return chosen.status();
    ++next_;
    return engine_.logits();
  }

 private:
  Engine& engine_;
  const std::span<const int32_t> window_;
  size_t next_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine::LogitsReader>> Engine::ReadLogits(std::span<const int32_t> window) {
  if (window.size() < 2 || static_cast<int64_t>(window.size()) > max_sequence_tokens()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a window of ", window.size(), " tokens: expected 2 to ", max_sequence_tokens()));
  }
  return std::make_unique<DecodingReader>(*this, window);
}

}  // namespace uaqf::engine
