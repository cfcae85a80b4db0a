"""SynthStreet: short driving videos in which everything is known.

The world is a straight street along z with a camera driving down it. Buildings, kerbs, vehicles and
posts are convex hulls; people, foliage and wheels are made of ellipsoids; each belongs to a rigid
part that travels in a straight line and may swing on hinges. A frame is drawn by casting one ray
per pixel centre (and, for smooth colour, per half pixel) and keeping the nearest surface, so class,
track id, metric depth and optical flow are exact, not estimated. Textures, markings and shadows are
fixed to the world or to the moving part: what a true flow vector connects looks alike.

    from dvps_d2.street import PRESETS, StreetVideo, split_seed

    video = StreetVideo(PRESETS["quick"], split_seed("train", 0))
    frame = video.render(2, with_flow=True)

NumPy and OpenCV only. The same (config, seed, t) gives the same frame, in any order.
"""

from dvps_d2.street.config import PRESETS, STUFF_IDS, THING_IDS, StreetConfig, split_seed
from dvps_d2.street.video import StreetFrame, StreetVideo

__all__ = [
    "PRESETS",
    "STUFF_IDS",
    "THING_IDS",
    "StreetConfig",
    "StreetFrame",
    "StreetVideo",
    "split_seed",
]
