"""The edge of the subset: what is left out, and how it says so."""

from typing import Any, NoReturn


def outside_subset(name: str) -> NoReturn:
    """Refuse a part of the Detectron2 API that the embedded package does not have.

    Args:
        name: what was asked for, as a user would write it, e.g. ``detectron2.config.LazyConfig``.

    Raises:
        NotImplementedError: always; the message names the official install.
    """
    raise NotImplementedError(
        f"{name} is not part of the embedded Detectron2 0.6 subset. "
        "Install the official one: make setup DETECTRON2=official"
    )


class _Absent(type):
    """Metaclass of placeholders: they can be imported and named, everything else refuses."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        outside_subset(f"{cls.__module__}.{cls.__qualname__}")

    def __getattr__(cls, attribute: str) -> NoReturn:
        if attribute.startswith("__"):  # introspection by pickle, inspect, typing, ...
            raise AttributeError(attribute)
        outside_subset(f"{cls.__module__}.{cls.__qualname__}.{attribute}")


def absent(name: str) -> type:
    """Make a placeholder for a class or function outside the subset.

    A script may import it (and test ``isinstance`` against it); calling it, or reading one of its
    attributes, raises the error of `outside_subset`.

    Args:
        name: full dotted name, e.g. ``detectron2.structures.Keypoints``.

    Returns:
        A class of that name and module.
    """
    module, _, short = name.rpartition(".")
    return _Absent(short, (), {"__module__": module, "__doc__": f"{name}: outside the subset."})
