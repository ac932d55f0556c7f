// The few instructions that CUDA C++ has no name for. sm_90 copies in bulk through the copy engine; sm_80 has the same
// barriers, but its threads copy 16 bytes at a time.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace uaqf::cuda {

__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void BarrierInit(uint32_t barrier) {
  asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void BarrierArrive(uint32_t barrier) {
  asm volatile("{ .reg .b64 s; mbarrier.arrive.shared.b64 s, [%0]; }" ::"r"(barrier) : "memory");
}

// Makes barrier initialization, and earlier ordinary writes, visible to the copy engine.
__device__ __forceinline__ void FenceForCopies() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

__device__ __forceinline__ bool BarrierTest(uint32_t barrier, uint32_t parity) {
  uint32_t done;
#if __CUDA_ARCH__ >= 900
  asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
               : "=r"(done)
               : "r"(barrier), "r"(parity)
               : "memory");
#else
  asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
               : "=r"(done)
               : "r"(barrier), "r"(parity)
               : "memory");
#endif
  return done != 0;
}

__device__ __forceinline__ void BarrierWait(uint32_t barrier, uint32_t parity) {
  while (!BarrierTest(barrier, parity)) {
  }
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

// `bytes`, a multiple of 16, from global to shared memory, both 16-byte aligned; completes a phase of `barrier`.
// Whole warp.
__device__ __forceinline__ void CopyRun(uint32_t target, const uint8_t* source, uint32_t bytes, uint32_t barrier,
                                        int lane, uint64_t policy) {
#if __CUDA_ARCH__ >= 900
  if (lane == 0) {
    asm volatile("{ .reg .b64 s; mbarrier.arrive.expect_tx.shared.b64 s, [%0], %1; }" ::"r"(barrier), "r"(bytes)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::
            "r"(target),
        "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
        : "memory");
  }
#else
  for (uint32_t at = lane * 16; at < bytes; at += 512) CopySixteen(target + at, source + at, 16, policy);
  CommitSixteens(barrier, lane);
#endif
}

// Writing for other blocks. A fence would wait for every copy that the multiprocessor has in flight, microseconds of
// weights; an exchange comes back as soon as it has been done in L2, where all blocks read. So a block may say that its
// values can be read once all its exchanges are back.
__device__ __forceinline__ uint32_t Publish(float* pointer, float value) {
  uint32_t before;
  asm volatile("atom.relaxed.gpu.global.exch.b32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(pointer), "r"(__float_as_uint(value))
               : "memory");
  return before;
}

// Waits for an exchange by using what it brought back.
__device__ __forceinline__ void Settle(uint32_t before) {
  asm volatile("{ .reg .pred p; setp.eq.u32 p, %0, 0x7FEDCBA9; @p nanosleep.u32 0; }" ::"r"(before) : "memory");
}

__device__ __forceinline__ void AddRelaxed(uint32_t* counter) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}

__device__ __forceinline__ uint32_t FetchAddRelaxed(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
  return before;
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

// 16 or 8 bytes of shared memory into the lanes where `on`; the other lanes keep what they have (zeros). Only the
// lanes of the first two matrix columns matter, and leaving the others out makes the load one pass instead of four.
__device__ __forceinline__ void LoadWhere(bool on, uint32_t address, uint4& value) {
  asm volatile("{ .reg .pred p; setp.ne.u32 p, %5, 0; @p ld.shared.v4.u32 {%0, %1, %2, %3}, [%4]; }"
               : "+r"(value.x), "+r"(value.y), "+r"(value.z), "+r"(value.w)
               : "r"(address), "r"(static_cast<uint32_t>(on)));
}
__device__ __forceinline__ void LoadWhere(bool on, uint32_t address, uint2& value) {
  asm volatile("{ .reg .pred p; setp.ne.u32 p, %3, 0; @p ld.shared.v2.u32 {%0, %1}, [%2]; }"
               : "+r"(value.x), "+r"(value.y)
               : "r"(address), "r"(static_cast<uint32_t>(on)));
}

__device__ __forceinline__ uint4 LoadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address));
  return v;
}
__device__ __forceinline__ uint32_t LoadShared4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
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
