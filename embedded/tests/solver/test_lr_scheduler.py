"""Learning rates at given iterations."""

import pytest
import torch
from fvcore.common.param_scheduler import ConstantParamScheduler

from detectron2.config import get_cfg
from detectron2.solver import (
    LRMultiplier,
    WarmupCosineLR,
    WarmupMultiStepLR,
    WarmupParamScheduler,
    build_lr_scheduler,
)
from detectron2.solver.lr_scheduler import _get_warmup_factor_at_iter


def make_optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def make_cfg(**solver):
    cfg = get_cfg()
    for name, value in solver.items():
        setattr(cfg.SOLVER, name, value)
    return cfg


def rate_at(scheduler, iteration):
    scheduler.last_epoch = iteration
    return scheduler.get_lr()[0]


LONG = {"BASE_LR": 0.02, "MAX_ITER": 90000}
COSINE = {**LONG, "LR_SCHEDULER_NAME": "WarmupCosineLR"}
MASK2FORMER = {
    "BASE_LR": 0.0001,
    "MAX_ITER": 368750,
    "STEPS": (327778, 355092),
    "WARMUP_FACTOR": 1.0,
    "WARMUP_ITERS": 10,
}


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("WarmupMultiStepLR 1x", {**LONG, "STEPS": (60000, 80000)}),
        ("WarmupCosineLR", COSINE),
        ("WarmupCosineLR end 0.002", {**COSINE, "BASE_LR_END": 0.002}),
        (
            "WarmupStepWithFixedGammaLR",
            {**LONG, "LR_SCHEDULER_NAME": "WarmupStepWithFixedGammaLR"},
        ),
        ("Mask2Former COCO", MASK2FORMER),
    ],
)
def test_rates_equal_the_recorded_ones(read_records, name, solver):
    scheduler = build_lr_scheduler(make_cfg(**solver), make_optimizer(solver["BASE_LR"]))
    for iteration, expected in read_records("b_solver")["lr_schedules"][name]["lr"]:
        # Records have twelve digits of the factor.
        assert rate_at(scheduler, iteration) == pytest.approx(expected, rel=1e-10, abs=1e-17)


def rates_of_a_run(scheduler, optimizer, iterations=20):
    rates = []
    for _ in range(iterations):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


SHORT = {
    "BASE_LR": 0.1,
    "MAX_ITER": 20,
    "STEPS": (10, 15),
    "WARMUP_ITERS": 4,
    "WARMUP_FACTOR": 0.25,
}


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("linear", {}),
        ("constant", {"WARMUP_METHOD": "constant"}),
        ("cosine", {"LR_SCHEDULER_NAME": "WarmupCosineLR"}),
        (
            "cosine_rescale_interval",
            {"LR_SCHEDULER_NAME": "WarmupCosineLR", "RESCALE_INTERVAL": True},
        ),
    ],
)
def test_rates_of_a_short_run(read_records, name, solver):
    expected = read_records("b_solver")["lr_schedules"]["stepped, 20 iterations"][name]
    optimizer = make_optimizer(0.1)
    scheduler = build_lr_scheduler(make_cfg(**SHORT, **solver), optimizer)
    assert rates_of_a_run(scheduler, optimizer) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "kind", "arguments"),
    [
        ("class WarmupMultiStepLR(opt,[10,15],0.1,0.25,4)", WarmupMultiStepLR, ([10, 15], 0.1)),
        ("class WarmupCosineLR(opt,20,0.25,4)", WarmupCosineLR, (20,)),
    ],
)
def test_old_classes(read_records, name, kind, arguments):
    optimizer = make_optimizer(0.1)
    scheduler = kind(optimizer, *arguments, 0.25, 4)
    expected = read_records("b_solver")["lr_schedules"][name]
    assert rates_of_a_run(scheduler, optimizer) == pytest.approx(expected, rel=1e-9)


def test_the_state_is_small_and_resumes(read_records):
    optimizer = make_optimizer(0.1)
    scheduler = build_lr_scheduler(make_cfg(**SHORT), optimizer)
    rates_of_a_run(scheduler, optimizer, 1)
    expected = read_records("b_solver")["lr_schedules"]["state_dict_after_one_step"]
    assert scheduler.state_dict() == expected
    whole = rates_of_a_run(scheduler, optimizer, 6)
    other = make_optimizer(0.1)
    resumed = build_lr_scheduler(make_cfg(**SHORT), other)
    rates_of_a_run(resumed, other, 3)
    state = {"base_lrs": [0.1], "last_epoch": 1}
    resumed.load_state_dict(state)
    resumed.step()
    assert rates_of_a_run(resumed, other, 5) == pytest.approx(whole[1:])


def test_steps_at_and_behind_the_end():
    optimizer = make_optimizer(0.1)
    with pytest.raises(ValueError, match="Milestone must be smaller than total number of updates"):
        build_lr_scheduler(make_cfg(MAX_ITER=45, STEPS=(45,)), optimizer)
    scheduler = build_lr_scheduler(make_cfg(MAX_ITER=45, STEPS=(40, 60), WARMUP_ITERS=0), optimizer)
    assert rate_at(scheduler, 44) == pytest.approx(0.01)


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="Unknown LR scheduler: Foo"):
        build_lr_scheduler(make_cfg(LR_SCHEDULER_NAME="Foo"), make_optimizer(0.1))
    with pytest.raises(ValueError, match="Unknown warmup method: foo"):
        WarmupParamScheduler(ConstantParamScheduler(1.0), 0.1, 0.5, "foo")
    with pytest.raises(ValueError, match="Unknown warmup method: foo"):
        _get_warmup_factor_at_iter("foo", 0, 10, 0.1)
    with pytest.raises(ValueError):
        LRMultiplier(make_optimizer(0.1), lambda where: 1.0, 10)


def test_warmup_factor_of_one_iteration():
    assert _get_warmup_factor_at_iter("linear", 5, 10, 0.1) == pytest.approx(0.55)
    assert _get_warmup_factor_at_iter("constant", 5, 10, 0.1) == 0.1
    assert _get_warmup_factor_at_iter("linear", 10, 10, 0.1) == 1.0
