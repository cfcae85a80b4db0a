import argparse
import json
import re

import numpy as np
import pytest

from dvps_d2.cli import check
from dvps_d2.formats.png import read_png, write_png


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / "video_sequence" / "val"
    for frame in range(2):
        stem = f"000000_{frame:06d}_bonn_000000_{frame:06d}"
        write_png(folder / f"{stem}_leftImg8bit.png", np.zeros((1, 2, 3), np.uint8))
        write_png(folder / f"{stem}_gtFine_instanceTrainIds.png", np.zeros((1, 2), np.uint16))
    return tmp_path / "data"


def run(*argv):
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args([str(a) for a in argv]))


def test_dataset_is_recognised_checked_and_written_as_json(root, capsys):
    assert run(root, "--json", root / "report.json") == 0
    out = capsys.readouterr().out
    assert f"{root} is cityscapes_dvps" in out
    assert "val: 1 videos, 2 frames, 2 labelled" in out
    content = json.loads((root / "report.json").read_text())
    assert content["counts"]["val"]["frames"] == 2
    assert {f["kind"] for f in content["findings"]} == {"count", "tree"}


def test_errors_are_the_exit_code(root, capsys):
    label = next((root / "video_sequence/val").glob("*TrainIds.png"))
    write_png(label, np.full((1, 2), 25000, np.uint16))
    assert run(root) == 1
    assert "class 25 does not exist" in capsys.readouterr().out


def test_own_data_by_its_json(tmp_path, capsys):
    (tmp_path / "own.json").write_text('{"categories": [], "videos": []}')
    assert run(tmp_path / "own.json") == 1
    assert "own.json, line 1: file: 'annotations' is missing" in capsys.readouterr().out


def test_warnings_are_errors_when_asked(root):
    assert run(root) == 0
    assert run(root, "--strict") == 1


def test_a_picture_of_every_kind_of_finding(root, capsys):
    folder = root / "video_sequence/val"
    label, other = sorted(folder.glob("*TrainIds.png"))
    write_png(label, np.full((1, 2), 25000, np.uint16))
    write_png(other, np.full((1, 2), 32000, np.uint16))
    assert run(root, "--pictures", root / "found") == 1
    pictures = {path.name: read_png(path) for path in (root / "found").iterdir()}
    assert set(pictures) == {"error_label.png", "warning_empty.png"}
    assert all(p.ndim == 3 and p.shape[1] >= 384 and p.std() > 0 for p in pictures.values())
    assert "drawn: " in capsys.readouterr().out


def test_an_object_that_jumps_is_drawn_in_both_frames(tmp_path):
    folder = tmp_path / "video_sequence/val"
    for frame, place in enumerate((0, 50)):
        stem = folder / f"000000_{frame:06d}_bonn_000000_{frame:06d}"
        values = np.zeros((32, 64), np.uint16)
        values[8:24, place : place + 10] = 13001
        write_png(f"{stem}_leftImg8bit.png", np.full((32, 64, 3), 40, np.uint8))
        write_png(f"{stem}_gtFine_instanceTrainIds.png", values)
    assert run(tmp_path, "--pictures", tmp_path / "found") == 0
    picture = read_png(tmp_path / "found/warning_jump.png")
    red = (picture[..., 0] > 200) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    rows, columns = np.nonzero(red)
    assert rows.max() - rows.min() > 150  # one box in each of two rows
    assert np.ptp(columns) > 100


def test_unknown_folders_say_what_is_there(tmp_path, capsys):
    (tmp_path / "holiday").mkdir()
    assert run(tmp_path) == 2
    told = capsys.readouterr().err
    assert re.search(r"(?s)is none of .*cityscapes_dvps.*found: .*holiday/", told)
    with pytest.raises(ValueError, match="--every must be at least 1"):
        run(tmp_path, "--every", 0)
