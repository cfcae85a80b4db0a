import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.semkitti_dvps import focal_length
from dvps_d2.street import StreetConfig, StreetVideo
from dvps_d2.street.layouts.semkitti_dvps import lidar_pixels


@pytest.fixture(scope="module")
def root(write_street):
    return write_street("semkitti_dvps")


def test_names_with_the_focal_length(root, visible_files):
    assert visible_files(root) == [
        f"video_sequence/val/000000_00000{t}_{kind}.png"
        for t in (0, 1)
        for kind in ("depth_100.8", "gtFine_class", "gtFine_instance", "leftImg8bit")
    ]
    assert focal_length("000000_000000_depth_100.8.png") == pytest.approx(1.05 * 96)


def test_labels_and_depth_are_where_the_lidar_measured(root, render):
    reader = READERS["semkitti_dvps"]
    (record,) = reader.load_records(root, "val")
    for entry, frame in zip(record["frames"], render("semkitti_dvps", "val"), strict=True):
        measured = lidar_pixels(frame)
        label, depth = reader.read_panoptic(entry), reader.read_depth(entry)
        assert (label.class_ids[~measured] == 255).all()
        assert ((depth > 0) == measured).all()
        assert np.abs(depth - frame.depth)[measured].max() < 1 / 256
        road = measured & (frame.class_ids == 0)
        assert (label.class_ids[road] == reader.categories.names.index("road")).all()
        assert ((label.track_ids > 0) == (measured & (frame.track_ids > 0))).all()


def test_beams_are_rows_when_the_image_is_finer_than_they_are():
    # 64 beams over 26.8 degrees: 0.4254 degrees apart, 12.0 pixels at a focal length of 1613, and a
    # little more where rays lean.
    config = StreetConfig(height=400, width=32, focal=1613 / 32, antialias=False)
    rows = lidar_pixels(StreetVideo(config, 0).render(0))[:, 16]
    first = np.flatnonzero(rows)
    assert set(np.diff(first)) <= {12, 13}
    assert rows.sum() > 10


def test_nothing_comes_back_from_above_two_degrees(render):
    frame = render("semkitti_dvps", "val")[0]
    rows = np.arange(len(frame.depth))
    elevation = np.rad2deg(np.arctan((frame.intrinsics.centre_v - rows) / frame.intrinsics.focal))
    assert not lidar_pixels(frame)[elevation > 2.7].any()
