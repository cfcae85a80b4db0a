"""Draw a few short videos as somebody's own data: frames, object masks, depth.

Example:
    python examples/own_data/make_frames.py --root output/own_data/raw

What comes out is what annotation tools and cameras give, not yet what training takes::

    categories.json                     the classes
    objects.json                        object number -> class
    frames/train/garden0/000.jpg ...    pictures
    masks/train/garden0/000.png ...     object numbers, 8 bit; the same object, the same number
    depth/train/garden0/000.png ...     millimetres, 16 bit
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 96, 128
HORIZON = 36  # row
FOCAL, CAMERA_HEIGHT = 110.0, 1.0  # pixels; metres above the lawn
SKY, LAWN, FIRST_CAT, FIRST_BALL = 1, 2, 11, 21  # object numbers
CATEGORIES = [
    {"id": 1, "name": "sky", "isthing": 0, "color": [110, 170, 230]},
    {"id": 2, "name": "lawn", "isthing": 0, "color": [60, 140, 60]},
    {"id": 3, "name": "cat", "isthing": 1, "color": [220, 120, 30]},
    {"id": 4, "name": "ball", "isthing": 1, "color": [190, 40, 160]},
]
OBJECTS = {SKY: 1, LAWN: 2}
OBJECTS |= {FIRST_CAT + i: 3 for i in range(3)} | {FIRST_BALL + i: 4 for i in range(3)}
# Object number of the first of its kind -> metres wide and high, range of colours.
SHAPES = {
    FIRST_CAT: (0.5, 0.35, (200, 110, 40), (250, 160, 80)),
    FIRST_BALL: (0.3, 0.3, (140, 20, 120), (230, 80, 220)),
}


def draw_video(rng: np.random.Generator, frames: int) -> list[tuple[np.ndarray, ...]]:
    """Images (H, W, 3) uint8, masks (H, W) uint8 and depth (H, W) uint16 millimetres."""
    things = []
    for first, (width, height, low, high) in SHAPES.items():
        for number in range(rng.integers(1, 4)):
            metres = rng.uniform(2.0, 6.0)
            place, speed = rng.uniform(-1.0, 1.0), rng.uniform(-0.25, 0.25)
            color = rng.integers(low, high)
            things.append((metres, first + number, place, speed, width, height, color))
    things.sort(key=lambda thing: -thing[0])  # far ones first, near ones hide them
    return [draw_frame(rng, things, time) for time in range(frames)]


def draw_frame(rng: np.random.Generator, things: list, time: int) -> tuple[np.ndarray, ...]:
    """One frame at a time (in frames)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    mask = np.where(rows < HORIZON, SKY, LAWN).astype(np.uint8)
    image = np.where((rows < HORIZON)[..., None], (120, 180, 235), (70, 150, 65)).astype(float)
    image += ((columns // 6 + rows // 3) % 2 * 8)[..., None] * (rows >= HORIZON)[..., None]
    metres = np.where(rows > HORIZON, FOCAL * CAMERA_HEIGHT / np.maximum(rows - HORIZON, 1.5), 0)
    for distance, number, place, speed, width, height, color in things:
        scale = FOCAL / distance
        foot = HORIZON + CAMERA_HEIGHT * scale
        x = WIDTH / 2 + (place + speed * time) * scale
        radius_x, radius_y = width * scale / 2, height * scale / 2
        inside = ((columns - x) / radius_x) ** 2 + ((rows - foot + radius_y) / radius_y) ** 2 < 1
        mask[inside], metres[inside] = number, distance
        image[inside] = color
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    return image, mask, np.rint(metres * 1000).astype(np.uint16)


def write_set(root: Path, name: str, videos: int, frames: int, seed: int) -> None:
    """Write the files of a set."""
    for video in range(videos):
        rng = np.random.default_rng((seed, video))
        for time, pictures in enumerate(draw_video(rng, frames)):
            kinds = (("frames", "jpg"), ("masks", "png"), ("depth", "png"))
            for (kind, ending), picture in zip(kinds, pictures, strict=True):
                path = root / kind / name / f"garden{video}" / f"{time:03d}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)


def main() -> None:
    """Write two sets and the two lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder to write to")
    parser.add_argument("--train", type=int, default=8, help="training videos, 4 frames each (8)")
    parser.add_argument("--val", type=int, default=2, help="validation videos, 6 frames each (2)")
    args = parser.parse_args()
    write_set(args.root, "train", args.train, 4, seed=1)
    write_set(args.root, "val", args.val, 6, seed=2)
    for name, content in (("categories", CATEGORIES), ("objects", OBJECTS)):
        (args.root / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"{args.train} and {args.val} videos are in {args.root}")


if __name__ == "__main__":
    main()
