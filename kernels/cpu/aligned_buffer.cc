#include "kernels/aligned_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>

namespace uaqf::kernels {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSlabBytes = int64_t{16} << 20;

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

std::shared_ptr<void> MapSlab(int64_t bytes) {
  // A mapping is aligned to a page only; one huge page more lets its start be moved to a huge page.
  const int64_t mapped = bytes + kHugePage;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  void* aligned = reinterpret_cast<void*>(RoundUp(reinterpret_cast<int64_t>(base), kHugePage));
  madvise(aligned, bytes, MADV_HUGEPAGE);  // advice: small pages work too
  return {aligned, [base, mapped](void*) { munmap(base, mapped); }};
}

// Cuts buffers off the front of the current slab. Nothing is given back before the whole slab is unused: weights of one
// variant come and go together.
class SlabCutter {
 public:
  std::shared_ptr<void> Cut(int64_t bytes, void** data) {
    if (bytes >= kSlabBytes) {
      std::shared_ptr<void> own = MapSlab(RoundUp(bytes, kHugePage));
      *data = own.get();
      return own;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<void> slab = current_.lock();
    if (slab == nullptr || used_ + bytes > kSlabBytes) {
      slab = MapSlab(kSlabBytes);
      current_ = slab;
      used_ = 0;
    }
    *data = static_cast<char*>(slab.get()) + used_;
    used_ += bytes;
    return slab;
  }

 private:
  std::mutex mutex_;
  std::weak_ptr<void> current_;  // not kept alive: a dropped variant leaves no slab behind
  int64_t used_ = 0;
};

}  // namespace

AlignedBuffer::AlignedBuffer(int64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  static SlabCutter* cutter = new SlabCutter;
  slab_ = cutter->Cut(RoundUp(bytes, kAlignment), &data_);
}

}  // namespace uaqf::kernels
