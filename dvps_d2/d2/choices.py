"""Names in a config -> what they stand for, and the dataset that a config is about."""

from __future__ import annotations

from typing import Any

from detectron2.data import MetadataCatalog


def choose(key: str, value: str, choices: dict[str, Any]) -> Any:
    """Look a config value up.

    Raises:
        ValueError: names the key, the value and the choices.
    """
    if value not in choices:
        raise ValueError(f"{key}={value!r} is not one of {', '.join(choices)}")
    return choices[value]


def dataset_metadata(cfg: Any) -> Any:
    """Metadata of the dataset that names the classes, checked against the class count.

    Raises:
        ValueError: no dataset is named, it is not registered, or its class count differs.
    """
    names = tuple(cfg.DATASETS.TRAIN) or tuple(cfg.DATASETS.TEST)
    if not names:
        raise ValueError("set DATASETS.TRAIN or DATASETS.TEST: the dataset names the classes")
    metadata = MetadataCatalog.get(names[0])
    classes = metadata.get("thing_classes")
    if classes is None:
        raise ValueError(
            f"dataset {names[0]!r} is not registered with thing_classes and thing_ids; use "
            f"dvps_d2.d2.register_video_dataset"
        )
    if len(classes) != cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES:
        raise ValueError(
            f"MODEL.SEM_SEG_HEAD.NUM_CLASSES={cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES}, but dataset "
            f"{names[0]!r} has {len(classes)} classes"
        )
    return metadata
