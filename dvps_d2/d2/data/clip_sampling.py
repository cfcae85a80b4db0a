"""How the frames of a training clip are drawn from a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

DIRECTIONS = ("both", "past", "future")
UNITS = ("labelled", "number")
METHODS = ("corrected", "published")


class Draw(NamedTuple):
    """A drawn clip.

    Attributes:
        places: entries of the list of labelled frames, in the clip's order.
        key: which of them is the key frame; the others are its reference frames.
    """

    places: list[int]
    key: int


@dataclass(frozen=True)
class ClipSampling:
    """A key frame anywhere in the video and reference frames around it.

    Attributes:
        num_frames: frames per clip, the key frame included.
        max_distance: reference frames lie within this distance of the key frame, or as near as
            possible where there are too few (at the ends of a video).
        unit: what distances count: "labelled" frames (on Cityscapes-VPS one step is five video
            frames) or the "number" of frames as the dataset counts them.
        direction: "both", or only the "past" or the "future" of the key frame.
        offsets: signed distances that reference frames may have, in place of ``max_distance``
            and ``direction``; (-10, 10) is SiamTrack on VIPER.
        method: "corrected", or "published" for the rules of the public code of DVIS, which see.
        reverse: probability of a clip that runs backwards.

    "corrected" repeats no frame as long as the video has enough of them, prefers offsets that
    exist, and when the clip takes all frames within the distance (5 frames at distance 2, 21 at
    distance 10) draws each such stretch of the video with the same probability.

    "published" differs from it in four ways. Such a stretch is never the last one of the video.
    Where the clip is smaller than the range, frames come with repetition. In videos that are
    shorter than the clip, frames drawn at random follow the video out of order. The frame around
    which the clip was drawn is always a part of it in both.

    Source of "published": Zhang et al., "DVIS", ICCV 2023, public training code.
    """

    num_frames: int = 1
    max_distance: int = 2
    unit: str = "labelled"
    direction: str = "both"
    offsets: tuple[int, ...] = ()
    method: str = "corrected"
    reverse: float = 0.0

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.max_distance < 0:
            raise ValueError(
                f"a clip needs num_frames >= 1 and max_distance >= 0, got {self.num_frames} and "
                f"{self.max_distance}"
            )
        for name, value, choices in (
            ("unit", self.unit, UNITS),
            ("direction", self.direction, DIRECTIONS),
            ("method", self.method, METHODS),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if not 0 <= self.reverse <= 1:
            raise ValueError(f"reverse is a probability, 0 to 1, got {self.reverse}")
        if 0 in self.offsets:
            raise ValueError(f"a reference frame at offset 0 is the key frame: {self.offsets}")
        special = self.offsets or self.direction != "both" or self.unit != "labelled"
        if self.method == "published" and special:
            raise ValueError(
                "method 'published' knows distances in labelled frames on both sides only; leave "
                "offsets, direction and unit as they are, or use method 'corrected'"
            )

    @classmethod
    def from_config(cls, cfg: Any) -> ClipSampling:
        """The sampling that ``INPUT.SAMPLING_*`` and ``INPUT.REVERSE_CLIP`` describe.

        Raises:
            ValueError: a value is not possible; the message begins with the keys to look at.
        """
        try:
            return cls(
                num_frames=cfg.INPUT.SAMPLING_FRAME_NUM,
                max_distance=cfg.INPUT.SAMPLING_FRAME_RANGE,
                unit=cfg.INPUT.SAMPLING_UNIT,
                direction=cfg.INPUT.SAMPLING_DIRECTION,
                offsets=tuple(cfg.INPUT.SAMPLING_OFFSETS),
                method=cfg.INPUT.SAMPLING_METHOD,
                reverse=cfg.INPUT.REVERSE_CLIP,
            )
        except ValueError as error:
            raise ValueError(f"INPUT.SAMPLING_*, INPUT.REVERSE_CLIP: {error}") from error

    def draw_beside(
        self, frame_ids: Sequence[int], keys: Sequence[int], rng: np.random.Generator
    ) -> Draw:
        """Draw a clip whose reference frames need no label; the key frame comes first.

        Args:
            frame_ids: numbers of all frames of a video, ascending.
            keys: places of the labelled ones, of which one becomes the key frame.
            rng: source of randomness.

        Returns:
            As :meth:`draw`, with places in ``frame_ids``. A video of one frame refers to itself.
        """
        drawn = self._draw_around(frame_ids, rng, int(rng.choice(list(keys))))
        places = list(drawn.places)
        key = places.pop(drawn.key)
        return Draw([key, *places], 0)

    def draw(self, frame_ids: Sequence[int], rng: np.random.Generator) -> Draw:
        """Draw one clip.

        Args:
            frame_ids: numbers of the labelled frames of a video, ascending; at least one.
            rng: source of randomness.

        Returns:
            ``num_frames`` places in ``frame_ids``, in order of time unless the clip is reversed.
            In a video of one frame they are all that frame.
        """
        takes_all = self.num_frames == 2 * self.max_distance + 1 and self.num_frames > 1
        if self.method == "published":
            drawn = self._draw_published(len(frame_ids), takes_all, rng)
        elif takes_all and not self._is_special and len(frame_ids) >= self.num_frames:
            start = int(rng.integers(len(frame_ids) - self.num_frames + 1))
            drawn = Draw(list(range(start, start + self.num_frames)), self.max_distance)
        else:
            drawn = self._draw_around(frame_ids, rng)
        if self.reverse and rng.random() < self.reverse:
            return Draw(drawn.places[::-1], self.num_frames - 1 - drawn.key)
        return drawn

    @property
    def _is_special(self) -> bool:
        return bool(self.offsets) or self.direction != "both" or self.unit != "labelled"

    def _draw_around(
        self, frame_ids: Sequence[int], rng: np.random.Generator, key: int | None = None
    ) -> Draw:
        key = int(rng.integers(len(frame_ids))) if key is None else key
        wanted = self.num_frames - 1
        if not wanted:
            return Draw([key], 0)
        candidates = self._candidates(frame_ids, key, wanted) or [key]
        others = rng.choice(candidates, size=wanted, replace=wanted > len(candidates))
        return _in_order(key, others.tolist())

    def _candidates(self, frame_ids: Sequence[int], key: int, wanted: int) -> list[int]:
        """Places of possible reference frames; empty when no side of the key frame has any."""
        numbers = np.asarray(frame_ids) if self.unit == "number" else np.arange(len(frame_ids))
        distance = numbers - numbers[key]
        reach = np.abs(distance)
        allowed = self._on_side(distance)
        if self.offsets:
            chosen = np.isin(distance, self.offsets)
            if not chosen.any():  # an end of the video, or a gap: as far as there are frames
                within = allowed & (reach <= max(map(abs, self.offsets)))
                chosen = within & (reach == reach[within].max(initial=0))
        else:
            chosen = allowed & (reach <= self.max_distance)
        if chosen.sum() < wanted and (self.offsets or self.max_distance):  # the nearest beyond
            beyond = np.flatnonzero(allowed & ~chosen)
            nearest = beyond[np.argsort(reach[beyond], kind="stable")]
            chosen[nearest[: wanted - chosen.sum()]] = True
        return np.flatnonzero(chosen).tolist()

    def _on_side(self, distance: np.ndarray) -> np.ndarray:
        """Which frames lie on an allowed side of the key frame."""
        sides = {"both": (-1, 1), "past": (-1,), "future": (1,)}[self.direction]
        if self.offsets:
            sides = tuple({int(np.sign(offset)) for offset in self.offsets})
        return np.isin(np.sign(distance), sides)

    def _draw_published(self, count: int, takes_all: bool, rng: np.random.Generator) -> Draw:
        if count < self.num_frames:
            extra = rng.integers(count, size=self.num_frames - count)
            return Draw([*range(count), *extra.tolist()], 0)
        if takes_all:
            # The public code draws from one place too few, except where there is only one.
            start = int(rng.integers(max(count - self.num_frames, 1)))
            return Draw(list(range(start, start + self.num_frames)), self.max_distance)
        key = int(rng.integers(count))
        around = [
            place
            for place in range(key - self.max_distance, key + self.max_distance + 1)
            if 0 <= place < count and place != key
        ]
        others = rng.choice(around or [key], size=self.num_frames - 1, replace=True)
        return _in_order(key, others.tolist())


def _in_order(key: int, others: Sequence[int]) -> Draw:
    places = sorted([key, *others])
    return Draw(places, places.index(key))
