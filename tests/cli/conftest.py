"""Submissions on disk, in every layout, made of one drawing of 4 x 4 pixels."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

ROAD, SKY, CAR = 0, 10, 13
TRUTH = ("SSSS/AABB/AABB/RRR.", "SSSS/AABB/AAB./RRRR")
PRED = ("SSSS/aabb/aabb/RRRR", "SSSR/bbaa/bbaa/RRRR")
CLASS = {"S": SKY, "R": ROAD, "A": CAR, "B": CAR, "a": CAR, "b": CAR}
INSTANCE = {"A": 1, "B": 2, "a": 1, "b": 2}
CATEGORIES = [
    {"id": ROAD, "name": "road", "isthing": 0},
    {"id": SKY, "name": "sky", "isthing": 0},
    {"id": CAR, "name": "car", "isthing": 1},
]


def letters(text: str, scale: int = 1) -> np.ndarray:
    """(H, W) of single letters."""
    grid = np.array([list(row) for row in text.split("/")])
    return np.repeat(np.repeat(grid, scale, 0), scale, 1)


def values(text: str, table: dict, void: int, scale: int = 1) -> np.ndarray:
    """(H, W) numbers by letter."""
    lookup = np.vectorize(lambda c: table.get(c, void))
    return lookup(letters(text, scale))


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        image = image[..., ::-1]
    assert cv2.imwrite(str(path), image)


def write_ids(path: Path, text: str, scale: int = 1) -> list[dict]:
    """RGB-coded ids = letters; returns the segment list, in order of appearance."""
    ids = values(text, {c: ord(c) for c in CLASS}, 0, scale)
    write(path, np.stack([ids, ids * 0, ids * 0], -1).astype(np.uint8))
    return [
        {"id": ord(c), "category_id": CLASS[c], "iscrowd": 0, "area": int((ids == ord(c)).sum())}
        for c in dict.fromkeys(text.replace("/", ""))
        if c != "."
    ]


class Submission:
    """Folders of one protocol below ``root``, and the arguments that score them."""

    def __init__(self, root: Path):
        self.root = root
        self.truth, self.pred, self.depth = root / "truth", root / "pred", root / "depth"
        self.truth_json, self.pred_json = root / "truth.json", root / "pred.json"

    def args(self, *more: str) -> list[str]:
        found = ["--truth", self.truth, "--pred", self.pred]
        if self.truth_json.exists():
            found += ["--truth-json", self.truth_json, "--pred-json", self.pred_json]
        if self.depth.exists():
            found += ["--depth-pred", self.depth]
        return [str(value) for value in (*found, "--output", self.root / "out.json", *more)]

    def result(self) -> dict:
        return json.loads((self.root / "out.json").read_text())

    def edit(self, path: Path, change) -> None:
        """Rewrite a JSON in place."""
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    def listed(self, videos: dict, name_of, label_of, png_of, scale: int = 1) -> Submission:
        """Cityscapes-VPS and VIPER: flat folders and two JSON files."""
        images, truths, preds = [], [], []
        number = 0
        for video, frames in videos.items():
            for position, frame in enumerate(frames):
                number += 1
                name, image = name_of(video, position, number)
                label = label_of(name)
                images.append({"id": name, "file_name": image, "width": 4, "height": 4})
                info = write_ids(self.truth / label, TRUTH[frame], scale)
                truths.append({"image_id": name, "file_name": label, "segments_info": info})
                info = write_ids(self.pred / png_of(name), PRED[frame], scale)
                preds.append({"image_id": name, "file_name": png_of(name), "segments_info": info})
        content = {"images": images, "annotations": truths, "categories": CATEGORIES}
        self.truth_json.write_text(json.dumps(content))
        self.pred_json.write_text(json.dumps({"annotations": preds}))
        return self


def cityscapes_vps(root: Path, videos: dict | None = None) -> Submission:
    """Two videos of six frames: frames 1, 2, 1, 2, 1, 2 of the drawing."""
    return Submission(root).listed(
        videos or {"0005": [0, 1] * 3, "0015": [0, 1] * 3},
        lambda v, p, n: (f"{v}_{n:04}_lindau_{p:06}", f"{v}_{n:04}_lindau_{p:06}_newImg8bit.png"),
        lambda name: f"{name}_final_mask.png",
        lambda name: f"{name}.png",
    )


def viper(root: Path, videos: dict | None = None) -> Submission:
    """One video of two frames, 64 x 64 pixels."""
    return Submission(root).listed(
        videos or {"001": [0, 1]},
        lambda v, p, n: (f"{v}_{p:05}", f"{v}/{v}_{p:05}.jpg"),
        lambda name: f"{name}.png",
        lambda name: f"{name}.png",
        scale=16,
    )


def vipseg(root: Path, videos: dict | None = None) -> Submission:
    """A video of two frames and one of nine."""
    found = Submission(root)
    truths, preds = [], []
    for video, frames in (videos or {"1_-a_b": [0, 1], "2_c": [0, 1] * 4 + [0]}).items():
        sides = ([], [])
        for position, frame in enumerate(frames):
            name = f"{100 + 3 * position:08}.png"
            folders = (found.truth, TRUTH), (found.pred / "pan_pred", PRED)
            for side, (folder, drawings) in zip(sides, folders, strict=True):
                info = write_ids(folder / video / name, drawings[frame])
                side.append({"image_id": name[:-4], "file_name": name, "segments_info": info})
        truths.append({"video_id": video, "annotations": sides[0]})
        preds.append({"video_id": video, "annotations": sides[1]})
    content = {"videos": [], "annotations": truths, "categories": CATEGORIES}
    found.truth_json.write_text(json.dumps(content))
    found.pred_json.write_text(json.dumps({"annotations": preds}))
    return found


def toy_depth(position: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted depth in PNG units; the sky row has none in the truth."""
    truth = np.full((4, 4), 2560, np.uint16)
    pred = truth.copy()
    truth[0] = 0
    if position == 0:
        pred[1, 0] = 3072  # 12 m for 10 m
    else:
        pred[3, 3] = 2304  # 9 m for 10 m: an error of exactly 0.1
    return truth, pred


