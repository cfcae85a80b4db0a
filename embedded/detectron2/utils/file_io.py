"""The path manager through which every file of the package is opened."""

from typing import Any

from iopath.common.file_io import HTTPURLHandler, OneDrivePathHandler, PathHandler
from iopath.common.file_io import PathManager as PathManagerBase

__all__ = ["PathHandler", "PathManager"]

PathManager = PathManagerBase()
"""Shared by the whole package. Separate from iopath's global one, so handlers do not leak."""


class Detectron2Handler(PathHandler):
    """Resolve ``detectron2://`` (the model zoo) to its place on the web, cached on disk."""

    PREFIX = "detectron2://"
    ROOT = "https://dl.fbaipublicfiles.com/detectron2/"

    def _get_supported_prefixes(self) -> list[str]:
        return [self.PREFIX]

    def _get_local_path(self, path: str, **kwargs: Any) -> str:
        return PathManager.get_local_path(self.ROOT + path.removeprefix(self.PREFIX), **kwargs)

    def _open(self, path: str, mode: str = "r", **kwargs: Any) -> Any:
        return PathManager.open(self.ROOT + path.removeprefix(self.PREFIX), mode, **kwargs)


PathManager.register_handler(HTTPURLHandler())
PathManager.register_handler(OneDrivePathHandler())
PathManager.register_handler(Detectron2Handler())
