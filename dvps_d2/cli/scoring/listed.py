"""Layouts with a JSON beside RGB-coded PNGs: Cityscapes-VPS, VIPER and VIPSeg."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dvps_d2.cli.scoring import annotations as parse
from dvps_d2.cli.scoring.annotations import Annotation, Truth
from dvps_d2.cli.scoring.files import (
    NOTHING,
    Dataset,
    Frame,
    Problems,
    ScriptStopsError,
    Side,
    Video,
    list_pngs,
    prediction_folder,
    report_unpaired,
)
from dvps_d2.cli.scoring.png import OPAQUE, read_rgb_ids
from dvps_d2.metrics import LabelMap, Listing

logger = logging.getLogger(__name__)

Pair = tuple[Annotation, Annotation | None]  # truth and prediction of a frame

SCRIPT_FRAMES = 6  # labelled frames per video that the Cityscapes-VPS script assumes


@dataclass(frozen=True)
class ListedReader:
    """Decodes frames whose ids a JSON explains.

    Attributes:
        categories: category ids that the truth JSON names.
        script: as the published scripts: truth ids that the list lacks are passed over.
        json_areas: the area of the truth is taken from the JSON.
    """

    categories: frozenset[int]
    script: bool = False
    json_areas: bool = False

    def truth(self, side: Side) -> LabelMap:
        """Decode a label map of the truth."""
        areas = side.segments[:, 3] if self.json_areas else None
        return self._read(side, areas, slot=0, strict=not self.script)

    def pred(self, side: Side) -> LabelMap:
        """Decode a predicted label map."""
        return self._read(side, None, slot=1, strict=True)

    def _read(
        self,
        side: Side,
        areas: np.ndarray | None,
        *,
        slot: int,
        strict: bool,
    ) -> LabelMap:
        ids, classes, crowd, _ = side.segments.T
        unknown = [i for i, c in enumerate(classes) if int(c) not in self.categories]
        if strict and unknown:
            raise ValueError(
                f"{side.panoptic[0]}: segment {ids[unknown[0]]} has the unknown class "
                f"{classes[unknown[0]]}; the truth JSON has {_span(self.categories)}"
            )
        listing = Listing(ids, classes, crowd == 1, areas, strict)
        return LabelMap(read_rgb_ids(side.panoptic[0], slot), listing, OPAQUE)


@dataclass(frozen=True)
class ListedLayout:
    """How one dataset names its files.

    Attributes:
        read_truth, read_predictions: parse the two JSON files.
        nested: PNGs lie in one folder per video, and pairing happens inside a video.
        script_json_areas: the published script takes the area of the truth from the JSON.
        script_parts: truth -> number of videos that the published script cuts the list into;
            None when it reads video ids.
        script_sorts: the published script takes the truth PNGs in the order of their names.
        script_drops: the published script passes truth PNGs over that it cannot read, without a
            word, and cuts the list of PNGs and that of the annotations into videos separately.
            Not reproduced: for windows of one frame it cuts both into as many parts as the
            machine has processors, so its own result differs between machines where truth was
            passed over; here they are cut into videos.
    """

    read_truth: Callable[..., Truth]
    read_predictions: Callable[[str], list[Annotation]]
    nested: bool = False
    script_json_areas: bool = True
    script_parts: Callable[[Truth], int] | None = None
    script_sorts: bool = False
    script_drops: bool = False

    def load(
        self,
        truth_dir: str,
        truth_json: str,
        pred_dir: str,
        pred_json: str | None,
        problems: Problems,
        *,
        script: bool,
    ) -> Dataset:
        """Find out which files belong together.

        By default predictions are matched by name and videos are told apart by id; with
        ``script`` everything goes by position, as in the published script.

        Raises:
            ScriptStopsError: the published script would stop on this input.
            ValueError: the input is bad.
        """
        folder = prediction_folder(pred_dir)
        truth = self.read_truth(truth_json, by_position=script)
        path = pred_json or str(Path(pred_dir) / "pred.json")
        predictions = self.read_predictions(path)
        if script:
            pairs = self._pair_by_position(truth, predictions)
        else:
            pairs = _pair_by_name(truth.annotations, predictions, path, problems)
        truth_files = self._truth_files(truth.annotations, truth_dir, problems, script=script)
        pred_files = self._pred_files(pairs, folder, problems, script=script)
        if script and self.script_parts is not None:
            videos = self._cut(self.script_parts(truth), pairs, truth_files, pred_files)
        else:
            videos = _group(pairs, truth_files, pred_files)
        reader = ListedReader(truth.categories, script, script and self.script_json_areas)
        return Dataset(videos, reader, truth.classes)

    def _pair_by_position(self, truth: Truth, predictions: list[Annotation]) -> list[Pair]:
        """The script stops without a word where the shortest list does."""
        if self.nested:
            return _pair_inside_videos(truth.annotations, predictions)
        return list(zip(truth.annotations[: truth.entries], predictions, strict=False))

    def _cut(
        self,
        number: int,
        pairs: Sequence[Pair],
        truth_files: Sequence[str | None],
        pred_files: Sequence[str | None],
    ) -> list[Video]:
        """Cut into videos as the script does: nearly equal parts, whatever the ids say."""
        if not self.script_drops:
            truth_files = truth_files[: len(pairs)]
        columns = [np.array_split(np.arange(len(c)), number) for c in (pairs, truth_files)]
        videos: list[Video] = []
        for part, files in zip(*columns, strict=True):
            frames = [
                _frame(pairs[i], truth_files[j], pred_files[i])
                for i, j in zip(part, files, strict=False)
            ]
            # Where truth ran out, windows are shorter but counted.
            frames += [NOTHING] * (len(part) - len(frames))
            first = pairs[part[0]][0].video_id if len(part) else ""
            taken = any(video.video_id == first for video in videos)
            name = f"{first}, part {len(videos) + 1}" if taken else first
            videos.append(Video(name, tuple(frames)))
        return videos

    def _truth_files(
        self, truth: list[Annotation], folder: str, problems: Problems, *, script: bool
    ) -> list[str | None]:
        names = _existing(folder, "truth", truth, nested=self.nested)
        found = [next((n for n in a.files if n in names), None) for a in truth]
        if script and self.script_drops:
            paths = [os.path.join(folder, name) for name in found if name is not None]
            return [path for path in paths if _opens(path)]
        for annotation, name in zip(truth, found, strict=True):
            if name is None:
                wanted = os.path.join(folder, annotation.files[0])
                problems.add(f"truth {wanted} does not exist")
        if script and self.script_sorts and None not in found:
            found.sort()  # whatever the order of the JSON
        return [None if name is None else os.path.join(folder, name) for name in found]

    def _pred_files(
        self, pairs: list[Pair], folder: Path, problems: Problems, *, script: bool
    ) -> list[str | None]:
        truth = [annotation for annotation, _ in pairs]
        names = _existing(str(folder), "predictions", truth, nested=self.nested)
        found = []
        for annotation, prediction in pairs:
            candidates = annotation.files[:1] if self.nested else _png_names(annotation)
            name = next((n for n in candidates if n in names), None)
            found.append(None if prediction is None else name)
        absent = [
            annotation.files[0] if self.nested else f"{annotation.aliases[0]}.png"
            for (annotation, prediction), name in zip(pairs, found, strict=True)
            if prediction is not None and name is None
        ]
        wanted = {name for a in truth for name in (a.files if self.nested else _png_names(a))}
        extra = () if script else names - wanted
        report_unpaired(problems, absent, extra, len(pairs), folder)
        return [None if name is None else os.path.join(folder, name) for name in found]


def _group(
    pairs: Sequence[Pair], truth_files: Sequence[str | None], pred_files: Sequence[str | None]
) -> list[Video]:
    """Videos by id, frames in the order of the list."""
    videos: dict[str, list[Frame | None]] = {}
    for pair, truth_file, pred_file in zip(pairs, truth_files, pred_files, strict=True):
        videos.setdefault(pair[0].video_id, []).append(_frame(pair, truth_file, pred_file))
    return [Video(video_id, tuple(frames)) for video_id, frames in videos.items()]


def _frame(pair: Pair, truth_file: str | None, pred_file: str | None) -> Frame | None:
    annotation, prediction = pair
    if prediction is None or truth_file is None or pred_file is None:
        return None
    truth = Side((truth_file,), segments=annotation.segments)
    return Frame(annotation.name, truth, Side((pred_file,), segments=prediction.segments))


def _opens(path: str) -> bool:
    """Whether an image library reads the file to its end."""
    try:
        with Image.open(path) as image:
            image.load()
    except Exception:  # whatever it is, the script passes over it
        return False
    return True


def _png_names(annotation: Annotation) -> tuple[str, ...]:
    return tuple(f"{alias}.png" for alias in annotation.aliases)


def _existing(folder: str, what: str, truth: list[Annotation], *, nested: bool) -> set[str]:
    """Relative names of the PNGs below a folder; with ``nested``, in the folders of the videos."""
    if not nested:
        return set(list_pngs(folder, what))
    if not os.path.isdir(folder):
        raise ValueError(f"{what}: {folder} is not a folder")
    names = set()
    for video_id in dict.fromkeys(a.video_id for a in truth):
        inside = os.path.join(folder, video_id)
        if os.path.isdir(inside):
            names |= {os.path.join(video_id, n) for n in os.listdir(inside) if n.endswith(".png")}
    return names


def _pair_inside_videos(truth: list[Annotation], predictions: list[Annotation]) -> list[Pair]:
    by_video = _by_video(predictions)
    pairs: list[Pair] = []
    for video_id, frames in _by_video(truth).items():
        found = by_video.get(video_id, [])
        if len(found) != len(frames):
            raise ScriptStopsError(
                f"video {video_id} has {len(frames)} frames and {len(found)} predictions"
            )
        pairs += zip(frames, found, strict=True)
    return pairs


def _pair_by_name(
    truth: list[Annotation], predictions: list[Annotation], path: str, problems: Problems
) -> list[Pair]:
    """(annotation, prediction or None) for every frame of the truth."""
    if not any(prediction.aliases for prediction in predictions):
        if len(predictions) != len(truth):
            raise ValueError(
                f"{path}: {len(predictions)} annotations without image_id or file_name for "
                f"{len(truth)} frames; without names the numbers must be equal"
            )
        logger.warning("%s: annotations have no names; they are paired by position", path)
        return list(zip(truth, predictions, strict=True))
    found: dict[tuple[str, str], Annotation] = {}
    for prediction in predictions:
        for alias in prediction.aliases:
            key = (prediction.video_id, alias)
            if found.setdefault(key, prediction) is not prediction:
                problems.add(f"{path}: two annotations for {prediction.name}")
                break
    nested = any(prediction.video_id for prediction in predictions)
    pairs: list[Pair] = []
    used = set()
    for annotation in truth:
        keys = [(annotation.video_id if nested else "", alias) for alias in annotation.aliases]
        match = next((found[key] for key in keys if key in found), None)
        used.add(id(match))
        pairs.append((annotation, match))
    missing = [annotation.name for annotation, match in pairs if match is None]
    extra = [prediction.name for prediction in predictions if id(prediction) not in used]
    report_unpaired(problems, missing, extra, len(truth), path)
    return pairs


def _by_video(annotations: list[Annotation]) -> dict[str, list[Annotation]]:
    videos: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        videos.setdefault(annotation.video_id, []).append(annotation)
    return videos


def _by_six(truth: Truth) -> int:
    if truth.entries < SCRIPT_FRAMES:
        raise ScriptStopsError(f"{truth.entries} frames are less than a video of {SCRIPT_FRAMES}")
    return truth.entries // SCRIPT_FRAMES


def _by_id(truth: Truth) -> int:
    return len({annotation.video_id for annotation in truth.annotations})


def _span(categories: frozenset[int]) -> str:
    return f"{len(categories)} categories in {min(categories)}..{max(categories)}"


LISTED_LAYOUTS = {
    "cityscapes_vps": ListedLayout(
        parse.read_vps_truth,
        parse.read_flat_predictions,
        script_parts=_by_six,
        script_sorts=True,
    ),
    "viper": ListedLayout(
        parse.read_viper_truth,
        parse.read_flat_predictions,
        script_json_areas=False,
        script_parts=_by_id,
        script_drops=True,
    ),
    "vipseg": ListedLayout(parse.read_vipseg_truth, parse.read_vipseg_predictions, nested=True),
}
