"""One mapper for all datasets: records -> clips for training, windows for inference."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from dvps_d2.formats import (
    READERS,
    VOID,
    DatasetReader,
    FormatError,
    FrameRecord,
    PanopticLabel,
)

from .augmentations import (
    apply_to_numbers,
    magnification,
    seeded,
    test_augmentations,
    training_augmentations,
)
from .clip_sampling import ClipSampling
from .segments import (
    CROWD_RULES,
    SegmentMaps,
    frame_instances,
    number_segments,
    things_in_every_frame,
)

# Depth travels through transforms as metres x 256, the coding of the files.
DEPTH_UNIT = 256.0


class ClipMapper:
    """A record -> one training clip, with one transform replayed over all of it.

    Args:
        augmentations: Detectron2 augmentations or transforms.
        sampling: how frames are drawn.
        image_format: "RGB" or "BGR".
        scale_depth: divide depth by the magnification of the image.
        bound_depth: clip divided depth to the range that its map had before.
        with_depth: read depth (the records must have it).
        with_boxes: add ``instances`` and ``sem_seg`` to every frame.
        keep_vanished: keep things in ``instances`` of frames where they are not visible.
        crowd: "drop" makes regions of things that were not told apart void, "segment" one target
            for each class.
        redraws: how often a clip is drawn again because one of its frames shows no thing.
        unlabelled_references: let reference frames be frames without labels, which then count as
            void; the key frame comes first in the clip.
        seed: with the draw number, decides everything random about a clip.
    """

    def __init__(
        self,
        augmentations: Sequence[Any],
        sampling: ClipSampling,
        *,
        image_format: str = "RGB",
        scale_depth: bool = True,
        bound_depth: bool = False,
        with_depth: bool = False,
        with_boxes: bool = False,
        keep_vanished: bool = False,
        crowd: str = "drop",
        redraws: int = 0,
        unlabelled_references: bool = False,
        seed: int = 0,
    ) -> None:
        if crowd not in CROWD_RULES:
            raise ValueError(f"INPUT.CROWD={crowd!r} is none of {', '.join(CROWD_RULES)}")
        if unlabelled_references and (with_boxes or with_depth or redraws):
            raise ValueError(
                "INPUT.UNLABELLED_REFERENCES does not go with INPUT.BOXES, depth or "
                "INPUT.REDRAW_WITHOUT_THINGS: they need the labels of every frame"
            )
        self.augmentations = T.AugmentationList(augmentations)
        self.sampling = sampling
        self.image_format = image_format
        self.scale_depth = scale_depth
        self.bound_depth = bound_depth
        self.with_depth = with_depth
        self.with_boxes = with_boxes
        self.keep_vanished = keep_vanished
        self.crowd = crowd
        self.redraws = redraws
        self.unlabelled_references = unlabelled_references
        self.seed = seed

    @classmethod
    def from_config(cls, cfg: Any) -> ClipMapper:
        """The mapper that a config describes."""
        return cls(
            training_augmentations(cfg),
            ClipSampling.from_config(cfg),
            image_format=cfg.INPUT.FORMAT,
            scale_depth=cfg.INPUT.SCALE_DEPTH,
            bound_depth=cfg.INPUT.DEPTH_BOUND,
            with_depth=cfg.MODEL.DVPS.DEPTH.ENABLED,
            with_boxes=cfg.INPUT.BOXES,
            keep_vanished=cfg.INPUT.KEEP_VANISHED,
            crowd=cfg.INPUT.CROWD,
            redraws=cfg.INPUT.REDRAW_WITHOUT_THINGS,
            unlabelled_references=cfg.INPUT.UNLABELLED_REFERENCES,
            seed=max(cfg.SEED, 0),
        )

    def __call__(self, record: dict[str, Any], draw: int) -> dict[str, Any]:
        """Draw clip number ``draw`` from a video.

        Args:
            record: a dataset dict with ``dataset_name``.
            draw: number of the draw in the run; the same number gives the same clip.

        Returns:
            ``{"video_id", "width", "height", "key_frame": place of the key frame in the clip,
            "frames": [{"image" (3, H, W) uint8, "frame_id", "file_name"}], "targets":
            SegmentMaps}``. With boxes, frames also have ``instances`` (see `frame_instances`) and
            ``sem_seg`` (H, W) int64, 255 = void, as Detectron2's own models take them.

        Raises:
            ValueError: no labelled frame; label or depth of another size than the image.
        """
        rng = np.random.default_rng((self.seed, draw))
        labelled = [frame for frame in record["frames"] if frame["labelled"]]
        if not labelled:
            raise ValueError(
                f"video {record['video_id']!r} of {record['dataset_name']} has no labelled frame; "
                f"exclude it from training"
            )
        reader = READERS[MetadataCatalog.get(record["dataset_name"]).reader]
        drawable = record["frames"] if self.unlabelled_references else labelled
        item = self._draw(record["video_id"], drawable, reader, rng)
        for _ in range(self.redraws):
            if things_in_every_frame(item["targets"], reader.categories.thing_ids):
                break
            item = self._draw(record["video_id"], drawable, reader, rng)
        return item

    def _draw(
        self,
        video_id: str,
        drawable: Sequence[FrameRecord],
        reader: DatasetReader,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        numbers = [frame["frame_id"] for frame in drawable]
        if self.unlabelled_references:
            keys = [place for place, frame in enumerate(drawable) if frame["labelled"]]
            drawn = self.sampling.draw_beside(numbers, keys, rng)
        else:
            drawn = self.sampling.draw(numbers, rng)
        frames = [drawable[place] for place in drawn.places]
        with seeded(int(rng.integers(2**32))):
            images, transforms = self._images(frames)
            key = reader.read_panoptic(frames[drawn.key])
            labels = [
                key if t == drawn.key else reader.read_panoptic(f) if f["labelled"] else _void(key)
                for t, f in enumerate(frames)
            ]
            targets = self._targets(frames, labels, reader, transforms, images)
        height, width = images[0].shape[:2]
        entries: list[dict[str, Any]] = [
            {
                "image": _to_tensor(image),
                "frame_id": frame["frame_id"],
                "file_name": frame["file_name"],
            }
            for image, frame in zip(images, frames, strict=True)
        ]
        if self.with_boxes:
            things = reader.categories.thing_ids
            instances = frame_instances(targets, things, keep_vanished=self.keep_vanished)
            for entry, frame, label, found in zip(entries, frames, labels, instances, strict=True):
                classes = apply_to_numbers(transforms, reader.read_semantic(frame, label))
                entry["sem_seg"] = torch.from_numpy(classes.astype(np.int64))
                entry["instances"] = found
        return {
            "video_id": video_id,
            "height": height,
            "width": width,
            "key_frame": drawn.key,
            "frames": entries,
            "targets": targets,
        }

    def _images(self, frames: Sequence[FrameRecord]) -> tuple[list[np.ndarray], Any]:
        first = T.AugInput(read_frame(frames[0], self.image_format))
        size = first.image.shape
        # Colour transforms draw anew whenever they are applied: replay them from one state.
        state = random.getstate()
        transforms = self.augmentations(first)
        images = [first.image]
        for frame in frames[1:]:
            random.setstate(state)
            image = read_frame(frame, self.image_format)
            if image.shape != size:
                raise ValueError(
                    f"{frame['file_name']} is {image.shape[1]} x {image.shape[0]}, but "
                    f"{frames[0]['file_name']} of the same video is {size[1]} x {size[0]}"
                )
            images.append(transforms.apply_image(image))
        return images, transforms

    def _targets(
        self,
        frames: Sequence[FrameRecord],
        labels: Sequence[PanopticLabel],
        reader: DatasetReader,
        transforms: Any,
        images: Sequence[np.ndarray],
    ) -> SegmentMaps:
        segments = number_segments(labels, reader.categories, crowd=self.crowd)
        maps = []
        for frame, numbers, image in zip(frames, segments.maps, images, strict=True):
            numbers = apply_to_numbers(transforms, numbers)
            _check_size(numbers, image, frame["pan_seg_file_name"], frame["file_name"])
            maps.append(numbers)
        stacked = np.stack(maps)  # (T, H, W)
        seen = np.flatnonzero(np.bincount(stacked.ravel()))
        seen = seen[seen > 0]
        if len(seen) < len(segments.class_ids):  # the transform has cut segments away
            new = np.zeros(len(segments.class_ids) + 1, stacked.dtype)
            new[seen] = np.arange(1, len(seen) + 1)
            stacked = new[stacked]
        depth = None
        if self.with_depth:
            depth = np.stack(
                [
                    self._depth(frame, reader, transforms, image)
                    for frame, image in zip(frames, images, strict=True)
                ]
            )
        if stacked.dtype == np.uint16:  # few operations of PyTorch take it
            stacked = stacked.astype(np.int16)
        return SegmentMaps(
            class_ids=torch.from_numpy(segments.class_ids[seen - 1]),
            track_ids=torch.from_numpy(segments.track_ids[seen - 1]),
            numbers=torch.from_numpy(stacked),
            depth=None if depth is None else torch.from_numpy(depth),
        )

    def _depth(
        self, frame: FrameRecord, reader: DatasetReader, transforms: Any, image: np.ndarray
    ) -> np.ndarray:
        if frame["depth_file_name"] is None:  # not measured: no supervision in this frame
            return np.zeros(image.shape[:2], dtype=np.float32)
        recorded = np.rint(reader.read_depth(frame) * DEPTH_UNIT).astype(np.uint16)
        coded = apply_to_numbers(transforms, recorded)
        _check_size(coded, image, frame["depth_file_name"], frame["file_name"])
        depth = coded.astype(np.float32) / np.float32(DEPTH_UNIT)
        if not self.scale_depth:
            return depth
        depth = depth / magnification(transforms)
        measured = recorded[recorded > 0]
        if self.bound_depth and measured.size:
            low, high = measured.min() / DEPTH_UNIT, measured.max() / DEPTH_UNIT
            depth = np.where(depth > 0, depth.clip(low, high), 0).astype(np.float32)
        return depth


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
            image = read_frame(frame, self.image_format)
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


def read_frame(frame: FrameRecord, image_format: str) -> np.ndarray:
    """(H, W, 3) uint8 image of a frame; an error names the file."""
    try:
        return utils.read_image(frame["file_name"], format=image_format)
    except (OSError, SyntaxError) as error:  # PIL's for files that are no image, or damaged
        raise FormatError(f"{frame['file_name']} is not a readable image: {error}") from error


def _check_size(values: np.ndarray, image: np.ndarray, file_name: str, image_name: str) -> None:
    if values.shape != image.shape[:2]:
        raise ValueError(
            f"{file_name} is {values.shape[1]} x {values.shape[0]} after augmentation, but its "
            f"image {image_name} is {image.shape[1]} x {image.shape[0]}; label, depth and image "
            f"must have the same size"
        )


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _void(label: PanopticLabel) -> PanopticLabel:
    """A label of the same size that says nothing."""
    return PanopticLabel(np.full_like(label.class_ids, VOID), np.zeros_like(label.track_ids))
