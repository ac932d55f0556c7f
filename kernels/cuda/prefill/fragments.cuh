// Packed weights (layout.h) in shared memory to A fragments of mma.sync and of wgmma, which have the same order.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/layout.h"

namespace uaqf::cuda::prefill {

__device__ __forceinline__ uint4 LoadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}
__device__ __forceinline__ uint32_t LoadShared4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}
__device__ __forceinline__ uint32_t LoadShared2(uint32_t address) {
  uint16_t v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(address) : "memory");
  return v;
}

__device__ __forceinline__ __half2 AsHalves(uint32_t bits) { return *reinterpret_cast<const __half2*>(&bits); }
__device__ __forceinline__ uint32_t AsBits(__half2 pair) { return *reinterpret_cast<const uint32_t*>(&pair); }

// (word & mask) | bits in one instruction, which the compiler does not find for two constants.
__device__ __forceinline__ uint32_t MaskAndSet(uint32_t word, uint32_t mask, uint32_t bits) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(word), "r"(mask), "r"(bits));
  return result;
}

// What is taken off nibbles once they are FP16: 1024 + zero of slot g, and -(64 + zero) of slot g + 8, zeros counted
// like the nibbles from -kInt4Offset on.
struct NibbleZeros {
  uint32_t low = 0x64086408;
  uint32_t high = 0xD480D480;

  NibbleZeros() = default;
  // The two bytes of layout.h, slot g in the lower.
  __device__ __forceinline__ explicit NibbleZeros(uint32_t bytes) {
    low = __byte_perm(bytes, 0x64, 0x4040);
    high = ((bytes & 0xFF00u) >> 4 | 0xD400u) * 0x10001u;
  }
};

// One word of INT4 codes (columns 0-3 of slots g and g + 8) less their zeros to an A fragment of FP16, exactly.
__device__ __forceinline__ void Int4ToFp16(uint32_t word, const NibbleZeros& zeros, uint32_t (&a)[4]) {
  const uint32_t next = word >> 8;
  const __half2 low = AsHalves(zeros.low);
  const __half2 high = AsHalves(zeros.high);
  const __half2 sixteenth = AsHalves(0x2C002C00);
  a[0] = AsBits(__hsub2(AsHalves(MaskAndSet(word, 0x000F000F, 0x64006400)), low));
  a[1] = AsBits(__hfma2(AsHalves(MaskAndSet(word, 0x00F000F0, 0x64006400)), sixteenth, high));
  a[2] = AsBits(__hsub2(AsHalves(MaskAndSet(next, 0x000F000F, 0x64006400)), low));
  a[3] = AsBits(__hfma2(AsHalves(MaskAndSet(next, 0x00F000F0, 0x64006400)), sixteenth, high));
}

// INT8 codes of columns 0-3 of one slot.
__device__ __forceinline__ void Int8ToFp16(uint32_t word, uint32_t* first, uint32_t* second) {
  const __half2 offset = AsHalves(0x64806480);  // 1024 + 128
  *first = AsBits(__hsub2(AsHalves((word & 0x00FF00FF) ^ 0x64806480), offset));
  *second = AsBits(__hsub2(AsHalves(((word >> 8) & 0x00FF00FF) ^ 0x64806480), offset));
}

// A fragments of a warp's half block of 64 columns: 4 of them, or 2 of INT8, 4 words each. `tile` is the shared address
// of its 16 rows. kScaled: the scale of a group is multiplied in.
template <Format kFormat, int kGroup, bool kInt8, bool kZeros, bool kScaled = true>
__device__ __forceinline__ void LoadFragments(uint32_t tile, int half, int lane, uint32_t (&a)[16]) {
  if constexpr (kFormat == Format::kInt8) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint4 w = LoadShared16(tile + (half * 2 + i) * 512 + lane * 16);
      if constexpr (kInt8) {
        a[4 * i] = w.x;
        a[4 * i + 1] = w.y;
        a[4 * i + 2] = w.z;
        a[4 * i + 3] = w.w;
      } else {
        Int8ToFp16(w.x, &a[8 * i], &a[8 * i + 2]);
        Int8ToFp16(w.y, &a[8 * i + 1], &a[8 * i + 3]);
        Int8ToFp16(w.z, &a[8 * i + 4], &a[8 * i + 6]);
        Int8ToFp16(w.w, &a[8 * i + 5], &a[8 * i + 7]);
      }
    }
  } else {
    const uint4 w = LoadShared16(tile + half * 512 + lane * 16);
    const uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (kInt8) {
        // Codes in the upper half of a byte are 16 times too large, which the scale of the row takes back.
        a[2 * i] = ((words[i] << 4) & 0xF0F0F0F0) ^ 0x80808080;
        a[2 * i + 1] = (words[i] & 0xF0F0F0F0) ^ 0x80808080;
      } else {
        uint32_t fragment[4];
        const int group = kGroup > 0 ? (half * 64 + i / 2 * 32) / kGroup : 0;
        if constexpr (kZeros) {
          const uint32_t at = tile + ZerosOffset(kFormat, kGroup) + group * 16 + lane / 4 * 2;
          Int4ToFp16(words[i], NibbleZeros(LoadShared2(at)), fragment);
        } else {
          Int4ToFp16(words[i], {}, fragment);
        }
        if constexpr (kGroup > 0 && kScaled) {
          const __half2 scales = AsHalves(LoadShared4(tile + 1024 + group * 32 + lane / 4 * 4));
          const __half2 first = __low2half2(scales);
          const __half2 second = __high2half2(scales);
          fragment[0] = AsBits(__hmul2(AsHalves(fragment[0]), first));
          fragment[1] = AsBits(__hmul2(AsHalves(fragment[1]), second));
          fragment[2] = AsBits(__hmul2(AsHalves(fragment[2]), first));
          fragment[3] = AsBits(__hmul2(AsHalves(fragment[3]), second));
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) a[4 * i + j] = fragment[j];
      }
    }
  }
}

}  // namespace uaqf::cuda::prefill
