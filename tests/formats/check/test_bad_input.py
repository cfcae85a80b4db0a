"""Mistakes in each dataset's files, as `dvps check` and the preparation tell them."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from dvps_d2.cli import main
from dvps_d2.formats import READERS, FormatError
from dvps_d2.formats.png import read_png, write_png
from dvps_d2.formats.prepare import cityscapes_vps
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree

SMALL = StreetConfig(height=24, width=48, frames=2)


@pytest.fixture(scope="session")
def streets(tmp_path_factory):
    done = {}

    def make(layout):
        if layout not in done:
            tree = StreetTree(tmp_path_factory.mktemp(layout), LAYOUTS[layout])
            tree.write_video(SMALL, "val", 0, seed=5)
            tree.finish("val", 1)
            done[layout] = tree.root
        return done[layout]

    return make


@pytest.fixture
def broken(streets, tmp_path):
    """A copy of a small dataset, to break."""

    def make(layout):
        shutil.copytree(streets(layout), tmp_path / layout)
        return tmp_path / layout

    return make


def first(root, pattern):
    return min(root.glob(pattern))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def swap_colours(path):
    write_png(path, np.ascontiguousarray(read_png(path)[..., ::-1]))


def as_palette(path):
    image = Image.open(path).convert("P")
    image.save(path)


def eight_bits(path):
    write_png(path, (read_png(path) >> 8).astype(np.uint8))


def smaller(path):
    write_png(path, np.ascontiguousarray(read_png(path)[:-4]))


def as_jpeg(path):
    cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
    path.with_suffix(".jpg").rename(path)


VPS, DVPS, VIPSEG, KITTI = "cityscapes_vps", "cityscapes_dvps", "vipseg", "semkitti_dvps"
RGB, SEQUENCE = "val/panoptic_video/*.png", "video_sequence/val"
VIPER_RGB, VIPER_JSON = "val_day/panoptic_video/*.png", "viper_panoptic_val_day_video.json"
VIPSEG_RGB, VIPSEG_JSON = "panomasksRGB/*/*.png", "panoptic_gt_VIPSeg_val.json"


@pytest.mark.parametrize(
    ("layout", "pattern", "break_it", "message"),
    [
        (VPS, RGB, swap_colours, "red and blue of this file seem to be swapped"),
        (VPS, RGB, as_palette, "expected 3 channels, found a PNG of 8-bit palette"),
        (VPS, RGB, truncate, "is a truncated PNG"),
        (VPS, RGB, smaller, "expected 48x24 as its video, found 48x20"),
        (VPS, RGB, lambda p: p.unlink(), "has no label"),
        (VPS, "val/img/*.png", truncate, "is a truncated PNG"),
        (VPS, "val/img_all/*.png", lambda p: p.unlink(), "lists .*, which .*img_all does not hold"),
        ("viper", VIPER_RGB, swap_colours, "red and blue of this file seem to be swapped"),
        ("viper", VIPER_RGB, lambda p: p.unlink(), "panoptic_video/001_00001.png does not exist"),
        ("viper", VIPER_RGB, as_jpeg, "001_00001.png is not a PNG"),
        ("viper", "val_day/img/*/*.jpg", truncate, "not a readable image: .*truncated"),
        ("viper", "val_day/img/*/*.jpg", lambda p: p.unlink(), "not a readable image: .*No such"),
        (
            "viper",
            VIPER_JSON,
            lambda p: p.write_text("[]"),
            "val_day_video.json is not laid out as VIPER's annotations",
        ),
        (
            "viper",
            VIPER_JSON,
            lambda p: change_json(p, lambda c: c["annotations"].pop()),
            r"image '001/001_00002.jpg' .* has no annotation",
        ),
        (VIPSEG, VIPSEG_RGB, swap_colours, "red and blue of this file seem to be swapped"),
        (VIPSEG, "images/*/*.jpg", truncate, "not a readable image: .*truncated"),
        (
            VIPSEG,
            VIPSEG_JSON,
            lambda p: change_json(p, lambda c: c["videos"][0].update(images=[])),
            "video '0_street-val' has no images",
        ),
        (
            VIPSEG,
            VIPSEG_JSON,
            lambda p: change_json(p, lambda c: c["videos"][0]["images"][0].update(height=99)),
            "expected 48x99 as its video, found 48x24",
        ),
        (DVPS, f"{SEQUENCE}/*instanceTrainIds.png", eight_bits, "expected 16 bits per channel"),
        (DVPS, f"{SEQUENCE}/*_depth.png", eight_bits, "expected .*16 bits per channel"),
        (DVPS, f"{SEQUENCE}/*_depth.png", smaller, "expected 48x24 as its video, found 48x20"),
        (KITTI, f"{SEQUENCE}/*gtFine_class.png", truncate, "is a truncated PNG"),
        (KITTI, f"{SEQUENCE}/*instance.png", lambda p: p.unlink(), "frame 0 has no .*_instance"),
        (
            KITTI,
            f"{SEQUENCE}/*_depth_*.png",
            lambda p: shutil.copy(p, p.with_name("000000_000000_depth_99.5.png")),
            "two depth files for sequence 000000, frame 0",
        ),
    ],
)
def test_check_names_the_file(broken, capsys, layout, pattern, break_it, message):
    root = broken(layout)
    break_it(first(root, pattern))
    arguments = ["check", str(root), "--dataset", layout, "--split", "val"]
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert re.search(message, told.out), told.out
    assert "Traceback" not in told.out + told.err


def test_sound_streets_pass(streets, capsys):
    for layout in LAYOUTS:
        name = layout.removesuffix("_raw")
        assert main(["check", str(streets(layout)), "--dataset", name, "--split", "val"]) == 0
        assert "0 errors" in capsys.readouterr().out


def test_swapped_colours_stop_the_preparation_of_cityscapes_vps(broken):
    root = broken(VPS)
    for path in root.glob("val/cls/*.png"):
        swap_colours(path)
    with pytest.raises(FormatError, match=r"cls/.*red and blue seem to be swapped: \d+ pixels"):
        cityscapes_vps.prepare(root, splits=["val"])


def test_swapped_colours_of_raw_viper_are_not_taken_for_crowds(tmp_path):
    classes = np.array([[3, 24, 24]], np.uint8)
    (tmp_path / "val/img/001").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "val/img/001/001_00001.jpg"), np.zeros((1, 3, 3), np.uint8))
    write_png(tmp_path / "val/cls/001/001_00001.png", classes)
    instances = np.zeros((1, 3, 3), np.uint8)
    instances[0, 1:] = (9, 0, 24)  # blue, green, red
    write_png(tmp_path / "val/inst/001/001_00001.png", instances)
    reader = READERS["viper"]
    (record,) = reader.load_records(tmp_path, "val")
    with pytest.raises(FormatError, match=r"inst/001.*red and blue seem to be swapped"):
        reader.read_panoptic(record["frames"][0])


def test_gaps_and_videos_of_one_frame_are_told(broken, capsys):
    root = broken("viper")
    keep = root / VIPER_JSON

    def leave_one(content):
        for part in ("images", "annotations"):
            content[part] = content[part][:1]

    change_json(keep, leave_one)
    assert main(["check", str(root), "--dataset", "viper", "--split", "val"]) == 0
    assert "has one frame: nothing to track" in capsys.readouterr().out
