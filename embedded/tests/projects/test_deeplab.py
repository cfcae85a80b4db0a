"""DeepLab's schedule, loss, backbone and configuration."""

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone
from detectron2.projects.deeplab import add_deeplab_config, build_lr_scheduler
from detectron2.projects.deeplab.loss import DeepLabCE
from detectron2.projects.deeplab.lr_scheduler import WarmupPolyLR


def make_optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def make_cfg():
    cfg = get_cfg()
    add_deeplab_config(cfg)
    return cfg


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("WarmupPolyLR", {}),
        (
            "WarmupPolyLR constant ending 0.1",
            {"POLY_LR_CONSTANT_ENDING": 0.1, "WARMUP_ITERS": 0},
        ),
    ],
)
def test_rates_equal_the_recorded_ones(read_records, name, solver):
    cfg = make_cfg()
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupPolyLR"
    cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER = 0.0001, 90000
    for key, value in solver.items():
        setattr(cfg.SOLVER, key, value)
    scheduler = build_lr_scheduler(cfg, make_optimizer(0.0001))
    for iteration, expected in read_records("b_solver")["lr_schedules"][name]["lr"]:
        scheduler.last_epoch = iteration
        assert scheduler.get_lr()[0] == pytest.approx(expected, rel=1e-9)


def test_rates_of_a_short_run(read_records):
    expected = read_records("b_solver")["lr_schedules"]["stepped, 20 iterations"]["poly"]
    optimizer = make_optimizer(0.1)
    scheduler = WarmupPolyLR(optimizer, 20, warmup_factor=0.25, warmup_iters=4)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected, rel=1e-9)
    assert optimizer.param_groups[0]["lr"] == 0


def test_other_names_go_to_the_solver():
    cfg = make_cfg()
    assert type(build_lr_scheduler(cfg, make_optimizer(0.1))).__name__ == "LRMultiplier"
    cfg.SOLVER.LR_SCHEDULER_NAME = "Foo"
    with pytest.raises(ValueError, match="Unknown LR scheduler: Foo"):
        build_lr_scheduler(cfg, make_optimizer(0.1))


def test_defaults():
    cfg = make_cfg()
    assert cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA == 1.0
    assert (cfg.SOLVER.POLY_LR_POWER, cfg.SOLVER.POLY_LR_CONSTANT_ENDING) == (0.9, 0.0)
    head = cfg.MODEL.SEM_SEG_HEAD
    assert head.LOSS_TYPE == "hard_pixel_mining"
    assert (head.PROJECT_FEATURES, head.PROJECT_CHANNELS) == (["res2"], [48])
    assert (head.ASPP_CHANNELS, head.ASPP_DILATIONS, head.ASPP_DROPOUT) == (256, [6, 12, 18], 0.1)
    assert head.USE_DEPTHWISE_SEPARABLE_CONV is False
    resnets = cfg.MODEL.RESNETS
    assert (resnets.RES4_DILATION, resnets.RES5_MULTI_GRID) == (1, [1, 2, 4])
    assert resnets.STEM_TYPE == "deeplab"


def test_loss_of_all_pixels_counts_ignored_ones_as_zero():
    logits = torch.zeros(1, 2, 1, 4)
    labels = torch.tensor([[[0, 1, 255, 255]]])
    log2 = 0.693147
    assert DeepLabCE(255)(logits, labels).item() == pytest.approx(log2 / 2, rel=1e-5)
    assert DeepLabCE(255, 0.5)(logits, labels).item() == pytest.approx(log2, rel=1e-5)
    weights = torch.tensor([[[4.0, 1, 1, 1]]])
    loss = DeepLabCE(255, 0.25)(logits, labels, weights)
    assert loss.item() == pytest.approx(4 * log2, rel=1e-5)


def backbone(**resnets):
    cfg = make_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_resnet_deeplab_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res4", "res5"]
    for name, value in resnets.items():
        setattr(cfg.MODEL.RESNETS, name, value)
    return build_backbone(cfg, ShapeSpec(channels=3))


def test_deeplab_stem():
    net = backbone(STEM_OUT_CHANNELS=128)
    shapes = {k: list(v.shape) for k, v in net.stem.state_dict().items() if k.endswith("v1.weight")}
    assert shapes == {"conv1.weight": [64, 3, 3, 3]}
    assert list(net.stem.conv2.weight.shape) == [64, 64, 3, 3]
    assert list(net.stem.conv3.weight.shape) == [128, 64, 3, 3]
    assert net.output_shape()["res5"].stride == 32


def test_basic_stem_and_unknown_stems():
    net = backbone(STEM_TYPE="basic")
    assert list(net.stem.conv1.weight.shape) == [64, 3, 7, 7]
    with pytest.raises(ValueError, match="Unknown stem type: foo"):
        backbone(STEM_TYPE="foo")


def test_dilation_and_multi_grid():
    net = backbone(RES4_DILATION=2, RES5_DILATION=4)
    assert net.output_shape()["res4"].stride == net.output_shape()["res5"].stride == 8
    assert [block.conv2.dilation for block in net.res5] == [(4, 4), (8, 8), (16, 16)]
    assert [block.conv2.dilation for block in net.res4][:2] == [(2, 2), (2, 2)]
    assert [block.conv2.dilation for block in backbone().res5] == [(1, 1), (2, 2), (4, 4)]
    with pytest.raises(AssertionError):
        backbone(RES4_DILATION=2, RES5_DILATION=2)
