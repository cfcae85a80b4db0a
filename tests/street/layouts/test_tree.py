import json
from dataclasses import replace

import numpy as np
import pytest

from dvps_d2.street import StreetConfig, StreetVideo, split_seed
from dvps_d2.street.layouts import LAYOUTS, StreetTree

CONFIG = StreetConfig(height=16, width=32, frames=2)


@pytest.fixture
def tree(tmp_path):
    return StreetTree(tmp_path, LAYOUTS["cityscapes_dvps"])


def test_a_video_is_complete_when_its_last_file_is_there(tree, tmp_path):
    assert not tree.is_complete("train", 0, 2)
    tree.write_video(CONFIG, "train", 0, 0)
    assert tree.is_complete("train", 0, 2)
    assert not tree.is_complete("train", 0, 3)
    next(tmp_path.rglob("*_depth.png")).unlink()
    assert not tree.is_complete("train", 0, 2)


def test_writing_twice_gives_the_same_bytes(tree, tmp_path):
    tree.write_video(CONFIG, "train", 0, 0)
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    tree.write_video(CONFIG, "train", 0, 0)
    assert first == {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert len(first) == 6


def test_an_interrupted_video_leaves_no_note(tree, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dvps_d2.street.layouts.tree.VideoTree.depth", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tree.write_video(CONFIG, "train", 0, 0)
    assert not tree.is_complete("train", 0, 2)


def test_another_street_in_the_same_folder_is_refused(tree):
    tree.claim(CONFIG, 0)
    tree.claim(replace(CONFIG, frames=5), 0)  # splits differ in length
    with pytest.raises(ValueError, match=r"its seed is 0, asked was 1"):
        tree.claim(CONFIG, 1)
    with pytest.raises(ValueError, match=r"its interval is 0\.2, asked was 0\.5"):
        tree.claim(replace(CONFIG, interval=0.5), 0)


def test_flow_and_poses_beside_the_images(tree, tmp_path):
    tree.write_video(CONFIG, "val", 3, 0)
    assert tree.is_complete("val", 3, 2)
    assert not tree.is_complete("val", 3, 2, with_flow=True)
    tree.write_video(CONFIG, "val", 3, 0, with_flow=True)
    with np.load(tmp_path / "flow" / "val" / "000003.npz") as stored:
        assert stored["flow"].shape == (2, 16, 32, 2)
        assert stored["valid"].dtype == bool
        frame = StreetVideo(CONFIG, split_seed("val", 3)).render(1, with_flow=True)
        assert np.abs(stored["flow"][1] - frame.flow_to_next).max() < 0.05
        assert stored["poses"][1] == pytest.approx(frame.pose)
        assert stored["intrinsics"] == pytest.approx(frame.intrinsics.matrix)
        assert stored["seconds"] == pytest.approx([0, 0.2])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_names_its_files_so_that_they_can_be_found_again(tmp_path, name):
    tree = StreetTree(tmp_path, LAYOUTS[name])
    config = replace(CONFIG, frames=1)
    tree.write_video(config, "train", 0, 0)
    tree.finish("train", 1)
    note = json.loads((tmp_path / ".street/train/000000.json").read_text())
    assert note["files"]
    assert all((tmp_path / file).is_file() for file in note["files"])
    assert tree.is_complete("train", 0, 1)
