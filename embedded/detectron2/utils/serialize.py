"""Pickling of closures and lambdas."""

from typing import Any

import cloudpickle

__all__ = ["PicklableWrapper"]


class PicklableWrapper:
    """Wrap an object so that it pickles through cloudpickle.

    Data loader workers started by *spawn* receive their dataset through pickle, which refuses
    lambdas and nested functions; cloudpickle does not. The wrapper calls like the object and shows
    its attributes. Wrapping a wrapper unwraps it first.
    """

    def __init__(self, obj: Any) -> None:
        while isinstance(obj, PicklableWrapper):
            obj = obj._obj
        self._obj = obj

    def __reduce__(self) -> tuple:
        return _restore, (cloudpickle.dumps(self._obj),)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._obj(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_obj":  # not set yet, e.g. while unpickling
            raise AttributeError(name)
        return getattr(self._obj, name)


def _restore(payload: bytes) -> PicklableWrapper:
    return PicklableWrapper(cloudpickle.loads(payload))
