// Multi-scale deformable attention on the GPU.
//
// A block answers neighbouring queries of one head, whose samples share cache lines. A group of
// lanes serves one query, each lane a few channels that it moves in one instruction. The points of
// the block are worked out first, one per thread, and handed to the lanes through shared memory.
//
// The names of a device environment (threadIdx, atomicAdd, ...) and vectors.cuh come first.
#pragma once

#include "kernels.h"

namespace dvps_d2::cuda {

constexpr int kThreads = 128;
constexpr int kPass = 16;  // points per query that are in shared memory at a time

extern __shared__ __align__(16) unsigned char shared_memory[];

template <typename N>
struct alignas(16) Corners {
  N at[4];  // upper left, upper right, lower left, lower right
};

// Which part of the problem a block works on.
struct Block {
  int head;           // batch * M + head
  int first_query;    // of the block
  int queries;        // of the block; fewer at the end
  int64_t first_row;  // (batch, first query, head) among the rows of output (B * Q * M)
};

template <int kQueries>
__device__ __forceinline__ Block this_block(const Sizes& sizes) {
  const int blocks_per_head = (sizes.queries + kQueries - 1) / kQueries;
  Block block;
  block.head = blockIdx.x / blocks_per_head;
  block.first_query = (blockIdx.x % blocks_per_head) * kQueries;
  block.queries = sizes.queries - block.first_query;
  block.queries = block.queries < kQueries ? block.queries : kQueries;
  const int64_t batch = block.head / sizes.heads;
  block.first_row =
      (batch * sizes.queries + block.first_query) * sizes.heads + block.head % sizes.heads;
  return block;
}

// The shared memory of a block: kQueries x kPass points.
template <typename C, int kQueries>
struct Shared {
  Corners<int>* pixels;  // position in value, -1 outside the level
  Corners<C>* shares;    // weight times bilinear share; in the backward, later the dot products

  __device__ Shared()
      : pixels(reinterpret_cast<Corners<int>*>(shared_memory)),
        shares(reinterpret_cast<Corners<C>*>(pixels + kQueries * kPass)) {}
  static constexpr int kBytes = kQueries * kPass * (sizeof(Corners<int>) + sizeof(Corners<C>));
};

template <typename C>
struct Point {
  int width, height;
  C dx, dy;  // from the upper left corner, 0 to 1
  bool inside;
  Corners<int> pixels;
};

template <typename C>
__device__ __forceinline__ Point<C> locate(const Levels& levels, int level, const C* location) {
  Point<C> point;
  point.width = levels.width[level];
  point.height = levels.height[level];
  const C x = location[0] * point.width - C(0.5);
  const C y = location[1] * point.height - C(0.5);
  point.inside = x >= -1 && y >= -1 && x < point.width && y < point.height;
  const C floor_x = point.inside ? floor(x) : C(0), floor_y = point.inside ? floor(y) : C(0);
  point.dx = point.inside ? x - floor_x : C(0);  // never infinite: it meets zeros
  point.dy = point.inside ? y - floor_y : C(0);
  const int left = static_cast<int>(floor_x), top = static_cast<int>(floor_y);
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    const int column = left + c % 2, row = top + c / 2;
    const bool valid = point.inside && column >= 0 && column < point.width && row >= 0 &&
                       row < point.height;
    point.pixels.at[c] = valid ? levels.start[level] + row * point.width + column : -1;
  }
  return point;
}

// Points [first, first + count) of every query of the block, one per thread, into shared memory.
template <typename C, int kQueries>
__device__ __forceinline__ void prepare(const Shared<C, kQueries>& shared, const Block& block,
                                        const Levels& levels, const Sizes& sizes, int first,
                                        int count, const C* locations, const C* weights) {
  const int total = sizes.levels * sizes.points;
  for (int i = threadIdx.x; i < kQueries * count; i += kThreads) {
    const int query = i / count, p = i % count;
    const int slot = query * kPass + p;
    if (query >= block.queries) {
      shared.pixels[slot] = {{-1, -1, -1, -1}};
      continue;
    }
    const int64_t at = (block.first_row + query * sizes.heads) * total + first + p;
    const Point<C> point = locate(levels, (first + p) / sizes.points, locations + 2 * at);
    const C weight = weights[at];
    shared.pixels[slot] = point.pixels;
    shared.shares[slot] = {{weight * (1 - point.dy) * (1 - point.dx),
                            weight * (1 - point.dy) * point.dx,
                            weight * point.dy * (1 - point.dx), weight * point.dy * point.dx}};
  }
}

