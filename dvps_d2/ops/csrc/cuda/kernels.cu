// Choice of the kernel for an element type, a head dimension and an alignment.
#include "vectors.cuh"
// After the vectors.
#include "kernels.cuh"

namespace dvps_d2::cuda {
namespace {

struct Launch {
  const Levels& levels;
  const Sizes& sizes;
  cudaStream_t stream;

  template <int kGroup>
  unsigned blocks() const {
    const int64_t queries = kThreads / kGroup;
    const int64_t per_head = (sizes.queries + queries - 1) / queries;
    return static_cast<unsigned>(per_head * sizes.batch * sizes.heads);
  }

  template <typename T, typename C, int kVec, int kGroup, bool kWhole>
  void run(const Forward& to) const {
    constexpr int kBytes = Shared<C, kThreads / kGroup>::kBytes;
    forward_kernel<T, C, kVec, kGroup><<<blocks<kGroup>(), kThreads, kBytes, stream>>>(
        levels, sizes, static_cast<const T*>(to.value), static_cast<const C*>(to.locations),
        static_cast<const C*>(to.weights), static_cast<T*>(to.output));
  }

  template <typename T, typename C, int kVec, int kGroup, bool kWhole>
  void run(const Backward& to) const {
    constexpr int kBytes = Shared<C, kThreads / kGroup>::kBytes;
    backward_kernel<T, C, kVec, kGroup, kWhole><<<blocks<kGroup>(), kThreads, kBytes, stream>>>(
        levels, sizes, static_cast<const T*>(to.grad_output), static_cast<const T*>(to.value),
        static_cast<const C*>(to.locations), static_cast<const C*>(to.weights),
        static_cast<C*>(to.grad_value), static_cast<C*>(to.grad_locations),
        static_cast<C*>(to.grad_weights));
  }

  // Lanes per query: just enough to hold its channels at 16 bytes each (32 float32 channels are
  // 8 lanes, 32 bfloat16 ones 4), or a whole warp one by one where rows are not so aligned.
  template <typename T, typename C, typename Arguments>
  void choose(const Arguments& to, bool aligned) const {
    constexpr int kVec = 16 / sizeof(T);
    if (!aligned || sizes.dim % kVec != 0) return run<T, C, 1, 32, false>(to);
    if (sizes.dim <= 4 * kVec) return run<T, C, kVec, 4, true>(to);
    if (sizes.dim <= 8 * kVec) return run<T, C, kVec, 8, true>(to);
    if (sizes.dim <= 16 * kVec) return run<T, C, kVec, 16, true>(to);
    return run<T, C, kVec, 16, false>(to);
  }
};

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }
bool is_aligned(const Forward& to) { return is_aligned(to.value) && is_aligned(to.output); }
bool is_aligned(const Backward& to) {
  return is_aligned(to.value) && is_aligned(to.grad_output) && is_aligned(to.grad_value);
}

template <typename Arguments>
int launch_any(Element element, const Levels& levels, const Sizes& sizes, const Arguments& to,
               void* stream) {
  const Launch launch{levels, sizes, static_cast<cudaStream_t>(stream)};
  const bool aligned = is_aligned(to);
  switch (element) {
    case Element::kFloat64:
      launch.choose<double, double>(to, aligned);
      break;
    case Element::kFloat32:
      launch.choose<float, float>(to, aligned);
      break;
    case Element::kBFloat16:
      launch.choose<__nv_bfloat16, float>(to, aligned);
      break;
    case Element::kFloat16:
      launch.choose<__half, float>(to, aligned);
      break;
  }
  return cudaGetLastError();
}

}  // namespace

int launch(Element element, const Levels& levels, const Sizes& sizes, const Forward& arguments,
           void* stream) {
  return launch_any(element, levels, sizes, arguments, stream);
}

int launch(Element element, const Levels& levels, const Sizes& sizes, const Backward& arguments,
           void* stream) {
  return launch_any(element, levels, sizes, arguments, stream);
}

const char* describe(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

bool is_wrong_architecture(int error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidPtx ||
         error == cudaErrorUnsupportedPtxVersion;
}

}  // namespace dvps_d2::cuda
