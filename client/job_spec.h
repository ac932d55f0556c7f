// A job as a person asks for it, into the JobSpec the coordinator takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "uaqf/v1/job.pb.h"

namespace uaqf::client {

// The flags of `jobs submit`. What is absent keeps the value of --spec, or the coordinator's default.
struct JobFlags {
  std::optional<std::string> spec_file;
  std::optional<std::string> model;
  std::vector<std::string> variants;
  std::optional<std::string> prompts;
  std::optional<std::int32_t> repeats;
  std::optional<std::int32_t> input_tokens;
  std::optional<std::int32_t> max_output_tokens;
  std::optional<std::string> output_length;  // matched, fixed, natural
  std::optional<std::int32_t> block;
  std::optional<std::int32_t> warmup;
  bool chat = false;
  bool keep_cache = false;
  bool no_noise_floor = false;
  std::optional<double> until_decided = {};
  std::optional<std::string> decide_by = {};  // a profile, with or without "profiles/"
  std::optional<std::string> budget = {};
  std::optional<std::string> grid = {};  // as ParseGrid of traffic_flags.h
  std::optional<std::string> quality_text;
  std::optional<std::int32_t> context;
  std::optional<std::int32_t> windows;
  std::optional<std::string> tasks;
  std::optional<std::int32_t> task_items;
  bool divergence = false;
  std::optional<std::string> divergence_mode;  // auto, exact, streamed; any of them compares
  std::optional<std::string> wikitext;
  std::optional<std::int32_t> articles;
  std::optional<std::uint64_t> seed;
  std::optional<std::string> lease;  // "30s", "1m30s", or seconds
  std::optional<std::int32_t> attempts;
};

// The spec of `flags`, on top of `spec_json` (the content of --spec; empty for none). `prompt_set`,
// `quality.text_set`, `quality.task_set` and `quality.article_set` hold what was typed, to be resolved against the
// coordinator. InvalidArgument: a value that cannot be, a window count or a comparison without a text, a number of
// items without tasks, of articles without WikiText, or no model, variants or prompts.
[[nodiscard]] absl::StatusOr<v1::JobSpec> BuildJobSpec(const JobFlags& flags, const std::string& spec_json);

// "30s", "1m30s", "500ms" or a plain number of seconds.
[[nodiscard]] absl::StatusOr<google::protobuf::Duration> ParseDuration(const std::string& text);

// "matched", "fixed", "natural".
std::string OutputLengthName(v1::OutputLength length);
// "auto", "exact", "streamed".
std::string DivergenceModeName(v1::DivergenceMode mode);

}  // namespace uaqf::client
