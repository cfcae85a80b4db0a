"""What scoring costs beside merely decoding the PNGs, and how much memory it takes.

    python benchmarks/score.py [--json FILE] [--quick]

Full-size files are generated in a temporary folder. Both sides of a ratio run in this process,
in turns, and count CPU seconds; ratios are medians over rounds. Ratios:

    vpq_over_decode     Cityscapes-VPS, 4 windows, 1024 x 2048
    dvpq_over_decode    Cityscapes-DVPS, 12 settings (4 windows, 3 lambdas), 1024 x 2048
    dvps_over_decode    the same with everything that is on by default (VPQ and depth measures)
    vipseg_over_decode  VIPSeg, VPQ and STQ, 720 x 1280

and, beside them, ``rss_mb`` (peak resident memory of scoring 500 videos, in its own process;
``rss_50_mb`` for 50) and ``two_workers_speedup`` (wall time, best of five, of one worker over two).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from dvps_d2.cli import main as dvps
from dvps_d2.cli.scoring.png import decoder_name

FRAMES = 6
STUFF, THINGS = range(11), range(11, 19)
CATEGORIES = [
    *({"id": i, "name": f"stuff {i}", "isthing": 0} for i in STUFF),
    *({"id": i, "name": f"thing {i}", "isthing": 1} for i in THINGS),
]


class Scene:
    """Layers of stuff and moving things with uneven outlines, as (class, instance) maps."""

    def __init__(self, size: tuple[int, int], seed: int, things: int = 25):
        rng = np.random.default_rng(seed)
        self.size = size
        height, width = size
        self.horizons = np.sort(rng.uniform(0.1, 0.95, len(STUFF) - 1)) * height
        self.waves = rng.uniform(2, 20, (len(STUFF) - 1, 3)), rng.uniform(0, 6, (10, 3))
        self.things = [
            {
                "class": int(rng.choice(THINGS)),
                "centre": rng.uniform(0, 1, 2) * (width, height),
                "speed": rng.normal(0, 8, 2),
                "radius": rng.uniform(0.01, 0.08) * width,
                "shape": 1 + 0.3 * rng.standard_normal(40),
            }
            for _ in range(things)
        ]

    def draw(self, time_: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) uint8 classes and instances at one time; ``shift`` displaces everything."""
        height, width = self.size
        x = np.arange(width) + shift
        classes = np.zeros((height, width), np.uint8)
        rows = np.arange(height)[:, None]
        for layer, horizon in enumerate(self.horizons):
            amplitude, phase = self.waves[0][layer], self.waves[1][layer]
            frequency = np.array([0.01, 0.05, 0.4])[:, None]
            edge = (amplitude[:, None] * np.sin(x * frequency + phase[:, None])).sum(0)
            classes[rows > horizon + edge + shift] = layer + 1
        instances = np.zeros_like(classes)
        for number, thing in enumerate(self.things):
            angles = np.linspace(0, 2 * np.pi, len(thing["shape"]), endpoint=False)
            outline = np.stack([np.cos(angles), np.sin(angles)], -1) * thing["shape"][:, None]
            points = thing["centre"] + thing["speed"] * time_ + shift + outline * thing["radius"]
            points = [points.astype(np.int32)]
            cv2.fillPoly(classes, points, thing["class"])
            cv2.fillPoly(instances, points, number + 1)
        return classes, instances


def list_segments(ids: np.ndarray, classes: np.ndarray) -> list[dict]:
    """Segment list of an id map."""
    values, first, areas = np.unique(ids, return_index=True, return_counts=True)
    flat = classes.reshape(-1)
    return [
        {"id": int(v), "category_id": int(flat[i]), "iscrowd": 0, "area": int(a)}
        for v, i, a in zip(values, first, areas, strict=True)
    ]


