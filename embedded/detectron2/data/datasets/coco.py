"""COCO's instance annotations, and folders of images with label maps."""

import contextlib
import copy
import io
import logging
import os
from typing import Any

import pycocotools.mask as mask_util

from detectron2._subset import absent
from detectron2.data.catalog import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from detectron2.utils.file_io import PathManager

__all__ = ["convert_to_coco_json", "load_coco_json", "load_sem_seg", "register_coco_instances"]

convert_to_coco_json = absent(f"{__name__}.convert_to_coco_json")

_COPIED_KEYS = ("iscrowd", "bbox", "keypoints", "category_id")
_FEWEST_POLYGON_NUMBERS = 6

logger = logging.getLogger(__name__)


def load_coco_json(
    json_file: str,
    image_root: str,
    dataset_name: str | None = None,
    extra_annotation_keys: list[str] | None = None,
) -> list[dict]:
    """Records of a file in COCO's instance format.

    Args:
        json_file: the annotations.
        image_root: folder of the images.
        dataset_name: when given, its metadata gets ``thing_classes`` and
            ``thing_dataset_id_to_contiguous_id``: class ids are 0..K-1 in the order of the file's
            category ids. Without it, "category_id" is the file's.
        extra_annotation_keys: further keys of an annotation to keep.

    Returns:
        One record per image, by image id: file_name, height, width, image_id, annotations (with
        an XYWH box; invalid polygons are left out).

    Raises:
        KeyError: an annotation has a category that the file does not list.
        ValueError: an empty segmentation.
    """
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress with print
        api = COCO(PathManager.get_local_path(json_file))
    class_ids = None if dataset_name is None else _register_classes(api, dataset_name)

    annotation_ids = [
        annotation["id"] for of_image in api.imgToAnns.values() for annotation in of_image
    ]
    assert len(set(annotation_ids)) == len(annotation_ids), f"{json_file}: annotation ids repeat"
    keys = [*_COPIED_KEYS, *(extra_annotation_keys or [])]
    records, dropped = [], 0
    for image_id in sorted(api.imgs):
        image = api.imgs[image_id]
        annotations = []
        for source in api.imgToAnns[image_id]:
            assert source["image_id"] == image_id, f"annotation of {image_id}: {source}"
            assert source.get("ignore", 0) == 0, f"'ignore' is not supported: {source}"
            annotation = _convert_annotation(source, keys, class_ids)
            if annotation is None:
                dropped += 1
            else:
                annotations.append(annotation)
        records.append(
            {
                "file_name": os.path.join(image_root, image["file_name"]),
                "height": image["height"],
                "width": image["width"],
                "image_id": image_id,
                "annotations": annotations,
            }
        )
    logger.info("Loaded %d images in COCO format from %s", len(records), json_file)
    if dropped:
        logger.warning(
            "%s: left out %d instances without a valid segmentation. An instance needs a polygon "
            "of at least 3 points.",
            json_file,
            dropped,
        )
    return records


def _register_classes(api: Any, dataset_name: str) -> dict[int, int]:
    """Write class names and the id map into the metadata; returns file id -> class id."""
    metadata = MetadataCatalog.get(dataset_name)
    categories = api.loadCats(sorted(api.getCatIds()))
    metadata.thing_classes = [category["name"] for category in categories]
    class_ids = {category["id"]: index for index, category in enumerate(categories)}
    if list(class_ids) != list(range(1, len(class_ids) + 1)):
        logger.warning(
            "Category ids in annotations are not in [1, #categories]: they are mapped to 0, 1, ..."
        )
    metadata.thing_dataset_id_to_contiguous_id = class_ids
    return class_ids


def _convert_annotation(
    source: dict, keys: list[str], class_ids: dict[int, int] | None
) -> dict | None:
    """Our form of an annotation; None when its polygons are all invalid."""
    annotation = {key: source[key] for key in keys if key in source}
    if "bbox" in annotation and len(annotation["bbox"]) == 0:
        raise ValueError(
            f"annotation {source.get('id')} of image {source['image_id']} has an empty bbox"
        )
    segmentation = source.get("segmentation")
    if segmentation:
        if isinstance(segmentation, dict):
            if isinstance(segmentation["counts"], list):  # uncompressed
                segmentation = mask_util.frPyObjects(segmentation, *segmentation["size"])
        else:
            segmentation = [
                polygon
                for polygon in segmentation
                if len(polygon) % 2 == 0 and len(polygon) >= _FEWEST_POLYGON_NUMBERS
            ]
            if len(segmentation) == 0:
                return None
        annotation["segmentation"] = segmentation
    keypoints = annotation.get("keypoints")
    if keypoints:
        # COCO's x and y are pixel indices; ours are positions, and a pixel's middle is at 0.5.
        annotation["keypoints"] = [
            value + 0.5 if position % 3 != 2 else value for position, value in enumerate(keypoints)
        ]
    annotation["bbox_mode"] = BoxMode.XYWH_ABS
    if class_ids is not None:
        try:
            annotation["category_id"] = class_ids[annotation["category_id"]]
        except KeyError as error:
            raise KeyError(
                f"annotation {source.get('id')} of image {source['image_id']} has the category "
                f"{annotation['category_id']}, which the file's categories do not list"
            ) from error
    return annotation


def load_sem_seg(
    gt_root: str, image_root: str, gt_ext: str = "png", image_ext: str = "jpg"
) -> list[dict]:
    """Records of a folder of images and a folder of label maps with the same names.

    Args:
        gt_root: label maps, one channel, 255 for ignored pixels.
        image_root: images.
        gt_ext: extension of label maps.
        image_ext: extension of images.

    Returns:
        Records with file_name and sem_seg_file_name, sorted. When the folders do not match, the
        images and maps that both have, with a warning.
    """
    label_names = _names(gt_root, gt_ext)
    image_names = _names(image_root, image_ext)
    assert len(label_names) > 0, f"no .{gt_ext} files in {gt_root}"
    if label_names != image_names:
        common = sorted(set(label_names) & set(image_names))
        logger.warning(
            "%s and %s have %d and %d files; using the %d names in both",
            image_root,
            gt_root,
            len(image_names),
            len(label_names),
            len(common),
        )
        label_names = image_names = common
    return [
        {
            "file_name": os.path.join(image_root, f"{image_name}.{image_ext}"),
            "sem_seg_file_name": os.path.join(gt_root, f"{label_name}.{gt_ext}"),
        }
        for image_name, label_name in zip(image_names, label_names, strict=True)
    ]


def _names(root: str, extension: str) -> list[str]:
    """Sorted names of the files in a folder, without their extension; not of subfolders."""
    suffix = f".{extension}"
    return sorted(
        name.removesuffix(suffix) for name in PathManager.ls(root) if name.endswith(suffix)
    )


def register_coco_instances(name: str, metadata: dict, json_file: str, image_root: str) -> None:
    """Register a data set in COCO's instance format; the file is read when it is needed.

    Args:
        name: such as "my_data_train".
        metadata: further metadata; may be empty.
        json_file: the annotations.
        image_root: folder of the images.
    """
    assert isinstance(name, str), name
    assert isinstance(json_file, (str, os.PathLike)), json_file
    assert isinstance(image_root, (str, os.PathLike)), image_root
    DatasetCatalog.register(name, lambda: load_coco_json(json_file, image_root, name))
    MetadataCatalog.get(name).set(
        json_file=json_file,
        image_root=image_root,
        evaluator_type="coco",
        **copy.copy(metadata),
    )
