"""One call of ``dvps demo``: source, systems and sinks from its arguments."""

from __future__ import annotations

import argparse
import logging
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from dvps_d2.cli.filming.stopping import StopOnSignal
from dvps_d2.d2.streaming import StreamingModel, load_streaming_model, run_weights
from dvps_d2.visualize.depth import DepthScale
from dvps_d2.visualize.film import Film, Sink, System
from dvps_d2.visualize.panels import Look, PanelPainter
from dvps_d2.visualize.resizing import Resizing
from dvps_d2.visualize.sinks import Ballast, PictureSink, PredictionSink, require_writable
from dvps_d2.visualize.sources import FrameError, FrameSource, SourceFrame, open_source
from dvps_d2.visualize.truth import Truth
from dvps_d2.visualize.window import Window

logger = logging.getLogger(__name__)

NEAR = 3.0  # metres of the brightest colour, unless asked otherwise
WHOLE_VIDEO_WINDOW = 8  # frames per step of a model that would take the whole video at once


class Session:
    """Everything is looked at before the model is loaded, so that mistakes show at once.

    Args:
        args: of ``dvps demo``.

    Attributes:
        film: None until it runs.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._stack = ExitStack()
        self._seconds = 0.0
        self._outputs: list[Path] = []
        self._source: FrameSource | None = None
        self._picture: PictureSink | None = None
        self.film: Film | None = None

    def run(self) -> int:
        """Make the film; returns the exit code."""
        args = self._args
        with self._stack:
            resizing = Resizing.parse(args.resize)
            window = Window() if args.show else None
            if window is not None:
                self._stack.callback(window.close)
            source = self._source = self._stack.enter_context(
                open_source(
                    args.input,
                    fps=args.fps,
                    every=args.every,
                    start=args.start,
                    limit=args.max_frames,
                )
            )
            folder = args.output or Path("demo") / source.label
            self._claim(folder)
            model = self._load(args.run, args.config_file, args.weights)
            systems, looks, with_depth = self._systems(model)
            scale = self._scale(model)
            sinks: list[Sink] = [Ballast(folder)] if self._outputs else []
            if "overlay" in args.save or window is not None:

                def painter(size: tuple[int, int]) -> PanelPainter:
                    return PanelPainter(
                        size,
                        looks,
                        with_depth=with_depth,
                        arrangement=args.depth_panel,
                        scale=scale,
                        opacity=args.opacity,
                    )

                path = folder / "overlay.mp4" if "overlay" in args.save else None
                self._picture = PictureSink(
                    painter,
                    caption=_caption,
                    path=path,
                    fps=source.fps,
                    codec=args.codec,
                    window=window,
                )
                sinks.append(self._picture)
            sinks += self._predictions(folder, source, model)
            return self._shoot(source, systems, sinks, resizing, model, window)

    def _shoot(
        self,
        source: FrameSource,
        systems: list[System],
        sinks: list[Sink],
        resizing: Resizing,
        model: StreamingModel,
        window: Window | None,
    ) -> int:
        stop = StopOnSignal()
        started = time.monotonic()
        with stop, tqdm(total=source.count, desc="filming", unit="frame") as bar:
            self.film = Film(
                source,
                systems,
                sinks,
                # A camera is looked at frame by frame: waiting for a window would lag behind it.
                window=1 if source.count is None else model.window or WHOLE_VIDEO_WINDOW,
                resizing=resizing,
                keep_going=self._args.keep_going,
                stop=lambda: bool(stop) or (window is not None and window.closed_by_user),
                on_frame=bar.update,
            )
            try:
                self.film.run()
            except FrameError as error:
                raise FrameError(f"{error}; --keep-going leaves such frames out") from error
            except torch.OutOfMemoryError as error:
                raise ValueError(
                    f"not enough memory on the device for frames of this size; make them smaller "
                    f"with --resize 720, or for the model alone with --opts INPUT.MIN_SIZE_TEST "
                    f"480 ({str(error).splitlines()[0]})"
                ) from error
            finally:
                self._seconds = time.monotonic() - started
        return stop.exit_code

    def _claim(self, folder: Path) -> None:
        """Make the output folder; an earlier result in it must be meant to go."""
        args = self._args
        if "overlay" in args.save:
            self._outputs.append(folder / "overlay.mp4")
        if {"ids", "depth"} & set(args.save):
            self._outputs.append(folder / "predictions")
        if not self._outputs:
            return
        there = [path for path in self._outputs if path.exists()]
        if there and not args.overwrite:
            raise ValueError(
                f"{', '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already; "
                f"choose another --output, or --overwrite"
            )
        require_writable(folder)
        for path in there:
            if path.is_dir():
                _remove_predictions(path)

    def _load(
        self, run: Path | None, config_file: Path | None, weights: str | None, title: str = ""
    ) -> StreamingModel:
        args = self._args
        if run is not None:
            config_file, weights = run_weights(run, weights)
        return load_streaming_model(
            config_file, weights or "", args.opts, own_data=args.own_data, title=title
        )

    def _systems(self, model: StreamingModel) -> tuple[list[System], list[Look], bool]:
        other = self._args.compare
        if other is None:
            return [model], [model.look], model.has_depth
        second: StreamingModel | Truth
        if (other / "config.yaml").is_file():
            second = self._load(other, None, None, title=other.name)
        else:
            second = Truth(other)
        depth = model.has_depth or second.has_depth
        return [model, second], [model.look, second.look], depth

    def _scale(self, model: StreamingModel) -> DepthScale:
        near, far = self._args.depth_range or (NEAR, max(model.farthest, 2 * NEAR))
        return DepthScale(near, far)

    def _predictions(self, folder: Path, source: FrameSource, model: StreamingModel) -> list[Sink]:
        save = self._args.save
        if "depth" in save and not model.has_depth:
            raise ValueError(
                f"--save depth: {model.look.title} predicts no depth (MODEL.DVPS.DEPTH.ENABLED)"
            )
        if not {"ids", "depth"} & set(save):
            return []
        layout = self._args.layout if "ids" in save else None
        sink = PredictionSink(
            folder / "predictions",
            source.label,
            model.table,
            layout=layout,
            depth="depth" in save,
        )
        return [sink]

    def summary(self) -> str:
        """How far it got, and what to look at; empty before the first frame."""
        film = self.film
        if film is None:
            return ""
        total = self._source.count
        of = f" of {total}" if total is not None and total != film.written else ""
        rate = film.written / self._seconds if self._seconds else 0.0
        lines = [
            f"{film.written}{of} frames in {self._seconds:.1f} s ({rate:.2f} frames per second)"
        ]
        if film.num_skipped:
            lines.append(f"left out, unreadable: {film.num_skipped}, first: {film.skipped[0]}")
        if self._picture is not None and self._picture.left_out:
            lines.append(
                f"{self._picture.left_out} frames are not in the video: they came closer together "
                f"than its rate allows"
            )
        written = [str(path) for path in self._outputs if path.exists()]
        if written and film.written:
            lines.append("written: " + "  ".join(written))
        return "\n".join(lines) + "\n"


def _caption(frame: SourceFrame) -> str:
    minutes, seconds = divmod(frame.seconds, 60)
    return f"frame {frame.position}   {int(minutes)}:{seconds:05.2f}"


def _remove_predictions(folder: Path) -> None:
    """Delete an earlier result; a folder that holds anything else stays.

    Raises:
        ValueError: it was not written by this command.
    """
    known = {"frames.csv", "pan_pred", "panoptic", "depth", "pred.json"}
    foreign = sorted({path.name for path in folder.iterdir()} - known)
    if foreign:
        raise ValueError(f"{folder} holds {foreign[0]!r}, which is none of ours: not deleted")
    shutil.rmtree(folder)