// The channels of one lane at one corner; zeros outside the level.
template <int kVec, typename T, typename C>
__device__ __forceinline__ void load_corner(const T* value, int pixel, int64_t row, C* channels) {
#pragma unroll
  for (int i = 0; i < kVec; ++i) channels[i] = 0;
  if (pixel >= 0) load<kVec>(value + pixel * row, channels);
}

template <typename T, typename C, int kVec, int kGroup>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ Levels levels, const Sizes sizes,
                   const T* __restrict__ value, const C* __restrict__ locations,
                   const C* __restrict__ weights, T* __restrict__ output) {
  constexpr int kQueries = kThreads / kGroup;
  const Shared<C, kQueries> shared;
  const Block block = this_block<kQueries>(sizes);
  const int query = threadIdx.x / kGroup, lane = threadIdx.x % kGroup;
  const int64_t row = static_cast<int64_t>(sizes.heads) * sizes.dim;
  const T* head_value = value + block.head / sizes.heads * sizes.area * row +
                        block.head % sizes.heads * sizes.dim;
  const int total = sizes.levels * sizes.points;

  for (int start = 0; start < sizes.dim; start += kGroup * kVec) {
    const int channel = start + lane * kVec;
    C sum[kVec] = {};
    for (int first = 0; first < total; first += kPass) {
      const int count = total - first < kPass ? total - first : kPass;
      __syncthreads();  // the lanes have read the previous points
      prepare(shared, block, levels, sizes, first, count, locations, weights);
      __syncthreads();
      if (query >= block.queries || channel >= sizes.dim) continue;
#pragma unroll 2
      for (int p = 0; p < count; ++p) {
        const Corners<int> pixels = shared.pixels[query * kPass + p];
        const Corners<C> shares = shared.shares[query * kPass + p];
        C corner[4][kVec];
#pragma unroll
        for (int c = 0; c < 4; ++c)
          load_corner<kVec>(head_value + channel, pixels.at[c], row, corner[c]);
#pragma unroll
        for (int c = 0; c < 4; ++c)
#pragma unroll
          for (int i = 0; i < kVec; ++i) sum[i] += shares.at[c] * corner[c][i];
      }
    }
    if (query < block.queries && channel < sizes.dim)
      store<kVec>(sum, output + (block.first_row + query * sizes.heads) * sizes.dim + channel);
  }
}

// Sum four numbers over a group of lanes; lane i returns the sum of number i % 4. Each exchange
// halves what a lane carries, so this takes little more than summing a single number.
template <int kGroup, typename C>
__device__ __forceinline__ C sum_over_group(const C* numbers, int lane) {
  constexpr unsigned kAll = 0xffffffff;
  const bool odd = lane & 1, high = lane & 2;
  const C low = (odd ? numbers[1] : numbers[0]) +
                __shfl_xor_sync(kAll, odd ? numbers[0] : numbers[1], 1);
  const C upper = (odd ? numbers[3] : numbers[2]) +
                  __shfl_xor_sync(kAll, odd ? numbers[2] : numbers[3], 1);
  C sum = (high ? upper : low) + __shfl_xor_sync(kAll, high ? low : upper, 2);
#pragma unroll
  for (int distance = 4; distance < kGroup; distance *= 2)
    sum += __shfl_xor_sync(kAll, sum, distance);
  return sum;
}

