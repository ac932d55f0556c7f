#include "server/store/record_codec.h"

#include <cmath>
#include <cstring>

namespace uaqf::store {
namespace {

// Mixes 64 bits at a time: a row must cost nanoseconds.
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

}  // namespace

std::int64_t Check(const core::RecordRow& record) {
  Mixer mixer;
  for (std::int64_t value :
       {std::int64_t{record.item}, std::int64_t{record.repeat}, static_cast<std::int64_t>(record.body),
        std::int64_t{record.input_tokens}, std::int64_t{record.output_tokens}, record.latency_ns, record.tokenize_ns,
        record.prefill_ns, record.decode_ns, record.detokenize_ns, std::int64_t{record.scored_tokens}}) {
    mixer.Add(static_cast<std::uint64_t>(value));
  }
  std::uint64_t nll = 0;  // every NaN is the same one to SQLite
  if (!std::isnan(record.nll_sum)) std::memcpy(&nll, &record.nll_sum, sizeof(nll));
  mixer.Add(nll);
  return mixer.Value();
}

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

}  // namespace uaqf::store
