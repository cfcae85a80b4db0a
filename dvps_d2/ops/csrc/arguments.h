// What the kernels of every device check about their arguments. Python names these errors better;
// here they protect callers of torch.ops and of exported programs.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <vector>

namespace dvps_d2 {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline ScalarType compute_type(ScalarType stored) {
  return stored == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// level_shapes: (H, W) per level, flattened.
inline void check_arguments(const Tensor& value, const std::vector<int64_t>& level_shapes,
                            const Tensor& locations, const Tensor& weights) {
  STD_TORCH_CHECK(value.dim() == 4 && locations.dim() == 6 && weights.dim() == 5,
                  "ms_deform_attn: expected value (B, S, M, D), locations (B, Q, M, L, P, 2) and "
                  "weights (B, Q, M, L, P), got ",
                  value.dim(), ", ", locations.dim(), " and ", weights.dim(), " axes");
  bool fits = locations.size(5) == 2 && locations.size(0) == value.size(0) &&
              locations.size(2) == value.size(2) &&
              2 * locations.size(3) == static_cast<int64_t>(level_shapes.size());
  for (int64_t axis = 0; axis < 5; ++axis)
    fits = fits && weights.size(axis) == locations.size(axis);
  int64_t area = 0;
  for (size_t i = 0; i + 1 < level_shapes.size(); i += 2) {
    fits = fits && level_shapes[i] > 0 && level_shapes[i + 1] > 0;
    area += level_shapes[i] * level_shapes[i + 1];
  }
  STD_TORCH_CHECK(fits && area == value.size(1),
                  "ms_deform_attn: the shapes of value, level_shapes (area ", area,
                  "), locations and weights do not belong together; dvps_d2.ops.ms_deform_attn "
                  "says which");
  const ScalarType compute = compute_type(value.scalar_type());
  STD_TORCH_CHECK(locations.scalar_type() == compute && weights.scalar_type() == compute,
                  "ms_deform_attn: locations and weights must be float64 beside a float64 value "
                  "and float32 beside any other");
}

// The gradient of the output must look like the output.
inline void check_gradient(const Tensor& grad_output, const Tensor& value,
                           const Tensor& locations) {
  STD_TORCH_CHECK(grad_output.dim() == 3 && grad_output.size(0) == value.size(0) &&
                      grad_output.size(1) == locations.size(1) &&
                      grad_output.size(2) == value.size(2) * value.size(3) &&
                      grad_output.scalar_type() == value.scalar_type(),
                  "ms_deform_attn_backward: grad_output must be (B, Q, M * D) in the dtype of value");
}

}  // namespace dvps_d2
