// The panoptic merge on the GPU.
//
// A thread owns one output pixel and walks through all masks, so that the running best stays in
// registers; neighbouring threads read neighbouring logits. Areas are counted per warp by ballot,
// per block in shared memory, and added up in integers, so that their order does not matter.
//
// The names of a device environment (threadIdx, atomicAdd, ...) and vectors.cuh come first.
#pragma once

#include "merge_kernels.h"

namespace dvps_d2::cuda {

constexpr int kMergeColumns = 32;  // of a block: one warp per row
constexpr int kMergeRows = 8;
constexpr int kMergeThreads = kMergeColumns * kMergeRows;
constexpr int kMergePass = 512;  // masks whose counts are in shared memory at a time
constexpr int kMergeBytes = 2 * kMergePass * sizeof(int);

extern __shared__ __align__(16) unsigned char shared_memory[];

using Count = unsigned long long;

// Where one output of a bilinear resize lies between two inputs.
template <typename C>
struct Between {
  int first, second;
  C share;  // of the second
};

template <typename C>
__device__ __forceinline__ Between<C> between(int from, int to, int i) {
  const C at = static_cast<C>(from) / static_cast<C>(to) * (static_cast<C>(i) + C(0.5)) - C(0.5);
  const C inside = at > 0 ? at : C(0);
  int first = static_cast<int>(inside);
  first = first < from - 1 ? first : from - 1;
  C share = inside - static_cast<C>(first);
  share = share < 1 ? share : C(1);
  return {first, first + 1 < from ? first + 1 : first, share};
}

template <typename C>
__device__ __forceinline__ C mix(C a, C b, C share) {
  return a * (C(1) - share) + b * share;
}

// One pixel of the valid image: its probability under a mask.
template <typename T, typename C>
__device__ __forceinline__ C prob_at(const T* mask, int width, const Between<C>& row,
                                     const Between<C>& column) {
  const T* const top = mask + static_cast<int64_t>(row.first) * width;
  const T* const bottom = mask + static_cast<int64_t>(row.second) * width;
  const C logit = mix<C>(mix<C>(widen(top[column.first]), widen(top[column.second]), column.share),
                         mix<C>(widen(bottom[column.first]), widen(bottom[column.second]),
                                column.share),
                         row.share);
  return C(1) / (C(1) + exp(-logit));
}

// Where an output pixel takes its probabilities from: one pixel of the valid image, or four of them
// where it is resized once more.
template <typename C, bool kResized>
struct Pixel {
  Between<C> rows[kResized ? 2 : 1], columns[kResized ? 2 : 1];
  C row_share, column_share;

  __device__ __forceinline__ Pixel(const MergeProblem& problem, int y, int x) {
    const Between<C> row =
        kResized ? between<C>(problem.valid_height, problem.output_height, y) : Between<C>{y, y, 0};
    const Between<C> column =
        kResized ? between<C>(problem.valid_width, problem.output_width, x) : Between<C>{x, x, 0};
    row_share = row.share;
    column_share = column.share;
#pragma unroll
    for (int i = 0; i < (kResized ? 2 : 1); ++i) {
      rows[i] = between<C>(problem.height, problem.padded_height, i == 0 ? row.first : row.second);
      columns[i] =
          between<C>(problem.width, problem.padded_width, i == 0 ? column.first : column.second);
    }
  }

  template <typename T>
  __device__ __forceinline__ C prob(const T* mask, int width) const {
    if constexpr (kResized) {
      return mix<C>(mix<C>(prob_at<T, C>(mask, width, rows[0], columns[0]),
                           prob_at<T, C>(mask, width, rows[0], columns[1]), column_share),
                    mix<C>(prob_at<T, C>(mask, width, rows[1], columns[0]),
                           prob_at<T, C>(mask, width, rows[1], columns[1]), column_share),
                    row_share);
    } else {
      return prob_at<T, C>(mask, width, rows[0], columns[0]);
    }
  }
};

__device__ __forceinline__ void clear_counts(int* counts, int size) {
  for (int i = threadIdx.x; i < size; i += kMergeThreads) counts[i] = 0;
  __syncthreads();
}

// Add the counts of masks first, first + 1, ... to one column of areas (N, 3).
__device__ __forceinline__ void flush_counts(const int* counts, int first, int count, int column,
                                             int64_t* areas) {
  for (int i = threadIdx.x; i < count; i += kMergeThreads) {
    Count* const to = reinterpret_cast<Count*>(areas + 3 * static_cast<int64_t>(first + i) + column);
    if (counts[i] > 0) atomicAdd(to, static_cast<Count>(counts[i]));
  }
}

template <typename T, typename C, bool kResized>
__global__ void __launch_bounds__(kMergeThreads)
    merge_kernel(const __grid_constant__ MergeProblem problem, const T* __restrict__ logits,
                 const C* __restrict__ scores, int16_t* __restrict__ owner,
                 int64_t* __restrict__ areas) {
  constexpr unsigned kAll = 0xffffffff;
  int* const counts = reinterpret_cast<int*>(shared_memory);
  const int across = (problem.output_width + kMergeColumns - 1) / kMergeColumns;
  const int down = (problem.output_height + kMergeRows - 1) / kMergeRows;
  const int frame = blockIdx.x / (across * down);
  const int lane = threadIdx.x % kMergeColumns;
  const int x = blockIdx.x % across * kMergeColumns + lane;
  const int y = blockIdx.x / across % down * kMergeRows + threadIdx.x / kMergeColumns;
  const bool active = x < problem.output_width && y < problem.output_height;
  const Pixel<C, kResized> pixel(problem, active ? y : 0, active ? x : 0);
  const int64_t area = static_cast<int64_t>(problem.height) * problem.width;
  const T* mask = logits + frame * area;

  C best = 0;
  int who = -1;
  bool solid = false;
  for (int first = 0; first < problem.masks; first += kMergePass) {
    const int count = problem.masks - first < kMergePass ? problem.masks - first : kMergePass;
    clear_counts(counts, kMergePass);
    for (int i = 0; i < count; ++i, mask += problem.frames * area) {
      const C prob = active ? pixel.prob(mask, problem.width) : C(0);
      const bool inside = prob >= C(0.5);
      const C value = prob * scores[first + i];
      if (who < 0 || value > best) {
        best = value;
        who = first + i;
        solid = inside;
      }
      const unsigned covered = __ballot_sync(kAll, inside);
      if (lane == 0 && covered != 0) atomicAdd(counts + i, __popc(covered));
    }
    __syncthreads();
    flush_counts(counts, first, count, 1, areas);
    __syncthreads();
  }
  if (active)
    owner[(static_cast<int64_t>(frame) * problem.output_height + y) * problem.output_width + x] =
        static_cast<int16_t>(solid ? who : -1);
  for (int first = 0; first < problem.masks; first += kMergePass) {
    const int count = problem.masks - first < kMergePass ? problem.masks - first : kMergePass;
    clear_counts(counts, 2 * kMergePass);
    if (active && who >= first && who < first + count) {
      atomicAdd(counts + who - first, 1);
      if (solid) atomicAdd(counts + kMergePass + who - first, 1);
    }
    __syncthreads();
    flush_counts(counts, first, count, 0, areas);
    flush_counts(counts + kMergePass, first, count, 2, areas);
    __syncthreads();
  }
}

}  // namespace dvps_d2::cuda
