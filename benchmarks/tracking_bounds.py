"""What perfect identity would be worth: rename predicted things after the truth, and score again.

    dvps predict --run RUN --dataset street_val --layout vipseg --out predictions
    python benchmarks/tracking_bounds.py --reader cityscapes_dvps --root datasets/street \
        --split val --pred predictions --out renamed --classes street

Every predicted piece of a thing gets the name of the object that it overlaps most (IoU over 0.15,
one piece per object and frame); pieces that overlap nothing keep their name. Masks and classes
stay as they are, so the difference between the two scores is what better tracking could gain: the
ceiling. The floor is the same model with ``MODEL.DVPS.ASSOCIATION fixed_slots``. It takes the
predictions of any system: layout "vipseg" can be written for every dataset, with and without
depth; "cityscapes_dvps" is read as well. ``--out`` is a submission in the layout of the input.

Keys: ``vpq``, ``vpq_things``, ``stq`` and ``identity_kept`` of the predictions, the same with
``ceiling_`` before them; ``identity_kept`` is the share of objects, found in a frame and in the
next one, whose two pieces have one name and class.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dvps_d2.cli.score import choose_classes
from dvps_d2.formats import (
    READERS,
    VOID,
    ClassTable,
    DatasetReader,
    FrameRecord,
    PanopticLabel,
    VideoRecord,
)
from dvps_d2.formats.files import read_json
from dvps_d2.formats.lookup import decode_rgb_label
from dvps_d2.formats.png import read_depth_png, read_png
from dvps_d2.formats.submission import WRITERS
from dvps_d2.metrics import (
    PROTOCOLS,
    ClassSet,
    Protocol,
    VideoCounter,
    empty_counts,
    format_result,
    get_protocol,
    joint_map,
    summarize,
)

MIN_IOU = 0.15
DIVISOR = 1000  # class x this + instance names a track of layout cityscapes_dvps
VOID_CLASS = 19  # of predictions in that layout
METRICS = ("vpq", "stq")

# frame -> label, and depth or None
Prediction = tuple[PanopticLabel, np.ndarray | None]


def overlaps(
    pred: PanopticLabel, truth: PanopticLabel, min_iou: float = MIN_IOU
) -> dict[tuple[int, int], int]:
    """Which object a predicted piece of a thing shows.

    Args:
        pred: one frame as predicted.
        truth: the same frame; pixels without a label do not count.
        min_iou: a piece must overlap its object by more.

    Returns:
        (class id, track id) of the piece -> track id of the object, whatever its class. The best
        overlaps go first; neither a piece nor an object comes twice.
    """
    known = truth.class_ids != VOID
    pieces = pred.class_ids[known].astype(np.int64) << 32 | pred.track_ids[known]
    pieces[pred.track_ids[known] == 0] = -1
    names, piece_of = np.unique(pieces, return_inverse=True)
    objects, object_of = np.unique(truth.track_ids[known], return_inverse=True)
    shared = np.zeros((len(names), len(objects)), np.int64)
    np.add.at(shared, (piece_of, object_of), 1)
    union = shared.sum(1, keepdims=True) + shared.sum(0) - shared
    iou = shared / np.maximum(union, 1)
    iou[names == -1] = 0
    iou[:, objects == 0] = 0
    found: dict[tuple[int, int], int] = {}
    while iou.size and iou.max() > min_iou:
        row, column = np.unravel_index(iou.argmax(), iou.shape)
        name = int(names[row])
        found[name >> 32, name & 0xFFFFFFFF] = int(objects[column])
        iou[row], iou[:, column] = 0, 0
    return found


@dataclass
class Renaming:
    """Names of one video, small numbers from 1 in order of appearance."""

    numbers: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def __call__(self, pred: PanopticLabel, shown: dict[tuple[int, int], int]) -> PanopticLabel:
        """The same frame with its things named after what they show."""
        tracks = np.zeros_like(pred.track_ids)
        for class_id, track_id in pred.segments():
            if not track_id:
                continue
            piece = (class_id, track_id)
            key = ("object", shown[piece], 0) if piece in shown else ("piece", *piece)
            number = self.numbers.setdefault(key, len(self.numbers) + 1)
            tracks[(pred.class_ids == class_id) & (pred.track_ids == track_id)] = number
        return PanopticLabel(pred.class_ids, tracks)


@dataclass
class IdentityCount:
    """Objects found in two frames that follow one another, and those with one name in both."""

    found: int = 0
    kept: int = 0
    _before: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, shown: dict[tuple[int, int], int], *, first: bool) -> None:
        """Count one frame; ``first`` begins a video."""
        now = {number: piece for piece, number in shown.items()}
        for number in now.keys() & (self._before.keys() if not first else set()):
            self.found += 1
            self.kept += now[number] == self._before[number]
        self._before = now

    @property
    def share(self) -> float:
        """Kept over found, NaN where nothing was found twice."""
        return self.kept / self.found if self.found else float("nan")


def read_listed(folder: Path, table: ClassTable) -> Callable[[str, FrameRecord], Prediction]:
    """How to read predictions of layout vipseg."""
    content = read_json(folder / "pred.json")
    segments = {
        (str(video["video_id"]), Path(entry["file_name"]).stem): entry["segments_info"]
        for video in content["annotations"]
        for entry in video["annotations"]
    }

    def read(video_id: str, frame: FrameRecord) -> Prediction:
        stem = Path(frame["file_name"]).stem
        if (video_id, stem) not in segments:
            raise ValueError(f"{folder / 'pred.json'} has no frame {stem} of video {video_id!r}")
        path = folder / "pan_pred" / video_id / f"{stem}.png"
        return decode_rgb_label(path, segments[video_id, stem], table), None

    return read


def read_coded(folder: Path, table: ClassTable) -> Callable[[str, FrameRecord], Prediction]:
    """How to read predictions of layout cityscapes_dvps."""

    def read(video_id: str, frame: FrameRecord) -> Prediction:
        stem = Path(frame["file_name"]).stem.removesuffix("_leftImg8bit")
        coded = read_png(folder / "panoptic" / f"{stem}.png", channels=3, bits=8)
        classes = np.where(coded[..., 0] == VOID_CLASS, VOID, coded[..., 0]).astype(np.uint8)
        tracks = classes.astype(np.int32) * DIVISOR + coded[..., 1]
        tracks[(coded[..., 1] == 0) | ~table.is_thing[classes]] = 0
        return PanopticLabel(classes, tracks), read_depth_png(folder / "depth" / f"{stem}.png")

    return read


def as_ids(label: PanopticLabel, table: ClassTable) -> tuple[np.ndarray, dict[int, int]]:
    """A label as submission writers take it: (H, W) int32 ids, and id -> class id."""
    # Stuff first, so that its ids are the same in all frames.
    stuff = {class_id: place + 1 for place, class_id in enumerate(table.stuff_ids)}
    ids = np.zeros(label.shape, np.int32)
    classes = {}
    for class_id, track_id in label.segments():
        # The name of an object is its number; with another class it is another segment.
        number = stuff.get(class_id) or (track_id * len(table) + class_id) + len(stuff) + 1
        ids[(label.class_ids == class_id) & (label.track_ids == track_id)] = number
        classes[number] = class_id
    return ids, classes


def compare(
    records: Sequence[VideoRecord],
    reader: DatasetReader,
    read: Callable[[str, FrameRecord], Prediction],
    protocol: Protocol,
    add: Callable[..., None],
) -> list[tuple[dict, float]]:
    """The results, as predicted and renamed, each with its share of kept identities.

    Args:
        records: videos with labelled frames only.
        reader: of the truth.
        read: of the predictions.
        protocol: what is scored.
        add: takes the renamed frames: video, frame, ids, classes, depth.
    """
    table = reader.categories
    classes = ClassSet(tuple(table.names), tuple(table.thing_ids))
    totals = [empty_counts(protocol, classes) for _ in range(2)]
    kept = [IdentityCount() for _ in range(2)]
    for record in records:
        renaming = Renaming()
        counters = [VideoCounter(protocol, classes) for _ in range(2)]
        for place, frame in enumerate(record["frames"]):
            truth = reader.read_panoptic(frame)
            pred, depth = read(record["video_id"], frame)
            if pred.shape != truth.shape:
                raise ValueError(
                    f"video {record['video_id']!r}, frame {frame['frame_id']}: the prediction is "
                    f"{pred.shape}, its truth {truth.shape}"
                )
            renamed = renaming(pred, overlaps(pred, truth))
            known = joint_map(truth.class_ids, truth.track_ids, crowd_classes=classes.thing_ids)
            for label, counter, count in zip((pred, renamed), counters, kept, strict=True):
                counter.count(known, joint_map(label.class_ids, label.track_ids))
                count.add(overlaps(label, truth), first=place == 0)
            add(record["video_id"], frame["frame_id"], *as_ids(renamed, table), depth)
        totals = [t + counter.counts() for t, counter in zip(totals, counters, strict=True)]
    return [
        (summarize(total, protocol, classes), count.share)
        for total, count in zip(totals, kept, strict=True)
    ]


def labelled_records(reader: DatasetReader, root: str, split: str) -> list[VideoRecord]:
    """Videos of a split with their labelled frames alone."""
    records: list[VideoRecord] = []
    for record in reader.load_records(root, split):
        frames = [frame for frame in record["frames"] if frame["labelled"]]
        if frames:
            records.append(VideoRecord({**record, "frames": frames}))
    if not records:
        raise ValueError(f"split {split!r} of {root} has no labelled frame to compare with")
    return records


def run(args: argparse.Namespace) -> dict[str, float]:
    """Rename, write, score."""
    reader = READERS[args.reader]
    table = reader.categories
    folder = Path(args.pred)
    layout = "vipseg" if (folder / "pred.json").is_file() else "cityscapes_dvps"
    if layout == "cityscapes_dvps" and not (folder / "panoptic").is_dir():
        raise ValueError(
            f"{folder} holds neither pred.json (layout vipseg) nor panoptic/ (cityscapes_dvps); "
            f"write it with `dvps predict --layout vipseg`"
        )
    read = (read_listed if layout == "vipseg" else read_coded)(folder, table)
    protocol = replace(get_protocol(args.protocol or args.reader), metrics=METRICS)
    if args.classes:
        counted = choose_classes(args.classes, ClassSet(tuple(table.names), tuple(table.thing_ids)))
        protocol = replace(protocol, eval_classes=counted)
    records = labelled_records(reader, args.root, args.split)
    with WRITERS[layout](args.out, records, table) as writer:
        (before, kept), (after, kept_after) = compare(records, reader, read, protocol, writer.add)
    numbers = {**_numbers("", before, kept), **_numbers("ceiling_", after, kept_after)}
    for title, result in (("as predicted", before), ("perfect identity (ceiling)", after)):
        print(f"{title}\n{format_result(result, protocol.decimals)}")
    print("  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
    return numbers


def _numbers(prefix: str, result: dict, kept: float) -> dict[str, float]:
    mean = result["vpq"]["mean"]
    found = {"vpq": mean["all"], "vpq_things": mean["things"], "stq": result["stq"]["stq"]}
    return {f"{prefix}{name}": value for name, value in {**found, "identity_kept": kept}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reader", choices=sorted(READERS), help="how the truth is read")
    parser.add_argument("--root", help="folder of the dataset")
    parser.add_argument("--split", default="val")
    parser.add_argument("--pred", help="folder of a submission, see `dvps predict`")
    parser.add_argument("--out", help="folder for the renamed submission")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), help="default: the reader's")
    parser.add_argument("--classes", metavar="A,B", help="averaged; 'street' = SynthStreet's")
    parser.add_argument("--json", type=Path, help="write {name: number} here")
    args = parser.parse_args()
    if len(sys.argv) == 1:  # `make bench` runs every script; this one needs predictions
        print("tracking_bounds: nothing to score; see --help")
        return
    missing = [name for name in ("reader", "root", "pred", "out") if getattr(args, name) is None]
    if missing:
        parser.error(f"--{missing[0]} is missing")
    try:
        numbers = run(args)
    except (ValueError, OSError) as error:
        raise SystemExit(f"tracking_bounds: {error}") from error
    if args.json:
        args.json.write_text(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main()
