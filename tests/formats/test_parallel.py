import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dvps_d2.formats.parallel import process_pool

MAIN = """
import sys, time
from pathlib import Path
from dvps_d2.formats.parallel import process_pool

def work(path):
    import os
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with process_pool(1) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def is_running(pid):
    """Whether a process lives (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script, note = tmp_path / "main.py", tmp_path / "pid"
    script.write_text(MAIN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, script, note], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    worker = int(note.read_text())
    assert is_running(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fail(number):
    raise ValueError(f"no {number}")


def test_an_error_comes_back_from_a_worker():
    with pytest.raises(ValueError, match="no 3"), process_pool(1) as pool:
        pool.submit(fail, 3).result()
