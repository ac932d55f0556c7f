#include "worker/evaluate/open_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/tokenizer/load.h"

namespace uaqf::evaluate {
namespace {

std::string NameOf(const measure::Prompt& prompt) {
  return prompt.id.empty() ? std::string("the prompt") : absl::StrCat("prompt ", prompt.id);
}

absl::Status Named(const measure::Prompt& prompt, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(NameOf(prompt), ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpenModel>> OpenModel::Open(const std::string& path) {
  auto checkpoint = model::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  auto tokenizer = tokenizer::LoadTokenizer(**checkpoint);
  if (!tokenizer.ok()) return tokenizer.status();
  auto chat_template = tokenizer::LoadChatTemplate(**checkpoint, **tokenizer);
  return std::unique_ptr<OpenModel>(
      new OpenModel(*std::move(checkpoint), *std::move(tokenizer), std::move(chat_template)));
}

OpenModel::OpenModel(std::unique_ptr<model::Checkpoint> checkpoint, std::unique_ptr<tokenizer::Tokenizer> tokenizer,
                     absl::StatusOr<tokenizer::ChatTemplate> chat_template)
    : checkpoint_(std::move(checkpoint)), tokenizer_(std::move(tokenizer)), template_(std::move(chat_template)) {}

absl::StatusOr<std::vector<int32_t>> OpenModel::Encode(const measure::Prompt& prompt, bool chat) const {
  auto ids = chat || !prompt.messages.empty() ? EncodeChat(prompt) : EncodeText(prompt.text);
  if (!ids.ok()) return Named(prompt, ids.status());
  if (ids->empty()) {
    return absl::InvalidArgumentError(absl::StrCat(NameOf(prompt), " is empty: expected at least one token of text, ",
                                                   "since ", config().name, " has no BOS token to begin from"));
  }
  if (static_cast<int64_t>(ids->size()) > config().context) {
    return absl::InvalidArgumentError(absl::StrCat(NameOf(prompt), " has ", ids->size(), " tokens: expected at most ",
                                                   config().context, ", the context of ", config().name,
                                                   "; shorten it"));
  }
  return ids;
}

absl::StatusOr<std::vector<int32_t>> OpenModel::EncodeText(std::string_view text) const {
  return tokenizer_->Encode(text);
}

absl::StatusOr<std::vector<int32_t>> OpenModel::EncodeChat(const measure::Prompt& prompt) const {
  if (!template_.ok()) {
    return absl::Status(template_.status().code(), absl::StrCat(template_.status().message(),
                                                                "; give plain text without a chat template instead"));
  }
  std::vector<tokenizer::ChatMessage> turns;
  for (const measure::Message& message : prompt.messages) turns.push_back({message.role, message.content});
  if (turns.empty()) {
    if (prompt.text.empty()) return absl::InvalidArgumentError("an empty user turn: expected some text");
    turns.push_back({"user", prompt.text});
  }
  auto rendered = template_->Render(turns, /*add_generation_prompt=*/true);
  if (!rendered.ok()) return rendered.status();
  return tokenizer_->Encode(*rendered, {.add_bos = false, .parse_special = true});
}

bool OpenModel::IsEnd(int32_t token) const {
  const std::vector<int32_t>& ends = config().eos_ids;
  return tokenizer_->special().Stops(token) || std::find(ends.begin(), ends.end(), token) != ends.end();
}

int64_t OpenModel::parameters() const {
  const model::ModelConfig& c = config();
  const int64_t query = c.heads * c.head_dim;
  const int64_t key = c.kv_heads * c.head_dim;
  const int64_t biases = c.qkv_bias ? query + 2 * key : 0;
  const int64_t layer = 2 * c.hidden * (query + key) + 3 * c.hidden * c.ff + 2 * c.hidden + biases;
  return c.layers * layer + c.vocab * c.hidden * (c.tied_embeddings ? 1 : 2) + c.hidden;
}

absl::Status CheckHasQuality(const OpenModel& model) {
  if (!model.checkpoint().synthetic()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(model.config().name, " has random weights, so its quality is not ",
                                                 "measured: leave perplexity out, or use a real model"));
}

}  // namespace uaqf::evaluate
