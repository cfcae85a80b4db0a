// The panoptic merge on CUDA devices: checks and memory around the kernel.
#include <tuple>

#include "calls.h"
#include "merge_kernels.h"

namespace dvps_d2::cuda {
namespace {

MergeProblem make_problem(const Tensor& logits, const MergeSizes& sizes) {
  const int64_t limit = std::numeric_limits<int>::max();
  // Threads, rounded up to whole blocks, and every size must fit into 32 bits.
  const int64_t blocks = (sizes.output[0] / 8 + 1) * (sizes.output[1] / 32 + 1);
  STD_TORCH_CHECK(logits.size(1) <= limit && blocks <= limit / logits.size(1),
                  "panoptic_merge: ", logits.size(1), " frames of ", sizes.output[0], " x ",
                  sizes.output[1], " pixels are beyond 32-bit sizes");
  const auto size = [](int64_t number) { return static_cast<int>(number); };
  return {size(logits.size(0)),  size(logits.size(1)),  size(logits.size(2)), size(logits.size(3)),
          size(sizes.padded[0]), size(sizes.padded[1]), size(sizes.valid[0]), size(sizes.valid[1]),
          size(sizes.output[0]), size(sizes.output[1])};
}

std::tuple<Tensor, Tensor> panoptic_merge(const Tensor& logits_, const Tensor& scores_,
                                          std::vector<int64_t> padded, std::vector<int64_t> valid,
                                          std::vector<int64_t> output) {
  const MergeSizes sizes = check_merge(logits_, scores_, padded, valid, output);
  STD_TORCH_CHECK(logits_.is_cuda() && scores_.is_cuda() &&
                      logits_.get_device_index() == scores_.get_device_index(),
                  "panoptic_merge: logits and scores must be on one CUDA device");
  const torch::stable::accelerator::DeviceGuard guard(logits_.get_device_index());
  const Tensor logits = torch::stable::contiguous(logits_);
  const Tensor scores = torch::stable::contiguous(scores_);
  Tensor owner = torch::stable::new_empty(
      logits, {logits.size(1), sizes.output[0], sizes.output[1]}, ScalarType::Short);
  Tensor areas = torch::stable::new_zeros(logits, {logits.size(0), 3}, ScalarType::Long);
  if (logits.size(0) == 0) {
    torch::stable::fill_(owner, -1);
  } else if (logits.size(1) > 0) {
    const Merge arguments = {logits.const_data_ptr(), scores.const_data_ptr(),
                             static_cast<int16_t*>(owner.mutable_data_ptr()),
                             static_cast<int64_t*>(areas.mutable_data_ptr())};
    const Element element = element_of(logits.scalar_type(), "panoptic_merge: logits");
    check_launch("panoptic_merge",
                 launch(element, make_problem(logits, sizes), arguments, stream_of(logits)));
  }
  return {owner, areas};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dvps_d2, CUDA, library) {
  library.impl("panoptic_merge", TORCH_BOX(&panoptic_merge));
}

}  // namespace dvps_d2::cuda
