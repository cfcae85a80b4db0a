"""`CfgNode` with versions, the global configuration, and `configurable`."""

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from fvcore.common.config import CfgNode as _CfgNode

from detectron2._subset import outside_subset
from detectron2.utils.file_io import PathManager

__all__ = ["CfgNode", "configurable", "get_cfg", "global_cfg", "set_global_cfg"]


class CfgNode(_CfgNode):
    """A tree of options, read and merged by the rules of yacs.

    On top of fvcore's node (``_BASE_``, ``COMPUTED_*`` keys) it knows the version of its keys and
    opens files through `PathManager`. Remember that an int does not replace a float
    (``BASE_LR: 1`` is refused, ``1.0`` is fine) and that unknown keys are refused.
    """

    @classmethod
    def _open_cfg(cls, filename: str) -> IO[str]:
        return PathManager.open(filename, "r")

    def merge_from_file(self, cfg_filename: str, allow_unsafe: bool = True) -> None:
        """Overwrite values with those of a YAML file.

        Args:
            cfg_filename: path; ``_BASE_`` inside names other files, relative to this one.
            allow_unsafe: whether YAML tags that build Python objects are evaluated. They can run
                code: read only files you trust.

        Raises:
            AssertionError: the file does not exist, or has a newer VERSION than this node.
            KeyError: it has a key this node does not know.
            ValueError: a value has another type than the one it replaces.
            NotImplementedError: it uses the key names of an older version.
        """
        assert PathManager.isfile(cfg_filename), f"Config file '{cfg_filename}' does not exist!"
        loaded = type(self)(self.load_yaml_with_base(cfg_filename, allow_unsafe=allow_unsafe))
        version = loaded.get("VERSION", None)
        if version is None:
            version = _guess_version(loaded, cfg_filename)
        assert version <= self.VERSION, (
            f"Cannot merge a v{version} config ('{cfg_filename}') into a v{self.VERSION} config."
        )
        if version < self.VERSION:
            outside_subset(
                f"Converting the v{version} config '{cfg_filename}' to v{self.VERSION} "
                f"({', '.join(_old_keys(loaded)) or 'its VERSION key says so'})"
            )
        self.merge_from_other_cfg(loaded)

    def dump(self, *args: Any, **kwargs: Any) -> str:
        """The node as YAML text; arguments go to ``yaml.safe_dump``."""
        return super().dump(*args, **kwargs)


def _old_keys(cfg: CfgNode) -> list[str]:
    """Keys by which a file of version 1 is recognised."""
    found = []
    for key in ("MODEL.WEIGHT", "TEST.AUG_ON"):
        group, leaf = key.split(".")
        if isinstance(cfg.get(group), Mapping) and leaf in cfg[group]:
            found.append(key)
    return found


def _guess_version(cfg: CfgNode, filename: str) -> int:
    """Version of a file that does not say: 1 when it uses names of then, else the latest."""
    latest = _defaults().VERSION
    logger = logging.getLogger(__name__)
    if _old_keys(cfg):
        logger.warning("Config '%s' has no VERSION. Assuming it to be v1.", filename)
        return 1
    logger.warning(
        "Config '%s' has no VERSION. Assuming it to be compatible with latest v%s.",
        filename,
        latest,
    )
    return latest


def _defaults() -> CfgNode:
    from .defaults import _C  # imports CfgNode from here

    return _C


def get_cfg() -> CfgNode:
    """A fresh copy of the default options, to be changed freely."""
    return _defaults().clone()


global_cfg = CfgNode()
"""Options for code that has no way to be handed any; empty until `set_global_cfg`."""


def set_global_cfg(cfg: CfgNode) -> None:
    """Fill `global_cfg`, in place, with the options of ``cfg``."""
    global_cfg.clear()
    global_cfg.update(cfg)


def configurable(
    init_func: Callable | None = None, *, from_config: Callable[..., dict] | None = None
) -> Callable:
    """Let a constructor or a function be called with a config instead of its arguments.

    The mapping lives in ``from_config(cfg, ...) -> dict`` of keyword arguments, so the callable
    itself never sees a config::

        class Head:
            @configurable
            def __init__(self, channels, *, norm="BN"): ...

            @classmethod
            def from_config(cls, cfg, channels):
                return {"channels": channels, "norm": cfg.MODEL.NORM}

        Head(64, norm="GN")      # plain call
        Head(cfg, 64)            # through from_config
        Head(cfg, 64, norm="")   # a keyword that from_config does not take wins over its result

        @configurable(from_config=lambda cfg: {"size": cfg.SIZE})
        def build(size): ...

    A call goes through ``from_config`` when its first positional argument, or the keyword ``cfg``,
    is a CfgNode. Subclasses inherit the constructor and may override ``from_config`` alone.

    Args:
        init_func: the ``__init__`` of a class with a classmethod ``from_config``.
        from_config: for functions.

    Raises:
        AssertionError: used on anything else.
        AttributeError, TypeError: at the call, when ``from_config`` is missing, is not a
            classmethod, or does not take ``cfg`` first.
    """
    if init_func is None:
        if from_config is None:  # written as @configurable()
            return configurable
        assert inspect.isfunction(from_config), "from_config must be a function"
        return functools.partial(_configurable_function, from_config=from_config)

    assert (
        inspect.isfunction(init_func) and from_config is None and init_func.__name__ == "__init__"
    ), "Use @configurable on an __init__, or @configurable(from_config=...) on a function"

    @functools.wraps(init_func)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        owner = type(self)
        if not hasattr(owner, "from_config"):
            raise AttributeError("Class with @configurable must have a 'from_config' classmethod.")
        if not inspect.ismethod(owner.from_config):
            raise TypeError("Class with @configurable must have a 'from_config' classmethod.")
        if _is_called_with_cfg(*args, **kwargs):
            init_func(self, **_arguments_from_config(owner.from_config, *args, **kwargs))
        else:
            init_func(self, *args, **kwargs)

    return wrapped


def _configurable_function(func: Callable, *, from_config: Callable[..., dict]) -> Callable:
    """The decorator that ``configurable(from_config=...)`` returns."""

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if _is_called_with_cfg(*args, **kwargs):
            return func(**_arguments_from_config(from_config, *args, **kwargs))
        return func(*args, **kwargs)

    wrapped.from_config = from_config
    return wrapped


def _is_called_with_cfg(*args: Any, **kwargs: Any) -> bool:
    """Whether the first argument, or the one named cfg, holds options."""
    kinds: tuple[type, ...] = (_CfgNode,)
    omegaconf = sys.modules.get("omegaconf")  # nobody has such a node without importing it
    if omegaconf is not None:
        kinds += (omegaconf.DictConfig,)
    return bool(args and isinstance(args[0], kinds)) or isinstance(kwargs.get("cfg"), kinds)


def _arguments_from_config(from_config: Callable[..., dict], *args: Any, **kwargs: Any) -> dict:
    """Keyword arguments for a configurable callable.

    ``from_config`` takes the positional arguments and the keywords it knows; the other keywords
    are added to its result, and win.
    """
    parameters = inspect.signature(from_config).parameters
    if next(iter(parameters), None) != "cfg":
        owner = getattr(from_config, "__self__", None)
        name = f"{from_config}" if owner is None else f"{owner}.from_config"
        raise TypeError(f"{name} must take 'cfg' as the first argument!")
    takes_all = any(
        parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in parameters.values()
    )
    if takes_all:
        return from_config(*args, **kwargs)
    known = {name: value for name, value in kwargs.items() if name in parameters}
    overrides = {name: value for name, value in kwargs.items() if name not in parameters}
    return {**from_config(*args, **known), **overrides}