def write_rgb_ids(path: Path, classes: np.ndarray, instances: np.ndarray) -> list[dict]:
    """Write an RGB-coded id map; returns its segment list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blue = np.zeros_like(classes)
    cv2.imwrite(str(path), np.stack([blue, instances, classes + 1], -1))
    return list_segments(
        (classes.astype(np.int32) + 1) | (instances.astype(np.int32) << 8), classes
    )


def make_vps(root: Path, videos: int, distinct: int, size=(1024, 2048)) -> list[str]:
    """A Cityscapes-VPS submission; videos beyond ``distinct`` are hard links to the first ones."""
    images, truths, preds = [], [], []
    for video in range(videos):
        scene = Scene(size, video % distinct)
        for frame in range(FRAMES):
            name = f"{video:04}_{video * FRAMES + frame:04}_town_{frame:06}"
            files = root / "truth" / f"{name}_final_mask.png", root / "pred" / f"{name}.png"
            if video < distinct:
                infos = [
                    write_rgb_ids(path, *scene.draw(frame, shift))
                    for path, shift in zip(files, (0, 3), strict=True)
                ]
            else:
                source = (video % distinct) * FRAMES + frame
                infos = [side[source]["segments_info"] for side in (truths, preds)]
                old = images[source]["id"]
                os.link(root / "truth" / f"{old}_final_mask.png", files[0])
                os.link(root / "pred" / f"{old}.png", files[1])
            images.append({"id": name, "file_name": f"{name}_newImg8bit.png"})
            truths.append({"image_id": name, "file_name": files[0].name, "segments_info": infos[0]})
            preds.append({"image_id": name, "segments_info": infos[1]})
    truth = {"images": images, "annotations": truths, "categories": CATEGORIES}
    (root / "truth.json").write_text(json.dumps(truth))
    (root / "pred.json").write_text(json.dumps({"annotations": preds}))
    return ["cityscapes_vps", *_listed_arguments(root)]


def make_vipseg(root: Path, videos: int, frames: int, size=(720, 1280)) -> list[str]:
    """A VIPSeg submission."""
    truths, preds = [], []
    for video in range(videos):
        scene = Scene(size, 100 + video)
        sides: tuple[list, list] = ([], [])
        for frame in range(frames):
            name = f"{frame * 3:08}.png"
            for side, folder, shift in zip(sides, ("truth", "pred"), (0, 3), strict=True):
                path = root / folder / f"video{video}" / name
                info = write_rgb_ids(path, *scene.draw(frame, shift))
                side.append({"file_name": name, "image_id": name[:-4], "segments_info": info})
        for entries, side in zip((truths, preds), sides, strict=True):
            entries.append({"video_id": f"video{video}", "annotations": side})
    truth = {"annotations": truths, "categories": CATEGORIES}
    (root / "truth.json").write_text(json.dumps(truth))
    (root / "pred.json").write_text(json.dumps({"annotations": preds}))
    return ["vipseg", *_listed_arguments(root)]


def make_dvps(root: Path, videos: int, size=(1024, 2048)) -> list[str]:
    """A Cityscapes-DVPS submission with noisy depth."""
    rng = np.random.default_rng(0)
    for folder in ("truth", "pred", "depth"):
        (root / folder).mkdir(parents=True)
    ramp = np.linspace(80, 4, size[0])[:, None] * 256
    for video in range(videos):
        scene = Scene(size, 200 + video)
        for frame in range(FRAMES):
            name = f"{video:06}_{frame:06}_town"
            classes, instances = scene.draw(frame)
            label = classes.astype(np.uint16) * 1000 + instances
            cv2.imwrite(str(root / "truth" / f"{name}_gtFine_instanceTrainIds.png"), label)
            classes, instances = scene.draw(frame, 3)
            channels = np.stack([np.zeros_like(classes), instances, classes], -1)
            cv2.imwrite(str(root / "pred" / f"{name}.png"), channels)
            smooth = cv2.GaussianBlur(rng.normal(1, 1.5, size), (0, 0), 15)
            depth = np.broadcast_to(ramp, size) * (1 + 0.1 * smooth)
            depth[rng.random(size) < 0.2] = 0  # stereo leaves holes
            cv2.imwrite(str(root / "truth" / f"{name}_depth.png"), depth.astype(np.uint16))
            noisy = np.broadcast_to(ramp, size) * rng.normal(1, 0.15, size)
            cv2.imwrite(str(root / "depth" / f"{name}.png"), noisy.clip(1).astype(np.uint16))
    return [
        "cityscapes_dvps",
        *("--truth", str(root / "truth"), "--pred", str(root / "pred")),
        *("--depth-pred", str(root / "depth")),
    ]


def _listed_arguments(root: Path) -> list[str]:
    names = {"--truth": "truth", "--truth-json": "truth.json", "--pred": "pred"}
    names["--pred-json"] = "pred.json"
    return [text for name, file in names.items() for text in (name, str(root / file))]


def score(arguments: list[str]) -> None:
    """Run ``dvps score`` without its printed table."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = dvps(["score", *arguments])
    if code:
        raise RuntimeError(f"dvps score {' '.join(arguments)} ended with {code}")


