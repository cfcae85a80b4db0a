"""COCO's panoptic annotations: one PNG of segment ids per image, and a JSON of segments."""

import copy
import json
import os
from typing import Any

from detectron2._subset import absent
from detectron2.data.catalog import DatasetCatalog, MetadataCatalog
from detectron2.utils.file_io import PathManager

__all__ = [
    "load_coco_panoptic_json",
    "register_coco_panoptic",
    "register_coco_panoptic_separated",
]

register_coco_panoptic_separated = absent(f"{__name__}.register_coco_panoptic_separated")


def load_coco_panoptic_json(
    json_file: str, image_dir: str, gt_dir: str, meta: dict[str, Any]
) -> list[dict]:
    """Records of a file in COCO's panoptic format.

    Args:
        json_file: the segments.
        image_dir: folder of the images (.jpg).
        gt_dir: folder of the PNGs; a pixel's id is R + 256 G + 256^2 B.
        meta: with thing_dataset_id_to_contiguous_id and stuff_dataset_id_to_contiguous_id.

    Returns:
        Records with file_name, image_id, pan_seg_file_name and segments_info, whose
        "category_id" is the class id and "isthing" a bool.
    """
    with PathManager.open(json_file) as file:
        content = json.load(file)
    records = []
    for annotation in content["annotations"]:
        image_name = os.path.splitext(annotation["file_name"])[0] + ".jpg"
        records.append(
            {
                "file_name": os.path.join(image_dir, image_name),
                "image_id": int(annotation["image_id"]),
                "pan_seg_file_name": os.path.join(gt_dir, annotation["file_name"]),
                "segments_info": [
                    _to_class_id(segment, meta) for segment in annotation["segments_info"]
                ],
            }
        )
    assert len(records), f"{json_file} lists no images"
    for name in (records[0]["file_name"], records[0]["pan_seg_file_name"]):
        assert PathManager.isfile(name), name
    return records


def _to_class_id(segment: dict, meta: dict[str, Any]) -> dict:
    """A copy of a segment with a class id for its category."""
    category = segment["category_id"]
    things = meta["thing_dataset_id_to_contiguous_id"]
    is_thing = category in things
    table = things if is_thing else meta["stuff_dataset_id_to_contiguous_id"]
    return {**segment, "category_id": table[category], "isthing": is_thing}


def register_coco_panoptic(
    name: str,
    metadata: dict,
    image_root: str,
    panoptic_root: str,
    panoptic_json: str,
    instances_json: str | None = None,
) -> None:
    """Register a data set in COCO's panoptic format; the file is read when it is needed.

    Args:
        name: such as "my_data_train_panoptic".
        metadata: must have the two id maps of `load_coco_panoptic_json`.
        image_root: folder of the images.
        panoptic_root: folder of the PNGs.
        panoptic_json: the segments.
        instances_json: annotations of the same images in COCO's instance format, for evaluation.
    """
    DatasetCatalog.register(
        name,
        lambda: load_coco_panoptic_json(panoptic_json, image_root, panoptic_root, metadata),
    )
    MetadataCatalog.get(name).set(
        panoptic_root=panoptic_root,
        image_root=image_root,
        panoptic_json=panoptic_json,
        json_file=instances_json,
        evaluator_type="coco_panoptic_seg",
        ignore_label=255,
        label_divisor=1000,
        **copy.copy(metadata),
    )
