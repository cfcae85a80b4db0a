// The CUDA kernels as plain functions: neither torch nor CUDA headers are needed to call them.
#pragma once

#include <cstdint>

namespace dvps_d2::cuda {

enum class Element { kFloat64, kFloat32, kBFloat16, kFloat16 };

constexpr int kMaxLevels = 16;

// Feature levels, passed to the kernels by value: nothing is read back from the device.
struct Levels {
  int height[kMaxLevels];
  int width[kMaxLevels];
  int start[kMaxLevels];  // first position of the level among the S of value
};

struct Sizes {
  int batch, area, heads, dim;  // value (B, S, M, D)
  int queries, levels, points;  // locations (B, Q, M, L, P, 2)
};

// Pointers to device memory. Value, output and grad_output hold the element type; everything else
// is float64 beside float64 and float32 beside any other. grad_value must hold zeros.
struct Forward {
  const void *value, *locations, *weights;
  void* output;
};
struct Backward {
  const void *grad_output, *value, *locations, *weights;
  void *grad_value, *grad_locations, *grad_weights;
};

// Put the work on a stream (a cudaStream_t) and return the CUDA error code, 0 for success.
int launch(Element element, const Levels& levels, const Sizes& sizes, const Forward& arguments,
           void* stream);
int launch(Element element, const Levels& levels, const Sizes& sizes, const Backward& arguments,
           void* stream);

// What an error code means, and whether it says that the GPU is not among the compiled ones.
const char* describe(int error);
bool is_wrong_architecture(int error);

}  // namespace dvps_d2::cuda
