// What the kernels of every device check about their arguments. Python names these errors better;
// here they protect callers of torch.ops and of exported programs.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <limits>
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

// The (height, width) pairs of a panoptic merge: the frame that the logits cover, the part of it
// that is image, and the output.
struct MergeSizes {
  int64_t padded[2], valid[2], output[2];
};

inline MergeSizes check_merge(const Tensor& logits, const Tensor& scores,
                              const std::vector<int64_t>& padded, const std::vector<int64_t>& valid,
                              const std::vector<int64_t>& output) {
  STD_TORCH_CHECK(logits.dim() == 4 && scores.dim() == 1 && scores.size(0) == logits.size(0),
                  "panoptic_merge: expected logits (N, T, h, w) and scores (N,); "
                  "dvps_d2.ops.panoptic_merge says what is wrong");
  STD_TORCH_CHECK(scores.scalar_type() == compute_type(logits.scalar_type()),
                  "panoptic_merge: scores must be float64 beside float64 logits and float32 beside "
                  "any other");
  STD_TORCH_CHECK(logits.size(0) <= std::numeric_limits<int16_t>::max(),
                  "panoptic_merge: at most ", std::numeric_limits<int16_t>::max(),
                  " masks can compete, got ", logits.size(0));
  STD_TORCH_CHECK(padded.size() == 2 && valid.size() == 2 && output.size() == 2,
                  "panoptic_merge: padded, valid and output must be (height, width) pairs");
  MergeSizes sizes = {};
  const int64_t limit = std::numeric_limits<int32_t>::max() / 4;
  for (int axis = 0; axis < 2; ++axis) {
    STD_TORCH_CHECK(logits.size(2 + axis) > 0 && valid[axis] > 0 && output[axis] > 0 &&
                        valid[axis] <= padded[axis] && padded[axis] < limit &&
                        output[axis] < limit && logits.size(2 + axis) < limit,
                    "panoptic_merge: sizes must be positive with valid inside padded, got logits of ",
                    logits.size(2), " x ", logits.size(3), ", padded ", padded[0], " x ", padded[1],
                    ", valid ", valid[0], " x ", valid[1], ", output ", output[0], " x ", output[1]);
    sizes.padded[axis] = padded[axis];
    sizes.valid[axis] = valid[axis];
    sizes.output[axis] = output[axis];
  }
  return sizes;
}

}  // namespace dvps_d2
