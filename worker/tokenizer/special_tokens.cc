#include "worker/tokenizer/special_tokens.h"

#include <algorithm>

namespace uaqf::tokenizer {

bool SpecialTokens::Stops(int32_t id) const { return std::binary_search(stop.begin(), stop.end(), id); }

std::vector<int32_t> CollectStopTokens(const Vocabulary& vocabulary, const std::vector<int32_t>& eos) {
  std::vector<int32_t> stop;
  for (const int32_t id : eos) {
    if (id >= 0 && id < vocabulary.size()) stop.push_back(id);
  }
  for (const char* name : {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>"}) {
    if (const auto id = vocabulary.FindAdded(name); id.has_value()) stop.push_back(*id);
  }
  std::sort(stop.begin(), stop.end());
  stop.erase(std::unique(stop.begin(), stop.end()), stop.end());
  return stop;
}

}  // namespace uaqf::tokenizer
