"""The steps of mappers: reading images, transforming annotations, turning them into Instances."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from PIL import Image, ImageOps

from detectron2._subset import absent, outside_subset
from detectron2.config import CfgNode
from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    PolygonMasks,
    polygons_to_bitmask,
)
from detectron2.utils.file_io import PathManager

from . import transforms as T
from .catalog import MetadataCatalog

__all__ = [
    "SizeMismatchError",
    "annotations_to_instances",
    "annotations_to_instances_rotated",
    "build_augmentation",
    "build_transform_gen",
    "check_image_size",
    "check_metadata_consistency",
    "convert_PIL_to_numpy",
    "convert_image_to_rgb",
    "create_keypoint_hflip_indices",
    "filter_empty_instances",
    "gen_crop_transform_with_instance",
    "get_fed_loss_cls_weights",
    "read_image",
    "transform_instance_annotations",
    "transform_keypoint_annotations",
    "transform_proposals",
]

annotations_to_instances_rotated = absent(f"{__name__}.annotations_to_instances_rotated")
create_keypoint_hflip_indices = absent(f"{__name__}.create_keypoint_hflip_indices")
get_fed_loss_cls_weights = absent(f"{__name__}.get_fed_loss_cls_weights")
transform_keypoint_annotations = absent(f"{__name__}.transform_keypoint_annotations")

# ITU-R BT.601: luma and the two scaled colour differences of RGB in 0..1, and back.
_RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]]
)
_YUV_TO_RGB = np.array([[1.0, 0.0, 1.13983], [1.0, -0.39465, -0.58060], [1.0, 2.03211, 0.0]])


class SizeMismatchError(ValueError):
    """The image on disk does not have the size that its record tells."""


def convert_PIL_to_numpy(image: Image.Image, format: str | None) -> np.ndarray:
    """Pixels of a PIL image.

    Args:
        image: any mode.
        format: a PIL mode, "BGR", "YUV-BT.601", or None to keep the mode.

    Returns:
        (H, W, C) array; "L" gives (H, W, 1) and None may give (H, W). uint8 except for
        "YUV-BT.601" (floating point) and for modes of more bits.
    """
    if format is not None:
        mode = "RGB" if format in ("BGR", "YUV-BT.601") else format
        image = image.convert(mode)
    pixels = np.asarray(image)
    if format == "L":
        return np.expand_dims(pixels, -1)
    if format == "BGR":
        return pixels[:, :, ::-1]
    if format == "YUV-BT.601":
        return np.dot(pixels / 255.0, _RGB_TO_YUV.T)
    return pixels


def convert_image_to_rgb(image: Any, format: str) -> np.ndarray:
    """Turn an image in one of the formats of `read_image` into one to look at.

    Args:
        image: (H, W, C) array or tensor.
        format: its format.

    Returns:
        (H, W, 3) RGB in 0..255; uint8, except for "YUV-BT.601".
    """
    if isinstance(image, torch.Tensor):
        image = image.cpu().numpy()
    if format == "BGR":
        return image[:, :, [2, 1, 0]]
    if format == "YUV-BT.601":
        return np.dot(image, _YUV_TO_RGB.T) * 255.0
    if format == "L":
        image = image[:, :, 0]
    return np.asarray(Image.fromarray(image.astype(np.uint8), mode=None).convert("RGB"))


def _apply_exif_orientation(image: Image.Image) -> Image.Image:
    """The image turned upright, when it was taken by a camera held otherwise."""
    try:
        return ImageOps.exif_transpose(image) or image
    except Exception as error:  # damaged EXIF data must not make an image unreadable
        logging.getLogger(__name__).debug("Cannot read the EXIF data of an image: %s", error)
        return image


def read_image(file_name: str, format: str | None = None) -> np.ndarray:
    """Read an image file, upright.

    Args:
        file_name: anything that PathManager opens.
        format: see `convert_PIL_to_numpy`. 16-bit files (depth) need None.

    Returns:
        (H, W, C) array, or (H, W) when ``format`` is None and the file has one channel.
    """
    with PathManager.open(file_name, "rb") as file:
        image = _apply_exif_orientation(Image.open(file))
        return convert_PIL_to_numpy(image, format)


def check_image_size(dataset_dict: dict, image: np.ndarray) -> None:
    """Compare an image with the "width" and "height" of its record, or fill them in.

    Raises:
        SizeMismatchError: they differ.
    """
    height, width = image.shape[:2]
    if "width" in dataset_dict or "height" in dataset_dict:
        expected = (dataset_dict["width"], dataset_dict["height"])
        if (width, height) != expected:
            of_file = (
                f" for image {dataset_dict['file_name']}" if "file_name" in dataset_dict else ""
            )
            raise SizeMismatchError(
                f"Mismatched image shape{of_file}, got {(width, height)}, expect {expected}. "
                "Please check the width/height in your annotation."
            )
    dataset_dict.setdefault("width", width)
    dataset_dict.setdefault("height", height)


def transform_proposals(
    dataset_dict: dict,
    image_shape: tuple[int, int],
    transforms: T.Transform,
    *,
    proposal_topk: int,
    min_box_size: float = 0,
) -> None:
    """Transform the proposals of a record into Instances, in place.

    Args:
        dataset_dict: with "proposal_boxes" (N, 4), "proposal_bbox_mode" and
            "proposal_objectness_logits" (N,), which are replaced by "proposals"; nothing happens
            without them.
        image_shape: (h, w) after the transforms.
        transforms: to apply.
        proposal_topk: how many of the first to keep.
        min_box_size: proposals with a side of at most this are dropped.
    """
    if "proposal_boxes" not in dataset_dict:
        return
    boxes = BoxMode.convert(
        dataset_dict.pop("proposal_boxes"),
        dataset_dict.pop("proposal_bbox_mode"),
        BoxMode.XYXY_ABS,
    )
    boxes = Boxes(transforms.apply_box(boxes))
    logits = torch.as_tensor(dataset_dict.pop("proposal_objectness_logits").astype("float32"))
    boxes.clip(image_shape)
    keep = boxes.nonempty(threshold=min_box_size)
    proposals = Instances(image_shape)
    proposals.proposal_boxes = boxes[keep][:proposal_topk]
    proposals.objectness_logits = logits[keep][:proposal_topk]
    dataset_dict["proposals"] = proposals


def get_bbox(annotation: Mapping[str, Any]) -> np.ndarray:
    """(4,) XYXY box of an annotation with "bbox" and "bbox_mode"."""
    return BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYXY_ABS)


def transform_instance_annotations(
    annotation: dict,
    transforms: T.Transform | Sequence[T.Transform],
    image_size: tuple[int, int],
    *,
    keypoint_hflip_indices: np.ndarray | None = None,
) -> dict:
    """Transform box and segmentation of one instance, in place.

    Args:
        annotation: with "bbox" and "bbox_mode"; "segmentation" may be polygons, or an RLE, which
            becomes a (H, W) bool mask.
        transforms: a transform or a list of them.
        image_size: (h, w) after the transforms; the box is clipped to it.
        keypoint_hflip_indices: outside the embedded subset unless the annotation has no keypoints.

    Returns:
        The same dict, with an XYXY box.

    Raises:
        ValueError: unknown form of segmentation.
    """
    if isinstance(transforms, (tuple, list)):
        transforms = T.TransformList(transforms)
    if "keypoints" in annotation:
        outside_subset("Transforming keypoint annotations")
    box = transforms.apply_box(np.array([get_bbox(annotation)]))[0].clip(min=0)
    annotation["bbox"] = np.minimum(box, list(image_size + image_size)[::-1])
    annotation["bbox_mode"] = BoxMode.XYXY_ABS
    if "segmentation" in annotation:
        annotation["segmentation"] = _transform_segmentation(
            annotation["segmentation"], transforms, image_size
        )
    return annotation


def _transform_segmentation(
    segmentation: list | dict, transforms: T.Transform, image_size: tuple[int, int]
) -> list[np.ndarray] | np.ndarray:
    if isinstance(segmentation, list):
        polygons = [np.asarray(polygon).reshape(-1, 2) for polygon in segmentation]
        return [polygon.reshape(-1) for polygon in transforms.apply_polygons(polygons)]
    if isinstance(segmentation, dict):
        mask = transforms.apply_segmentation(mask_util.decode(segmentation))
        assert tuple(mask.shape[:2]) == tuple(image_size), (
            f"the transformed mask is {mask.shape[:2]}, the image {image_size}"
        )
        return mask
    raise ValueError(
        f"segmentation must be a list of polygons or an RLE dict, got {type(segmentation)}"
    )


def annotations_to_instances(
    annos: list[dict], image_size: tuple[int, int], mask_format: str = "polygon"
) -> Instances:
    """Training targets from the annotations of an image.

    Args:
        annos: transformed annotations; all or none with "segmentation".
        image_size: (h, w) of the image.
        mask_format: "polygon" (then segmentations must be polygons), or "bitmask".

    Returns:
        Fields gt_boxes (Boxes), gt_classes ((N,) int64), and gt_masks (PolygonMasks or BitMasks)
        when the annotations have segmentations.

    Raises:
        ValueError: segmentations that do not suit the format.
    """
    boxes = np.stack([get_bbox(annotation) for annotation in annos]) if annos else np.zeros((0, 4))
    instances = Instances(image_size)
    instances.gt_boxes = Boxes(boxes)
    classes = [int(annotation["category_id"]) for annotation in annos]
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    if annos and "segmentation" in annos[0]:
        segmentations = [annotation["segmentation"] for annotation in annos]
        if mask_format == "polygon":
            instances.gt_masks = _to_polygon_masks(segmentations)
        else:
            assert mask_format == "bitmask", mask_format
            masks = [_to_bitmask(segmentation, image_size) for segmentation in segmentations]
            instances.gt_masks = BitMasks(
                torch.stack([torch.from_numpy(np.ascontiguousarray(mask)) for mask in masks])
            )
    if annos and "keypoints" in annos[0]:
        outside_subset("Instances with keypoints")
    return instances


def _to_polygon_masks(segmentations: list) -> PolygonMasks:
    try:
        return PolygonMasks(segmentations)
    except ValueError as error:
        raise ValueError(
            "mask_format='polygon' needs segmentations that are all polygons"
        ) from error


def _to_bitmask(segmentation: list | dict | np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(H, W) mask from polygons, an RLE or a mask."""
    if isinstance(segmentation, list):
        return polygons_to_bitmask(segmentation, *image_size)
    if isinstance(segmentation, dict):
        return mask_util.decode(segmentation)
    if isinstance(segmentation, np.ndarray):
        assert segmentation.ndim == 2, (
            f"a segmentation array must be (H, W), got {segmentation.shape}"
        )
        return segmentation
    raise ValueError(
        "segmentation must be a list of polygons, an RLE dict or an (H, W) array, "
        f"got {type(segmentation)}"
    )


