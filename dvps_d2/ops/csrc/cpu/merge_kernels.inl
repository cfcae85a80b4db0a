// The panoptic merge on the CPU; included after kernels.inl, under the same rules.
//
// A band of a few output rows is worked on at a time. Bilinear values lie between the smallest and
// the largest logit that they are made of, so every mask is first bounded on every tile of the band;
// a mask whose upper bound is below another one's lower bound owns nothing there. Where one mask is
// left and surely inside or outside, the tile is filled; else the masks that are left, and those
// whose outline crosses the tile, are computed pixel by pixel in the published order.

namespace dvps_d2::cpu {
namespace {

// Margins of the bounds, far above what rounding moves and far below what a pixel is decided by.
constexpr double kLogitMargin = 1e-5;     // beside 0, where a mask ends
constexpr double kRelativeMargin = 1e-6;  // of a logit, per interpolation
constexpr double kScoreMargin = 1e-5;     // of score x probability

template <typename C>
DVPS_INLINE Vector<C> load_anywhere(const C* from) {
  Vector<C> to;
  memcpy(&to, from, sizeof(to));
  return to;
}

// e^x, wrong by about one unit in the last place; infinite where float ends, 0 below e^-87.
DVPS_INLINE Vector<float> exponential(Vector<float> x) {
  using Reals = Vector<float>;
  using Integers = Vector<int32_t>;
  constexpr float kEnd = 88.7228317f;
  const Reals zero = {}, smallest = zero - 87, largest = zero + kEnd;
  const auto beyond = x > largest, below = x < smallest;
  x = beyond ? largest : x;
  x = below ? smallest : x;
  const Reals magic = zero + 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Reals rounded = x * 1.44269504f + magic;
  const Reals k = rounded - magic;
  const Reals r = x - k * 0.693359375f + k * 2.12194440e-4f;  // x - k log 2, in two parts
  Reals y = r * 1.9875691500e-4f + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  const Reals power = (Reals)((Integers)y + ((Integers)rounded << 23));
  return beyond ? zero + __builtin_inff() : (below ? zero : power);
}

DVPS_INLINE Vector<double> exponential(Vector<double> x) {
  Vector<double> to;
  for (int i = 0; i < kLanes<double>; ++i) to[i] = exp(x[i]);
  return to;
}

template <typename C>
DVPS_INLINE Vector<C> sigmoid(Vector<C> x) {
  return C(1) / (C(1) + exponential(-x));
}

// Columns `count` (whole vectors) of a row, stretched: to[i] = row[first[i]] * (1 - share[i]) + ...
// Up to 2 * kLanes elements beyond the last that is needed are read.
template <typename C>
DVPS_INLINE void stretch(const C* row, const int32_t* first, const int32_t* second, const C* share,
                         int64_t count, C* to) {
  for (int64_t i = 0; i < count; i += kLanes<C>) {
#if !defined(__clang__)
    if constexpr (sizeof(C) == 4) {
      const int32_t base = first[i];
      if (second[i + kLanes<C> - 1] - base < 2 * kLanes<C>) {
        const Vector<C> low = load_anywhere(row + base), high = load_anywhere(row + base + kLanes<C>);
        const Vector<C> right = load(share + i);
        const Vector<C> a = __builtin_shuffle(low, high, load(first + i) - base);
        const Vector<C> b = __builtin_shuffle(low, high, load(second + i) - base);
        store(to + i, a * (C(1) - right) + b * right);
        continue;
      }
    }
#endif
    for (int64_t j = i; j < i + kLanes<C>; ++j)
      to[j] = row[first[j]] * (C(1) - share[j]) + row[second[j]] * share[j];
  }
}

template <typename C>
constexpr int64_t kSlack = 2 * DVPS_VECTOR_BYTES / sizeof(C);  // what stretch reads beyond

// The part of a band that one call of the kernel works on.
struct Band {
  int64_t frame;
  int64_t first_row, rows;    // of the output
  int64_t first_valid, valids;  // rows of the valid image
  int64_t first_input, inputs;  // rows of the logits
};

DVPS_INLINE Band make_band(const MergeShape& shape, int64_t index) {
  Band band;
  band.frame = index / shape.bands;
  band.first_row = index % shape.bands * kTileRows;
  band.rows = shape.output_height - band.first_row;
  band.rows = band.rows < kTileRows ? band.rows : kTileRows;
  const int64_t last_row = band.first_row + band.rows - 1;
  band.first_valid = shape.output_rows.first[band.first_row];
  const int64_t last_valid = shape.output_rows.second[last_row];
  band.valids = last_valid - band.first_valid + 1;
  band.first_input = shape.rows.first[band.first_valid];
  band.inputs = shape.rows.second[last_valid] - band.first_input + 1;
  return band;
}

// Everything that a task needs for one band.
template <typename C>
struct MergeScratch {
  explicit MergeScratch(const MergeShape& shape)
      : stride((shape.tiles + kTileColumns - 1) / kTileColumns * kTileColumns),
        row(shape.width + kTileColumns), low(shape.width + kTileColumns),
        high(shape.width + kTileColumns), tile_low(stride), tile_high(stride), best_low(stride),
        upper(shape.queries * stride), state(shape.queries * stride), count(stride),
        left(shape.tiles * shape.queries),
        window(shape.width + kSlack<C>),
        stretched(shape.input_rows * shape.valid_stride),
        probs(shape.resized ? shape.valid_rows * shape.valid_stride + kSlack<C> : 0),
        wide(shape.resized ? shape.valid_rows * kTileColumns : 0), best(kTileRows * kTileColumns),
        who(kTileRows * kTileColumns) {}

