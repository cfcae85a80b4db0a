"""One mapper for all datasets: records -> clips for training, windows for inference."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from dvps_d2.formats import READERS, VOID, DatasetReader
from dvps_d2.structures import ClipTargets

# Depth travels through transforms as the two bytes of metres x 256, the coding of the files.
DEPTH_UNIT = 256.0


@dataclass(frozen=True)
class ClipSampling:
    """How a training clip is drawn from a video.

    Attributes:
        num_frames: frames per clip.
        max_distance: reference frames lie within this many frames of the key frame.
    """

    num_frames: int = 1
    max_distance: int = 2

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.max_distance < 0:
            raise ValueError(
                f"a clip needs num_frames >= 1 and max_distance >= 0, got {self.num_frames} and "
                f"{self.max_distance}"
            )

    def draw(self, labelled: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Positions of one clip, in temporal order.

        Args:
            labelled: positions of the frames with labels.
            rng: source of randomness.

        Returns:
            ``num_frames`` entries of ``labelled``: a key frame anywhere and reference frames
            around it, without repetition as long as there are enough, else repeated.
        """
        key = int(rng.integers(len(labelled)))
        low = max(0, key - self.max_distance)
        high = min(len(labelled), key + self.max_distance + 1)
        around = [place for place in range(low, high) if place != key]
        wanted = self.num_frames - 1
        if wanted > len(around):
            around = around or [key]
            extra = rng.choice(around, size=wanted, replace=True)
        else:
            extra = rng.choice(around, size=wanted, replace=False) if wanted else []
        return [labelled[place] for place in sorted([key, *map(int, extra)])]


class ClipMapper:
    """A record -> one training clip, with one transform replayed over all of it.

    Args:
        augmentations: Detectron2 augmentations or transforms.
        sampling: how frames are drawn.
        image_format: "RGB" or "BGR".
        scale_depth: divide depth by the magnification of the image.
        with_depth: read depth (the records must have it).
        seed: with the draw number, decides everything random about a clip.
    """

    def __init__(
        self,
        augmentations: Sequence[Any],
        sampling: ClipSampling,
        *,
        image_format: str = "RGB",
        scale_depth: bool = True,
        with_depth: bool = False,
        seed: int = 0,
    ) -> None:
        self.augmentations = T.AugmentationList(augmentations)
        self.sampling = sampling
        self.image_format = image_format
        self.scale_depth = scale_depth
        self.with_depth = with_depth
        self.seed = seed

    @classmethod
    def from_config(cls, cfg: Any) -> ClipMapper:
        """The mapper that a config describes."""
        return cls(
            training_augmentations(cfg),
            ClipSampling(cfg.INPUT.SAMPLING_FRAME_NUM, cfg.INPUT.SAMPLING_FRAME_RANGE),
            image_format=cfg.INPUT.FORMAT,
            scale_depth=cfg.INPUT.SCALE_DEPTH,
            with_depth=cfg.MODEL.DVPS.DEPTH.ENABLED,
            seed=max(cfg.SEED, 0),
        )

    def __call__(self, record: dict[str, Any], draw: int) -> dict[str, Any]:
        """Draw clip number ``draw`` from a video.

        Args:
            record: a dataset dict with ``dataset_name``.
            draw: number of the draw in the run; the same number gives the same clip.

        Returns:
            ``{"video_id", "width", "height", "frames": [{"image" (3, H, W) uint8, "frame_id",
            "file_name"}], "targets": ClipTargets}``.

        Raises:
            ValueError: no labelled frame; label or depth of another size than the image.
        """
        rng = np.random.default_rng((self.seed, draw))
        labelled = [i for i, frame in enumerate(record["frames"]) if frame["labelled"]]
        if not labelled:
            raise ValueError(
                f"video {record['video_id']!r} of {record['dataset_name']} has no labelled frame; "
                f"exclude it from training"
            )
        frames = [record["frames"][i] for i in self.sampling.draw(labelled, rng)]
        reader = READERS[MetadataCatalog.get(record["dataset_name"]).reader]
        with seeded(int(rng.integers(2**32))):
            images, transforms = self._images(frames)
            targets = self._targets(frames, reader, transforms, images)
        height, width = images[0].shape[:2]
        return {
            "video_id": record["video_id"],
            "height": height,
            "width": width,
            "frames": [
                {
                    "image": _to_tensor(image),
                    "frame_id": frame["frame_id"],
                    "file_name": frame["file_name"],
                }
                for image, frame in zip(images, frames, strict=True)
            ],
            "targets": targets,
        }

    def _images(self, frames: Sequence[dict[str, Any]]) -> tuple[list[np.ndarray], Any]:
        first = T.AugInput(utils.read_image(frames[0]["file_name"], format=self.image_format))
        # Colour transforms draw anew whenever they are applied: replay them from one state.
        state = random.getstate()
        transforms = self.augmentations(first)
        images = [first.image]
        for frame in frames[1:]:
            random.setstate(state)
            image = utils.read_image(frame["file_name"], format=self.image_format)
            images.append(transforms.apply_image(image))
        return images, transforms

    def _targets(
        self,
        frames: Sequence[dict[str, Any]],
        reader: DatasetReader,
        transforms: Any,
        images: Sequence[np.ndarray],
    ) -> ClipTargets:
        labels = [reader.read_panoptic(frame) for frame in frames]
        keys = [(label.track_ids.astype(np.int64) << 8) | label.class_ids for label in labels]
        segments = np.unique(np.concatenate([np.unique(key) for key in keys]))
        segments = segments[(segments & 0xFF) != VOID]
        masks = []
        for frame, key, image in zip(frames, keys, images, strict=True):
            place = _index_map(key, segments)
            place = _apply_to_wide(transforms, place)
            _check_size(place, image, frame["pan_seg_file_name"], frame["file_name"])
            masks.append(place[None] == np.arange(1, len(segments) + 1)[:, None, None])
        stacked = np.stack(masks, axis=1)  # (N, T, H, W)
        seen = stacked.any(axis=(1, 2, 3))
        depth = None
        if self.with_depth:
            depth = np.stack(
                [
                    self._depth(frame, reader, transforms, image)
                    for frame, image in zip(frames, images, strict=True)
                ]
            )
        return ClipTargets(
            class_ids=torch.from_numpy((segments & 0xFF)[seen]),
            track_ids=torch.from_numpy((segments >> 8)[seen]),
            masks=torch.from_numpy(stacked[seen]),
            depth=None if depth is None else torch.from_numpy(depth),
        )

    def _depth(
        self, frame: dict[str, Any], reader: DatasetReader, transforms: Any, image: np.ndarray
    ) -> np.ndarray:
        if frame["depth_file_name"] is None:  # not measured: no supervision in this frame
            return np.zeros(image.shape[:2], dtype=np.float32)
        metres = reader.read_depth(frame)
        coded = np.round(metres * DEPTH_UNIT).astype(np.int64)
        coded = _apply_to_wide(transforms, coded)
        _check_size(coded, image, frame["depth_file_name"], frame["file_name"])
        depth = (coded / DEPTH_UNIT).astype(np.float32)
        return depth / magnification(transforms) if self.scale_depth else depth


