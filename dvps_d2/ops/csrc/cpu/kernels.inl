// The CPU kernels, written once with the vector types of GCC and Clang. Each instruction set
// includes this file with its own DVPS_VECTOR_BYTES inside its own target region; everything is in
// an anonymous namespace, and no standard template is instantiated, so that no wide instruction can
// leak into a function that the linker shares with other files.

namespace dvps_d2::cpu {
namespace {

#define DVPS_INLINE inline __attribute__((always_inline))

template <typename C>
struct VectorOf {
  typedef C type __attribute__((vector_size(DVPS_VECTOR_BYTES), aligned(DVPS_VECTOR_BYTES)));
};
template <typename C>
using Vector = typename VectorOf<C>::type;
template <typename C>
constexpr int kLanes = DVPS_VECTOR_BYTES / sizeof(C);
template <typename C>
using Integer = std::conditional_t<sizeof(C) == 8, int64_t, int32_t>;

template <typename C>
DVPS_INLINE Vector<C> load(const C* from) {
  return *reinterpret_cast<const Vector<C>*>(from);
}
template <typename C>
DVPS_INLINE void store(C* to, Vector<C> vector) {
  *reinterpret_cast<Vector<C>*>(to) = vector;
}

// Lane j of the result is number Lanes::of(j) of the lanes of `a` followed by those of `b`.
template <typename Lanes, typename C>
DVPS_INLINE Vector<C> shuffle(Vector<C> a, Vector<C> b) {
#if defined(__clang__)
  Vector<C> to;
  for (int j = 0; j < kLanes<C>; ++j) {
    const int from = Lanes::of(j, kLanes<C>);
    to[j] = from < kLanes<C> ? a[from] : b[from - kLanes<C>];
  }
  return to;
#else
  Vector<Integer<C>> lanes;
  for (int j = 0; j < kLanes<C>; ++j) lanes[j] = Lanes::of(j, kLanes<C>);
  return __builtin_shuffle(a, b, lanes);
#endif
}

template <int kStart>
struct EverySecond {
  static constexpr int of(int j, int) { return 2 * j + kStart; }
};
// From `a` where bit kDistance of j is 0, from `b` elsewhere; the same lane, or with kCross the
// lane at that distance.
template <int kDistance, bool kCross>
struct Blend {
  static constexpr int of(int j, int lanes) {
    return (j & kDistance ? lanes : 0) + (kCross ? j ^ kDistance : j);
  }
};

// Scratch that lives as long as one task.
template <typename C>
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<C*>(
            aligned_alloc(kAlignment, (size * sizeof(C) / kAlignment + 1) * kAlignment))) {}
  ~Buffer() { free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator C*() const { return data_; }

 private:
  C* data_;
};

// A row of D stored elements <-> a row of packed_dim computed ones.
template <typename T, typename C>
DVPS_INLINE void widen(const T* __restrict from, int64_t dim, int64_t packed_dim, C* __restrict to) {
  for (int64_t i = 0; i < dim; ++i) to[i] = static_cast<C>(from[i]);
  for (int64_t i = dim; i < packed_dim; ++i) to[i] = 0;
}
template <typename T, typename C>
DVPS_INLINE void narrow(const C* __restrict from, int64_t dim, T* __restrict to) {
  for (int64_t i = 0; i < dim; ++i) to[i] = static_cast<T>(from[i]);
}

template <typename C>
DVPS_INLINE void clear(C* to, int64_t size) {
  memset(to, 0, size * sizeof(C));
}

template <typename T, typename C>
void pack(const Shape& shape, const void* value, int64_t batch, int64_t head, int64_t first_level,
          int64_t last_level, void* packed) {
  const int64_t dim = shape.dim, packed_dim = shape.packed_dim;
  const int64_t row = shape.heads * dim;
  C* to = static_cast<C*>(packed);
  for (int64_t l = first_level; l < last_level; ++l) {
    const Level& level = shape.levels[l];
    const T* from = static_cast<const T*>(value) + (batch * shape.area + level.start) * row +
                    head * dim;
    clear(to, (level.pitch() + 1) * packed_dim);  // the row above and the first left border
    to += (level.pitch() + 1) * packed_dim;
    for (int64_t y = 0; y < level.height; ++y) {
      for (int64_t x = 0; x < level.width; ++x) {
        widen(from, dim, packed_dim, to);
        from += row;
        to += packed_dim;
      }
      clear(to, 2 * packed_dim);  // the right border and the next left one
      to += 2 * packed_dim;
    }
    clear(to, (level.pitch() - 1) * packed_dim);
    to += (level.pitch() - 1) * packed_dim;
  }
}

template <typename T, typename C>
void unpack_level(const Shape& shape, const C* packed, int64_t batch, int64_t head,
                  const Level& level, void* value) {
  const int64_t row = shape.heads * shape.dim;
  T* to = static_cast<T*>(value) + (batch * shape.area + level.start) * row + head * shape.dim;
  for (int64_t y = 0; y < level.height; ++y) {
    const C* from = packed + ((y + 1) * level.pitch() + 1) * shape.packed_dim;
    for (int64_t x = 0; x < level.width; ++x) {
      narrow(from, shape.dim, to);
      from += shape.packed_dim;
      to += row;
    }
  }
}

// The sampling points of a block of queries on one level, as arrays over points.
template <typename C>
struct Points {
  // capacity: a multiple of kLanes.
  explicit Points(int64_t capacity)
      : locations(2 * capacity), weights(capacity), offset(capacity), dx(capacity), dy(capacity),
        scale_x(capacity), scale_y(capacity), corner(4 * capacity), stride(capacity) {}

