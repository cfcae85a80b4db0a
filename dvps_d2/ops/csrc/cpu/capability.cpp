// Which instruction set the CPU kernels use, and which element type a tensor has.
#include "capability.h"

#include <torch/csrc/stable/library.h>

#include <cstdlib>
#include <string>

namespace dvps_d2::cpu {

using torch::headeronly::ScalarType;

Capability capability() {
#if defined(__x86_64__)
  const char* wanted = std::getenv("ATEN_CPU_CAPABILITY");
  const std::string limit = wanted == nullptr ? "" : wanted;
  if (limit != "default" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return wide && limit != "avx2" ? Capability::kAvx512 : Capability::kAvx2;
  }
#endif
  return Capability::kPortable;
}

Element element_of(ScalarType type, const char* argument) {
  switch (type) {
    case ScalarType::Double:
      return Element::kFloat64;
    case ScalarType::Float:
      return Element::kFloat32;
    case ScalarType::BFloat16:
      return Element::kBFloat16;
    case ScalarType::Half:
      return Element::kFloat16;
    default:
      STD_TORCH_CHECK(false, argument, " must be float64, float32, bfloat16 or float16");
  }
}

namespace {

std::string cpu_capability() {
  switch (capability()) {
    case Capability::kAvx512:
      return "avx512";
    case Capability::kAvx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dvps_d2, CompositeExplicitAutograd, library) {
  library.impl("cpu_capability", TORCH_BOX(&cpu_capability));
}

}  // namespace dvps_d2::cpu
