// The part in which tokenizers differ: how a stretch of ordinary text becomes ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace uaqf::tokenizer {

// Implementations never change after construction and are safe to call from several threads.
class Segmenter {
 public:
  virtual ~Segmenter() = default;

  // `text`, valid UTF-8, normalized as the model's files say.
  virtual std::string Normalize(std::string_view text) const = 0;

  // Appends the ids of `normalized`: the result of Normalize, or a part of it between added tokens. `at_start` is true
  // for the very start of the input. RESOURCE_EXHAUSTED: a pattern of the file needs too many steps on this text.
  [[nodiscard]] virtual absl::Status Encode(std::string_view normalized, bool at_start,
                                            std::vector<int32_t>& ids) const = 0;

  // Is a space put before the text? Decoding takes it away again.
  virtual bool prefixes_space() const = 0;
};

}  // namespace uaqf::tokenizer
