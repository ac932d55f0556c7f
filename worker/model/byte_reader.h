// Bounds-checked reading of little-endian numbers from bytes nobody vouches for.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace uaqf::model {

// Reads forwards. Once a read does not fit, ok() is false for good and every read gives zero.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <typename T>
  T Read() {
    T value{};
    if (!Take(sizeof(T))) return value;
    std::memcpy(&value, bytes_.data() + position_ - sizeof(T), sizeof(T));
    return value;
  }

  // A u64 length and so many bytes, at most `limit`.
  std::string ReadString(uint64_t limit) {
    const uint64_t length = Read<uint64_t>();
    if (length > limit || !Take(length)) {
      ok_ = false;
      return {};
    }
    return std::string(reinterpret_cast<const char*>(bytes_.data()) + position_ - length, length);
  }

  bool ok() const { return ok_; }
  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

 private:
  bool Take(uint64_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return false;
    }
    position_ += count;
    return true;
  }

  std::span<const uint8_t> bytes_;
  uint64_t position_ = 0;
  bool ok_ = true;
};

}  // namespace uaqf::model
