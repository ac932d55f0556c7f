// The parts of tokenizer.json, read one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/tokenizer/bpe_segmenter.h"
#include "worker/tokenizer/json_fields.h"

namespace uaqf::tokenizer {

// How tokens are written back as text.
struct DecoderSpec {
  // Tokens are written in the byte alphabet.
  bool byte_level = false;
  // "<0x0A>" is a byte.
  bool byte_fallback = false;
  // What stands for a space; empty for nothing.
  std::string mark;
  bool strips_prefix = false;
};

absl::StatusOr<std::vector<NormalizerStep>> ParseNormalizer(const Json& normalizer);
// Fills pre_tokenizer, metaspace, byte_level and prefix_space of `model`.
absl::Status ParsePreTokenizer(const Json& pre_tokenizer, BpeModel& model);
absl::StatusOr<DecoderSpec> ParseDecoder(const Json& decoder);
// Ids that the post-processor puts before a text; those it puts after one are refused.
absl::StatusOr<std::vector<int32_t>> ParsePostProcessor(const Json& post_processor);
// Fills ids, merges and the flags of `model`.
absl::Status ParseBpeModel(const Json& model_json, BpeModel& model);

// Adds the merge of `left` and `right`. INVALID_ARGUMENT: the vocabulary lacks one of them, or what they become.
absl::Status AddMerge(const std::string& left, const std::string& right, size_t rank, BpeModel& model);

// The members of a "Sequence" under `list`, else `part` itself; none for null.
std::vector<const Json*> Flatten(const Json& part, const char* list);
std::string TypeOf(const Json& part);

}  // namespace uaqf::tokenizer
