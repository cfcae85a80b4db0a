"""A table of objects in one image."""

import itertools
from typing import Any, NoReturn

import torch

__all__ = ["Instances"]


class Instances:
    """The objects of an image: fields of equal length, read and set as attributes.

    ::

        instances = Instances((480, 640))
        instances.gt_boxes = Boxes(...)
        instances.gt_classes = torch.tensor([...])
        small = instances[instances.gt_boxes.area() < 100]

    A field may be anything with a length and indexing: tensor, Boxes, BitMasks, list. Names that
    start with an underscore are ordinary attributes.
    """

    def __init__(self, image_size: tuple[int, int], **kwargs: Any) -> None:
        """
        Args:
            image_size: (height, width) of the image.
            kwargs: fields to begin with.
        """
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in kwargs.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self._image_size

    def __setattr__(self, name: str, val: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, val)
        else:
            self.set(name, val)

    def __getattr__(self, name: str) -> Any:
        if name == "_fields" or name not in self._fields:
            raise AttributeError(f"Cannot find field '{name}' in the given Instances!")
        return self._fields[name]

    def set(self, name: str, value: Any) -> None:
        """Add or replace a field; its length must be that of the others."""
        length = len(value)
        if self._fields:
            assert len(self) == length, (
                f"Adding a field of length {length} to a Instances of length {len(self)}"
            )
        self._fields[name] = value

    def has(self, name: str) -> bool:
        """Whether there is a field of this name."""
        return name in self._fields

    def remove(self, name: str) -> None:
        """Delete a field."""
        del self._fields[name]

    def get(self, name: str) -> Any:
        """The field of this name; KeyError without it."""
        return self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        """Name -> field. Changing the dict changes the object."""
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> "Instances":
        """A copy whose fields went through their own ``to(...)``, where they have one."""
        moved = Instances(self._image_size)
        for name, value in self._fields.items():
            moved.set(name, value.to(*args, **kwargs) if hasattr(value, "to") else value)
        return moved

    def __getitem__(self, item: int | slice | torch.Tensor) -> "Instances":
        """Select objects by index (kept as a table of one), slice, bool mask or index tensor."""
        if type(item) is int:
            length = len(self)
            if not -length <= item < length:
                raise IndexError(f"index {item} for {length} instances")
            item = slice(item, item + 1 or None)
        selected = Instances(self._image_size)
        for name, value in self._fields.items():
            selected.set(name, value[item])
        return selected

    def __len__(self) -> int:
        for value in self._fields.values():
            return len(value)  # all fields agree
        raise NotImplementedError("Empty Instances does not support __len__!")

    def __iter__(self) -> NoReturn:
        raise NotImplementedError("Instances cannot be iterated over: index it with 0, 1, ...")

    @staticmethod
    def cat(instance_lists: list["Instances"]) -> "Instances":
        """Tables one under another.

        Args:
            instance_lists: at least one; same image size, same fields. A list of one gives that
                object itself.

        Raises:
            ValueError: a field is no tensor, no list, and its type has no ``cat``.
        """
        assert all(isinstance(instances, Instances) for instances in instance_lists)
        assert len(instance_lists) > 0, "instance_lists is empty"
        if len(instance_lists) == 1:
            return instance_lists[0]
        first = instance_lists[0]
        for other in instance_lists[1:]:
            assert other.image_size == first.image_size, (
                f"image sizes differ: {first.image_size}, {other.image_size}"
            )
        merged = Instances(first.image_size)
        for name in first._fields:
            merged.set(name, _cat_field(name, [table.get(name) for table in instance_lists]))
        return merged

    def __str__(self) -> str:
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        height, width = self._image_size
        return (
            f"{type(self).__name__}(num_instances={len(self)}, image_height={height}, "
            f"image_width={width}, fields=[{fields}])"
        )

    __repr__ = __str__


def _cat_field(name: str, values: list[Any]) -> Any:
    """Concatenate one field of several tables."""
    kind = type(values[0])
    if isinstance(values[0], torch.Tensor):
        return torch.cat(values, dim=0)
    if isinstance(values[0], list):
        return list(itertools.chain.from_iterable(values))
    if hasattr(kind, "cat"):
        return kind.cat(values)
    raise ValueError(f"Unsupported type {kind} of field {name!r} for concatenation")
