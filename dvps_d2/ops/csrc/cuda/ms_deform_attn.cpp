// Multi-scale deformable attention on CUDA devices: checks and memory around the kernels.
#include <limits>
#include <tuple>

#include "calls.h"
#include "kernels.h"

namespace dvps_d2::cuda {
namespace {

Levels make_levels(const std::vector<int64_t>& level_shapes) {
  STD_TORCH_CHECK(level_shapes.size() <= 2 * kMaxLevels, "ms_deform_attn: at most ", kMaxLevels,
                  " levels on CUDA, got ", level_shapes.size() / 2);
  Levels levels = {};
  int64_t start = 0;
  for (size_t i = 0; i + 1 < level_shapes.size(); i += 2) {
    levels.height[i / 2] = static_cast<int>(level_shapes[i]);
    levels.width[i / 2] = static_cast<int>(level_shapes[i + 1]);
    levels.start[i / 2] = static_cast<int>(start);
    start += level_shapes[i] * level_shapes[i + 1];
  }
  return levels;
}

Sizes make_sizes(const Tensor& value, const Tensor& locations) {
  const int64_t limit = std::numeric_limits<int>::max();
  const int64_t heads = value.size(0) * value.size(2);
  STD_TORCH_CHECK(value.size(1) <= limit && heads * (locations.size(1) + 31) <= limit,
                  "ms_deform_attn: ", value.size(1), " positions or ", locations.size(1),
                  " queries are beyond 32-bit sizes");
  const auto size = [](const Tensor& tensor, int64_t axis) {
    return static_cast<int>(tensor.size(axis));
  };
  return {size(value, 0),     size(value, 1),     size(value, 2),    size(value, 3),
          size(locations, 1), size(locations, 3), size(locations, 4)};
}

template <typename Arguments>
void run(const Tensor& value, const std::vector<int64_t>& level_shapes, const Tensor& locations,
         const Arguments& arguments) {
  const Element element = element_of(value.scalar_type(), "ms_deform_attn: value");
  check_launch("ms_deform_attn",
               launch(element, make_levels(level_shapes), make_sizes(value, locations), arguments,
                      stream_of(value)));
}

void check_devices(const Tensor& value, const Tensor& locations, const Tensor& weights) {
  STD_TORCH_CHECK(locations.is_cuda() && weights.is_cuda() && value.is_cuda() &&
                      locations.get_device_index() == value.get_device_index() &&
                      weights.get_device_index() == value.get_device_index(),
                  "ms_deform_attn: value, locations and weights must be on one CUDA device");
}

Tensor forward(const Tensor& value_, std::vector<int64_t> level_shapes, const Tensor& locations_,
               const Tensor& weights_) {
  check_arguments(value_, level_shapes, locations_, weights_);
  check_devices(value_, locations_, weights_);
  const torch::stable::accelerator::DeviceGuard guard(value_.get_device_index());
  const Tensor value = torch::stable::contiguous(value_);
  const Tensor locations = torch::stable::contiguous(locations_);
  const Tensor weights = torch::stable::contiguous(weights_);
  Tensor output = torch::stable::new_empty(
      value, {value.size(0), locations.size(1), value.size(2) * value.size(3)});
  if (output.numel() == 0) return output;
  run(value, level_shapes, locations,
      Forward{value.const_data_ptr(), locations.const_data_ptr(), weights.const_data_ptr(),
              output.mutable_data_ptr()});
  return output;
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& grad_output_, const Tensor& value_,
                                            std::vector<int64_t> level_shapes,
                                            const Tensor& locations_, const Tensor& weights_) {
  check_arguments(value_, level_shapes, locations_, weights_);
  check_devices(value_, locations_, weights_);
  check_gradient(grad_output_, value_, locations_);
  const torch::stable::accelerator::DeviceGuard guard(value_.get_device_index());
  const Tensor grad_output = torch::stable::contiguous(grad_output_);
  const Tensor value = torch::stable::contiguous(value_);
  const Tensor locations = torch::stable::contiguous(locations_);
  const Tensor weights = torch::stable::contiguous(weights_);
  // Summed in the precision of computation and rounded once.
  Tensor grad_value = torch::stable::new_zeros(value, value.sizes(), locations.scalar_type());
  Tensor grad_locations = torch::stable::new_empty(locations, locations.sizes());
  Tensor grad_weights = torch::stable::new_empty(weights, weights.sizes());
  if (value.numel() == 0 || locations.numel() == 0) {
    torch::stable::zero_(grad_locations);
    torch::stable::zero_(grad_weights);
  } else {
    run(value, level_shapes, locations,
        Backward{grad_output.const_data_ptr(), value.const_data_ptr(), locations.const_data_ptr(),
                 weights.const_data_ptr(), grad_value.mutable_data_ptr(),
                 grad_locations.mutable_data_ptr(), grad_weights.mutable_data_ptr()});
  }
  return {torch::stable::to(grad_value, value.scalar_type()), grad_locations, grad_weights};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dvps_d2, CUDA, library) {
  library.impl("ms_deform_attn", TORCH_BOX(&forward));
  library.impl("ms_deform_attn_backward", TORCH_BOX(&backward));
}

}  // namespace dvps_d2::cuda
