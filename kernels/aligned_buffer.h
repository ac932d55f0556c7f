#pragma once

#include <cstdint>
#include <memory>

namespace uaqf::kernels {

// Zeroed memory aligned to 64 bytes, owned, movable. Buffers are cut from slabs on huge pages, since a token walks
// through all weights and would miss the TLB on every small page; a slab is freed with the last buffer in it.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Aborts if memory is exhausted, like operator new. Thread-safe.
  explicit AlignedBuffer(int64_t bytes);

  AlignedBuffer(AlignedBuffer&&) = default;
  AlignedBuffer& operator=(AlignedBuffer&&) = default;

  int64_t size() const { return size_; }

  template <typename T>
  T* data() {
    return static_cast<T*>(data_);
  }
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(data_);
  }

 private:
  std::shared_ptr<void> slab_;
  void* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace uaqf::kernels