def cityscapes_dvps(root: Path, frames=(0, 1, 1, 1, 1, 1)) -> Submission:
    """One sequence; every frame has depth."""
    found = Submission(root)
    for position, frame in enumerate(frames):
        name = f"000000_{position:06}_lindau_000001_{position:06}"
        text = TRUTH[frame]
        label = values(text, CLASS, 32) * 1000 + values(text, INSTANCE, 0)
        write(found.truth / f"{name}_gtFine_instanceTrainIds.png", label.astype(np.uint16))
        text = PRED[frame]
        channels = [values(text, CLASS, 19), values(text, INSTANCE, 0), np.zeros((4, 4))]
        write(found.pred / f"{name}.png", np.stack(channels, -1).astype(np.uint8))
        truth, pred = toy_depth(position)
        write(found.truth / f"{name}_depth.png", truth)
        write(found.depth / f"{name}.png", pred)
    return found


def semkitti(root: Path, frames=(0, 1), sequences=("000008",)) -> Submission:
    """Class and instance in two PNGs; class 19 stands for predicted void."""
    found = Submission(root)
    table = {"S": 9, "R": 8, "A": 0, "B": 0, "a": 0, "b": 0}
    for sequence in sequences:
        for position, frame in enumerate(frames):
            name = f"{sequence}_{position:06}"
            sides = (found.truth, TRUTH, 255, "gtFine_class", "gtFine_instance"), (
                found.pred, PRED, 19, "cat", "ins",
            )  # fmt: skip
            for folder, drawings, void, kind, instance in sides:
                text = drawings[frame]
                write(folder / f"{name}_{kind}.png", values(text, table, void).astype(np.uint8))
                ids = values(text, INSTANCE, 0).astype(np.uint16)
                write(folder / f"{name}_{instance}.png", ids)
            truth, pred = toy_depth(position)
            write(found.truth / f"{name}_depth_718.856.png", truth)
            write(found.depth / f"{name}_depth.png", pred)
    return found


def kitti_step(root: Path, videos: dict | None = None) -> Submission:
    """One folder per sequence, RGB = class, id // 256, id % 256."""
    found = Submission(root)
    for video, frames in (videos or {"0002": [0, 1]}).items():
        for position, frame in enumerate(frames):
            for folder, drawings in ((found.truth, TRUTH), (found.pred, PRED)):
                text = drawings[frame]
                ids = values(text, {k: 256 + v for k, v in INSTANCE.items()}, 0)
                channels = [values(text, CLASS, 255), ids // 256, ids % 256]
                path = folder / video / f"{position:06}.png"
                write(path, np.stack(channels, -1).astype(np.uint8))
    return found


@pytest.fixture
def make(tmp_path) -> SimpleNamespace:
    """Writers of submissions, each into its own folder."""

    def bound(writer):
        def call(*args, **kwargs):
            root = tmp_path / f"{writer.__name__}_{len(list(tmp_path.iterdir()))}"
            root.mkdir()
            return writer(root, *args, **kwargs)

        return call

    writers = (cityscapes_vps, viper, vipseg, cityscapes_dvps, semkitti, kitti_step)
    return SimpleNamespace(
        **{writer.__name__: bound(writer) for writer in writers}, write=write, write_ids=write_ids
    )
