// Reading, writing and adding a few neighbouring channels at once, in the precision of computation.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace dvps_d2::cuda {

__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }

__device__ __forceinline__ void narrow(float x, __half& to) { to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(float x, __nv_bfloat16& to) { to = __float2bfloat16_rn(x); }
__device__ __forceinline__ void narrow(float x, float& to) { to = x; }
__device__ __forceinline__ void narrow(double x, double& to) { to = x; }

// As many elements as move in one instruction: 16 bytes, or a single element.
template <typename T, int kVec>
struct alignas(kVec * sizeof(T)) Packet {
  T at[kVec];
};

template <int kVec, typename T, typename C>
__device__ __forceinline__ void load(const T* from, C* to) {
  const Packet<T, kVec> packet = *reinterpret_cast<const Packet<T, kVec>*>(from);
#pragma unroll
  for (int i = 0; i < kVec; ++i) to[i] = widen(packet.at[i]);
}

template <int kVec, typename T, typename C>
__device__ __forceinline__ void store(const C* from, T* to) {
  Packet<T, kVec> packet;
#pragma unroll
  for (int i = 0; i < kVec; ++i) narrow(from[i], packet.at[i]);
  *reinterpret_cast<Packet<T, kVec>*>(to) = packet;
}

// Whether four neighbouring floats can be added to memory in one reduction (compute capability 9.0).
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
constexpr bool kVectorReductions = true;
#else
constexpr bool kVectorReductions = false;
#endif

// to[i] += scale * from[i], atomically for each i.
template <int kVec, typename C>
__device__ __forceinline__ void add(C scale, const C* from, C* to) {
  if constexpr (kVectorReductions && sizeof(C) == 4 && kVec % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kVec; i += 4)
      atomicAdd(reinterpret_cast<float4*>(to + i),
                make_float4(scale * from[i], scale * from[i + 1], scale * from[i + 2],
                            scale * from[i + 3]));
  } else {
#pragma unroll
    for (int i = 0; i < kVec; ++i) atomicAdd(to + i, scale * from[i]);
  }
}

}  // namespace dvps_d2::cuda
