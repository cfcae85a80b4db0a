"""Registration of the supported datasets below ``$DETECTRON2_DATASETS``."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from dvps_d2.formats import READERS, STREET_CLASSES, VideoPanopticReader, add_reader

logger = logging.getLogger(__name__)

# Folder below the dataset root, per reader and name prefix.
BUILTIN = {
    "cityscapes_dvps": ("cityscapes_dvps", "cityscapes-dvps"),
    "cityscapes_vps": ("cityscapes_vps", "cityscapes_vps"),
    "viper": ("viper", "viper"),
    "vipseg": ("vipseg", "VIPSeg"),
    "semkitti_dvps": ("semkitti_dvps", "semkitti-dvps"),
    "street": ("cityscapes_dvps", "street"),
    "cityscapes_images": ("cityscapes", "cityscapes"),
}
# Readers of datasets without a protocol of their own: single images have VPQ with windows of one
# frame, which is PQ.
SCORED_AS = {"cityscapes": "cityscapes_vps"}


def register_video_dataset(
    name: str,
    reader: str,
    root: str | Path,
    split: str,
    *,
    exclude: Collection[str] = (),
    eval_classes: Collection[str] | None = None,
    **metadata: Any,
) -> None:
    """Register one split of a dataset that a reader understands.

    Args:
        name: name in ``DATASETS.TRAIN`` / ``DATASETS.TEST``.
        reader: key of :data:`dvps_d2.formats.READERS`.
        root: folder of the dataset; looked at only when the dataset is used.
        split: as the reader names it.
        exclude: frames or videos to leave out.
        eval_classes: class names that scores average over; None for the protocol's own rule.
        metadata: further metadata, e.g. ``evaluator_type``.

    Raises:
        KeyError: there is no such reader.
    """
    if reader not in READERS:
        raise KeyError(f"no reader {reader!r}; there are {', '.join(sorted(READERS))}")
    load = partial(READERS[reader].load_records, str(root), split, exclude=exclude)
    DatasetCatalog.register(name, load)
    table = READERS[reader].categories
    names = list(table.names)
    counted = None if eval_classes is None else [names.index(c) for c in eval_classes]
    contiguous = {dataset_id: i for i, dataset_id in enumerate(table.dataset_ids)}
    things = set(table.thing_ids)
    colors = [list(color) for color in table.colors]
    MetadataCatalog.get(name).set(
        reader=reader,
        thing_ids=list(table.thing_ids),
        class_colors=colors,
        eval_classes=counted,
        # Detectron2 looks names up by category id among things or among stuff: with one shared
        # numbering both lists hold all classes.
        thing_classes=names,
        stuff_classes=names,
        thing_colors=colors,
        stuff_colors=colors,
        thing_dataset_id_to_contiguous_id={d: c for d, c in contiguous.items() if c in things},
        stuff_dataset_id_to_contiguous_id={d: c for d, c in contiguous.items() if c not in things},
        ignore_label=255,
        label_divisor=1000,
        **{"evaluator_type": SCORED_AS.get(reader, reader), **metadata},
    )


def register_video_panoptic(name: str, root: str | Path, json_file: str | Path) -> None:
    """Register own data that is described by a video panoptic JSON.

    Scores average over the classes that its labels have; where frames have depth, DVPQ is scored
    beside VPQ.

    Args:
        name: name in ``DATASETS.TRAIN`` / ``DATASETS.TEST``.
        root: folder that the file names in the JSON start from.
        json_file: videos, frames and categories; see ``datasets/README.md`` for the schema and
            ``dvps check`` for a validator.
    """
    reader = VideoPanopticReader(name, json_file)
    add_reader(reader)
    with_depth = any(
        frame["depth_file_name"]
        for record in reader.load_records(root)
        for frame in record["frames"]
    )
    kind = "cityscapes_dvps" if with_depth else "cityscapes_vps"
    labelled = reader.labelled_classes() or None
    register_video_dataset(
        name,
        name,
        root,
        "all",
        evaluator_type=kind,
        eval_classes=labelled,
        json_file=str(json_file),
    )


def register_own_data(entries: Sequence[Sequence[str]]) -> None:
    """Register the own data of a config, ``DATASETS.OWN``.

    A name that is own data already is left as it is, with a warning if the files differ, so that a
    program can say where data has moved to before it loads a config.

    Args:
        entries: ``[name, json_file]`` or ``[name, json_file, root]``; the root is the folder of
            the JSON by default.

    Raises:
        ValueError: an entry of another form, or a name that another dataset has.
        TreeError: the JSON does not exist.
    """
    for entry in entries:
        if isinstance(entry, str) or len(entry) not in (2, 3):
            raise ValueError(
                f"an entry of DATASETS.OWN is [name, JSON] or [name, JSON, root], got {entry!r}"
            )
        name, json_file = entry[0], Path(entry[1])
        root = Path(entry[2]) if len(entry) == 3 else json_file.parent
        if name not in DatasetCatalog:
            register_video_panoptic(name, root, json_file)
            continue
        reader = READERS.get(name)
        if not isinstance(reader, VideoPanopticReader):
            raise ValueError(
                f"DATASETS.OWN: {name!r} is the name of another dataset; choose another"
            )
        if reader.path.resolve() != json_file.resolve():
            logger.warning("%s is registered as %s; %s is not used", name, reader.path, json_file)


def register_builtin(root: str | Path | None = None) -> None:
    """Register every supported dataset and split that is not registered yet.

    Args:
        root: parent folder of the datasets; ``$DETECTRON2_DATASETS`` or ``datasets`` by default.
    """
    root = Path(root or os.getenv("DETECTRON2_DATASETS", "datasets"))
    for prefix, (reader, folder) in BUILTIN.items():
        for split in READERS[reader].splits:
            name = f"{prefix}_{split}"
            if name not in DatasetCatalog:
                counted = STREET_CLASSES if prefix == "street" else None
                register_video_dataset(name, reader, root / folder, split, eval_classes=counted)


def metadata_of(name: str) -> Any:
    """Metadata of a registered dataset; its files are not looked at.

    Raises:
        ValueError: no dataset has this name; the message lists those there are.
    """
    if name not in DatasetCatalog:
        names = DatasetCatalog.list()
        known = [other for other in names if MetadataCatalog.get(other).get("reader", None)]
        raise ValueError(f"no dataset {name!r} is registered; there are {', '.join(known)}")
    return MetadataCatalog.get(name)


def registered(name: str) -> tuple[list[dict[str, Any]], Any]:
    """Records and metadata of a registered dataset."""
    return DatasetCatalog.get(name), MetadataCatalog.get(name)
