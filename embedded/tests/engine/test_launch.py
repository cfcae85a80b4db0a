"""Two processes on a CPU: what works there, and what does not."""

import os
import subprocess
import sys

import pytest
import torch

PROGRAM = """
import torch

from detectron2.engine import create_ddp_model, launch
from detectron2.layers import NaiveSyncBatchNorm
from detectron2.utils import comm


def main(folder):
    rank = comm.get_rank()
    assert comm.get_world_size() == 2
    assert comm.get_local_rank() == rank
    try:
        create_ddp_model(torch.nn.Linear(1, 1))
    except ValueError:
        refused = True
    model = create_ddp_model(torch.nn.Linear(1, 1), device_ids=None)
    model(torch.full((1, 1), float(rank))).sum().backward()
    gradient = model.module.weight.grad.item()  # mean of 0 and 1

    x = torch.arange(4.0).reshape(4, 1, 1, 1)
    whole = torch.nn.BatchNorm2d(1)(x)
    norm = NaiveSyncBatchNorm(1)
    part = norm(x[2 * rank : 2 * rank + 2])
    torch.testing.assert_close(part, whole[2 * rank : 2 * rank + 2])
    uneven = NaiveSyncBatchNorm(1, stats_mode="N")(x[:3] if rank == 0 else x[3:])
    torch.testing.assert_close(uneven, whole[:3] if rank == 0 else whole[3:])
    with open(f"{folder}/{rank}", "w") as file:
        file.write(f"{refused} {gradient}")


if __name__ == "__main__":
    import sys

    launch(main, 2, dist_url="auto", args=(sys.argv[1],))
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="two processes would need two GPUs")
def test_two_processes_on_a_cpu(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert (tmp_path / str(rank)).read_text() == "True 0.5"
