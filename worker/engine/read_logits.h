// A reader of logits over a buffer that an engine fills some positions at a time. Part of the worker and of the CUDA
// module.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"

namespace uaqf::engine {

// How far a teacher-forced window has come. Its last token is predicted only.
struct WindowPass {
  std::span<const int32_t> window;
  int64_t forwarded = 0;     // tokens that went through the layers
  int64_t in_workspace = 0;  // of them, those of the last pass
  int64_t read = 0;          // positions whose logits were made
  int64_t inputs() const { return static_cast<int64_t>(window.size()) - 1; }
};

class BufferedReader : public Engine::LogitsReader {
 public:
  // Logits [rows][vocab] of the next positions of a window, valid until the next call; empty after the last.
  using Fill = std::function<absl::StatusOr<std::span<const float>>(WindowPass& pass)>;

  // `done` is called at the end. What they borrow must outlive the reader.
  BufferedReader(std::span<const int32_t> window, int64_t vocab, Fill fill, std::function<void()> done);
  ~BufferedReader() override;

  absl::StatusOr<std::span<const float>> Next() override;

 private:
  WindowPass pass_;
  const size_t vocab_;
  const Fill fill_;
  const std::function<void()> done_;
  std::span<const float> rows_;  // not handed out yet
};

}  // namespace uaqf::engine
