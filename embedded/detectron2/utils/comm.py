"""Talking between processes. Everything here also works without ``torch.distributed``."""

import functools
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

__all__ = [
    "all_gather",
    "create_local_process_group",
    "gather",
    "get_local_process_group",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "reduce_dict",
    "shared_random_seed",
    "synchronize",
]

# The processes of this machine; set by `create_local_process_group`.
_LOCAL_PROCESS_GROUP: dist.ProcessGroup | None = None

_MISSING_LOCAL_GROUP = (
    "The process group of this machine is not created yet: use detectron2.engine.launch() to start "
    "processes, or call comm.create_local_process_group(processes_per_machine) in every process."
)


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    """Number of processes on all machines; 1 without ``torch.distributed``."""
    return dist.get_world_size() if _is_distributed() else 1


def get_rank() -> int:
    """Index of this process among all processes."""
    return dist.get_rank() if _is_distributed() else 0


@functools.lru_cache
def create_local_process_group(num_workers_per_machine: int) -> None:
    """Group the processes of each machine. Every process must call it, once, with the same number.

    Ranks are assumed to be contiguous within a machine.

    Args:
        num_workers_per_machine: processes per machine; divides the world size.
    """
    global _LOCAL_PROCESS_GROUP
    assert _LOCAL_PROCESS_GROUP is None, "The local process group exists already"
    world_size = get_world_size()
    assert world_size % num_workers_per_machine == 0, (
        f"num_workers_per_machine={num_workers_per_machine} does not divide the world size "
        f"{world_size}"
    )
    this_machine = get_rank() // num_workers_per_machine
    for machine in range(world_size // num_workers_per_machine):
        first = machine * num_workers_per_machine
        # Collective call: every process takes part in the creation of every group.
        group = dist.new_group(list(range(first, first + num_workers_per_machine)))
        if machine == this_machine:
            _LOCAL_PROCESS_GROUP = group


def get_local_process_group() -> dist.ProcessGroup:
    """The group of this machine's processes; asserts that it was created."""
    assert _LOCAL_PROCESS_GROUP is not None, _MISSING_LOCAL_GROUP
    return _LOCAL_PROCESS_GROUP


def get_local_rank() -> int:
    """Index of this process among those of its machine."""
    return dist.get_rank(group=get_local_process_group()) if _is_distributed() else 0


def get_local_size() -> int:
    """Number of processes on this machine."""
    return dist.get_world_size(group=get_local_process_group()) if _is_distributed() else 1


def is_main_process() -> bool:
    """Whether this is rank 0."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process has come here."""
    if get_world_size() == 1:
        return
    if dist.get_backend() == dist.Backend.NCCL:
        # NCCL guesses a device otherwise, and warns about it.
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


@functools.lru_cache
def _get_global_gloo_group() -> dist.ProcessGroup:
    """A group of all processes that moves objects between CPUs, whatever the main backend is."""
    if dist.get_backend() == "nccl":
        return dist.new_group(backend="gloo")
    return dist.group.WORLD


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Collect a picklable object from every process in every process.

    Args:
        data: any picklable object.
        group: defaults to all processes (over gloo).

    Returns:
        One object per rank.
    """
    if get_world_size() == 1:
        return [data]
    if group is None:
        group = _get_global_gloo_group()
    world_size = dist.get_world_size(group)
    if world_size == 1:
        return [data]
    output: list[Any] = [None] * world_size
    dist.all_gather_object(output, data, group=group)
    return output


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Collect a picklable object from every process in one.

    Args:
        data: any picklable object.
        dst: rank that receives.
        group: defaults to all processes (over gloo).

    Returns:
        One object per rank on ``dst``, an empty list elsewhere.
    """
    if get_world_size() == 1:
        return [data]
    if group is None:
        group = _get_global_gloo_group()
    world_size = dist.get_world_size(group=group)
    if world_size == 1:
        return [data]
    if dist.get_rank(group=group) != dst:
        dist.gather_object(data, None, dst=dst, group=group)
        return []
    output: list[Any] = [None] * world_size
    dist.gather_object(data, output, dst=dst, group=group)
    return output


def shared_random_seed() -> int:
    """A random number that all processes agree on (drawn from rank 0's NumPy generator)."""
    return all_gather(np.random.randint(2**31))[0]


def reduce_dict(input_dict: dict[str, torch.Tensor], average: bool = True) -> dict:
    """Sum or average a dict of scalar tensors over processes.

    Args:
        input_dict: scalar tensors under the same keys in every process.
        average: whether to divide by the number of processes.

    Returns:
        The reduced dict, meaningful on rank 0 only; the input itself when there is one process.
    """
    world_size = get_world_size()
    if world_size < 2:
        return input_dict
    with torch.no_grad():
        names = sorted(input_dict)  # the same order everywhere
        values = torch.stack([input_dict[name] for name in names], dim=0)
        dist.reduce(values, dst=0)
        if average and dist.get_rank() == 0:
            values /= world_size
        return dict(zip(names, values, strict=True))
