"""A street video: frames with everything that is true about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from dvps_d2.street.camera import Intrinsics, RayGrid, rigid_inverse
from dvps_d2.street.config import VOID, StreetConfig
from dvps_d2.street.raster import Visibility, rasterise
from dvps_d2.street.shade import Hits, develop, shade
from dvps_d2.street.textures import build_atlas
from dvps_d2.street.world import World, build_world

# A point counts as seen in the next frame if what is there is no nearer than this.
_FLOW_TOLERANCE = 0.03
# Flow is cut off at this many longer sides of the frame: from anywhere, that is outside.
OUTSIDE = 2


@dataclass(frozen=True, eq=False)
class StreetFrame:
    """One frame and its ground truth, all at pixel centres.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        class_ids: (H, W) uint8, Cityscapes train ids, 255 void.
        track_ids: (H, W) int32, 0 for stuff and void; an id is one object in the whole video.
        depth: (H, W) float32, metres along the optical axis; 0 for none (sky, too far).
        pose: (4, 4) float64, world from camera; x right, y down, z forward, metres.
        intrinsics: in pixels; pixel (i, j) has its centre at (u, v) = (j, i).
        seconds: time of the frame.
        flow_to_next: (H, W, 2) float32, (dx, dy) in pixels to the next frame, or None.
        flow_valid: (H, W) bool, the point is inside the next frame and not hidden there, or None.
    """

    image: np.ndarray
    class_ids: np.ndarray
    track_ids: np.ndarray
    depth: np.ndarray
    pose: np.ndarray
    intrinsics: Intrinsics
    seconds: float
    flow_to_next: np.ndarray | None = None
    flow_valid: np.ndarray | None = None


class StreetVideo:
    """A short drive down one street. Frames are independent: any can be rendered on its own."""

    def __init__(self, config: StreetConfig, seed: int) -> None:
        self.config = config
        self.seed = seed

    @cached_property
    def world(self) -> World:
        """The street, drawn when first needed."""
        return build_world(self.config, self.seed)

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[StreetFrame]:
        return (self.render(t) for t in range(len(self)))

    def render(self, t: int, *, with_flow: bool = False) -> StreetFrame:
        """Render frame ``t``.

        Args:
            t: 0 to len - 1.
            with_flow: also find the true flow to frame t + 1 (which may lie past the end of the
                video), at about half the cost of another frame.

        Raises:
            IndexError: no such frame.
        """
        if not 0 <= t < len(self):
            raise IndexError(f"frame must be in 0..{len(self) - 1}, got {t}")
        config, world = self.config, self.world
        seconds = t * config.interval
        pose, parts, poses = self._poses(seconds)
        make_grid = RayGrid.half_pixels if config.antialias else RayGrid.pixels
        grid = make_grid(config.height, config.width, world.intrinsics)
        seen = rasterise(world.scene, parts, grid)
        shadow = world.shadows.moving(world.ground, poses, pose[2, 3])
        hits = Hits.along(grid, world.scene, seen, pose, parts)
        colour = shade(hits, build_atlas(), world.mood, world.ground, shadow)
        image = develop(
            colour,
            world.mood,
            noise=config.noise,
            halve=config.antialias,
            seconds=seconds,
            rng=np.random.default_rng((self.seed, t, 0x9015E)),
        )
        if config.antialias:
            seen = Visibility(seen.nearness[1::2, 1::2], seen.surface[1::2, 1::2])
        class_ids, track_ids = self._labels(seen.surface)
        flow, valid = self._flow(t + 1, seen, parts) if with_flow else (None, None)
        return StreetFrame(
            image=image,
            class_ids=class_ids,
            track_ids=track_ids,
            depth=self._depth(seen.nearness),
            pose=pose,
            intrinsics=world.intrinsics,
            seconds=seconds,
            flow_to_next=flow,
            flow_valid=valid,
        )

    def flow(self, key: int, reference: int) -> tuple[np.ndarray, np.ndarray]:
        """True flow from one frame to any other, before or after it.

        Returns:
            (H, W, 2) float32 (dx, dy) in pixels, at most twice the longer side of the frame, and
            (H, W) bool: the point is inside the reference frame and not hidden there.
        """
        parts = self._poses(key * self.config.interval)[1]
        grid = RayGrid.pixels(self.config.height, self.config.width, self.world.intrinsics)
        return self._flow(reference, rasterise(self.world.scene, parts, grid), parts)

    def pose(self, t: int) -> np.ndarray:
        """(4, 4) float64, world from camera, of a frame."""
        return self._poses(t * self.config.interval)[0]

    def _poses(self, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """World from camera; camera from every part; world from every part."""
        pose = self.world.path.pose(seconds)
        poses = self.world.scene.part_poses(seconds)
        return pose, rigid_inverse(pose) @ poses, poses

    def _labels(self, surface: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and track ids; things with too few visible pixels become void."""
        scene = self.world.scene
        track_ids = scene.surface_track.astype(np.int32)[surface]
        class_ids = scene.surface_class.astype(np.uint8)[surface]
        area = np.bincount(track_ids.ravel())
        small = area < self.config.min_thing_pixels
        small[0] = False
        tiny = small[track_ids]
        class_ids[tiny] = VOID
        track_ids[tiny] = 0
        return class_ids, track_ids

    def _depth(self, nearness: np.ndarray) -> np.ndarray:
        known = nearness >= 1 / self.config.max_depth
        return np.divide(1, nearness, out=np.zeros_like(nearness), where=known)

    def _flow(
        self, target_frame: int, seen: Visibility, parts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """True flow to another frame and where it can be followed.

        A point P = (x, y, 1) / s moves with its part: P' = R P + T, and s P' = R (x, y, 1) + T s
        projects to the same place, which also holds at infinity (s = 0, the sky). A point that
        passes the camera leaves towards infinity; its flow ends well outside the frame.
        """
        scene, intrinsics = self.world.scene, self.world.intrinsics
        later = self._poses(target_frame * self.config.interval)[1]
        motion = (later @ rigid_inverse(parts))[scene.surface_part][:, :3]
        # The sky is infinitely far from everything: only the camera's turn moves it.
        grid = RayGrid.pixels(self.config.height, self.config.width, intrinsics)
        x, y = np.meshgrid(grid.x.astype(np.float64), grid.y.astype(np.float64))
        ray = np.stack([x, y, np.ones_like(x), seen.nearness], axis=-1)
        moved = np.einsum("hwij,hwj->hwi", motion[seen.surface], ray)
        ahead = np.maximum(moved[..., 2], 1e-6)
        u = moved[..., 0] / ahead * intrinsics.focal + intrinsics.centre_u
        v = moved[..., 1] / ahead * intrinsics.focal + intrinsics.centre_v
        rows, columns = np.mgrid[: self.config.height, : self.config.width]
        farthest = OUTSIDE * max(self.config.height, self.config.width)
        flow = np.stack([u - columns, v - rows], axis=-1).clip(-farthest, farthest)
        nearness = (seen.nearness / ahead).astype(np.float32)
        target = rasterise(scene, later, grid)
        valid = self._is_visible(seen, target, u, v, nearness) & (moved[..., 2] > 1e-6)
        return flow.astype(np.float32), valid

    def _is_visible(
        self,
        seen: Visibility,
        target: Visibility,
        u: np.ndarray,
        v: np.ndarray,
        nearness: np.ndarray,
    ) -> np.ndarray:
        """Whether points seen now are what the next frame shows at (u, v), that near."""
        height, width = seen.surface.shape
        inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
        u32, v32 = np.clip(u, -9, width + 9), np.clip(v, -9, height + 9)
        met = cv2.remap(
            target.nearness, u32.astype(np.float32), v32.astype(np.float32), cv2.INTER_LINEAR
        )
        close = np.abs(met - nearness) <= _FLOW_TOLERANCE * nearness + 1e-3
        column = np.clip(np.rint(u), 0, width - 1).astype(np.intp)
        row = np.clip(np.rint(v), 0, height - 1).astype(np.intp)
        scene = self.world.scene
        owner = scene.surface_class + 256 * scene.surface_track
        same = owner[target.surface[row, column]] == owner[seen.surface]
        return inside & close & same
