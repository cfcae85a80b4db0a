// The CUDA kernels on a machine without a GPU: every thread of a block is a fiber, fibers wait for
// one another at barriers and exchanges. Slow, exact, and good for small shapes only.
#include <math.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __shared__
#define __forceinline__ inline
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(threads)

struct Index {
  int x;
};
static Index threadIdx, blockIdx;

namespace emulator {

constexpr int kWarp = 32;

struct Barrier {
  int size, arrived = 0, round = 0;
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  bool done = false;
};

static ucontext_t scheduler;
static Fiber* current;
static std::function<void()> body;
static Barrier block_barrier;
static std::vector<Barrier> warp_barriers;
static std::vector<double> exchanged;  // one slot per thread

static void enter() {
  body();
  current->done = true;
  swapcontext(&current->context, &scheduler);
}

static void wait(Barrier& barrier) {
  const int round = barrier.round;
  if (++barrier.arrived == barrier.size) {
    barrier.arrived = 0;
    ++barrier.round;
  }
  while (barrier.round == round) swapcontext(&current->context, &scheduler);
}

// Run one block of threads to its end.
static void run_block(int block, int threads) {
  blockIdx.x = block;
  block_barrier = {threads};
  warp_barriers.assign(threads / kWarp, Barrier{kWarp});
  exchanged.assign(threads, 0);
  std::vector<Fiber> fibers(threads);
  for (Fiber& fiber : fibers) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    makecontext(&fiber.context, enter, 0);
  }
  for (int running = threads; running > 0;) {
    running = 0;
    for (int i = 0; i < threads; ++i) {
      if (fibers[i].done) continue;
      current = &fibers[i];
      threadIdx.x = i;
      swapcontext(&scheduler, &current->context);
      running += !fibers[i].done;
    }
  }
}

}  // namespace emulator

static void __syncthreads() { emulator::wait(emulator::block_barrier); }
static void __syncwarp() {
  emulator::wait(emulator::warp_barriers[threadIdx.x / emulator::kWarp]);
}
template <typename C>
static C __shfl_xor_sync(unsigned, C mine, int distance) {
  const int thread = threadIdx.x;
  emulator::exchanged[thread] = mine;
  __syncwarp();
  const C theirs = emulator::exchanged[thread ^ distance];
  __syncwarp();
  return theirs;
}

static unsigned __ballot_sync(unsigned, bool mine) {
  unsigned votes = 0;
  emulator::exchanged[threadIdx.x] = mine;
  __syncwarp();
  const int first = threadIdx.x / emulator::kWarp * emulator::kWarp;
  for (int lane = 0; lane < emulator::kWarp; ++lane)
    votes |= static_cast<unsigned>(emulator::exchanged[first + lane] != 0) << lane;
  __syncwarp();
  return votes;
}
static int __popc(unsigned bits) { return __builtin_popcount(bits); }
template <typename N>
static void atomicAdd(N* to, N more) {  // fibers take turns
  *to += more;
}

