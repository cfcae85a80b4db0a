"""Two global tables: data set name -> function that lists its records, and -> its metadata."""

import copy
import logging
from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from detectron2._subset import outside_subset
from detectron2.utils.logger import log_first_n

__all__ = ["DatasetCatalog", "Metadata", "MetadataCatalog"]

# How the data sets begin that the official package registers on import.
_BUILTIN_PREFIXES = (
    "ade20k_sem_seg_",
    "cityscapes_fine_",
    "coco_20",
    "keypoints_coco_20",
    "lvis_v",
    "voc_20",
)


class _DatasetCatalog(UserDict):
    """Name -> function without arguments that returns the records of a data set.

    Records are dicts; see the documentation of the mapper that reads them. The function is called
    at each `get`, and should return the same every time.
    """

    def register(self, name: str, func: Callable[[], list[dict]]) -> None:
        """Add a data set; asserts that the name is free and ``func`` callable."""
        assert callable(func), f"func must be callable, got {type(func)}"
        assert name not in self, f"Dataset '{name}' is already registered!"
        self[name] = func

    def get(self, name: str) -> list[dict]:
        """Call the function of a data set.

        Raises:
            KeyError: no such data set.
            NotImplementedError: it is built into the official package, and not into this one.
        """
        if name not in self:
            if name.startswith(_BUILTIN_PREFIXES):
                outside_subset(f"The built-in data set '{name}'")
            raise KeyError(
                f"Dataset '{name}' is not registered! "
                f"Available datasets are: {', '.join(self.keys())}"
            )
        return self[name]()

    def list(self) -> list[str]:
        """Names of all data sets."""
        return list(self.keys())

    def remove(self, name: str) -> None:
        """Forget a data set."""
        self.pop(name)

    def __str__(self) -> str:
        return f"DatasetCatalog({', '.join(self.keys())})"

    __repr__ = __str__


class Metadata(SimpleNamespace):
    """Facts about a data set that its records do not repeat, as attributes: class names, colours...

    An attribute that has a value cannot get another one, because code that read the first would
    go on with it; remove the metadata with ``MetadataCatalog.pop(name)`` to start again.
    """

    name: str = "N/A"

    _RENAMED: ClassVar = {
        "class_names": "thing_classes",
        "dataset_id_to_contiguous_id": "thing_dataset_id_to_contiguous_id",
        "stuff_class_names": "stuff_classes",
    }

    def __getattr__(self, key: str) -> Any:
        if key in self._RENAMED:
            _warn_renamed(key, self._RENAMED[key])
            return getattr(self, self._RENAMED[key])
        if len(self.__dict__) > 1:  # more than the name
            raise AttributeError(
                f"Attribute '{key}' does not exist in the metadata of dataset '{self.name}'. "
                f"Available keys are {self.__dict__.keys()}."
            )
        raise AttributeError(
            f"Attribute '{key}' does not exist in the metadata of dataset '{self.name}': "
            "metadata is empty."
        )

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self._RENAMED:
            _warn_renamed(key, self._RENAMED[key])
            key = self._RENAMED[key]
        if key in self.__dict__:
            old = self.__dict__[key]
            assert old == value, (
                f"Attribute '{key}' in the metadata of '{self.name}' cannot be set to a different "
                f"value!\n{old} != {value}"
            )
        else:
            super().__setattr__(key, value)

    def as_dict(self) -> dict[str, Any]:
        """All attributes, in a new dict."""
        return copy.copy(self.__dict__)

    def set(self, **kwargs: Any) -> "Metadata":
        """Set several attributes; returns the object."""
        for key, value in kwargs.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute, or the default."""
        try:
            return getattr(self, key)
        except AttributeError:
            return default


def _warn_renamed(old: str, new: str) -> None:
    log_first_n(logging.WARNING, f"The metadata key '{old}' is called '{new}' now", n=10)


class _MetadataCatalog(UserDict):
    """Data set name -> `Metadata`, made empty when first asked for."""

    def get(self, name: str) -> Metadata:
        """The metadata of a data set; the data set need not be registered."""
        assert len(name), "the name of a data set must not be empty"
        if name not in self:
            self[name] = Metadata(name=name)
        return self[name]

    def list(self) -> list[str]:
        """Names with metadata."""
        return list(self.keys())

    def remove(self, name: str) -> None:
        """Forget the metadata of a data set."""
        self.pop(name)

    def __str__(self) -> str:
        return f"MetadataCatalog({', '.join(self.keys())})"

    __repr__ = __str__


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()
