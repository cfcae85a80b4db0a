"""Parameter groups and gradient clipping."""

import pytest
import torch
from torch import nn

from detectron2.config import get_cfg
from detectron2.solver import (
    build_optimizer,
    get_default_optimizer_params,
)
from detectron2.solver.build import maybe_add_gradient_clipping, reduce_param_groups


class Net(nn.Module):
    """One of each: norms, a frozen weight, a parameter of its own, a shared layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.bn = nn.BatchNorm2d(3)
        self.gn = nn.GroupNorm(1, 3)
        self.ln = nn.LayerNorm(3)
        self.emb = nn.Embedding(4, 3)
        self.fc = nn.Linear(3, 2)
        self.frozen = nn.Linear(2, 2)
        self.frozen.weight.requires_grad = False
        self.own = nn.Parameter(torch.zeros(2))
        self.shared = self.fc


def by_name(model, optimizer):
    names = {parameter: name for name, parameter in model.named_parameters()}
    keys = ("lr", "weight_decay", "momentum", "nesterov", "foreach")
    return [
        {"params": [names[p] for p in group["params"]], **{k: group[k] for k in keys}}
        for group in optimizer.param_groups
    ]


def test_groups_equal_the_recorded_ones(read_records):
    record = read_records("b_solver")["optimizer_groups"]
    model, cfg = Net(), get_cfg()
    assert by_name(model, build_optimizer(cfg, model)) == record["default_cfg"]
    cfg.SOLVER.BIAS_LR_FACTOR = 2.0
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    optimizer = build_optimizer(cfg, model)
    assert type(optimizer) is torch.optim.SGD
    assert by_name(model, optimizer) == record["BIAS_LR_FACTOR 2, WEIGHT_DECAY_BIAS 0"]


def test_overrides_and_factors_by_name():
    model = nn.Sequential(nn.Linear(1, 1), nn.LayerNorm(1))
    groups = get_default_optimizer_params(
        model,
        base_lr=1.0,
        weight_decay_norm=0.0,
        lr_factor_func=lambda name: 0.5 if name.startswith("0.") else 1.0,
        overrides={"bias": {"lr": 3.0}},
    )
    options = [{k: v for k, v in group.items() if k != "params"} for group in groups]
    assert options == [
        {"lr": 0.5},
        {"lr": 3.0},
        {"lr": 1.0, "weight_decay": 0.0},
        {"lr": 3.0, "weight_decay": 0.0},
    ]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"bias_lr_factor": 2.0}, "bias_lr_factor requires base_lr"),
        ({"lr_factor_func": lambda name: 1.0}, "lr_factor_func requires base_lr"),
        ({"overrides": {"bias": {}}, "weight_decay_bias": 1.0}, "Conflicting overrides"),
    ],
)
def test_contradictions_are_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        get_default_optimizer_params(nn.Linear(1, 1), **kwargs)


def test_equal_groups_are_merged_in_order_of_appearance():
    a, b, c = (nn.Parameter(torch.zeros(1)) for _ in range(3))
    merged = reduce_param_groups(
        [
            {"params": [a], "lr": 1.0},
            {"params": [b], "lr": 2.0},
            {"params": [c], "lr": 1.0},
        ]
    )
    assert [len(group["params"]) for group in merged] == [2, 1]
    assert merged[0]["params"][1] is c
    assert [group["lr"] for group in merged] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "clip_type", "norm_type"),
    [
        ("value_1", "value", 2.0),
        ("norm_1", "norm", 2.0),
        ("norm_1_type_inf", "norm", float("inf")),
    ],
)
@pytest.mark.parametrize("from_class", [True, False])
def test_clipped_gradients_equal_the_recorded_ones(
    read_records, name, clip_type, norm_type, from_class
):
    record = read_records("b_solver")["gradient_clipping"]
    expected, class_name = record[name]
    cfg = get_cfg()
    clip = cfg.SOLVER.CLIP_GRADIENTS
    clip.ENABLED, clip.CLIP_TYPE, clip.NORM_TYPE = True, clip_type, norm_type
    parameters = [nn.Parameter(torch.zeros(len(grad))) for grad in record["grads"]]
    if from_class:
        optimizer = maybe_add_gradient_clipping(cfg, torch.optim.SGD)(parameters, lr=1.0)
    else:
        optimizer = maybe_add_gradient_clipping(cfg, torch.optim.SGD(parameters, lr=1.0))
    assert type(optimizer).__name__ == class_name
    assert isinstance(optimizer, torch.optim.SGD)
    for parameter, grad in zip(parameters, record["grads"], strict=True):
        parameter.grad = torch.tensor(grad)
    optimizer.step()
    for parameter, grad in zip(parameters, expected, strict=True):
        assert parameter.grad.tolist() == pytest.approx(grad, rel=1e-5)
        assert (-parameter).tolist() == pytest.approx(grad, rel=1e-5)


def test_clipping_is_off_by_default_and_does_not_know_full_model():
    cfg = get_cfg()
    assert maybe_add_gradient_clipping(cfg, torch.optim.SGD) is torch.optim.SGD
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    with pytest.raises(ValueError, match="'full_model' is not a valid GradientClipType"):
        maybe_add_gradient_clipping(cfg, torch.optim.SGD)
