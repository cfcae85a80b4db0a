// Choice of the merge kernel for an element type and a kind of resize.
#include "vectors.cuh"
// After the vectors.
#include "merge_kernels.cuh"

namespace dvps_d2::cuda {
namespace {

template <typename T, typename C>
void run(const MergeProblem& problem, const Merge& to, cudaStream_t stream) {
  const int64_t across = (problem.output_width + kMergeColumns - 1) / kMergeColumns;
  const int64_t down = (problem.output_height + kMergeRows - 1) / kMergeRows;
  const auto blocks = static_cast<unsigned>(across * down * problem.frames);
  const bool resized = problem.valid_height != problem.output_height ||
                       problem.valid_width != problem.output_width;
  const T* const logits = static_cast<const T*>(to.logits);
  const C* const scores = static_cast<const C*>(to.scores);
  if (resized)
    merge_kernel<T, C, true><<<blocks, kMergeThreads, kMergeBytes, stream>>>(
        problem, logits, scores, to.owner, to.areas);
  else
    merge_kernel<T, C, false><<<blocks, kMergeThreads, kMergeBytes, stream>>>(
        problem, logits, scores, to.owner, to.areas);
}

}  // namespace

int launch(Element element, const MergeProblem& problem, const Merge& arguments, void* stream_) {
  const auto stream = static_cast<cudaStream_t>(stream_);
  switch (element) {
    case Element::kFloat64:
      run<double, double>(problem, arguments, stream);
      break;
    case Element::kFloat32:
      run<float, float>(problem, arguments, stream);
      break;
    case Element::kBFloat16:
      run<__nv_bfloat16, float>(problem, arguments, stream);
      break;
    case Element::kFloat16:
      run<__half, float>(problem, arguments, stream);
      break;
  }
  return cudaGetLastError();
}

}  // namespace dvps_d2::cuda