class WindowMapper:
    """A window of a record -> an inference item; images resized, everything else as recorded.

    Args:
        augmentations: deterministic Detectron2 augmentations.
        image_format: "RGB" or "BGR".
    """

    def __init__(self, augmentations: Sequence[Any], *, image_format: str = "RGB") -> None:
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format

    @classmethod
    def from_config(cls, cfg: Any) -> WindowMapper:
        """The mapper that a config describes."""
        return cls(test_augmentations(cfg), image_format=cfg.INPUT.FORMAT)

    def __call__(self, window: dict[str, Any]) -> dict[str, Any]:
        """Decode the frames of a window; output sizes are those of the files."""
        frames = []
        for frame in window["frames"]:
            image = utils.read_image(frame["file_name"], format=self.image_format)
            entry = T.AugInput(image)
            self.augmentations(entry)
            frames.append(
                {
                    "frame_id": frame["frame_id"],
                    "file_name": frame["file_name"],
                    "height": image.shape[0],
                    "width": image.shape[1],
                    "image": _to_tensor(entry.image),
                }
            )
        return {**window, "frames": frames}


def training_augmentations(cfg: Any) -> list[Any]:
    """Resize, crop, flip and colour, as ``INPUT.*`` says."""
    augmentations: list[Any] = [
        T.ResizeShortestEdge(
            cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
        )
    ]
    if cfg.INPUT.CROP.ENABLED:
        augmentations.append(T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    if cfg.INPUT.RANDOM_FLIP != "none":
        vertical = cfg.INPUT.RANDOM_FLIP == "vertical"
        augmentations.append(T.RandomFlip(horizontal=not vertical, vertical=vertical))
    if cfg.INPUT.COLOR_AUG_SSD:
        from detectron2.projects.point_rend import ColorAugSSDTransform

        augmentations.append(ColorAugSSDTransform(img_format=cfg.INPUT.FORMAT))
    if cfg.INPUT.COLOR_JITTER > 0:
        low, high = 1 - cfg.INPUT.COLOR_JITTER, 1 + cfg.INPUT.COLOR_JITTER
        augmentations += [
            T.RandomBrightness(low, high),
            T.RandomContrast(low, high),
            T.RandomSaturation(low, high),
        ]
    return augmentations


def test_augmentations(cfg: Any) -> list[Any]:
    """Resize the shortest edge to INPUT.MIN_SIZE_TEST (0: leave frames as they are)."""
    return [T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)]


def magnification(transforms: Any) -> float:
    """How much larger a transform list makes objects: mean of the two axes' factors."""
    scale = 1.0
    for transform in transforms.transforms:
        if isinstance(transform, T.ResizeTransform):
            scale *= (transform.new_h / transform.h + transform.new_w / transform.w) / 2
    return scale


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that Detectron2's augmentations use, and put them back afterwards."""
    # Detectron2's augmentations draw from NumPy's global generator.
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _index_map(keys: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Place of every pixel's key in the sorted ``segments``, from 1; 0 where it is not there."""
    if len(segments) == 0:
        return np.zeros(keys.shape, dtype=np.int64)
    place = np.searchsorted(segments, keys).clip(max=len(segments) - 1)
    return np.where(segments[place] == keys, place + 1, 0)


def _apply_to_wide(transforms: Any, values: np.ndarray) -> np.ndarray:
    """Nearest-neighbour transform of numbers up to 65535, as two uint8 planes.

    Detectron2 resizes 8-bit label maps alone in the way that it resizes images; wider integers
    are refused and floats are sampled at other places.
    """
    low = transforms.apply_segmentation((values & 0xFF).astype(np.uint8)).astype(np.int64)
    if values.max(initial=0) <= 0xFF:
        return low
    high = transforms.apply_segmentation((values >> 8).astype(np.uint8)).astype(np.int64)
    return (high << 8) | low


def _check_size(values: np.ndarray, image: np.ndarray, file_name: str, image_name: str) -> None:
    if values.shape != image.shape[:2]:
        raise ValueError(
            f"{file_name} is {values.shape[1]} x {values.shape[0]} after augmentation, but its "
            f"image {image_name} is {image.shape[1]} x {image.shape[0]}; label, depth and image "
            f"must have the same size"
        )


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