def filter_empty_instances(
    instances: Instances,
    by_box: bool = True,
    by_mask: bool = True,
    box_threshold: float = 1e-5,
    return_mask: bool = False,
) -> Instances | tuple[Instances, torch.Tensor]:
    """Drop instances that cropping left with nothing.

    Args:
        instances: with gt_boxes and maybe gt_masks.
        by_box: drop those with a side of at most ``box_threshold``.
        by_mask: drop those with an empty mask.
        box_threshold: pixels.
        return_mask: also return which were kept.

    Returns:
        The instances that are left; with ``return_mask``, and a (N,) bool tensor.
    """
    assert by_box or by_mask, "at least one of by_box and by_mask must be True"
    conditions = []
    if by_box:
        conditions.append(instances.gt_boxes.nonempty(threshold=box_threshold))
    if by_mask and instances.has("gt_masks"):
        conditions.append(instances.gt_masks.nonempty())
    if not conditions:
        return instances
    keep = conditions[0]
    for condition in conditions[1:]:
        keep = keep & condition
    return (instances[keep], keep) if return_mask else instances[keep]


def gen_crop_transform_with_instance(
    crop_size: tuple[int, int], image_size: tuple[int, int], instance: dict
) -> T.CropTransform:
    """A random crop that contains the centre of an instance.

    Args:
        crop_size: (h, w), made smaller where the image is.
        image_size: (h, w).
        instance: annotation with a box.
    """
    size = np.asarray(crop_size, dtype=np.int32)
    box = BoxMode.convert(instance["bbox"], instance["bbox_mode"], BoxMode.XYXY_ABS)
    center = np.array([(box[1] + box[3]) * 0.5, (box[0] + box[2]) * 0.5])  # y, x
    assert center[0] < image_size[0] and center[1] < image_size[1], (
        f"the centre of the box {box} is outside the image of {image_size}"
    )
    assert all(np.asarray(image_size) >= size), f"crop {crop_size} larger than image {image_size}"
    lowest = np.maximum(np.floor(center).astype(np.int32) - size, 0)
    highest = np.maximum(np.asarray(image_size, dtype=np.int32) - size, 0)
    highest = np.minimum(highest, np.ceil(center).astype(np.int32))
    y0 = np.random.randint(lowest[0], highest[0] + 1)
    x0 = np.random.randint(lowest[1], highest[1] + 1)
    return T.CropTransform(x0, y0, int(size[1]), int(size[0]))


