"""Saving and loading, with the file formats of the model zoo."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlparse

from fvcore.common.checkpoint import Checkpointer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from detectron2._subset import outside_subset
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager

from ._pickles import load_pickle
from .c2_model_loading import align_and_update_state_dicts

# Keys that come and go between versions without any effect on the model.
_SILENT_WHEN_MISSING = ("pixel_mean", "pixel_std")
_SILENT_WHEN_UNEXPECTED = "anchor_generator.cell_anchors"


class DetectionCheckpointer(Checkpointer):
    """fvcore's ``Checkpointer`` that also reads ``.pkl`` files and matches names by suffix.

    Missing keys, unexpected keys and wrong shapes are warnings, never errors.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        """Attach to a model.

        Args:
            model: a DistributedDataParallel wrapper is looked through.
            save_dir: where ``save`` writes.
            save_to_disk: by default only in the main process.
            **checkpointables: other objects with ``state_dict`` and ``load_state_dict``.
        """
        super().__init__(
            model,
            save_dir,
            save_to_disk=comm.is_main_process() if save_to_disk is None else save_to_disk,
            **checkpointables,
        )
        self.path_manager = PathManager
        self._by_suffix = False
        self._wrapped = model if isinstance(model, DistributedDataParallel) else None

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load weights, and what else the file holds.

        Args:
            path: a file or an address; "" loads nothing. The query ``?matching_heuristics=True``
                matches names by suffix (``.pkl`` files say themselves whether to).
            *args: as in fvcore's ``Checkpointer.load``.
            **kwargs: as there.

        Returns:
            What is left of the file.

        Raises:
            AssertionError: there is no such file.
            ValueError: another query.
        """
        if not path:
            return super().load(path, *args, **kwargs)
        address = urlparse(path)
        if address.scheme == "catalog":
            outside_subset(f"the model catalog ({path})")
        query = parse_qs(address.query)
        wishes = query.pop("matching_heuristics", ["False"])
        self._by_suffix = wishes == ["True"]
        if query:
            raise ValueError(
                f"Unsupported query {sorted(query)} in the checkpoint path {path}: "
                "only matching_heuristics is known"
            )
        path = address._replace(query="").geturl() if address.query else path
        path = self.path_manager.get_local_path(path)

        missing_here = self._wrapped is not None and not self._everybody_has(path)
        if missing_here and not os.path.isfile(path):
            # Another process has it, and sends its weights below.
            self.logger.warning("%s is not visible on this machine", path)
            left: dict[str, Any] = {}
        else:
            left = super().load(path, *args, **kwargs)
        if missing_here:
            self.logger.info("Broadcasting the weights of the main process")
            self._wrapped._sync_params_and_buffers()
        return left

    def _everybody_has(self, path: str) -> bool:
        has = comm.all_gather(os.path.isfile(path))
        if not has[0]:
            raise OSError(f"File {path} not found on the main process")
        return all(has)

    def _load_file(self, filename: str) -> dict[str, Any]:
        if filename.endswith(".pkl"):
            with open(filename, "rb") as file:
                data = load_pickle(file)
            if "model" in data and "__author__" in data:
                self.logger.info("Reading a file from '%s'", data["__author__"])
                return data
            blobs = data.get("blobs", data)
            weights = {k: v for k, v in blobs.items() if not k.endswith("_momentum")}
            return {"model": weights, "__author__": "Caffe2", "matching_heuristics": True}
        if filename.endswith(".pyth"):
            outside_subset("reading .pyth files (pycls)")
        loaded = super()._load_file(filename)
        loaded = loaded if "model" in loaded else {"model": loaded}
        if self._by_suffix:
            loaded["matching_heuristics"] = True
        return loaded

    def _load_model(self, checkpoint: Any):
        if checkpoint.get("matching_heuristics", False):
            self._convert_ndarray_to_tensor(checkpoint["model"])
            checkpoint["model"] = align_and_update_state_dicts(
                self.model.state_dict(),
                checkpoint["model"],
                c2_conversion=checkpoint.get("__author__") == "Caffe2",
            )
        incompatible = super()._load_model(checkpoint)
        buffers = dict(self.model.named_buffers(recurse=False))
        for name in _SILENT_WHEN_MISSING:
            if name in buffers and name in incompatible.missing_keys:
                incompatible.missing_keys.remove(name)
        incompatible.unexpected_keys[:] = [
            key for key in incompatible.unexpected_keys if _SILENT_WHEN_UNEXPECTED not in key
        ]
        return incompatible
