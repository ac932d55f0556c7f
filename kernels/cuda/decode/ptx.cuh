// The few instructions that CUDA C++ has no name for. sm_90 copies in bulk through the copy engine; sm_80 has the same
// barriers, but its threads copy 16 bytes at a time.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/barrier.cuh"

namespace uaqf::cuda {

// Makes barrier initialization, and earlier ordinary writes, visible to the copy engine.
__device__ __forceinline__ void FenceForCopies() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Weights are read once a token: they should not push activations and the KV cache out of L2.
__device__ __forceinline__ uint64_t EvictFirstPolicy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// 16 bytes; `valid` bytes are read and the rest becomes zero.
__device__ __forceinline__ void CopySixteen(uint32_t target, const void* source, uint32_t valid, uint64_t policy) {
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(target), "l"(source),
               "r"(valid), "l"(policy)
               : "memory");
}

// Completes the phase of `barrier` once all 16-byte copies issued so far by the warp have landed. Whole warp.
__device__ __forceinline__ void CommitSixteens(uint32_t barrier, int lane) {
  asm volatile("cp.async.mbarrier.arrive.shared.b64 [%0];" ::"r"(barrier) : "memory");
  __syncwarp();
  if (lane == 0) BarrierArrive(barrier);
}

// `bytes`, a multiple of 16, from global to shared memory, both 16-byte aligned.
__device__ __forceinline__ void CopyRun(uint32_t target, const uint8_t* source, uint32_t bytes, uint32_t barrier,
                                        int lane, uint64_t policy) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::
          "r"(target),
      "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
#else
  for (uint32_t at = lane * 16; at < bytes; at += 512) CopySixteen(target + at, source + at, 16, policy);
#endif
}

__device__ __forceinline__ void CommitRuns(uint32_t barrier, int lane) {
#if __CUDA_ARCH__ < 900
  CommitSixteens(barrier, lane);
#endif
}

#if __CUDA_ARCH__ >= 900
// The box of a tensor map (tensor_map.h) whose first row is `row` and first step `step`.
__device__ __forceinline__ void CopyBox(uint32_t target, const void* map, int row, int step, uint32_t barrier,
                                        uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(target),
      "l"(map), "r"(0), "r"(row), "r"(step), "r"(barrier), "l"(policy)
      : "memory");
}
#endif

// Brings the same from memory into L2 only.
__device__ __forceinline__ void PrefetchRun(const uint8_t* source, uint32_t bytes, uint64_t policy) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global.L2::cache_hint [%0], %1, %2;" ::"l"(source), "r"(bytes), "l"(policy)
               : "memory");
#endif
}
#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void PrefetchBox(const void* map, int row, int step, uint64_t policy) {
  asm volatile("cp.async.bulk.prefetch.tensor.3d.L2.global.tile.L2::cache_hint [%0, {%1, %2, %3}], %4;" ::"l"(map),
               "r"(0), "r"(row), "r"(step), "l"(policy)
               : "memory");
}
#endif

// Where the copy engine puts a 16-byte piece that would stand at `address`: pieces of a 128-byte line change places by
// the line's number.
__device__ __forceinline__ uint32_t Swizzled(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

// Writing for other blocks. A fence would wait for every copy that the multiprocessor has in flight, microseconds of
// weights. So a value carries its own word that it is there: its lowest bit, a mark that changes with every layer.
// Buffers are written whole once a layer, and not again before all readers have read; a reader that sees the mark of
// its layer has the value. It takes the mark off, so that results do not depend on it.
__device__ __forceinline__ void StoreMarked(float* pointer, float value, uint32_t mark) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(pointer), "r"((__float_as_uint(value) & ~1u) | mark)
               : "memory");
}
__device__ __forceinline__ float Unmarked(uint32_t word) { return __uint_as_float(word & ~1u); }
__device__ __forceinline__ uint32_t LoadMarked(const float* pointer) {
  uint32_t word;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(word) : "l"(pointer) : "memory");
  return word;
}
__device__ __forceinline__ uint4 LoadMarked4(const float* pointer) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(pointer)
               : "memory");
  return v;
}

__device__ __forceinline__ void AddRelaxed(uint32_t* counter) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}

__device__ __forceinline__ uint32_t AddAcquireRelease(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
  return before;
}

__device__ __forceinline__ uint32_t LoadRelaxed(const uint32_t* counter) {
  uint32_t value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
  return value;
}

// Shared memory by its address. Ordinary loads, so that the compiler may move them, though not past a barrier.
template <class T>
__device__ __forceinline__ T LoadShared(uint32_t address) {
  return *static_cast<const T*>(__cvta_shared_to_generic(address));
}

// The same in the lanes where `on`; zeros in the others. Only the lanes that carry a column of B matter, and leaving
// the others out makes the load one pass instead of several.
template <class T>
__device__ __forceinline__ T LoadWhere(bool on, uint32_t address) {
  T value{};
  if (on) value = LoadShared<T>(address);
  return value;
}

// (word & mask) ^ flip in one instruction, which the compiler does not find for two constants.
__device__ __forceinline__ uint32_t MaskAndFlip(uint32_t word, uint32_t mask, uint32_t flip) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0x6A;" : "=r"(result) : "r"(word), "r"(mask), "r"(flip));
  return result;
}

// d += A B, A 16 x 16 FP16 (rows g and g + 8 of lane 4 g + t), B 16 x 8 FP16, FP32 sums.
__device__ __forceinline__ void MultiplyFp16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                             uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// d += A B, A 16 x 32 signed or (kUnsigned) unsigned bytes, B 32 x 8 signed bytes, exact.
template <bool kUnsigned>
__device__ __forceinline__ void MultiplyInt8(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                             uint32_t b0, uint32_t b1) {
  if constexpr (kUnsigned) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
}

}  // namespace uaqf::cuda
