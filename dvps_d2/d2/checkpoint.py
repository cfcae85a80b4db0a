"""Checkpoints that cannot be mistaken: a file of another model is an error, not a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from dvps_d2.d2.weight_files import UNREADABLE, describe, read_checkpoint, require_mapping
from dvps_d2.formats.files import atomic_path

SHOWN = 3  # keys named in an error


class ModelCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer with a check of what was loaded.

    Args:
        model: what to load into.
        save_dir: folder of the run.
        complete: refuse files that lack any of the model's tensors (evaluation, where a random
            head would give scores that mean nothing). Otherwise only a file with no tensor of
            the model is refused (fine-tuning).
        kwargs: as for ``DetectionCheckpointer``.
    """

    def __init__(
        self, model: nn.Module, save_dir: str = "", *, complete: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(model, save_dir, **kwargs)
        self.complete = complete

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is of another architecture (see ``complete``), damaged, or no
                checkpoint at all.
        """
        self._path = path
        if path and Path(path).is_dir():
            raise FileNotFoundError(
                f"checkpoint {path!r} is a folder; name a file in it, such as model_final.pth"
            )
        try:
            return super().load(path, checkpointables)
        except AssertionError as error:  # fvcore's way of saying that the file is missing
            if "not found" not in str(error):
                raise
            raise FileNotFoundError(
                f"checkpoint {path!r} does not exist; check MODEL.WEIGHTS"
            ) from error

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the newest checkpoint in ``last_checkpoint``, whole or not at all.

        A run may be killed at any moment; a note that was begun would point to nothing.
        """
        with atomic_path(Path(self.save_dir) / "last_checkpoint") as partial:
            partial.write_text(last_filename_basename, encoding="utf-8")

    def _load_file(self, filename: str) -> dict[str, Any]:
        if filename.endswith(".safetensors"):
            return read_checkpoint(filename)
        try:
            content = super()._load_file(filename)
        except NotImplementedError:  # a kind of file that Detectron2 does not read
            raise
        except UNREADABLE as error:
            raise ValueError(
                f"{filename} is not a checkpoint, or only a part of one: {describe(error)}"
            ) from error
        require_mapping(content, filename)
        require_mapping(content.get("model", content), filename)
        return content

    def _load_model(self, checkpoint: Any) -> Any:
        report = super()._load_model(checkpoint)
        if report is not None:
            self._check(set(report.missing_keys), set(report.unexpected_keys))
        return report

    def _check(self, missing: set[str], unexpected: set[str]) -> None:
        # Batch counters of normalisation layers are filled in when a file lacks them.
        keys = {key for key in self.model.state_dict() if not key.endswith("num_batches_tracked")}
        absent = sorted(missing & keys)
        if len(absent) == len(keys):
            raise ValueError(
                f"{self._path} holds no tensor of {type(self.model).__name__}: it has "
                f"{_some(unexpected)}, the model {_some(keys)}; is it a checkpoint of another "
                f"architecture?"
            )
        if self.complete and absent:
            raise ValueError(
                f"{self._path} lacks {len(absent)} of the {len(keys)} tensors of "
                f"{type(self.model).__name__}, e.g. {_some(absent)}; scores with random weights "
                f"mean nothing. Check that config and checkpoint belong together"
            )


def _some(keys: Any) -> str:
    shown = sorted(keys)
    more = f", ... ({len(shown)} in all)" if len(shown) > SHOWN else ""
    return (", ".join(shown[:SHOWN]) or "nothing") + more
