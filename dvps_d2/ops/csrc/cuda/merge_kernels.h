// The CUDA kernel of the panoptic merge as a plain function: no torch and no CUDA headers needed.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace dvps_d2::cuda {

struct MergeProblem {
  int masks, frames, height, width;  // logits (N, T, h, w)
  int padded_height, padded_width;   // the frame that the logits cover
  int valid_height, valid_width;     // its upper left part that is image
  int output_height, output_width;
};

// Pointers to device memory. Scores are float64 beside float64 logits and float32 beside any other;
// owner is (T, H, W), areas (N, 3) holds zeros.
struct Merge {
  const void *logits, *scores;
  int16_t* owner;
  int64_t* areas;
};

// Put the work on a stream (a cudaStream_t) and return the CUDA error code, 0 for success.
int launch(Element element, const MergeProblem& problem, const Merge& arguments, void* stream);

}  // namespace dvps_d2::cuda
