"""What a street looks like and how hard it is: one frozen dataclass and two named presets."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

# Cityscapes train ids of the fourteen classes that the renderer draws.
ROAD, SIDEWALK, BUILDING, POLE, SIGN, VEGETATION, TERRAIN, SKY = 0, 1, 2, 5, 7, 8, 9, 10
PERSON, RIDER, CAR, TRUCK, BUS, BICYCLE = 11, 12, 13, 14, 15, 18
STUFF_IDS = (ROAD, SIDEWALK, BUILDING, POLE, SIGN, VEGETATION, TERRAIN, SKY)
THING_IDS = (PERSON, RIDER, CAR, TRUCK, BUS, BICYCLE)
VOID = 255

SPLITS = ("train", "val", "test")
_SEEDS_PER_SPLIT = 1_000_000
_REFERENCE_PIXELS = 96 * 192


@dataclass(frozen=True)
class StreetConfig:
    """Size, timing and difficulty of a street video.

    Attributes:
        height, width: frame size in pixels.
        frames: number of labelled frames.
        interval: seconds between two labelled frames.
        focal: focal length as a multiple of ``width``.
        crowding: 0 sparse to 1 dense; how many things share the street.
        look_alike: 0 to 1; the share of neighbours that copy each other's model and colours.
        speed: multiplies the speed of the camera and of everything that moves.
        occlusion: 0 to 1; poles and trees close to the camera that hide things for a frame or two.
        crossing: 0 to 1; vehicles and people that cross the camera's path.
        min_thing_area: visible pixels below which a thing is labelled void in that frame, given
            for a 96 x 192 frame and scaled with the frame's area.
        max_depth: metres; farther surfaces and the sky have depth 0 ("none").
        antialias: colour is averaged over half-pixel steps; labels never are.
        noise: multiplies sensor noise and exposure drift; 0 gives clean, comparable frames.
    """

    height: int = 96
    width: int = 192
    frames: int = 6
    interval: float = 0.2
    focal: float = 1.05
    crowding: float = 0.2
    look_alike: float = 0.1
    speed: float = 1.0
    occlusion: float = 0.2
    crossing: float = 0.2
    min_thing_area: float = 40.0
    max_depth: float = 80.0
    antialias: bool = True
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.height < 16 or self.width < 16:
            raise ValueError(f"a frame must be at least 16 x 16, got {self.height} x {self.width}")
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")
        for name in ("interval", "focal", "speed", "max_depth"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("crowding", "look_alike", "occlusion", "crossing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")
        for name in ("min_thing_area", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def duration(self) -> float:
        """Seconds from the first labelled frame to one interval after the last one."""
        return self.frames * self.interval

    @property
    def min_thing_pixels(self) -> float:
        """``min_thing_area`` at this frame size."""
        return self.min_thing_area * self.height * self.width / _REFERENCE_PIXELS


PRESETS = MappingProxyType(
    {
        # Learnable in minutes: large things, small displacements.
        "quick": StreetConfig(speed=0.7),
        # Identity is hard: half a second between frames, crowds of look-alikes, things crossing.
        "compare": StreetConfig(
            interval=0.5,
            crowding=1.0,
            look_alike=1.0,
            occlusion=1.0,
            crossing=1.0,
        ),
    }
)


def split_seed(split: str, index: int, seed: int = 0) -> int:
    """The seed of one video; two different (split, index, seed) never share one.

    Args:
        split: "train", "val" or "test".
        index: number of the video inside its split, 0 to 999 999.
        seed: which family of data sets.

    Raises:
        ValueError: unknown split, or a number out of range.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not 0 <= index < _SEEDS_PER_SPLIT:
        raise ValueError(f"index must be in 0..{_SEEDS_PER_SPLIT - 1}, got {index}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return (seed * len(SPLITS) + SPLITS.index(split)) * _SEEDS_PER_SPLIT + index
