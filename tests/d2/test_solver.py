import pytest
import torch
from detectron2.config import get_cfg
from detectron2.projects.deeplab import add_deeplab_config
from torch import nn

from dvps_d2.d2 import add_dvps_config, build_lr_scheduler, build_optimizer
from dvps_d2.d2.solver import parameter_groups


def config(**solver):
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_list([x for k, v in solver.items() for x in (f"SOLVER.{k}", v)])
    return cfg


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.query = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def test_groups_follow_the_kind_of_parameter():
    groups = parameter_groups(
        Net(), base_lr=1.0, weight_decay=0.5, weight_decay_norm=0.0, weight_decay_embed=0.25,
        backbone_multiplier=0.1,
    )  # fmt: skip
    found = {(g["lr"], g["weight_decay"]): sum(p.numel() for p in g["params"]) for g in groups}
    assert found == {(0.1, 0.5): 16, (0.1, 0.0): 8, (1.0, 0.25): 20, (1.0, 0.5): 20}


def test_full_model_clipping_limits_the_norm_of_all_gradients():
    cfg = config(
        OPTIMIZER="SGD", BASE_LR=1.0, MOMENTUM=0.0, WEIGHT_DECAY=0.0, BACKBONE_MULTIPLIER=1.0
    )
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = True
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 5.0
    model = nn.Linear(1, 2, bias=False)
    optimizer = build_optimizer(cfg, model)
    before = model.weight.detach().clone()
    model.weight.grad = torch.tensor([[30.0], [40.0]])  # norm 50, ten times the limit
    optimizer.step()
    torch.testing.assert_close(before - model.weight, torch.tensor([[3.0], [4.0]]))


def test_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match="SOLVER.OPTIMIZER='LION' is not one of ADAMW, SGD"):
        build_optimizer(config(OPTIMIZER="LION"), Net())


def test_flat_then_linear_schedule():
    cfg = config(
        OPTIMIZER="SGD", BASE_LR=1.0, MAX_ITER=10, WARMUP_ITERS=2, WARMUP_FACTOR=0.5,
        LR_SCHEDULER_NAME="WarmupFlatLinearLR", LINEAR_DECAY_FRACTION=0.5,
    )  # fmt: skip
    optimizer = build_optimizer(cfg, nn.Linear(1, 1))
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.5, 0.75, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_decay_fraction_is_checked():
    cfg = config(LR_SCHEDULER_NAME="WarmupFlatLinearLR", LINEAR_DECAY_FRACTION=0.0)
    with pytest.raises(ValueError, match="LINEAR_DECAY_FRACTION must lie in"):
        build_lr_scheduler(cfg, build_optimizer(cfg, Net()))
