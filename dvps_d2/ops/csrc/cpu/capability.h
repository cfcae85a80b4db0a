// Which instruction set the CPU kernels use, and which element type a tensor has.
#pragma once

#include <torch/headeronly/core/ScalarType.h>

#include "kernels.h"

namespace dvps_d2::cpu {

enum class Capability { kPortable, kAvx2, kAvx512 };

// The best instruction set of this machine, unless ATEN_CPU_CAPABILITY (torch's own variable:
// default, avx2, avx512) asks for less.
Capability capability();

// Throws for a type that has no kernels; `argument` names it.
Element element_of(torch::headeronly::ScalarType type, const char* argument);

}  // namespace dvps_d2::cpu
