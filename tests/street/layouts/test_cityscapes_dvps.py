import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.png import read_png
from dvps_d2.street.layouts.cityscapes_dvps import encode_label
from dvps_d2.street.video import StreetFrame


@pytest.fixture(scope="module")
def root(write_street):
    return write_street("cityscapes_dvps", ("train", "val"))


def test_the_tree_is_the_released_one(root, visible_files):
    assert visible_files(root) == [
        f"video_sequence/{split}/000000_00000{t}_synthstreet_000000_00000{t}_{kind}.png"
        for split in ("train", "val")
        for t in (0, 1)
        for kind in ("depth", "gtFine_instanceTrainIds", "leftImg8bit")
    ]


def test_the_numbers_in_the_files_are_those_of_the_frames(root, render):
    frame = render("cityscapes_dvps", "val")[1]
    stem = root / "video_sequence/val/000000_000001_synthstreet_000000_000001"
    assert (read_png(f"{stem}_leftImg8bit.png", bits=8) == frame.image).all()
    label = read_png(f"{stem}_gtFine_instanceTrainIds.png", channels=1, bits=16).astype(int)
    void = frame.class_ids == 255
    assert (label[void] == 32000).all()
    assert (label[~void] // 1000 == frame.class_ids[~void]).all()
    assert (label[~void] % 1000 == frame.track_ids[~void]).all()
    depth = read_png(f"{stem}_depth.png", channels=1, bits=16) / 256
    assert ((depth == 0) == (frame.depth == 0)).all()
    assert np.abs(depth - frame.depth).max() <= 1 / 512 + 1e-6


def test_the_reader_reads_it(root, render):
    reader = READERS["cityscapes_dvps"]
    (record,) = reader.load_records(root, "train")
    assert len(record["frames"]) == 2
    label = reader.read_panoptic(record["frames"][0])
    assert (label.class_ids == render("cityscapes_dvps", "train")[0].class_ids).all()
    assert not label.problems(reader.categories)


def test_a_track_that_would_spill_into_the_next_class_is_refused():
    zeros = np.zeros((1, 1))
    frame = StreetFrame(
        image=zeros, class_ids=zeros, track_ids=np.array([[1000]]), depth=zeros, pose=zeros,
        intrinsics=None, seconds=0.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="track id 1000 does not fit"):
        encode_label(frame)
