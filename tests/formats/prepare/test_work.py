import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dvps_d2.formats.prepare.work import Piece, place_file, run_pieces


def double(path, number):
    """Work that leaves a trace of each time it is done."""
    with open(path, "a") as file:
        file.write(f"{number} ")
    if number < 0:
        raise ValueError(f"no {number}")
    return {"doubled": 2 * number}


def pieces(trace, numbers, inputs=""):
    return [Piece(f"s/{number}", (str(trace), number), inputs) for number in numbers]


def test_results_come_in_order_and_nothing_is_done_twice(tmp_path):
    trace = tmp_path / "trace"
    assert run_pieces(pieces(trace, [3, 1]), double, tmp_path) == [{"doubled": 6}, {"doubled": 2}]
    assert run_pieces(pieces(trace, [3, 1, 4]), double, tmp_path)[2] == {"doubled": 8}
    assert trace.read_text().split() == ["3", "1", "4"]


def test_other_inputs_are_done_again(tmp_path):
    trace = tmp_path / "trace"
    run_pieces(pieces(trace, [3], "720 rows"), double, tmp_path)
    run_pieces(pieces(trace, [3], "360 rows"), double, tmp_path)
    assert trace.read_text().split() == ["3", "3"]


def test_an_error_keeps_what_was_done(tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(ValueError, match="no -1"):
        run_pieces(pieces(trace, [5, -1, 6]), double, tmp_path)
    run_pieces(pieces(trace, [5, 6]), double, tmp_path)
    assert trace.read_text().split() == ["5", "-1", "6"]


SLOW = """
import sys, time
from pathlib import Path
from dvps_d2.formats.files import write_json
from dvps_d2.formats.prepare.work import Piece, run_pieces

def work(root, number):
    while number == 60 and not (Path(root) / "go").exists():
        time.sleep(0.01)  # here it will be killed
    write_json(Path(root) / "out" / f"{number}.json", [number])
    return number

root = Path(sys.argv[1])
found = run_pieces([Piece(str(i), (str(root), i)) for i in range(120)], work, root)
write_json(root / "all.json", found)
"""


def test_a_killed_run_goes_on_and_loses_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    killed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "59.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".prepared").glob("*.json")}
    assert 59 <= len(before) <= 60
    (tmp_path / "go").touch()
    half_written = tmp_path / "out" / f".7.{killed.pid}.part.json"  # as a kill may leave it
    half_written.write_text("half")
    in_progress = tmp_path / "out" / f".7.{os.getpid()}.part.json"
    in_progress.write_text("of a process that lives")
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert json.loads((tmp_path / "all.json").read_text()) == list(range(120))
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / ".prepared").iterdir()}
    assert len(after) == 120
    assert {name: after[name] for name in before} == before
    assert not half_written.exists()
    assert in_progress.exists()


@pytest.mark.parametrize("how", ["copy", "hardlink", "symlink"])
def test_files_are_placed(tmp_path, how):
    (tmp_path / "a").write_text("x")
    place_file(tmp_path / "a", tmp_path / "new" / "b", how)
    assert (tmp_path / "new" / "b").read_text() == "x"
    assert (tmp_path / "new" / "b").is_symlink() == (how == "symlink")
    (tmp_path / "a").unlink()
    place_file(tmp_path / "a", tmp_path / "new" / "b", how) if how != "symlink" else None
    with pytest.raises(FileNotFoundError, match="it should become"):
        place_file(tmp_path / "a", tmp_path / "c", how)
