"""Masks of objects: as bits over the image, as polygons, as small maps inside boxes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from torch import Tensor
from torchvision.ops import roi_align

from detectron2.utils.memory import retry_if_cuda_oom

from .boxes import Boxes

__all__ = [
    "BitMasks",
    "PolygonMasks",
    "ROIMasks",
    "polygons_to_bitmask",
    "rasterize_polygons_within_box",
]

_Index = int | slice | list | Tensor


def polygons_to_bitmask(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Draw the union of polygons, by COCO's rasteriser.

    Args:
        polygons: flat arrays x0, y0, x1, y1, ... in pixels.
        height: of the mask.
        width: of the mask.

    Returns:
        (height, width) bool.
    """
    if len(polygons) == 0:
        return np.zeros((height, width)).astype(bool)  # COCO's code cannot take an empty list
    codes = mask_util.merge(mask_util.frPyObjects(polygons, height, width))
    return mask_util.decode(codes).astype(bool)


def rasterize_polygons_within_box(
    polygons: list[np.ndarray], box: np.ndarray, mask_size: int
) -> Tensor:
    """Draw polygons on a square grid laid over a box.

    Args:
        polygons: flat arrays x0, y0, x1, y1, ... in pixels.
        box: (4,) x0, y0, x1, y1 in pixels; sides shorter than 0.1 count as 0.1.
        mask_size: cells per side of the grid.

    Returns:
        (mask_size, mask_size) bool tensor on the CPU.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    scale_x, scale_y = mask_size / max(width, 0.1), mask_size / max(height, 0.1)
    moved = []
    for polygon in polygons:
        polygon = np.array(polygon, copy=True)
        polygon[0::2] = (polygon[0::2] - box[0]) * scale_x
        polygon[1::2] = (polygon[1::2] - box[1]) * scale_y
        moved.append(polygon)
    return torch.from_numpy(polygons_to_bitmask(moved, mask_size, mask_size))


class BitMasks:
    """N masks over the whole image.

    Attributes:
        tensor: (N, H, W) bool.
        image_size: (H, W).
    """

    def __init__(self, tensor: Tensor | np.ndarray) -> None:
        """
        Args:
            tensor: (N, H, W); converted to bool.

        Raises:
            AssertionError: it does not have three dimensions.
        """
        if isinstance(tensor, Tensor):
            tensor = tensor.to(torch.bool)
        else:
            tensor = torch.as_tensor(tensor, dtype=torch.bool, device=torch.device("cpu"))
        assert tensor.dim() == 3, tensor.size()
        self.image_size = tensor.shape[1:]
        self.tensor = tensor

    def to(self, *args: Any, **kwargs: Any) -> "BitMasks":
        """The masks on another device."""
        return BitMasks(self.tensor.to(*args, **kwargs))

    @property
    def device(self) -> torch.device:
        """Where the tensor is."""
        return self.tensor.device

    def __getitem__(self, item: _Index) -> "BitMasks":
        """Select masks by index (kept as one mask), slice, bool mask or index tensor."""
        if isinstance(item, int):
            return BitMasks(self.tensor[item].unsqueeze(0))
        selected = self.tensor[item]
        assert selected.dim() == 3, (
            f"index {item} must select masks, it gives {tuple(selected.shape)}"
        )
        return BitMasks(selected)

    def __iter__(self) -> Iterator[Tensor]:
        """(H, W) tensors."""
        yield from self.tensor

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_instances={len(self.tensor)})"

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def nonempty(self) -> Tensor:
        """(N,) bool: at least one pixel is set."""
        return self.tensor.flatten(1).any(dim=1)

    @staticmethod
    def from_polygon_masks(
        polygon_masks: "PolygonMasks | list[list[np.ndarray]]", height: int, width: int
    ) -> "BitMasks":
        """Draw polygons over an image of the given size."""
        if isinstance(polygon_masks, PolygonMasks):
            polygon_masks = polygon_masks.polygons
        masks = [polygons_to_bitmask(polygons, height, width) for polygons in polygon_masks]
        if not masks:
            return BitMasks(torch.empty(0, height, width, dtype=torch.bool))
        return BitMasks(torch.stack([torch.from_numpy(mask) for mask in masks]))

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Sample each mask on a square grid over its box: training targets of mask heads.

        Args:
            boxes: (N, 4) in pixels, one per mask.
            mask_size: cells per side.

        Returns:
            (N, mask_size, mask_size) bool: average of the mask over the cell is at least 0.5.
        """
        assert len(boxes) == len(self), f"{len(boxes)} != {len(self)}"
        device = self.tensor.device
        index = torch.arange(len(boxes), device=device).to(dtype=boxes.dtype)[:, None]
        rois = torch.cat([index, boxes.to(device=device)], dim=1)  # (N, 5)
        masks = self.tensor.to(dtype=torch.float32)[:, None]
        pooled = roi_align(
            masks, rois.to(torch.float32), (mask_size, mask_size), 1.0, 0, aligned=True
        )
        return pooled.squeeze(1) >= 0.5

    def get_bounding_boxes(self) -> Boxes:
        """Smallest boxes around the set pixels, on the CPU; an empty mask has the box 0, 0, 0, 0.

        Edges, not indices: a mask of the first pixel has the box (0, 0, 1, 1).
        """
        boxes = torch.zeros(self.tensor.shape[0], 4, dtype=torch.float32)
        columns = self.tensor.any(dim=1).cpu()  # (N, W)
        rows = self.tensor.any(dim=2).cpu()  # (N, H)
        for index in range(len(boxes)):
            x, y = columns[index].nonzero()[:, 0], rows[index].nonzero()[:, 0]
            if len(x) > 0 and len(y) > 0:
                edges = [x[0], y[0], x[-1] + 1, y[-1] + 1]
                boxes[index] = torch.tensor(edges, dtype=torch.float32)
        return Boxes(boxes)

    @staticmethod
    def cat(bitmasks_list: list["BitMasks"]) -> "BitMasks":
        """Masks one after another; all of one image size."""
        assert isinstance(bitmasks_list, (list, tuple)) and len(bitmasks_list) > 0
        assert all(isinstance(masks, BitMasks) for masks in bitmasks_list)
        return BitMasks(torch.cat([masks.tensor for masks in bitmasks_list], dim=0))


