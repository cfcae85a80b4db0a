"""What ``torch.library`` needs to know about the compiled operators beyond their kernels.

The schemas come from the extension: ``dvps_d2::ms_deform_attn(value, level_shapes, locations,
weights)`` with the (H, W) pairs in one flat list, ``dvps_d2::ms_deform_attn_backward``, and
``dvps_d2::panoptic_merge(logits, scores, padded, valid, output)``, which has no gradient: its
results are integers. Here are their fake kernels (shapes only, for ``torch.compile`` and
``torch.export``), the autograd formula and the autocast rule of the attention.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

OP = "dvps_d2::ms_deform_attn"
BACKWARD_OP = "dvps_d2::ms_deform_attn_backward"
MERGE_OP = "dvps_d2::panoptic_merge"

# Kept alive: dropping a Library takes its kernels away again.
_library = torch.library.Library("dvps_d2", "FRAGMENT")


def register() -> None:
    """Register everything; called once, after the extension has been loaded."""
    torch.library.register_fake(OP, _fake)
    torch.library.register_fake(BACKWARD_OP, _fake_backward)
    torch.library.register_fake(MERGE_OP, _fake_merge)
    torch.library.register_autograd(OP, _backward, setup_context=_save_inputs)
    torch.library.register_autograd(BACKWARD_OP, _no_second_derivative)
    for device_type in ("cpu", "cuda"):
        _library.impl("ms_deform_attn", _autocast(device_type), f"Autocast{device_type.upper()}")


def _fake(value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, head_dim = value.shape
    return value.new_empty(batch, locations.shape[1], heads * head_dim)


def _fake_backward(
    grad_output: Tensor, value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        value.new_empty(value.shape),
        locations.new_empty(locations.shape),
        weights.new_empty(weights.shape),
    )


def _fake_merge(
    logits: Tensor, scores: Tensor, padded: list[int], valid: list[int], output: list[int]
) -> tuple[Tensor, Tensor]:
    masks, frames = logits.shape[:2]
    owner = logits.new_empty((frames, *output), dtype=torch.int16)
    return owner, logits.new_empty((masks, 3), dtype=torch.int64)


def _save_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value, ctx.level_shapes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    value, locations, weights = ctx.saved_tensors
    _check_determinism(value.device.type)
    grad_value, grad_locations, grad_weights = torch.ops.dvps_d2.ms_deform_attn_backward(
        grad_output, value, ctx.level_shapes, locations, weights
    )
    return grad_value, None, grad_locations, grad_weights


def _check_determinism(device_type: str) -> None:
    """Atomic additions come in any order on a GPU; on the CPU there are none."""
    if device_type == "cpu" or not torch.are_deterministic_algorithms_enabled():
        return
    message = (
        f"the backward of ms_deform_attn on {device_type} adds in no fixed order, which "
        "torch.use_deterministic_algorithms(True) forbids; train on the CPU or in plain PyTorch "
        "(DVPS_OPS_PATH=reference), or pass warn_only=True"
    )
    if not torch.is_deterministic_algorithms_warn_only_enabled():
        raise RuntimeError(message)
    warnings.warn(message, stacklevel=2)


def _no_second_derivative(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "ms_deform_attn has no second derivative; a gradient penalty must not reach through it"
    )


def _autocast(device_type: str) -> Callable[..., Tensor]:
    def cast_and_call(
        value: Tensor, level_shapes: list[int], locations: Tensor, weights: Tensor
    ) -> Tensor:
        """Features in the autocast dtype; coordinates need the bits of float32."""
        if value.dtype != torch.float64:
            value = value.to(torch.get_autocast_dtype(device_type))
            locations, weights = locations.float(), weights.float()
        with torch.autocast(device_type, enabled=False):
            return torch.ops.dvps_d2.ms_deform_attn(value, level_shapes, locations, weights)

    return cast_and_call
