"""Surviving CUDA out-of-memory errors."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch

__all__ = ["retry_if_cuda_oom"]

_Result = TypeVar("_Result")


@contextmanager
def _ignore_cuda_oom() -> Iterator[None]:
    """Swallow the one RuntimeError that means "the GPU is full"."""
    try:
        yield
    except RuntimeError as error:
        if "CUDA out of memory. " not in str(error):
            raise


def _to_cpu(value: Any) -> Any:
    is_cuda_tensor = getattr(getattr(value, "device", None), "type", None) == "cuda"
    return value.to(device="cpu") if is_cuda_tensor and hasattr(value, "to") else value


def retry_if_cuda_oom(func: Callable[..., _Result]) -> Callable[..., _Result]:
    """Make a stateless function retry when the GPU is full.

    First attempt as it is; second after emptying torch's cache; third with its tensor arguments
    (and other arguments that have ``device`` and ``to``) on the CPU. Containers of tensors are not
    looked into. After the third attempt the result stays on the CPU.

    Args:
        func: must not have side effects, because it may run up to three times.

    Returns:
        A function with the same signature.
    """

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> _Result:
        with _ignore_cuda_oom():
            return func(*args, **kwargs)
        torch.cuda.empty_cache()
        with _ignore_cuda_oom():
            return func(*args, **kwargs)
        logging.getLogger(__name__).info("The GPU is full: running %s on the CPU", func)
        return func(
            *(_to_cpu(value) for value in args),
            **{name: _to_cpu(value) for name, value in kwargs.items()},
        )

    return wrapped
