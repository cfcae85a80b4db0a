// The CPU kernels for AVX2.
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
    __attribute__((target("avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#define DVPS_VECTOR_BYTES 32
#include "kernels.inl"
#include "merge_kernels.inl"

namespace dvps_d2::cpu {
Kernels avx2_kernels(Element element) { return select(element); }
MergeKernels avx2_merge_kernels(Element element) { return select_merge(element); }
}  // namespace dvps_d2::cpu
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
