#include "worker/tokenizer/unicode_nfc.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

struct Decomposition {
  char32_t character;
  char32_t first;
  char32_t second;
  bool composes;
};
struct CombiningRun {
  char32_t first;
  char32_t last;
  uint8_t combining_class;
};

#include "worker/tokenizer/unicode_nfc_table.inc"

// Hangul syllables are computed, not listed.
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTrailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTrailCount;

uint8_t CombiningClass(char32_t character) {
  const auto* run = std::upper_bound(std::begin(kCombiningRuns), std::end(kCombiningRuns), character,
                                     [](char32_t c, const CombiningRun& r) { return c < r.first; });
  if (run == std::begin(kCombiningRuns) || character > std::prev(run)->last) return 0;
  return std::prev(run)->combining_class;
}

void AppendDecomposed(char32_t character, std::vector<char32_t>& out) {
  if (character - kSyllables < kSyllableCount) {
    const char32_t index = character - kSyllables;
    out.push_back(kLeads + index / (kVowelCount * kTrailCount));
    out.push_back(kVowels + index / kTrailCount % kVowelCount);
    if (index % kTrailCount != 0) out.push_back(kTrails + index % kTrailCount);
    return;
  }
  const auto* row = std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), character,
                                     [](const Decomposition& d, char32_t c) { return d.character < c; });
  if (row == std::end(kDecompositions) || row->character != character) {
    out.push_back(character);
    return;
  }
  AppendDecomposed(row->first, out);
  if (row->second != 0) AppendDecomposed(row->second, out);
}

// 0 when the two do not compose.
char32_t Compose(char32_t first, char32_t second) {
  static const auto& pairs = *[] {
    auto* map = new absl::flat_hash_map<uint64_t, char32_t>();
    for (const Decomposition& row : kDecompositions) {
      if (row.composes) (*map)[(static_cast<uint64_t>(row.first) << 32) | row.second] = row.character;
    }
    return map;
  }();
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTrailCount;
  }
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTrailCount == 0 && second > kTrails &&
      second < kTrails + kTrailCount) {
    return first + (second - kTrails);
  }
  const auto found = pairs.find((static_cast<uint64_t>(first) << 32) | second);
  return found == pairs.end() ? 0 : found->second;
}

void OrderMarks(std::vector<char32_t>& text) {
  for (size_t begin = 0; begin < text.size(); ++begin) {
    if (CombiningClass(text[begin]) == 0) continue;
    size_t end = begin;
    while (end < text.size() && CombiningClass(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char32_t a, char32_t b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
}

void ComposeAll(std::vector<char32_t>& text) {
  std::vector<char32_t> out;
  size_t starter = SIZE_MAX;
  uint8_t last_class = 0;
  for (const char32_t character : text) {
    const uint8_t combining_class = CombiningClass(character);
    const bool adjacent = starter != SIZE_MAX && starter + 1 == out.size();
    if (starter != SIZE_MAX && (adjacent || last_class < combining_class)) {
      if (const char32_t composed = Compose(out[starter], character); composed != 0) {
        out[starter] = composed;
        continue;
      }
    }
    if (combining_class == 0) starter = out.size();
    last_class = combining_class;
    out.push_back(character);
  }
  text = std::move(out);
}

}  // namespace

std::string ToNfc(std::string_view text) {
  // Below U+0300, whose first byte is 0xCC, nothing decomposes into, or composes with, its neighbours.
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xCC; });
  if (plain) return std::string(text);
  std::vector<char32_t> characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size(); at += Utf8Length(static_cast<unsigned char>(text[at]))) {
    AppendDecomposed(DecodeUtf8(text, at), characters);
  }
  OrderMarks(characters);
  ComposeAll(characters);
  std::string out;
  out.reserve(text.size());
  for (const char32_t character : characters) AppendUtf8(character, out);
  return out;
}

}  // namespace uaqf::tokenizer
