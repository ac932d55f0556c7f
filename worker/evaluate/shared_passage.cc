#include "worker/evaluate/shared_passage.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace uaqf::evaluate {
namespace {

constexpr size_t kShownBytes = 60;
// Odd, as the rolling hash below wants it.
constexpr uint64_t kBase = 0x9e3779b97f4a7c15u;

bool IsWordByte(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

unsigned char Lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c + 32) : c; }

struct Word {
  uint64_t hash = 0;
  size_t begin = 0;
  size_t end = 0;
};

std::vector<Word> WordsOf(std::string_view text) {
  std::vector<Word> words;
  for (size_t at = 0; at < text.size();) {
    if (!IsWordByte(static_cast<unsigned char>(text[at]))) {
      ++at;
      continue;
    }
    Word word{0xcbf29ce484222325u, at, at};
    for (; word.end < text.size() && IsWordByte(static_cast<unsigned char>(text[word.end])); ++word.end) {
      word.hash = (word.hash ^ Lower(static_cast<unsigned char>(text[word.end]))) * 0x100000001b3u;
    }
    at = word.end;
    words.push_back(word);
  }
  return words;
}

bool Same(std::string_view a, const Word& one, std::string_view b, const Word& other) {
  return one.end - one.begin == other.end - other.begin &&
         std::equal(a.begin() + static_cast<std::ptrdiff_t>(one.begin),
                    a.begin() + static_cast<std::ptrdiff_t>(one.end),
                    b.begin() + static_cast<std::ptrdiff_t>(other.begin), [](char x, char y) {
                      return Lower(static_cast<unsigned char>(x)) == Lower(static_cast<unsigned char>(y));
                    });
}

// Calls `visit` with the first word's index and the hash of each passage; ends when it returns true.
template <typename Visit>
void ForEachPassage(const std::vector<Word>& words, Visit visit) {
  uint64_t leaving = 1;  // kBase to the number of words: what the oldest word has grown to when it leaves
  uint64_t hash = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    hash = hash * kBase + words[i].hash;
    if (i < static_cast<size_t>(kPassageWords)) {
      leaving *= kBase;
    } else {
      hash -= leaving * words[i - kPassageWords].hash;
    }
    if (i + 1 >= static_cast<size_t>(kPassageWords) && visit(i + 1 - kPassageWords, hash)) return;
  }
}

}  // namespace

std::string SharedPassage(std::string_view calibration, std::string_view scored) {
  const std::vector<Word> known = WordsOf(calibration);
  const std::vector<Word> words = WordsOf(scored);
  absl::flat_hash_map<uint64_t, size_t> passages;
  ForEachPassage(known, [&](size_t first, uint64_t hash) {
    passages.emplace(hash, first);
    return false;
  });
  std::string found;
  ForEachPassage(words, [&](size_t first, uint64_t hash) {
    const auto passage = passages.find(hash);
    if (passage == passages.end()) return false;
    for (int64_t i = 0; i < kPassageWords; ++i) {
      const auto step = static_cast<size_t>(i);
      if (!Same(calibration, known[passage->second + step], scored, words[first + step])) return false;
    }
    const size_t begin = words[first].begin;
    found = scored.substr(begin, words[first + kPassageWords - 1].end - begin);
    return true;
  });
  return found;
}

absl::Status CheckNotScored(std::string_view calibration_name, std::string_view calibration,
                            std::string_view scored_name, std::string_view scored) {
  const std::string passage = SharedPassage(calibration, scored);
  if (passage.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      std::string(calibration_name), " shares a passage of ", kPassageWords, " words with ", std::string(scored_name),
      ", which is scored (it begins \"", absl::Utf8SafeCHexEscape(passage.substr(0, kShownBytes)),
      "...\"): expected another text, or the loss is made to look small; calibrate on one that is not scored"));
}

}  // namespace uaqf::evaluate
