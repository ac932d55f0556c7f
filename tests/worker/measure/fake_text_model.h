// A model whose stages take the time they are told, on a clock that only they move. A word is a token; chat puts two
// tokens before the text and three behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "worker/measure/clock.h"
#include "worker/measure/text_model.h"

namespace uaqf::test {

class FakeClock final : public measure::Clock {
 public:
  int64_t NowNs() override { return now_ns; }
  int64_t now_ns = 1'000'000;
};

class FakeTextModel final : public measure::TextModel {
 public:
  static constexpr int32_t kEnd = 2;

  explicit FakeTextModel(FakeClock* clock) : clock_(clock) {}

  absl::StatusOr<std::vector<int32_t>> Encode(const measure::Prompt& prompt, bool chat) override {
    clock_->now_ns += encode_ns;
    std::vector<int32_t> ids = {1};
    if (chat || !prompt.messages.empty()) ids = {1, 90, 91};
    if (prompt.messages.empty()) Append(prompt.text, ids);
    for (const measure::Message& message : prompt.messages) Append(message.content, ids);
    if (chat || !prompt.messages.empty()) ids.insert(ids.end(), {92, 93, 94});
    return ids;
  }
  absl::StatusOr<int32_t> Prefill(const std::vector<int32_t>& ids) override {
    clock_->now_ns += prefill_ns;
    fed = ids;
    step_ = 0;
    return Next();
  }
  absl::StatusOr<int32_t> Decode(int32_t) override {
    clock_->now_ns += decode_ns * (step_ + 1);
    if (on_decode) on_decode();
    return Next();
  }
  absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& ids) override {
    clock_->now_ns += detokenize_ns;
    return std::string(ids.size(), 'x');
  }
  bool IsEnd(int32_t token) const override { return token == kEnd; }
  int32_t max_sequence_tokens() const override { return most; }

  int64_t encode_ns = 10, prefill_ns = 1000, decode_ns = 100, detokenize_ns = 7;
  int32_t most = 4096;
  // What it says, for ever if it is never to end.
  std::vector<int32_t> says = {11, 12, 13, kEnd};
  std::vector<int32_t> fed;
  std::function<void()> on_decode;

 private:
  void Append(const std::string& text, std::vector<int32_t>& ids) {
    for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      const auto [it, fresh] = words_.emplace(std::string(word), static_cast<int32_t>(100 + words_.size()));
      ids.push_back(it->second);
    }
  }
  int32_t Next() {
    const int32_t token = says[step_ % says.size()];
    ++step_;
    return token;
  }

  FakeClock* const clock_;
  std::map<std::string, int32_t> words_;
  size_t step_ = 0;
};

}  // namespace uaqf::test
