import json
import os
from dataclasses import replace

import numpy as np
import pytest

from dvps_d2.formats import READERS
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


def visible(root):
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*.png") if ".street" not in str(p)
    )


def test_an_interrupted_video_leaves_nothing_but_hidden_files(tree, tmp_path, monkeypatch):
    written = []

    def interrupted(self, name, metres):
        written.append(name)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dvps_d2.street.layouts.tree.VideoTree.depth", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tree.write_video(CONFIG, "train", 0, 0)
    assert any((tmp_path / ".street").rglob("*.png"))
    assert visible(tmp_path) == []
    assert not tree.is_complete("train", 0, 2)
    tree.claim(CONFIG, 0)
    assert not any((tmp_path / ".street").rglob("*.png"))
    tree.write_video(CONFIG, "train", 0, 0)
    assert len(visible(tmp_path)) == 6
    assert tree.is_complete("train", 0, 2)


def test_a_video_that_was_interrupted_while_it_moved_is_moved_to_its_end(
    tree, tmp_path, monkeypatch
):
    tree.claim(CONFIG, 0)
    moved, replace_file = [], os.replace

    def interrupted(source, target):
        if ".street/ready" in str(source):
            moved.append(target)
            if len(moved) == 4:
                raise KeyboardInterrupt
        replace_file(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tree.write_video(CONFIG, "train", 0, 0)
    assert len(visible(tmp_path)) == 3
    tree.claim(CONFIG, 0)
    assert len(visible(tmp_path)) == 6
    assert tree.is_complete("train", 0, 2)
    assert not any((tmp_path / ".street/ready").iterdir())


def test_a_shorter_video_leaves_no_frames_of_the_longer_one(tree, tmp_path):
    tree.write_video(replace(CONFIG, frames=3), "train", 0, 0)
    tree.write_video(CONFIG, "train", 0, 0)
    assert len(visible(tmp_path)) == 6
    assert not tree.is_complete("train", 0, 3)


def test_another_street_in_the_same_folder_is_refused(tree):
    tree.claim(CONFIG, 0)
    tree.claim(replace(CONFIG, frames=5), 0)  # splits differ in length
    with pytest.raises(ValueError, match=r"its seed is 0, asked was 1"):
        tree.claim(CONFIG, 1)
    with pytest.raises(ValueError, match=r"its interval is 0\.2, asked was 0\.5"):
        tree.claim(replace(CONFIG, interval=0.5), 0)


def test_flow_and_poses_beside_the_images(tree, tmp_path):
    config = replace(CONFIG, frames=3)
    tree.write_video(config, "val", 3, 0)
    assert tree.is_complete("val", 3, 3)
    assert not tree.is_complete("val", 3, 3, with_flow=True)
    tree.write_video(config, "val", 3, 0, with_flow=True)
    folder = tmp_path / "flow/val/000003"
    names = ["0_1.npy", "1_0.npy", "1_2.npy", "2_1.npy", "truth.npz"]
    assert sorted(path.name for path in folder.iterdir()) == names
    video = StreetVideo(config, split_seed("val", 3))
    with np.load(folder / "truth.npz") as stored:
        assert stored["pairs"].tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
        frame = video.render(1, with_flow=True)
        flow = np.load(folder / "1_2.npy")
        assert (flow.shape, flow.dtype) == ((16, 32, 2), np.float16)
        assert np.abs(flow - frame.flow_to_next).max() < 0.05
        assert np.array_equal(stored["visible"][2], frame.flow_valid)
        assert stored["poses"][1] == pytest.approx(frame.pose)
        assert stored["intrinsics"] == pytest.approx(frame.intrinsics.matrix)
        assert stored["seconds"] == pytest.approx([0, 0.2, 0.4])


def test_a_video_of_one_frame_has_no_flow(tree, tmp_path):
    tree.write_video(replace(CONFIG, frames=1), "val", 0, 0, with_flow=True)
    assert [path.name for path in (tmp_path / "flow/val/000000").iterdir()] == ["truth.npz"]


@pytest.mark.parametrize(
    ("name", "split"), [*((name, "val") for name in LAYOUTS), ("cityscapes_vps", "train")]
)
def test_layouts_name_videos_and_frames_as_their_readers_do(tmp_path, name, split):
    tree = StreetTree(tmp_path, LAYOUTS[name])
    tree.write_video(CONFIG, split, 0, 0)
    tree.finish(split, 1)
    (record,) = READERS[name.removesuffix("_raw")].load_records(tmp_path, split)
    rendered = LAYOUTS[name].video_config(CONFIG, split).frames
    video_id, frame_ids = LAYOUTS[name].names(split, 0, rendered)
    assert record["video_id"] == video_id
    assert [frame["frame_id"] for frame in record["frames"]] == list(frame_ids.values())


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
