// The CPU kernels for any machine: what the compiler makes of 16-byte vectors (SSE2, NEON).
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "merge_kernels.h"

#define DVPS_VECTOR_BYTES 16
#include "kernels.inl"
#include "merge_kernels.inl"

namespace dvps_d2::cpu {
Kernels portable_kernels(Element element) { return select(element); }
MergeKernels portable_merge_kernels(Element element) { return select_merge(element); }
}  // namespace dvps_d2::cpu
