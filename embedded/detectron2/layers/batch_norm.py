"""Normalisation layers, and the names by which a config asks for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from fvcore.nn.distributed import differentiable_all_reduce
from torch import Tensor, nn
from torch.nn import functional as F

from detectron2.utils import comm


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with constant statistics and a constant affine map.

    All tensors (weight, bias, running_mean, running_var) are buffers; a fresh layer is the
    identity, which is why its variance starts at ``1 - eps``.
    """

    _version = 3

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features) - eps)
        # Kept for layers converted from a trained batch norm, whose checkpoints have it.
        self.register_buffer("num_batches_tracked", None)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift (N, C, H, W); the result has the dtype of ``x``."""
        if not x.requires_grad:  # one fused kernel; it would keep more for a backward pass
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (value.to(x.dtype).reshape(1, -1, 1, 1) for value in (scale, shift))
        return x * scale + shift

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args, **kwargs) -> None:
        # Converted Caffe2 models have folded statistics: an affine map and nothing else.
        if (local_metadata.get("version") or 1) < 2:
            for name, fill in (("running_mean", 0.0), ("running_var", 1.0)):
                state_dict.setdefault(prefix + name, torch.full_like(getattr(self, name), fill))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)

    def __repr__(self) -> str:
        return f"FrozenBatchNorm2d(num_features={self.num_features}, eps={self.eps})"

    @classmethod
    def convert_frozen_batchnorm(cls, module: nn.Module) -> nn.Module:
        """Replace every BatchNorm2d and SyncBatchNorm below ``module`` by a frozen one.

        Returns:
            ``module`` itself, changed in place; or the replacement, if it is a norm layer.
        """
        return _replace_layers(
            module,
            (nn.BatchNorm2d, nn.SyncBatchNorm),
            lambda old: _copy_statistics(old, cls(old.num_features)),
        )

    @classmethod
    def convert_frozenbatchnorm2d_to_batchnorm2d(cls, module: nn.Module) -> nn.Module:
        """The way back: every FrozenBatchNorm2d below ``module`` becomes a BatchNorm2d."""
        return _replace_layers(
            module, (cls,), lambda old: _copy_statistics(old, nn.BatchNorm2d(old.num_features))
        )


def _copy_statistics(old: nn.Module, new: nn.Module) -> nn.Module:
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(old, name)
        if value is not None:  # a norm without affine map has no weight and no bias
            getattr(new, name).data = value.detach().clone()
    count = old.num_batches_tracked
    new.num_batches_tracked = None if count is None else count.clone()
    new.eps = old.eps
    return new


def _replace_layers(
    module: nn.Module, kinds: tuple[type, ...], build: Callable[[nn.Module], nn.Module]
) -> nn.Module:
    """Depth-first replacement of the children that are instances of ``kinds``."""
    if isinstance(module, kinds):
        return build(module)
    for name, child in module.named_children():
        replacement = _replace_layers(child, kinds, build)
        if replacement is not child:
            module.add_module(name, replacement)
    return module


class NaiveSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over all processes, made of one differentiable all-reduce.

    Like ``torch.nn.SyncBatchNorm``, but it knows what to do when the processes hold batches of
    unequal size. In one process, and in evaluation, it is plain batch norm.
    """

    def __init__(self, *args, stats_mode: str = "", **kwargs) -> None:
        """Build the layer.

        Args:
            *args: passed to ``torch.nn.BatchNorm2d``.
            stats_mode: "" gives each process the same weight; "N" weighs by batch size, and
                allows empty batches.
            **kwargs: passed to ``torch.nn.BatchNorm2d``.
        """
        super().__init__(*args, **kwargs)
        assert stats_mode in ("", "N"), f"stats_mode must be '' or 'N', got {stats_mode!r}"
        self._stats_mode = stats_mode

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) by the statistics of all processes."""
        if comm.get_world_size() == 1 or not self.training:
            return super().forward(x)
        by_size = self._stats_mode == "N"
        assert by_size or x.shape[0] > 0, "an empty batch needs stats_mode='N'"
        dtype, x = x.dtype, x.float()
        if x.shape[0] > 0:
            sums = torch.cat([x.mean(dim=(0, 2, 3)), x.square().mean(dim=(0, 2, 3)), x.new_ones(1)])
        else:  # contributes nothing, yet takes part in the backward pass
            sums = x.new_zeros(2 * x.shape[1] + 1) + x.sum() * 0.0
        sums = differentiable_all_reduce(sums * (x.shape[0] if by_size else 1.0))
        count = sums[-1].detach()
        mean, mean_square = (sums[:-1] / count.clamp(min=1.0)).chunk(2)
        var = mean_square - mean.square()

        momentum = count.clamp(max=1.0) * self.momentum  # nothing seen anywhere: no update
        self.running_mean += momentum * (mean.detach() - self.running_mean)
        self.running_var += momentum * (var.detach() - self.running_var)
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(dtype)


class CycleBatchNormList(nn.ModuleList):
    """Several batch norms with one affine map; each call uses the next one, in turn.

    For heads that are shared over pyramid levels but normalised per level.
    """

    def __init__(self, length: int, bn_class: type[nn.Module] = nn.BatchNorm2d, **kwargs) -> None:
        """Build ``length`` layers ``bn_class(**kwargs)``; ``kwargs`` must hold num_features."""
        self._affine = kwargs.pop("affine", True)
        super().__init__([bn_class(**kwargs, affine=False) for _ in range(length)])
        if self._affine:
            channels = self[0].num_features
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
        self._next = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) with the statistics of the layer whose turn it is."""
        y = self[self._next](x)
        self._next = (self._next + 1) % len(self)
        if not self._affine:
            return y
        return y * self.weight[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return f"affine={self._affine}"


class LayerNorm(nn.Module):
    """Layer norm over the channels of (N, C, H, W), as in ConvNeXt and SimpleFeaturePyramid.

    It is not a ``torch.nn.LayerNorm``, so the optimizer's rule for norm layers does not see it.
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))
        self.eps = eps
        self.normalized_shape = (normalized_shape,)

    def forward(self, x: Tensor) -> Tensor:
        """Each pixel to mean 0 and (biased) variance 1 over its channels, then the affine map."""
        y = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return y.permute(0, 3, 1, 2)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "nnSyncBN": nn.SyncBatchNorm,
    "FrozenBN": FrozenBatchNorm2d,
    "GN": lambda channels: nn.GroupNorm(32, channels),
    "LN": LayerNorm,
    "naiveSyncBN": NaiveSyncBatchNorm,
    "naiveSyncBN_N": lambda channels: NaiveSyncBatchNorm(channels, stats_mode="N"),
}


def get_norm(norm: str | Callable[[int], nn.Module] | None, out_channels: int) -> nn.Module | None:
    """The normalisation layer that a config asks for.

    Args:
        norm: one of BN, SyncBN, nnSyncBN, FrozenBN, GN (32 groups), LN (over channels),
            naiveSyncBN, naiveSyncBN_N; a function of the number of channels; or None or "".
        out_channels: channels of the map to normalise.

    Raises:
        KeyError: the name is not in the list.
    """
    if norm is None or norm == "":
        return None
    return (_NORMS[norm] if isinstance(norm, str) else norm)(out_channels)
