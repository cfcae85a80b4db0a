"""Flow estimators: RAFT, FlowNet2, OpenCV's DIS, files, none; and a cache for the slow ones.

Each is a callable as :class:`dvps_d2.layers.flow.FlowEstimator` describes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flow import FlowEstimator, FramePair
from .flownet2 import MULTIPLE as FLOWNET2_MULTIPLE
from .flownet2 import FlowNet2

RAFT_MULTIPLE, RAFT_SMALLEST = 8, 128


class ZeroFlow:
    """Nothing moves. For tests, and as the floor of every estimator."""

    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """(N, 2, H, W) of zeros."""
        return key.new_zeros(len(key), 2, *key.shape[-2:])


class DisFlow:
    """Dense inverse search of OpenCV: no weights, fast on a CPU.

    Args:
        preset: "ultrafast", "fast" or "medium".

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
    """

    def __init__(self, preset: str = "medium") -> None:
        import cv2

        self._presets = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        if preset not in self._presets:
            raise ValueError(f"preset must be one of {', '.join(self._presets)}, got {preset!r}")
        self.preset = preset

    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """See the protocol."""
        import cv2

        search = cv2.DISOpticalFlow.create(self._presets[self.preset])
        grey = [
            [cv2.cvtColor(_pixels(image), cv2.COLOR_RGB2GRAY) for image in images]
            for images in (key, reference)
        ]
        flows = [search.calc(a, b, None) for a, b in zip(*grey, strict=True)]
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(key)


class RaftFlow:
    """RAFT of torchvision, frozen.

    Args:
        large: RAFT-large instead of RAFT-small.
        weights: a file with its state dict, as torchvision publishes it; None downloads
            torchvision's default, when flow is first asked for.
        iterations: refinements.

    Source: Teed and Deng, "RAFT", ECCV 2020.
    """

    def __init__(
        self, large: bool = True, weights: str | None = None, iterations: int = 12
    ) -> None:
        self.large = large
        self.weights = weights
        self.iterations = iterations

    @cached_property
    def net(self) -> nn.Module:
        """The network, frozen; a model that only loads or saves weights never makes it."""
        from torchvision.models import optical_flow

        make = optical_flow.raft_large if self.large else optical_flow.raft_small
        net: nn.Module = make(weights="DEFAULT" if self.weights is None else None)
        if self.weights is not None:
            net.load_state_dict(torch.load(self.weights, map_location="cpu", weights_only=True))
        return net.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """See the protocol; frames are padded to what RAFT needs."""
        self.net.to(key.device)
        height, width = key.shape[-2:]
        down, right = (
            max(RAFT_SMALLEST, -(-side // RAFT_MULTIPLE) * RAFT_MULTIPLE) - side
            for side in (height, width)
        )
        frames = [
            F.pad(image.float() / 127.5 - 1, (0, right, 0, down), mode="replicate")
            for image in (key, reference)
        ]
        with torch.autocast(key.device.type, enabled=False):
            flow = self.net(*frames, num_flow_updates=self.iterations)[-1]
        return flow[..., :height, :width].to(key)


class FlowNet2Flow:
    """FlowNet2, frozen; frames are padded with zeros to what it needs.

    Args:
        weights: FlowNet2's own released file, or one of VPSNet-Fuse or VPSNet-FuseTrack.

    Source: Ilg et al., "FlowNet 2.0", CVPR 2017.
    """

    def __init__(self, weights: str) -> None:
        if not weights:
            raise ValueError(
                "FlowNet2 needs a file with weights: set MODEL.VPSNET.FLOW.WEIGHTS to FlowNet2's "
                "or to a released VPSNet-Fuse checkpoint"
            )
        self.weights = weights

    @cached_property
    def net(self) -> FlowNet2:
        """The network, frozen; made when flow is first asked for."""
        stored = torch.load(self.weights, map_location="cpu", weights_only=True)
        stored = stored.get("state_dict", stored)
        prefix = "flownet2."
        own = {key[len(prefix) :]: v for key, v in stored.items() if key.startswith(prefix)}
        net = FlowNet2()
        net.load_state_dict(own or stored)
        return net.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """See the protocol."""
        self.net.to(key.device)
        height, width = key.shape[-2:]
        padding = (0, -width % FLOWNET2_MULTIPLE, 0, -height % FLOWNET2_MULTIPLE)
        with torch.autocast(key.device.type, enabled=False):
            flow = self.net(F.pad(key.float(), padding), F.pad(reference.float(), padding))
        return flow[..., :height, :width].to(key)


class FileFlow:
    """Flow from files ``<folder>/<video id>/<key frame>_<reference frame>.npy``.

    A file holds (h, w, 2) pixels as (dx, dy), for frames of the size that the model sees without
    padding. Use it for inference, where frames are neither cropped nor mirrored.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, pair: FramePair) -> Path:
        """Where the flow of a pair of frames is expected."""
        return self.folder / pair.video_id / f"{pair.key_frame}_{pair.reference_frame}.npy"

    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """See the protocol. A frame and itself need no file; padding does not move.

        Raises:
            ValueError: the pairs are not named, or a file is larger than the frames.
            FileNotFoundError: there is no file for a pair.
        """
        if pairs is None:
            raise ValueError("flow from files needs the names of the frame pairs, got pairs=None")
        flow = key.new_zeros(len(key), 2, *key.shape[-2:])
        for field, pair in zip(flow, pairs, strict=True):
            if pair.key_frame == pair.reference_frame:
                continue
            path = self.path(pair)
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} does not exist: no flow from frame {pair.key_frame} to frame "
                    f"{pair.reference_frame} of video {pair.video_id!r}; write it, or choose "
                    f"another estimator with MODEL.VPSNET.FLOW.NAME"
                )
            stored = torch.from_numpy(np.load(path)).to(field).permute(2, 0, 1)
            height, width = stored.shape[1:]
            if height > field.shape[1] or width > field.shape[2]:
                raise ValueError(
                    f"{path} is {height} x {width}, but frames are {tuple(field.shape[1:])} with "
                    f"padding; flow must be of the size that the model sees"
                )
            field[:, :height, :width] = stored
        return flow


