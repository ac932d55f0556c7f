#include "server/store/record_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace uaqf::store {
namespace {

// Mixes 64 bits at a time: a record must cost nanoseconds.
class Mixer {
 public:
  void Add(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9e3779b97f4a7c15u;
    state_ ^= state_ >> 29;
  }
  void Add(const std::string& bytes) {
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, 8);
      Add(word);
    }
    std::uint64_t tail = bytes.size();
    for (; at < bytes.size(); ++at) tail = tail << 8 | static_cast<unsigned char>(bytes[at]);
    Add(tail);
  }
  std::int64_t Value() const { return static_cast<std::int64_t>(state_ >> 1); }

 private:
  std::uint64_t state_ = 0x5541514673746f72u;
};

// One record as it lies in `figures`.
struct Figures {
  std::int64_t item = 0;
  std::int64_t repeat = 0;
  std::int64_t body = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t latency_ns = 0;
  std::int64_t tokenize_ns = 0;
  std::int64_t prefill_ns = 0;
  std::int64_t decode_ns = 0;
  std::int64_t detokenize_ns = 0;
  std::int64_t scored_tokens = 0;
  double nll_sum = 0;
};
static_assert(sizeof(Figures) == 96 && std::is_trivially_copyable_v<Figures>);

template <typename T>
void Append(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

template <typename T>
bool Take(const std::string& body, std::size_t* at, T* value) {
  if (body.size() - *at < sizeof(T)) return false;
  std::memcpy(value, body.data() + *at, sizeof(T));
  *at += sizeof(T);
  return true;
}

// A check lies in one place, metric, passed and made in 16 bits each from the low end; 0 is none.
std::int64_t Packed(const core::TaskCheck& check) {
  return std::int64_t{check.metric} | std::int64_t{check.passed} << 16 | std::int64_t{check.made} << 32;
}

core::TaskCheck Unpacked(std::int64_t packed) {
  const auto part = [packed](int shift) { return static_cast<std::int32_t>(packed >> shift & 0xffff); };
  return {part(0), part(16), part(32)};
}

// The places of a timing record that a task's checks lie in.
std::array<std::int64_t*, core::kMostTaskChecks> CheckPlaces(Figures& f) {
  return {&f.latency_ns, &f.tokenize_ns, &f.prefill_ns, &f.decode_ns, &f.detokenize_ns};
}

// The places that three of a batch's four shares lie in, bit by bit: its text stages are in the record's bytes alone.
// The fourth is in that of nll_sum.
std::array<std::int64_t*, 3> SharePlaces(Figures& f) { return {&f.tokenize_ns, &f.detokenize_ns, &f.scored_tokens}; }

Figures ToFigures(const core::RecordRow& r) {
  Figures figures = {r.item,          r.repeat,        static_cast<std::int64_t>(r.body),
                     r.input_tokens,  r.output_tokens, r.latency_ns,
                     r.tokenize_ns,   r.prefill_ns,    r.decode_ns,
                     r.detokenize_ns, r.scored_tokens, r.nll_sum};
  if (r.body == core::RecordBody::kTask) {
    const auto places = CheckPlaces(figures);
    for (std::size_t i = 0; i < std::min(r.checks.size(), places.size()); ++i) *places[i] = Packed(r.checks[i]);
  } else if (r.body == core::RecordBody::kDivergence) {
    figures.nll_sum = r.kl_sum;
    figures.latency_ns = r.same_top;
    figures.tokenize_ns = r.top_k;
    figures.prefill_ns = r.shared_top;
    if (r.summary_k > 0) {
      figures.decode_ns = r.summary_k;
      figures.detokenize_ns = std::bit_cast<std::int64_t>(r.kl_upper_sum);
    }
  } else if (r.body == core::RecordBody::kSummary) {
    figures.decode_ns = r.summary_k;
  } else if (r.body == core::RecordBody::kArticle) {
    figures.latency_ns = r.words;
    figures.tokenize_ns = r.bytes;
  }
  if (r.body == core::RecordBody::kTraffic) {
    figures.input_tokens |= std::int64_t{r.batch} << 32;
    const auto places = SharePlaces(figures);
    const double shares[] = {r.prefill_shares.read, r.prefill_shares.compute, r.decode_shares.read};
    for (std::size_t i = 0; i < places.size(); ++i) *places[i] = std::bit_cast<std::int64_t>(shares[i]);
    figures.nll_sum = r.decode_shares.compute;
  }
  return figures;
}

void TakeTask(Figures& figures, core::RecordRow* record) {
  for (std::int64_t* place : CheckPlaces(figures)) {
    if (*place != 0) record->checks.push_back(Unpacked(*place));
    *place = 0;
  }
}

void TakeDivergence(Figures& figures, core::RecordRow* record) {
  record->kl_sum = figures.nll_sum;
  record->same_top = static_cast<std::int32_t>(figures.latency_ns);
  record->top_k = static_cast<std::int32_t>(figures.tokenize_ns);
  record->shared_top = figures.prefill_ns;
  record->summary_k = static_cast<std::int32_t>(figures.decode_ns);
  record->kl_upper_sum = record->summary_k > 0 ? std::bit_cast<double>(figures.detokenize_ns) : record->kl_sum;
  figures.nll_sum = 0;
  figures.latency_ns = figures.tokenize_ns = figures.prefill_ns = figures.decode_ns = figures.detokenize_ns = 0;
}

void TakeSummary(Figures& figures, core::RecordRow* record) {
  record->summary_k = static_cast<std::int32_t>(figures.decode_ns);
  figures.decode_ns = 0;
}

void TakeTraffic(Figures& figures, core::RecordRow* record) {
  record->batch = static_cast<std::int32_t>(figures.input_tokens >> 32);
  figures.input_tokens &= 0xffffffff;
  double shares[3];
  const auto places = SharePlaces(figures);
  for (std::size_t i = 0; i < places.size(); ++i) {
    shares[i] = std::bit_cast<double>(*places[i]);
    *places[i] = 0;
  }
  record->prefill_shares = {shares[0], shares[1]};
  record->decode_shares = {shares[2], figures.nll_sum};
  figures.nll_sum = 0;
}

void TakeArticle(Figures& figures, core::RecordRow* record) {
  record->words = static_cast<std::int32_t>(figures.latency_ns);
  record->bytes = static_cast<std::int32_t>(figures.tokenize_ns);
  figures.latency_ns = figures.tokenize_ns = 0;
}

}  // namespace

