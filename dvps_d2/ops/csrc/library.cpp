// Schemas of the operators. Fake kernels, autograd and autocast are registered from Python.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(dvps_d2, library) {
  library.def(
      "ms_deform_attn(Tensor value, SymInt[] level_shapes, Tensor locations, Tensor weights) "
      "-> Tensor");
  library.def(
      "ms_deform_attn_backward(Tensor grad_output, Tensor value, SymInt[] level_shapes, "
      "Tensor locations, Tensor weights) -> (Tensor, Tensor, Tensor)");
  library.def(
      "panoptic_merge(Tensor logits, Tensor scores, SymInt[] padded, SymInt[] valid, "
      "SymInt[] output) -> (Tensor, Tensor)");
  library.def("cpu_capability() -> str");
}