// The chain rule through the bilinear shares, one point per thread.
template <typename C, int kQueries>
__device__ __forceinline__ void finish(const Shared<C, kQueries>& shared, const Block& block,
                                       const Levels& levels, const Sizes& sizes, int first,
                                       int count, const C* locations, const C* weights,
                                       C* grad_locations, C* grad_weights) {
  const int total = sizes.levels * sizes.points;
  for (int i = threadIdx.x; i < block.queries * count; i += kThreads) {
    const int query = i / count, p = i % count;
    const int64_t at = (block.first_row + query * sizes.heads) * total + first + p;
    const Point<C> point = locate(levels, (first + p) / sizes.points, locations + 2 * at);
    const Corners<C> dots = shared.shares[query * kPass + p];
    const C top = dots.at[1] - dots.at[0], left = dots.at[2] - dots.at[0];
    const C twist = dots.at[3] - dots.at[2] - top;
    const C weight = weights[at];
    grad_locations[2 * at] = weight * point.width * (top + point.dy * twist);
    grad_locations[2 * at + 1] = weight * point.height * (left + point.dx * twist);
    grad_weights[at] = dots.at[0] + point.dx * top + point.dy * (left + point.dx * twist);
  }
}

// kWhole: a group covers all channels at once, so that the output gradient stays in registers.
template <typename T, typename C, int kVec, int kGroup, bool kWhole>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ Levels levels, const Sizes sizes,
                    const T* __restrict__ grad_output, const T* __restrict__ value,
                    const C* __restrict__ locations, const C* __restrict__ weights,
                    C* __restrict__ grad_value, C* __restrict__ grad_locations,
                    C* __restrict__ grad_weights) {
  constexpr int kQueries = kThreads / kGroup;
  const Shared<C, kQueries> shared;
  const Block block = this_block<kQueries>(sizes);
  const int query = threadIdx.x / kGroup, lane = threadIdx.x % kGroup;
  const int64_t row = static_cast<int64_t>(sizes.heads) * sizes.dim;
  const int64_t head_start =
      block.head / sizes.heads * sizes.area * row + block.head % sizes.heads * sizes.dim;
  const T* upstream_row =
      grad_output + (block.first_row + query * sizes.heads) * static_cast<int64_t>(sizes.dim);
  const int total = sizes.levels * sizes.points;
  const bool active = query < block.queries;

  C upstream[kVec] = {};
  if (kWhole && active && lane * kVec < sizes.dim) load<kVec>(upstream_row + lane * kVec, upstream);
  for (int first = 0; first < total; first += kPass) {
    const int count = total - first < kPass ? total - first : kPass;
    __syncthreads();  // the previous points are finished
    prepare(shared, block, levels, sizes, first, count, locations, weights);
    __syncthreads();
    for (int p = 0; p < count; ++p) {  // every lane of the warp, for the exchanges below
      const Corners<int> pixels = shared.pixels[query * kPass + p];
      const Corners<C> shares = shared.shares[query * kPass + p];
      C dots[4] = {};
      for (int channel = lane * kVec; active && channel < sizes.dim; channel += kGroup * kVec) {
        if (!kWhole) load<kVec>(upstream_row + channel, upstream);
        C corner[4][kVec];
#pragma unroll
        for (int c = 0; c < 4; ++c)
          load_corner<kVec>(value + head_start + channel, pixels.at[c], row, corner[c]);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
#pragma unroll
          for (int i = 0; i < kVec; ++i) dots[c] += upstream[i] * corner[c][i];
          if (pixels.at[c] >= 0)
            add<kVec>(shares.at[c], upstream,
                      grad_value + head_start + pixels.at[c] * row + channel);
        }
      }
      const C dot = sum_over_group<kGroup>(dots, lane);
      __syncwarp();  // the whole group has read the shares
      if (lane < 4) shared.shares[query * kPass + p].at[lane] = dot;
    }
    __syncthreads();
    finish(shared, block, levels, sizes, first, count, locations, weights, grad_locations,
           grad_weights);
  }
}

}  // namespace dvps_d2::cuda
