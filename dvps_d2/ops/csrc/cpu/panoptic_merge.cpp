// The panoptic merge on the CPU: checks, index tables and threads around the kernels.
#include "../arguments.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <tuple>

#include "capability.h"
#include "merge_kernels.h"

namespace dvps_d2::cpu {
namespace {

MergeKernels kernels_for(Element element) {
#if defined(__x86_64__)
  switch (capability()) {
    case Capability::kAvx512:
      return avx512_merge_kernels(element);
    case Capability::kAvx2:
      return avx2_merge_kernels(element);
    default:
      break;
  }
#endif
  return portable_merge_kernels(element);
}

// An array at an address that whole vectors can be read from.
template <typename C>
class Aligned {
 public:
  explicit Aligned(int64_t size) {
    const int64_t bytes = (size * static_cast<int64_t>(sizeof(C)) / kAlignment + 1) * kAlignment;
    data_.reset(static_cast<C*>(std::aligned_alloc(kAlignment, bytes)));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  C& operator[](int64_t i) { return data_.get()[i]; }
  const C& operator[](int64_t i) const { return data_.get()[i]; }
  const C* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(C* data) const { std::free(data); }
  };
  std::unique_ptr<C, Free> data_;
};

template <typename C>
struct Table {
  explicit Table(int64_t size) : first(size), second(size), share(size) {}
  Resize view() const { return {first.data(), second.data(), share.data()}; }

  Aligned<int32_t> first, second;
  Aligned<C> share;
};

// The first `count` outputs of a resize of `from` elements to `to`, in the arithmetic of torch's
// upsample_bilinear2d (half-pixel centres), rounding included.
template <typename C>
Table<C> resize_table(int64_t from, int64_t to, int64_t count) {
  Table<C> table(count);
  const C scale = static_cast<C>(from) / static_cast<C>(to);
  for (int64_t i = 0; i < count; ++i) {
    const C at = std::max(scale * (static_cast<C>(i) + C(0.5)) - C(0.5), C(0));
    const int64_t first = std::min(static_cast<int64_t>(at), from - 1);
    table.first[i] = static_cast<int32_t>(first);
    table.second[i] = static_cast<int32_t>(std::min(first + 1, from - 1));
    table.share[i] = std::min(std::max(at - static_cast<C>(first), C(0)), C(1));
  }
  return table;
}

// Copy entries [begin, end) with `base` subtracted, and repeat the last up to `room`.
template <typename C>
void copy_entries(const Table<C>& from, int64_t begin, int64_t end, int32_t base, int64_t room,
                  int64_t at, Table<C>& to) {
  for (int64_t i = 0; i < room; ++i) {
    const int64_t source = std::min(begin + i, end - 1);
    to.first[at + i] = from.first[source] - base;
    to.second[at + i] = from.second[source] - base;
    to.share[at + i] = from.share[source];
  }
}

int64_t round_up(int64_t count) {
  return (count + kTileColumns - 1) / kTileColumns * kTileColumns;
}

// The most elements that `step` neighbouring outputs of a resize are made of.
template <typename C>
int64_t widest(const Table<C>& table, int64_t count, int64_t step) {
  int64_t most = 0;
  for (int64_t i = 0; i < count; i += step) {
    const int64_t last = std::min(i + step, count) - 1;
    most = std::max<int64_t>(most, table.second[last] - table.first[i] + 1);
  }
  return most;
}

// Everything that does not depend on the values.
template <typename C>
struct MergePlan {
  MergePlan(const Tensor& logits, const MergeSizes& sizes)
      : rows(resize_table<C>(logits.size(2), sizes.padded[0], sizes.valid[0])),
        columns(resize_table<C>(logits.size(3), sizes.padded[1], sizes.valid[1])),
        output_rows(resize_table<C>(sizes.valid[0], sizes.output[0], sizes.output[0])),
        output_columns(resize_table<C>(sizes.valid[1], sizes.output[1], sizes.output[1])),
        tiles((sizes.output[1] + kTileColumns - 1) / kTileColumns),
        resized(sizes.valid[0] != sizes.output[0] || sizes.valid[1] != sizes.output[1]),
        valid_stride(resized ? round_up(widest(output_columns, sizes.output[1], kTileColumns))
                             : kTileColumns),
        tile_valids(tiles * valid_stride), tile_outputs(tiles * kTileColumns) {
    // Not resized, every table entry is its own only source.
    const auto last_of = [&](const Table<C>& table, int64_t i) -> int64_t {
      return resized ? table.second[i] : i;
    };
    if (!resized)
      for (int64_t y = 0; y < sizes.output[0]; ++y) output_rows.second[y] = output_rows.first[y];
    int64_t widest_bound = 1;
    for (int64_t j = 0; j < tiles; ++j) {
      const int64_t begin = j * kTileColumns;
      const int64_t end = std::min(begin + kTileColumns, sizes.output[1]);
      const int64_t first = output_columns.first[begin];
      const int64_t past = last_of(output_columns, end - 1) + 1;
      TileColumn tile = {};
      tile.columns = static_cast<int32_t>(end - begin);
      tile.first_input = columns.first[first];
      tile.inputs = columns.second[past - 1] - tile.first_input + 1;
      tile.valids = static_cast<int32_t>(round_up(past - first));
      copy_entries(columns, first, past, tile.first_input, tile.valids, j * valid_stride,
                   tile_valids);
      copy_entries(output_columns, begin, end, static_cast<int32_t>(first), kTileColumns,
                   j * kTileColumns, tile_outputs);
      tile_columns.push_back(tile);
      widest_bound = std::max<int64_t>(widest_bound, tile.inputs);
    }
    int64_t window = 1;
    while (2 * window <= widest_bound) window *= 2;
    const auto width = static_cast<int32_t>(logits.size(3));
    for (TileColumn& tile : tile_columns) {
      const auto size = static_cast<int32_t>(window);
      tile.bound_first = std::min(tile.first_input, width - size);
      tile.bound_second = std::max(tile.bound_first, tile.first_input + tile.inputs - size);
    }
    int64_t valid_rows = 0, input_rows = 0;
    for (int64_t y = 0; y < sizes.output[0]; y += kTileRows) {
      const int64_t last = std::min(y + kTileRows, sizes.output[0]) - 1;
      const int64_t begin = output_rows.first[y], end = output_rows.second[last];
      valid_rows = std::max(valid_rows, end - begin + 1);
      input_rows = std::max<int64_t>(input_rows, rows.second[end] - rows.first[begin] + 1);
    }
    shape = {logits.size(0),      logits.size(1),
             logits.size(2),      logits.size(3),
             sizes.output[0],     sizes.output[1],
             resized,             (sizes.output[0] + kTileRows - 1) / kTileRows,
             tiles,               tile_columns.data(),
             window,              rows.view(),
             output_rows.view(),  tile_valids.view(),
             tile_outputs.view(), valid_stride,
             input_rows,          valid_rows};
  }