def decode(root: Path) -> None:
    """Decode every PNG below a folder with OpenCV."""
    for path in root.rglob("*.png"):
        if cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is None:
            raise RuntimeError(f"{path} cannot be read")


def cpu_seconds(run: Callable[[], None]) -> float:
    """CPU seconds of this process over one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def over_decode(root: Path, arguments: list[str], rounds: int) -> tuple[float, float, float]:
    """Median CPU seconds of scoring, of decoding, and their ratio."""
    rows = []
    score(arguments)  # imports and buffers are not part of the cost
    for _ in range(rounds):
        rows.append((cpu_seconds(lambda: score(arguments)), cpu_seconds(lambda: decode(root))))
    scoring, decoding = (statistics.median(column) for column in zip(*rows, strict=True))
    return scoring, decoding, scoring / decoding


def peak_memory(arguments: list[str]) -> float:
    """Peak resident megabytes of ``dvps score`` in a process of its own."""
    code = (
        "import resource, sys\n"
        "from dvps_d2.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\n"
    )
    command = [sys.executable, "-c", code, "score", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024


def two_workers(arguments: list[str], rounds: int) -> float:
    """Best wall time with one worker over the best with two."""
    best = {}
    for workers in (1, 2) * rounds:
        start = time.perf_counter()
        score([*arguments, "--workers", str(workers)])
        wall = time.perf_counter() - start
        best[workers] = min(best.get(workers, wall), wall)
    return best[1] / best[2]


def measure(folder: Path, *, quick: bool) -> dict[str, float]:
    """All numbers, printed as they come."""
    rounds = 1 if quick else 5
    results: dict[str, float] = {}
    everything = make_dvps(folder / "dvps", 1 if quick else 2)
    cases = {
        "vpq": (folder / "vps", make_vps(folder / "vps", 2 if quick else 4, 4)),
        "dvpq": (folder / "dvps", [*everything, "--metrics", "dvpq"]),
        "dvps": (folder / "dvps", everything),
        "vipseg": (folder / "vipseg", make_vipseg(folder / "vipseg", 2, 6 if quick else 24)),
    }
    print(f"scoring decodes with {decoder_name()}, the baseline with opencv")
    print(f"{'':<10}{'score':>10}{'decode':>10}{'ratio':>8}   CPU seconds, medians of {rounds}")
    for name, (root, arguments) in cases.items():
        scoring, decoding, ratio = over_decode(root, arguments, rounds)
        results[f"{name}_over_decode"] = ratio
        print(f"{name:<10}{scoring:>10.3f}{decoding:>10.3f}{ratio:>8.2f}")
    results["two_workers_speedup"] = two_workers(cases["vpq"][1], rounds)
    print(f"two workers: {results['two_workers_speedup']:.2f} times one; load {os.getloadavg()}")
    for key, videos in (("rss_50_mb", 5 if quick else 50), ("rss_mb", 10 if quick else 500)):
        arguments = make_vps(folder / key, videos, 2)
        results[key] = peak_memory(arguments)
        print(f"{key} ({videos} videos): {results[key]:.0f}")
    return results


def main() -> int:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {name: number} to this file")
    parser.add_argument("--quick", action="store_true", help="few and short runs, to try it out")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), quick=args.quick)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
