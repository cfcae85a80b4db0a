"""One evaluator for every protocol: it feeds the counters of ``dvps_d2.metrics`` and gathers."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from dvps_d2.formats import READERS, FrameRecord, VideoRecord
from dvps_d2.metrics import (
    ClassSet,
    Counts,
    LabelMap,
    Listing,
    Protocol,
    VideoCounter,
    empty_counts,
    format_result,
    joint_map,
    summarize,
)

from .flatten import flatten_result

logger = logging.getLogger(__name__)

DEPTH_METRICS = ("dvpq", "depth", "dstq")


class VideoPanopticEvaluator(DatasetEvaluator):
    """Score videos as their windows come out of the model.

    A video lives on one rank and its frames come in order of time. Truth is decoded frame by
    frame and only the tables of the last few frames are kept, so memory depends neither on the
    length nor on the number of videos; over ranks only sums travel. A model that gives no depth
    is scored without the depth metrics.

    Args:
        dataset_name: registered dataset.
        protocol: what is computed and by which rules.
        output_dir: folder for ``<dataset_name>_scores.json``; None = write nothing.
    """

    def __init__(
        self, dataset_name: str, protocol: Protocol, output_dir: str | Path | None = None
    ) -> None:
        metadata = MetadataCatalog.get(dataset_name)
        self.dataset_name = dataset_name
        self.protocol = protocol
        self.output_dir = None if output_dir is None else Path(output_dir)
        self._reader = READERS[metadata.reader]
        table = self._reader.categories
        self._classes = ClassSet(tuple(table.names), tuple(table.thing_ids))
        self._records: dict[str, VideoRecord] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything that was counted."""
        self._running: dict[str, _Video] = {}
        self._done: set[str] = set()
        self._total: Counts | None = None
        self._with_depth: bool | None = None

    def process(self, inputs: Sequence[Mapping], outputs: Sequence[Mapping]) -> None:
        """Count the frames that the model put out.

        Args:
            inputs: not looked at.
            outputs: one ``{"video_id", "frames"}`` per window, ``frames`` an iterable, consumed
                here, of ``{"frame_id", "panoptic_seg": (ids (H, W) int, segments_info),
                "depth": (H, W) metres or absent}``. Frames without a label are passed over.

        Raises:
            ValueError: a frame comes twice, out of order, with another size than its truth, or
                for a video the dataset does not have; ids and ``segments_info`` disagree.
        """
        del inputs
        for output in outputs:
            if "frames" not in output:
                raise ValueError(
                    "an output must be {'video_id', 'frames'}, got the keys "
                    f"{sorted(output)}; plain image dicts are not scored as videos"
                )
            for frame in output["frames"]:
                self._process_frame(str(output["video_id"]), frame)

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Add up all ranks; returns Detectron2's result dict on the main process, else None.

        It is empty for a dataset without labels.

        Raises:
            ValueError: a labelled frame got no prediction on any rank.
        """
        unfinished = {name: video.missing() for name, video in self._running.items()}
        gathered = comm.gather((self._total, self._with_depth, self._done, unfinished))
        if not comm.is_main_process():
            return None
        self._check_complete(gathered)
        if not any(done for _, _, done, _ in gathered):
            logger.warning(
                "%s has no labels: no score; `dvps predict` writes what its server takes",
                self.dataset_name,
            )
            return {}
        with_depth = any(flag for _, flag, _, _ in gathered)
        protocol = self._scored_protocol(with_depth)
        total = empty_counts(protocol, self._classes)
        for counts, _, _, _ in gathered:
            total = total if counts is None else total + counts
        result = summarize(total, protocol, self._classes)
        logger.info("%s\n%s", self.dataset_name, format_result(result, protocol.decimals))
        self._write(result)
        return flatten_result(result, self._classes)

    def _process_frame(self, video_id: str, frame: Mapping[str, Any]) -> None:
        frame_id = int(frame["frame_id"])
        where = f"video {video_id!r}, frame {frame_id}"
        record = self._record(video_id)
        if video_id in self._done:
            if any(f["frame_id"] == frame_id and not f["labelled"] for f in record["frames"]):
                return
            raise ValueError(f"{where}: the video is complete, so this frame came twice")
        video = self._running.get(video_id) or _Video(video_id, record)
        truth = video.take(frame_id)
        if truth is None:
            return
        self._see_depth("depth" in frame and frame["depth"] is not None, where)
        if video.counter is None:
            protocol = self._scored_protocol(bool(self._with_depth))
            video.counter = VideoCounter(protocol, self._classes)
        self._running[video_id] = video
        try:
            self._count(video.counter, truth, frame)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if video.complete:
            counts = video.counter.counts()
            self._total = counts if self._total is None else self._total + counts
            self._done.add(video_id)
            del self._running[video_id]

    def _count(self, counter: VideoCounter, truth: FrameRecord, frame: Mapping) -> None:
        label = self._reader.read_panoptic(truth)
        ids, segments_info = frame["panoptic_seg"]
        # Track 0 inside a thing class is a region of objects that were not told apart.
        truth_map = joint_map(
            label.class_ids, label.track_ids, crowd_classes=self._classes.thing_ids
        )
        listing = Listing.from_info(segments_info, num_classes=len(self._classes))
        depths = {}
        if self._with_depth:
            depths = {
                "truth_depth": self._read_depth(truth, label.class_ids.shape),
                "pred_depth": _to_numpy(frame["depth"]),
            }
        counter.count(truth_map, LabelMap(_to_numpy(ids), listing), **depths)

    def _read_depth(self, truth: FrameRecord, shape: tuple[int, int]) -> np.ndarray:
        if truth["depth_file_name"] is None:  # nothing measured: no pixel is judged by depth
            return np.zeros(shape, np.float32)
        return self._reader.read_depth(truth)

    def _see_depth(self, present: bool, where: str) -> None:
        if self._with_depth is None:
            self._with_depth = present
        elif self._with_depth != present:
            state = "has no depth although" if self._with_depth else "has depth although no"
            raise ValueError(f"{where}: this frame {state} earlier frame had it")

    def _scored_protocol(self, with_depth: bool) -> Protocol:
        if with_depth:
            return self.protocol
        kept = tuple(name for name in self.protocol.metrics if name not in DEPTH_METRICS)
        return replace(self.protocol, metrics=kept)

    def _record(self, video_id: str) -> VideoRecord:
        if self._records is None:  # the catalog is read when the first frame is scored
            records = DatasetCatalog.get(self.dataset_name)
            self._records = {str(record["video_id"]): record for record in records}
        if video_id not in self._records:
            raise ValueError(
                f"dataset {self.dataset_name!r} has no video {video_id!r} "
                f"(it has {len(self._records)} videos)"
            )
        return self._records[video_id]

    def _check_complete(self, gathered: Sequence[tuple]) -> None:
        done = Counter(name for _, _, names, _ in gathered for name in names)
        twice = sorted(name for name, times in done.items() if times > 1)
        if twice:
            raise ValueError(f"video {twice[0]!r} was scored by more than one process")
        unfinished = {k: v for *_, missing in gathered for k, v in missing.items()}
        if unfinished:
            name, frames = next(iter(unfinished.items()))
            raise ValueError(
                f"video {name!r}: no prediction for {len(frames)} labelled frames, first: "
                f"frame {frames[0]}"
            )
        records = self._records or {
            str(record["video_id"]): record for record in DatasetCatalog.get(self.dataset_name)
        }
        labelled = {
            name for name, record in records.items() if any(f["labelled"] for f in record["frames"])
        }
        absent = sorted(labelled.difference(done))
        if absent:
            raise ValueError(
                f"dataset {self.dataset_name!r}: no prediction for {len(absent)} of "
                f"{len(labelled)} videos, first: {absent[0]!r}"
            )

    def _write(self, result: dict) -> None:
        if self.output_dir is None:
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        path = self.output_dir / f"{self.dataset_name}_scores.json"
        path.write_text(json.dumps(result, indent=1, allow_nan=False))
        logger.info("scores written to %s", path)


class _Video:
    """A video that is being scored: which labelled frame comes next."""

    def __init__(self, video_id: str, record: VideoRecord):
        self.video_id = video_id
        self.known = {int(f["frame_id"]): bool(f["labelled"]) for f in record["frames"]}
        self.labelled = [f for f in record["frames"] if f["labelled"]]
        self.position = 0
        self.counter: VideoCounter | None = None

    @property
    def complete(self) -> bool:
        return self.position == len(self.labelled)

    def missing(self) -> list[int]:
        return [int(frame["frame_id"]) for frame in self.labelled[self.position :]]

    def take(self, frame_id: int) -> FrameRecord | None:
        """The record of a labelled frame, None for an unlabelled one."""
        where = f"video {self.video_id!r}, frame {frame_id}"
        if frame_id not in self.known:
            raise ValueError(f"{where}: the dataset has no such frame")
        if not self.known[frame_id]:
            return None
        expected = int(self.labelled[self.position]["frame_id"])
        if frame_id != expected:
            past = {int(frame["frame_id"]) for frame in self.labelled[: self.position]}
            if frame_id in past:
                raise ValueError(f"{where}: this frame was predicted twice")
            raise ValueError(f"{where}: labelled frame {expected} has no prediction before it")
        self.position += 1
        return self.labelled[self.position - 1]


def _to_numpy(values: Any) -> np.ndarray:
    """A torch tensor on any device, or an array, as an array."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
