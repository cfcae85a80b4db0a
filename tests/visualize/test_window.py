"""The live window, on a real X server without a monitor where there is one.

What opens windows runs in processes of its own: Tk ends the process when its X server goes away.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from dvps_d2.visualize.window import LARGEST, Window, fit

PREPARE = """
import json
import numpy as np
from PIL import ImageGrab
from dvps_d2.visualize.window import Window

def halves(scale):  # red on the left, blue on the right
    picture = np.zeros((160 * scale, 320 * scale, 3), np.uint8)
    picture[:, : 160 * scale, 0] = 255
    picture[:, 160 * scale :, 2] = 255
    return picture

def on_screen(window):  # (H, W, 3) of what the X server shows inside the window
    root = window._root
    left, top = root.winfo_rootx(), root.winfo_rooty()
    box = (left, top, left + root.winfo_width(), top + root.winfo_height())
    return np.asarray(ImageGrab.grab(bbox=box, xdisplay="").convert("RGB"))

window = Window()
window.show(halves(SCALE))
window.show(halves(SCALE))
"""


@pytest.fixture
def on_a_screen():
    """Run code after ``PREPARE`` on a screen of 1280 x 1024: ``on_a_screen(code, scale)``."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"

    def run(code, scale=1):
        script = PREPARE.replace("SCALE", str(scale)) + textwrap.dedent(code)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "DISPLAY": display},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield run
    server.terminate()
    server.wait()


def test_a_picture_is_on_the_screen_as_it_was_drawn(on_a_screen):
    equal, closed = on_a_screen(
        """
        seen = on_screen(window)
        window.close()
        window.close()  # again does nothing
        print(json.dumps([np.array_equal(seen, halves(1)), window.closed_by_user]))
        """
    )
    assert (equal, closed) == (True, False)


def test_a_large_picture_is_shrunk_to_the_screen_and_keeps_its_shape(on_a_screen):
    shape, left, right = on_a_screen(
        """
        seen = on_screen(window)
        print(json.dumps([seen.shape, seen[20, 20].tolist(), seen[-20, -20].tolist()]))
        """,
        scale=8,
    )
    assert (shape, left, right) == ([640, 1280, 3], [255, 0, 0], [0, 0, 255])


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_keys_end_it(on_a_screen, key):
    before, after = on_a_screen(
        f"""
        before = window.closed_by_user
        window._root.focus_force()
        window._root.update()
        window._root.event_generate("<KeyPress-{key}>")
        window.show(halves(1))
        print(json.dumps([before, window.closed_by_user]))
        """
    )
    assert (before, after) == (False, True)


def test_the_close_button_ends_it_and_the_frame_under_way_is_no_mistake(on_a_screen):
    closed = on_a_screen(
        """
        window._root.tk.eval(window._root.protocol("WM_DELETE_WINDOW"))
        window.show(halves(1))
        print(json.dumps(window.closed_by_user))
        """
    )
    assert closed


def test_no_screen_is_said(monkeypatch):
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ValueError, match="no screen to show on"):
        Window()


def test_python_without_tk_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(ValueError, match="apt install python3-tk"):
        Window()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((320, 160), (320, 160), id="small ones do not grow"),
        pytest.param((3200, 900), (1600, 450), id="wide"),
        pytest.param((900, 1800), (450, 900), id="tall"),
        pytest.param((5000, 1), (1600, 1), id="never without rows"),
    ],
)
def test_what_fits(size, expected):
    assert fit(*size, LARGEST) == expected
