// Instructions of sm_90 that the products of a prefill need: bulk copies within a cluster, wgmma with A in
// registers.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/prefill/fragments.cuh"

namespace uaqf::cuda::prefill {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define UAQF_SM90 1
#endif

#if defined(UAQF_SM90)

// BarrierWait as one loop of two instructions, which keeps the products' code as it was timed.
__device__ __forceinline__ void WaitBarrier(uint32_t barrier, uint32_t parity) {
  asm volatile("{ .reg .pred p; W: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @!p bra W; }" ::"r"(barrier),
               "r"(parity)
               : "memory");
}

// Arrives at the barrier with this address in block `rank` of the cluster.
__device__ __forceinline__ void ArriveAt(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{ .reg .b32 a; mapa.shared::cluster.u32 a, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [a]; "
      "}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

// Global to shared memory of this block, counted at the barrier.
__device__ __forceinline__ void Copy(uint32_t target, const void* source, uint32_t bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(target),
               "l"(source), "r"(bytes), "r"(barrier)
               : "memory");
}

// The same to both blocks of a cluster of two, at the same addresses in each.
__device__ __forceinline__ void CopyToBoth(uint32_t target, const void* source, uint32_t bytes, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], "
      "%4;" ::"r"(target),
      "l"(source), "r"(bytes), "r"(barrier), "h"(static_cast<uint16_t>(3))
      : "memory");
}

__device__ __forceinline__ void PrefetchMap(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// A box of a tensor map (tensor_map.h) to shared memory of this block, counted at the barrier.
__device__ __forceinline__ void CopyBox(uint32_t target, const void* map, int x, int y, int z, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(target),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ uint32_t ClusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// All threads of all blocks of the cluster.
__device__ __forceinline__ void SyncCluster() {
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void SyncWarpgroup(int id) { asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory"); }

// Four 8 x 8 matrices of halves, each transposed: lane i gives where row i % 8 of matrix i / 8 goes, 16 bytes.
__device__ __forceinline__ void StoreTransposed(uint32_t address, const uint32_t (&m)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(m[0]),
               "r"(m[1]), "r"(m[2]), "r"(m[3])
               : "memory");
}

__device__ __forceinline__ void FenceMatrices() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void CommitMatrices() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void WaitMatrices() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// After WaitMatrices: before it nothing may read or move the sums, and the compiler does not know.
template <class Sum, int kSums>
__device__ __forceinline__ void TakeSums(Sum (&sums)[kSums]) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) {
    if constexpr (std::is_same_v<Sum, float>) {
      asm volatile("" : "+f"(sums[i])::"memory");
    } else {
      asm volatile("" : "+r"(sums[i])::"memory");
    }
  }
}

// Of 128 bytes by 8 n rows in shared memory, swizzled by 128 bytes, 8 rows (1024 bytes) after 8 rows. For a product
// that goes across the rows (MultiplyAcross) the next 128 bytes of them lie `slab` bytes on.
__device__ __forceinline__ uint64_t MatrixDescriptor(uint32_t address, uint32_t slab = 16) {
  return uint64_t{(address & 0x3FFFF) >> 4} | uint64_t{slab >> 4} << 16 | uint64_t{64} << 32 | uint64_t{1} << 62;
}

#define UAQF_DO8(m, i) m(i), m(i + 1), m(i + 2), m(i + 3), m(i + 4), m(i + 5), m(i + 6), m(i + 7)
#define UAQF_DO64(m)                                                                                                   \
  UAQF_DO8(m, 0), UAQF_DO8(m, 8), UAQF_DO8(m, 16), UAQF_DO8(m, 24), UAQF_DO8(m, 32), UAQF_DO8(m, 40), UAQF_DO8(m, 48), \
      UAQF_DO8(m, 56)
#define UAQF_SUMS64                                                                                                 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "  \
  "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// sums = A B, or += if `add`: A 64 x 16 FP16 or 64 x 32 INT8 of the warpgroup, B that by 128 tokens. Asynchronous.
__device__ __forceinline__ void Multiply(float (&sums)[64], const uint32_t* a, uint64_t b, uint32_t add) {
#define UAQF_SUM(i) "+f"(sums[i])
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " UAQF_SUMS64
               ", {%64, %65, %66, %67}, %68, p, 1, 1, 0; }"
               : UAQF_DO64(UAQF_SUM)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#undef UAQF_SUM
}
__device__ __forceinline__ void Multiply(int32_t (&sums)[64], const uint32_t* a, uint64_t b, uint32_t add) {
#define UAQF_SUM(i) "+r"(sums[i])
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 " UAQF_SUMS64
               ", {%64, %65, %66, %67}, %68, p; }"
               : UAQF_DO64(UAQF_SUM)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#undef UAQF_SUM
}
// sums (+)= A B of 64 rows: A 64 x 16 and B 16 x 64, both FP16 in shared memory, rows of B along its 16. sums: [8
// columns from 8 n on][row g: columns 2 t and the next, row g + 8: the same]. Asynchronous.
__device__ __forceinline__ void MultiplyShared(float (&sums)[32], uint64_t a, uint64_t b, uint32_t add) {
#define UAQF_SUM(i) "+f"(sums[i])
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0; }"
      : UAQF_DO8(UAQF_SUM, 0), UAQF_DO8(UAQF_SUM, 8), UAQF_DO8(UAQF_SUM, 16), UAQF_DO8(UAQF_SUM, 24)
      : "l"(a), "l"(b), "r"(add));
#undef UAQF_SUM
}

// sums (+)= A B, A 64 x 16 FP16 of the warpgroup, B 16 x 64 or 128 FP16 with rows along its columns. Asynchronous.
__device__ __forceinline__ void MultiplyAcross(float (&sums)[32], const uint32_t* a, uint64_t b, uint32_t add) {
#define UAQF_SUM(i) "+f"(sums[i])
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, p, 1, 1, 1; }"
      : UAQF_DO8(UAQF_SUM, 0), UAQF_DO8(UAQF_SUM, 8), UAQF_DO8(UAQF_SUM, 16), UAQF_DO8(UAQF_SUM, 24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#undef UAQF_SUM
}
__device__ __forceinline__ void MultiplyAcross(float (&sums)[64], const uint32_t* a, uint64_t b, uint32_t add) {
#define UAQF_SUM(i) "+f"(sums[i])
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " UAQF_SUMS64
               ", {%64, %65, %66, %67}, %68, p, 1, 1, 1; }"
               : UAQF_DO64(UAQF_SUM)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
#undef UAQF_SUM
}
#undef UAQF_DO8
#undef UAQF_DO64
#undef UAQF_SUMS64

#endif  // UAQF_SM90

}  // namespace uaqf::cuda::prefill
