"""Feature pyramids against reference values."""

import pytest
import torch

from detectron2.config import get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ResNet, build_backbone, make_stage
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from detectron2.modeling.backbone.resnet import BasicStem, BottleneckBlock

FOUR = ["res2", "res3", "res4", "res5"]


def bottom_up():
    stages, channels = [], 8
    for index, out_channels in enumerate((16, 32, 64, 96)):
        stages.append(
            make_stage(
                BottleneckBlock,
                2,
                in_channels=channels,
                out_channels=out_channels,
                bottleneck_channels=out_channels // 4,
                stride_per_block=[1 if index == 0 else 2, 1],
                norm="FrozenBN",
            )
        )
        channels = out_channels
    return ResNet(BasicStem(3, 8, norm="FrozenBN"), stages, out_features=FOUR)


def published_cfg():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = FOUR
    cfg.MODEL.FPN.IN_FEATURES = FOUR
    return cfg


@pytest.mark.parametrize("name", ["fpn_maxpool", "fpn_p6p7_gn_avg"])
def test_pyramid_equals_the_recorded_one(read_records, wave, fill_waves, check, name):
    record = read_records("b_modeling")[name]
    if name == "fpn_maxpool":
        net = FPN(bottom_up(), FOUR, 16, top_block=LastLevelMaxPool())
        assert net.size_divisibility == record["size_divisibility"]
    else:
        top = LastLevelP6P7(96, 32)
        net = FPN(bottom_up(), FOUR[1:], 32, norm="GN", top_block=top, fuse_type="avg")
    net = fill_waves(net.double(), buffers=True).eval()
    maps = net(wave((1, 3, 64, 96)))
    assert list(maps) == list(record["outputs"])
    for level, expected in record["outputs"].items():
        check(maps[level], expected)
    shapes = {k: [v.channels, v.stride] for k, v in net.output_shape().items()}
    assert shapes == record["output_shape"]


def test_resnet50_pyramid_from_config(read_records, wave, fill_waves, check):
    record = read_records("b_modeling")["resnet50_fpn_from_cfg"]
    net = fill_waves(build_backbone(published_cfg()).double()).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 4:
                parameter *= 10 / parameter[0].numel() ** 0.5
        maps = net(wave((1, 3, 64, 96), 0, 50))
    for level, expected in record["outputs"].items():
        check(maps[level], expected)
    frozen = sum(not p.requires_grad for p in net.parameters())
    assert frozen == record["requires_grad_false"]


def test_resnet50_pyramid_has_the_published_keys(read_records):
    net = build_backbone(published_cfg())
    keys = read_records("b_backbone_resnet50_fpn")
    assert {k: list(v.shape) for k, v in net.state_dict().items()} == keys
    assert sum(p.numel() for p in net.parameters()) == 26_799_296
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 26_576_896


def test_retinanet_pyramid_starts_at_p3():
    cfg = published_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    cfg.MODEL.FPN.IN_FEATURES = FOUR[1:]
    assert list(build_backbone(cfg).output_shape()) == ["p3", "p4", "p5", "p6", "p7"]


def test_convolutions_have_a_bias_only_without_norm():
    keys = set(FPN(bottom_up(), FOUR, 32, norm="GN").state_dict())
    assert "fpn_lateral2.bias" not in keys
    assert "fpn_lateral2.norm.weight" in keys
    assert "fpn_output5.bias" in FPN(bottom_up(), FOUR, 32).state_dict()


def test_strides_must_double():
    with pytest.raises(AssertionError):
        FPN(bottom_up(), ["res2", "res4"], 8)


def test_inputs_must_be_divisible():
    net = FPN(bottom_up(), FOUR, 8)
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, 40, 64))


def test_square_pad_is_a_padding_constraint():
    assert FPN(bottom_up(), FOUR, 8, square_pad=64).padding_constraints == {"square_size": 64}


def test_build_backbone_counts_the_channels_of_the_mean():
    cfg = published_cfg()
    cfg.MODEL.PIXEL_MEAN = [0.0] * 4
    assert build_backbone(cfg).bottom_up.stem.conv1.weight.shape[1] == 4
    assert build_backbone(cfg, ShapeSpec(channels=2)).bottom_up.stem.conv1.weight.shape[1] == 2


def test_what_is_built_must_be_a_backbone():
    def build_nothing_useful(cfg, input_shape):
        return torch.nn.Identity()

    BACKBONE_REGISTRY.register(build_nothing_useful)
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_nothing_useful"
    with pytest.raises(AssertionError):
        build_backbone(cfg)
    cfg.MODEL.BACKBONE.NAME = "no_such_backbone"
    with pytest.raises(KeyError, match="No object named 'no_such_backbone' found in 'BACKBONE'"):
        build_backbone(cfg)
