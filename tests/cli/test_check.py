import argparse
import json

import numpy as np
import pytest

from dvps_d2.cli import check
from dvps_d2.formats.errors import TreeError
from dvps_d2.formats.png import write_png


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


def test_unknown_folders_say_what_is_there(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(TreeError, match=r"(?s)is none of cityscapes_dvps.*found: .*holiday/"):
        run(tmp_path)
    with pytest.raises(ValueError, match="--every must be at least 1"):
        run(tmp_path, "--every", 0)
