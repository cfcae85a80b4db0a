import shutil

import numpy as np
import pytest

from dvps_d2.formats import READERS
from dvps_d2.formats.png import write_depth_png, write_png
from dvps_d2.formats.prepare.command import PREPARATIONS, main
from dvps_d2.street import StreetConfig
from dvps_d2.street.layouts import LAYOUTS, StreetTree


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "video_sequence" / "val"
    for frame in range(2):
        stem = f"000000_{frame:06d}_bonn_000000_{frame:06d}"
        write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((1, 2, 3), np.uint8))
        write_png(folder / f"{stem}_gtFine_instanceTrainIds.png", np.zeros((1, 2), np.uint16))
        write_depth_png(folder / f"{stem}_depth.png", np.ones((1, 2)))
    return tmp_path


def test_check_tells_and_returns_whether_all_is_well(root, capsys):
    command = ["--root", str(root), "--check", "--workers", "0"]
    assert main("cityscapes_dvps", "text", command) == 0
    assert "val: 1 videos, 2 frames, 2 labelled" in capsys.readouterr().out
    label = next((root / "video_sequence/val").glob("*TrainIds.png"))
    label.write_bytes(label.read_bytes()[:40])
    assert main("cityscapes_dvps", "text", command) == 1
    assert "truncated" in capsys.readouterr().out


def test_missing_arguments_and_folders_are_one_message(root, capsys):
    assert main("cityscapes_dvps", "text", ["--root", str(root)]) == 1
    assert capsys.readouterr().err == "--vps must be given (see --help)\n"
    assert main("vipseg", "text", ["--root", str(root), "--workers", "0"]) == 1
    assert "does not look like VIPSeg" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(PREPARATIONS))
def test_help_shows_the_description(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(name, "The description of this one.", ["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "The description of this one." in out
    assert "--check" in out


def test_a_raw_street_is_prepared_in_part_in_parallel_and_once(tmp_path, capsys):
    """One video of two; two processes write what one does; the second time nothing is done."""
    street = StreetTree(tmp_path / "0", LAYOUTS["viper_raw"])
    for index in range(2):
        street.write_video(StreetConfig(height=16, width=32, frames=2), "val", index, 0)
    shutil.copytree(tmp_path / "0", tmp_path / "2")
    made = {}
    for workers in (0, 2):
        root = tmp_path / str(workers)
        command = ["--root", str(root), "--splits", "val", "--workers", str(workers)]
        assert main("viper", "text", [*command, "--subset", "1"]) == 0
        files = [*root.glob("val_day/**/*.*"), *root.glob("*.json")]
        made[workers] = {path.relative_to(root): path.read_bytes() for path in files}
        assert "VIPER" in capsys.readouterr().err  # the progress bar
        (record,) = READERS["viper"].load_records(root, "val")
        assert (record["video_id"], len(record["frames"])) == ("001", 2)
    assert made[0] == made[2]
    assert len(made[0]) == 2 + 2 + 1
    labels = {path: path.stat().st_mtime_ns for path in files if path.suffix == ".png"}
    assert main("viper", "text", command) == 0
    assert {path: path.stat().st_mtime_ns for path in labels} == labels
    assert len(READERS["viper"].load_records(root, "val")) == 2
    assert main("viper", "text", [*command, "--check"]) == 0