namespace dvps_d2::cuda {

alignas(16) unsigned char shared_memory[1 << 16];

struct BFloat16 {
  uint16_t bits;
};
static float widen(BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static float widen(float x) { return x; }
static double widen(double x) { return x; }
static void narrow(float x, BFloat16& to) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  to.bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
static void narrow(float x, float& to) { to = x; }
static void narrow(double x, double& to) { to = x; }

template <int kVec, typename T, typename C>
void load(const T* from, C* to) {
  for (int i = 0; i < kVec; ++i) to[i] = widen(from[i]);
}
template <int kVec, typename T, typename C>
void store(const C* from, T* to) {
  for (int i = 0; i < kVec; ++i) narrow(from[i], to[i]);
}
template <int kVec, typename C>
void add(C scale, const C* from, C* to) {
  for (int i = 0; i < kVec; ++i) to[i] += scale * from[i];
}

}  // namespace dvps_d2::cuda

#include "kernels.cuh"
#include "merge_kernels.cuh"

using namespace dvps_d2::cuda;

template <typename T, typename C, int kVec, int kGroup, bool kWhole>
static void run(const Levels& levels, const Sizes& sizes, const Forward& forward,
                const Backward& backward) {
  const int queries = kThreads / kGroup;
  const int blocks = (sizes.queries + queries - 1) / queries * sizes.batch * sizes.heads;
  for (int block = 0; block < blocks; ++block) {
    memset(shared_memory, 0xff, sizeof(shared_memory));  // not a number, wherever it is read early
    emulator::body = [&] {
      forward_kernel<T, C, kVec, kGroup>(levels, sizes, static_cast<const T*>(forward.value),
                                         static_cast<const C*>(forward.locations),
                                         static_cast<const C*>(forward.weights),
                                         static_cast<T*>(forward.output));
    };
    emulator::run_block(block, kThreads);
    memset(shared_memory, 0xff, sizeof(shared_memory));
    emulator::body = [&] {
      backward_kernel<T, C, kVec, kGroup, kWhole>(
          levels, sizes, static_cast<const T*>(backward.grad_output),
          static_cast<const T*>(backward.value), static_cast<const C*>(backward.locations),
          static_cast<const C*>(backward.weights), static_cast<C*>(backward.grad_value),
          static_cast<C*>(backward.grad_locations), static_cast<C*>(backward.grad_weights));
    };
    emulator::run_block(block, kThreads);
  }
}

// sizes: batch, area, heads, dim, queries, levels, points; shapes: (H, W) per level.
extern "C" void emulate(int kernel, const int* numbers, const int* shapes, const void* value,
                        const void* locations, const void* weights, const void* grad_output,
                        void* output, void* grad_value, void* grad_locations, void* grad_weights) {
  Sizes sizes;
  memcpy(&sizes, numbers, sizeof(sizes));
  Levels levels = {};
  for (int l = 0, start = 0; l < sizes.levels; ++l) {
    levels.height[l] = shapes[2 * l];
    levels.width[l] = shapes[2 * l + 1];
    levels.start[l] = start;
    start += shapes[2 * l] * shapes[2 * l + 1];
  }
  const Forward forward = {value, locations, weights, output};
  const Backward backward = {grad_output, value,          locations,   weights,
                             grad_value,  grad_locations, grad_weights};
  switch (kernel) {
    case 0:
      return run<float, float, 4, 8, true>(levels, sizes, forward, backward);
    case 1:
      return run<float, float, 4, 16, false>(levels, sizes, forward, backward);
    case 2:
      return run<float, float, 1, 32, false>(levels, sizes, forward, backward);
    case 3:
      return run<double, double, 2, 16, true>(levels, sizes, forward, backward);
    case 4:
      return run<BFloat16, float, 8, 4, true>(levels, sizes, forward, backward);
  }
}

template <typename T, typename C, bool kResized>
static void run_merge(const MergeProblem& problem, const Merge& to) {
  const int across = (problem.output_width + kMergeColumns - 1) / kMergeColumns;
  const int down = (problem.output_height + kMergeRows - 1) / kMergeRows;
  for (int block = 0; block < across * down * problem.frames; ++block) {
    memset(shared_memory, 0xff, sizeof(shared_memory));
    emulator::body = [&] {
      merge_kernel<T, C, kResized>(problem, static_cast<const T*>(to.logits),
                                   static_cast<const C*>(to.scores), to.owner, to.areas);
    };
    emulator::run_block(block, kMergeThreads);
  }
}

// numbers: masks, frames, height, width, then (height, width) padded, valid, output.
extern "C" void emulate_merge(int kernel, const int* numbers, const void* logits,
                              const void* scores, int16_t* owner, int64_t* areas) {
  MergeProblem problem;
  memcpy(&problem, numbers, sizeof(problem));
  const Merge to = {logits, scores, owner, areas};
  switch (kernel) {
    case 0:
      return run_merge<float, float, false>(problem, to);
    case 1:
      return run_merge<float, float, true>(problem, to);
    case 2:
      return run_merge<double, double, true>(problem, to);
    case 3:
      return run_merge<BFloat16, float, false>(problem, to);
  }
}
