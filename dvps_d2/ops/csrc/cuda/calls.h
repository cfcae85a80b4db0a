// What all ops need around their CUDA kernels: element types, streams, errors.
#pragma once

#include "../arguments.h"
#include "kernels.h"

#ifndef DVPS_CUDA_ARCHITECTURES
#define DVPS_CUDA_ARCHITECTURES "unknown architectures"
#endif

namespace dvps_d2::cuda {

// Throws for a type that has no kernels; `argument` names it.
inline Element element_of(ScalarType type, const char* argument) {
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

// The stream that torch works on, on the device of a tensor.
inline void* stream_of(const Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(
      aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return stream;
}

inline void check_launch(const char* op, int error) {
  STD_TORCH_CHECK(!is_wrong_architecture(error), op,
                  " was compiled for " DVPS_CUDA_ARCHITECTURES
                  ", not for this GPU; rebuild with TORCH_CUDA_ARCH_LIST set to its compute "
                  "capability, or run in plain PyTorch with DVPS_OPS_PATH=reference");
  STD_TORCH_CHECK(error == 0, op, ": CUDA error: ", describe(error));
}

}  // namespace dvps_d2::cuda