class PolygonMasks:
    """N masks, each the union of polygons. Always on the CPU.

    Attributes:
        polygons: per mask, a list of flat float64 arrays x0, y0, x1, y1, ...
    """

    def __init__(self, polygons: list[list[Tensor | np.ndarray | Sequence[float]]]) -> None:
        """
        Args:
            polygons: as the attribute; tensors and lists are converted.

        Raises:
            ValueError: not nested lists, or a polygon with an odd count or less than 3 points.
        """
        if not isinstance(polygons, list):
            raise ValueError(
                f"polygons must be a list (of lists of polygons), got {type(polygons)}"
            )
        self.polygons = [_check_polygons(of_one_mask) for of_one_mask in polygons]

    def to(self, *args: Any, **kwargs: Any) -> "PolygonMasks":
        """The object itself."""
        return self

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def get_bounding_boxes(self) -> Boxes:
        """Smallest boxes around the points; a mask without polygons has the box 0, 0, 0, 0."""
        boxes = torch.zeros(len(self.polygons), 4, dtype=torch.float32)
        for index, polygons in enumerate(self.polygons):
            if polygons:
                points = np.concatenate([polygon.reshape(-1, 2) for polygon in polygons])
                edges = np.concatenate([points.min(axis=0), points.max(axis=0)])
                boxes[index] = torch.from_numpy(edges)
        return Boxes(boxes)

    def nonempty(self) -> Tensor:
        """(N,) bool: the mask has a polygon."""
        return torch.tensor([len(polygons) > 0 for polygons in self.polygons], dtype=torch.bool)

    def __getitem__(self, item: _Index) -> "PolygonMasks":
        """Select masks by index (kept as one mask), slice, list, bool mask or index tensor."""
        if isinstance(item, int):
            return PolygonMasks([self.polygons[item]])
        if isinstance(item, slice):
            return PolygonMasks(self.polygons[item])
        if isinstance(item, np.ndarray):
            raise TypeError("PolygonMasks cannot be indexed by arrays: use a tensor or a list")
        if isinstance(item, Tensor):
            assert item.dim() == 1, f"index must have one dimension, got {tuple(item.shape)}"
            if item.dtype == torch.bool:
                item = item.nonzero().squeeze(1)
            elif item.dtype not in (torch.int32, torch.int64):
                raise ValueError(f"an index tensor must be bool, int32 or int64, got {item.dtype}")
            item = item.tolist()
        return PolygonMasks([self.polygons[index] for index in item])

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Lists of polygons."""
        return iter(self.polygons)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_instances={len(self.polygons)})"

    def __len__(self) -> int:
        return len(self.polygons)

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        """Draw each mask on a square grid over its box: training targets of mask heads.

        Args:
            boxes: (N, 4) in pixels, one per mask.
            mask_size: cells per side.

        Returns:
            (N, mask_size, mask_size) bool on the device of ``boxes``.
        """
        assert len(boxes) == len(self), f"{len(boxes)} != {len(self)}"
        device = boxes.device
        grids = [
            rasterize_polygons_within_box(polygons, box.numpy(), mask_size)
            for polygons, box in zip(self.polygons, boxes.to(torch.device("cpu")), strict=True)
        ]
        if not grids:
            return torch.empty(0, mask_size, mask_size, dtype=torch.bool, device=device)
        return torch.stack(grids, dim=0).to(device=device)

    def area(self) -> Tensor:
        """(N,) sum of the polygons' areas; holes and overlaps are not subtracted."""
        return torch.tensor([sum(map(_polygon_area, polygons)) for polygons in self.polygons])

    @staticmethod
    def cat(polymasks_list: list["PolygonMasks"]) -> "PolygonMasks":
        """Masks one after another."""
        assert isinstance(polymasks_list, (list, tuple)) and len(polymasks_list) > 0
        assert all(isinstance(masks, PolygonMasks) for masks in polymasks_list)
        return PolygonMasks([polygons for masks in polymasks_list for polygons in masks.polygons])


