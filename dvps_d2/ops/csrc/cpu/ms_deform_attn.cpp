// Multi-scale deformable attention on the CPU: checks, scratch and threads around the kernels.
#include "../arguments.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <tuple>

#include "capability.h"
#include "kernels.h"

namespace dvps_d2::cpu {
namespace {

Kernels kernels_for(Element element) {
#if defined(__x86_64__)
  switch (capability()) {
    case Capability::kAvx512:
      return avx512_kernels(element);
    case Capability::kAvx2:
      return avx2_kernels(element);
    default:
      break;
  }
#endif
  return portable_kernels(element);
}

// Sizes in the form that the kernels want.
struct Plan {
  Shape shape;
  std::vector<Level> levels;
  int64_t compute_size;  // bytes of one computed number

  int64_t packed_bytes(int64_t pixels) const { return pixels * shape.packed_dim * compute_size; }
  int64_t largest_level() const {
    int64_t pixels = 0;
    for (const Level& level : levels) pixels = std::max(pixels, level.packed_area());
    return packed_bytes(pixels);
  }
};

Plan make_plan(const Tensor& value, const std::vector<int64_t>& level_shapes,
               const Tensor& locations) {
  Plan plan;
  int64_t start = 0, packed_start = 0;
  for (size_t i = 0; i + 1 < level_shapes.size(); i += 2) {
    const Level level = {level_shapes[i], level_shapes[i + 1], start, packed_start};
    plan.levels.push_back(level);
    start += level.height * level.width;
    packed_start += level.packed_area();
  }
  plan.compute_size = compute_type(value.scalar_type()) == ScalarType::Double ? 8 : 4;
  const int64_t lanes = kAlignment / plan.compute_size;
  const int64_t packed_dim = (value.size(3) + lanes - 1) / lanes * lanes;
  plan.shape = {value.size(0),     value.size(1),     value.size(2),
                value.size(3),     locations.size(1), locations.size(4),
                locations.size(3), nullptr,           packed_start,
                packed_dim};
  STD_TORCH_CHECK(plan.largest_level() / plan.compute_size < std::numeric_limits<int32_t>::max(),
                  "ms_deform_attn: a level of ", plan.largest_level(),
                  " bytes per head is beyond 32-bit offsets");
  return plan;
}

struct Free {
  void operator()(void* data) const { std::free(data); }
};
using Scratch = std::unique_ptr<char, Free>;

Scratch make_scratch(int64_t bytes) {
  void* data = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
  if (data == nullptr) throw std::bad_alloc();
  return Scratch(static_cast<char*>(data));
}

Tensor forward(const Tensor& value_, std::vector<int64_t> level_shapes, const Tensor& locations_,
               const Tensor& weights_) {
  check_arguments(value_, level_shapes, locations_, weights_);
  const Tensor value = torch::stable::contiguous(value_);
  const Tensor locations = torch::stable::contiguous(locations_);
  const Tensor weights = torch::stable::contiguous(weights_);
  Plan plan = make_plan(value, level_shapes, locations);
  Shape& shape = plan.shape;
  shape.levels = plan.levels.data();
  Tensor output =
      torch::stable::new_empty(value, {shape.batch, shape.queries, shape.heads * shape.dim});
  if (output.numel() == 0) return output;
  const Kernels kernels = kernels_for(element_of(value.scalar_type(), "ms_deform_attn: value"));
  const void* const v = value.const_data_ptr();
  const void* const x = locations.const_data_ptr();
  const void* const w = weights.const_data_ptr();
  void* const out = output.mutable_data_ptr();

  // A thread packs a head and then answers queries of it from its own cache. With more threads
  // than heads, all heads are packed first and shared.
  const int64_t all_heads = shape.batch * shape.heads;
  const int64_t threads = torch::stable::get_num_threads();
  const bool shared = threads > all_heads;
  const int64_t head_bytes = plan.packed_bytes(shape.packed_area);
  Scratch everything;
  if (shared) {
    everything = make_scratch(all_heads * head_bytes);
    torch::stable::parallel_for(0, all_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernels.pack(shape, v, i / shape.heads, i % shape.heads, 0, shape.num_levels,
                     everything.get() + i * head_bytes);
    });
  }
  const int64_t wanted = threads == 1 ? 1 : shared ? (4 * threads) / all_heads : 4;
  const int64_t chunks = std::max<int64_t>(1, std::min(wanted, shape.queries / 64));
  torch::stable::parallel_for(0, all_heads * chunks, 1, [&](int64_t begin, int64_t end) {
    Scratch own = shared ? Scratch() : make_scratch(head_bytes);
    int64_t packed_head = -1;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / chunks, chunk = i % chunks;
      if (!shared && packed_head != head) {
        kernels.pack(shape, v, head / shape.heads, head % shape.heads, 0, shape.num_levels,
                     own.get());
        packed_head = head;
      }
      const void* const packed = shared ? everything.get() + head * head_bytes : own.get();
      kernels.forward(shape, packed, x, w, head / shape.heads, head % shape.heads,
                      chunk * shape.queries / chunks, (chunk + 1) * shape.queries / chunks, out);
    }
  });
  return output;
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& grad_output_, const Tensor& value_,
                                            std::vector<int64_t> level_shapes,
                                            const Tensor& locations_, const Tensor& weights_) {
  check_arguments(value_, level_shapes, locations_, weights_);
  check_gradient(grad_output_, value_, locations_);
  const Tensor grad_output = torch::stable::contiguous(grad_output_);
  const Tensor value = torch::stable::contiguous(value_);
  const Tensor locations = torch::stable::contiguous(locations_);
  const Tensor weights = torch::stable::contiguous(weights_);
  Plan plan = make_plan(value, level_shapes, locations);
  Shape& shape = plan.shape;
  shape.levels = plan.levels.data();
  Tensor grad_value = torch::stable::new_empty(value, value.sizes());
  Tensor grad_locations = torch::stable::new_empty(locations, locations.sizes());
  Tensor grad_weights = torch::stable::new_empty(weights, weights.sizes());
  if (value.numel() == 0 || locations.numel() == 0) {
    torch::stable::zero_(grad_value);
    torch::stable::zero_(grad_locations);
    torch::stable::zero_(grad_weights);
    return {grad_value, grad_locations, grad_weights};
  }
  const Kernels kernels = kernels_for(element_of(value.scalar_type(), "ms_deform_attn: value"));

  // One task per level of a head: it alone writes its part of each gradient, in a fixed order,
  // so results do not depend on the number of threads.
  const int64_t tasks = shape.batch * shape.heads * shape.num_levels;
  const int64_t bytes = plan.largest_level();
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    const Scratch packed_value = make_scratch(bytes), packed_grad = make_scratch(bytes);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t level = i % shape.num_levels, head = i / shape.num_levels;
      kernels.backward(shape, grad_output.const_data_ptr(), value.const_data_ptr(),
                       locations.const_data_ptr(), weights.const_data_ptr(), head / shape.heads,
                       head % shape.heads, level, packed_value.get(), packed_grad.get(),
                       grad_value.mutable_data_ptr(), grad_locations.mutable_data_ptr(),
                       grad_weights.mutable_data_ptr());
    }
  });
  return {grad_value, grad_locations, grad_weights};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dvps_d2, CPU, library) {
  library.impl("ms_deform_attn", TORCH_BOX(&forward));
  library.impl("ms_deform_attn_backward", TORCH_BOX(&backward));
}

}  // namespace dvps_d2::cpu
