"""The script as users run it."""

import subprocess
import sys
from pathlib import Path

import pytest

from dvps_d2.cli import main

ROOT = Path(__file__).parents[2]
SMALL = ["--height", "16", "--width", "32", "--train", "2", "--val", "1", "--workers", "1"]


def run(*arguments, without=()):
    """Run the script in its own process, with some modules made unimportable."""
    script = ROOT / "datasets" / "make_street.py"
    code = "import sys, runpy\n"
    code += "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    code += f"sys.argv = {[str(script), *map(str, arguments)]!r}\n"
    code += f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_a_street_is_written_without_torch_and_continued(tmp_path):
    first = run("--root", tmp_path, *SMALL, without=("torch", "detectron2"))
    assert first.returncode == 0, first.stderr
    assert "3 videos written, 0 were there" in first.stdout
    assert len(list((tmp_path / "video_sequence/train").iterdir())) == 2 * 3 * 3
    assert len(list((tmp_path / "video_sequence/val").iterdir())) == 6 * 3
    again = run("--root", tmp_path, *SMALL)
    assert "0 videos written, 3 were there" in again.stdout
    other = run("--root", tmp_path, *SMALL, "--preset", "compare")
    assert other.returncode == 1
    assert "holds another street" in other.stderr
    assert "Traceback" not in other.stderr


def test_help_shows_an_example_and_every_layout():
    result = run("--help")
    assert "--layout cityscapes_dvps --root" in result.stdout
    for layout in ("cityscapes_vps", "cityscapes_dvps", "viper", "vipseg", "semkitti_dvps"):
        assert layout in result.stdout


def test_mistakes_are_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["--root", str(tmp_path / "file")], "file is a file"),
        (["--root", str(tmp_path / "new"), "--height", "0"], "at least 16 x 16, got 0 x"),
        (["--root", str(tmp_path / "new"), "--train", "0", "--val", "0"], "count videos, got"),
    ):
        assert main(["make-street", "--train", "1", *arguments]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_workers_write_the_same_files(tmp_path):
    contents = []
    for workers in (1, 2):
        root = tmp_path / str(workers)
        result = run("--root", root, *SMALL[:-1], str(workers))
        assert result.returncode == 0, result.stderr
        contents.append({p.name: p.read_bytes() for p in root.rglob("*.png")})
    assert contents[0] == contents[1]