  int64_t stride;           // tiles of a band, rounded up
  Buffer<C> row, low, high;  // columns of the logits: a row widened, the bounds over rows
  Buffer<C> tile_low, tile_high, best_low;  // bounds per tile
  Buffer<C> upper;       // (N, stride) bound of score x probability; infinite: must be computed
  Buffer<int8_t> state;  // (N, stride) 1 where a mask is surely inside
  Buffer<int32_t> count;  // masks left per tile
  Buffer<int32_t> left;   // (tiles, N) which
  Buffer<C> window, stretched, probs, wide;  // one mask on one tile
  Buffer<C> best;              // running best of the tile
  Buffer<Integer<C>> who;      // its query q, or -1 - q where its own probability is below 0.5
};

template <typename T, typename C>
DVPS_INLINE const C* widened(const T* from, int64_t count, C* scratch) {
  if constexpr (std::is_same<T, C>::value) {
    return from;
  } else {
    for (int64_t i = 0; i < count; ++i) scratch[i] = static_cast<C>(from[i]);
    return scratch;
  }
}

// Smallest and largest logit of one mask under every tile of a band.
template <typename T, typename C>
DVPS_INLINE void bound(const MergeShape& shape, const Band& band, const T* logits,
                       const MergeScratch<C>& scratch) {
  const int64_t width = shape.width;
  C* __restrict low = scratch.low;
  C* __restrict high = scratch.high;
  for (int64_t x = 0; x < width; ++x) {
    low[x] = C(__builtin_inff());
    high[x] = -C(__builtin_inff());
  }
  for (int64_t y = 0; y < band.inputs; ++y) {
    const C* __restrict row = widened<T, C>(logits + y * width, width, scratch.row);
    for (int64_t x = 0; x < width; ++x) {  // what is not a number is left out
      low[x] = row[x] < low[x] ? row[x] : low[x];
      high[x] = row[x] > high[x] ? row[x] : high[x];
    }
  }
  for (int64_t step = 1; step < shape.bound_window; step *= 2) {
    int64_t x = 0;
    for (; x + step + kLanes<C> <= width; x += kLanes<C>) {
      const Vector<C> a = load<C>(low + x), b = load_anywhere<C>(low + x + step);
      store<C>(low + x, b < a ? b : a);
      const Vector<C> c = load<C>(high + x), d = load_anywhere<C>(high + x + step);
      store<C>(high + x, d > c ? d : c);
    }
    for (; x + step < width; ++x) {
      low[x] = low[x + step] < low[x] ? low[x + step] : low[x];
      high[x] = high[x + step] > high[x] ? high[x + step] : high[x];
    }
  }
  for (int64_t j = 0; j < shape.tiles; ++j) {
    const int32_t a = shape.columns[j].bound_first, b = shape.columns[j].bound_second;
    scratch.tile_low[j] = low[b] < low[a] ? low[b] : low[a];
    scratch.tile_high[j] = high[b] > high[a] ? high[b] : high[a];
  }
}

// Bounds of score x probability from bounds of logits; the best lower bound of all masks so far.
template <typename C>
DVPS_INLINE void rate(const MergeShape& shape, C score, int64_t query,
                      const MergeScratch<C>& scratch) {
  using Reals = Vector<C>;
  const Reals zero = {}, infinite = zero + C(__builtin_inff());
  const C margin = kLogitMargin, relative = kRelativeMargin;
  C* const upper = scratch.upper + query * scratch.stride;
  int8_t* const state = scratch.state + query * scratch.stride;
  for (int64_t j = 0; j < shape.tiles; j += kLanes<C>) {
    const Reals low = load<C>(scratch.tile_low + j), high = load<C>(scratch.tile_high + j);
    const Reals least = sigmoid<C>(low - (low < zero ? -low : low) * relative) * score;
    const Reals most = sigmoid<C>(high + (high < zero ? -high : high) * relative) * score;
    // A negative score turns the bounds around.
    const Reals lower = least < most ? least : most;
    const Reals best = load<C>(scratch.best_low + j);
    store<C>(scratch.best_low + j, lower > best ? lower : best);
    const auto crossed = (low < zero + margin) & (high >= zero - margin);
    store<C>(upper + j, crossed ? infinite : (least < most ? most : least));
  }
  for (int64_t j = 0; j < shape.tiles; ++j) state[j] = scratch.tile_low[j] >= margin;
}

// Which masks are left per tile, in ascending order.
template <typename C>
DVPS_INLINE void select_masks(const MergeShape& shape, const MergeScratch<C>& scratch) {
  const int64_t queries = shape.queries;
  for (int64_t j = 0; j < shape.tiles; ++j) {
    const C best = scratch.best_low[j];
    scratch.best_low[j] = best - (best < 0 ? -best : best) * C(kScoreMargin);
    scratch.count[j] = 0;
  }
  for (int64_t n = 0; n < queries; ++n) {
    const C* const upper = scratch.upper + n * scratch.stride;
    for (int64_t j = 0; j < shape.tiles; ++j) {
      scratch.left[j * queries + scratch.count[j]] = static_cast<int32_t>(n);
      scratch.count[j] += !(upper[j] < scratch.best_low[j]);  // not a number stays
    }
  }
}

// The rows of one mask under a tile, stretched to the columns of the valid image.
template <typename T, typename C>
DVPS_INLINE void stretch_rows(const MergeShape& shape, const Band& band, int64_t tile,
                              const T* logits, const T* end, const MergeScratch<C>& scratch) {
  const TileColumn& column = shape.columns[tile];
  const int64_t at = tile * shape.valid_stride;
  const int64_t readable = column.inputs + kSlack<C>;
  for (int64_t y = 0; y < band.inputs; ++y) {
    const T* from = logits + y * shape.width + column.first_input;
    const C* row;
    if (std::is_same<T, C>::value && end - from >= readable) {
      row = reinterpret_cast<const C*>(from);
    } else {
      for (int64_t x = 0; x < column.inputs; ++x) scratch.window[x] = static_cast<C>(from[x]);
      row = scratch.window;
    }
    stretch<C>(row, shape.tile_valids.first + at, shape.tile_valids.second + at,
               static_cast<const C*>(shape.tile_valids.share) + at, column.valids,
               scratch.stretched + y * shape.valid_stride);
  }
}

// Rows a and b mixed as a bilinear resize does.
template <typename C>
DVPS_INLINE Vector<C> mix(const C* a, const C* b, C share) {
  return load(a) * (C(1) - share) + load(b) * share;
}

// Let one mask compete for the pixels of a tile; returns how many of them it covers.
template <typename T, typename C>
DVPS_INLINE int64_t compete(const MergeShape& shape, const Band& band, int64_t tile, C score,
                            Integer<C> query, const T* logits, const T* end,
                            const MergeScratch<C>& scratch) {
  using Reals = Vector<C>;
  using Integers = Vector<Integer<C>>;
  const TileColumn& column = shape.columns[tile];
  const int64_t stride = shape.valid_stride;
  const C* const row_share = static_cast<const C*>(shape.rows.share);
  const auto input_row = [&](const int32_t* rows, int64_t y) -> const C* {
    return scratch.stretched + (rows[y] - band.first_input) * stride;
  };
  stretch_rows<T, C>(shape, band, tile, logits, end, scratch);
  if (shape.resized) {
    for (int64_t v = 0; v < band.valids; ++v) {
      const int64_t y = band.first_valid + v;
      const C* const a = input_row(shape.rows.first, y);
      const C* const b = input_row(shape.rows.second, y);
      C* const probs = scratch.probs + v * stride;
      for (int64_t x = 0; x < column.valids; x += kLanes<C>)
        store<C>(probs + x, sigmoid<C>(mix<C>(a + x, b + x, row_share[y])));
      const int64_t at = tile * kTileColumns;
      stretch<C>(probs, shape.tile_outputs.first + at, shape.tile_outputs.second + at,
                 static_cast<const C*>(shape.tile_outputs.share) + at, kTileColumns,
                 scratch.wide + v * kTileColumns);
    }
  }
  const C* const output_share = static_cast<const C*>(shape.output_rows.share);
  Integers lane;
  for (int i = 0; i < kLanes<C>; ++i) lane[i] = i;
  Integers covered = {};
  for (int64_t r = 0; r < band.rows; ++r) {
    const int64_t y = band.first_row + r;
    const C* a;
    const C* b;
    if (shape.resized) {
      a = scratch.wide + (shape.output_rows.first[y] - band.first_valid) * kTileColumns;
      b = scratch.wide + (shape.output_rows.second[y] - band.first_valid) * kTileColumns;
    } else {
      a = input_row(shape.rows.first, y);
      b = input_row(shape.rows.second, y);
    }
    for (int64_t x = 0; x < kTileColumns; x += kLanes<C>) {
      const Reals prob = shape.resized ? mix<C>(a + x, b + x, output_share[y])
                                       : sigmoid<C>(mix<C>(a + x, b + x, row_share[y]));
      const Reals value = prob * score;
      const Integers inside = prob >= Reals{} + C(0.5);  // -1 where true
      C* const best = scratch.best + r * kTileColumns + x;
      Integer<C>* const who = scratch.who + r * kTileColumns + x;
      const Reals before = load<C>(best);
      const auto better = value > before;
      store<C>(best, better ? value : before);
      store<Integer<C>>(who, better ? (~inside ^ query) : load<Integer<C>>(who));
      covered -= inside & (lane < static_cast<Integer<C>>(column.columns - x));
    }
  }
  int64_t sum = 0;
  for (int i = 0; i < kLanes<C>; ++i) sum += covered[i];
  return sum;
}

// Give one tile to the masks that are left. areas: (N, 3) won, covered, won and covered.
template <typename T, typename C>
DVPS_INLINE void decide(const MergeShape& shape, const Band& band, int64_t tile, const T* logits,
                        const T* end, const C* scores, const MergeScratch<C>& scratch,
                        int16_t* owner, int64_t* areas) {
  const int32_t* const left = scratch.left + tile * shape.queries;
  const int64_t columns = shape.columns[tile].columns;
  if (scratch.count[tile] == 1) {
    const int64_t at = left[0] * scratch.stride + tile;
    if (scratch.upper[at] < C(__builtin_inff())) {
      const bool inside = scratch.state[at];
      const auto name = static_cast<int16_t>(inside ? left[0] : -1);
      for (int64_t r = 0; r < band.rows; ++r)
        for (int64_t x = 0; x < columns; ++x) owner[r * shape.output_width + x] = name;
      areas[3 * left[0]] += band.rows * columns;
      areas[3 * left[0] + 2] += inside ? band.rows * columns : 0;
      return;
    }
  }
  for (int64_t i = 0; i < kTileRows * kTileColumns; ++i) {
    scratch.best[i] = -C(__builtin_inff());
    scratch.who[i] = -1;
  }
  for (int32_t i = 0; i < scratch.count[tile]; ++i) {
    const int64_t n = left[i];
    const int64_t at = n * scratch.stride + tile;
    const T* const mask = logits + n * shape.frames * shape.height * shape.width;
    const int64_t covered = compete<T, C>(shape, band, tile, scores[n], static_cast<Integer<C>>(n),
                                          mask, end, scratch);
    if (!scratch.state[at]) areas[3 * n + 1] += covered;  // else counted already
  }
  for (int64_t r = 0; r < band.rows; ++r) {
    for (int64_t x = 0; x < columns; ++x) {
      const int64_t who = scratch.who[r * kTileColumns + x];
      const bool inside = who >= 0;
      const int64_t n = inside ? who : ~who;
      owner[r * shape.output_width + x] = static_cast<int16_t>(inside ? n : -1);
      areas[3 * n] += 1;
      areas[3 * n + 2] += inside;
    }
  }
}

template <typename T, typename C>
void merge(const MergeShape& shape, const void* logits_, const void* scores_, int64_t begin,
           int64_t end, int16_t* owner, int64_t* areas) {
  const T* const logits = static_cast<const T*>(logits_);
  const C* const scores = static_cast<const C*>(scores_);
  const int64_t frame = shape.height * shape.width, mask = shape.frames * frame;
  const MergeScratch<C> scratch(shape);
  clear<C>(scratch.tile_low, scratch.stride);
  clear<C>(scratch.tile_high, scratch.stride);
  for (int64_t index = begin; index < end; ++index) {
    const Band band = make_band(shape, index);
    const T* const start = logits + band.frame * frame + band.first_input * shape.width;
    for (int64_t j = 0; j < scratch.stride; ++j) scratch.best_low[j] = -C(__builtin_inff());
    for (int64_t n = 0; n < shape.queries; ++n) {
      bound<T, C>(shape, band, start + n * mask, scratch);
      rate<C>(shape, scores[n], n, scratch);
      const int8_t* const state = scratch.state + n * scratch.stride;
      int64_t columns = 0;
      for (int64_t j = 0; j < shape.tiles; ++j) columns += state[j] * shape.columns[j].columns;
      areas[3 * n + 1] += columns * band.rows;
    }
    select_masks<C>(shape, scratch);
    int16_t* const to = owner + (band.frame * shape.output_height + band.first_row) * shape.output_width;
    for (int64_t tile = 0; tile < shape.tiles; ++tile)
      decide<T, C>(shape, band, tile, start, logits + shape.queries * mask, scores, scratch,
                   to + tile * kTileColumns, areas);
  }
}

template <typename T, typename C>
constexpr MergeKernels kMergeKernels = {merge<T, C>};

MergeKernels select_merge(Element element) {
  switch (element) {
    case Element::kFloat64:
      return kMergeKernels<double, double>;
    case Element::kFloat32:
      return kMergeKernels<float, float>;
    case Element::kBFloat16:
      return kMergeKernels<c10::BFloat16, float>;
    default:
      return kMergeKernels<c10::Half, float>;
  }
}

}  // namespace
}  // namespace dvps_d2::cpu
