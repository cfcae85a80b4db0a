"""Folders of truth and predictions, found as ``dvps score`` finds them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from dvps_d2.cli import score
from dvps_d2.cli.reporting.subject import Color, Subject
from dvps_d2.cli.scoring.files import Dataset, Frame, Problems
from dvps_d2.cli.scoring.png import read_grey16
from dvps_d2.formats.classes import class_table
from dvps_d2.report import ReportFrame, ReportVideo, spread_colors

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
# What labels are called where a picture of the same frame has another name.
LABEL_NAMES = ("_gtFine_instanceTrainIds", "_final_mask", "_gtFine_color", "_cat", "_class")
PICTURE_NAMES = ("", "_leftImg8bit", "_newImg8bit")


def subject_of_folders(folder: Path, args: argparse.Namespace) -> Subject:
    """Pair a folder of predictions with its truth.

    Args:
        folder: predictions: of ``dvps predict`` (``panoptic`` and ``depth``, or ``pan_pred`` and
            ``pred.json``), or the folder of PNGs itself.
        args: ``protocol, truth, truth_json, pred_json, depth_pred, classes, images``.

    Raises:
        ValueError: files are missing or do not fit together.
    """
    panoptic = folder / "panoptic"
    depth = args.depth_pred or (str(folder / "depth") if (folder / "depth").is_dir() else None)
    asked = argparse.Namespace(
        protocol=args.protocol,
        truth=args.truth,
        truth_json=args.truth_json,
        pred=str(panoptic if panoptic.is_dir() else folder),
        pred_json=args.pred_json,
        depth_pred=depth,
        depth_truth=None,
        metrics=None,
        windows=None,
        lambdas=None,
        max_depth=None,
        uint16_depth=False,
        as_published=False,
    )
    if args.protocol in score.LISTED_LAYOUTS and not args.truth_json:
        raise ValueError(f"--protocol {args.protocol} needs --truth-json, the truth's JSON")
    protocol = score.choose_protocol(asked, as_published=False)
    dataset = score.load_dataset(asked, Problems(), script=False)
    if args.classes:
        counted = score.choose_classes(args.classes, dataset.classes)
        protocol = replace(protocol, eval_classes=counted)
    unnamed = tuple(i for i, name in enumerate(dataset.classes.names) if not name)
    protocol = replace(protocol, left_out=(*protocol.left_out, *unnamed))
    pictures = Pictures(Path(args.images or args.truth), required=args.images is not None)
    videos = _videos(dataset, pictures, with_depth=protocol.needs_depth)
    return Subject(
        videos, protocol, dataset.classes, class_colors(dataset.classes.names), args.protocol
    )


def class_colors(names: Iterable[str]) -> list[Color]:
    """Colours of the classes of these names: those of the shipped tables, else spread ones."""
    known: dict[str, Color] = {}
    for table in map(class_table, ("vipseg", "viper", "semkitti", "cityscapes")):
        known |= dict(zip(table.names, table.colors, strict=True))
    names = list(names)
    others = spread_colors(len(names))
    return [known.get(name, other) for name, other in zip(names, others, strict=True)]


class Pictures:
    """Finds the picture of a frame below a folder by its name.

    Args:
        folder: of the pictures, searched once, with all its folders.
        required: frames without a picture are an error.
    """

    def __init__(self, folder: Path, *, required: bool) -> None:
        self.folder, self.required = folder, required
        if required and not folder.is_dir():
            raise ValueError(f"--images: {folder} is not a folder")
        self._files = {
            str(path.relative_to(folder).with_suffix("")): path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in PICTURE_ENDINGS
        }
        self._by_stem = {Path(name).name: path for name, path in self._files.items()}

    def find(self, frame: Frame, video_id: str) -> Path | None:
        """The picture of a frame; None when there is none and none is required."""
        label = Path(frame.truth.panoptic[0])
        stem = label.stem
        for ending in LABEL_NAMES:
            stem = stem.removesuffix(ending)
        for ending in PICTURE_NAMES:
            for path in (
                self._files.get(f"{video_id}/{stem}{ending}"),
                self._by_stem.get(stem + ending),
            ):
                if path is not None and path.resolve() != label.resolve():
                    return path
        if self.required:
            raise ValueError(f"--images: {self.folder} has no picture for {label}")
        return None


def _videos(dataset: Dataset, pictures: Pictures, *, with_depth: bool) -> list[ReportVideo]:
    return [
        ReportVideo(
            video.video_id,
            tuple(
                partial(_load, frame, dataset, pictures.find(frame, video.video_id), with_depth)
                for frame in video.frames
                if frame is not None
            ),
        )
        for video in dataset.videos
    ]


def _load(frame: Frame, dataset: Dataset, image: Path | None, with_depth: bool) -> ReportFrame:
    return ReportFrame(
        name=frame.name,
        pred=dataset.reader.pred(frame.pred),
        truth=dataset.reader.truth(frame.truth),
        pred_depth=read_grey16(frame.pred.depth).copy() if with_depth else None,
        truth_depth=read_grey16(frame.truth.depth).copy() if with_depth else None,
        image=image,
    )