  Buffer<C> locations;  // (x, y) from 0 to 1
  Buffer<C> weights;
  Buffer<Integer<C>> offset;    // of the upper left corner in the packed level, in elements
  Buffer<C> dx, dy;             // from the upper left corner to the point, 0 to 1
  Buffer<C> scale_x, scale_y;   // d(pixels) / d(location): W, or 0 outside the level
  Buffer<C> corner;             // weight times bilinear share; one array per corner
  int64_t stride;               // between those arrays
};

// Locations to corners. In packed pixels a location x is at x * W + 0.5; outside [0, W + 1] there
// are zeros, so clamping to it changes nothing but the address. Works on whole vectors: up to
// kLanes - 1 points beyond the last are computed and ignored.
template <typename C>
void prepare(const Points<C>& points, int64_t begin, int64_t count, const Level& level,
             int64_t packed_dim) {
  using Reals = Vector<C>;
  using Integers = Vector<Integer<C>>;
  const C width = level.width, height = level.height;
  const Reals zero = {};
  const Integers last_x = Integers{} + static_cast<Integer<C>>(level.width);
  const Integers last_y = Integers{} + static_cast<Integer<C>>(level.height);
  const Integer<C> step_x = packed_dim, step_y = packed_dim * level.pitch();
  C* const corner = points.corner;
  for (int64_t i = begin; i < begin + count; i += kLanes<C>) {
    const Reals first = load<C>(points.locations + 2 * i);
    const Reals second = load<C>(points.locations + 2 * i + kLanes<C>);
    Reals x = shuffle<EverySecond<0>, C>(first, second) * width + C(0.5);
    Reals y = shuffle<EverySecond<1>, C>(first, second) * height + C(0.5);
    const Reals right = zero + (width + 1), bottom = zero + (height + 1);
    store<C>(points.scale_x + i, (x >= zero) & (x < right) ? zero + width : zero);
    store<C>(points.scale_y + i, (y >= zero) & (y < bottom) ? zero + height : zero);
    x = x > zero ? x : zero;  // also where x is not a number
    y = y > zero ? y : zero;
    x = x < right ? x : right;
    y = y < bottom ? y : bottom;
    Integers column = __builtin_convertvector(x, Integers);
    Integers row = __builtin_convertvector(y, Integers);
    column = column < last_x ? column : last_x;
    row = row < last_y ? row : last_y;
    const Reals dx = x - __builtin_convertvector(column, Reals);
    const Reals dy = y - __builtin_convertvector(row, Reals);
    store<C>(points.dx + i, dx);
    store<C>(points.dy + i, dy);
    store<Integer<C>>(points.offset + i, row * step_y + column * step_x);
    const Reals weight = load<C>(points.weights + i);
    const Reals lower = weight * dy, upper = weight - lower;
    store<C>(corner + i + points.stride, upper * dx);
    store<C>(corner + i, upper - upper * dx);
    store<C>(corner + i + 3 * points.stride, lower * dx);
    store<C>(corner + i + 2 * points.stride, lower - lower * dx);
  }
}

// One query: the weighted samples of all its points, for kVectors vectors of channels.
// Several partial sums per vector keep the multiply-add units busy.
template <typename C, int kVectors>
DVPS_INLINE void sum_points(const Shape& shape, const C* packed, const Points<C>& points,
                            int64_t first, int64_t level_stride, C* output) {
  constexpr int kSums = kVectors >= 4 ? 2 : 4;
  Vector<C> sums[kSums][kVectors] = {};
  const int64_t dim = shape.packed_dim;
  const C* corner = points.corner;
  const int64_t stride = points.stride;
  for (int64_t l = 0; l < shape.num_levels; ++l) {
    const C* level = packed + shape.levels[l].packed_start * dim;
    const int64_t below = shape.levels[l].pitch() * dim;
    const int64_t begin = first + l * level_stride;
    for (int64_t i = begin; i < begin + shape.points; ++i) {
      const C* top = level + points.offset[i];
      const C* bottom = top + below;
      for (int v = 0; v < kVectors; ++v) {
        const int lane = v * kLanes<C>;
        sums[0][v] += load(top + lane) * corner[i];
        sums[1][v] += load(top + dim + lane) * corner[i + stride];
        sums[2 % kSums][v] += load(bottom + lane) * corner[i + 2 * stride];
        sums[3 % kSums][v] += load(bottom + dim + lane) * corner[i + 3 * stride];
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    Vector<C> sum = sums[0][v] + sums[1][v];
    if (kSums == 4) sum += sums[2 % kSums][v] + sums[3 % kSums][v];
    store(output + v * kLanes<C>, sum);
  }
}

// Copy the P points of one query, head and level. Four points, the usual number, are worth a
// branch: the copy becomes two vector moves.
template <typename C>
DVPS_INLINE void copy_points(const C* from, int64_t numbers, int64_t usual, C* to) {
  if (numbers == usual) {
    memcpy(to, from, usual * sizeof(C));
  } else {
    for (int64_t i = 0; i < numbers; ++i) to[i] = from[i];
  }
}

constexpr int64_t kBlock = 32;  // queries whose points are prepared together

template <typename T, typename C>
void forward(const Shape& shape, const void* packed_value, const void* locations_,
             const void* weights_, int64_t batch, int64_t head, int64_t begin, int64_t end,
             void* output_) {
  const C* packed = static_cast<const C*>(packed_value);
  const int64_t P = shape.points, L = shape.num_levels, dim = shape.packed_dim;
  const int64_t vectors = dim / kLanes<C>;
  const int64_t level_stride = kBlock * P;
  Points<C> points(L * level_stride);
  Buffer<C> row(dim);
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t count = block + kBlock < end ? kBlock : end - block;
    const int64_t first = ((batch * shape.queries + block) * shape.heads + head) * L * P;
    for (int64_t l = 0; l < L; ++l) {
      for (int64_t q = 0; q < count; ++q) {
        const int64_t from = first + (q * shape.heads * L + l) * P;
        const int64_t to = l * level_stride + q * P;
        copy_points(static_cast<const C*>(locations_) + 2 * from, 2 * P, 8, points.locations + 2 * to);
        copy_points(static_cast<const C*>(weights_) + from, P, 4, points.weights + to);
      }
      prepare(points, l * level_stride, count * P, shape.levels[l], dim);
    }
    T* output = static_cast<T*>(output_) +
                ((batch * shape.queries + block) * shape.heads + head) * shape.dim;
    for (int64_t q = 0; q < count; ++q) {
      int64_t v = 0;
      for (; v + 4 <= vectors; v += 4)
        sum_points<C, 4>(shape, packed + v * kLanes<C>, points, q * P, level_stride,
                         row + v * kLanes<C>);
      for (; v + 2 <= vectors; v += 2)
        sum_points<C, 2>(shape, packed + v * kLanes<C>, points, q * P, level_stride,
                         row + v * kLanes<C>);
      for (; v < vectors; ++v)
        sum_points<C, 1>(shape, packed + v * kLanes<C>, points, q * P, level_stride,
                         row + v * kLanes<C>);
      narrow(static_cast<const C*>(row), shape.dim, output + q * shape.heads * shape.dim);
    }
  }
}

// Sum each of kLanes vectors over its lanes: vector j ends up in lane j of the first.
template <typename C, int kDistance = kLanes<C> / 2>
DVPS_INLINE void sum_lanes(Vector<C>* vectors) {
  if constexpr (kDistance > 0) {
    for (int i = 0; i < kDistance; ++i) {
      const Vector<C> a = vectors[i], b = vectors[i + kDistance];
      vectors[i] = shuffle<Blend<kDistance, false>, C>(a, b) + shuffle<Blend<kDistance, true>, C>(a, b);
    }
    sum_lanes<C, kDistance / 2>(vectors);
  }
}

// One point: spread the output gradient over its four corners and return, per corner, the
// products whose sum over lanes is <output gradient, value at the corner>.
template <typename C, int kVectors>
DVPS_INLINE void spread_point(const Shape& shape, const C* value, C* grad, int64_t below,
                              const C* grad_output, const Points<C>& points, int64_t i,
                              Vector<C>* products) {
  const int64_t dim = shape.packed_dim;
  const int64_t at[4] = {points.offset[i], points.offset[i] + dim, points.offset[i] + below,
                         points.offset[i] + below + dim};
  const int64_t vectors = kVectors > 0 ? kVectors : dim / kLanes<C>;
  for (int c = 0; c < 4; ++c) {
    const C share = points.corner[i + c * points.stride];
    Vector<C> product = {};
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t lane = v * kLanes<C>;
      const Vector<C> upstream = load(grad_output + lane);
      product += upstream * load(value + at[c] + lane);
      store(grad + at[c] + lane, load(static_cast<const C*>(grad) + at[c] + lane) + upstream * share);
    }
    products[c] = product;
  }
}

// All points of a block of queries on one level; dots: (points, 4 corners).
template <typename C, int kVectors>
void spread_points(const Shape& shape, const C* value, C* grad, int64_t below, const C* grad_output,
                   const Points<C>& points, int64_t count, int64_t points_per_query, C* dots) {
  constexpr int kGroup = kLanes<C> >= 4 ? kLanes<C> / 4 : 1;
  for (int64_t q = 0; q < count; ++q, grad_output += shape.packed_dim) {
    for (int64_t p = 0; p < points_per_query; p += kGroup) {
      const int64_t i = q * points_per_query + p;
      Vector<C> products[4 * kGroup];
      for (int k = 0; k < kGroup; ++k)
        spread_point<C, kVectors>(shape, value, grad, below, grad_output, points, i + k,
                                  products + 4 * k);
      for (int part = 0; part < 4 * kGroup; part += kLanes<C>) {
        sum_lanes<C>(products + part);
        store(dots + 4 * i + part, products[part]);
      }
    }
  }
}

// The chain rule through the bilinear shares; results replace locations and weights.
template <typename C>
void finish_points(const Points<C>& points, const C* __restrict dots, int64_t count) {
  C* __restrict locations = points.locations;
  C* __restrict weights = points.weights;
  for (int64_t i = 0; i < count; ++i) {
    const C fx = points.dx[i], fy = points.dy[i], weight = weights[i];
    const C d00 = dots[4 * i], d01 = dots[4 * i + 1], d10 = dots[4 * i + 2], d11 = dots[4 * i + 3];
    const C top = d01 - d00, bottom = d11 - d10;
    const C left = d10 - d00;
    locations[2 * i] = weight * points.scale_x[i] * (top + fy * (bottom - top));
    locations[2 * i + 1] = weight * points.scale_y[i] * (left + fx * (bottom - top));
    weights[i] = d00 + fx * top + fy * (left + fx * (bottom - top));
  }
}

template <typename T, typename C>
void backward(const Shape& shape, const void* grad_output_, const void* value,
              const void* locations_, const void* weights_, int64_t batch, int64_t head,
              int64_t level_index, void* packed_value, void* packed_grad, void* grad_value,
              void* grad_locations_, void* grad_weights_) {
  constexpr int64_t kGroup = kLanes<C> >= 4 ? kLanes<C> / 4 : 1;
  const Level& level = shape.levels[level_index];
  const int64_t P = shape.points, L = shape.num_levels, dim = shape.packed_dim;
  const int64_t padded = (P + kGroup - 1) / kGroup * kGroup;  // points per query, whole groups
  const int64_t below = level.pitch() * dim;
  C* const grad = static_cast<C*>(packed_grad);
  pack<T, C>(shape, value, batch, head, level_index, level_index + 1, packed_value);
  clear(grad, level.packed_area() * dim);

  Points<C> points(kBlock * padded);
  Buffer<C> dots(4 * kBlock * padded);
  Buffer<C> upstream(kBlock * dim);
  clear<C>(points.locations, 2 * kBlock * padded);  // padding points weigh nothing
  clear<C>(points.weights, kBlock * padded);
  for (int64_t block = 0; block < shape.queries; block += kBlock) {
    const int64_t count = block + kBlock < shape.queries ? kBlock : shape.queries - block;
    const int64_t query = (batch * shape.queries + block) * shape.heads + head;
    for (int64_t q = 0; q < count; ++q) {
      const int64_t row = query + q * shape.heads;
      const int64_t from = (row * L + level_index) * P;
      copy_points(static_cast<const C*>(locations_) + 2 * from, 2 * P, 8,
                  points.locations + 2 * q * padded);
      copy_points(static_cast<const C*>(weights_) + from, P, 4, points.weights + q * padded);
      widen(static_cast<const T*>(grad_output_) + row * shape.dim, shape.dim, dim,
            upstream + q * dim);
    }
    prepare(points, 0, count * padded, level, dim);
    const C* const samples = static_cast<const C*>(packed_value);
    auto* const spread = dim == 2 * kLanes<C>   ? spread_points<C, 2>
                         : dim == 4 * kLanes<C> ? spread_points<C, 4>
                                                : spread_points<C, 0>;
    spread(shape, samples, grad, below, upstream, points, count, padded, dots);
    finish_points<C>(points, dots, count * padded);
    for (int64_t q = 0; q < count; ++q) {
      const int64_t to = ((query + q * shape.heads) * L + level_index) * P;
      copy_points<C>(points.locations + 2 * q * padded, 2 * P, 8,
                     static_cast<C*>(grad_locations_) + 2 * to);
      copy_points<C>(points.weights + q * padded, P, 4, static_cast<C*>(grad_weights_) + to);
      if (padded != P) {
        clear<C>(points.locations + 2 * (q * padded + P), 2 * (padded - P));
        clear<C>(points.weights + q * padded + P, padded - P);
      }
    }
  }
  unpack_level<T, C>(shape, grad, batch, head, level, grad_value);
}

template <typename T, typename C>
constexpr Kernels kKernels = {pack<T, C>, forward<T, C>, backward<T, C>};

Kernels select(Element element) {
  switch (element) {
    case Element::kFloat64:
      return kKernels<double, double>;
    case Element::kFloat32:
      return kKernels<float, float>;
    case Element::kBFloat16:
      return kKernels<c10::BFloat16, float>;
    default:
      return kKernels<c10::Half, float>;
  }
}

}  // namespace
}  // namespace dvps_d2::cpu
