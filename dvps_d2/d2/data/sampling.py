"""Which clip is drawn when, and which window goes to which process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from detectron2.utils import comm
from torch.utils.data import Sampler


class ClipBatchSampler(Sampler):
    """Endless batches of (video, draw number), the same for any number of loader workers.

    Draw ``n`` of a run is a function of ``(seed, n)`` alone, so a run can start at any iteration:
    a resumed run sees what the uninterrupted one would have seen.

    Args:
        num_videos: size of the training set.
        total_batch_size: clips per step, over all processes.
        seed: of the permutations; one permutation per pass over the videos.
        start_batch: batches to skip, i.e. the number already trained on.

    Raises:
        ValueError: the batch does not divide by the number of processes, or there is no video.
    """

    def __init__(
        self, num_videos: int, total_batch_size: int, seed: int, start_batch: int = 0
    ) -> None:
        world = comm.get_world_size()
        if num_videos < 1:
            raise ValueError("the training set is empty")
        if total_batch_size < 1 or total_batch_size % world != 0:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH={total_batch_size} must be a positive multiple of the "
                f"number of processes ({world})"
            )
        self.num_videos = num_videos
        self.total_batch_size = total_batch_size
        self.per_process = total_batch_size // world
        self.rank = comm.get_rank()
        self.seed = seed
        self.start_batch = start_batch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch, epoch, order = self.start_batch, -1, np.empty(0, dtype=np.int64)
        while True:
            first = batch * self.total_batch_size + self.rank * self.per_process
            drawn = []
            for draw in range(first, first + self.per_process):
                if draw // self.num_videos != epoch:
                    epoch = draw // self.num_videos
                    order = np.random.default_rng((self.seed, epoch)).permutation(self.num_videos)
                drawn.append((int(order[draw % self.num_videos]), draw))
            yield drawn
            batch += 1


class VideoSampler(Sampler):
    """Windows of whole videos: every video stays on one process, in order.

    Videos are dealt out longest first to the process with the least frames so far; with fewer
    videos than processes some get nothing.

    Args:
        windows: the windows of all videos, each a mapping with ``video_id`` and ``frames``;
            windows of one video are neighbours, in order.
    """

    def __init__(self, windows: Sequence[dict]) -> None:
        videos: dict[str, list[int]] = {}
        frames: dict[str, int] = {}
        for index, window in enumerate(windows):
            videos.setdefault(window["video_id"], []).append(index)
            frames[window["video_id"]] = frames.get(window["video_id"], 0) + len(window["frames"])
        load = [0] * comm.get_world_size()
        mine: set[str] = set()
        for video_id in sorted(videos, key=lambda name: (-frames[name], name)):
            rank = load.index(min(load))
            load[rank] += frames[video_id]
            if rank == comm.get_rank():
                mine.add(video_id)
        self._indices = [i for name, indices in videos.items() if name in mine for i in indices]

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