def _check_polygons(polygons: list) -> list[np.ndarray]:
    """Convert the polygons of one mask to float64 arrays of at least 3 points."""
    if not isinstance(polygons, list):
        raise ValueError(f"the polygons of a mask must be a list, got {type(polygons)}")
    arrays = []
    for polygon in polygons:
        if isinstance(polygon, Tensor):
            polygon = polygon.cpu().numpy()
        array = np.asarray(polygon).astype("float64")
        if len(array) % 2 != 0 or len(array) < 6:
            raise ValueError(f"Cannot create a polygon from {len(array)} coordinates.")
        arrays.append(array)
    return arrays


def _polygon_area(polygon: np.ndarray) -> float:
    """Area by the shoelace formula."""
    x, y = polygon[0::2], polygon[1::2]
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


class ROIMasks:
    """N masks, each on a square grid over its own box (which is kept elsewhere).

    Attributes:
        tensor: (N, M, M), of any dtype, usually probabilities.
    """

    def __init__(self, tensor: Tensor) -> None:
        if tensor.dim() != 3:
            raise ValueError(f"ROIMasks must be (N, M, M), got {tuple(tensor.shape)}")
        self.tensor = tensor

    def to(self, device: torch.device | str) -> "ROIMasks":
        """The masks on another device."""
        return ROIMasks(self.tensor.to(device))

    @property
    def device(self) -> torch.device:
        """Where the tensor is."""
        return self.tensor.device

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __getitem__(self, item: slice | Tensor) -> "ROIMasks":
        """Select masks by slice, bool mask or index tensor."""
        selected = self.tensor[item]
        if selected.dim() != 3:
            raise ValueError(f"index {item} must select masks, it gives {tuple(selected.shape)}")
        return ROIMasks(selected)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_instances={len(self.tensor)})"

    def to_bitmasks(
        self, boxes: Boxes, height: int, width: int, threshold: float = 0.5
    ) -> BitMasks:
        """Paste the masks into an image.

        Args:
            boxes: one per mask, in pixels of the image.
            height: of the image.
            width: of the image.
            threshold: from which value a pixel is set.

        Returns:
            N masks over the image.
        """
        from detectron2.layers.mask_ops import paste_masks_in_image

        paste = retry_if_cuda_oom(paste_masks_in_image)
        return BitMasks(paste(self.tensor, boxes.tensor, (height, width), threshold=threshold))
