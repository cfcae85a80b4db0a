"""The look of a track: the same everywhere, told apart from its neighbours, text readable."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from dvps_d2.formats import class_table
from dvps_d2.visualize import Palette, SegmentMap, draw_overlay
from dvps_d2.visualize.text import put_text

ROOT = Path(__file__).resolve().parents[2]
TABLES = ["cityscapes", "semkitti", "viper", "vipseg"]
CAR = 13
LEAST_STEP = 9.0  # CIE76

SCRIPT = """
import json, sys
from dvps_d2.formats import class_table
from dvps_d2.visualize import Palette
table = class_table("cityscapes")
palette = Palette(table.colors, set(table.thing_ids))
order = range(1, 200) if sys.argv[1] == "up" else range(199, 0, -1)
colors = {t: [palette.color(c, t) for c in table.thing_ids] for t in order}
print(json.dumps(sorted(colors.items())))
"""


def colors_in_a_new_process(order: str, seed: str) -> list:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, order],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout)


def test_colours_are_the_same_in_every_process_and_order():
    first = colors_in_a_new_process("up", "1")
    assert first == colors_in_a_new_process("down", "2")
    table = class_table("cityscapes")
    palette = Palette(table.colors, table.thing_ids)
    here = [[t, [list(palette.color(c, t)) for c in table.thing_ids]] for t in range(1, 200)]
    assert first == here


def cielab(rgb) -> np.ndarray:
    """(N, 3) sRGB 0..255 -> CIE L*a*b*, D65."""
    scaled = np.asarray(rgb, np.float32).reshape(-1, 1, 3) / 255
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab)[:, 0]


@pytest.mark.parametrize("name", TABLES)
def test_neighbouring_tracks_differ_in_lab(name):
    table = class_table(name)
    palette = Palette(table.colors, table.thing_ids)
    for thing in table.thing_ids:
        lab = cielab([palette.color(thing, track) for track in range(1, 400)])
        step = np.linalg.norm(np.diff(lab, axis=0), axis=1)
        # 2.3 is called a just noticeable difference; neighbours must be plainly different.
        assert step.min() > LEAST_STEP, (table.names[thing], step.argmin() + 1)


def luminance(rgb) -> np.ndarray:
    """Relative luminance of WCAG 2."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("level", [0, 64, 128, 192, 255])
def test_text_is_readable_on_any_background(level):
    image = np.full((40, 200, 3), level, np.uint8)
    put_text(image, "car 12", 20, 28, 12)
    light = luminance(image)
    changed = light[(image != level).any(-1)] if level not in (0, 255) else light
    contrast = (np.percentile(changed, 99) + 0.05) / (np.percentile(changed, 1) + 0.05)
    assert contrast > 4.5  # WCAG AA of small text


@pytest.mark.parametrize("level", [0, 255])
def test_tracks_show_over_dark_and_bright_pictures(level):
    table = class_table("cityscapes")
    palette = Palette(table.colors, table.thing_ids)
    image = np.full((60, 120, 3), level, np.uint8)
    for track in range(1, 25):
        tracks = np.zeros((60, 120), np.int32)
        tracks[:, :60], tracks[:, 60:] = track, track + 1
        classes = np.full((60, 120), CAR, np.uint8)
        segments = SegmentMap.from_labels(classes, tracks)
        drawn = draw_overlay(image, segments, palette, boundaries=False, track_labels=False)
        left, right = cielab([drawn[30, 30], drawn[30, 90]])
        plain = cielab([[level] * 3])[0]
        assert np.linalg.norm(left - right) > 3  # apart from the neighbour
        assert np.linalg.norm(left - plain) > 15  # and from the bare picture