class CachedFlow:
    """Keep the results of another estimator on disk, found again by the pixels of both frames.

    Args:
        estimator: asked once per pair of images.
        folder: made when needed; holds float16. Use one folder per estimator.
    """

    def __init__(self, estimator: FlowEstimator, folder: str | Path) -> None:
        self.estimator = estimator
        self.folder = Path(folder)

    def __call__(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """See the protocol."""
        flows = []
        for index in range(len(key)):
            one = slice(index, index + 1)
            path = self.folder / f"{_digest(key[index], reference[index])}.npy"
            if not path.is_file():
                named = None if pairs is None else pairs[one]
                _write(path, self.estimator(key[one], reference[one], named)[0])
            flows.append(torch.from_numpy(np.load(path)))
        return torch.stack(flows).to(key)


class RgbFlow(nn.Module):
    """An estimator for frames as a clip holds them: normalised, perhaps in BGR.

    Args:
        estimator: wants RGB in 0..255.
        mean: of the normalisation, three numbers.
        std: of the normalisation.
        bgr: whether the first channel is blue.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, estimator: FlowEstimator, mean: Sequence[float], std: Sequence[float], bgr: bool
    ) -> None:
        super().__init__()
        self.estimator = estimator
        self.bgr = bgr
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def colours(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) as in a clip -> RGB in 0..255."""
        colours = (images * self.std + self.mean).clamp(0, 255)
        return colours.flip(1) if self.bgr else colours

    @torch.no_grad()
    def forward(
        self, key: Tensor, reference: Tensor, pairs: Sequence[FramePair] | None = None
    ) -> Tensor:
        """(N, 2, H, W) pixels from key to reference."""
        return self.estimator(self.colours(key), self.colours(reference), pairs)


def _pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) RGB in 0..255 -> (H, W, 3) uint8."""
    return image.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def _digest(*images: Tensor) -> str:
    found = hashlib.sha256()
    for image in images:
        found.update(_pixels(image).tobytes())
        found.update(str(tuple(image.shape)).encode())
    return found.hexdigest()[:32]


def _write(path: Path, flow: Tensor) -> None:
    """Atomically, since several processes may find the same pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.{id(flow)}.partial")
    with partial.open("wb") as file:
        np.save(file, flow.cpu().to(torch.float16).numpy())
    partial.replace(path)