def check_metadata_consistency(key: str, dataset_names: Sequence[str]) -> None:
    """Compare a metadata entry between data sets.

    Args:
        key: such as "thing_classes".
        dataset_names: in MetadataCatalog.

    Raises:
        AttributeError: a data set does not have it.
        ValueError: the values differ.
    """
    if len(dataset_names) == 0:
        return
    entries = [getattr(MetadataCatalog.get(name), key) for name in dataset_names]
    for name, entry in zip(dataset_names, entries, strict=True):
        if entry != entries[0]:
            logging.getLogger(__name__).error(
                "'%s' of %s is %s, of %s it is %s", key, name, entry, dataset_names[0], entries[0]
            )
            raise ValueError(f"'{key}' differs between the data sets {list(dataset_names)}")


def build_augmentation(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """The default augmentations: resizing, and in training a random flip.

    Args:
        cfg: the keys MIN_SIZE_*, MAX_SIZE_* and RANDOM_FLIP of INPUT count.
        is_train: training or testing.
    """
    if is_train:
        min_size, max_size = cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN
        sample_style = cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    else:
        min_size, max_size = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
        sample_style = "choice"
    augmentations: list[T.Augmentation] = [T.ResizeShortestEdge(min_size, max_size, sample_style)]
    if is_train and cfg.INPUT.RANDOM_FLIP != "none":
        augmentations.append(
            T.RandomFlip(
                horizontal=cfg.INPUT.RANDOM_FLIP == "horizontal",
                vertical=cfg.INPUT.RANDOM_FLIP == "vertical",
            )
        )
    return augmentations


build_transform_gen = build_augmentation  # name of earlier versions