std::int64_t Check(const std::string& bytes) {
  Mixer mixer;
  mixer.Add(bytes);
  return mixer.Value();
}

std::string EncodeBatch(const std::vector<core::RecordRow>& records) {
  std::size_t size = 0;
  for (const core::RecordRow& record : records) size += 12 + record.blob.size();
  std::string body;
  body.reserve(size);
  for (const core::RecordRow& record : records) {
    Append(record.item, &body);
    Append(record.repeat, &body);
    Append(static_cast<std::uint32_t>(record.blob.size()), &body);
    body += record.blob;
  }
  return body;
}

absl::StatusOr<std::vector<EncodedRecord>> DecodeBatch(const std::string& body) {
  std::vector<EncodedRecord> records;
  std::size_t at = 0;
  while (at < body.size()) {
    EncodedRecord record;
    std::uint32_t length = 0;
    if (!Take(body, &at, &record.item) || !Take(body, &at, &record.repeat) || !Take(body, &at, &length) ||
        body.size() - at < length) {
      return absl::DataLossError("a batch of records is cut short");
    }
    record.blob = body.substr(at, length);
    at += length;
    records.push_back(std::move(record));
  }
  return records;
}

std::string EncodeFigures(const std::vector<core::RecordRow>& records) {
  std::string out;
  out.reserve(records.size() * sizeof(Figures));
  for (const core::RecordRow& record : records) Append(ToFigures(record), &out);
  return out;
}

absl::StatusOr<std::vector<core::RecordRow>> DecodeFigures(const std::string& bytes) {
  if (bytes.size() % sizeof(Figures) != 0) return absl::DataLossError("the figures of a batch are cut short");
  std::vector<core::RecordRow> records(bytes.size() / sizeof(Figures));
  std::size_t at = 0;
  for (core::RecordRow& record : records) {
    Figures figures;
    if (!Take(bytes, &at, &figures)) return absl::DataLossError("the figures of a batch are cut short");
    record.item = static_cast<std::int32_t>(figures.item);
    record.repeat = static_cast<std::int32_t>(figures.repeat);
    record.body = static_cast<core::RecordBody>(figures.body);
    if (record.body == core::RecordBody::kTask) TakeTask(figures, &record);
    if (record.body == core::RecordBody::kDivergence) TakeDivergence(figures, &record);
    if (record.body == core::RecordBody::kArticle) TakeArticle(figures, &record);
    if (record.body == core::RecordBody::kSummary) TakeSummary(figures, &record);
    if (record.body == core::RecordBody::kTraffic) TakeTraffic(figures, &record);
    record.input_tokens = static_cast<std::int32_t>(figures.input_tokens);
    record.output_tokens = static_cast<std::int32_t>(figures.output_tokens);
    record.latency_ns = figures.latency_ns;
    record.tokenize_ns = figures.tokenize_ns;
    record.prefill_ns = figures.prefill_ns;
    record.decode_ns = figures.decode_ns;
    record.detokenize_ns = figures.detokenize_ns;
    record.scored_tokens = static_cast<std::int32_t>(figures.scored_tokens);
    record.nll_sum = figures.nll_sum;
  }
  return records;
}

}  // namespace uaqf::store
