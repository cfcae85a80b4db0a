"""Several processes: Detectron2's ``launch``, or joining what ``torchrun`` started."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from detectron2.engine import launch
from detectron2.utils import comm

# What torchrun sets in every process that it starts.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def run_distributed(main: Callable[[Any], Any], args: Any) -> Any:
    """Run ``main(args)`` in as many processes as asked for.

    Under torchrun (its environment variables are set) this process joins the group, with NCCL on
    GPUs and gloo on CPUs; otherwise ``args.num_gpus`` and its companions go to Detectron2's
    ``launch``. ``--num-gpus 2`` on a machine without GPUs trains with two CPU processes.

    Raises:
        ValueError: torchrun and ``--num-gpus`` both ask for processes.
    """
    if not all(name in os.environ for name in TORCHRUN):
        return launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
    if args.num_gpus > 1 or args.num_machines > 1:
        raise ValueError(
            "torchrun already starts the processes; leave --num-gpus and --num-machines away"
        )
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))
        comm.synchronize()
        return main(args)
    finally:
        dist.destroy_process_group()
