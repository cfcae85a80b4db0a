"""What the meta-architectures do to images before the backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectron2.modeling.backbone import Backbone
from detectron2.structures import ImageList


class ImageModel(nn.Module):
    """A module that takes dicts with images; it knows the colours to subtract.

    ``pixel_mean`` and ``pixel_std`` are (C, 1, 1) buffers outside the state dict.
    """

    def __init__(self, pixel_mean: list[float], pixel_std: list[float]) -> None:
        super().__init__()
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        assert self.pixel_mean.shape == self.pixel_std.shape, (
            f"pixel_mean has {len(pixel_mean)} channels, pixel_std {len(pixel_std)}"
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    def _batch_images(self, batched_inputs: list[dict], backbone: Backbone) -> ImageList:
        """Normalise, then pad with zeros (the mean colour) as the backbone wants it."""
        images = [
            (item["image"].to(self.device) - self.pixel_mean) / self.pixel_std
            for item in batched_inputs
        ]
        return ImageList.from_tensors(
            images,
            backbone.size_divisibility,
            padding_constraints=backbone.padding_constraints,
        )

    def _batch_labels(
        self, batched_inputs: list[dict], backbone: Backbone, ignore_value: int
    ) -> Tensor:
        """The ``sem_seg`` maps as (N, H, W), padded like the images with ``ignore_value``."""
        return ImageList.from_tensors(
            [item["sem_seg"].to(self.device) for item in batched_inputs],
            backbone.size_divisibility,
            ignore_value,
            backbone.padding_constraints,
        ).tensor


def _output_size(item: dict, image_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that the caller wants; by default that of the input."""
    return item.get("height", image_size[0]), item.get("width", image_size[1])
