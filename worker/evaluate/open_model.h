// A model's files, opened: checkpoint, tokenizer and chat template, without its weights in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/types.h"
#include "worker/model/checkpoint.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::evaluate {

// Immutable once made; any thread.
class OpenModel {
 public:
  // Errors are those of the readers. A model without a chat template opens; Encode then refuses conversations.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<OpenModel>> Open(const std::string& path);

  const model::Checkpoint& checkpoint() const { return *checkpoint_; }
  const model::ModelConfig& config() const { return checkpoint_->config(); }
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  const absl::StatusOr<tokenizer::ChatTemplate>& chat_template() const { return template_; }

  // What the model is fed for a prompt; `chat` renders plain text as one user turn. INVALID_ARGUMENT: invalid UTF-8,
  // nothing to feed, more than the model's context, a conversation that the template refuses.
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> Encode(const measure::Prompt& prompt, bool chat) const;
  // Tokens of a text as it is, BOS first where the model wants one. No limit of length.
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> EncodeText(std::string_view text) const;
  bool IsEnd(int32_t token) const;
  // Parameters, embeddings included.
  int64_t parameters() const;

 private:
  OpenModel(std::unique_ptr<model::Checkpoint> checkpoint, std::unique_ptr<tokenizer::Tokenizer> tokenizer,
            absl::StatusOr<tokenizer::ChatTemplate> chat_template);

  absl::StatusOr<std::vector<int32_t>> EncodeChat(const measure::Prompt& prompt) const;

  const std::unique_ptr<model::Checkpoint> checkpoint_;
  const std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  const absl::StatusOr<tokenizer::ChatTemplate> template_;
};

// INVALID_ARGUMENT for a synthetic model: what random weights say of a text is no measurement.
[[nodiscard]] absl::Status CheckHasQuality(const OpenModel& model);

}  // namespace uaqf::evaluate