  Table<C> rows, columns, output_rows, output_columns;
  int64_t tiles;
  bool resized;
  int64_t valid_stride;
  Table<C> tile_valids, tile_outputs;
  std::vector<TileColumn> tile_columns;
  MergeShape shape;
};

template <typename C>
void run(const Tensor& logits, const Tensor& scores, const MergeSizes& sizes, const Tensor& owner,
         const Tensor& areas) {
  const MergePlan<C> plan(logits, sizes);
  const MergeShape& shape = plan.shape;
  const MergeKernels kernels =
      kernels_for(element_of(logits.scalar_type(), "panoptic_merge: logits"));
  const void* const masks = logits.const_data_ptr();
  const void* const weights = scores.const_data_ptr();
  auto* const to = static_cast<int16_t*>(owner.mutable_data_ptr());
  auto* const totals = static_cast<int64_t*>(areas.mutable_data_ptr());
  std::mutex mutex;
  // Counts are integers: the order in which tasks add theirs does not matter.
  torch::stable::parallel_for(
      0, shape.frames * shape.bands, 1, [&](int64_t begin, int64_t end) {
        std::vector<int64_t> counts(3 * shape.queries, 0);
        kernels.merge(shape, masks, weights, begin, end, to, counts.data());
        const std::lock_guard<std::mutex> lock(mutex);
        for (size_t i = 0; i < counts.size(); ++i) totals[i] += counts[i];
      });
}

std::tuple<Tensor, Tensor> panoptic_merge(const Tensor& logits_, const Tensor& scores_,
                                          std::vector<int64_t> padded, std::vector<int64_t> valid,
                                          std::vector<int64_t> output) {
  const MergeSizes sizes = check_merge(logits_, scores_, padded, valid, output);
  const Tensor logits = torch::stable::contiguous(logits_);
  const Tensor scores = torch::stable::contiguous(scores_);
  Tensor owner = torch::stable::new_empty(
      logits, {logits.size(1), sizes.output[0], sizes.output[1]}, ScalarType::Short);
  Tensor areas = torch::stable::new_zeros(logits, {logits.size(0), 3}, ScalarType::Long);
  if (logits.size(0) == 0) {
    torch::stable::fill_(owner, -1);
  } else if (logits.size(1) > 0) {
    const auto merge = compute_type(logits.scalar_type()) == ScalarType::Double ? run<double> : run<float>;
    merge(logits, scores, sizes, owner, areas);
  }
  return {owner, areas};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dvps_d2, CPU, library) {
  library.impl("panoptic_merge", TORCH_BOX(&panoptic_merge));
}

}  // namespace dvps_d2::cpu
