"""Registries of named classes and the lookup of objects by dotted path."""

import importlib
from typing import Any

from fvcore.common.registry import Registry

__all__ = ["Registry", "locate"]


def _convert_target_to_string(target: Any) -> str:
    """Dotted path of a class or function: the inverse of `locate`.

    Modules may re-export what a private submodule defines. The shortest prefix of the module path
    that leads to the same object is taken.
    """
    module, name = target.__module__, target.__qualname__
    parts = module.split(".")
    for length in range(1, len(parts)):
        candidate = f"{'.'.join(parts[:length])}.{name}"
        try:
            if locate(candidate) is target:
                return candidate
        except ImportError:
            continue
    return f"{module}.{name}"


def locate(name: str) -> Any:
    """Find an object by its dotted path, importing modules on the way.

    Args:
        name: such as ``package.module.Class.method``.

    Returns:
        The object.

    Raises:
        ImportError: no prefix of ``name`` can be imported, or an attribute is missing.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module_name = ".".join(parts[:length])
        try:
            found = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # the module exists, something it imports does not
            continue
        try:
            for attribute in parts[length:]:
                found = getattr(found, attribute)
        except AttributeError:
            break
        return found
    raise ImportError(f"Cannot find an object called {name!r}; expected 'package.module.Name'")
