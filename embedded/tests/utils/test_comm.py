"""Two processes that talk over gloo."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from detectron2.utils import comm


def run(rank: int, url: str, results: mp.SimpleQueue) -> None:
    dist.init_process_group("gloo", init_method=url, world_size=2, rank=rank)
    try:
        comm.get_local_rank()
    except AssertionError:
        no_local_group = True
    comm.create_local_process_group(2)
    comm.synchronize()
    reduced = comm.reduce_dict({"b": torch.tensor(float(rank)), "a": torch.tensor(10.0 * rank)})
    seeds = comm.all_gather(comm.shared_random_seed())
    results.put(
        {
            "rank": rank,
            "no_local_group": no_local_group,
            "world": comm.get_world_size(),
            "local": (comm.get_local_rank(), comm.get_local_size()),
            "main": comm.is_main_process(),
            "gathered": comm.gather(rank + 5),
            "all": comm.all_gather({"rank": rank}),
            "reduced": {name: value.item() for name, value in reduced.items()} if not rank else {},
            "same_seed": seeds[0] == seeds[1],
        }
    )
    dist.barrier()
    dist.destroy_process_group()


def results_of(url: str) -> list[dict]:
    queue = mp.get_context("spawn").SimpleQueue()
    processes = mp.start_processes(run, args=(url, queue), nprocs=2, join=False)
    found = [queue.get() for _ in range(2)]
    processes.join()
    return sorted(found, key=lambda result: result["rank"])


@pytest.mark.slow
def test_two_processes(tmp_path):
    first, second = results_of(f"file://{tmp_path}/rendezvous")
    assert first["no_local_group"]
    assert (first["world"], second["world"]) == (2, 2)
    assert (first["local"], second["local"]) == ((0, 2), (1, 2))
    assert (first["main"], second["main"]) == (True, False)
    assert (first["gathered"], second["gathered"]) == ([5, 6], [])
    assert first["all"] == second["all"] == [{"rank": 0}, {"rank": 1}]
    assert first["reduced"] == {"a": 5.0, "b": 0.5}
    assert first["same_seed"]
