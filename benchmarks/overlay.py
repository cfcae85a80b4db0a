"""How fast results are drawn at 720p on one core; encoding the video is counted apart.

    python benchmarks/overlay.py [--json FILE] [--quick]

A drawn street, 1280 x 720, with 11 layers of stuff and 40 moving things, 24 of them large enough
for a label. One thread, medians over frames, CPU time, which a busy machine changes little; keys:

    overlay_fps       ids to picture: segments, colours, blending, boundaries, labels (target: 40)
    overlay_wall_fps  the same by the clock: equal on an idle machine
    depth_fps         metres to colours
    film_fps          the whole picture of a film: overlay, depth panel, titles, legend, scale
    encode_fps        writing that picture as a video, apart from drawing
    overlay_mb        peak memory of drawing, its result included, in MiB

and ``segments_ms``, ``paint_ms``, ``boundaries_ms``, ``labels_ms``, ``blend_ms``: where the time of
an overlay goes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dvps_d2.formats import class_table
from dvps_d2.visualize import Palette, SegmentMap, VideoWriter, draw_depth, draw_overlay, paint
from dvps_d2.visualize.overlay import draw_boundaries
from dvps_d2.visualize.panels import Look, Panel, PanelPainter

SIZE = (720, 1280)
STUFF, THINGS = 11, 40
TABLE = class_table("cityscapes")
PALETTE = Palette(TABLE.colors, TABLE.thing_ids)


class Scene:
    """Layers of stuff with uneven edges and things that move, as predictions come."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        height, width = SIZE
        self.image = cv2.GaussianBlur(
            rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), (0, 0), 3
        )  # fmt: skip
        self.image = cv2.normalize(self.image, None, 0, 255, cv2.NORM_MINMAX)
        self.edges = np.sort(rng.uniform(0.05, 0.95, STUFF - 1)) * height
        self.waves = rng.uniform(3, 25, STUFF - 1), rng.uniform(0.01, 0.08, STUFF - 1)
        self.centres = rng.uniform(0, 1, (THINGS, 2)) * (width, height)
        self.speeds = rng.normal(0, 6, (THINGS, 2))
        self.axes = rng.uniform(8, 90, (THINGS, 2))
        things = rng.choice(TABLE.thing_ids, THINGS)
        self.classes = {k + 1: k for k in range(STUFF)}
        self.classes |= {STUFF + 1 + k: int(c) for k, c in enumerate(things)}
        self.depth = np.geomspace(80, 3, height, dtype=np.float32)[:, None].repeat(width, 1)

    def ids(self, frame: int) -> np.ndarray:
        """(H, W) int32 panoptic ids of one frame."""
        ids = np.ones(SIZE, np.int32)
        rows, columns = np.arange(SIZE[0])[:, None], np.arange(SIZE[1])
        for layer, edge in enumerate(self.edges):
            amplitude, frequency = self.waves[0][layer], self.waves[1][layer]
            ids[rows > edge + amplitude * np.sin(frequency * (columns + 3 * frame))] = layer + 2
        for thing in range(THINGS):
            centre = (self.centres[thing] + frame * self.speeds[thing]).astype(int)
            axes = self.axes[thing].astype(int)
            cv2.ellipse(ids, centre.tolist(), axes.tolist(), 0, 0, 360, STUFF + 1 + thing, -1)
        return ids

    def segments(self, ids: np.ndarray) -> SegmentMap:
        """The same as drawing wants it."""
        return SegmentMap.from_ids(ids, self.classes, TABLE.thing_ids)


def seconds(run: Callable[[Any], Any], inputs: Sequence[Any]) -> tuple[float, float]:
    """Median wall and CPU seconds per input; the first is a warm-up."""
    run(inputs[0])
    walls, cpus = [], []
    for value in inputs:
        wall, cpu = time.perf_counter(), time.process_time()
        run(value)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def peak_mb(run: Callable[[], Any]) -> float:
    """Peak MiB allocated by NumPy and Python over one call."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def measure(frames: int) -> dict[str, float]:
    """All numbers."""
    scene = Scene()
    all_ids = [scene.ids(frame) for frame in range(frames)]
    maps = [scene.segments(ids) for ids in all_ids]
    image, names = scene.image, TABLE.names

    def overlay(ids: np.ndarray) -> np.ndarray:
        return draw_overlay(image, scene.segments(ids), PALETTE, names=names)

    results: dict[str, float] = {}
    wall, cpu = seconds(overlay, all_ids)
    results["overlay_fps"], results["overlay_wall_fps"] = 1 / cpu, 1 / wall
    results["depth_fps"] = 1 / seconds(draw_depth, [scene.depth] * frames)[1]

    painter = PanelPainter(SIZE, [Look("film", PALETTE, names)], with_depth=True)

    def picture(ids: np.ndarray) -> np.ndarray:
        return painter.draw(image, [Panel(scene.segments(ids), scene.depth)], "frame 0")

    results["film_fps"] = 1 / seconds(picture, all_ids)[1]
    pictures = [picture(ids) for ids in all_ids[:8]]
    with tempfile.TemporaryDirectory() as folder, VideoWriter(f"{folder}/film.mp4", 25) as video:
        results["encode_fps"] = 1 / seconds(video.write, pictures)[1]

    bare = {"boundaries": False, "track_labels": False}
    parts = {
        "segments_ms": seconds(scene.segments, all_ids)[1],
        "paint_ms": seconds(lambda found: paint(found, PALETTE), maps)[1],
        "boundaries_ms": seconds(lambda found: draw_boundaries(image.copy(), found), maps)[1],
        "blend_ms": seconds(lambda found: draw_overlay(image, found, PALETTE, **bare), maps)[1],
    }
    labelled = seconds(
        lambda found: draw_overlay(image, found, PALETTE, boundaries=False, names=names), maps
    )[1]
    parts["labels_ms"] = labelled - parts["blend_ms"]
    parts["blend_ms"] -= parts["paint_ms"]
    results |= {name: 1000 * value for name, value in parts.items()}
    results["overlay_mb"] = peak_mb(lambda: overlay(all_ids[0]))
    return results


def main() -> int:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {name: number} to this file")
    parser.add_argument("--quick", action="store_true", help="few frames, to try it out")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    results = measure(10 if args.quick else 60)
    for name, value in results.items():
        print(f"{name:<18}{value:>9.1f}")
    print(f"target: overlay_fps at least 40; {SIZE[1]} x {SIZE[0]}, one thread")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
