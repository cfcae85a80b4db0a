"""Layouts whose PNGs hold class and instance: Cityscapes-DVPS, SemKITTI-DVPS, KITTI-STEP."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dvps_d2.cli.scoring.files import (
    Dataset,
    Frame,
    Problems,
    Reader,
    ScriptStopsError,
    Side,
    Video,
    list_pngs,
    report_unpaired,
)
from dvps_d2.cli.scoring.png import OPAQUE, read_grey16, read_rgb_ids, rgb_to_opaque_id
from dvps_d2.formats.classes import class_table
from dvps_d2.formats.png import read_png, read_png_header
from dvps_d2.metrics import ChannelCoding, ClassSet, Coding, LabelMap

SCRIPT_FRAMES = 6  # frames per sequence that the Cityscapes-DVPS script assumes
KITTI_STEP_THINGS = (11, 13)  # person and car

Key = tuple[str, str]  # sequence, frame
Files = Mapping[Key, tuple[str, ...]]


@dataclass(frozen=True)
class CityscapesReader:
    """Truth: 16 bit, class * 1000 + instance, void 32000. Prediction: (class, instance) channels.

    Attributes:
        num_classes: K; predicted class K is void.
        script: as the published script: truth of the void class with an instance hides
            predictions without leaving their union, and a third channel is not looked at.
    """

    num_classes: int
    script: bool = False

    void_class = 32
    divisor = 1000

    def truth(self, side: Side) -> LabelMap:
        """Decode a label map of the truth."""
        ids = read_grey16(side.panoptic[0])
        hidden = (self.void_class,) if self.script else ()
        coding = Coding(self.divisor, (self.void_class,), hidden, (), self.num_classes)
        return LabelMap(ids, coding)

    def pred(self, side: Side) -> LabelMap:
        """Decode a predicted label map: 8-bit channels, or coded as the truth is."""
        path = side.panoptic[0]
        header = read_png_header(path)
        if (header.channels, header.bits) == (1, 16):
            void = (self.num_classes, self.void_class)
            coding = Coding(self.divisor, void, num_classes=self.num_classes)
            return LabelMap(read_grey16(path), coding)
        void = (self.num_classes, 255)
        coding = ChannelCoding(void_classes=void, num_classes=self.num_classes, green_only=True)
        if (header.channels, header.bits) == (3, 8) and not self.script:
            return LabelMap(read_rgb_ids(path, slot=1), coding, OPAQUE)
        image = read_png(path)
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(
                f"{path}: expected 8-bit channels (class, instance) or one 16-bit "
                f"channel (class * 1000 + instance), found {image.dtype} {image.shape}"
            )
        if self.script or image.shape[2] == 2:
            return LabelMap(_two_channels(image), coding)
        image = np.ascontiguousarray(image[..., :3])
        return LabelMap(rgb_to_opaque_id(image, slot=1), coding, OPAQUE)


@dataclass(frozen=True)
class TwoFileReader:
    """SemKITTI: one PNG for the class, one for the instance.

    Attributes:
        num_classes: K; predicted class K is void.
        script: as the published script, see ``CityscapesReader``.
    """

    num_classes: int
    script: bool = False

    void_class = 255
    bits = 20

    def truth(self, side: Side) -> LabelMap:
        """Decode a label map of the truth."""
        hidden = (self.void_class,) if self.script else ()
        coding = Coding(2**self.bits, (self.void_class,), hidden, (), self.num_classes)
        return LabelMap(self._ids(side), coding)

    def pred(self, side: Side) -> LabelMap:
        """Decode a predicted label map."""
        void = (self.num_classes, self.void_class)
        return LabelMap(self._ids(side), Coding(2**self.bits, void, num_classes=self.num_classes))

    def _ids(self, side: Side) -> np.ndarray:
        ids = read_png(side.panoptic[0], channels=1, bits=8).astype(np.int32)
        instances = read_png(side.panoptic[1], channels=1, size=ids.shape)
        ids <<= self.bits
        ids += instances
        return ids


@dataclass(frozen=True)
class StepReader:
    """KITTI-STEP: red is the class, green * 256 + blue the instance, class 255 void."""

    num_classes: int
    script: bool = False

    def truth(self, side: Side) -> LabelMap:
        """Decode a label map of the truth."""
        return self._read(side, slot=0)

    def pred(self, side: Side) -> LabelMap:
        """Decode a predicted label map."""
        return self._read(side, slot=1)

    def _read(self, side: Side, slot: int) -> LabelMap:
        coding = ChannelCoding(void_classes=(255,), num_classes=self.num_classes)
        return LabelMap(read_rgb_ids(side.panoptic[0], slot), coding, OPAQUE)


@dataclass(frozen=True)
class CodedLayout:
    """How one dataset names its files.

    Attributes:
        reader: makes the reader from (number of classes, script).
        classes: makes the class set.
        truth_kinds, pred_kinds: patterns of the file names that make a label map.
        truth_depth: pattern of depth files in the folder of the truth.
        nested: one folder per sequence, where otherwise names start with "sequence_frame".
        script_frames: frames per sequence that the published script assumes; None = any.
        script_one_video: the published script takes all frames as one video.
    """

    reader: Callable[..., Reader]
    classes: Callable[[], ClassSet]
    truth_kinds: tuple[str, ...]
    pred_kinds: tuple[str, ...]
    truth_depth: str = r"_depth(_[\d.]+)?\.png$"
    nested: bool = False
    script_frames: int | None = None
    script_one_video: bool = False

    def load(
        self,
        truth_dir: str,
        pred_dir: str,
        depth_pred: str | None,
        problems: Problems,
        *,
        script: bool,
        depth_truth: str | None = None,
    ) -> Dataset:
        """Find out which files belong together.

        Args:
            truth_dir: labels, and depth unless ``depth_truth`` is given.
            pred_dir: predicted label maps.
            depth_pred: predicted depth; None = depth is not looked at.
            problems: collects what is wrong.
            script: pair and group as the published script does.
            depth_truth: folder of the true depth, if apart.

        Raises:
            ScriptStopsError: the published script would stop on this input.
            ValueError: the input is bad.
        """
        truth = self._index(truth_dir, self.truth_kinds, "truth")
        pred = self._index(pred_dir, self.pred_kinds, "predictions")
        depths: dict[str, Files] = {"truth": {}, "pred": {}}
        if depth_pred is not None:
            depths["truth"] = self._index(depth_truth or truth_dir, (self.truth_depth,), "depth")
            depths["pred"] = self._index(depth_pred, (self._depth_kind(depth_pred),), "depth")
        self._check_kinds(truth, self.truth_kinds, truth_dir, problems)
        self._check_kinds(pred, self.pred_kinds, pred_dir, problems)
        if script:
            self._check_script(truth, pred)
        found = _pair(truth, pred, problems, pred_dir, tolerant=script)
        depths["pred"] = _pair(truth, depths["pred"], problems, depth_pred or "", tolerant=script)
        videos: dict[str, list[Frame | None]] = {}
        for key in sorted(truth):
            depth = [depths[side].get(key, (None,))[0] for side in ("truth", "pred")]
            ready = len(truth[key]) == len(self.truth_kinds) and key in found
            ready = ready and len(found[key]) == len(self.pred_kinds)
            if depth_pred is not None and depth[0] is None:
                problems.add(f"no depth beside {truth[key][0]}")
            if depth_pred is not None and None in depth:
                ready = False
            frame = None
            if ready:
                sides = Side(truth[key], depth[0]), Side(found[key], depth[1])
                frame = Frame("_".join(key), *sides)
            video_id = "all" if script and self.script_one_video else key[0]
            videos.setdefault(video_id, []).append(frame)
        classes = self.classes()
        listed = [Video(video_id, tuple(frames)) for video_id, frames in videos.items()]
        return Dataset(listed, self.reader(len(classes), script), classes)

    def _index(self, folder: str, kinds: tuple[str, ...], what: str) -> dict[Key, tuple[str, ...]]:
        """Files of every frame, in the order of ``kinds``."""
        frames: dict[Key, list[str]] = {}
        names = self._names(folder, what)
        for kind in kinds:
            chosen = [name for name in names if re.search(kind, name)]
            if not chosen:
                raise ValueError(f"{what}: no file like *{kind} in {folder} (found {names[0]})")
            for name in chosen:
                frames.setdefault(self._key(name), []).append(os.path.join(folder, name))
        return {key: tuple(files) for key, files in frames.items()}

    def _names(self, folder: str, what: str) -> list[str]:
        if not self.nested:
            return list_pngs(folder, what)
        if not os.path.isdir(folder):
            raise ValueError(f"{what}: {folder} is not a folder")
        sequences = sorted(e.name for e in os.scandir(folder) if e.is_dir())
        if not sequences:
            raise ValueError(f"{what}: expected one folder per sequence in {folder}, found none")
        return [
            os.path.join(sequence, name)
            for sequence in sequences
            for name in list_pngs(os.path.join(folder, sequence), what)
        ]

    def _key(self, name: str) -> Key:
        if self.nested:
            sequence, base = os.path.split(name)
            return sequence, re.sub(r"(_depth)?\.png$", "", base)
        fields = name[: -len(".png")].split("_")
        return fields[0], fields[1] if len(fields) > 1 and fields[1].isdigit() else name

    def _depth_kind(self, folder: str) -> str:
        names = self._names(folder, "depth predictions")
        return r"depth" if any("depth" in os.path.basename(name) for name in names) else r"\.png$"

    def _check_kinds(
        self, frames: Files, kinds: tuple[str, ...], folder: str, problems: Problems
    ) -> None:
        for files in frames.values():
            if len(files) < len(kinds):
                problems.add(f"{files[0]} stands alone: expected {' and '.join(kinds)}")
            elif len(files) > len(kinds):
                problems.add(f"{folder}: {len(files)} files for one frame: {', '.join(files)}")

    def _check_script(self, truth: Files, pred: Files) -> None:
        if self.script_frames is None:
            return
        for frames in (truth, pred):
            for sequence, keys in _by_sequence(frames).items():
                if len(keys) != self.script_frames:
                    raise ScriptStopsError(
                        f"sequence {sequence} has {len(keys)} frames, expected {self.script_frames}"
                    )


def _pair(
    truth: Files, files: Files, problems: Problems, folder: str, *, tolerant: bool
) -> dict[Key, tuple[str, ...]]:
    """Files of every frame of the truth: by frame number, or by order inside a sequence."""
    if not files:
        return {}
    if truth.keys() & files.keys():
        extra = set() if tolerant else files.keys() - truth.keys()
        missing = truth.keys() - files.keys()
        report_unpaired(problems, _names(missing), _names(extra), len(truth), folder)
        return dict(files)
    found: dict[Key, tuple[str, ...]] = {}
    theirs = _by_sequence(files)
    ours = _by_sequence(truth)
    if not ours.keys() & theirs.keys():
        report_unpaired(problems, _names(truth), _names(files), len(truth), folder)
    for sequence, keys in ours.items():
        other = theirs.get(sequence, [])
        if len(other) != len(keys):
            problems.add(
                f"{folder}: sequence {sequence} has {len(other)} files for {len(keys)} frames, "
                "and their names do not say which belong together"
            )
            continue
        found |= {key: files[match] for key, match in zip(keys, other, strict=True)}
    return found


def _names(keys: Iterable[Key]) -> list[str]:
    return ["_".join(key) for key in keys]


def _by_sequence(frames: Mapping[Key, object]) -> dict[str, list[Key]]:
    sequences: dict[str, list[Key]] = {}
    for key in sorted(frames):
        sequences.setdefault(key[0], []).append(key)
    return sequences


def _two_channels(image: np.ndarray) -> np.ndarray:
    """(H, W, 2..4) uint8 -> (H, W) uint16, first channel + 256 second."""
    return np.ascontiguousarray(image[..., :2]).view("<u2")[..., 0]


def _table(name: str, things: tuple[int, ...] | None = None) -> ClassSet:
    table = class_table(name)
    return ClassSet(tuple(table.names), tuple(table.thing_ids) if things is None else things)


_SEMKITTI_KINDS = (r"(_class|cat)\.png$", r"(_instance|ins)\.png$")

CODED_LAYOUTS = {
    "cityscapes_dvps": CodedLayout(
        CityscapesReader,
        lambda: _table("cityscapes"),
        (r"_gtFine_instanceTrainIds\.png$",),
        (r"^(?!.*depth).*\.png$",),
        script_frames=SCRIPT_FRAMES,
    ),
    "semkitti_dvps": CodedLayout(
        TwoFileReader,
        lambda: _table("semkitti"),
        _SEMKITTI_KINDS,
        _SEMKITTI_KINDS,
        script_one_video=True,
    ),
    "semkitti_dstq": CodedLayout(
        TwoFileReader, lambda: _table("semkitti"), _SEMKITTI_KINDS, _SEMKITTI_KINDS
    ),
    "kitti_step": CodedLayout(
        StepReader,
        lambda: _table("cityscapes", KITTI_STEP_THINGS),
        (r"^(?!.*_depth).*\.png$",),
        (r"^(?!.*_depth).*\.png$",),
        nested=True,
    ),
}
