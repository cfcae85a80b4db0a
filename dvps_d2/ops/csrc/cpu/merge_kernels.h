// What the CPU kernel of the panoptic merge works on; compiled once per instruction set.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace dvps_d2::cpu {

// The output is worked on in tiles, small enough that most of them see one mask clearly in front.
constexpr int64_t kTileColumns = 16;  // a whole number of vectors of every instruction set
constexpr int64_t kTileRows = 8;      // rows that are worked on together: a band

// A bilinear resize along one axis: out[i] = in[first[i]] * (1 - share[i]) + in[second[i]] * share[i].
struct Resize {
  const int32_t* first;
  const int32_t* second;
  const void* share;  // of the computed type
};

// A column of tiles: the parts of the output, of the valid image and of the logits it covers.
struct TileColumn {
  int32_t columns;       // of the output, kTileColumns but for the last
  int32_t first_input;   // column of the logits
  int32_t inputs;        // how many of them
  int32_t valids;        // columns of the valid image, as many as are stretched
  int32_t bound_first;   // two windows of bound_window columns of the logits that together are
  int32_t bound_second;  // at least first_input .. first_input + inputs
};

struct MergeShape {
  int64_t queries, frames, height, width;  // logits (N, T, h, w)
  int64_t output_height, output_width;
  bool resized;  // whether the valid image is resized once more, as probabilities
  int64_t bands;
  int64_t tiles;  // per band
  const TileColumn* columns;
  int64_t bound_window;  // a power of two
  Resize rows;           // logits -> valid image
  Resize output_rows;    // valid image -> output; identity unless resized
  // Columns, tile by tile and relative to what the tile covers. A tile has valid_stride entries of
  // the first and kTileColumns of the second; those beyond its last repeat it.
  Resize tile_valids;   // logits -> valid image
  Resize tile_outputs;  // valid image -> output
  int64_t valid_stride;
  int64_t input_rows, valid_rows;  // the most that a band covers
};

struct MergeKernels {
  // Bands [begin, end) of the frames one after the other -> their pixels of owner (T, H, W), their
  // pixels added to areas (N, 3). Scores are of the computed type.
  void (*merge)(const MergeShape&, const void* logits, const void* scores, int64_t begin,
                int64_t end, int16_t* owner, int64_t* areas);
};

MergeKernels portable_merge_kernels(Element element);
#if defined(__x86_64__)
MergeKernels avx2_merge_kernels(Element element);
MergeKernels avx512_merge_kernels(Element element);
#endif

}  // namespace dvps_d2::cpu
