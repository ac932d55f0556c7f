#include "worker/evaluate/summary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/measure/digest.h"

namespace uaqf::evaluate {
namespace {

constexpr std::string_view kMagic{"UQSM\1\0\0\0", 8};
constexpr int32_t kHead = 64;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Bits of a step of -log p, and bytes it is written in.
struct Grid {
  int bits;
  int bytes;
  double half_step() const { return std::ldexp(0.5, -bits); }
};
constexpr Grid kHeadGrid = {18, 3};
constexpr Grid kBodyGrid = {10, 2};

template <typename T>
void Append(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void AppendVarint(uint32_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendLogProb(float log_prob, const Grid& grid, std::string* out) {
  const auto most = static_cast<double>((1 << (8 * grid.bytes)) - 1);
  const double steps = std::round(std::ldexp(-static_cast<double>(log_prob), grid.bits));
  // What is no number belongs to a position that says so by its normalizer.
  const auto value = static_cast<uint32_t>(std::isnan(steps) ? 0 : std::clamp(steps, 0.0, most));
  for (int i = 0; i < grid.bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(absl::StrCat("a summary of FP16 ", absl::string_view(what.data(), what.size()),
                                          ", expected what a worker of this version makes"));
}

template <typename T>
bool Take(std::string_view bytes, size_t* at, T* value) {
  if (bytes.size() - *at < sizeof(T)) return false;
  std::memcpy(value, bytes.data() + *at, sizeof(T));
  *at += sizeof(T);
  return true;
}

bool TakeVarint(std::string_view bytes, size_t* at, uint32_t* value) {
  *value = 0;
  for (int shift = 0; shift < 21; shift += 7) {
    uint8_t byte = 0;
    if (!Take(bytes, at, &byte)) return false;
    *value |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool TakeLogProb(std::string_view bytes, size_t* at, const Grid& grid, TopLogProbs* position) {
  uint32_t steps = 0;
  for (int i = 0; i < grid.bytes; ++i) {
    uint8_t byte = 0;
    if (!Take(bytes, at, &byte)) return false;
    steps |= static_cast<uint32_t>(byte) << (8 * i);
  }
  position->log_probs.push_back(static_cast<float>(-std::ldexp(static_cast<double>(steps), -grid.bits)));
  position->rounding.push_back(static_cast<float>(grid.half_step()));
  return true;
}

// The tokens behind the head by falling probability, as TopLogProbs has them.
void SortBody(TopLogProbs* position, size_t head) {
  std::vector<size_t> order(position->ids.size() - std::min(head, position->ids.size()));
  std::iota(order.begin(), order.end(), head);
  std::stable_sort(order.begin(), order.end(),
                   [position](size_t a, size_t b) { return position->log_probs[a] > position->log_probs[b]; });
  const TopLogProbs by_id = *position;
  for (size_t i = 0; i < order.size(); ++i) {
    position->ids[head + i] = by_id.ids[order[i]];
    position->log_probs[head + i] = by_id.log_probs[order[i]];
  }
}

}  // namespace

SummaryWriter::SummaryWriter(std::span<const int32_t> window, int64_t vocabulary, int32_t k) {
  bytes_ = kMagic;
  Append(static_cast<uint32_t>(vocabulary), &bytes_);
  Append(static_cast<uint32_t>(k), &bytes_);
  Append(static_cast<uint32_t>(window.size() - 1), &bytes_);
  bytes_ += measure::TokenDigest({window.begin(), window.end()});
}

void SummaryWriter::Add(const TopLogProbs& position) {
  Append(position.normalizer, &bytes_);
  Append(position.tail_mass, &bytes_);
  Append(position.tail_entropy, &bytes_);
  const size_t head = std::min<size_t>(position.ids.size(), kHead);
  for (size_t i = 0; i < head; ++i) {
    AppendVarint(static_cast<uint32_t>(position.ids[i]), &bytes_);
    AppendLogProb(position.log_probs[i], kHeadGrid, &bytes_);
  }
  std::vector<std::pair<int32_t, float>> body;
  for (size_t i = head; i < position.ids.size(); ++i) body.emplace_back(position.ids[i], position.log_probs[i]);
  std::sort(body.begin(), body.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  int32_t before = -1;
  for (const auto& [id, log_prob] : body) {
    AppendVarint(static_cast<uint32_t>(id - before - 1), &bytes_);
    AppendLogProb(log_prob, kBodyGrid, &bytes_);
    before = id;
  }
}

absl::StatusOr<SummaryReader> SummaryReader::Open(std::string_view bytes) {
  SummaryReader reader;
  reader.bytes_ = bytes;
  if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("does not begin like one");
  reader.at_ = kMagic.size();
  uint32_t vocabulary = 0, k = 0, positions = 0;
  constexpr size_t kDigestBytes = 32;
  if (!Take(bytes, &reader.at_, &vocabulary) || !Take(bytes, &reader.at_, &k) ||
      !Take(bytes, &reader.at_, &positions) || bytes.size() - reader.at_ < kDigestBytes) {
    return Damaged("ends in its header");
  }
  reader.tokens_ = bytes.substr(reader.at_, kDigestBytes);
  reader.at_ += kDigestBytes;
  if (vocabulary < 1 || vocabulary > kMostVocabulary || k < 1 || k > vocabulary || positions < 1 ||
      positions > static_cast<uint32_t>(kMostPositions)) {
    return Damaged(absl::StrCat("says a vocabulary of ", vocabulary, ", k of ", k, " and ", positions, " positions"));
  }
  reader.vocabulary_ = vocabulary;
  reader.k_ = static_cast<int32_t>(k);
  reader.positions_ = static_cast<int32_t>(positions);
  return reader;
}

bool SummaryReader::IsOf(std::span<const int32_t> window) const {
  return static_cast<int64_t>(window.size()) == int64_t{positions_} + 1 &&
         measure::TokenDigest({window.begin(), window.end()}) == tokens_;
}

absl::Status SummaryReader::ReadTokens(TopLogProbs* position) {
  const int32_t head = std::min(k_, kHead);
  std::vector<bool> seen(static_cast<size_t>(vocabulary_));
  int64_t before = -1;
  for (int32_t i = 0; i < k_; ++i) {
    uint32_t value = 0;
    if (!TakeVarint(bytes_, &at_, &value) || !TakeLogProb(bytes_, &at_, i < head ? kHeadGrid : kBodyGrid, position)) {
      return Damaged("is cut short");
    }
    const int64_t id = i < head ? int64_t{value} : before + 1 + value;
    if (id >= vocabulary_) return Damaged(absl::StrCat("has a token ", id));
    if (seen[static_cast<size_t>(id)]) return Damaged(absl::StrCat("has the token ", id, " twice"));
    seen[static_cast<size_t>(id)] = true;
    if (i >= head) before = id;
    position->ids.push_back(static_cast<int32_t>(id));
  }
  SortBody(position, static_cast<size_t>(head));
  return absl::OkStatus();
}

absl::StatusOr<TopLogProbs> SummaryReader::Next() {
  if (read_ == positions_) return absl::OutOfRangeError("no more positions");
  TopLogProbs position;
  if (!Take(bytes_, &at_, &position.normalizer) || !Take(bytes_, &at_, &position.tail_mass) ||
      !Take(bytes_, &at_, &position.tail_entropy)) {
    return Damaged("is cut short");
  }
  if (absl::Status tokens = ReadTokens(&position); !tokens.ok()) return tokens;
  if (++read_ == positions_ && at_ != bytes_.size()) return Damaged("goes on behind its end");
  // FP16 itself gave no numbers there.
  if (!std::isfinite(position.normalizer)) position.normalizer = position.tail_mass = position.tail_entropy = kNaN;
  if (position.tail_mass < 0 || position.tail_mass > 1 + 1e-9 || position.tail_entropy > 0 ||
      std::isinf(position.tail_entropy)) {
    return Damaged(absl::StrCat("has a tail of mass ", position.tail_mass, " and entropy ", position.tail_entropy));
  }
  return position;
}

}  // namespace uaqf::evaluate
