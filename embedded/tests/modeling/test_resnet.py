"""ResNets against reference values, and their options."""

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone, ResNet, build_backbone, make_stage
from detectron2.modeling.backbone.resnet import (
    BasicBlock,
    BasicStem,
    BottleneckBlock,
    DeformBottleneckBlock,
)

FOUR = ["res2", "res3", "res4", "res5"]


def basic_net(norm="BN"):
    stages, channels = [], 8
    for out_channels, stride in ((8, 1), (12, 2), (16, 2), (24, 2)):
        stages.append(
            make_stage(
                BasicBlock,
                2,
                in_channels=channels,
                out_channels=out_channels,
                stride_per_block=[stride, 1],
                norm=norm,
            )
        )
        channels = out_channels
    return ResNet(BasicStem(3, 8, norm=norm), stages, out_features=["stem", *FOUR]).double()


def bottleneck_net(stride_in_1x1=False, last_dilation=1):
    stages, channels = [], 8
    for index, out_channels in enumerate((16, 32, 64, 96)):
        dilation = last_dilation if index == 3 else 1
        stride = 1 if index == 0 or dilation > 1 else 2
        stages.append(
            make_stage(
                BottleneckBlock,
                2,
                in_channels=channels,
                out_channels=out_channels,
                bottleneck_channels=out_channels // 4,
                stride_per_block=[stride, 1],
                stride_in_1x1=stride_in_1x1,
                dilation=dilation,
                norm="FrozenBN",
            )
        )
        channels = out_channels
    stem = BasicStem(3, 8, norm="FrozenBN")
    return ResNet(stem, stages, out_features=FOUR).double().eval()


def test_basic_blocks_give_the_recorded_maps(read_records, wave, fill_waves, check):
    record = read_records("b_modeling")["resnet_basic"]
    net = fill_waves(basic_net()).eval()
    assert sum(p.numel() for p in net.parameters()) == record["n_params"]
    maps = net(wave((1, 3, 64, 96)))
    assert list(maps) == list(record["outputs"])
    for name, expected in record["outputs"].items():
        check(maps[name], expected)


def test_batch_statistics_give_the_recorded_maps(read_records, wave, fill_waves, check):
    record = read_records("b_modeling")["resnet_basic_train_bn"]
    net = fill_waves(basic_net()).train()
    maps = net(wave((2, 3, 32, 32)))
    for name, expected in record["outputs"].items():
        check(maps[name], expected)
    norm = net.stem.conv1.norm
    assert norm.running_mean.tolist() == pytest.approx(record["stem_running_mean"], abs=1e-9)
    assert norm.running_var.tolist() == pytest.approx(record["stem_running_var"], rel=1e-7)


def test_frozen_bottlenecks_give_the_recorded_maps_and_gradient(
    read_records, wave, fill_waves, check
):
    record = read_records("b_modeling")["resnet_bottleneck_frozenbn"]
    net = fill_waves(bottleneck_net(), buffers=True)
    image = wave((1, 3, 64, 96)).requires_grad_()
    maps = net(image)
    for name, expected in record["outputs"].items():
        check(maps[name], expected)
    sum(x.square().mean() for x in maps.values()).backward()
    check(image.grad, record["input_grad_of_sum_of_mean_squares"])


def test_stride_in_1x1_and_dilation_give_the_recorded_maps(read_records, wave, fill_waves, check):
    record = read_records("b_modeling")["resnet_bottleneck_stride1x1_dilated"]
    net = fill_waves(bottleneck_net(stride_in_1x1=True, last_dilation=2), buffers=True)
    maps = net(wave((1, 3, 64, 96)))
    for name, expected in record["outputs"].items():
        check(maps[name], expected)


def test_output_shape_names_channels_and_strides():
    net = basic_net()
    assert isinstance(net, Backbone)
    assert net.size_divisibility == 0
    assert net.padding_constraints == {}
    assert net.output_shape()["stem"] == ShapeSpec(channels=8, stride=4)
    assert net.output_shape()["res5"] == ShapeSpec(channels=24, stride=32)


def test_stages_behind_the_last_output_are_not_built():
    stages = ResNet.make_default_stages(18)
    net = ResNet(BasicStem(), stages, out_features=["res3"])
    assert net.stage_names == ("res2", "res3")
    assert list(net.output_shape()) == ["res3"]


def test_a_shortcut_convolution_only_where_channels_change():
    assert BasicBlock(4, 4, stride=2).shortcut is None
    assert BasicBlock(4, 8).shortcut is not None


def test_classifier():
    net = ResNet(BasicStem(), ResNet.make_default_stages(18), num_classes=5).eval()
    assert net(torch.zeros(1, 3, 32, 32))["linear"].shape == (1, 5)
    assert net.linear.weight.std().item() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(("freeze_at", "frozen"), [(0, 0), (1, 1), (2, 11), (3, 24)])
def test_freezing_stops_gradients_and_batch_norm(freeze_at, frozen):
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3"]
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    net = build_backbone(cfg)
    assert sum(not p.requires_grad for p in net.parameters()) == frozen


def test_frozen_stages_have_frozen_norms_whatever_the_config_says():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3"]
    net = build_backbone(cfg)
    kinds = {
        name: type(block[0].conv1.norm).__name__
        for name, block in net.named_children()
        if name.startswith("res")
    }
    assert kinds == {"res2": "FrozenBatchNorm2d", "res3": "BatchNorm2d"}


@pytest.mark.parametrize("norm", ["frozenbn", "syncbn"])
def test_resnet50_has_the_published_keys(read_records, norm):
    keys = read_records(f"b_backbone_resnet50_{norm}")
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = FOUR
    cfg.MODEL.RESNETS.NORM = {"frozenbn": "FrozenBN", "syncbn": "SyncBN"}[norm]
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    net = build_backbone(cfg)
    assert {k: list(v.shape) for k, v in net.state_dict().items()} == keys
    parameters = {"frozenbn": 23_454_912, "syncbn": 23_508_032}[norm]
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_dilation_of_res5_keeps_the_resolution():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
    cfg.MODEL.RESNETS.RES5_DILATION = 2
    assert build_backbone(cfg).output_shape()["res5"].stride == 16


def test_shallow_resnets_need_64_channels_in_res2():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.DEPTH = 18
    with pytest.raises(AssertionError):
        build_backbone(cfg)
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    assert build_backbone(cfg).output_shape()["res4"].channels == 256


def test_deformable_block_starts_as_a_plain_one(wave):
    torch.manual_seed(0)
    options = {"bottleneck_channels": 2, "norm": "BN"}
    plain = BottleneckBlock(4, 4, **options).eval()
    deformable = DeformBottleneckBlock(4, 4, **options).eval()
    keys = set(deformable.state_dict()) - set(plain.state_dict())
    assert keys == {"conv2_offset.weight", "conv2_offset.bias"}
    deformable.load_state_dict(plain.state_dict(), strict=False)
    x = wave((1, 4, 6, 7), dtype=torch.float32)
    torch.testing.assert_close(deformable(x), plain(x))


def test_deform_on_per_stage_chooses_the_block():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3"]
    cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE = [False, True, False, False]
    net = build_backbone(cfg)
    assert isinstance(net.res3[0], DeformBottleneckBlock)
    assert not isinstance(net.res2[0], DeformBottleneckBlock)
