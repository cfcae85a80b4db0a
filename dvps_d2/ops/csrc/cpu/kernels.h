// What the CPU kernels work on. No torch here: the kernels are plain C++, compiled once per
// instruction set and chosen at run time.
#pragma once

#include <cstdint>

namespace dvps_d2::cpu {

// A feature level. Packed, it has a border of one zero pixel on every side, so that a bilinear
// sample anywhere between -1 and H (or W) reads valid memory and needs no test.
struct Level {
  int64_t height;
  int64_t width;
  int64_t start;         // its first position among the S of value
  int64_t packed_start;  // its first pixel among the packed ones
  int64_t pitch() const { return width + 2; }
  int64_t packed_area() const { return (height + 2) * pitch(); }
};

struct Shape {
  int64_t batch, area, heads, dim;  // value (B, S, M, D)
  int64_t queries, points;          // locations (B, Q, M, L, P, 2)
  int64_t num_levels;
  const Level* levels;
  int64_t packed_area;  // pixels of all packed levels of one head
  int64_t packed_dim;   // D rounded up to whole vectors
};

enum class Element { kFloat64, kFloat32, kBFloat16, kFloat16 };

// Element sizes are those of the element type for value, output and their gradients, and those of
// the computation (float64 for float64, else float32) for everything else.
struct Kernels {
  // value (B, S, M, D) -> packed pixels of some levels of one head.
  void (*pack)(const Shape&, const void* value, int64_t batch, int64_t head, int64_t first_level,
               int64_t last_level, void* packed);
  // Queries [begin, end) of one head, all levels packed -> their rows of output (B, Q, M * D).
  void (*forward)(const Shape&, const void* packed, const void* locations, const void* weights,
                  int64_t batch, int64_t head, int64_t begin, int64_t end, void* output);
  // One level of one head -> its part of every gradient. Two scratch areas of one packed level.
  void (*backward)(const Shape&, const void* grad_output, const void* value, const void* locations,
                   const void* weights, int64_t batch, int64_t head, int64_t level,
                   void* packed_value, void* packed_grad, void* grad_value, void* grad_locations,
                   void* grad_weights);
};

// The widest vectors that any instruction set uses; scratch is aligned to them.
constexpr int64_t kAlignment = 64;

Kernels portable_kernels(Element element);
#if defined(__x86_64__)
Kernels avx2_kernels(Element element);
Kernels avx512_kernels(Element element);
#endif

}  // namespace dvps_d2::cpu
