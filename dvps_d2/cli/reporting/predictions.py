"""Predictions that ``dvps predict`` wrote, found by the records of their dataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dvps_d2.cli.scoring import annotations as parse
from dvps_d2.cli.scoring.coded import CityscapesReader, TwoFileReader
from dvps_d2.cli.scoring.files import Side, prediction_folder, shorten
from dvps_d2.cli.scoring.png import OPAQUE, read_grey16, read_rgb_ids
from dvps_d2.formats import ClassTable, DatasetReader, FrameRecord
from dvps_d2.formats.files import read_json
from dvps_d2.metrics import LabelMap, Listing, joint_map
from dvps_d2.report import ReportFrame, ReportVideo, scores_by_key

WHAT_THERE_MAY_BE = (
    "panoptic/*.png with depth/*.png, or pred.json with pan_pred/*.png, as dvps predict writes them"
)


def is_prediction_folder(folder: Path) -> bool:
    """Whether a folder looks like something that ``dvps predict`` wrote."""
    return (folder / "panoptic").is_dir() or (folder / "pred.json").is_file()


def find_predictions(folder: Path, table: ClassTable) -> CodedPredictions | ListedPredictions:
    """Recognise a folder of predictions.

    Raises:
        ValueError: it is none.
    """
    if (folder / "panoptic").is_dir():
        return CodedPredictions(folder, table)
    if (folder / "pred.json").is_file():
        return ListedPredictions(folder, table)
    raise ValueError(f"{folder} holds no predictions: expected {WHAT_THERE_MAY_BE}")


class CodedPredictions:
    """Class and instance in the PNGs; depth beside them."""

    def __init__(self, folder: Path, table: ClassTable) -> None:
        self.folder = folder
        self.two_files = any((folder / "panoptic").glob("*_cat.png"))
        self._reader = (TwoFileReader if self.two_files else CityscapesReader)(len(table))

    def find(self, video_id: str, frame: FrameRecord) -> tuple[Side, ...]:
        """Files of a frame; () when it was not predicted."""
        stem = Path(frame["file_name"]).name.removesuffix(".png").removesuffix("_leftImg8bit")
        endings = ("_cat.png", "_ins.png") if self.two_files else (".png",)
        files = tuple(str(self.folder / "panoptic" / f"{stem}{ending}") for ending in endings)
        if not all(Path(file).is_file() for file in files):
            return ()
        depth = self.folder / "depth" / f"{stem}.png"
        return (Side(files, str(depth) if depth.is_file() else None),)

    def read(self, side: Side) -> LabelMap:
        """Decode a label map."""
        return self._reader.pred(side)


class ListedPredictions:
    """RGB-coded ids explained by ``pred.json``; no depth."""

    def __init__(self, folder: Path, table: ClassTable) -> None:
        self.folder = prediction_folder(str(folder))
        self.table = table
        self.path = str(folder / "pred.json")
        content = read_json(self.path)
        first = (content.get("annotations") or [{}])[0]
        self._nested = "video_id" in first
        read = parse.read_vipseg_predictions if self._nested else parse.read_flat_predictions
        self._found: dict[tuple[str, str], np.ndarray] = {
            (entry.video_id, alias): entry.segments
            for entry in read(self.path)
            for alias in entry.aliases
        }

    def find(self, video_id: str, frame: FrameRecord) -> tuple[Side, ...]:
        """Files of a frame; () when it was not predicted."""
        stem = Path(frame["file_name"]).stem
        names = [stem, "_".join(stem.split("_")[:-1])]  # Cityscapes-VPS: without the suffix
        for name in names:
            segments = self._found.get((video_id if self._nested else "", name))
            if segments is not None:
                place = self.folder / video_id if self._nested else self.folder
                return (Side((str(place / f"{name}.png"),), segments=segments),)
        return ()

    def read(self, side: Side) -> LabelMap:
        """Decode a label map."""
        ids, numbers, crowd, _ = side.segments.T
        try:
            class_ids = np.array([self.table.class_id(int(n)) for n in numbers], np.int64)
        except KeyError as error:
            raise ValueError(f"{self.path}: {error.args[0]}") from None
        listing = Listing(ids, class_ids, crowd == 1)
        return LabelMap(read_rgb_ids(side.panoptic[0], slot=1), listing, OPAQUE)


def videos_of_records(
    records: list[dict[str, Any]], reader: DatasetReader, folder: Path, *, with_depth: bool
) -> list[ReportVideo]:
    """All videos of a dataset whose frames were predicted.

    Args:
        records: of the dataset.
        reader: of the dataset.
        folder: of the predictions.
        with_depth: frames need predicted depth.

    Raises:
        ValueError: labelled frames without a prediction, or without depth where it is asked for.
    """
    found = find_predictions(folder, reader.categories)
    videos, missing, flat = [], [], []
    for record in records:
        loaders = []
        scores = _noted_scores(folder, str(record["video_id"]))
        for frame in record["frames"]:
            name = f"{record['video_id']}/{frame['frame_id']}"
            sides = found.find(str(record["video_id"]), frame)
            if not sides:
                missing += [name] if frame["labelled"] else []
                continue
            if with_depth and sides[0].depth is None:
                flat.append(name)
            places = scores.get(str(frame["frame_id"]), [])
            loaders.append(partial(_load, frame, sides[0], reader, found, with_depth, places))
        if loaders:
            videos.append(ReportVideo(str(record["video_id"]), tuple(loaders)))
    total = sum(frame["labelled"] for record in records for frame in record["frames"])
    if missing:
        raise ValueError(
            f"{folder}: no prediction for {len(missing)} of {total} labelled frames: "
            f"{shorten(missing)}; predictions of another dataset, or interrupted? dvps predict "
            f"goes on where it stopped"
        )
    if flat:
        raise ValueError(f"{folder}: no depth for {len(flat)} frames: {shorten(flat)}")
    if not videos:
        raise ValueError(f"{folder}: no frame of the dataset has a prediction there")
    return videos


def _load(
    frame: FrameRecord,
    side: Side,
    reader: DatasetReader,
    found: CodedPredictions | ListedPredictions,
    with_depth: bool,
    places: list[list[float]],
) -> ReportFrame:
    pred = found.read(side)
    truth = truth_depth = None
    if frame["labelled"]:
        label = reader.read_panoptic(frame)
        things = tuple(reader.categories.thing_ids)
        truth = joint_map(label.class_ids, label.track_ids, crowd_classes=things)
        if with_depth:  # nothing measured: no pixel is judged by depth
            truth_depth = np.zeros(label.shape, np.float32)
    if with_depth and frame["depth_file_name"]:
        truth_depth = reader.read_depth(frame)
    return ReportFrame(
        name=str(frame["frame_id"]),
        pred=pred,
        truth=truth,
        pred_depth=read_grey16(side.depth).copy() if with_depth else None,
        truth_depth=truth_depth,
        image=frame["file_name"],
        scores=scores_by_key(pred, places, frozenset(reader.categories.thing_ids)),
    )


def _noted_scores(folder: Path, video_id: str) -> dict[str, list[list[float]]]:
    """By frame, the scores that ``dvps predict`` noted beside its predictions."""
    path = folder / ".predicted" / "videos" / f"{video_id}.json"
    return read_json(path).get("scores", {}) if path.is_file() else {}
