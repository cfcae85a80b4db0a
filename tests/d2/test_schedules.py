"""Every schedule is complete, and presets that claim to be equal are."""

from pathlib import Path

import pytest

from dvps_d2.d2 import load_config
from dvps_d2.d2.recompute import PARTS

FOLDER = Path(__file__).parents[2] / "configs" / "schedules"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_schedule_loads_and_says_how_long(path):
    text = path.read_text()
    assert text.startswith("#"), "a schedule opens with what it is for"
    solver = load_config(path).SOLVER
    assert (
        all(step < solver.MAX_ITER for step in solver.STEPS)
        or "Linear" in str(solver.LR_SCHEDULER_NAME)
        or "Poly" in solver.LR_SCHEDULER_NAME
    )
    assert solver.CLIP_GRADIENTS.CLIP_TYPE == "full_model"
    assert set(solver.RECOMPUTE) <= set(PARTS)


def test_a_small_gpu_sees_the_same_number_of_clips():
    small, full = (load_config(FOLDER / f"query_10k{e}.yaml").SOLVER for e in ("_small_gpu", ""))
    assert small.IMS_PER_BATCH * small.ACCUMULATION_STEPS == full.IMS_PER_BATCH
    assert (small.MAX_ITER, small.BASE_LR) == (full.MAX_ITER, full.BASE_LR)
