"""Scalars and pictures of a run in Weights & Biases, beside TensorBoard."""

from __future__ import annotations

import importlib
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from detectron2.utils.events import EventWriter, get_event_storage

ID_FILE = "wandb_id.txt"  # in OUTPUT_DIR, so that a resumed run goes on in the same place
MODES = ("online", "offline")


class WandbWriter(EventWriter):
    """An event writer of Detectron2; stands before TensorBoard's, which clears pictures.

    Args:
        folder: OUTPUT_DIR; the files of W&B go into ``wandb`` below it.
        project: name of the project.
        name: of the run; empty leaves it to W&B.
        mode: "online", or "offline" to upload later with ``wandb sync``.
        config: nested plain values, shown with the run.
        window: iterations over which losses are smoothed.

    Raises:
        ValueError: wandb is not installed, or the mode is not known.
    """

    def __init__(
        self,
        folder: str,
        *,
        project: str,
        name: str = "",
        mode: str = "online",
        config: dict[str, Any] | None = None,
        window: int = 20,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"WANDB.MODE={mode!r} is not one of {', '.join(MODES)}")
        self._wandb = _import_wandb()
        self._window = window
        self._last = -1
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        known = (path / ID_FILE).read_text().strip() if (path / ID_FILE).is_file() else None
        self._run = self._wandb.init(
            project=project,
            name=name or None,
            id=known,
            resume="allow",
            mode=mode,
            dir=os.fspath(path),
            config=config,
        )
        (path / ID_FILE).write_text(f"{self._run.id}\n")

    def write(self) -> None:
        """Send what came since the last call, in order of iterations."""
        storage = get_event_storage()
        steps: dict[int, dict[str, Any]] = defaultdict(dict)
        for name, (value, step) in storage.latest_with_smoothing_hint(self._window).items():
            if step > self._last:
                steps[step][name] = value
        for name, image, step in storage._vis_data:
            picture = image.permute(1, 2, 0).numpy() if image.shape[0] == 3 else image.numpy()
            steps[step][name] = self._wandb.Image(picture)
        for step in sorted(steps):
            self._run.log(steps[step], step=step)
        scalars = [step for _, step in storage.latest().values()]
        self._last = max([self._last, *scalars])

    def close(self) -> None:
        """End the run."""
        self._run.finish()


def _import_wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        raise ValueError(
            "WANDB.ENABLED needs the package wandb: pip install wandb (or dvps_d2[wandb]), or set "
            "WANDB.ENABLED False"
        ) from error


def plain(config: Any) -> Any:
    """A config node as nested dicts of plain values."""
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    return list(config) if isinstance(config, tuple) else config
