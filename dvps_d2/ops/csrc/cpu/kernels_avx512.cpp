// The CPU kernels for AVX-512.
#include "kernels.h"
#include "merge_kernels.h"

#if defined(__x86_64__)
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#if defined(__clang__)
#pragma clang attribute push(                                                            \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif
#define DVPS_VECTOR_BYTES 64
#include "kernels.inl"
#include "merge_kernels.inl"

namespace dvps_d2::cpu {
Kernels avx512_kernels(Element element) { return select(element); }
MergeKernels avx512_merge_kernels(Element element) { return select_merge(element); }
}  // namespace dvps_d2::cpu
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
